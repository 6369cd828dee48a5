"""Submit: one submission to Microsoft, at most once, and what came of it.

The POST has no idempotency key and the queue delivers at least once, so the order of steps is everything:

    claim    `dispatched` -> `submitting`, guarded by the ETag that dispatch put into the message
    stamp    the time of the POST, into the slot; a slot that was taken back admits nothing
    POST     once, never repeated by a library
    record   the answer; without a readable answer the row is `uncertain` and reconcile decides

A review changes nothing when it is repeated, so it goes the same way; once it took effect its row is `settled`.

A stop before the stamp is known to have had no effect; after it the row counts as uncertain. A message whose claim
fails is stale or a second delivery: it ends quietly, and `settle_outcomes` finds rows that were left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...codecs.submission_message import SubmissionMessage
from ...domain import keys
from ...domain.errors import AnswerLost, GraphError, NotAllowed, NotReady, NotSent, Throttled
from ...domain.lifecycle import move
from ...domain.model import Kind, Outcome, OutcomeKey, SkipReason, State
from ...domain.planner import CLOCK_MARGIN, SLOT_LIFETIME, WINDOW
from ...domain.retries import REFUSED, ROWS_MAKE_AN_OUTAGE, THROTTLED, Circumstances, Decision, decide
from ...domain.submissions import ReviewOrder, SubmissionOrder, ThreatSubmission
from ...ports import Clock, ThreatSubmissions
from ...stores.items import ItemStore
from ...stores.ledger import Ledger, Stored, WorkItem
from ...stores.quota import NOT_SENT, QuotaStore, slot_time
from ...telemetry import Event, emit
from ..mailboxes import tell_unreachable
from .claims import Claims, claim_of, learnt_claim_of, moved_under
from .material import MaterialGone, MaterialSource

STAMP_GOOD_FOR = timedelta(seconds=2)
"""A stamp older than this when the POST is about to leave is written again, so that the window stays exact."""
EARLY_AT_MOST_S = 90.0


SLOT_MISSED = Decision(State.PENDING, "slot_missed")
SLOT_TAKEN_BACK = Decision(State.PENDING, "slot_taken_back")
MAILBOX_SILENT = Decision(State.PENDING, "mailbox_silent", timedelta(minutes=5))
AT_FIRST_DISPATCH = 2
"""A row's revision when it is dispatched for the first time. Later it has been in flight before."""


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
        ledger: Ledger,
        quota: QuotaStore,
        items: ItemStore,
        material: MaterialSource,
        submissions: ThreatSubmissions,
        clock: Clock,
    ) -> None:
        self._shadow = shadow
        self._ledger = ledger
        self._quota = quota
        self._items = items
        self._claims = Claims(ledger, items, clock)
        self._material = material
        self._submissions = submissions
        self._clock = clock

    async def run(self, message: SubmissionMessage) -> None:
        """Submit the row that the message names, unless the message is stale."""
        item = await self._ledger.in_flight(message.key.submission_id)
        if item is None or item.slot != message.slot or item.outcome.state is not State.DISPATCHED:
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
        stored = await self._ledger.advance(Stored(item.outcome, etag), claimed)
        return None if stored is None else Held(item, stored)

    async def _submit(self, held: Held) -> None:
        try:
            if await self._is_told_apart(held) or await self._is_spoken_for(held):
                return
            order = await self._material.order(held.stored.outcome, held.item.material)
        except MaterialGone as error:
            emit(Event.MATERIAL_GONE, submission_id=held.item.outcome.key.submission_id, reason=error.reason)
            await self._finish_unsent(held, State.REJECTED, error.reason)
            return
        except GraphError as error:
            tell_unreachable(held.item.material.mailbox or "", error)
            await self._back_to_waiting(held, MAILBOX_SILENT, gives_back=True, **error_facts(error))
            return
        if self._shadow:
            await self._finish_unsent(held, State.SKIPPED, SkipReason.SHADOW_MODE)
            return
        await self._post(held, order)

    async def _is_told_apart(self, held: Held) -> bool:
        """Whether a mail that could not be read when it was asked for can be now: then it goes back under its own item.

        Another row may speak for that item, or have been sent less than 15 minutes ago.
        """
        outcome, material = held.stored.outcome, held.item.material
        if material.mailbox is None or outcome.network_message_id is not None:
            return False
        names = await self._material.names(material)
        if names is None or names.network_message_id is None:
            return False
        facts: dict[str, Any] = {
            "attempts": held.item.outcome.attempts,
            "network_message_id": names.network_message_id,
            "internet_message_id": names.internet_message_id or outcome.internet_message_id,
            "sender": names.sender or outcome.sender,
            "subject": names.subject or outcome.subject,
            "item_key": keys.email_item(names.network_message_id, None, "", outcome.recipient or ""),
        }
        waiting = move(outcome, State.PENDING, reason="item_known", dispatched_at=None, **facts)
        holder = await self._holder(waiting)
        if holder == outcome.key:
            await self._go_back(held, waiting, holder)
        else:
            await self._go_back(held, moved_under(outcome, holder, dispatched_at=None, **facts), holder)
        return True

    async def _is_spoken_for(self, held: Held) -> bool:
        """Whether another row has come to speak for this one while it waited anew: then it follows that one.

        Before a dispute leaves, the row that it overruled is let follow it. Both have the turn of the item between
        them, so no other row on it is on its way.
        """
        outcome = held.stored.outcome
        if outcome.disputes is not None:
            await self._claims.cover_overruled(outcome)
        elif held.item.outcome.revision > AT_FIRST_DISPATCH:
            holder = await self._claims.spoken_for_by(outcome)
            if holder is not None:
                facts = {"attempts": held.item.outcome.attempts, "dispatched_at": None}
                await self._go_back(held, moved_under(outcome, holder, **facts), holder)
                return True
        return False

    async def _go_back(self, held: Held, after: Outcome, holder: OutcomeKey) -> None:
        """Let a row that is not sent now give back its slot, and wait anew or for its holder."""
        stored = await self._advance(held, after)
        if stored is not None:
            await self._give_back(held)
            await self._ledger.file(held.item, stored, {"holder": holder})

    async def _give_back(self, held: Held) -> None:
        """Give back the slot and the turn of a row that was never sent under them.

        Only who has just moved the row does so: to a worker that stood still they may look unused long after a POST.
        """
        await self._quota.release(held.item.slot or "")
        await self._quota.end_turn(held.item)

    async def _holder(self, outcome: Outcome) -> OutcomeKey:
        """The row that is submitted for this one: itself, or one that speaks for its item."""
        claim = claim_of(outcome)
        if claim is None:
            return outcome.key
        return await self._claims.holder(claim, (await self._items.hold([claim]))[0], outcome)

    async def _advance(self, held: Held, after: Outcome) -> Stored | None:
        """Write the next state of the row that this worker holds. None where somebody else did, thinking it was gone.

        A step that was written already, its answer lost, is taken as it stands.
        """
        stored = await self._ledger.advance(held.stored, after)
        if stored is not None:
            return stored
        found = await self._ledger.get(held.stored.outcome.key)
        is_next = found is not None and found.outcome.revision == held.stored.outcome.revision + 1
        if found is None or not is_next or found.outcome.state is not after.state:
            return None
        await self._ledger.ensure_logged(found.outcome)
        return found

    async def _learn(self, item: WorkItem, outcome: Outcome) -> None:
        """Let a mail that nobody could read be known by what Microsoft tells of it."""
        is_unread = item.material.mailbox is not None and outcome.network_message_id is None
        claim = learnt_claim_of(outcome) if is_unread else None
        if claim is not None:
            await self._items.learn(claim)

    async def _post(self, held: Held, order: SubmissionOrder | ReviewOrder) -> None:
        sent_at = await self._stamp(held)
        if sent_at is None:
            await self._back_to_waiting(held, SLOT_TAKEN_BACK)
            return
        try:
            submission = await self._sent(order)
        except GraphError as error:
            await self._stamp_a_slow_post(held, sent_at)
            await self._after(held, error, sent_at)
            return
        await self._stamp_a_slow_post(held, sent_at)
        await self._record(held, submission, sent_at)

    async def _sent(self, order: SubmissionOrder | ReviewOrder) -> ThreatSubmission | None:
        """What Microsoft made of the order: a submission, or nothing but the effect of a review."""
        if isinstance(order, ReviewOrder):
            await self._submissions.review(order)
            return None
        return await self._submissions.submit(order)

    async def _stamp(self, held: Held) -> datetime | None:
        """Write the time of the POST just before it leaves and return it; None when the slot was taken back."""
        while True:
            at = self._clock.now()
            if not await self._quota.stamp(held.item, at):
                return None
            if self._clock.now() - at <= STAMP_GOOD_FOR:
                return at

    async def _stamp_a_slow_post(self, held: Held, sent_at: datetime) -> None:
        """Count a POST from its end when it took longer than the window's margin: it may have arrived any time."""
        now = self._clock.now()
        if now - sent_at > CLOCK_MARGIN:
            await self._quota.stamp(held.item, now)

    async def _record(self, held: Held, submission: ThreatSubmission | None, sent_at: datetime) -> None:
        outcome = held.stored.outcome
        if submission is None:
            stored = await self._advance(held, reviewed(outcome, self._clock.now()))
        else:
            stored = await self._ledger.advance(held.stored, submitted(outcome, submission, sent_at))
            if stored is None:
                stored = await self._record_late(outcome.key, submission, sent_at)
        if stored is None:
            return
        await self._ledger.file(
            held.item, stored, {"refused_at": None}, also=[self._quota.accepted(held.item, sent_at)]
        )
        await self._learn(held.item, stored.outcome)
        if held.item.is_probe:
            await self._quota.reopen()
        event = Event.SETTLED if submission is None else Event.SUBMITTED
        emit(event, submission_id=outcome.key.submission_id, seconds=stored.outcome.seconds_to_submit)

    async def _record_late(self, key: OutcomeKey, submission: ThreatSubmission, sent_at: datetime) -> Stored | None:
        """Record an answer whose row was called uncertain in the meantime; None when it has moved on.

        What it was recorded as before, by this worker whose answer from storage was lost, is taken as it stands.
        """
        stored = await self._ledger.get(key)
        if stored is not None and stored.outcome.graph_submission_id == submission.submission_id:
            await self._ledger.ensure_logged(stored.outcome)
            return stored
        if stored is None or stored.outcome.state is not State.UNCERTAIN:
            return None
        return await self._ledger.advance(stored, submitted(stored.outcome, submission, sent_at))

    async def _after(self, held: Held, error: GraphError, sent_at: datetime) -> None:
        """Act on a submission that did not simply succeed."""
        if (result := result_of(error)) is not None:
            await self._quota.tell(held.item, result)
        known = await self._circumstances(held, error)
        decision = decide(error, known)
        tell(held, error, decision)
        if decision.closes_window:
            await self._quota.close(self._clock.now() + decision.delay, decision.reason)
        elif held.item.is_probe and result is None:
            await self._quota.reopen()
        if decision.state is State.PENDING:
            attempts = held.stored.outcome.attempts
            counts = result == REFUSED and not decision.closes_window
            refused_at = held.item.refused_at
            if decision.reason == REFUSED and known.refused_for is None and not decision.closes_window:
                refused_at = self._clock.now()
            await self._back_to_waiting(
                held,
                decision,
                ends_turn=not counts,
                refused_at=refused_at,
                attempts=attempts,
                **error_facts(error),
            )
        else:
            await self._finish(held, decision.state, reason=decision.reason, sent_at=sent_at, **error_facts(error))

    async def _circumstances(self, held: Held, error: GraphError) -> Circumstances:
        """What the row and the tenant have been through, as far as it bears on what follows."""
        now = self._clock.now()
        quota = await self._quota.quota()
        failing = len(quota.failing_rows(throttled=isinstance(error, Throttled)))
        is_pause_probed = held.item.is_probe and not isinstance(error, Throttled)
        refused_at = held.item.refused_at if quota.blames(held.item.refused_at) else None
        return Circumstances(
            failures=held.item.failures,
            strikes=quota.strikes_before(now),
            failing_rows=max(failing, ROWS_MAKE_AN_OUTAGE) if is_pause_probed else failing,
            refused_for=None if refused_at is None else now - refused_at,
            others_accepted=refused_at is not None and quota.accepted_since(refused_at),
            is_items_own=isinstance(error, Throttled) and await self._can_be_the_items(held),
        )

    async def _can_be_the_items(self, held: Held) -> bool:
        """Whether a 429 can be about the item: it was sent of late, or Microsoft knows it by a name that we do not."""
        outcome = held.item.outcome
        is_known = outcome.kind is not Kind.EMAIL or outcome.network_message_id is not None
        return not is_known or len((await self._quota.turn_of(outcome.item_key)).sent) > 1

    async def _back_to_waiting(
        self,
        held: Held,
        decision: Decision,
        *,
        gives_back: bool = False,
        ends_turn: bool = True,
        refused_at: datetime | None = None,
        **facts: Any,
    ) -> None:
        """Let the row wait anew, behind its own delay; its place by age is kept where it has none.

        A POST counts as an attempt only when the caller says so among the facts, and for the item's rule unless its
        turn ends, which is for who has just moved the row to say.
        """
        now, delay = self._clock.now(), own_delay(decision, held.item)
        known = {"attempts": held.item.outcome.attempts, **facts}
        after = move(held.stored.outcome, State.PENDING, reason=decision.reason, dispatched_at=None, **known)
        stored = await self._advance(held, after)
        if stored is None:
            return
        if gives_back:
            await self._give_back(held)
        elif ends_turn:
            await self._quota.end_turn(held.item)
        await self._ledger.file(
            held.item,
            stored,
            {
                "due_at": now + delay if delay else held.item.due_at,
                "failures": held.item.failures + decision.counts,
                "throttled": held.item.throttled + (decision.reason == THROTTLED),
                "refused_at": refused_at or held.item.refused_at,
            },
        )
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
        stored = await self._advance(held, move(held.stored.outcome, state, reason=reason, **facts))
        if stored is not None:
            await self._ledger.file(held.item, stored, {"sent_at": sent_at})

    async def _finish_unsent(self, held: Held, state: State, reason: str) -> None:
        """End a row that was never sent under its slot: the slot is free again, and the claim was no attempt."""
        after = move(held.stored.outcome, state, reason=reason, attempts=held.item.outcome.attempts)
        stored = await self._advance(held, after)
        if stored is not None:
            await self._give_back(held)
            await self._ledger.file(held.item, stored, {"sent_at": None})


