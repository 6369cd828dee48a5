"""The app's whole life, recorded: over Azurite and the Graph simulator, every request as it leaves the clients.

What operators do, and what the Functions host does with the queues, goes through clients that are not recorded: only
what our own code sends is here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.graph_simulator import RequestRecord
from local.graph_simulator.faults import Scope, answer_status, lose_answer
from shared.adapters.storage import API_VERSION, AzureBlobs, AzureQueue, AzureTable
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, build
from shared.codecs.submission_message import SubmissionMessage, read_message, write_message
from shared.domain.lifecycle import is_final
from shared.domain.model import OutcomeKey
from shared.ports import Ports
from shared.settings import Settings
from tests.flow import test_sources, test_wire
from tests.infra.calls import Call, named
from tests.infra.operations import Operation, Sent, operations
from tests.support.reports import BEN, as_item, ask, original, report_with, url_request
from tests.support.stage import Stage, StageClock, stage

EVERY_SOURCE = {"USER_SUBMISSIONS": "on", "DEFENDER_ALERTS": "on", "HUNTING_QUERY": test_sources.QUERY}


@dataclass
class Recording:
    """What was seen; `ports` are those that note it."""

    settings: Settings
    ports: Ports
    sent: list[Sent] = field(default_factory=list)
    calls: set[Call] = field(default_factory=set)
    graph: tuple[RequestRecord, ...] = ()
    tables_are_away: bool = False

    def operations(self) -> set[Operation]:
        """What the requests come to; raises ValueError for one of an unknown shape."""
        return {one for sent in self.sent for one in operations(sent)}


@dataclass
class StandingClock(StageClock):
    """Time that does not move by being looked at."""

    def now(self) -> datetime:
        """The same moment each time."""
        return self.time


class RecordingTransport(AioHttpTransport):  # type: ignore[misc] # exported lazily, so that mypy takes it for Any
    """The SDK's own transport, keeping what it sends to a service."""

    def __init__(self, service: str, recording: Recording) -> None:
        super().__init__()
        self._service = service
        self._recording = recording

    async def send(self, request: Any, **options: Any) -> Any:
        """Keep the request and send it; a table service that is away is not reached."""
        self._recording.sent.append(_sent(self._service, request))
        if self._recording.tables_are_away and self._service == "table":
            raise ServiceRequestError("away")
        return await super().send(request, **options)


class Noted:
    """A port that notes which of its methods were used."""

    def __init__(self, name: str, port: Any, calls: set[Call]) -> None:
        self._name = name
        self._port = port
        self._calls = calls

    def __getattr__(self, method: str) -> Any:
        self._calls.add((self._name, method))
        return getattr(self._port, method)


@asynccontextmanager
async def recorded_stage(connection: str, settings: dict[str, Any]) -> AsyncIterator[tuple[Stage, Recording]]:
    """A stage whose app is recorded, while what the test itself puts there is not."""
    async with stage(connection=connection, **settings) as on:
        recording = Recording(on.settings, on.ports)
        recording.ports = await _recorded_ports(on, connection, recording)
        on.app = build(on.settings, recording.ports)
        yield on, recording
        recording.graph = on.graph.log.select()


async def live_through(connection: str) -> Recording:
    """Everything that the app ever does, troubles and all, with every source switched on."""
    async with recorded_stage(connection, EVERY_SOURCE) as (on, recording):
        test_sources.put_everything(on)
        await test_wire.put_everything(on)
        report_with(on, as_item(original("in-mailbox")), subject="the same again", reporter=BEN)
        await ask(on, "no request", url_request("shop", url="https://hunted.lure.test/"))
        for fault in (answer_status(403, _post(2)), lose_answer(_post(4))):
            on.graph.control.add_fault(fault)
        await _hurry(on, recording)
        await _fail_some(on)
        await _finish(on)
        await _record_poison(on, recording)
        on.clock.advance(days=on.settings.evidence_days + 2)
        await on.round()
    return recording


