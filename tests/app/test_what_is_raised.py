"""Whatever storage and Graph answer, the host is told types, places and codes: no address, subject, id, URL or token.

The app as it is deployed runs in Microsoft's own worker library for Python 3.13. Looked at is all that the library
hands to the host of an invocation (its error with its traceback), all that reaches the root logger, and standard error.
Storage is Azurite behind a proxy that refuses, Graph the simulator with faults in another's words.
"""

import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient
from azure.storage.queue import QueueClient

from local.graph_simulator import GraphSimulator, SimulatedTenant
from local.graph_simulator.faults import Fault, FaultKind
from local.sample_tenant import (
    DOMAINS,
    ORIGINALS,
    REPORTING_MAILBOX,
    TENANT_ID,
    read_original,
    wrap_as_report_button,
)
from local.setup import ROOT
from shared.adapters.storage import API_VERSION
from shared.domain.model import Category
from tests.doctor.refusing_proxy import Refusal, RefusingProxy, refusing_proxy
from tests.support.events import fields_of
from tests.support.stage import settings_for
from tests.support.worker_site import QUEUES, TIMERS, WorkerProcess, invocation, worker

DRIVER = Path(__file__).with_name("listening_driver.py")
DEPLOYED = ("function_app.py", "host.json", "requirements.txt", "shared")
ADDRESS = "zoe.quill@fabrikam.example"
MESSAGE_ID = "<CAF7-31@mail.fabrikam.example>"
SUBJECT = "Payroll change for Ms Meyer"
URL = f"https://graph.microsoft.com/v1.0/users/{ADDRESS}/messages/AAMkAGI0"
TOKEN = "Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQi"
SAID = f"{ADDRESS} {MESSAGE_ID} {SUBJECT} {URL} {TOKEN}"
PRIVATE = (
    "@",
    "%40",
    "fabrikam",
    "quill",
    "Payroll",
    "CAF7",
    "AAMkAG",
    "://",
    "/users/",
    "graph.microsoft",
    "eyJ0",
    "Bearer",
)
"""Parts of what must not leave, in whatever form."""
RAISED = re.compile(
    r"RunFailed: [A-Za-z]+ at (shared/[a-z_/]+\.py:[0-9]+|no line of ours)( [1-5][0-9]{2})?( [\w-]{1,64})?"
)
BODIES = {
    "intake_manual": json.dumps(
        {
            "schemaVersion": 1,
            "kind": "email",
            "category": "phishing",
            "requestedBy": ADDRESS,
            "note": SUBJECT,
            "mail": {"mailbox": "alice.meyer@contoso.example", "internetMessageId": MESSAGE_ID},
        }
    ),
    "submit": f'{{"id": "{ADDRESS}", "subject": "{SUBJECT}"}}',
    "record_poison_manual": f"{SAID} is no JSON",
    "record_poison_submission": f'{{"id": "{ADDRESS}"}}',
}


@dataclass(slots=True)
class Heard:
    """What the host got: each failed invocation's error and traceback, lines, and what stood on standard error."""

    errors: list[str] = field(default_factory=list)
    stacks: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    written: str = ""

    def leaks(self) -> list[str]:
        """Return all of it that holds a part of what is private."""
        everything = [*self.errors, *self.stacks, *self.lines, self.written]
        return [text for text in everything if any(part.lower() in text.lower() for part in PRIVATE)]


