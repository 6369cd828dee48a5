"""The deployed files under the platform's own worker library on Python 3.13: indexed, and each function run.

The platform serves Python 3.13 with `azure-functions-runtime`. `worker_driver.py` plays the host towards it; storage is
Azurite, Graph the simulator. Only what is deployed lies in the app's folder.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient
from azure.storage.queue import QueueClient

from local.graph_simulator import GraphSimulator, SimulatedTenant, SubmissionTraps
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID, read_original, wrap_as_report_button
from local.setup import worker_python
from shared.adapters.storage import API_VERSION
from shared.codecs.rows import read_outcome
from shared.domain.model import Category, Outcome, State
from tests.support.stage import settings_for

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("worker_driver.py")
DEPLOYED = ("function_app.py", "host.json", "requirements.txt", "shared")
QUEUES = {
    "intake_manual": "manual-submissions",
    "submit": "submissions",
    "record_poison_manual": "manual-submissions-poison",
    "record_poison_submission": "submissions-poison",
}
TIMERS = ("collect_reports", "dispatch", "settle_outcomes")
NO_WORKER = "no Functions worker on Python 3.13 was set up: `make setup-worker` does where it finds a Python 3.13"
URL_REQUEST: dict[str, object] = {
    "schemaVersion": 1,
    "kind": "url",
    "category": "phishing",
    "requestedBy": "soc@contoso.example",
    "url": "https://login.contoso-example.test/reset",
}
AS_OBJECT = '''
import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="manual-submissions", connection="Store")
async def intake_manual(message: func.QueueMessage) -> None:
    """Take a message as an object."""
'''


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker that has loaded an app, or tried to: `found` is what it told about that."""

    process: asyncio.subprocess.Process
    found: Mapping[str, Any]

    async def invoke(self, *invocations: dict[str, Any]) -> list[dict[str, Any]]:
        """Run these invocations side by side; return their results in order."""
        results: list[dict[str, Any]] = await self._ask(json.dumps(invocations))
        return results

    async def modules(self) -> set[str]:
        """Return the names of the modules that the worker has imported by now."""
        return set(await self._ask(""))

    async def _ask(self, line: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()
        return await told_by(self.process)


async def told_by(process: asyncio.subprocess.Process) -> Any:
    """Return the process's next line, parsed."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout=60)
    assert line, "the worker ended"
    return json.loads(line)


@asynccontextmanager
async def worker(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[WorkerProcess]:
    """Run a worker on an app's folder with these app settings; skip the test where there is no Python 3.13."""
    python = worker_python()
    if python is None:
        pytest.skip(NO_WORKER)
    process = await asyncio.create_subprocess_exec(
        python,
        "-P",
        DRIVER,
        folder,
        cwd=folder,
        env={"PATH": os.environ["PATH"], **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield WorkerProcess(process, await told_by(process))
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), timeout=30)


@dataclass(frozen=True, slots=True)
class Site:
    """The app as it is deployed, running in a worker against storage and Graph of its own."""

    worker: WorkerProcess
    graph: GraphSimulator
    connection: str

    async def run(self, name: str, body: str | None = None) -> None:
        """Invoke one function as the host would; fails unless it succeeds and returns nothing."""
        result = (await self.worker.invoke(invocation(name, body)))[0]
        assert result == {"succeeded": True, "error": None, "is_void": True}, name

    def outcomes(self) -> list[Outcome]:
        """Return the rows of the table `outcomes`."""
        with TableClient.from_connection_string(self.connection, "outcomes") as table:
            return [read_outcome(dict(entity)) for entity in table.list_entities()]

    def taken(self, queue: str) -> list[str]:
        """Take every visible message off a queue; returns their bodies."""
        with QueueClient.from_connection_string(self.connection, queue, api_version=API_VERSION) as client:
            messages = list(client.receive_messages(max_messages=32))
            for message in messages:
                client.delete_message(message)
            return [message.content for message in messages]


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """Return a folder that holds what is deployed and nothing else."""
    folder = tmp_path / "wwwroot"
    folder.mkdir()
    for name in DEPLOYED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
async def site(deployed: Path, storage_connection: str) -> AsyncIterator[Site]:
    """Return the app in a worker, with an empty storage account and a tenant whose verdicts come at once."""
    tenant = SimulatedTenant(tenant_id=TENANT_ID, domains=DOMAINS)
    tenant.add_mailbox(REPORTING_MAILBOX)
    async with GraphSimulator(tenant) as graph:
        graph.control.set_submission_traps(SubmissionTraps(settle_at_once=True))
        async with worker(deployed, settings_for(graph.base_url, storage_connection)) as running:
            yield Site(running, graph, storage_connection)


def invocation(name: str, body: str | None = None) -> dict[str, Any]:
    """Return what the host sends to run a function: a timer's state, or a queue message with its metadata."""
    if name in TIMERS:
        status = {"Last": "2026-11-23T12:00:00+00:00", "Next": "2026-11-23T12:02:00+00:00", "LastUpdated": "x"}
        timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": True}
        return {"function": name, "parameter": "timer", "data": {"json": json.dumps(timer)}, "metadata": {}}
    return {
        "function": name,
        "parameter": "message",
        "data": {"string": body},
        "metadata": message_metadata(body or ""),
    }


def message_metadata(body: str) -> dict[str, dict[str, str]]:
    """Return the metadata as the host sends it: a JSON body's own keys replace it, as recorded from the real host."""
    moment = {"json": '"2026-11-30T12:00:00+00:00"'}
    metadata = {
        "Id": {"string": "6b9d2f4e"},
        "PopReceipt": {"string": "AgAAAA"},
        "DequeueCount": {"json": "1"},
        "ExpirationTime": moment,
        "InsertionTime": moment,
        "NextVisibleTime": moment,
    }
    try:
        own = json.loads(body)
    except ValueError:
        return metadata
    names = {name.lower(): name for name in metadata}
    own = own if isinstance(own, dict) else {}
    return metadata | {names[key.lower()]: {"string": str(own[key])} for key in own if key.lower() in names}


async def test_the_worker_indexes_the_deployed_files(site: Site) -> None:
    """The worker finds the seven functions with their queues and schedules, and says the same as the contract."""
    found = site.worker.found["functions"]
    assert {name: bindings[0].get("queueName") for name, bindings in found.items()} == {
        **dict.fromkeys(TIMERS),
        **QUEUES,
    }
    assert {bindings[0].get("schedule") for bindings in found.values()} == {
        None,
        "%COLLECT_SCHEDULE%",
        "%DISPATCH_SCHEDULE%",
        "%SETTLE_SCHEDULE%",
    }
    assert [len(bindings) for bindings in found.values()] == [1] * 7


async def test_a_report_reaches_its_verdict(site: Site) -> None:
    """Collect, dispatch, submit and settle run in the worker, and a report ends settled; a second delivery is quiet."""
    now = datetime.now(UTC)
    mail = wrap_as_report_button(
        read_original("card-suspended-ja", now),
        reporter="alice.meyer@contoso.example",
        category=Category.PHISHING,
        received_at=now,
        mailbox=REPORTING_MAILBOX,
    )
    site.graph.tenant.deliver(REPORTING_MAILBOX, mail)
    await site.run("collect_reports")
    await site.run("dispatch")
    assert [one.state for one in site.outcomes()] == [State.DISPATCHED]
    message = site.taken("submissions")[0]
    results = await site.worker.invoke(invocation("submit", message), invocation("submit", message))
    assert [one["succeeded"] for one in results] == [True, True]
    assert [one.state for one in site.outcomes()] == [State.SUBMITTED]
    await site.run("settle_outcomes")
    outcome = site.outcomes()[0]
    assert outcome.state is State.SETTLED
    assert outcome.verdict is not None
    assert len(site.graph.control.list_submissions()) == 1


async def test_operators_messages(site: Site) -> None:
    """A request is submitted; a body whose key takes a metadata name arrives all the same and is rejected in words."""
    await site.run("intake_manual", json.dumps(URL_REQUEST))
    await site.run("submit", site.taken("submissions")[0])
    await site.run("settle_outcomes")
    await site.run("intake_manual", '{"expirationTime":"never"}')
    await site.run("intake_manual", '{"dequeueCount":"x","schemaVersion":1}')
    await site.run("intake_manual", "")
    found = sorted((one.state, one.state_reason) for one in site.outcomes())
    assert found == [
        (State.REJECTED, "not_json"),
        (State.REJECTED, "reserved_field"),
        (State.REJECTED, "reserved_field"),
        (State.SETTLED, None),
    ]


async def test_poison_ends_in_rows(site: Site) -> None:
    """The two poison functions give their messages a final row and never fail, whatever the body."""
    await site.run("record_poison_manual", json.dumps(URL_REQUEST))
    await site.run("record_poison_manual", '{"expirationTime":"never"}')
    await site.run("intake_manual", json.dumps(URL_REQUEST | {"requestId": "case-2", "url": "https://b.example/"}))
    await site.run("record_poison_submission", site.taken("submissions")[0])
    await site.run("record_poison_submission", '{"id":7}')
    found = sorted((one.state, one.state_reason) for one in site.outcomes())
    assert found == [
        (State.FAILED, "poison_message"),
        (State.FAILED, "poison_message"),
        (State.REJECTED, "reserved_field"),
    ]
    assert site.graph.control.list_submissions() == ()


async def test_a_message_that_is_none_of_ours_fails(site: Site) -> None:
    """A stranger's message on `submissions` fails its invocation, so that the host moves it to poison; others run."""
    bad, good = await site.worker.invoke(invocation("submit", "hello"), invocation("dispatch"))
    assert not bad["succeeded"]
    assert bad["error"].startswith("UnreadableMessage")
    assert good["succeeded"]


async def test_no_generated_model_is_imported(site: Site) -> None:
    """After a submission the worker holds the SDK's transport, but none of its generated code."""
    await site.run("intake_manual", json.dumps(URL_REQUEST))
    await site.run("submit", site.taken("submissions")[0])
    await site.run("settle_outcomes")
    modules = await site.worker.modules()
    assert "msgraph_core" in modules
    assert {name for name in modules if name.startswith(("msgraph.generated", "msgraph_beta"))} == set()


async def test_wrong_settings_stop_the_worker(deployed: Path) -> None:
    """With settings missing the app does not start: the worker reports one error that names all of them."""
    settings = settings_for("http://127.0.0.1:1", None)
    missing = {"TENANT_ID", "COLLECT_SCHEDULE"}
    kept = {name: value for name, value in settings.items() if name not in missing}
    async with worker(deployed, kept) as running:
        assert running.found["error"].startswith("SettingsError: 2 wrong or missing app settings")
        assert all(name in running.found["error"] for name in missing)


async def test_bound_as_an_object_the_same_message_would_fail(tmp_path: Path) -> None:
    """Why messages are bound as `str`: as `func.QueueMessage` the key fails the invocation before the function."""
    (tmp_path / "function_app.py").write_text(AS_OBJECT)
    async with worker(tmp_path, {}) as running:
        bad, good = await running.invoke(
            invocation("intake_manual", '{"expirationTime":"never"}'), invocation("intake_manual", "{}")
        )
    assert (bad["succeeded"], good["succeeded"]) == (False, True)


def test_every_module_imports_on_python_313() -> None:
    """Python 3.13 has nothing to warn of in our modules, those of the adapters included."""
    python = worker_python()
    if python is None:
        pytest.skip(NO_WORKER)
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "shared").rglob("*.py")]
    code = f"import importlib\nfor name in {sorted(names)!r}: importlib.import_module(name.removesuffix('.__init__'))"
    done = subprocess.run(
        [python, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
