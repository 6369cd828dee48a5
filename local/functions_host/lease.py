"""The host's hold on one fetched message: its latest pop receipt, renewed while the function runs.

A get hides a message for 10 minutes whatever `visibilityTimeout` says; half-way through, and every 5 minutes from
there, an update without a body hides it for 10 more (`UpdateQueueMessageVisibilityCommand`). The invariant: only one
request about a message is under way at a time, so the receipt in hand is the one that counts.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from local.functions_host.clock import Clock, sleep_unless
from local.functions_host.queue_service import (
    MessageNotFoundError,
    PopReceiptMismatchError,
    QueueNotFoundError,
    QueueService,
    QueueServiceError,
    ReceivedMessage,
)

VISIBILITY_TIMEOUT_S = 600
RENEWAL_S = 300.0
SHORTEST_RENEWAL_S = 60.0

_LOST = (MessageNotFoundError, PopReceiptMismatchError, QueueNotFoundError)
_logger = logging.getLogger(__name__)


class MessageLease:
    """Lets one message be completed, released or renewed; a message that is gone is no error."""

    def __init__(self, service: QueueService, queue: str, message: ReceivedMessage, clock: Clock) -> None:
        self._service = service
        self._queue = queue
        self._id = message.id
        self._pop_receipt = message.pop_receipt
        self._clock = clock

    async def delete(self) -> None:
        """Delete the message."""
        try:
            await self._service.delete(self._queue, self._id, self._pop_receipt)
        except _LOST as error:
            _logger.debug("message %s was gone at its delete: %s", self._id, type(error).__name__)

    async def release(self, visibility_timeout_s: int) -> None:
        """Give the message back, visible after `visibility_timeout_s`."""
        try:
            await self._service.update(self._queue, self._id, self._pop_receipt, visibility_timeout_s)
        except _LOST as error:
            _logger.debug("message %s was gone at its release: %s", self._id, type(error).__name__)

    @asynccontextmanager
    async def renewed(self) -> AsyncIterator[None]:
        """Renew while the block runs; a renewal under way at its end is waited for, unless the host is killed."""
        ended = asyncio.Event()
        renewal = asyncio.ensure_future(self._renew(ended))
        try:
            yield
        except asyncio.CancelledError:
            renewal.cancel()
            raise
        finally:
            ended.set()
            await asyncio.wait({renewal})

    async def _renew(self, ended: asyncio.Event) -> None:
        interval_s = RENEWAL_S
        while True:
            await sleep_unless(self._clock, interval_s, ended)
            if ended.is_set():
                return
            try:
                self._pop_receipt = await self._service.update(
                    self._queue, self._id, self._pop_receipt, VISIBILITY_TIMEOUT_S
                )
                interval_s = RENEWAL_S
            except _LOST:
                return
            except QueueServiceError:
                interval_s = max(interval_s / 2, SHORTEST_RENEWAL_S)
