"""What stands in for Azure and Microsoft on this machine: Azurite, and a Graph simulator with the sample tenant in it.

The demo starts both on free ports; `python -m local up` starts them where `local.settings.example.json` looks for
them. The invariant: both live in memory, for one `with` block, and nothing of them is left behind it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from local.azurite import DEFAULT_PORTS, FREE_PORTS, Azurite
from local.demo.app_process import QUICK_SCHEDULES, AppEndedError, run_app
from local.graph_simulator import GraphSimulator, SimulatedTenant
from local.sample_tenant import CONTROL_MAILBOX, DOMAINS, REPORTING_MAILBOX, SIMULATED_VERDICTS, TENANT_ID, populate
from local.setup import SetupError

GRAPH_PORT = 8089
"""Where `GRAPH_BASE_URL` in `local.settings.example.json` points."""

_INSTRUCTIONS = f"""
  Azurite            {", ".join(map(str, DEFAULT_PORTS))} on 127.0.0.1: blobs, queues, tables
  Graph simulator    {{base_url}}
  Sample tenant      {{report_count}} reports wait in {REPORTING_MAILBOX}
"""
_APP_BY_HAND = """\
Now, in another terminal and this folder:

  cp local.settings.example.json local.settings.json
  source .venv/bin/activate && func start     # with Azure Functions Core Tools
  .venv/bin/python -m local.functions_host    # without them: the stand-in

The app collects the reports at the next even minute. docs/local.md says where
to look then. All is in memory and ends with this command; Ctrl-C ends it.
"""

_WITH_APP = """\
The app runs, with timers of 3 to 5 seconds. Try, in another terminal and this
folder, with `submissions` for `.venv/bin/python -m shared.cli`:

  submissions --local list
  submissions --local show <an id, or how it begins>
  submissions --local submit url https://lure.example/login \\
      --category phishing --requested-by me@contoso.example --wait
  submissions --local watch

All is in memory and ends with this command; Ctrl-C ends it.
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """The running stand-ins. `message_ids` names the mails in the people's mailboxes, by the name of the original."""

    azurite: Azurite
    graph: GraphSimulator
    message_ids: Mapping[str, str]


@asynccontextmanager
async def start_stack(
    now: datetime, *, storage_ports: tuple[int, int, int] = FREE_PORTS, graph_port: int = 0, with_reports: bool = True
) -> AsyncIterator[Stack]:
    """Yield both stand-ins, serving; the sample tenant's mail is dated relative to `now` (aware UTC).

    Raises OSError or RuntimeError where a port is taken, and SetupError where Azurite is not installed.
    """
    tenant = SimulatedTenant(TENANT_ID, DOMAINS)
    message_ids = populate(tenant, now, with_reports=with_reports)
    tenant.add_mailbox(CONTROL_MAILBOX, app_may_read=False)
    async with GraphSimulator(tenant, port=graph_port) as graph, Azurite(storage_ports) as azurite:
        for item, verdict in SIMULATED_VERDICTS.items():
            graph.control.set_verdict(item, verdict)
        yield Stack(azurite, graph, message_ids)


def run_up(*, with_app: bool = False) -> int:
    """Run `python -m local up` until Ctrl-C or SIGTERM; 0 after that, 1 with a text where it cannot start."""
    try:
        asyncio.run(_serve(with_app=with_app))
    except (AppEndedError, OSError, RuntimeError, SetupError) as error:
        print(f"cannot start: {error}\nIs another one running? Each port can be used once.", file=sys.stderr)
        return 1
    return 0


async def _serve(*, with_app: bool) -> None:
    stopping = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    async with start_stack(datetime.now(UTC), storage_ports=DEFAULT_PORTS, graph_port=GRAPH_PORT) as stack:
        print(_INSTRUCTIONS.format(base_url=stack.graph.base_url, report_count=_count_reports(stack)), flush=True)
        if not with_app:
            print(_APP_BY_HAND, flush=True)
            await stopping.wait()
            return
        async with run_app(QUICK_SCHEDULES) as app:
            print(_WITH_APP, flush=True)
            while not stopping.is_set():
                app.require_running()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), 1)


def _count_reports(stack: Stack) -> int:
    mailbox = stack.graph.tenant.find_mailbox(REPORTING_MAILBOX)
    return 0 if mailbox is None else len(mailbox.messages)
