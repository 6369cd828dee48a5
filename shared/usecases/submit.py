"""Submit: one submission to Microsoft, at most once, and what came of it.

The POST has no idempotency key and the queue delivers at least once, so the order of steps is everything:

    claim    `dispatched` -> `submitting`, guarded by the ETag that dispatch put into the message
    stamp    the time of the POST, into the slot; a slot that was taken back admits nothing
    POST     once, never repeated by a library
    record   the answer; without a readable answer the row is `uncertain` and reconcile decides

A stop before the stamp is known to have had no effect; after it the row counts as uncertain. A message whose claim
fails is stale or a second delivery: it ends quietly, and `settle_outcomes` finds rows that were left behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.codecs.submission_message import SubmissionMessage
from shared.domain.errors import GraphError, NotSent
from shared.domain.lifecycle import move
from shared.domain.model import Outcome, OutcomeKey, SkipReason, State
from shared.domain.planner import CLOCK_MARGIN, SLOT_LIFETIME, WINDOW
from shared.domain.retries import THROTTLED, Decision, decide
from shared.domain.submissions import SubmissionOrder, ThreatSubmission
from shared.ports import Clock, ThreatSubmissions
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import KEPT, WorkItem, Worklist, slot_time
from shared.telemetry import Event, emit
from shared.usecases.mailboxes import tell_unreachable
from shared.usecases.material import MaterialGone, MaterialSource

STAMP_GOOD_FOR = timedelta(seconds=2)
"""A stamp older than this when the POST is about to leave is written again, so that the window stays exact."""
EARLY_AT_MOST_S = 90.0


SLOT_MISSED = Decision(State.PENDING, "slot_missed")
SLOT_TAKEN_BACK = Decision(State.PENDING, "slot_taken_back")
MAILBOX_SILENT = Decision(State.PENDING, "mailbox_silent", timedelta(minutes=5), counts=True)


@dataclass(frozen=True, slots=True)
class Held:
    """A row this worker holds: its entry in flight, and the row as it stands."""

    item: WorkItem
    stored: Stored


class Submit:
    """The use case behind `submit`."""

    def __init__(
        self,
        *,
        shadow: bool,
        outcomes: OutcomeStore,
        worklist: Worklist,
        material: MaterialSource,
        submissions: ThreatSubmissions,
        clock: Clock,
    ) -> None:
        self._shadow = shadow
        self._outcomes = outcomes
        self._worklist = worklist
        self._material = material
        self._submissions = submissions
        self._clock = clock

    async def run(self, message: SubmissionMessage) -> None:
        """Submit the row that the message names, unless the message is stale."""
        item = await self._worklist.in_flight(message.key.submission_id)
        if item is None or item.slot != message.slot:
            return
        if await self._is_too_late(message.slot):
            await self._back_to_waiting(Held(item, Stored(item.outcome, message.etag)), SLOT_MISSED)
            return
        held = await self._claim(item, message.etag)
        if held is not None:
            await self._submit(held)

    async def _is_too_late(self, slot: str) -> bool:
        """Wait for the slot's moment if it is still to come; whether its lifetime is over."""
        slot_at = slot_time(slot)
        early_s = (slot_at - self._clock.now()).total_seconds()
        if early_s > 0:
            await self._clock.sleep(min(early_s, EARLY_AT_MOST_S))
        return self._clock.now() > slot_at + SLOT_LIFETIME

    async def _claim(self, item: WorkItem, etag: str) -> Held | None:
        """The row as ours, in state `submitting`; None when it is somebody else's, or has moved on."""
        claimed = move(item.outcome, State.SUBMITTING, attempts=item.outcome.attempts + 1)
        stored = (await self._outcomes.advance([Change(item.outcome, claimed, etag)]))[0]
        return None if stored is None else Held(item, stored)

    async def _submit(self, held: Held) -> None:
        try:
            order = await self._material.order(held.stored.outcome, held.item.material)
        except MaterialGone as error:
            emit(Event.MATERIAL_GONE, submission_id=held.item.outcome.key.submission_id, reason=error.reason)
            await self._finish_unsent(held, State.REJECTED, error.reason)
            return
        except GraphError as error:
            tell_unreachable(held.item.material.mailbox or "", error)
            await self._give_back(held)
            await self._back_to_waiting(held, MAILBOX_SILENT, **error_facts(error))
            return
        if self._shadow:
            await self._finish_unsent(held, State.SKIPPED, SkipReason.SHADOW_MODE)
            return
        await self._post(held, order)

    async def _post(self, held: Held, order: SubmissionOrder) -> None:
        sent_at = await self._stamp(held)
        if sent_at is None:
            await self._back_to_waiting(held, SLOT_TAKEN_BACK)
            return
        try:
            submission = await self._submissions.submit(order)
        except GraphError as error:
            await self._stamp_a_slow_post(held, sent_at)
            await self._after(held, error, sent_at)
            return
        await self._stamp_a_slow_post(held, sent_at)
        await self._record(held, submission, sent_at)

    async def _stamp(self, held: Held) -> datetime | None:
        """Write the time of the POST just before it leaves and return it; None when the slot was taken back."""
        while True:
            at = self._clock.now()
            if not await self._worklist.stamp(held.item.slot or "", at):
                return None
            if self._clock.now() - at <= STAMP_GOOD_FOR:
                return at

    async def _stamp_a_slow_post(self, held: Held, sent_at: datetime) -> None:
        """Count a POST from its end when it took longer than the window's margin: it may have arrived any time."""
        now = self._clock.now()
        if now - sent_at > CLOCK_MARGIN:
            await self._worklist.stamp(held.item.slot or "", now)

    async def _record(self, held: Held, submission: ThreatSubmission, sent_at: datetime) -> None:
        outcome = held.stored.outcome
        stored = await self._advance(held.stored, submitted(outcome, submission, sent_at))
        if stored is None:
            stored = await self._record_late(outcome.key, submission, sent_at)
        if stored is None:
            return
        left = replace(held.item, outcome=stored.outcome, etag=stored.etag, slot=None)
        await self._worklist.move(held.item, left)
        if held.item.is_probe:
            await self._worklist.reopen()
        emit(Event.SUBMITTED, submission_id=outcome.key.submission_id, seconds=stored.outcome.seconds_to_submit)

    async def _record_late(self, key: OutcomeKey, submission: ThreatSubmission, sent_at: datetime) -> Stored | None:
        """Record an answer whose row was called uncertain in the meantime; None when it has moved on."""
        stored = await self._outcomes.get(key)
        if stored is None or stored.outcome.state is not State.UNCERTAIN:
            return None
        return await self._advance(stored, submitted(stored.outcome, submission, sent_at))

    async def _after(self, held: Held, error: GraphError, sent_at: datetime) -> None:
        """Act on a submission that did not simply succeed."""
        quota = await self._worklist.quota()
        decision = decide(error, failures=held.item.failures, strikes=quota.strikes_before(self._clock.now()))
        tell(held, error, decision)
        if decision.closes_window:
            await self._worklist.close(self._clock.now() + decision.delay, decision.reason)
        elif held.item.is_probe and not isinstance(error, NotSent):
            await self._worklist.reopen()
        if decision.state is State.PENDING:
            await self._back_to_waiting(held, decision, attempts=held.stored.outcome.attempts, **error_facts(error))
        else:
            await self._finish(held, decision.state, reason=decision.reason, sent_at=sent_at, **error_facts(error))

    async def _back_to_waiting(self, held: Held, decision: Decision, **facts: Any) -> None:
        """Let the row wait anew, behind its own delay; its place by age is kept where it has none.

        A POST counts as an attempt only when the caller says so among the facts.
        """
        delay = own_delay(decision, held.item)
        known = {"attempts": held.item.outcome.attempts, **facts}
        after = move(held.stored.outcome, State.PENDING, reason=decision.reason, dispatched_at=None, **known)
        stored = await self._advance(held.stored, after)
        if stored is None:
            return
        waiting = replace(
            held.item,
            outcome=stored.outcome,
            etag=stored.etag,
            due_at=self._clock.now() + delay if delay else held.item.due_at,
            failures=held.item.failures + decision.counts,
            throttled=held.item.throttled + (decision.reason == THROTTLED),
            slot=None,
            is_probe=False,
        )
        await self._worklist.move(held.item, waiting)
        emit(
            Event.ATTEMPT_DELAYED,
            submission_id=after.key.submission_id,
            reason=decision.reason,
            code=facts.get("error_code"),
            request_id=facts.get("error_request_id"),
            seconds=int(delay.total_seconds()),
        )

    async def _finish(
        self, held: Held, state: State, *, reason: str, sent_at: datetime | None = None, **facts: Any
    ) -> None:
        """Move the row to a state in which this worker is done with it."""
        stored = await self._advance(held.stored, move(held.stored.outcome, state, reason=reason, **facts))
        if stored is None:
            return
        if state is State.UNCERTAIN or state in KEPT:
            left = replace(held.item, outcome=stored.outcome, etag=stored.etag, sent_at=sent_at, slot=None)
            await self._worklist.move(held.item, left)
        else:
            await self._worklist.remove([held.item])

    async def _finish_unsent(self, held: Held, state: State, reason: str) -> None:
        """End a row that was never sent under its slot: the slot is free again, and the claim was no attempt."""
        await self._give_back(held)
        await self._finish(held, state, reason=reason, attempts=held.item.outcome.attempts)

    async def _give_back(self, held: Held) -> None:
        await self._worklist.release(held.item.slot or "")

    async def _advance(self, stored: Stored, after: Outcome) -> Stored | None:
        return (await self._outcomes.advance([Change(stored.outcome, after, stored.etag)]))[0]


