"""The few operations of Azure Queue Storage that the host uses, and the answers it tells apart.

A message's `text` is what is stored, character for character: nobody between host and service encodes or decodes it.
The invariant: only the holder of the latest pop receipt can update or delete a message.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

DEFAULT_TIME_TO_LIVE_S = 7 * 24 * 3600
NEVER_EXPIRES = -1


class QueueServiceError(Exception):
    """The service refused or could not be reached; the next attempt may succeed."""

    status = 500


class QueueNotFoundError(QueueServiceError):
    """404 QueueNotFound."""

    status = 404


class MessageNotFoundError(QueueServiceError):
    """404 MessageNotFound: deleted, or its time to live has ended."""

    status = 404


class PopReceiptMismatchError(QueueServiceError):
    """400 PopReceiptMismatch: somebody else has taken or changed the message since."""

    status = 400


class UnreadableBatchError(QueueServiceError):
    """The service handed out a batch that is not well-formed XML, so none of it can be read.

    A control character in a plain-text message does this on the emulator; the whole batch stays invisible.
    """

    status = 200


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message as one get returned it; times are aware UTC in whole seconds."""

    id: str
    text: str
    pop_receipt: str
    dequeue_count: int
    inserted_at: datetime
    expires_at: datetime
    next_visible_at: datetime


class QueueService(Protocol):
    """Queue Storage, one account. Each call may raise any `QueueServiceError`."""

    async def exists(self, queue: str) -> bool:
        """Whether the queue is there."""
        ...

    async def create(self, queue: str) -> None:
        """Create the queue; one that is there already is left as it is."""
        ...

    async def put(
        self,
        queue: str,
        text: str,
        *,
        visibility_timeout_s: int = 0,
        time_to_live_s: int = DEFAULT_TIME_TO_LIVE_S,
    ) -> None:
        """Store `text`, visible after `visibility_timeout_s`, for `time_to_live_s` (-1: for ever)."""
        ...

    async def get(self, queue: str, count: int, visibility_timeout_s: int) -> list[ReceivedMessage]:
        """Take up to `count` (1..32) visible messages and hide them for `visibility_timeout_s`."""
        ...

    async def update(self, queue: str, message_id: str, pop_receipt: str, visibility_timeout_s: int) -> str:
        """Hide the message for `visibility_timeout_s` from now, its text untouched; return the new pop receipt."""
        ...

    async def delete(self, queue: str, message_id: str, pop_receipt: str) -> None:
        """Remove the message."""
        ...
