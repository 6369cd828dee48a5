"""`python -m shared.doctor` as an administrator runs it: a process, its lines, its exit code, nothing left behind."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.graph_simulator import Access, GraphSimulator, Source
from local.sample_tenant import CONTROL_MAILBOX, REPORTING_MAILBOX
from local.stack import start_stack
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, connect
from shared.doctor.findings import Mark
from shared.doctor.plan import NAMES
from shared.doctor.rendering import WIDTH
from shared.settings import Settings
from tests.doctor.clinic import SUBJECT, Clinic, clinic
from tests.doctor.processes import run_doctor
from tests.support.stage import settings_for

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text()
SAMPLES = re.findall(r"^```console\n\$ python -m shared\.doctor (.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
async def tenant(storage_connection: str) -> AsyncIterator[Clinic]:
    """Yield a healthy tenant."""
    async with clinic(storage_connection) as healthy:
        yield healthy


@pytest.fixture
async def up() -> AsyncIterator[tuple[dict[str, str], GraphSimulator]]:
    """Yield what `python -m local up` serves, and the settings for it, once the app has run there."""
    async with start_stack(datetime.now(UTC)) as stack, AsyncExitStack() as resources:
        environment = settings_for(stack.graph.base_url, stack.azurite.connection_string)
        await connect(Settings.load(environment), resources)
        yield environment, stack.graph


async def holdings(tenant: Clinic) -> dict[str, Any]:
    """Return everything that is in the tenant's storage."""
    clients = tenant.clients
    held: dict[str, Any] = {}
    for name in TABLES:
        held[name] = [dict(one) async for one in clients.tables.get_table_client(name).list_entities()]
    for name in QUEUES:
        held[name] = (await clients.queues.get_queue_client(name).get_queue_properties()).approximate_message_count
    for name in CONTAINERS:
        held[name] = [one async for one in clients.blobs.get_container_client(name).list_blob_names()]
    return held


def shown(output: str) -> str:
    """Return the output with the stand-in's port as the example settings have it."""
    return re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8089", output)


# --- The page's samples are what the command prints -----------------------------------------------------------------


async def test_the_healthy_sample(up: tuple[dict[str, str], GraphSimulator]) -> None:
    """The page's first sample is the output for the local tenant, to the letter; nothing goes to standard error."""
    arguments, sample = SAMPLES[0]
    environment, _ = up
    done = await run_doctor(environment, *arguments.removeprefix("--local").split())
    assert (done.exit_code, done.errors) == (0, "")
    assert shown(done.output) == sample


async def test_the_sick_sample(up: tuple[dict[str, str], GraphSimulator]) -> None:
    """The page's second sample is the output without the app's Graph role, to the letter."""
    arguments, sample = SAMPLES[1]
    environment, graph = up
    graph.control.set_source_access(Source.THREAT_SUBMISSIONS, Access.NOT_GRANTED)
    done = await run_doctor(environment, *arguments.removeprefix("--local").split())
    assert (done.exit_code, done.errors) == (1, "")
    assert shown(done.output) == sample


def test_the_page_explains_every_line() -> None:
    """Each line has its row in the page's table, in order, and no other is explained; so has each mark."""
    table = PAGE.split("## Every line", 1)[1].split("\n## ", 1)[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == NAMES
    assert set(re.findall(r"^\| `([\w ]+)` \|", PAGE.split("## Every line", 1)[0], re.MULTILINE)) == set(Mark)


# --- What it leaves and what it does not show -----------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--write",)])
async def test_nothing_stays_behind(tenant: Clinic, options: tuple[str, ...]) -> None:
    """Storage holds the same before and after, with and without effects; Microsoft was sent nothing."""
    before = await holdings(tenant)
    done = await run_doctor(tenant.environment, "--control-mailbox", CONTROL_MAILBOX, *options)
    assert done.exit_code == 0
    assert await holdings(tenant) == before
    assert {one.method for one in tenant.graph.log.select()} == {"GET"}
    assert tenant.graph.control.list_submissions() == ()


async def test_nothing_of_a_mail_or_a_secret_is_shown(tenant: Clinic) -> None:
    """Neither text nor JSON tells a subject, a sender, an account key or a token."""
    for output in ("text", "json"):
        done = await run_doctor(tenant.environment, "--output", output)
        assert not [secret for secret in (SUBJECT, "ann@", "bG9jYWw", "Bearer") if secret in done.output + done.errors]


async def test_every_line_is_narrow(tenant: Clinic) -> None:
    """Also with faults no line is wider than a terminal, and without one there is no colour."""
    done = await run_doctor(tenant.environment | {"REPORTING_MAILBOXES": "nobody@contoso.example"})
    assert done.exit_code == 1
    assert max(map(len, done.output.splitlines())) <= WIDTH
    assert "\x1b" not in done.output


# --- Options and settings -------------------------------------------------------------------------------------------


async def test_json_has_the_same_lines(tenant: Clinic) -> None:
    """`--output json` is one object, for programs."""
    done = await run_doctor(tenant.environment, "--output", "json")
    told = json.loads(done.output)
    names = [one["name"] for one in told["lines"]]
    assert (done.exit_code, told["green"], told["error"]) == (0, True, None)
    switched_off = {"user_submissions", "defender_alerts", "hunting"}
    assert names == [name for name in NAMES if name not in switched_off and not name.startswith("feedback_")]


async def test_local_settings_below_the_environment(tenant: Clinic) -> None:
    """`--local` fills in what the environment leaves out, and overrides nothing."""
    given = ("SubmissionsStorage", "GRAPH_BASE_URL")
    environment = {name: tenant.environment[name] for name in given}
    assert (await run_doctor(environment)).exit_code == 2
    assert (await run_doctor(environment, "--local")).exit_code == 0


async def test_wrong_settings() -> None:
    """One line names every bad setting and repeats no value; no other is tried; the exit code is 2."""
    done = await run_doctor({"TENANT_ID": "secret-4711", "QUOTA_PER_DAY": "many"})
    assert done.exit_code == 2
    assert all(name in done.output for name in ("TENANT_ID", "QUOTA_PER_DAY", "COLLECT_SCHEDULE", "SubmissionsStorage"))
    assert "4711" not in done.output + done.errors
    assert done.output.count("WRONG ") == 1
    assert done.output.count("not tried ") == len(NAMES) - 1
    told = json.loads((await run_doctor({}, "--output", "json")).output)
    assert (told["green"], [one["name"] for one in told["lines"]]) == (False, list(NAMES))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--control-mailbox", "nobody"), "must be a mail address"),
        (("--control-mailbox", REPORTING_MAILBOX.upper()), "names a reporting mailbox"),
        (("--output", "xml"), "invalid choice"),
        (("--verbose",), "unrecognized arguments"),
    ],
)
async def test_wrong_options(tenant: Clinic, arguments: tuple[str, ...], reason: str) -> None:
    """They end it with 2 before anything is asked."""
    done = await run_doctor(tenant.environment, *arguments)
    assert (done.exit_code, done.output, reason in done.errors) == (2, "", True)
    assert tenant.graph.log.select() == ()