def own_delay(decision: Decision, item: WorkItem) -> timedelta:
    """How long this row stands back. A closed window delays everybody alike, so the row keeps its place.

    A row that is throttled again may be under its item's own 15-minute rule: it lets the others pass meanwhile.
    """
    if decision.closes_window:
        return WINDOW if decision.reason == THROTTLED and item.throttled else timedelta()
    return decision.delay


def submitted(outcome: Outcome, submission: ThreatSubmission, sent_at: datetime) -> Outcome:
    """The row once Microsoft has it, with Microsoft's words untouched."""
    return move(
        outcome,
        State.SUBMITTED,
        submitted_at=sent_at,
        seconds_to_submit=max(0, int((sent_at - outcome.received_at).total_seconds())),
        graph_submission_id=submission.submission_id,
        graph_status=submission.status,
        result_category=submission.result_category,
        result_detail=submission.result_detail,
        allow_or_block_status=submission.allow_or_block_status,
        error_code=None,
        error_message=None,
        error_request_id=None,
    )


def error_facts(error: GraphError) -> dict[str, str | None]:
    """The columns that keep the last failure."""
    code = error.code or (f"http_{error.status}" if error.status else type(error).__name__)
    return {"error_code": code, "error_message": error.message, "error_request_id": error.request_id}


def tell(held: Held, error: GraphError, decision: Decision) -> None:
    """Write the event that belongs to a failed submission; one that only waits is told when it does."""
    events = {
        THROTTLED: Event.THROTTLED,
        "not_allowed": Event.NOT_ALLOWED,
        "answer_lost": Event.ANSWER_LOST,
        "refused_by_microsoft": Event.SUBMISSION_REFUSED,
    }
    event = Event.GAVE_UP if decision.state is State.FAILED else events.get(decision.reason)
    if event is None:
        return
    emit(
        event,
        submission_id=held.item.outcome.key.submission_id,
        reason=decision.reason,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
        seconds=int(decision.delay.total_seconds()) or None,
    )
