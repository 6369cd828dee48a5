"""What the deployed app sends to Application Insights: its events, once each, and nothing that a mail says.

The app's own functions run in a fresh process, with the real exporter, against Azurite, the Graph simulator and an
ingestion endpoint on this machine.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.graph_simulator import GraphSimulator, SimulatedTenant, SubmissionTraps
from local.sample_tenant import (
    DOMAINS,
    ORIGINALS,
    PEOPLE,
    REPORTING_MAILBOX,
    TENANT_ID,
    populate,
    read_facts,
    read_original,
    sample_manual_messages,
)
from local.setup import worker_python
from shared.telemetry import CONNECTION_STRING, WORKER_EXPORTS, Event
from tests.support.ingestion import INSTRUMENTATION_KEY, Ingestion, ingestion
from tests.support.stage import settings_for

ROOT = Path(__file__).resolve().parents[2]
RUN_ALL = """
import asyncio, json, logging, os, sys
from azure.storage.queue import QueueClient
from shared.adapters.storage import API_VERSION
import function_app

lines = []
keep = logging.Handler()
keep.emit = lambda record: lines.append(record.getMessage())
logging.getLogger().addHandler(keep)
logging.getLogger().setLevel(logging.INFO)
call = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}

async def deliver(name, queue):
    account = os.environ["SubmissionsStorage"]
    with QueueClient.from_connection_string(account, queue, api_version=API_VERSION) as client:
        bodies = [message.content for message in client.receive_messages(messages_per_page=32, visibility_timeout=60)]
    for body in bodies:
        await call[name](body)

async def everything():
    try:
        await call["submit"]("eve@fabrikam.example sent no such message")
    except Exception:
        pass
    logging.getLogger("azure.core").warning("GET https://graph.microsoft.com/v1.0/users/eve@fabrikam.example")
    for body in json.loads(sys.stdin.read()):
        await call["intake_manual"](body)
    await call["collect_reports"](None)
    await deliver("submit", "submissions")
    await call["record_poison_manual"]('{"requestedBy":"soc@contoso.example","note":"eve@fabrikam.example"}')
    await call["settle_outcomes"](None)
    await function_app._resources.aclose()

asyncio.run(everything())
print(json.dumps([line for line in lines if line.startswith("event=")]))
"""
TWO_CALLS = """
import asyncio, os
import function_app
from shared.bootstrap import send_events

send_events(os.environ)  # as a first invocation does whose storage then does not answer
call = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}

async def dispatch_twice():
    await call["dispatch"](None)
    await call["dispatch"](None)
    await function_app._resources.aclose()

asyncio.run(dispatch_twice())
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process of the app: what it wrote to its log, and what arrived."""

    lines: list[str] = field(default_factory=list)
    arrived: Ingestion = field(default_factory=lambda: Ingestion(0))

    def messages(self) -> list[dict[str, Any]]:
        """The data of each log item that arrived."""
        return [item["data"]["baseData"] for item in self.arrived.items()]


async def run(python: Path | str, program: str, settings: Mapping[str, str], told: str = "") -> str:
    """Run a program in the app's folder with these app settings; returns what it printed. Warnings are errors."""
    process = await asyncio.create_subprocess_exec(
        python,
        "-W",
        "error",
        "-c",
        program,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(told.encode()), timeout=90)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def run_everything(python: Path | str, connection: str, folder: Path) -> Run:
    """Run every function over the whole sample tenant, and a mailbox that Graph does not open."""
    now = datetime.now(UTC)
    tenant = SimulatedTenant(tenant_id=TENANT_ID, domains=DOMAINS)
    messages = sample_manual_messages(now, populate(tenant, now))
    async with GraphSimulator(tenant) as graph:
        graph.control.set_submission_traps(SubmissionTraps(settle_at_once=True))
        with ingestion() as arrived:
            settings = settings_for(graph.base_url, connection) | {
                "REPORTING_MAILBOXES": f"{REPORTING_MAILBOX},nobody@contoso.example",
                CONNECTION_STRING: arrived.connection_string,
                WORKER_EXPORTS: "true",
                "TMPDIR": str(folder),
            }
            told = await run(python, RUN_ALL, settings, json.dumps([message.body for message in messages]))
    return Run(json.loads(told), arrived)


@pytest.fixture
async def everything(storage_connection: str, tmp_path: Path) -> Run:
    """Return what this Python's app sent."""
    return await run_everything(sys.executable, storage_connection, tmp_path)