@dataclass(frozen=True, slots=True)
class Site:
    """The app in a worker, and what stands around it."""

    worker: WorkerProcess
    graph: GraphSimulator
    storage: RefusingProxy

    connection: str
    delivered: list[str] = field(default_factory=list)

    def deliver_report(self) -> None:
        """Deliver the next report."""
        self.delivered.append(self.graph.tenant.deliver(REPORTING_MAILBOX, report()))

    async def run_all(self) -> Heard:
        """Run every function once, with hostile messages and a report to read; return what the host heard."""
        self.deliver_report()
        asked = [invocation(name) for name in TIMERS] + [invocation(name, BODIES[name]) for name in QUEUES]
        asked += [invocation("submit", message) for message in self._waiting()]
        return heard(await self.worker._ask(json.dumps(asked)))

    async def run_healthy(self) -> Heard:
        """Run what brings the next report to the point where it is to be submitted."""
        self.deliver_report()
        return heard(await self.worker._ask(json.dumps([invocation("collect_reports")])))

    def begin_anew(self) -> None:
        """Forget all that was, past the proxy: after what failed folders rest, and submissions pause, for minutes.

        The reports so far leave the mailbox: an app that has forgotten its folders reads them all again.
        """
        while self.delivered:
            self.graph.tenant.remove(REPORTING_MAILBOX, self.delivered.pop())
        for name in ("worklist", "runstate", "items", "outcomes"):
            with TableClient.from_connection_string(self.connection, name) as table:
                for row in table.query_entities("RowKey ge ''", select=["PartitionKey", "RowKey"]):
                    table.delete_entity(row)

    def _waiting(self) -> list[str]:
        """Take what waits to be submitted, past the proxy; nothing before the app has made the queue."""
        with QueueClient.from_connection_string(self.connection, "submissions", api_version=API_VERSION) as queue:
            try:
                return [message.content for message in queue.receive_messages(max_messages=32)]
            except ResourceNotFoundError:
                return []


MAILS = itertools.cycle(ORIGINALS)
"""One after the other, as a report of a mail that was reported before is covered by the first."""


def report() -> Any:
    """Return a report of the next mail, from a reporter whose address must not leave either."""
    now = datetime.now(UTC)
    return wrap_as_report_button(
        read_original(next(MAILS).name, now),
        reporter="zoe.quill@contoso.example",
        category=Category.PHISHING,
        received_at=now,
        mailbox=REPORTING_MAILBOX,
    )


def heard(told: Mapping[str, Any]) -> Heard:
    """Return the driver's answer, read."""
    failed = [one for one in told["results"] if not one["succeeded"]]
    return Heard([one["error"] for one in failed], [one["stack"] for one in failed], told["lines"], told["written"])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds what is deployed and nothing else."""
    folder = tmp_path_factory.mktemp("wwwroot")
    for name in DEPLOYED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@asynccontextmanager
async def run_app(folder: Path, connection: str, **settings: str) -> AsyncIterator[Site]:
    """Run the app against an account of its own, once through before anything is refused."""
    tenant = SimulatedTenant(tenant_id=TENANT_ID, domains=DOMAINS)
    tenant.add_mailbox(REPORTING_MAILBOX)
    async with GraphSimulator(tenant) as graph, refusing_proxy(connection) as storage:
        everything = settings_for(graph.base_url, storage.connection) | settings
        async with worker(folder, everything, driver=DRIVER) as running:
            assert set(running.found["functions"]) == {*TIMERS, *QUEUES}
            yield Site(running, graph, storage, connection)


@pytest.fixture
async def site(deployed: Path, storage_connection: str) -> AsyncIterator[Site]:
    """Return the app, after a first run of everything."""
    async with run_app(deployed, storage_connection) as running:
        first = await running.run_all()
        assert first.leaks() == []
        assert len(first.errors) == 1, first  # a stranger's message on `submissions`
        yield running


def assert_nothing_private(fault: str, found: Heard) -> None:
    """Fail if anything private was heard, or anything at all but events and the errors that are meant."""
    assert found.leaks() == [], fault
    assert [error for error in found.errors if not RAISED.fullmatch(error)] == [], fault
    assert [stack for stack in found.stacks if "another exception" in stack or "direct cause" in stack] == [], fault
    assert [line for line in found.lines if not line.startswith("shared.telemetry event=")] == [], fault
    assert found.written == "", fault


def as_error(code: str = "AuthorizationFailure") -> str:
    """Return an error of the storage services in a stranger's words."""
    said = SAID.replace("<", "&lt;").replace(">", "&gt;")
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{said}</Message></Error>'


