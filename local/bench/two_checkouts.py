"""`python -m local.bench.two_checkouts EARLIER [LATER]`: the cold start of two checkouts of this repo, taking turns.

Each turn is a new interpreter in a checkout's folder, under what that checkout's template sets for the platform: it
imports the app and runs its first invocation, a collection of an empty mailbox. Both run on the one Python that has
what each of them requires; byte code is on disk. Judged is processor time. Exit code 1 if the later one is slower.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.bench.builds import template_settings
from local.bench.figures import Figure, Target, paired, write_line
from local.bench.stand_ins import ROOT, StandIns, start_stand_ins

TURNS = 15
NO_SLOWER = Target("<=", 1.03)
"""What is left between two runs of one and the same checkout is less."""
_OF_THE_PLATFORM = ("APPLICATIONINSIGHTS_CONNECTION_STRING", "PYTHON_")
_NOWHERE = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:9/"
_PROGRAM = """
import asyncio, json, logging, os, sys, time
logging.disable(logging.CRITICAL)
began_s = time.process_time()
import function_app
imported_s = time.process_time()
from azure.functions.timer import TimerRequest
calls = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}
asyncio.run(calls["collect_reports"](TimerRequest(past_due=False)))
ended_s = time.process_time()
print(json.dumps([imported_s - began_s, ended_s - began_s, len(sys.modules)]), flush=True)
os._exit(0)
"""


async def measure(earlier: Path, later: Path, python: str, turns: int = TURNS) -> list[Figure]:
    """Imports alone, and imports with the first invocation: the later checkout, with the earlier as its baseline."""
    async with start_stand_ins() as stand_ins:
        await stand_ins.refill(0, 0)
        for folder in (earlier, later):  # writes what byte code is missing
            await _start(folder, python, stand_ins)
        before: list[list[float]] = []
        after: list[list[float]] = []
        for turn in range(turns):  # whoever comes second may find the machine in another state, so it is each in turn
            pair = [(earlier, before), (later, after)]
            for folder, told in pair if turn % 2 else reversed(pair):
                told.append(await _start(folder, python, stand_ins))
    modules = f"{after[0][2]:,.0f} modules, before {before[0][2]:,.0f}"
    return [
        _figure("import function_app", [one[0] for one in after], [one[0] for one in before], ""),
        _figure("import and first invocation", [one[1] for one in after], [one[1] for one in before], modules),
    ]


def platform_settings(checkout: Path) -> dict[str, str]:
    """Return what a checkout's template sets for the platform's worker; what is sent to Azure goes nowhere."""
    settings = template_settings(checkout)
    found = {name: value for name, value in settings.items() if name.startswith(_OF_THE_PLATFORM)}
    return found | ({"APPLICATIONINSIGHTS_CONNECTION_STRING": _NOWHERE} if found else {})


async def _start(checkout: Path, python: str, stand_ins: StandIns) -> list[float]:
    environment: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        **platform_settings(checkout),
        **stand_ins.environment(stand_ins.azurite.new_account()),
    }
    command = [python, "-c", _PROGRAM]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=checkout, env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the app of {checkout} did not run; does {python} have what it requires?")
    told: list[float] = json.loads(output)
    return told


def _figure(name: str, values: Sequence[float], baselines: Sequence[float], note: str) -> Figure:
    return paired(name, "s processor time", values, baselines, NO_SLOWER, note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.bench.two_checkouts", description="Cold start of two.")
    parser.add_argument("earlier", type=Path, help="folder of the checkout to compare with")
    parser.add_argument("later", type=Path, nargs="?", default=ROOT, help="folder of the other one; this one if none")
    parser.add_argument("--python", default=sys.executable, help="a Python with what both require")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"interpreters of each; {TURNS} if not said")
    asked = parser.parse_args(arguments)
    python = str(Path(asked.python).absolute())  # not resolved: a virtual environment's Python is a link
    figures = asyncio.run(measure(asked.earlier.resolve(), asked.later.resolve(), python, asked.turns))
    for figure in figures:
        print(write_line(figure))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
