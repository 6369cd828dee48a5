"""`python -m local.bench [NAME...]`: run the benchmarks, all or those named.

With `--base COMMIT` those that hold this checkout against another commit of it. Exit code 1 if a target is missed that
no measured limit explains, 130 on Ctrl-C. They run one after the other, because they share two cores. One that cannot
be measured counts as missed and holds up no other.
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
from functools import partial
from typing import Any

from local.bench import (
    campaign,
    cold_start,
    collecting,
    command_line,
    memory,
    parsing,
    reading,
    settling,
    standstill,
    statistics,
    storms,
    throughput,
    transactions,
)
from local.bench.builds import TODAY, exported
from local.bench.figures import Figure, write_line
from local.bench.side_by_side import SideBySide
from local.bench.wire_stage import wire_stage

Measure = Callable[[], Coroutine[Any, Any, list[Figure]]]
BENCHMARKS: dict[str, Measure] = {
    "cold-start": cold_start.measure,
    "command-line": command_line.measure,
    "parsing": parsing.measure,
    "throughput": throughput.measure,
    "transactions": transactions.measure,
    "statistics": statistics.measure,
    "memory": memory.measure,
    "storm-1000": storms.measure_small,
    "storm-10000": storms.measure_large,
    "standstill": standstill.measure,
    "campaign": campaign.measure,
}

Compare = Callable[[SideBySide], Coroutine[Any, Any, list[Figure]]]
COMPARISONS: dict[str, Compare] = {
    "new-words": settling.measure_new_words,
    "overdue": settling.measure_overdue,
    "covered": settling.measure_covered,
    "covered-verdict": settling.measure_covered_verdict,
    "uncertain": settling.measure_uncertain,
    "waiting": settling.measure_waiting,
    "after-stop": collecting.measure_after_stop,
    "hourly-list": collecting.measure_hourly_list,
    "deferred": collecting.measure_deferred,
    "graph-requests": collecting.measure_graph_requests,
    "old-originals": collecting.measure_old_originals,
    "processor": collecting.measure_processor,
    "reading": reading.measure_reading,
    "cold-start": collecting.measure_cold_start,
    "idle-day": collecting.measure_idle_day,
    "history": collecting.measure_history,
}
"""What takes a checkout and another commit of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; returns the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.bench", description="Speed, memory and quota figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all of them if none")
    parser.add_argument(
        "--base", metavar="COMMIT", help=f"compare with this commit; names are then of {', '.join(COMPARISONS)}"
    )
    asked = parser.parse_args(arguments)
    known = COMPARISONS if asked.base else BENCHMARKS
    names = asked.names or list(known)
    unknown = sorted(set(names) - known.keys())
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    logging.basicConfig(level=logging.ERROR)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors", flush=True)
    if asked.base:
        missed = asyncio.run(compare(names, asked.base))
    else:
        missed = [line for name in names for line in asyncio.run(run(name, BENCHMARKS[name]))]
    print(f"\n{len(missed)} targets missed" if missed else "\nall targets met")
    for line in missed:
        print(line)
    return 1 if missed else 0


async def compare(names: Sequence[str], commit: str) -> list[str]:
    """Hold this checkout against another commit of it; returns the lines of what missed its target."""
    async with exported(commit) as base, wire_stage() as stage:
        benches = SideBySide(stage, TODAY, base)
        print(f"baseline: the same of {commit}", flush=True)
        missed = list[str]()
        for name in names:
            missed += await run(name, partial(COMPARISONS[name], benches))
        return missed


async def run(name: str, measure: Measure) -> list[str]:
    """Run one benchmark and print its figures; returns the lines of those that missed their target."""
    print(f"\n{name}", flush=True)
    began_s = time.monotonic()
    try:
        figures = await measure()
    except Exception as error:  # noqa: BLE001 - the other benchmarks still have something to say
        line = f"  {name}: not measured, MISSED: {type(error).__name__}: {error}"
        print(line, flush=True)
        return [line]
    for figure in figures:
        print(write_line(figure))
    print(f"  ({time.monotonic() - began_s:.0f} s)", flush=True)
    return [write_line(figure) for figure in figures if not (figure.is_met or figure.is_explained)]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