async def _hurry(on: Stage, recording: Recording) -> None:
    """Take requests in and dispatch them within one millisecond: two events of a row then want the same key."""
    app = build(on.settings, replace(recording.ports, clock=StandingClock(on.clock.time)))
    await on.deliver("manual-submissions", app.intake_manual.run)
    await app.dispatch.run()


async def _fail_some(on: Stage) -> None:
    """Let the first message that is dispatched now end on the poison queue, and submit the others."""
    bodies: list[str] = []

    async def keep(body: str) -> None:
        bodies.append(body)

    await on.deliver("submissions", keep)
    await on.app.record_poison_submission.run(bodies[0])
    for body in bodies[1:]:
        await on.app.submit.run(read_message(body))


async def _finish(on: Stage) -> None:
    """Go round until everything is final, at least twenty times: troubles take longer than the work."""
    for number in range(80):
        await on.round()
        outcomes = await on.outcomes()
        if number >= 20 and all(is_final(one.state) for one in outcomes):
            return
        on.clock.advance(minutes=5)
    raise AssertionError(sorted(f"{one.state} {one.state_reason}" for one in outcomes))


async def _record_poison(on: Stage, recording: Recording) -> None:
    """Messages that failed every attempt, read while the tables are there and while they are not."""
    request = '{"requestId": "case-1"}'
    some_id = "0" * 32
    submission = write_message(SubmissionMessage(OutcomeKey("20261123", some_id), f"0-slot-{0:013}-{some_id}", "etag"))
    await on.app.record_poison_manual.run(request)
    recording.tables_are_away = True
    await on.app.record_poison_manual.run(request)
    await on.app.record_poison_submission.run(submission)
    recording.tables_are_away = False


async def _recorded_ports(on: Stage, connection: str, recording: Recording) -> Ports:
    tables, queues, blobs = _clients(connection, recording)
    for client in (tables, queues, blobs):
        await on.resources.enter_async_context(client)
    made: dict[str, Any] = {
        **{f"table {name}": AzureTable(tables.get_table_client(name)) for name in TABLES},
        **{f"queue {name}": AzureQueue(queues.get_queue_client(name)) for name in QUEUES},
        **{f"container {name}": AzureBlobs(blobs.get_container_client(name)) for name in CONTAINERS},
    }
    noted = {name: Noted(name, made[name], recording.calls) for name, _ in named(on.ports)}
    return replace(
        on.ports,
        tables={name: noted[f"table {name}"] for name in TABLES},
        queues={name: noted[f"queue {name}"] for name in QUEUES},
        containers={name: noted[f"container {name}"] for name in CONTAINERS},
    )


def _clients(connection: str, recording: Recording) -> tuple[TableServiceClient, QueueServiceClient, BlobServiceClient]:
    """Clients as `connect` makes them; nothing is repeated, so that an absent service shows at once."""

    def how(service: str) -> dict[str, Any]:
        return {"transport": RecordingTransport(service, recording), "retry_total": 0}

    return (
        TableServiceClient.from_connection_string(connection, **how("table")),
        QueueServiceClient.from_connection_string(connection, api_version=API_VERSION, **how("queue")),
        BlobServiceClient.from_connection_string(connection, api_version=API_VERSION, **how("blob")),
    )


def _sent(service: str, request: Any) -> Sent:
    """The request with those that a transaction carries, however deep."""
    inside = request.multipart_mixed_info[0] if getattr(request, "multipart_mixed_info", None) else ()
    parts = tuple(leaf for one in inside for leaf in _leaves(_sent(service, one)))
    return Sent(service, request.method, request.url or "", "If-Match" in request.headers, parts)


def _leaves(sent: Sent) -> tuple[Sent, ...]:
    return sent.parts or (sent,)


def _post(number: int) -> Scope:
    """The POST of that number."""
    return Scope(method="POST", every=number, times=1, path="threatSubmission")
