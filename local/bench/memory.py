"""Peak memory of the app's process while a report with a 3 MB original goes through collect and submit.

Azurite and the simulator run in other processes. The idle process is the same one after a small report, with every
library loaded and every client connected; the peak is the kernel's own high-water mark.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from local.bench.figures import Figure, Target
from local.bench.stand_ins import ROOT, StandIns, start_stand_ins

LARGE_BYTES = 3_000_000
SMALL_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Memory:
    """The process's resident memory after a report, and its highest so far, in bytes."""

    now_bytes: int
    peak_bytes: int
    submitted: int


async def measure(large_bytes: int = LARGE_BYTES) -> list[Figure]:
    """The peak over the idle process, by the size of the original."""
    async with start_stand_ins() as stand_ins:
        await stand_ins.refill(1, SMALL_BYTES)
        async with _app_process(stand_ins) as app:
            idle = await _take_report(app)
            await stand_ins.deliver(1, large_bytes)
            busy = await _take_report(app)
    return [
        Figure(
            name=f"peak memory over the idle process, {large_bytes / 1e6:.1f} MB original",
            value=(busy.peak_bytes - idle.now_bytes) / 1e6,
            unit="MB",
            baseline=large_bytes / 1e6,
            target=Target("<=", 6),
            note=f"idle {idle.now_bytes / 1e6:.0f} MB, baseline: the original",
        )
    ]


@asynccontextmanager
async def _app_process(stand_ins: StandIns) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = stand_ins.environment(stand_ins.azurite.new_account())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "local.bench.app_process", "memory"),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _take_report(process: asyncio.subprocess.Process) -> Memory:
    """Let the app take the one report that waits; raises where it did not submit it."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the app's process has no pipes")
    process.stdin.write(b"\n")
    memory = Memory(**json.loads(await process.stdout.readline()))
    if memory.submitted != 1:
        raise RuntimeError(f"{memory.submitted} reports were submitted, not 1")
    return memory
