"""The app in the platform's worker for Python 3.13, under the settings that the template deploys.

`tests/app/worker_driver.py` runs in the worker's process and plays the host towards the worker's library. The worker's
environment is the prediction of an example deployment, value for value, and what `azure_addresses` adds to it: storage
is Azurite, Graph the simulator. Invariant: the process is gone behind the `with` block.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from local.graph_simulator import GraphSimulator, SimulatedTenant, SubmissionTraps
from local.sample_tenant import read_original, wrap_as_report_button
from local.setup import OLDER_WORKER_FOLDER, worker_python
from shared.codecs.rows import read_outcome
from shared.domain.model import Category, Outcome, State
from shared.settings import Settings
from tests.infra.predicted import Prediction, read_prediction
from tests.support.azure_addresses import ADDED, AzureAddresses, DeployedStorage, azure_addresses

NEWEST = "1.3.0"
OLDER = "1.2.1"
RELEASES = (NEWEST, OLDER)
"""Of the worker's library: the newest, and the last that fails under a switch that was deployed once."""
DRIVER = Path(__file__).resolve().parents[1] / "app" / "worker_driver.py"
QUEUES = {
    "intake_manual": "manual-submissions",
    "submit": "submissions",
    "record_poison_manual": "manual-submissions-poison",
    "record_poison_submission": "submissions-poison",
}
ANSWERS = {"notify": "notifications", "record_poison_notification": "notifications-poison"}
"""There only where reporters are answered."""
TIMERS = ("collect_reports", "dispatch", "settle_outcomes")
NO_WORKER = "no Functions worker on Python 3.13 was set up: `make setup-worker` does where it finds a Python 3.13"
SAMPLE_DOMAIN = "contoso.example"
_WORKERS_OWN = {"PATH", "LC_CTYPE"}
"""What the worker's process has besides: the way to programs, and what Python itself sets in the C locale."""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker that has loaded an app, or tried to: `found` is what it told about that."""

    process: asyncio.subprocess.Process
    found: Mapping[str, Any]

    async def invoke(self, *invocations: dict[str, Any]) -> list[dict[str, Any]]:
        """Run these invocations side by side; return their results in order."""
        results: list[dict[str, Any]] = await self._ask(json.dumps(invocations))
        return results

    async def environment(self) -> dict[str, str]:
        """Return the environment of the worker's process."""
        found: dict[str, str] = await self._ask("environment")
        return found

    async def modules(self) -> dict[str, str | None]:
        """Return the modules that the worker has imported by now, each with its file or folder where it has one."""
        imported: dict[str, str | None] = await self._ask("modules")
        return imported

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
async def worker(
    folder: Path,
    settings: Mapping[str, str],
    *,
    release: str = NEWEST,
    alone_with: Sequence[Path] = (),
    driver: Path = DRIVER,
) -> AsyncIterator[WorkerProcess]:
    """Run a worker on an app's folder with these app settings; skip the test where there is no Python 3.13.

    With `alone_with` it can import from the app's folder, these folders and the standard library, and nothing else.
    """
    python = worker_python()
    if python is None:
        pytest.skip(NO_WORKER)
    process = await asyncio.create_subprocess_exec(
        python,
        *(("-I", "-S") if alone_with else ("-P",)),
        driver,
        folder,
        *(alone_with or library_folders(release)),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        found = await told_by(process)
        assert found["release"] == release
        yield WorkerProcess(process, found)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), timeout=60)


def library_folders(release: str) -> tuple[Path, ...]:
    """Return where a release of the worker's library lies, if not with the other packages for Python 3.13."""
    return (OLDER_WORKER_FOLDER,) if release == OLDER else ()


@dataclass(frozen=True, slots=True)
class Site:
    """The app as it is deployed, running in a worker against storage and Graph of its own."""

    worker: WorkerProcess
    graph: GraphSimulator
    storage: DeployedStorage
    prediction: Prediction
    addresses: AzureAddresses

    async def run(self, name: str, body: str | None = None) -> None:
        """Invoke one function as the host would; fails unless it succeeds and returns nothing."""
        result = (await self.worker.invoke(invocation(name, body)))[0]
        assert result == {"succeeded": True, "error": None, "is_void": True}, f"{name}: {result}"

    def outcomes(self) -> list[Outcome]:
        """Return the rows of the table `outcomes`."""
        with self.storage.tables(self.prediction) as tables:
            return [read_outcome(dict(entity)) for entity in tables.get_table_client("outcomes").list_entities()]

    def taken(self, queue: str) -> list[str]:
        """Take every visible message off a queue; returns their bodies."""
        with self.storage.queues(self.prediction) as queues:
            client = queues.get_queue_client(queue)
            messages = list(client.receive_messages(max_messages=32))
            for message in messages:
                client.delete_message(message)
            return [message.content for message in messages]


