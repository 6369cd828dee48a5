"""Settle: fetch verdicts until final, find out what became of lost POSTs, sweep up what stopped processes left.

Microsoft's submissions are listed once per kind and compared with the worklist; there is no request per row. Only a
complete listing counts: while Graph does not answer, nothing is found missing.

    submitted   final verdict -> settled; deadline passed -> expired
    uncertain   found at Microsoft -> submitted; not found after 15 minutes -> waits again, the POST had no effect
    in flight   whose worker or message is gone -> waits again if nothing was sent, else uncertain
    covered     follows its holder; where the holder came to nothing, one covered row takes its place
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain import keys
from shared.domain.errors import GraphError
from shared.domain.lifecycle import is_final, move
from shared.domain.model import Category, Kind, Outcome, OutcomeKey, State
from shared.domain.planner import WINDOW
from shared.domain.retries import after_nothing_found
from shared.domain.submissions import LostSubmission, ThreatSubmission, find_match
from shared.domain.verdicts import Judgement, judge
from shared.ports import BlobStore, Clock, ThreatSubmissions
from shared.stores.items import ItemStore
from shared.stores.outcomes import TRANSACTION_ROWS, Change, OutcomeStore, Stored
from shared.stores.worklist import WorkItem, Worklist
from shared.telemetry import Event, emit
from shared.usecases.submit import submitted
from shared.usecases.sweep import Sweeper, sent_before

LISTING_IS_CERTAIN_AFTER = WINDOW
"""A POST that is not listed by then never arrived; the item's own 15-minute rule is over as well."""
SUBMISSION_OVERLAP = timedelta(minutes=10)
ROW_COMES_WITHIN = timedelta(hours=1)
PATIENCE_WITHOUT_LISTING = timedelta(hours=24)
"""While Graph cannot list, an overdue row may have its verdict all the same: it is kept open this much longer."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Microsoft's submissions of one kind, by id."""

    by_id: dict[str, ThreatSubmission]

    def unowned(self, owned: set[str]) -> list[ThreatSubmission]:
        """Those that no row of ours has."""
        return [one for submission_id, one in self.by_id.items() if submission_id not in owned]


