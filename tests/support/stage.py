"""A whole tenant on a stage: storage, a Graph simulator over HTTP, the use cases, and time that a test moves.

Storage is in memory or on Azurite; Graph is always reached over HTTP through the real client. `Steps` stands between
the use cases and every port: it records each call that leaves the process, and can stop the process at any of them.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.graph_simulator import GraphSimulator, SimulatedTenant
from local.memory_storage import MemoryBlobs, MemoryQueue, MemoryTable
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID
from shared.adapters.graph.identity import graph_authentication
from shared.adapters.graph.mail import GraphMail
from shared.adapters.graph.submissions import GraphThreatSubmissions
from shared.adapters.graph.transport import GraphTransport
from shared.adapters.storage import API_VERSION
from shared.bootstrap import TABLES, App, answer_mails, build, connect, container_names, queue_names
from shared.bootstrap_sources import source_ports
from shared.codecs.notification_message import read_notification
from shared.codecs.rows import read_outcome
from shared.codecs.submission_message import UnreadableMessage, read_message
from shared.domain.lifecycle import is_final
from shared.domain.model import Outcome
from shared.ports import Merge, Ports, SourcePorts
from shared.settings import Settings
from shared.stores.ledger import Ledger
from shared.stores.outcomes import OutcomeStore
from shared.stores.quota import QUOTA_ROW, QuotaStore
from shared.stores.worklist import PARTITION, Worklist
from shared.usecases.sending.refusals import Refusals
from shared.usecases.trouble import Trouble

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MOST_DELIVERIES = 5
AZURITE_HIDES_S = 1


class ProcessStoppedError(BaseException):
    """The process ended here; no `except Exception` of the product may go on after it."""


@dataclass
class StageClock:
    """Time that moves when it is told to, and when somebody sleeps."""

    time: datetime = START

    def now(self) -> datetime:
        """The time on stage; a millisecond passes with every look, as no two things happen at once."""
        self.time += timedelta(milliseconds=1)
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Move the time."""
        self.advance(seconds=seconds)

    def advance(self, **span: float) -> None:
        """Move the time by a `timedelta`'s arguments."""
        self.time += timedelta(**span)


