"""The command line as processes of their own: how long each takes, its peak memory, and how often it asks storage.

A small process starts the command and waits for it. The kernel counts what a process held before it became another
program, so that a command started by the benchmark itself would be charged with the benchmark's memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.bench.stand_ins import ROOT

COMMAND = ("-m", "shared.cli")

_STARTER = """
import json, os, subprocess, sys, time
with open(sys.argv[1], "wb") as rows:
    began_s = time.perf_counter()
    process = subprocess.Popen([sys.executable, *sys.argv[2:]], stdout=rows, stderr=subprocess.PIPE)
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began_s
peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
code = os.waitstatus_to_exitcode(status)
print(json.dumps({"code": code, "seconds": seconds, "peak_bytes": peak_bytes, "told": told.decode()}))
"""
_COUNTER = """
import sys
from azure.core.pipeline.transport import AioHttpTransport
from shared.cli.__main__ import main
send, sent = AioHttpTransport.send, []
def counted(transport, request, **options):
    sent.append(request)
    return send(transport, request, **options)
AioHttpTransport.send = counted
code = main(sys.argv[1:])
print(len(sent), file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process took: wall time, peak resident memory, the lines of its output, and what it told on stderr."""

    seconds: float
    peak_bytes: int
    lines: int
    told: str


async def start_python(*arguments: str, connection: str | None = None) -> Spent:
    """Run an interpreter to its end. Raises RuntimeError with its last words where it does not end with 0."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        told = await _start([str(output), *arguments], connection)
        if told["code"] != 0:
            raise RuntimeError(f"{' '.join(arguments[:3])} ended with {told['code']}: {told['told'].strip()[-200:]}")
        with output.open("rb") as rows:
            lines = sum(1 for _ in rows)
    return Spent(told["seconds"], told["peak_bytes"], lines, told["told"])


async def run_command(connection: str | None, *arguments: str) -> Spent:
    """Run the command line to its end, against the account of a connection string; raises as `start_python`."""
    return await start_python(*COMMAND, *arguments, connection=connection)


async def count_requests(connection: str, *arguments: str) -> int:
    """How many requests the command sends to storage; raises as `start_python`."""
    return int((await start_python("-c", _COUNTER, *arguments, connection=connection)).told.split()[-1])


async def _start(arguments: Sequence[str], connection: str | None) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _STARTER, *arguments),
        cwd=ROOT,
        env=_environment(connection),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    told: dict[str, Any] = json.loads(output)
    return told


def _environment(connection: str | None) -> dict[str, str]:
    """This one, without what may name another account; output has the form that a pipe gets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("Submissions")}
    return kept if connection is None else {**kept, "SubmissionsStorage": connection}