class SettleOutcomes:
    """The use case behind `settle_outcomes`."""

    def __init__(
        self,
        *,
        verdict_deadline: timedelta,
        evidence_days: int,
        outcomes: OutcomeStore,
        worklist: Worklist,
        items: ItemStore,
        sweeper: Sweeper,
        submissions: ThreatSubmissions,
        evidence: BlobStore,
        clock: Clock,
    ) -> None:
        self._verdict_deadline = verdict_deadline
        self._evidence_days = evidence_days
        self._outcomes = outcomes
        self._worklist = worklist
        self._items = items
        self._sweeper = sweeper
        self._submissions = submissions
        self._evidence = evidence
        self._clock = clock

    async def run(self) -> int:
        """Move every row on that can move; returns how many got a final verdict."""
        await self._sweeper.left_behind()
        settled = 0
        by_kind: defaultdict[Kind, list[WorkItem]] = defaultdict(list)
        for item in await self._worklist.at_microsoft():
            by_kind[item.outcome.kind or Kind.EMAIL].append(item)
        for kind, items in by_kind.items():
            settled += await self._compare(kind, items)
        settled += await self._follow_holders()
        await self._drop_old_evidence()
        return settled

    async def _compare(self, kind: Kind, items: Sequence[WorkItem]) -> int:
        """Compare the rows of one kind with what Microsoft lists."""
        now = self._clock.now()
        listing = await self._list(kind, items)
        settled: set[str] = set()
        if listing is not None:
            owned = {item.outcome.graph_submission_id or "" for item in items}
            for item in [one for one in items if one.outcome.state is State.UNCERTAIN]:
                owned.add(await self._reconcile(item, listing.unowned(owned)))
            settled = await self._judge_all([one for one in items if one.outcome.state is State.SUBMITTED], listing)
        patience = timedelta() if listing is not None else PATIENCE_WITHOUT_LISTING
        await self._give_up_on(
            [
                item
                for item in items
                if item.outcome.key.submission_id not in settled
                and now - sent_before(item) >= self._verdict_deadline + patience
            ]
        )
        return len(settled)

    async def _list(self, kind: Kind, items: Sequence[WorkItem]) -> Listing | None:
        """Everything created since the oldest of these rows was sent; None when Graph did not answer."""
        since = min(sent_before(item) for item in items) - SUBMISSION_OVERLAP
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
        await self._close(final)
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
        stored = await self._outcomes.amend(Change(item.outcome, after, item.etag))
        if stored is not None:
            await self._worklist.move(item, replace(item, outcome=stored.outcome, etag=stored.etag))

    async def _close(self, steps: Sequence[tuple[WorkItem, Outcome]]) -> None:
        """Write final rows and take them off the worklist."""
        stored = await self._outcomes.advance([Change(item.outcome, after, item.etag) for item, after in steps])
        done = [(item, one or await self._closed_already(item)) for (item, _), one in zip(steps, stored, strict=True)]
        await self._worklist.remove([item for item, one in done if one is not None])
        for one in stored:
            if one is not None:
                _tell(one.outcome)

    async def _closed_already(self, item: WorkItem) -> Stored | None:
        """The row if it is final already, its event made good; None when it has to be looked at again."""
        stored = await self._outcomes.get(item.outcome.key)
        if stored is None:
            return None
        if not is_final(stored.outcome.state):
            await self._worklist.move(item, replace(item, outcome=stored.outcome, etag=stored.etag))
            return None
        await self._outcomes.ensure_logged(stored.outcome)
        return stored

    async def _give_up_on(self, items: Sequence[WorkItem]) -> None:
        """Expire rows without a verdict; an uncertain row that could never be looked up is failed instead."""
        for item in items:
            stored = await self._outcomes.get(item.outcome.key)
            if stored is None or stored.outcome.state not in (State.SUBMITTED, State.UNCERTAIN):
                continue
            if stored.outcome.state is State.SUBMITTED:
                fresh = replace(item, outcome=stored.outcome, etag=stored.etag)
                await self._close([(fresh, move(stored.outcome, State.EXPIRED, reason="no_verdict"))])
            else:
                await self._advance(item, stored, move(stored.outcome, State.FAILED, reason="never_reconciled"))

    async def _reconcile(self, item: WorkItem, listed: Sequence[ThreatSubmission]) -> str:
        """Find out what became of a lost POST; returns the submission id that the row owns now, or ""."""
        sent_at = sent_before(item)
        found = await self._find(item.outcome, sent_at, listed)
        if found is None and self._clock.now() - sent_at < LISTING_IS_CERTAIN_AFTER:
            return ""
        stored = await self._outcomes.get(item.outcome.key)
        if stored is None or stored.outcome.state is not State.UNCERTAIN:
            await self._closed_already(item)
            return "" if stored is None else stored.outcome.graph_submission_id or ""
        emit(Event.RECONCILED, submission_id=item.outcome.key.submission_id, found=found is not None)
        if found is None:
            await self._send_again(item, stored)
            return ""
        await self._advance(item, stored, submitted(stored.outcome, found, sent_at))
        return found.submission_id

    async def _find(
        self, outcome: Outcome, sent_at: datetime, listed: Sequence[ThreatSubmission]
    ) -> ThreatSubmission | None:
        """The listed submission that the lost POST made, leaving out those that finished rows own."""
        candidates = list(listed)
        while (found := find_match(_lost(outcome, sent_at), candidates)) is not None:
            owner = await self._outcomes.owner_of(found.submission_id, sent_at - SUBMISSION_OVERLAP)
            if owner in (None, outcome.key.submission_id):
                return found
            candidates.remove(found)
        return None

    async def _send_again(self, item: WorkItem, stored: Stored) -> None:
        """Let a row wait anew whose POST is known to have had no effect, or give it up."""
        decision = after_nothing_found(item.failures)
        after = move(stored.outcome, decision.state, reason=decision.reason)
        failures = item.failures + decision.counts
        await self._advance(replace(item, failures=failures, due_at=self._clock.now(), sent_at=None), stored, after)

    async def _advance(self, item: WorkItem, stored: Stored, after: Outcome) -> None:
        """Write a step and move the row's entry, which stands where the row's last known state put it."""
        await self._outcomes.ensure_logged(stored.outcome)
        done = (await self._outcomes.advance([Change(stored.outcome, after, stored.etag)]))[0]
        if done is not None:
            await self._worklist.move(item, replace(item, outcome=done.outcome, etag=done.etag, slot=None))

    async def _follow_holders(self) -> int:
        """Give covered rows what became of their holders; returns how many are settled by it."""
        holders: dict[OutcomeKey, Stored | None] = {}
        final: list[tuple[WorkItem, Outcome]] = []
        async for item in self._worklist.covered():
            key = item.waits_for[0]
            if key not in holders:
                holders[key] = await self._outcomes.get(key)
            after = self._like_its_holder(item, holders[key])
            if after is not None:
                final.append((item, after))
            elif self._holder_came_to_nothing(item, holders[key]):
                await self._take_the_holders_place(item, key)
        for start in range(0, len(final), TRANSACTION_ROWS):
            await self._close(final[start : start + TRANSACTION_ROWS])
        return sum(after.state is State.SETTLED for _, after in final)

    def _like_its_holder(self, item: WorkItem, holder: Stored | None) -> Outcome | None:
        """The covered row's final step, or None while its holder has none that it can share."""
        if holder is not None and holder.outcome.state is State.SETTLED:
            return _settled_like(item.outcome, holder.outcome, self._clock.now())
        if holder is not None and holder.outcome.state is State.EXPIRED:
            return move(item.outcome, State.EXPIRED, reason="no_verdict")
        return None

    def _holder_came_to_nothing(self, item: WorkItem, holder: Stored | None) -> bool:
        """Whether the holder will never be at Microsoft. A claim whose row never came was made by a stopped process."""
        if holder is None:
            return self._clock.now() - item.outcome.collected_at > ROW_COMES_WITHIN
        return is_final(holder.outcome.state)

    async def _take_the_holders_place(self, item: WorkItem, gone: OutcomeKey) -> None:
        """The holder came to nothing: the first covered row goes itself, the others follow that one."""
        outcome = item.outcome
        if outcome.item_key is None or outcome.category is None:
            return
        claim = keys.claim(outcome.category, outcome.allow_or_block)
        holding = await self._items.hand_over(outcome.item_key, claim, gone, outcome.key)
        if holding.holder != outcome.key:
            after = replace(outcome, covered_by=holding.holder.submission_id)
            stored = await self._outcomes.amend(Change(outcome, after, item.etag))
            waits_for: tuple[OutcomeKey, ...] = (holding.holder,)
        else:
            after = move(outcome, State.PENDING, reason="holder_came_to_nothing", covered_by=None)
            stored = (await self._outcomes.advance([Change(outcome, after, item.etag)]))[0]
            waits_for = holding.earlier
        stored = stored or await self._outcomes.get(outcome.key)
        if stored is not None:
            await self._worklist.move(
                item, replace(item, outcome=stored.outcome, etag=stored.etag, waits_for=waits_for)
            )

    async def _drop_old_evidence(self) -> None:
        day = keys.day(self._clock.now() - timedelta(days=self._evidence_days))
        dropped = await self._evidence.drop_days_before(day)
        if dropped:
            emit(Event.EVIDENCE_DROPPED, count=dropped)


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


