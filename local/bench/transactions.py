"""Storage transactions over a submission's whole life, counted on the wire.

A transaction is one request to the data account, batch or not, as it leaves the clients' transport; the host's get and
delete of the queue message count too. What repeats whether or not anything waits (empty polls, runs that find nothing)
does not: the queue is read until it is empty, and that last read is counted once.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.bench.figures import Figure, Target
from local.bench.host_delivery import deliver
from local.bench.stand_ins import StandIns, start_stand_ins
from shared.adapters.storage import API_VERSION, AzureBlobs, AzureQueue, AzureTable
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, App, build, connect
from shared.domain.model import State
from shared.ports import Ports
from shared.settings import Settings

MOST_TRANSACTIONS = 14
TOGETHER = 100
STAGES = ("collect", "dispatch", "submit", "settle")
_SIZE_BYTES = 20_000


class Tally:
    """How many requests left since it was last read."""

    def __init__(self) -> None:
        self._count = 0

    def add(self) -> None:
        """Count one."""
        self._count += 1

    def take(self) -> int:
        """The count, which begins anew."""
        count, self._count = self._count, 0
        return count


class CountingTransport(AioHttpTransport):  # type: ignore[misc] # exported lazily, so that mypy takes it for Any
    """The SDK's own transport, counting what it sends."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    async def send(self, request: Any, **options: Any) -> Any:
        """Count the request and send it."""
        self._tally.add()
        return await super().send(request, **options)


@dataclass(frozen=True, slots=True)
class CountedApp:
    """The use cases over storage whose requests are counted."""

    app: App
    queues: QueueServiceClient
    tally: Tally

    async def live_through(self) -> dict[str, int]:
        """Take what is in the mailbox through its whole life; returns the transactions of each stage."""
        self.tally.take()
        spent: dict[str, int] = {}
        await self.app.collect_reports.run()
        spent["collect"] = self.tally.take()
        await self.app.dispatch.run()
        spent["dispatch"] = self.tally.take()
        await deliver(self.queues.get_queue_client("submissions"), self.app.submit.run)
        spent["submit"] = self.tally.take()
        await self.app.settle_outcomes.run()
        spent["settle"] = self.tally.take()
        return spent


async def measure() -> list[Figure]:
    """The average of 100 reports that come together, and a lone one."""
    async with start_stand_ins() as stand_ins:
        together = await count_life(stand_ins, TOGETHER)
        lone = await count_life(stand_ins, 1)
    return [
        _figure(f"transactions a submission, {TOGETHER} together", together, TOGETHER, Target("<=", MOST_TRANSACTIONS)),
        _figure("transactions of a lone submission", lone, 1, None),
    ]


async def count_life(stand_ins: StandIns, count: int) -> dict[str, int]:
    """The transactions of each stage, for that many reports collected together; raises if not all are settled."""
    await stand_ins.refill(count, _SIZE_BYTES)
    async with AsyncExitStack() as resources:
        connection = stand_ins.azurite.new_account()
        spent = await (await counted_app(stand_ins, connection, resources)).live_through()
        states = await stand_ins.states(connection)
    if states != {State.SETTLED: count}:
        raise RuntimeError(f"not every report was settled: {dict(states)}")
    return spent


async def counted_app(stand_ins: StandIns, connection: str, resources: AsyncExitStack) -> CountedApp:
    """The use cases over that storage account, its requests counted; `resources` closes its clients."""
    tally = Tally()
    settings = Settings.load(stand_ins.environment(connection))
    ports = await connect(settings, resources)
    queues = QueueServiceClient.from_connection_string(
        connection, api_version=API_VERSION, transport=CountingTransport(tally)
    )
    counted = await _counted_ports(ports, connection, queues, tally, resources)
    return CountedApp(build(settings, counted), queues, tally)


async def _counted_ports(
    ports: Ports, connection: str, queues: QueueServiceClient, tally: Tally, resources: AsyncExitStack
) -> Ports:
    tables = TableServiceClient.from_connection_string(connection, transport=CountingTransport(tally))
    blobs = BlobServiceClient.from_connection_string(
        connection, api_version=API_VERSION, transport=CountingTransport(tally)
    )
    for client in (tables, queues, blobs):
        await resources.enter_async_context(client)
    return replace(
        ports,
        tables={name: AzureTable(tables.get_table_client(name)) for name in TABLES},
        queues={name: AzureQueue(queues.get_queue_client(name)) for name in QUEUES},
        containers={name: AzureBlobs(blobs.get_container_client(name)) for name in CONTAINERS},
    )


def _figure(name: str, spent: dict[str, int], count: int, target: Target | None) -> Figure:
    told = ", ".join(f"{stage} {spent[stage] / count:.2f}" for stage in STAGES)
    return Figure(name=name, value=sum(spent.values()) / count, unit="transactions", target=target, note=told)
