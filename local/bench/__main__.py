"""`python -m local.bench [NAME...]`: run the benchmarks, all or those named.

Exit code 1 if a target is missed, 130 on Ctrl-C. They run one after the other, because they share two cores. One that
cannot be measured counts as missed and holds up no other.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from local.bench import (
    campaign,
    cold_start,
    command_line,
    memory,
    parsing,
    standstill,
    storms,
    throughput,
    transactions,
)
from local.bench.figures import Figure, write_line

Measure = Callable[[], Coroutine[Any, Any, list[Figure]]]
BENCHMARKS: dict[str, Measure] = {
    "cold-start": cold_start.measure,
    "command-line": command_line.measure,
    "parsing": parsing.measure,
    "throughput": throughput.measure,
    "transactions": transactions.measure,
    "memory": memory.measure,
    "storm-1000": storms.measure_small,
    "storm-10000": storms.measure_large,
    "standstill": standstill.measure,
    "campaign": campaign.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; returns the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.bench", description="Speed, memory and quota figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all of them if none")
    names = parser.parse_args(arguments).names or list(BENCHMARKS)
    unknown = sorted(set(names) - BENCHMARKS.keys())
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    logging.basicConfig(level=logging.ERROR)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors", flush=True)
    missed = [line for name in names for line in run(name, BENCHMARKS[name])]
    print(f"\n{len(missed)} targets missed" if missed else "\nall targets met")
    for line in missed:
        print(line)
    return 1 if missed else 0


def run(name: str, measure: Measure) -> list[str]:
    """Run one benchmark and print its figures; returns the lines of those that missed their target."""
    print(f"\n{name}", flush=True)
    began_s = time.monotonic()
    try:
        figures = asyncio.run(measure())
    except Exception as error:  # noqa: BLE001 - the other benchmarks still have something to say
        line = f"  {name}: not measured, MISSED: {type(error).__name__}: {error}"
        print(line, flush=True)
        return [line]
    for figure in figures:
        print(write_line(figure))
    print(f"  ({time.monotonic() - began_s:.0f} s)", flush=True)
    return [write_line(figure) for figure in figures if not figure.is_met]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
