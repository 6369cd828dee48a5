"""Azure Storage behind the ports: tables, queues and blobs of the data account.

Clients are made on the running event loop and shared by every invocation of the process. The library's exceptions end
here: what a caller must decide on becomes `AlreadyExists`, `Changed` or `Missing`, anything else rises as it is and
makes the host repeat the message. One storage API version is fixed, so that emulator and cloud speak the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables.aio import TableClient, TableServiceClient
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from ..domain.errors import AlreadyExists, Changed, Missing
from ..ports import Entity, Place, Row, Write
from .table_writes import Answer, TableRequest, answers_in, code_in, request_of, transaction

API_VERSION = "2025-11-05"
"""Of the blob and queue services: the newest that both the cloud and Azurite 3.37 know."""
PAGE_ROWS = 1_000
"""The most rows that the table service gives, or may be asked for, at a time."""
PAGE_BLOBS = 20
"""Names in a page: what is read of each in between may be megabytes."""
NEVER_EXPIRES = -1
"""As a queue message's time to live (Azure documentation, "Put Message", since version 2017-07-29)."""
_REFUSALS = {
    "EntityAlreadyExists": AlreadyExists,
    "UpdateConditionNotSatisfied": Changed,
    "ConditionNotMet": Changed,
    "ResourceNotFound": Missing,
    "EntityDoesNotExist": Missing,
    "TableNotFound": Missing,
}


