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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from ...domain.errors import GraphError
from ...domain.item import may_have_arrived
from ...domain.lifecycle import move
from ...domain.model import Category, Kind, Outcome, OutcomeKey, State
from ...domain.submissions import ThreatSubmission, Unowned
from ...domain.verdicts import Judgement, judge
from ...ports import Clock, ThreatSubmissions
from ...stores.ledger import TRANSACTION_ROWS, Ledger, Step, WorkItem
from ...stores.quota import QuotaStore
from ...telemetry import Event, emit, raised_at
from ..sending.refusals import Refusals
from ..sending.sweep import Sweeper
from ..trouble import Trouble
from .closing import close
from .covering import HolderFollower
from .erasure import EraseRequested
from .evidence import EvidenceKeeper
from .reconcile import Reconciler
from .replay import Replay
from .retention import Retention
from .second_chances import SecondChances

RUN_TIME = timedelta(minutes=4)
"""A run begins nothing more after this and goes on at the next one, far below the function's time limit."""
TIDIED_EVERY = timedelta(hours=1)
LISTED_BEFORE = timedelta(minutes=20)
"""How far the list reaches back behind our oldest POST: Microsoft's clock may be behind ours."""
PATIENCE_WITHOUT_LISTING = timedelta(hours=24)
"""While Graph cannot list, an overdue row may have its verdict all the same: it is kept open this much longer."""


@dataclass(frozen=True, slots=True)
class SettleRules:
    """The settings that settling depends on."""

    verdict_deadline: timedelta