def result_of(error: GraphError) -> str | None:
    """What a failure tells of whether Microsoft takes anything; None for one that is about the mail alone."""
    if isinstance(error, NotReady):
        return None
    known = ((Throttled, THROTTLED), (NotAllowed, "not_allowed"), (NotSent, NOT_SENT), (AnswerLost, "answer_lost"))
    return next((result for kind, result in known if isinstance(error, kind)), REFUSED)


def own_delay(decision: Decision, item: WorkItem) -> timedelta:
    """How long this row stands back. A closed window delays everybody alike, so the row keeps its place.

    A row that is throttled again may be under its item's own 15-minute rule, one that is refused may be refused for
    what it is: they let the others pass meanwhile.
    """
    if not decision.closes_window:
        return decision.delay
    is_again = decision.reason == THROTTLED and item.throttled > 0
    return WINDOW if is_again or decision.reason == REFUSED else timedelta()


def submitted(outcome: Outcome, submission: ThreatSubmission, sent_at: datetime) -> Outcome:
    """The row once Microsoft has it, with Microsoft's words untouched."""
    return move(
        outcome,
        State.SUBMITTED,
        submitted_at=sent_at,
        internet_message_id=outcome.internet_message_id or submission.internet_message_id,
        sender=outcome.sender or submission.sender,
        subject=outcome.subject or submission.subject,
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


def reviewed(outcome: Outcome, now: datetime) -> Outcome:
    """The row of a review once it took effect."""
    return move(outcome, State.SETTLED, settled_at=now, error_code=None, error_message=None, error_request_id=None)


def error_facts(error: GraphError) -> dict[str, Any]:
    """The columns that keep the last failure."""
    code = error.code or (f"http_{error.status}" if error.status else type(error).__name__)
    return {"error_code": code, "error_message": error.message, "error_request_id": error.request_id}


def tell(held: Held, error: GraphError, decision: Decision) -> None:
    """Write the event that belongs to a failed submission; one that only waits is told when it does."""
    events = {
        THROTTLED: Event.THROTTLED,
        "not_allowed": Event.NOT_ALLOWED,
        "answer_lost": Event.ANSWER_LOST,
    }
    if decision.state is State.REJECTED:
        events[REFUSED] = Event.SUBMISSION_REFUSED
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