def secrets() -> set[str]:
    """Return what must never leave: addresses, subjects, message ids, URLs, tokens."""
    facts = [read_facts(read_original(original.name, datetime.now(UTC))) for original in ORIGINALS]
    found = {f"@{domain}" for domain in DOMAINS} | {one.sender for one in facts} | set(PEOPLE)
    found |= {one.subject for one in facts if len(one.subject) > 8} | {one.internet_message_id for one in facts}
    return {one for one in found if one} | {"http://", "https://", "Bearer", "eve@fabrikam.example", "/users/", "%40"}


async def test_each_event_arrives_once_with_its_fields(everything: Run) -> None:
    """Every line of the log is there exactly once, in order, each field as a property beside it."""
    messages = everything.messages()
    assert [message["message"] for message in messages] == everything.lines
    for message in messages:
        pairs = dict(pair.split("=", 1) for pair in message["message"].split(" "))
        properties = message["properties"]
        assert properties.pop("logger_name") == "shared.telemetry"
        assert properties == pairs
        assert set(pairs) <= {"event", *Event[pairs["event"].upper()].fields}
    told = {message["properties"]["event"] for message in messages}
    assert told >= {"submitted", "settled", "backlog", "quota_used", "run_finished", "run_failed", "poison_recorded"}
    assert told >= {"request_accepted", "request_rejected", "reports_collected", "mailbox_unreachable"}
    assert len(messages) > 100


async def test_nothing_that_a_mail_says_arrives(everything: Run) -> None:
    """No request, span, dependency, metric or library's line: and so no address, subject, message id, URL or token."""
    arrived = everything.arrived
    assert {item["data"]["baseType"] for item in arrived.items()} == {"MessageData"}
    assert {item["iKey"] for item in arrived.items()} == {INSTRUMENTATION_KEY}
    assert set(arrived.paths) == {"/v2.1/track"}
    text = "\n".join(json.dumps(json.loads(text), ensure_ascii=False) for text in arrived.texts)
    assert [secret for secret in secrets() if secret.lower() in text.lower()] == []


async def test_levels_arrive_as_severities(everything: Run) -> None:
    """Information is 1, a warning 2, an error 3, as queries read them; none is sampled."""
    by_event = {one["properties"]["event"]: one["severityLevel"] for one in everything.messages()}
    assert (by_event["submitted"], by_event["mailbox_unreachable"], by_event["run_failed"]) == (1, 2, 3)
    assert {item.get("sampleRate", 100.0) for item in everything.arrived.items()} == {100.0}


async def test_the_same_on_python_313(storage_connection: str, tmp_path: Path) -> None:
    """The exporter sends the same from Python 3.13."""
    python = worker_python()
    if python is None:
        pytest.skip("no Python 3.13 was set up: `make setup-worker` does where it finds one")
    done = await run_everything(python, storage_connection, tmp_path)
    assert [message["message"] for message in done.messages()] == done.lines
    assert len(done.lines) > 100


@pytest.mark.parametrize("missing", [CONNECTION_STRING, WORKER_EXPORTS])
async def test_without_both_settings_nothing_is_sent(storage_connection: str, missing: str) -> None:
    """Where the host forwards the lines the app sends none, for they would come twice; nor where it cannot."""
    with ingestion() as arrived:
        both = {CONNECTION_STRING: arrived.connection_string, WORKER_EXPORTS: "true"}
        del both[missing]
        await run(sys.executable, TWO_CALLS, settings_for("http://127.0.0.1:1", storage_connection) | both)
    assert arrived.texts == []


async def test_a_second_invocation_sends_no_event_twice(storage_connection: str, tmp_path: Path) -> None:
    """Sending begins with the first invocation, and once."""
    with ingestion() as arrived:
        settings = settings_for("http://127.0.0.1:1", storage_connection) | {
            CONNECTION_STRING: arrived.connection_string,
            WORKER_EXPORTS: "1",
            "TMPDIR": str(tmp_path),
        }
        await run(sys.executable, TWO_CALLS, settings)
    sent = Run([], arrived).messages()
    assert [one["properties"]["function"] for one in sent] == ["dispatch", "dispatch"]


async def test_a_wrong_connection_string_stops_nothing(storage_connection: str, tmp_path: Path) -> None:
    """The functions do their work; the log says why nothing is heard of them."""
    settings = settings_for("http://127.0.0.1:1", storage_connection) | {
        CONNECTION_STRING: "not-a-connection-string",
        WORKER_EXPORTS: "true",
        "TMPDIR": str(tmp_path),
    }
    program = f"import logging, sys\nlogging.basicConfig(stream=sys.stdout, level=logging.INFO)\n{TWO_CALLS}"
    told = await run(sys.executable, program, settings)
    assert "event=events_unsent error=ValueError" in told
    assert told.count("event=run_finished function=dispatch") == 2
