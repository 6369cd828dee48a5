"""The timers as they are deployed leave their heartbeats in real storage, whatever becomes of the run."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.storage import AzureTable
from shared.bootstrap import TABLES, open_storage
from shared.domain.planner import Limits
from shared.settings import StorageAccess
from shared.stores.heartbeats import TIMERS, read_heartbeats
from tests.doctor.processes import ROOT
from tests.doctor.refusing_proxy import Refusal, refusing_proxy
from tests.support.stage import settings_for

RUN = """
import asyncio, logging, sys
import function_app

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
functions = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}

async def run(names):
    for name in names:
        try:
            await functions[name](None)
        except Exception:
            print("rose from", name)
    await function_app._resources.aclose()

asyncio.run(run(sys.argv[1:]))
"""
NOWHERE = "http://127.0.0.1:1"
DEFAULT_LIMITS = Limits(per_window=150, per_day=10_000, reserved_for_people=10, reserved_for_urgent=20)


@pytest.fixture
async def runstate(storage_connection: str) -> AsyncIterator[AzureTable]:
    """Yield the table, made by an administrator's deployment."""
    async with AsyncExitStack() as resources:
        clients = await open_storage(StorageAccess(connection_string=storage_connection), None, resources)
        for name in TABLES:
            await clients.tables.create_table_if_not_exists(name)
        yield AzureTable(clients.tables.get_table_client("runstate"))


async def run(connection: str, *functions: str) -> str:
    """Run timers once, one after the other, in a process of their own; returns what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, *functions),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings_for(NOWHERE, connection)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), timeout=60)
    assert process.returncode == 0
    return output.decode()


async def test_every_timer_leaves_its_row(storage_connection: str, runstate: AzureTable) -> None:
    """All three, with time, duration, count and limits; Graph may be away, whose absence fails no run."""
    began = datetime.now(UTC)
    told = await run(storage_connection, *TIMERS)
    assert told.count("event=run_finished") == 3, told
    for found in await read_heartbeats(runstate):
        assert found.ended_at is not None
        assert began - timedelta(seconds=1) < found.ended_at < datetime.now(UTC)
        assert (found.count, found.limits, found.failed_at) == (0, DEFAULT_LIMITS, None)
        assert 0 < (found.took_ms or 0) < 60_000


async def test_a_failed_run_leaves_its_error(storage_connection: str, runstate: AzureTable) -> None:
    """Where the worklist is refused the run fails as before, and the row names the type of the error."""
    async with refusing_proxy(storage_connection, Refusal("GET", "/worklist")) as proxy:
        told = await run(proxy.connection, "dispatch")
    assert "event=run_failed function=dispatch error=HttpResponseError where=shared/" in told
    assert "rose from dispatch" in told
    (_, found, _) = await read_heartbeats(runstate)
    assert (found.error, found.ended_at, found.failed_at is not None) == ("HttpResponseError", None, True)


async def test_a_heartbeat_that_cannot_be_written_fails_no_run(storage_connection: str, runstate: AzureTable) -> None:
    """The run ends well and is told; so is that its row is missing."""
    async with refusing_proxy(storage_connection, Refusal("PATCH", "/runstate")) as proxy:
        told = await run(proxy.connection, "dispatch")
    assert "event=run_finished function=dispatch" in told
    assert "event=heartbeat_unwritten function=dispatch error=HttpResponseError" in told
    assert "rose from" not in told
    assert [found.ended_at for found in await read_heartbeats(runstate)] == [None, None, None]
