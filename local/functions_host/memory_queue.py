"""Queue Storage in memory, on an injected clock: visibility, pop receipts, dequeue counts, time to live.

It holds what the service promises and nothing more; a contract test runs the same cases against it and Azurite. The
invariant: a message is visible to one taker at a time, from the moment its visibility timeout ends until it expires.
"""

import itertools
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from local.functions_host.clock import Clock
from local.functions_host.queue_service import (
    DEFAULT_TIME_TO_LIVE_S,
    NEVER_EXPIRES,
    MessageNotFoundError,
    PopReceiptMismatchError,
    QueueNotFoundError,
    ReceivedMessage,
    UnreadableBatchError,
)

_END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(slots=True)
class _Stored:
    text: str
    inserted_at: datetime
    expires_at: datetime
    visible_at: datetime
    order: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    dequeue_count: int = 0
    pop_receipt: str = ""


class InMemoryQueueService:
    """A `QueueService` without a server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[str, dict[str, _Stored]] = {}
        self._order = itertools.count()

    async def exists(self, queue: str) -> bool:
        """Whether the queue is there."""
        return queue in self._queues

    async def create(self, queue: str) -> None:
        """Create the queue; one that is there already is left as it is."""
        self._queues.setdefault(queue, {})

    def drop(self, queue: str) -> None:
        """Delete the queue with all its messages, at once."""
        self._queues.pop(queue, None)

    def texts(self, queue: str) -> list[str]:
        """What is stored, visible or not, oldest first; empty for a queue that is not there."""
        return [message.text for message in self._alive(self._queues.get(queue, {}))]

    async def put(
        self,
        queue: str,
        text: str,
        *,
        visibility_timeout_s: int = 0,
        time_to_live_s: int = DEFAULT_TIME_TO_LIVE_S,
    ) -> None:
        """Store `text`; raises `ValueError` where the service answers 400 to the numbers."""
        never = time_to_live_s == NEVER_EXPIRES
        if not never and (time_to_live_s <= 0 or visibility_timeout_s >= time_to_live_s):
            raise ValueError("visibility timeout must be shorter than the time to live")
        now = self._clock.now()
        message = _Stored(
            text=text,
            inserted_at=now,
            expires_at=_END_OF_TIME if never else now + timedelta(seconds=time_to_live_s),
            visible_at=now + timedelta(seconds=visibility_timeout_s),
            order=next(self._order),
        )
        self._messages(queue)[message.id] = message

    async def get(self, queue: str, count: int, visibility_timeout_s: int) -> list[ReceivedMessage]:
        """Take up to `count` messages; `UnreadableBatchError` if one holds a character that XML cannot carry."""
        if not 1 <= count <= 32:
            raise ValueError("a get asks for 1 to 32 messages")
        now = self._clock.now()
        visible = [message for message in self._alive(self._messages(queue)) if message.visible_at <= now]
        taken = sorted(visible, key=lambda message: (message.visible_at, message.order))[:count]
        for message in taken:
            message.dequeue_count += 1
            self._hide(message, visibility_timeout_s)
        if any(_NOT_XML.search(message.text) for message in taken):
            raise UnreadableBatchError(queue)
        return [_received(message) for message in taken]

    async def update(self, queue: str, message_id: str, pop_receipt: str, visibility_timeout_s: int) -> str:
        """Hide the message anew; return the new pop receipt."""
        return self._hide(self._held(queue, message_id, pop_receipt), visibility_timeout_s)

    async def delete(self, queue: str, message_id: str, pop_receipt: str) -> None:
        """Remove the message."""
        del self._messages(queue)[self._held(queue, message_id, pop_receipt).id]

    def _messages(self, queue: str) -> dict[str, _Stored]:
        if queue not in self._queues:
            raise QueueNotFoundError(queue)
        return self._queues[queue]

    def _alive(self, messages: dict[str, _Stored]) -> list[_Stored]:
        now = self._clock.now()
        return [message for message in messages.values() if message.expires_at > now]

    def _held(self, queue: str, message_id: str, pop_receipt: str) -> _Stored:
        message = self._messages(queue).get(message_id)
        if message is None or message.expires_at <= self._clock.now():
            raise MessageNotFoundError(message_id)
        if message.pop_receipt != pop_receipt:
            raise PopReceiptMismatchError(message_id)
        return message

    def _hide(self, message: _Stored, visibility_timeout_s: int) -> str:
        message.visible_at = self._clock.now() + timedelta(seconds=visibility_timeout_s)
        message.pop_receipt = uuid.uuid4().hex
        return message.pop_receipt


def _received(message: _Stored) -> ReceivedMessage:
    return ReceivedMessage(
        id=message.id,
        text=message.text,
        pop_receipt=message.pop_receipt,
        dequeue_count=message.dequeue_count,
        inserted_at=message.inserted_at.replace(microsecond=0),
        expires_at=message.expires_at.replace(microsecond=0),
        next_visible_at=message.visible_at.replace(microsecond=0),
    )