class SettleOutcomes:
    """The use case behind `settle_outcomes`."""

    def __init__(  # noqa: PLR0913 - its parts, which bootstrap alone joins
        self,
        rules: SettleRules,
        *,
        ledger: Ledger,
        quota: QuotaStore,
        sweeper: Sweeper,
        replay: Replay,
        reconciler: Reconciler,
        refusals: Refusals,
        second_chances: SecondChances,
        follower: HolderFollower,
        trouble: Trouble,
        submissions: ThreatSubmissions,
        evidence: EvidenceKeeper,
        retention: Retention,
        erase: EraseRequested,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._quota = quota
        self._sweeper = sweeper
        self._replay = replay
        self._reconciler = reconciler
        self._refusals = refusals
        self._second_chances = second_chances
        self._follower = follower
        self._trouble = trouble
        self._submissions = submissions
        self._evidence = evidence
        self._retention = retention
        self._erase = erase
        self._clock = clock
        self._tidied_at: datetime | None = None

    async def run(self) -> int:
        """Move every row on that can move; returns how many got a final verdict.

        What does not fit into `RUN_TIME` is done at the next run; everything before it is durable.
        """
        stop_at = self._clock.now() + RUN_TIME
        await self._sweeper.left_behind(stop_at)
        await self._replay.run()
        settled = 0
        for kind, items in _by_kind(await self._ledger.at_microsoft()).items():
            settled += await self._compare(kind, items, stop_at)
        await self._refusals.run(stop_at)
        await self._second_chances.run(stop_at)
        followed = await self._follower.run(stop_at)
        await self._look_up(followed.to_look_up)
        await self._evidence.run()
        await self._delete("retention", self._retention.run)
        await self._delete("erasure", self._erase.run)
        await self._tidy()
        return settled + followed.settled

    async def _delete(self, task: str, run: Callable[[], Awaitable[None]]) -> None:
        """Delete what is to go. Whatever fails there is told: no verdict and no count of what waits depends on it."""
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - a row or blob that breaks it would fail every run
            emit(Event.DELETION_FAILED, task=task, error=type(error).__name__, where=raised_at(error))

    async def _tidy(self) -> None:
        """Forget turns that are over, once an hour: all of the day's have to be read for it."""
        now = self._clock.now()
        if self._tidied_at is None or now - self._tidied_at >= TIDIED_EVERY:
            await self._quota.forget_old_turns()
            self._tidied_at = now

    async def _compare(self, kind: Kind, items: Sequence[WorkItem], stop_at: datetime) -> int:
        """Compare the rows of one kind with what Microsoft lists; returns how many are settled."""
        listed = await self._list(kind, items)
        if listed is not None:
            unowned = Unowned(kind, listed.values())
            for item in items:
                unowned.take(item.outcome.graph_submission_id or "")
            lost = [one for one in items if one.outcome.state is State.UNCERTAIN]
            await self._reconciler.run(kind, lost, unowned, stop_at)
        steps: dict[OutcomeKey, Step] = {}

        async def look(some: Sequence[WorkItem]) -> int:
            found = (self._step(item, listed) for item in some)
            steps.update({step.item.outcome.key: step for step in found if step is not None})
            return 0

        await self._trouble.each(items, look)
        return await self._take(steps, stop_at)

    async def _look_up(self, holders: Sequence[OutcomeKey]) -> None:
        """Take up rows that were given up and may have arrived, as others wait for them: once Microsoft can list again.

        They are `uncertain` again, and what became of them is found out like that of any other lost POST.
        """
        found = [await self._ledger.kept(key.submission_id) for key in holders]
        for kind, items in _by_kind([item for item in found if item is not None]).items():
            if await self._list(kind, items) is not None:
                for item in items:
                    await self._trouble.each([item], self._taken_up)

    async def _taken_up(self, items: Sequence[WorkItem]) -> int:
        for item in items:
            stored = await self._ledger.get(item.outcome.key)
            if stored is not None and may_have_arrived(stored.outcome):
                uncertain = move(stored.outcome, State.UNCERTAIN, reason="looked_up")
                await self._ledger.step(Step(item, uncertain, stored))
        return len(items)

    async def _list(self, kind: Kind, items: Sequence[WorkItem]) -> Listed | None:
        """Everything created since the oldest of these rows was sent; None when Graph did not answer.

        Microsoft lists no reviews. So one whose answer was lost is found nowhere and sent again, which changes nothing.
        """
        if kind is Kind.REVIEW:
            return {}
        since = min(item.sent_before for item in items) - LISTED_BEFORE
        try:
            listed = await self._submissions.listed(kind, since)
        except GraphError as error:
            emit(Event.LISTING_FAILED, kind=kind, status=error.status, code=error.code, request_id=error.request_id)
            return None
        return {one.submission_id: one for one in listed}

    async def _take(self, steps: Mapping[OutcomeKey, Step], stop_at: datetime) -> int:
        """Write what is new of rows, those of one day together; returns how many are settled."""
        items = sorted((step.item for step in steps.values()), key=lambda item: item.outcome.key.partition)
        settled = 0
        for start in range(0, len(items), TRANSACTION_ROWS):
            if self._clock.now() >= stop_at:
                break
            settled += await self._trouble.each(items[start : start + TRANSACTION_ROWS], partial(self._write, steps))
        return settled

    async def _write(self, steps: Mapping[OutcomeKey, Step], items: Sequence[WorkItem]) -> int:
        taken = [steps[item.outcome.key] for item in items]
        await self._ledger.amend_filed([one for one in taken if one.after.state is one.item.outcome.state])
        return await close(self._ledger, [one for one in taken if one.after.state is not one.item.outcome.state])

    def _step(self, item: WorkItem, listed: Listed | None) -> Step | None:
        """A row's next state, or Microsoft's new words; None where there is nothing new.

        A complete list decides every uncertain row: one that it gave its submission is judged before it expires.
        """
        outcome, now = item.outcome, self._clock.now()
        patience = timedelta() if listed is not None else PATIENCE_WITHOUT_LISTING
        is_overdue = now - item.sent_before >= self._rules.verdict_deadline + patience
        if outcome.state is State.UNCERTAIN:
            return Step(item, _given_up(outcome)) if is_overdue and listed is None else None
        found = (listed or {}).get(outcome.graph_submission_id or "")
        after = outcome if found is None else self._judged(outcome, found)
        if is_overdue and after.state is State.SUBMITTED:
            after = move(after, State.EXPIRED, reason="no_verdict")
        return None if after == outcome else Step(item, after)

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


Listed = dict[str, ThreatSubmission]
"""Microsoft's submissions of one kind, by id."""


def _by_kind(items: Sequence[WorkItem]) -> dict[Kind, list[WorkItem]]:
    found: defaultdict[Kind, list[WorkItem]] = defaultdict(list)
    for item in items:
        found[item.outcome.kind or Kind.EMAIL].append(item)
    return found


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
