"""The app's whole life and an examination by its doctor, recorded: every request as it leaves the clients.

Storage is Azurite and Graph the simulator. What people do, and what the Functions host does with the queues, goes
through clients that are not recorded: only what our own code sends is here.
"""

import re
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
from shared.bootstrap import TABLES, ServiceClients, build, container_names, queue_names
from shared.codecs.notification_message import NotificationMessage, write_notification
from shared.codecs.submission_message import SubmissionMessage, read_message, write_message
from shared.doctor.examination import examine
from shared.doctor.findings import Mark
from shared.doctor.instruments import open_instruments
from shared.doctor.plan import Options, checks
from shared.doctor.ports import Instruments
from shared.doctor.probes import ContainerProbe, QueueProbe, TableProbe, TextProbe
from shared.doctor.rendering import as_json
from shared.domain.answers import Stage as AnswerStage
from shared.domain.erasure import Role
from shared.domain.lifecycle import is_final
from shared.domain.model import OutcomeKey
from shared.ports import Ports
from shared.settings import Settings
from shared.stores.erasures import Erasure, Erasures
from shared.stores.examinations import ExaminationRequest, Examinations
from shared.stores.replays import ReplayRequest, Replays
from shared.stores.worklist import KEPT
from tests.flow import test_sources, test_wire
from tests.infra.calls import Call
from tests.infra.operations import Operation, Sent, operations
from tests.support.answers import BOTH, BOX
from tests.support.replays import version
from tests.support.reports import ANNA, BEN, as_item, ask, email_request, original, report_with, url_request
from tests.support.stage import Stage, StageClock, stage

REHEARSED = {"queue_poison", "queue_release", "table_write", "container_write"}
"""The doctor's lines that write."""
_PART = re.compile(rb"^([A-Z]+) (\S+) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)", re.MULTILINE)
"""One request of a transaction: its method, its URL and its headers."""
EVERYTHING_ON = {
    "USER_SUBMISSIONS": "on",
    "DEFENDER_ALERTS": "on",
    "HUNTING_QUERY": test_sources.QUERY,
    "REPORTER_FEEDBACK": BOTH,
    "FEEDBACK_MAILBOX": BOX,
}
RETENTION = {"OUTCOMES_DAYS": "30", "OUTCOMELOG_DAYS": "30", "ITEMS_DAYS": "30"}


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
    """Everything that the app ever does, troubles and all, with every source and answers to reporters switched on."""
    settings = {
        **EVERYTHING_ON,
        "EVIDENCE_DAYS": "1",
        **RETENTION,
    }  # so that the first settle renews the originals of open rows
    async with recorded_stage(connection, settings) as (on, recording):
        test_sources.put_everything(on)
        await test_wire.put_everything(on)
        report_with(on, as_item(original("in-mailbox")), subject="the same again", reporter=BEN)
        await ask(on, "no request", url_request("shop", url="https://hunted.lure.test/"))
        await ask(on, email_request({"content": "not-uploaded-yet.eml"}))
        for fault in (answer_status(403, _post(2)), lose_answer(_post(4))):
            on.graph.control.add_fault(fault)
        await _hurry(on, recording)
        await _fail_some(on)
        await _finish(on)
        await on.app.keep_statistics.run()
        await _record_poison(on, recording)
        await _replay(on, recording)
        await on.app.heartbeats.ended("dispatch", 0, 0.0)
        await _erase(on, recording)
        on.clock.advance(days=on.settings.evidence_days + 2)
        await on.round()
        on.clock.advance(days=40)
        await on.app.settle_outcomes.run()
    return recording


async def be_examined(connection: str) -> Recording:
    """Everything that the doctor ever does inside the app: asked for by an administrator, with leave to write."""
    async with recorded_stage(connection, EVERYTHING_ON) as (on, recording):
        await Examinations(on.ports.tables["runstate"], on.clock).ask(
            ExaminationRequest("1", on.clock.time, write=True)
        )
        examinations = Examinations(recording.ports.tables["runstate"], on.clock)
        request = await examinations.begin()
        assert request is not None
        tools = await _recorded_instruments(on, connection, recording)
        findings = [one async for one in examine(checks(on.settings, Options(write=request.write), tools))]
        assert {one.name for one in findings if one.mark is Mark.OK} >= REHEARSED
        await examinations.answer(request, as_json(findings))
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
    assert on.app.answering is not None
    answer = NotificationMessage(OutcomeKey("20261123", some_id), AnswerStage.VERDICT, f"{0:013}")
    await on.app.answering.record_poison.run(write_notification(answer))
    recording.tables_are_away = False