@dataclass
class Steps:
    """The calls that left the process, in order; stops it at number `stop_at`, before or after the call's effect."""

    stop_at: int | None = None
    after_effect: bool = False
    taken: list[str] = field(default_factory=list)
    is_stopped: bool = False

    async def take(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Do the call, unless the process has ended or ends here."""
        if self.is_stopped:
            raise ProcessStoppedError
        number = len(self.taken)
        self.taken.append(name)
        if number == self.stop_at and not self.after_effect:
            self.is_stopped = True
            raise ProcessStoppedError
        try:
            return await call()
        finally:
            if number == self.stop_at:
                self.is_stopped = True
                raise ProcessStoppedError


class Stepped:
    """A port whose awaited methods are steps; async iterators pass as they are while the process lives."""

    def __init__(self, name: str, port: Any, steps: Steps) -> None:
        self._name = name
        self._port = port
        self._steps = steps

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)
        if method in {"scan", "now", "sleep"}:
            return call

        async def step(*args: Any, **kwargs: Any) -> Any:
            return await self._steps.take(f"{self._name}.{method}", lambda: call(*args, **kwargs))

        return step


def stepped(ports: Ports, steps: Steps) -> Ports:
    """The same ports, every call of which is a step."""
    return replace(
        ports,
        tables={name: Stepped(f"table {name}", port, steps) for name, port in ports.tables.items()},
        queues={name: Stepped(f"queue {name}", port, steps) for name, port in ports.queues.items()},
        containers={name: Stepped(f"container {name}", port, steps) for name, port in ports.containers.items()},
        mail=Stepped("graph mail", ports.mail, steps),
        submissions=Stepped("graph submissions", ports.submissions, steps),
        sources=SourcePorts(
            user_submissions=Stepped("graph user submissions", ports.sources.user_submissions, steps),
            defender_alerts=Stepped("graph alerts", ports.sources.defender_alerts, steps),
            hunting=Stepped("graph hunting", ports.sources.hunting, steps),
        )
        if ports.sources
        else None,
        answers=Stepped("graph answers", ports.answers, steps) if ports.answers else None,
    )


@dataclass
class Stage:
    """A tenant, its storage and the use cases; `app` is the present process, `start_process` begins another."""

    clock: StageClock
    graph: GraphSimulator
    settings: Settings
    ports: Ports
    connection: str | None
    app: App
    resources: AsyncExitStack
    is_busy: bool = False
    """Other rows are accepted all the time, so that what Microsoft refuses is refused for what it is."""
    _deliveries: dict[str, int] = field(default_factory=dict)

    def start_process(self, steps: Steps | None = None) -> App:
        """Begin a new process on the same storage: nothing of the old one's memory is left."""
        self.app = build(self.settings, stepped(self.ports, steps) if steps else self.ports)
        return self.app

    async def outcomes(self) -> list[Outcome]:
        """Every row of the table `outcomes`."""
        return [read_outcome(entity) for entity in await self.rows("outcomes")]

    async def feed(self) -> list[dict[str, Any]]:
        """Every row of the feed, in the order in which a consumer reads it."""
        rows = await self.rows("outcomelog")
        return sorted(rows, key=lambda row: (row["PartitionKey"], row["RowKey"]))

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table."""
        port = self.ports.tables[table]
        if isinstance(port, MemoryTable):
            return port.rows()
        client = await self.resources.enter_async_context(
            TableServiceClient.from_connection_string(self.connection or "")
        )
        found = [dict(entity) async for entity in client.get_table_client(table).list_entities()]
        return [{name: _utc(value) for name, value in row.items()} for row in found]

    async def deliver(self, queue: str, handle: Callable[[str], Awaitable[None]]) -> int:
        """Deliver a queue's visible messages once, as the host would; returns how many were there.

        A message whose handling fails comes back, and goes to the poison queue after five deliveries.
        """
        port = self.ports.queues[queue]
        if isinstance(port, MemoryQueue):
            delivered = await self._deliver_from_memory(port, queue, handle)
        else:
            delivered = await self._deliver_from_azurite(queue, handle)
        if delivered and queue == "submissions" and self.is_busy:
            await self.accept_another()
        return delivered

    async def deliver_submissions(self) -> int:
        """Deliver what is on the queue `submissions`."""
        return await self.deliver("submissions", self._submit)

    async def deliver_notifications(self) -> int:
        """Deliver what is on the queue `notifications`."""
        return await self.deliver("notifications", self._notify)

    async def accept_another(self) -> None:
        """Let Microsoft have accepted a row that is not on stage, and reject what was refused before it."""
        worklist, outcomes = self.ports.tables["worklist"], self.ports.tables["outcomes"]
        await worklist.write(Merge({"PartitionKey": PARTITION, "RowKey": QUOTA_ROW, "AcceptedAt": self.clock.now()}))
        store = OutcomeStore(outcomes, self.ports.tables["outcomelog"], self.clock)
        ledger = Ledger(store, Worklist(worklist))
        refusals = Refusals(ledger, QuotaStore(worklist, self.clock), Trouble(ledger), self.clock)
        await refusals.run(self.clock.time + timedelta(hours=1))

    async def round(self) -> None:
        """One round of every timer and queue, without moving the time."""
        await self.app.collect_reports.run()
        await self.deliver("manual-submissions", self.app.intake_manual.run)
        await self.app.dispatch.run()
        await self.deliver_submissions()
        await self.deliver("manual-submissions-poison", self.app.record_poison_manual.run)
        await self.deliver("submissions-poison", self.app.record_poison_submission.run)
        await self.app.settle_outcomes.run()
        await self.answers_round()

    async def answers_round(self) -> None:
        """One round of what tells reporters, where that is switched on."""
        if self.app.answering is not None:
            await self.app.answering.pace.run()
            await self.deliver_notifications()
            await self.deliver("notifications-poison", self.app.answering.record_poison.run)

    async def finish(self, *, rows: int, step: timedelta = timedelta(minutes=5), rounds: int = 40) -> list[Outcome]:
        """Go round until there are that many rows and all are final; fails after `rounds` rounds."""
        for _ in range(rounds):
            await self.round()
            found = await self.outcomes()
            if len(found) >= rows and all(is_final(one.state) for one in found):
                return found
            self.clock.time += step
            if self.connection is not None:
                await asyncio.sleep(AZURITE_HIDES_S / 10)  # a message there comes back in real time
        states = sorted(f"{one.state} {one.state_reason or ''}" for one in await self.outcomes())
        raise AssertionError(f"not final after {rounds} rounds: {states}")

    async def _submit(self, body: str) -> None:
        await self.app.submit.run(read_message(body))

    async def _notify(self, body: str) -> None:
        assert self.app.answering is not None
        await self.app.answering.notify.run(read_notification(body))

    async def _deliver_from_memory(
        self, queue: MemoryQueue, name: str, handle: Callable[[str], Awaitable[None]]
    ) -> int:
        delivered = 0
        while (message := queue.receive()) is not None:
            delivered += 1
            if await self._handled(handle, message.body):
                queue.delete(message)
            elif message.dequeue_count >= MOST_DELIVERIES:
                queue.delete(message)
                await self.ports.queues[f"{name}-poison"].send(message.body)
            else:
                message.visible_at = self.clock.now() + timedelta(seconds=30)
        return delivered

    async def _deliver_from_azurite(self, name: str, handle: Callable[[str], Awaitable[None]]) -> int:
        service = QueueServiceClient.from_connection_string(self.connection or "", api_version=API_VERSION)
        client = (await self.resources.enter_async_context(service)).get_queue_client(name)
        delivered = 0
        async for message in client.receive_messages(messages_per_page=32, visibility_timeout=5):
            delivered += 1
            if await self._handled(handle, message.content):
                await client.delete_message(message)
        return delivered

    async def _handled(self, handle: Callable[[str], Awaitable[None]], body: str) -> bool:
        with suppress(UnreadableMessage):
            await handle(body)
            return True
        return False


@asynccontextmanager
async def stage(
    *, connection: str | None = None, tenant: SimulatedTenant | None = None, is_busy: bool = False, **settings: str
) -> AsyncIterator[Stage]:
    """A stage with an empty tenant, in memory or on the storage account that `connection` names."""
    clock = StageClock()
    tenant = tenant or SimulatedTenant(tenant_id=TENANT_ID, domains=DOMAINS)
    if tenant.find_mailbox(REPORTING_MAILBOX) is None:
        tenant.add_mailbox(REPORTING_MAILBOX)
    async with AsyncExitStack() as resources:
        graph = await resources.enter_async_context(GraphSimulator(tenant, clock=clock.now))
        parsed = Settings.load({**settings_for(graph.base_url, connection), **settings})
        if parsed.answers_reporters:
            tenant.add_mailbox(parsed.feedback_mailbox, app_may_send=True)
        real = await connect(parsed, resources) if connection else await _graph_only(parsed, resources, clock)
        ports = replace(real, clock=clock)
        yield Stage(clock, graph, parsed, ports, connection, build(parsed, ports), resources, is_busy)


async def _graph_only(settings: Settings, resources: AsyncExitStack, clock: StageClock) -> Ports:
    transport = GraphTransport(settings.graph_base_url, graph_authentication(settings.graph_base_url, None))
    resources.push_async_callback(transport.aclose)
    return Ports(
        tables={name: MemoryTable() for name in TABLES},
        queues={name: MemoryQueue(clock) for name in queue_names(settings)},
        containers={name: MemoryBlobs(clock) for name in container_names(settings)},
        mail=GraphMail(transport),
        submissions=GraphThreatSubmissions(transport),
        clock=clock,
        sources=source_ports(transport),
        answers=answer_mails(settings, transport),
    )


def settings_for(base_url: str, connection: str | None) -> dict[str, str]:
    """The settings of the sample tenant."""
    storage = connection or "UseDevelopmentStorage=true"
    return {
        "AzureWebJobsStorage": storage,
        "SubmissionsStorage": storage,
        "TENANT_ID": TENANT_ID,
        "REPORTING_MAILBOXES": REPORTING_MAILBOX,
        "TENANT_DOMAINS": ",".join(DOMAINS),
        "GRAPH_BASE_URL": base_url,
        "COLLECT_SCHEDULE": "0 */2 * * * *",
        "DISPATCH_SCHEDULE": "0 * * * * *",
        "SETTLE_SCHEDULE": "0 */5 * * * *",
    }


def assert_feed_is_whole(outcomes: Sequence[Outcome], feed: Sequence[dict[str, Any]]) -> None:
    """Every row's events form one chain from its first state to its present one, each change once."""
    for outcome in outcomes:
        events = [row for row in feed if row["SubmissionId"] == outcome.key.submission_id]
        chain = [row["Event"] for row in events]
        assert chain[-1] == outcome.state
        assert "PreviousState" not in events[0]
        assert [row["PreviousState"] for row in events[1:]] == chain[:-1]
        assert all(one != two for one, two in itertools.pairwise(chain)), chain


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
