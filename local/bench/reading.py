"""Reading mail, today's build beside an older one: headers, body and attachments, and the campaign's fingerprint.

Each build reads the same mails in a process of its own, the processes in turn; judged is the least processor time, as
a ratio to the older build's. The mails are real ones where there is a folder of them, else the sample tenant's.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from local.bench import mail_reader
from local.bench.builds import Build
from local.bench.figures import Figure, Target
from local.bench.parsing import mails
from local.bench.side_by_side import SideBySide, least_of_pairs

STEPS = {
    "parts": ("headers, and every part decoded", Target("<=", 0.6)),
    "fingerprint": ("the same with the campaign's fingerprint", Target("<=", 0.7)),
}
_PROGRAM = Path(mail_reader.__file__).read_text(encoding="utf-8")
"""Run as text, so that the folder of the build, and not ours, is where modules are found."""


async def measure_reading(benches: SideBySide, rounds: int = 4) -> list[Figure]:
    """The processor time of a mail, for each of the steps."""
    read, source = mails()
    with TemporaryDirectory() as folder:
        await asyncio.to_thread(_lay_out, Path(folder), read)

        async def run(build: Build) -> dict[str, float]:
            return await _read(build, folder)

        pairs = [await benches.both(run) for _ in range(rounds)]
    return [_figure(step, pairs, f"{len(read)} {source}") for step in STEPS]


def _lay_out(folder: Path, contents: Sequence[bytes]) -> None:
    for number, content in enumerate(contents):
        (folder / f"{number:05}.eml").write_bytes(content)


def _figure(step: str, pairs: Sequence[tuple[dict[str, float], dict[str, float]]], note: str) -> Figure:
    name, target = STEPS[step]
    return least_of_pairs(name, "ms/mail", [(today[step], base[step]) for today, base in pairs], target, note)


async def _read(build: Build, folder: str) -> dict[str, float]:
    """What the build takes for a mail, in ms by step. Raises RuntimeError where its process fails."""
    path = os.pathsep.join([str(build.folder), str(build.packages)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, folder, *STEPS),
        cwd=build.folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{build.name} could not read the mails")
    found: dict[str, float] = json.loads(told)
    return found