async def _replay(on: Stage, recording: Recording) -> None:
    """Take up again what failed or was rejected: kept entries are moved, kept messages are read again."""
    replays = Replays(recording.ports.tables["runstate"], on.clock)
    ended = [one for one in await on.outcomes() if one.state in KEPT]
    await replays.ask([ReplayRequest(one.key, await version(on, one), on.clock.now()) for one in ended])
    await on.app.settle_outcomes.run()
    assert await replays.waiting_ids() == set()


async def _erase(on: Stage, recording: Recording) -> None:
    """Erase whom most reports were for, once what they are about speaks for nobody any more."""
    await on.ports.containers["submission-content"].put("left-behind.eml", original("left behind"))
    erasures = Erasures(recording.ports.tables["runstate"])
    await erasures.ask(Erasure(address=ANNA, role=Role.RECIPIENT, asked_at=on.clock.now()))
    for _ in range(4):
        on.clock.advance(hours=13)
        await on.app.settle_outcomes.run()
    assert await erasures.all_standing() == []


async def _recorded_ports(on: Stage, connection: str, recording: Recording) -> Ports:
    clients = await _clients(on, connection, recording)
    made: dict[str, Any] = {
        **{f"table {name}": AzureTable(clients.tables.get_table_client(name)) for name in TABLES},
        **{f"queue {name}": AzureQueue(clients.queues.get_queue_client(name)) for name in on.ports.queues},
        **{f"container {name}": AzureBlobs(clients.blobs.get_container_client(name)) for name in on.ports.containers},
    }
    noted = {name: Noted(name, port, recording.calls) for name, port in made.items()}
    return replace(
        on.ports,
        tables={name: noted[f"table {name}"] for name in TABLES},
        queues={name: noted[f"queue {name}"] for name in on.ports.queues},
        containers={name: noted[f"container {name}"] for name in on.ports.containers},
    )


async def _recorded_instruments(on: Stage, connection: str, recording: Recording) -> Instruments:
    clients = await _clients(on, connection, recording)
    return replace(
        await open_instruments(on.settings, on.resources),
        queues=[QueueProbe(clients.queues.get_queue_client(name)) for name in queue_names(on.settings)],
        tables=[TableProbe(name, AzureTable(clients.tables.get_table_client(name))) for name in TABLES],
        containers=[ContainerProbe(clients.blobs.get_container_client(name)) for name in container_names(on.settings)],
        texts=TextProbe(AzureBlobs(clients.blobs.get_container_client("feedback-texts"))),
    )


async def _clients(on: Stage, connection: str, recording: Recording) -> ServiceClients:
    """Clients as `open_storage` makes them; nothing is repeated, so that an absent service shows at once."""

    def how(service: str) -> dict[str, Any]:
        return {"transport": RecordingTransport(service, recording), "retry_total": 0}

    tables = TableServiceClient.from_connection_string(connection, **how("table"))
    queues = QueueServiceClient.from_connection_string(connection, api_version=API_VERSION, **how("queue"))
    blobs = BlobServiceClient.from_connection_string(connection, api_version=API_VERSION, **how("blob"))
    for client in (tables, queues, blobs):
        await on.resources.enter_async_context(client)
    return ServiceClients(tables, queues, blobs)


def _sent(service: str, request: Any) -> Sent:
    """The request with those that a transaction carries in its body."""
    url = str(request.url or "")
    body = request.content if url.endswith("$batch") and isinstance(request.content, bytes) else b""
    parts = tuple(
        Sent(service, found[1].decode(), found[2].decode(), b"If-Match: " in found[3]) for found in _PART.finditer(body)
    )
    return Sent(service, request.method, url, "If-Match" in request.headers, parts)


def _post(number: int) -> Scope:
    """The POST of that number."""
    return Scope(method="POST", every=number, times=1, path="threatSubmission")
