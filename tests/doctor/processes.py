"""The command and the app as processes of their own, with settings and nothing else in their environment."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTLE = """
import asyncio, logging, sys
import function_app

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
functions = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}

async def settle():
    await functions["settle_outcomes"](None)
    await function_app._resources.aclose()

asyncio.run(settle())
print(*sorted(sys.modules), sep="\\n")
"""
"""One run of the deployed function, by the code path that the platform takes; then what it has imported."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended."""

    exit_code: int
    output: str
    errors: str


async def run_doctor(environment: Mapping[str, str], *arguments: str) -> Ended:
    """Run the command to its end; a warning in it is an error."""
    async with started(environment, "-W", "error", "-m", "shared.doctor", *arguments) as process:
        return await ended(process)


async def run_settle(environment: Mapping[str, str]) -> Ended:
    """Run the app's function `settle_outcomes` once, in a process of its own."""
    async with started(environment, "-c", SETTLE) as process:
        return await ended(process)


@asynccontextmanager
async def started(environment: Mapping[str, str], *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a Python process in the app's folder; it does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Wait for a process and return what it wrote."""
    output, errors = await asyncio.wait_for(process.communicate(), timeout=60)
    return Ended(process.returncode or 0, output.decode(), errors.decode())