@asynccontextmanager
async def run_site(
    folder: Path,
    storage: DeployedStorage,
    *,
    example: str = "production",
    release: str = NEWEST,
    added: Mapping[str, str] = MappingProxyType({}),
    alone_with: Sequence[Path] = (),
) -> AsyncIterator[Site]:
    """Run the app in `folder` under an example's deployed settings, with a tenant whose verdicts come at once.

    `added` are settings beside them, to show why they are not deployed. Fails where the app reaches for an address
    that is not one of its own, unless settings were added.
    """
    prediction = read_prediction(example)
    deployed = prediction.app_settings()
    parsed = Settings.load(deployed)
    async with GraphSimulator(tenant_of(parsed)) as graph:
        graph.control.set_submission_traps(SubmissionTraps(settle_at_once=True))
        storage.refill(prediction)
        account = prediction.data_account()
        async with azure_addresses(storage, account, parsed.tenant_id, graph.base_url) as addresses:
            environment = {**deployed, **added, **addresses.environment}
            async with worker(folder, environment, release=release, alone_with=alone_with) as running:
                yield Site(running, graph, storage, prediction, addresses)
            assert addresses.refused == [] or added


def tenant_of(settings: Settings) -> SimulatedTenant:
    """Return the tenant that an app's settings describe, with the mailboxes and folders that it reads."""
    tenant = SimulatedTenant(tenant_id=settings.tenant_id, domains=sorted(settings.tenant_domains))
    for mailbox in settings.reporting_mailboxes:
        tenant.add_mailbox(mailbox.address)
        tenant.add_folder(mailbox.address, mailbox.folder)
    return tenant


async def assert_only_deployed_settings(site: Site) -> None:
    """Fail unless the worker's environment is the template's: every value, and four added."""
    found = await site.worker.environment()
    deployed = site.prediction.app_settings()
    assert {name: found[name] for name in deployed} == deployed
    assert found.keys() - deployed.keys() - _WORKERS_OWN == ADDED


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


async def live_through_a_report(site: Site) -> None:
    """Collect, dispatch, submit, deliver once more and settle one report; fails where a step leaves another state."""
    deliver_report(site)
    await site.run("collect_reports")
    await site.run("dispatch")
    assert [one.state for one in site.outcomes()] == [State.DISPATCHED]
    message = site.taken("submissions")[0]
    results = await site.worker.invoke(invocation("submit", message), invocation("submit", message))
    assert [one["error"] for one in results] == [None, None]
    assert [one.state for one in site.outcomes()] == [State.SUBMITTED]
    await site.run("settle_outcomes")
    outcome = site.outcomes()[0]
    assert outcome.state is State.SETTLED
    assert outcome.verdict is not None
    assert len(site.graph.control.list_submissions()) == 1


def deliver_report(site: Site) -> None:
    """Deliver a report to the first mailbox that the app reads, as from somebody of the same domain."""
    now = datetime.now(UTC)
    mailbox = Settings.load(site.prediction.app_settings()).reporting_mailboxes[0].address
    domain = mailbox.partition("@")[2]
    original = read_original("card-suspended-ja", now).replace(SAMPLE_DOMAIN.encode(), domain.encode())
    sample = wrap_as_report_button(
        original,
        reporter=f"alice.meyer@{SAMPLE_DOMAIN}",
        category=Category.PHISHING,
        received_at=now,
        mailbox=mailbox,
    )
    headers = tuple((name, value.replace(SAMPLE_DOMAIN, domain)) for name, value in sample.headers)
    mail = replace(sample, from_address=sample.from_address.replace(SAMPLE_DOMAIN, domain), headers=headers)
    site.graph.tenant.deliver(mailbox, mail)


def assert_all_indexed(site: Site) -> None:
    """Fail unless the worker found the app's functions, each bound to its queue or schedule and to nothing else."""
    found = site.worker.found["functions"]
    is_answering = Settings.load(site.prediction.app_settings()).answers_reporters
    assert {name: bindings[0].get("queueName") for name, bindings in found.items()} == {
        **dict.fromkeys(TIMERS),
        **QUEUES,
        **(ANSWERS if is_answering else {}),
    }
    assert {bindings[0].get("schedule") for bindings in found.values()} == {
        None,
        "%COLLECT_SCHEDULE%",
        "%DISPATCH_SCHEDULE%",
        "%SETTLE_SCHEDULE%",
    }
    assert [len(bindings) for bindings in found.values()] == [1] * len(found)