REFUSED = Refusal("*", "/", body=as_error())
"""Every request to every service, refused; `tables` are the ones that the libraries ask again after 5xx at once."""
TABLES = r"/(outcomes|outcomelog|worklist|items|runstate|\$batch)"
STORAGE = {
    "400": replace(REFUSED, status=400, code="InvalidInput"),
    "401": replace(REFUSED, status=401, code="NoAuthenticationInformation"),
    "403": REFUSED,
    "404": replace(REFUSED, status=404, code="ResourceNotFound"),
    "409": replace(REFUSED, status=409, code="EntityAlreadyExists"),
    "412": replace(REFUSED, status=412, code="UpdateConditionNotSatisfied"),
    "413": replace(REFUSED, status=413, code="RequestBodyTooLarge"),
    "429": replace(REFUSED, path=TABLES, status=429, code="TooManyRequests"),
    "500": replace(REFUSED, path=TABLES, status=500, code="InternalError"),
    "503": replace(REFUSED, path=TABLES, status=503, code="ServerBusy"),
    "a code that is none": replace(REFUSED, code=ADDRESS, body=as_error(ADDRESS)),
    "a page instead": replace(REFUSED, status=403, body=f"<html><title>{SAID}</title>"),
    "half of an answer": replace(REFUSED, status=200, body=f'{{"value": [{{"RowKey": "{SAID}'),
    "a list where an object should be": replace(REFUSED, status=200, body=json.dumps([SAID])),
    "wrong types": replace(REFUSED, status=200, body=json.dumps({"value": SAID, "odata.error": [SAID]})),
    "a cut connection": replace(REFUSED, path=TABLES, is_cut=True),
}
GRAPH_STATUSES = (400, 404, 408, 409, 410, 412, 413, 422, 423, 500, 502, 503, 504, 402, 403, 401, 429)
GRAPH = {
    **{
        str(status): Fault(FaultKind.STATUS, status=status, code="ErrorAccessDenied", message=SAID)
        for status in GRAPH_STATUSES
    },
    "a code that is none": Fault(FaultKind.STATUS, status=403, code=ADDRESS, message=SAID),
    "a code that is a token": Fault(FaultKind.STATUS, status=401, code=TOKEN, message=SAID),
    "a code that is a URL": Fault(FaultKind.STATUS, status=500, code=URL, message=SAID),
    "a page": Fault(FaultKind.BODY, status=502, body=f"<html>{SAID}"),
    "half of an answer": Fault(FaultKind.BODY, status=200, body=f'{{"value": [{{"subject": "{SAID}'),
    "a list where an object should be": Fault(FaultKind.BODY, status=200, body=json.dumps([SAID])),
    "wrong types": Fault(FaultKind.BODY, status=200, body=json.dumps({"value": [{"id": [SAID], "subject": {}}]})),
    "an error that is a text": Fault(FaultKind.BODY, status=400, body=json.dumps({"error": SAID})),
    "rows of wrong types": Fault(FaultKind.WRONG_TYPES),
    "no rows": Fault(FaultKind.WITHOUT_ROWS),
    "a link elsewhere": Fault(FaultKind.NEXT_LINK, link=URL),
    "a link that is none": Fault(FaultKind.NEXT_LINK, link=f"https://[{ADDRESS}"),
    "nothing": Fault(FaultKind.EMPTY, status=200),
    "a cut connection": Fault(FaultKind.RESET),
    "half of a body": Fault(FaultKind.TRUNCATED),
}


