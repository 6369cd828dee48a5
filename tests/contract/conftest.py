"""The storage ports, in memory, over Azurite and over the benchmarks' storage: every test runs against all of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.bench.wire.server import WireStorage
from local.memory_storage import MemoryBlobs, MemoryQueue, MemoryTable
from shared.adapters.storage import API_VERSION, AzureBlobs, AzureQueue, AzureTable, make_missing
from shared.ports import BlobStore, Table, WorkQueue
from tests.support.stage import StageClock

NAME = "contract"


@dataclass
class Storage:
    """One table, one container and one queue, all empty; `client` reads the queue over Azurite."""

    table: Table
    blobs: BlobStore
    queue: WorkQueue
    clock: StageClock
    client: QueueClient | None = None
    container: ContainerClient | None = None

    async def receive(self) -> list[str]:
        """Return the bodies of all messages that are visible now, and leave none of them visible."""
        if isinstance(self.queue, MemoryQueue):
            bodies = []
            while (message := self.queue.receive()) is not None:
                bodies.append(message.body)
            return bodies
        assert self.client is not None
        return [message.content async for message in self.client.receive_messages(visibility_timeout=60)]

    async def written_at(self, name: str) -> datetime:
        """Return when a blob was last written, from which the account's lifecycle rule counts."""
        if isinstance(self.blobs, MemoryBlobs):
            return self.blobs.written_at(name)
        assert self.container is not None
        properties = await self.container.get_blob_client(name).get_blob_properties()
        return properties.last_modified

    async def become_visible_in_s(self) -> float:
        """Return how long the only message stays invisible from now, where the storage tells it."""
        if isinstance(self.queue, MemoryQueue):
            return (self.queue.messages[0].visible_at - self.clock.now()).total_seconds()
        assert self.client is not None
        properties = await self.client.get_queue_properties()
        assert properties.approximate_message_count == 1
        peeked = await self.client.peek_messages()
        return 0.0 if peeked else float("inf")


@pytest.fixture(params=["memory", "azurite", "wire"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """Yield empty storage, of the kind that the parameter names."""
    clock = StageClock()
    if request.param == "memory":
        yield Storage(MemoryTable(), MemoryBlobs(clock), MemoryQueue(clock), clock)
        return
    async with AsyncExitStack() as resources:
        if request.param == "wire":
            connection = (await resources.enter_async_context(WireStorage())).connection
        else:
            connection = request.getfixturevalue("storage_connection")
        tables = await resources.enter_async_context(TableServiceClient.from_connection_string(connection))
        queues = await resources.enter_async_context(
            QueueServiceClient.from_connection_string(connection, api_version=API_VERSION)
        )
        blobs = await resources.enter_async_context(
            BlobServiceClient.from_connection_string(connection, api_version=API_VERSION)
        )
        await make_missing(tables, queues, blobs, [NAME], [NAME], [NAME])
        queue = queues.get_queue_client(NAME)
        yield Storage(
            AzureTable(tables.get_table_client(NAME)),
            AzureBlobs(blobs.get_container_client(NAME)),
            AzureQueue(queue),
            clock,
            queue,
            blobs.get_container_client(NAME),
        )


def later(clock: StageClock, **span: float) -> None:
    """Move the clock of the storage in memory; Azurite has its own."""
    clock.time += timedelta(**span)
