"""Queue Storage over the wire, through the async client of azure-storage-queue.

The client's conveniences are switched off: no message encoding policy and no retries, because the text must go
through untouched and every retry is the host's to make and to report. The invariant: one call here is one request.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self, TypeVar
from xml.etree.ElementTree import ParseError

from azure.core.exceptions import AzureError, DecodeError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueServiceClient

from local.functions_host.queue_service import (
    DEFAULT_TIME_TO_LIVE_S,
    MessageNotFoundError,
    PopReceiptMismatchError,
    QueueNotFoundError,
    QueueServiceError,
    ReceivedMessage,
    UnreadableBatchError,
)

T = TypeVar("T")

# The newest version that Azurite 3.35 to 3.37 answers; the client's own default is refused with 400.
API_VERSION = "2025-11-05"

_BY_ERROR_CODE: dict[str, type[QueueServiceError]] = {
    "QueueNotFound": QueueNotFoundError,
    "MessageNotFound": MessageNotFoundError,
    "PopReceiptMismatch": PopReceiptMismatchError,
}


class AzureQueueService:
    """A `QueueService` over one storage account; an async context manager that closes its connections."""

    def __init__(self, connection_string: str) -> None:
        self._client = QueueServiceClient.from_connection_string(
            connection_string, api_version=API_VERSION, retry_total=0
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def exists(self, queue: str) -> bool:
        """Whether the queue is there, by asking for its metadata."""
        async with _errors_named(queue):
            try:
                await self._client.get_queue_client(queue).get_queue_properties()
            except ResourceNotFoundError:
                return False
            return True

    async def create(self, queue: str) -> None:
        """Create the queue; one that is there already is left as it is."""
        async with _errors_named(queue):
            try:
                await self._client.create_queue(queue)
            except ResourceExistsError:
                return

    async def put(
        self,
        queue: str,
        text: str,
        *,
        visibility_timeout_s: int = 0,
        time_to_live_s: int = DEFAULT_TIME_TO_LIVE_S,
    ) -> None:
        """Store `text` as it is."""
        async with _errors_named(queue):
            await self._client.get_queue_client(queue).send_message(
                text, visibility_timeout=visibility_timeout_s, time_to_live=time_to_live_s
            )

    async def get(self, queue: str, count: int, visibility_timeout_s: int) -> list[ReceivedMessage]:
        """Take up to `count` messages in one request."""
        async with _errors_named(queue):
            # Only the first page: iterating on would ask again whenever fewer than `count` came back.
            pages = (
                self._client.get_queue_client(queue)
                .receive_messages(messages_per_page=count, visibility_timeout=visibility_timeout_s)
                .by_page()
            )
            page = await anext(pages, None)
            return [] if page is None else [_received(message) async for message in page]

    async def update(self, queue: str, message_id: str, pop_receipt: str, visibility_timeout_s: int) -> str:
        """Hide the message anew, without a body, so that its text stays; return the new pop receipt."""
        async with _errors_named(queue):
            updated = await self._client.get_queue_client(queue).update_message(
                message_id, pop_receipt, visibility_timeout=visibility_timeout_s
            )
            return _given(updated.pop_receipt)

    async def delete(self, queue: str, message_id: str, pop_receipt: str) -> None:
        """Remove the message."""
        async with _errors_named(queue):
            await self._client.get_queue_client(queue).delete_message(message_id, pop_receipt)


@asynccontextmanager
async def _errors_named(queue: str) -> AsyncIterator[None]:
    try:
        yield
    except (DecodeError, ParseError) as error:
        raise UnreadableBatchError(queue) from error
    except AzureError as error:
        code = getattr(error, "error_code", None)
        name = str(getattr(code, "value", code) or type(error).__name__)
        raise _BY_ERROR_CODE.get(name, QueueServiceError)(f"{queue}: {name}") from error


def _received(message: QueueMessage) -> ReceivedMessage:
    return ReceivedMessage(
        id=message.id,
        text=message.content,
        pop_receipt=_given(message.pop_receipt),
        dequeue_count=_given(message.dequeue_count),
        inserted_at=_given(message.inserted_on),
        expires_at=_given(message.expires_on),
        next_visible_at=_given(message.next_visible_on),
    )


def _given(value: T | None) -> T:
    if value is None:
        raise QueueServiceError("the service left out a field that it always sends")
    return value