class AzureTable:
    """The `Table` port over one table."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""
        try:
            return _row(await self._client.get_entity(partition, row))
        except ResourceNotFoundError:
            return None

    async def write(self, write: Write) -> str:
        """Do one write; see the port."""
        request = request_of(self._client.table_name, write)
        response = await self._send(request)
        code = str(response.headers.get("x-ms-error-code") or code_in(response.content))
        answer = Answer(response.status_code, str(response.headers.get("etag") or ""), code)
        if not answer.is_done:
            raise _refusal(answer, response)
        return answer.etag

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do 1 to 100 writes to one partition, all or none; see the port."""
        if len(writes) == 1:
            return [await self.write(writes[0])]
        requests = [request_of(self._client.table_name, write) for write in writes]
        response = await self._send(transaction(self._client.url, requests))
        answers = answers_in(response.content)
        if len(answers) == len(writes) and all(answer.is_done for answer in answers):
            return [answer.etag for answer in answers]
        whole = Answer(response.status_code, code=code_in(response.content))
        raise _refusal(next((answer for answer in answers if not answer.is_done), whole), response)

    async def scan(
        self,
        partition: str,
        from_row: str,
        below_row: str,
        limit: int | None = None,
        *,
        only: tuple[str, str] | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of a range, ascending; see the port."""
        query = "PartitionKey eq @partition and RowKey ge @from_row and RowKey lt @below_row"
        values = {"partition": partition, "from_row": from_row, "below_row": below_row}
        if only is not None:
            query, values = f"{query} and {only[0]} eq @only", {**values, "only": only[1]}
        columns = None if select is None else ["PartitionKey", "RowKey", *select]
        async for row in self.search(query, values, limit, columns=columns):
            yield row

    async def behind(self, place: Place, below_partition: str, limit: int) -> list[Row]:
        """The rows behind a place; see the port. One range at a time, as the service scans all rows for an `or`."""
        partition, row = place
        values = {"partition": partition, "row": row, "below": below_partition}
        ranges = (
            "PartitionKey eq @partition and RowKey gt @row and PartitionKey lt @below",
            "PartitionKey gt @partition and PartitionKey lt @below",
        )
        found: list[Row] = []
        for one in ranges if partition else ranges[1:]:
            if len(found) < limit:
                found += [row async for row in self.search(one, values, limit - len(found))]
        return found

    async def search(
        self, query: str, values: Mapping[str, Any], limit: int | None = None, *, columns: Sequence[str] | None = None
    ) -> AsyncIterator[Row]:
        """The rows that an OData filter admits, ascending by key, a page in memory at a time; at most `limit`.

        `values` are the filter's @names; `columns` are all that is read, where given, beside what the service adds.
        """
        page_rows = None if limit is None else min(limit, PAGE_ROWS)
        found = self._client.query_entities(
            query, parameters=dict(values), results_per_page=page_rows, select=None if columns is None else [*columns]
        )
        seen = 0
        async for entity in found:
            yield _row(entity)
            seen += 1
            if seen == limit:
                return

    async def _send(self, request: TableRequest) -> AsyncHttpResponse:
        """Send a write through the client's own pipeline, which signs it in and repeats it as the library's own."""
        url = f"{self._client.url}/{request.path}"
        message = HttpRequest(request.method, url, headers=request.headers, content=request.content)
        response: AsyncHttpResponse = await self._client._client.send_request(message, stream=True)  # noqa: SLF001
        await response.read()
        return response


class AzureQueue:
    """The `WorkQueue` port over one queue; bodies go out as plain text, as host.json's `messageEncoding` says."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client

    async def send(self, body: str, delay_s: int = 0) -> None:
        """Put a message that becomes visible after `delay_s` seconds and, against the service's week, never expires."""
        await self._client.send_message(body, visibility_timeout=delay_s, time_to_live=NEVER_EXPIRES)


class AzureBlobs:
    """The `BlobStore` port over one container."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client

    async def put(self, name: str, content: bytes) -> None:
        """Write a blob, replacing what was there."""
        await self._client.upload_blob(name, content, overwrite=True)

    async def put_new(self, name: str, content: bytes) -> None:
        """Write a blob unless one of that name is there, which then stays as it is."""
        with suppress(ResourceExistsError):
            await self._client.upload_blob(name, content, overwrite=False)

    async def get(self, name: str, limit_bytes: int) -> bytes | None:
        """The content cut to `limit_bytes` + 1 bytes, or None."""
        try:
            stream = await self._client.download_blob(name, offset=0, length=limit_bytes + 1)
            return await stream.readall()
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if error.status_code == 416:  # an empty blob has no first byte to give
                return b""
            raise

    async def renew(self, name: str) -> None:
        """Let a blob's age count from now on, without its content: any change of its metadata is a change of it."""
        with suppress(ResourceNotFoundError):
            await self._client.get_blob_client(name).set_blob_metadata({})

    async def names(self, prefix: str, page: str | None) -> tuple[list[str], str | None]:
        """A page of names; see the port."""
        pages = self._client.list_blobs(prefix, results_per_page=PAGE_BLOBS).by_page(page)
        async for found in pages:
            return [blob.name async for blob in found], pages.continuation_token or None  # type: ignore[attr-defined]
        return [], None

    async def delete(self, name: str) -> bool:
        """Delete a blob; whether it was there."""
        try:
            await self._client.delete_blob(name)
        except ResourceNotFoundError:
            return False
        return True


def _refusal(answer: Answer, response: AsyncHttpResponse) -> Exception:
    """The error that the port names for a refusal; for any other, the library's, with the service's code."""
    if answer.code in _REFUSALS:
        return _REFUSALS[answer.code]()
    error = HttpResponseError(f"table write refused: {answer.status} {answer.code}", response)
    error.error_code = answer.code  # type: ignore[attr-defined]  # where the storage libraries keep it
    return error


def _row(entity: Any) -> Row:
    # A property that was asked for by name and is absent comes as null from the cloud, and not at all from Azurite
    # (Azure/Azurite, issue 2535). The ETag comes whatever is asked for.
    plain: Entity = {name: _plain(value) for name, value in entity.items() if value is not None}
    return Row(plain, str(entity.metadata["etag"]))


def _plain(value: Any) -> Any:
    """Times come back as a subclass with a finer clock; the product knows whole microseconds."""
    if not isinstance(value, datetime):
        return value
    at = value.astimezone(UTC)
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC)


async def make_missing(
    tables: TableServiceClient,
    queues: QueueServiceClient,
    blobs: BlobServiceClient,
    table_names: Sequence[str],
    queue_names: Sequence[str],
    container_names: Sequence[str],
) -> None:
    """Make the tables, queues and containers that are not there yet; local work only."""
    for name in table_names:
        await tables.create_table_if_not_exists(name)
    for name in queue_names:
        with suppress(ResourceExistsError):
            await queues.create_queue(name)
    for name in container_names:
        with suppress(ResourceExistsError):
            await blobs.create_container(name)