async def test_whatever_storage_answers(site: Site) -> None:
    """Functions fail, each told by type, place and code; the same worker goes on when storage does."""
    for name, refusal in STORAGE.items():
        await site.run_healthy()
        site.storage.refusals.append(refusal)
        found = await site.run_all()
        site.storage.refusals.clear()
        assert_nothing_private(name, found)
        assert len(found.errors) >= 3, (name, found)
        told = [fields_of(line.partition(" ")[2])["event"] for line in found.lines]
        assert told.count("run_failed") == len(found.errors), (name, found)
    assert (await site.run_healthy()).errors == []


async def test_whatever_graph_answers(site: Site) -> None:
    """Runs go on or fail, and what was said stays here."""
    for name, fault in GRAPH.items():
        site.begin_anew()
        await site.run_healthy()
        site.graph.control.add_fault(replace(fault, name=name))
        found = await site.run_all()
        site.graph.control.clear_faults()
        assert_nothing_private(name, found)
        assert name in {call.fault for call in site.graph.control.read_log()}, name
    struck = {call.fault for call in site.graph.control.read_log() if call.method == "POST" and call.fault}
    assert struck == GRAPH.keys()  # each a submission too, whose answer counts most
    assert (await site.run_healthy()).errors == []


async def test_storage_that_is_not_there(deployed: Path, storage_connection: str) -> None:
    """From the first invocation on, nothing listens at its address."""
    nowhere = re.sub(r"http://127\.0\.0\.1:[0-9]+", "http://127.0.0.1:1", storage_connection)
    async with run_app(deployed, storage_connection, SubmissionsStorage=nowhere) as app:
        found = await app.run_all()
    assert_nothing_private("no storage", found)
    assert len(found.errors) == len(TIMERS) + len(QUEUES)


async def test_graph_that_is_not_there(deployed: Path, storage_connection: str) -> None:
    """Connections are refused."""
    async with run_app(deployed, storage_connection, GRAPH_BASE_URL="http://127.0.0.1:1") as app:
        found = await app.run_all()
    assert_nothing_private("no Graph", found)
    assert any("code=ConnectError" in line for line in found.lines)


class NoToken(BaseHTTPRequestHandler):
    """The platform's identity endpoint, refusing in a stranger's words."""

    def do_GET(self) -> None:
        """Refuse."""
        body = json.dumps({"error": "invalid_request", "error_description": SAID, "correlation_id": SAID}).encode()
        self.send_response(400, SUBJECT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


async def test_no_token(deployed: Path, storage_connection: str) -> None:
    """The identity is refused, before anything is asked of storage: a timer fails, and says only that.

    The queue functions do too, but ask the blob and queue services, whose library waits a minute for its repeats.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), NoToken) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        identity = {
            "SubmissionsStorage": "",
            "SubmissionsStorage__credential": "managedidentity",
            "SubmissionsStorage__clientId": "9a4f1d20-6c3b-4e0f-8b57-1d2e3f4a5b6c",
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.server_port}/msi/token",
            "IDENTITY_HEADER": TOKEN.partition(" ")[2],
        }
        # Nothing is asked of these: the token comes first.
        hosts = {one: f"https://nobody.{one}.core.windows.net" for one in ("table", "queue", "blob")}
        uris = {f"SubmissionsStorage__{one}ServiceUri": uri for one, uri in hosts.items()}
        try:
            async with run_app(deployed, storage_connection, **identity, **uris) as app:
                found = heard(await app.worker._ask(json.dumps([invocation(name) for name in TIMERS])))
        finally:
            server.shutdown()
            thread.join()
    assert_nothing_private("no token", found)
    assert len(found.errors) == len(TIMERS)
    assert all("HttpResponseError at shared/adapters/storage.py:" in error for error in found.errors), found.errors


async def test_what_libraries_let_slip(site: Site) -> None:
    """Their loggers, a task that nobody awaited, a thread and an object that fail alone: the host hears nothing."""
    found = heard(await site.worker._ask(json.dumps(SAID)))
    assert (found.lines, found.written) == ([], "")
