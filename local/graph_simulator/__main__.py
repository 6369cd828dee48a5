"""The simulator as a process: `python -m local.graph_simulator --port 0 --announce FILE`.

It writes its base url into the announce file once it serves, and serves until SIGTERM or SIGINT.
"""

import argparse
import asyncio
import signal
from pathlib import Path

from local.graph_simulator.server import GraphSimulator
from local.graph_simulator.tenant import DEFAULT_TENANT_ID, SimulatedTenant


def parse_arguments() -> argparse.Namespace:
    """Return the command line's values."""
    parser = argparse.ArgumentParser(prog="local.graph_simulator", description="A stand-in for Microsoft Graph.")
    parser.add_argument("--port", type=int, default=0, help="loopback port, 0 for a free one")
    parser.add_argument("--announce", type=Path, help="file that receives the base url once the simulator serves")
    parser.add_argument("--tenant-id", default=DEFAULT_TENANT_ID)
    parser.add_argument("--domain", action="append", help="a domain of the tenant; may be repeated")
    return parser.parse_args()


def announce(path: Path, base_url: str) -> None:
    """Write the base url in one step, so that a waiting reader never sees half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(base_url, encoding="utf-8")
    draft.replace(path)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until a signal asks to stop."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    tenant = SimulatedTenant(arguments.tenant_id, arguments.domain or ("contoso.com",))
    async with GraphSimulator(tenant, port=arguments.port) as simulator:
        if arguments.announce is not None:
            announce(arguments.announce, simulator.base_url)
        print(simulator.base_url, flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(parse_arguments()))
