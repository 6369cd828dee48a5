"""Azure Storage behind the ports: tables, queues and blobs of the data account.

Clients are made on the running event loop and shared by every invocation of the process. The library's exceptions end
here: what a caller must decide on becomes `AlreadyExists`, `Changed` or `Missing`, anything else rises as it is and
makes the host repeat the message. One storage API version is fixed, so that emulator and cloud speak the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from shared.domain.errors import AlreadyExists, Changed, Missing
from shared.ports import Delete, Entity, Insert, Merge, Row, Write

API_VERSION = "2025-11-05"
"""Of the blob and queue services: the newest that both the cloud and Azurite 3.37 know."""
PAGE_ROWS = 1_000
"""The most rows that the table service gives, or may be asked for, at a time."""
NEVER_EXPIRES = -1
"""As a queue message's time to live (Azure documentation, "Put Message", since version 2017-07-29)."""
_EXISTS = frozenset({"EntityAlreadyExists"})
_CHANGED = frozenset({"UpdateConditionNotSatisfied", "ConditionNotMet"})
_MISSING = frozenset({"ResourceNotFound", "EntityDoesNotExist", "TableNotFound"})


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
        with _translated():
            return _etag(await self._write(write))

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do 1 to 100 writes to one partition, all or none; see the port."""
        if len(writes) == 1:
            return [await self.write(writes[0])]
        with _translated():
            done = await self._client.submit_transaction([_operation(write) for write in writes])
        return [_etag(one) for one in done]

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

    async def _write(self, write: Write) -> Mapping[str, Any]:
        if isinstance(write, Insert):
            return await self._client.create_entity(write.entity)
        if isinstance(write, Merge):
            return await self._client.update_entity(write.entity, mode=UpdateMode.MERGE)
        if isinstance(write, Delete):
            # On its own the library takes a row that is not there for deleted; in a transaction it says so.
            return (await self._client.submit_transaction([_operation(write)]))[0]
        if write.etag is None:
            return await self._client.upsert_entity(write.entity, mode=UpdateMode.REPLACE)
        return await self._client.update_entity(write.entity, mode=UpdateMode.REPLACE, **_only_if(write.etag))


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


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the library's refusals into the errors that the port names."""
    try:
        yield
    except TableTransactionError as error:
        raise _named(str(getattr(error, "error_code", ""))) or error from None
    except ResourceExistsError:
        raise AlreadyExists from None
    except ResourceNotFoundError:
        raise Missing from None
    except ResourceModifiedError:
        raise Changed from None
    except HttpResponseError as error:
        raise _named(str(getattr(error, "error_code", ""))) or error from None


def _named(code: str) -> Exception | None:
    code = code.rsplit(".", 1)[-1].replace("_", "").lower()
    for known, error in ((_EXISTS, AlreadyExists), (_CHANGED, Changed), (_MISSING, Missing)):
        if code in {name.lower() for name in known}:
            return error()
    return None


def _only_if(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _operation(write: Write) -> tuple[Any, ...]:
    if isinstance(write, Insert):
        return ("create", write.entity)
    if isinstance(write, Merge):
        return ("update", write.entity, {"mode": UpdateMode.MERGE})
    if isinstance(write, Delete):
        return ("delete", {"PartitionKey": write.partition, "RowKey": write.row}, _only_if(write.etag))
    if write.etag is None:
        return ("upsert", write.entity, {"mode": UpdateMode.REPLACE})
    return ("update", write.entity, {"mode": UpdateMode.REPLACE, **_only_if(write.etag)})


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


def _etag(done: Mapping[str, Any]) -> str:
    return str(done.get("etag") or "")


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
