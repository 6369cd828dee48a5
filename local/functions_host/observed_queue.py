"""A queue service that tells an observer of every operation, after its answer is in.

The invariant: one event per request, in the order of the answers, whether the request succeeded or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from local.functions_host.clock import Clock
from local.functions_host.events import HostEvent, Observer
from local.functions_host.queue_service import (
    DEFAULT_TIME_TO_LIVE_S,
    QueueService,
    QueueServiceError,
    ReceivedMessage,
)


class ObservedQueueService:
    """A `QueueService` that passes everything on to another one."""

    def __init__(self, service: QueueService, clock: Clock, observer: Observer) -> None:
        self._service = service
        self._clock = clock
        self._observer = observer

    async def exists(self, queue: str) -> bool:
        """Whether the queue is there."""
        with self._failures_reported(HostEvent(self._clock.now(), "GetQueueMetadata", queue)) as event:
            found = await self._service.exists(queue)
        self._report(event, 200 if found else 404)
        return found

    async def create(self, queue: str) -> None:
        """Create the queue."""
        with self._failures_reported(HostEvent(self._clock.now(), "CreateQueue", queue)) as event:
            await self._service.create(queue)
        self._report(event, 201)

    async def put(
        self,
        queue: str,
        text: str,
        *,
        visibility_timeout_s: int = 0,
        time_to_live_s: int = DEFAULT_TIME_TO_LIVE_S,
    ) -> None:
        """Store `text`."""
        with self._failures_reported(HostEvent(self._clock.now(), "PutMessage", queue)) as event:
            await self._service.put(
                queue, text, visibility_timeout_s=visibility_timeout_s, time_to_live_s=time_to_live_s
            )
        self._report(event, 201)

    async def get(self, queue: str, count: int, visibility_timeout_s: int) -> list[ReceivedMessage]:
        """Take up to `count` messages."""
        asked = HostEvent(
            self._clock.now(), "GetMessages", queue, count=count, visibility_timeout_s=visibility_timeout_s
        )
        with self._failures_reported(asked) as event:
            messages = await self._service.get(queue, count, visibility_timeout_s)
        self._report(replace(event, dequeue_counts=tuple(message.dequeue_count for message in messages)), 200)
        return messages

    async def update(self, queue: str, message_id: str, pop_receipt: str, visibility_timeout_s: int) -> str:
        """Hide the message anew."""
        asked = HostEvent(
            self._clock.now(),
            "UpdateMessage",
            queue,
            message_id=message_id,
            pop_receipt=pop_receipt,
            visibility_timeout_s=visibility_timeout_s,
        )
        with self._failures_reported(asked) as event:
            receipt = await self._service.update(queue, message_id, pop_receipt, visibility_timeout_s)
        self._report(event, 204)
        return receipt

    async def delete(self, queue: str, message_id: str, pop_receipt: str) -> None:
        """Remove the message."""
        asked = HostEvent(self._clock.now(), "DeleteMessage", queue, message_id=message_id, pop_receipt=pop_receipt)
        with self._failures_reported(asked) as event:
            await self._service.delete(queue, message_id, pop_receipt)
        self._report(event, 204)

    @contextmanager
    def _failures_reported(self, event: HostEvent) -> Iterator[HostEvent]:
        try:
            yield event
        except QueueServiceError as error:
            self._report(event, error.status)
            raise

    def _report(self, event: HostEvent, status: int) -> None:
        self._observer(replace(event, at=self._clock.now(), status=status))
