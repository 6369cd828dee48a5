"""Poison: the end of a message that failed every attempt. These use cases never raise.

A function that listens to a poison queue must not fail: the host would leave the message invisible for ten minutes and
try again out of sight. So storage trouble sends the message back with a delay, and says so. An operator's message goes
back to where it came from: what kept its row from being written now is what failed it before, and no fault of its own.
"""

from __future__ import annotations

from datetime import datetime

from ...codecs.submission_message import SubmissionMessage, UnreadableMessage, read_message
from ...domain.lifecycle import move
from ...domain.model import State
from ...ports import Clock, WorkQueue
from ...stores.ledger import Ledger, Step
from ...stores.quota import QuotaStore, slot_time
from ...telemetry import Event, emit, fingerprint
from ..arrivals.intake import IntakeManual

AGAIN_AFTER_S = 600
SENT_BACK_AFTER_S = (0, 0.1, 0.5)
"""Waits before each try to put a message back, on top of the library's own: the host deletes it after the last one.
They are short, as the queue service has just delivered the message: its trouble is a request's, hardly an outage."""


class RecordPoisonManual:
    """The use case behind `record_poison_manual`."""

    def __init__(self, intake: IntakeManual, requests: WorkQueue, clock: Clock) -> None:
        self._intake = intake
        self._requests = requests
        self._clock = clock

    async def run(self, body: str) -> None:
        """Give the message its final row; safe to call again."""
        try:
            await self._intake.give_up(body)
            emit(Event.POISON_RECORDED, queue="manual-submissions-poison", message_hash=fingerprint(body))
        except Exception as error:  # noqa: BLE001 - a poison function must not fail
            await send_back(self._requests, body, error, self._clock)


class RecordPoisonSubmission:
    """The use case behind `record_poison_submission`."""

    def __init__(self, ledger: Ledger, quota: QuotaStore, poison_queue: WorkQueue, clock: Clock) -> None:
        self._ledger = ledger
        self._quota = quota
        self._poison_queue = poison_queue
        self._clock = clock

    async def run(self, body: str) -> None:
        """Fail the row that the message names, unless it may be at Microsoft; safe to call again."""
        try:
            await self._record(read_message(body))
            emit(Event.POISON_RECORDED, queue="submissions-poison", message_hash=fingerprint(body))
        except UnreadableMessage:
            emit(
                Event.POISON_RECORDED,
                queue="submissions-poison",
                message_hash=fingerprint(body),
                reason="unreadable",
            )
        except Exception as error:  # noqa: BLE001 - a poison function must not fail
            await send_back(self._poison_queue, body, error, self._clock)

    async def _record(self, message: SubmissionMessage) -> None:
        """A row whose POST may have left is uncertain, and reconcile decides; any other that is in flight failed."""
        item = await self._ledger.in_flight(message.key.submission_id)
        if item is None or item.slot != message.slot:
            return
        stored = await self._ledger.get(message.key)
        if stored is None or stored.outcome.state not in (State.DISPATCHED, State.SUBMITTING):
            return
        if not item.tells_of(stored.outcome):
            return
        sent_at = await self._sent_at(message.slot)
        nothing_was_sent = stored.outcome.state is State.DISPATCHED or sent_at is None
        state = State.FAILED if nothing_was_sent else State.UNCERTAIN
        after = move(stored.outcome, state, reason="poison_message")
        if await self._ledger.step(Step(item, after, stored, {"sent_at": sent_at})) is None:
            return
        if nothing_was_sent:
            await self._quota.end_turn(item)
        await self._quota.count_poison()

    async def _sent_at(self, name: str) -> datetime | None:
        """When the POST under a slot left, or may have; None where none did and, the slot being taken back, none will.

        A worker may live that is about to stamp it: a row that failed can be replayed, so this must be certain.
        """
        slot = await self._quota.slot(name)
        if slot is not None and slot.is_open and await self._quota.drop_unused(slot):
            return None
        stamped = await self._quota.slot(name)
        return slot_time(name) if stamped is None or stamped.slot.sent_at is None else stamped.slot.sent_at


async def send_back(queue: WorkQueue, body: str, error: Exception, clock: Clock) -> None:
    """Put a message back for later, in three tries; where even that fails, say that it is lost."""
    emit(Event.POISON_UNRECORDED, message_hash=fingerprint(body), error=type(error).__name__)
    last = error
    for wait_s in SENT_BACK_AFTER_S:
        await clock.sleep(wait_s)
        try:
            return await queue.send(body, AGAIN_AFTER_S)
        except Exception as again:  # noqa: BLE001 - a poison function must not fail
            last = again
    emit(Event.POISON_UNRECORDED, message_hash=fingerprint(body), error=type(last).__name__, lost=True)
    return None
