"""Poison: the end of a message about an answer that failed every attempt. It never raises.

What fails every attempt within minutes is an outage of storage, or a mistake of ours. So the answer gets other turns,
each later than the one before; then the row says that its reporter was not told. One that is stamped may have been
sent: it is looked up like any other.
"""

from __future__ import annotations

from ...codecs.notification_message import NotificationMessage, read_notification
from ...codecs.submission_message import UnreadableMessage
from ...domain.answers import UNDELIVERABLE
from ...ports import Clock, WorkQueue
from ...stores.answers import AnswerStore
from ...telemetry import Event, emit, fingerprint
from ..outcomes.poison import send_back
from .notify import delay_of
from .recording import Recorder

QUEUE = "notifications-poison"
TURNS_AT_MOST = 6


class RecordPoisonNotification:
    """The use case behind `record_poison_notification`."""

    def __init__(self, answers: AnswerStore, recorder: Recorder, poison_queue: WorkQueue, clock: Clock) -> None:
        self._answers = answers
        self._recorder = recorder
        self._poison_queue = poison_queue
        self._clock = clock

    async def run(self, body: str) -> None:
        """Let the answer have another turn, or the row say that its reporter was not told; safe to call again."""
        try:
            await self._record(read_notification(body))
            emit(Event.POISON_RECORDED, queue=QUEUE, message_hash=fingerprint(body))
        except UnreadableMessage:
            emit(Event.POISON_RECORDED, queue=QUEUE, message_hash=fingerprint(body), reason="unreadable")
        except Exception as error:  # noqa: BLE001 - a poison function must not fail
            await send_back(self._poison_queue, body, error, self._clock)

    async def _record(self, message: NotificationMessage) -> None:
        answer = await self._answers.having_turn(message.key, message.stage)
        if answer is None or answer.turn != message.turn or answer.sent_at is not None or answer.told is not None:
            return
        if answer.tries + 1 < TURNS_AT_MOST:
            await self._answers.wait_again(answer, self._clock.now() + delay_of(answer))
            return
        emit(Event.NOTIFICATION_UNDELIVERABLE, submission_id=answer.key.submission_id, stage=answer.stage)
        await self._recorder.end(answer, UNDELIVERABLE)
