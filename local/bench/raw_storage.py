"""The baseline: a recording's storage operations done again with plain SDK clients, and nothing else.

Every operation is prepared before the clock starts. ETags are left out, as those of another account mean nothing; the
requests are otherwise the app's own: same kinds, same rows in each transaction, same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.bench.recording import Call, Lane
from shared.adapters.storage import API_VERSION, make_missing
from shared.bootstrap import CONTAINERS, QUEUES, TABLES
from shared.ports import Delete, Insert, Merge, Write

Step = Callable[[], Awaitable[Any]]


class RawStorage:
    """Plain clients of one account."""

    def __init__(self, tables: TableServiceClient, queues: QueueServiceClient, blobs: BlobServiceClient) -> None:
        self._tables = {name: tables.get_table_client(name) for name in TABLES}
        self._queues = {name: queues.get_queue_client(name) for name in QUEUES}
        self._containers = {name: blobs.get_container_client(name) for name in CONTAINERS}

    @classmethod
    async def open(cls, connection: str, resources: AsyncExitStack) -> RawStorage:
        """Clients of an account with its tables, queues and containers made; `resources` closes them."""
        tables = TableServiceClient.from_connection_string(connection)
        queues = QueueServiceClient.from_connection_string(connection, api_version=API_VERSION)
        blobs = BlobServiceClient.from_connection_string(connection, api_version=API_VERSION)
        for client in (tables, queues, blobs):
            await resources.enter_async_context(client)
        await make_missing(tables, queues, blobs, TABLES, QUEUES, CONTAINERS)
        return cls(tables, queues, blobs)

    def prepare(self, lanes: Sequence[Lane]) -> list[list[Step]]:
        """The lanes as steps that only have to be called."""
        return [[self._step(call) for call in lane] for lane in lanes]

    def _step(self, call: Call) -> Step:
        service, _, name = call.port.partition("/")
        if service == "table":
            return _table_step(self._tables[name], call)
        if service == "queue":
            return _queue_step(self._queues[name], *call.arguments)
        return _container_step(self._containers[name], call)


async def run_lanes(lanes: Sequence[Sequence[Step]], at_once: int) -> None:
    """Do every step, those of one lane in order and that many lanes side by side."""
    places = asyncio.Semaphore(at_once)

    async def run(lane: Sequence[Step]) -> None:
        async with places:
            for step in lane:
                await step()

    await asyncio.gather(*(run(lane) for lane in lanes))


def _table_step(client: TableClient, call: Call) -> Step:
    arguments = call.arguments
    if call.method == "get":
        return lambda: _answered(client.get_entity(*arguments))
    if call.method == "scan":
        return lambda: _scan(client, *arguments)
    writes: list[Write] = [arguments[0]] if call.method == "write" else list(arguments[0])
    if len(writes) == 1:
        return lambda: _answered(_write(client, writes[0]))
    operations = [_operation(write) for write in writes]
    return lambda: _answered(client.submit_transaction(operations))


def _queue_step(client: QueueClient, body: str, delay_s: int = 0) -> Step:
    return lambda: client.send_message(body, visibility_timeout=delay_s)


def _container_step(client: ContainerClient, call: Call) -> Step:
    name, last = call.arguments
    if call.method == "put":
        return lambda: client.upload_blob(name, last, overwrite=True)
    return lambda: _download(client, name, last)


async def _answered(asked: Awaitable[Any]) -> None:
    """Wait for the answer; being refused is one, as it was for the app."""
    with suppress(ResourceExistsError, ResourceNotFoundError):
        await asked


async def _scan(client: TableClient, partition: str, from_row: str, below_row: str, limit: int | None = None) -> None:
    wanted = f"PartitionKey eq '{partition}' and RowKey ge '{from_row}' and RowKey lt '{below_row}'"
    seen = 0
    async for _ in client.query_entities(wanted, results_per_page=limit):
        seen += 1
        if seen == limit:
            return


async def _download(client: ContainerClient, name: str, limit_bytes: int) -> None:
    stream = await client.download_blob(name, offset=0, length=limit_bytes + 1)
    await stream.readall()


def _write(client: TableClient, write: Write) -> Awaitable[Any]:
    if isinstance(write, Insert):
        return client.create_entity(write.entity)
    if isinstance(write, Merge):
        return client.update_entity(write.entity, mode=UpdateMode.MERGE)
    if isinstance(write, Delete):
        return client.delete_entity(write.partition, write.row)
    return client.upsert_entity(write.entity, mode=UpdateMode.REPLACE)


def _operation(write: Write) -> Any:
    if isinstance(write, Insert):
        return ("create", write.entity)
    if isinstance(write, Merge):
        return ("update", write.entity, {"mode": UpdateMode.MERGE})
    if isinstance(write, Delete):
        return ("delete", {"PartitionKey": write.partition, "RowKey": write.row})
    return ("upsert", write.entity, {"mode": UpdateMode.REPLACE})
