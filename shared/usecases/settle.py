"""Settle: fetch verdicts until final, find out what became of lost POSTs, sweep up what stopped processes left.

Microsoft's submissions are listed once per kind and compared with the worklist; there is no request per row. Only a
complete listing counts: while Graph does not answer, nothing is found missing.

    submitted   final verdict -> settled; deadline passed -> expired
    uncertain   found at Microsoft -> submitted; not found after 15 minutes -> waits again, the POST had no effect
    in flight   whose worker or message is gone -> waits again if nothing was sent, else uncertain
    covered     follows its holder; where the holder came to nothing, one covered row takes its place

Rows that an administrator asked to be taken up again come first: a lost POST among them is looked up in the same run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.errors import GraphError
from shared.domain.lifecycle import move
from shared.domain.model import Category, Kind, Outcome, State
from shared.domain.submissions import ThreatSubmission
from shared.domain.verdicts import Judgement, judge
from shared.ports import Clock, ThreatSubmissions
from shared.stores.outcomes import Change, OutcomeStore
from shared.stores.worklist import WorkItem, Worklist, slot_time
from shared.telemetry import Event, emit
from shared.usecases.closing import Closer
from shared.usecases.covering import HolderFollower
from shared.usecases.evidence import EvidenceKeeper
from shared.usecases.reconcile import Reconciler, nearest_first
from shared.usecases.replay import Replay
from shared.usecases.sweep import Sweeper, sent_before

LISTED_BEFORE = timedelta(minutes=10)
"""How far the list reaches back behind our oldest POST: Microsoft's clock may be behind ours."""
PATIENCE_WITHOUT_LISTING = timedelta(hours=24)
"""While Graph cannot list, an overdue row may have its verdict all the same: it is kept open this much longer."""


@dataclass(frozen=True, slots=True)
class SettleRules:
    """The settings that settling depends on."""

    verdict_deadline: timedelta


@dataclass(frozen=True, slots=True)
class Listing:
    """Microsoft's submissions of one kind, by id."""

    by_id: dict[str, ThreatSubmission]

    def unowned(self, owned: set[str]) -> list[ThreatSubmission]:
        """Those that no row of ours has."""
        return [one for submission_id, one in self.by_id.items() if submission_id not in owned]