def _settled_like(outcome: Outcome, holder: Outcome, now: datetime) -> Outcome:
    """The covered row with its holder's verdict and Microsoft's words for it."""
    return move(
        outcome,
        State.SETTLED,
        verdict=holder.verdict,
        agreement=holder.agreement,
        settled_at=now,
        seconds_to_verdict=max(0, int((now - outcome.received_at).total_seconds())),
        graph_submission_id=holder.graph_submission_id,
        graph_status=holder.graph_status,
        result_category=holder.result_category,
        result_detail=holder.result_detail,
    )


def _lost(outcome: Outcome, sent_at: datetime) -> LostSubmission:
    return LostSubmission(
        kind=outcome.kind or Kind.EMAIL,
        category=outcome.category or Category.PHISHING,
        sent_at=sent_at,
        recipient=outcome.recipient,
        sender=outcome.sender,
        subject=outcome.subject,
        internet_message_id=outcome.internet_message_id,
        url=outcome.url,
        file_name=outcome.file_name,
    )


def _tell(outcome: Outcome) -> None:
    if outcome.state is State.EXPIRED:
        emit(Event.EXPIRED, submission_id=outcome.key.submission_id)
        return
    emit(
        Event.SETTLED,
        submission_id=outcome.key.submission_id,
        verdict=outcome.verdict,
        agreement=outcome.agreement,
        seconds=outcome.seconds_to_verdict,
    )
