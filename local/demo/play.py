"""The demo from its first line to its exit code.

Everything runs inside nested `async with` blocks, so that Ctrl-C at any moment, an error and the normal end all take
the same way out: the app's process, Azurite and the simulator end, and no file stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from rich.console import Console

from local.demo.app_process import QUICK_SCHEDULES, AppEndedError, AppProcess, run_app
from local.demo.inflow import REPORTS_AT_FIRST, Inflow
from local.demo.judgement import Evidence, judge, name_unfinished
from local.demo.published_tables import PublishedTables, Row
from local.demo.screen import Progress, paint
from local.demo.summary import SHOWN_PROBLEMS, print_checks, print_endings, print_examples, print_further, print_list
from local.graph_simulator import Fault, FaultKind, Scope
from local.sample_tenant import sample_manual_messages, sample_reports
from local.setup import SetupError
from local.stack import Stack, start_stack
from shared.domain.lifecycle import FINAL_STATES

TIME_LIMIT_S: Final = 180
_LATENCIES = tuple(
    Fault(FaultKind.LATENCY, Scope(every=every), delay_s=delay_s)
    for every, delay_s in ((1, 0.02), (2, 0.02), (3, 0.04))
)
"""Together 20 to 80 ms a request, about what Graph takes from within its own region."""
_POLL_S = 0.4


class UnfinishedError(Exception):
    """Not every row was final in time; the text names those that were not."""


def main() -> int:
    """Run the demo; 0 if every check holds, 1 if not or if it could not run. Ctrl-C rises as KeyboardInterrupt."""
    console = Console(highlight=False)
    try:
        return asyncio.run(_play(console))
    except (AppEndedError, OSError, RuntimeError, SetupError, UnfinishedError) as error:
        console.print(f"\nThe demo failed: {error}", markup=False)
        return 1


async def _play(console: Console) -> int:
    now = datetime.now(UTC)
    async with AsyncExitStack() as resources:
        stack = await resources.enter_async_context(_stack(console, now))
        tables = await resources.enter_async_context(PublishedTables(stack.azurite.connection_string))
        inflow = Inflow(sample_reports(now), sample_manual_messages(now, stack.message_ids))
        inflow.deliver(stack.graph.tenant, REPORTS_AT_FIRST)
        app = await resources.enter_async_context(_app(console, stack))
        await _watch(console, stack, tables, inflow, app)
        evidence = await _collect_evidence(stack, tables, inflow, app)
        code = tell(console, evidence)
        await print_list(console, stack.azurite.connection_string)
    print_further(console)
    return code


@asynccontextmanager
async def _stack(console: Console, now: datetime) -> AsyncIterator[Stack]:
    started_s = time.monotonic()
    console.print("Defender Submissions, a demo on this machine alone\n", style="bold")
    console.print("Azurite and the Graph simulator start on free ports ...")
    async with start_stack(now, with_reports=False) as stack:
        for fault in _LATENCIES:
            stack.graph.faults.add(fault)
        console.print(f"  {time.monotonic() - started_s:.1f} s; Graph answers in 20 to 80 ms, verdicts take 1 to 6 s")
        yield stack


@asynccontextmanager
async def _app(console: Console, stack: Stack) -> AsyncIterator[AppProcess]:
    started_s = time.monotonic()
    console.print("The app starts: function_app.py and host.json as they are deployed ...")
    storage = stack.azurite.connection_string
    settings = {"AzureWebJobsStorage": storage, "SubmissionsStorage": storage, "GRAPH_BASE_URL": stack.graph.base_url}
    async with run_app(settings | QUICK_SCHEDULES) as app:
        console.print(
            f"  {time.monotonic() - started_s:.1f} s; timers faster than deployed: collect and dispatch every"
        )
        console.print("  5 s (not 2 min and 1 min), settle every 3 s (not 5 min)\n")
        yield app


async def _watch(console: Console, stack: Stack, tables: PublishedTables, inflow: Inflow, app: AppProcess) -> None:
    """Show how the rows come and go until all are final. Raises UnfinishedError after `TIME_LIMIT_S`."""
    rows: Sequence[Row] = ()
    people = asyncio.create_task(inflow.run(stack.graph.tenant, stack.azurite.connection_string, tables))
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            with Progress(console) as progress:
                while not (people.done() and _all_final(inflow, rows)):
                    _require_going_on(app, people)
                    rows = await tables.read_outcomes()
                    progress.show(paint(inflow, rows))
                    await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise UnfinishedError(_name_unfinished(inflow, rows)) from None
    finally:
        people.cancel()


def _require_going_on(app: AppProcess, people: asyncio.Task[None]) -> None:
    app.require_running()
    if people.done():
        people.result()


def _all_final(inflow: Inflow, rows: Sequence[Row]) -> bool:
    return len(rows) >= inflow.row_count and all(row["State"] in FINAL_STATES for row in rows)


def _name_unfinished(inflow: Inflow, rows: Sequence[Row]) -> str:
    names = name_unfinished(inflow.expectations, rows)
    missing = len(inflow.reports) - inflow.reports_in + len(inflow.messages) - inflow.messages_in
    lines = [*names[:SHOWN_PROBLEMS], f"{len(names)} in all; {missing} reports and messages never came in"]
    return f"not all was final within {TIME_LIMIT_S} s:\n" + "\n".join(f"  {line}" for line in lines)


async def _collect_evidence(stack: Stack, tables: PublishedTables, inflow: Inflow, app: AppProcess) -> Evidence:
    """Stop the app first, so that nothing moves any more."""
    modules = await app.stop()
    return Evidence(
        expectations=inflow.expectations,
        rows=await tables.read_outcomes(),
        feed=await tables.read_feed(),
        submissions=stack.graph.control.list_submissions(),
        requests=stack.graph.control.read_log(),
        modules=modules,
    )


def tell(console: Console, evidence: Evidence) -> int:
    """Print how it went; return the exit code, 0 if every check holds and 1 if not."""
    checks = judge(evidence)
    print_endings(console, evidence.rows)
    print_examples(console, evidence.rows)
    print_checks(console, checks)
    return 0 if all(check.holds for check in checks) else 1