class SettleOutcomes:
    """The use case behind `settle_outcomes`."""

    def __init__(  # noqa: PLR0913 - its parts, which bootstrap alone joins
        self,
        rules: SettleRules,
        *,
        outcomes: OutcomeStore,
        worklist: Worklist,
        sweeper: Sweeper,
        replay: Replay,
        reconciler: Reconciler,
        follower: HolderFollower,
        closer: Closer,
        submissions: ThreatSubmissions,
        evidence: EvidenceKeeper,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._outcomes = outcomes
        self._worklist = worklist
        self._sweeper = sweeper
        self._replay = replay
        self._reconciler = reconciler
        self._follower = follower
        self._closer = closer
        self._submissions = submissions
        self._evidence = evidence
        self._clock = clock

    async def run(self) -> int:
        """Move every row on that can move; returns how many got a final verdict."""
        await self._sweeper.left_behind()
        await self._replay.run()
        settled = 0
        by_kind: defaultdict[Kind, list[WorkItem]] = defaultdict(list)
        for item in await self._worklist.at_microsoft():
            by_kind[item.outcome.kind or Kind.EMAIL].append(item)
        for kind, items in by_kind.items():
            settled += await self._compare(kind, items)
        settled += await self._follower.run()
        await self._evidence.run()
        return settled

    async def _compare(self, kind: Kind, items: Sequence[WorkItem]) -> int:
        """Compare the rows of one kind with what Microsoft lists."""
        now = self._clock.now()
        listing = await self._list(kind, items)
        settled: set[str] = set()
        if listing is not None:
            owned = {item.outcome.graph_submission_id or "" for item in items}
            await self._reconcile([one for one in items if one.outcome.state is State.UNCERTAIN], listing, owned)
            settled = await self._judge_all([one for one in items if one.outcome.state is State.SUBMITTED], listing)
        patience = timedelta() if listing is not None else PATIENCE_WITHOUT_LISTING
        # A complete list decides every uncertain row: one that it gave its submission is judged before it expires.
        undecided = [one for one in items if listing is None or one.outcome.state is State.SUBMITTED]
        await self._give_up_on(
            [
                item
                for item in undecided
                if item.outcome.key.submission_id not in settled
                and now - sent_before(item) >= self._rules.verdict_deadline + patience
            ]
        )
        return len(settled)

    async def _reconcile(self, lost: Sequence[WorkItem], listing: Listing, owned: set[str]) -> None:
        """Find out what became of lost POSTs. What a row in flight seems to have made is left to that row."""
        flying = await self._in_flight(lost[0].outcome.kind) if lost else []
        for item in nearest_first([*lost, *flying], listing.unowned(owned)):
            decide = self._reconciler.run if item in lost else self._reconciler.presumed
            owned.add(await decide(item, listing.unowned(owned)))

    async def _in_flight(self, kind: Kind | None) -> list[WorkItem]:
        """Rows whose POST has left and whose worker has not spoken yet, with the time of that POST."""
        sent = {one.name: one.slot.sent_at for one in (await self._worklist.quota()).slots}
        flying = [item for item in await self._worklist.all_in_flight() if item.outcome.kind is kind and item.slot]
        times = [sent.get(item.slot or "", slot_time(item.slot or "")) for item in flying]
        return [replace(item, sent_at=at) for item, at in zip(flying, times, strict=True) if at is not None]

    async def _list(self, kind: Kind, items: Sequence[WorkItem]) -> Listing | None:
        """Everything created since the oldest of these rows was sent; None when Graph did not answer."""
        since = min(sent_before(item) for item in items) - LISTED_BEFORE
        try:
            listed = await self._submissions.listed(kind, since)
        except GraphError as error:
            emit(Event.LISTING_FAILED, kind=kind, status=error.status, code=error.code, request_id=error.request_id)
            return None
        return Listing({one.submission_id: one for one in listed})

    async def _judge_all(self, items: Sequence[WorkItem], listing: Listing) -> set[str]:
        """Write what is new of the listed rows; returns the submission ids that are settled."""
        steps = [
            (item, self._judged(item.outcome, found))
            for item in items
            if (found := listing.by_id.get(item.outcome.graph_submission_id or "")) is not None
        ]
        final = [(item, after) for item, after in steps if after.state is State.SETTLED]
        for item, after in steps:
            if after.state is State.SUBMITTED and after != item.outcome:
                await self._amend(item, after)
        await self._closer.close(final)
        return {item.outcome.key.submission_id for item, _ in final}

    def _judged(self, outcome: Outcome, found: ThreatSubmission) -> Outcome:
        """The row with Microsoft's present words, settled when they are final."""
        now = self._clock.now()
        category = outcome.category or Category.PHISHING
        judgement = judge(category, found.status, found.result_category, found.result_detail)
        told = replace(
            outcome,
            graph_status=found.status,
            result_category=found.result_category,
            result_detail=found.result_detail,
            allow_or_block_status=found.allow_or_block_status or outcome.allow_or_block_status,
        )
        return _settled(told, judgement, now) if judgement.is_final else told

    async def _amend(self, item: WorkItem, after: Outcome) -> None:
        stored = (await self._outcomes.amend([Change(item.outcome, after, item.etag)]))[0]
        if stored is not None:
            await self._worklist.move(item, replace(item, outcome=stored.outcome, etag=stored.etag))

    async def _give_up_on(self, items: Sequence[WorkItem]) -> None:
        """Expire rows without a verdict; an uncertain row that could never be looked up is failed instead."""
        for item in items:
            stored = await self._outcomes.get(item.outcome.key)
            if stored is None or stored.outcome.state not in (State.SUBMITTED, State.UNCERTAIN):
                continue
            if stored.outcome.state is State.SUBMITTED:
                fresh = replace(item, outcome=stored.outcome, etag=stored.etag)
                await self._closer.close([(fresh, move(stored.outcome, State.EXPIRED, reason="no_verdict"))])
            else:
                emit(Event.GAVE_UP, submission_id=item.outcome.key.submission_id, reason="never_reconciled")
                await self._closer.step(item, stored, _given_up(stored.outcome))


def _given_up(outcome: Outcome) -> Outcome:
    told = "Microsoft's list of submissions could not be read: replay it when it can."
    return move(outcome, State.FAILED, reason="never_reconciled", detail=told)


def _settled(outcome: Outcome, judgement: Judgement, now: datetime) -> Outcome:
    if not judgement.is_known:
        emit(Event.UNKNOWN_RESULT, submission_id=outcome.key.submission_id)
    return move(
        outcome,
        State.SETTLED,
        verdict=judgement.verdict,
        agreement=judgement.agreement,
        settled_at=now,
        seconds_to_verdict=max(0, int((now - outcome.received_at).total_seconds())),
    )
