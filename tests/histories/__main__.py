# ruff: noqa: T201 - the terminal is the user interface here
"""`python -m tests.histories`: run many random histories in two processes, or one again.

N says how many (200), FIRST the first seed (0), SEED runs that one again and tells it call by call (in `.local`). Exit
code 1 if a history broke a promise; each is named by its seed, which is all that it takes to run it again.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.histories.trial import DEFAULT_HISTORIES, PORTION, Result, portion, replay

PROCESSES = 2
SHOWN = 5
TELLS_EVERY_S = 20.0


def main() -> int:
    """Run what is asked for; returns the process's exit code."""
    if os.environ.get("SEED"):
        return again(int(os.environ["SEED"]))
    return many(int(os.environ.get("N") or DEFAULT_HISTORIES), int(os.environ.get("FIRST") or 0))


def again(seed: int) -> int:
    """Run one history again, and say where every call of it is told."""
    result, told_in = replay(seed)
    for finding in result.findings:
        print(f"FOUND {finding.kind}\n  {finding.what}")
    print(f"history {seed}: {result.rows} rows, {result.submissions} submissions, {result.hours:.1f} hours")
    print(f"ended as {result.digest}, told in {told_in}")
    return 1 if result.findings else 0


def many(histories: int, first: int) -> int:
    """Run the histories `first` to `first + histories - 1`."""
    began_s = told_s = time.monotonic()
    print(f"histories {first} to {first + histories - 1}, {PROCESSES} processes", flush=True)
    starts = range(first, first + histories, PORTION)
    results: list[Result] = []
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(portion, start, min(start + PORTION, first + histories)) for start in starts]
        for job in as_completed(jobs):
            results += job.result()
            for one in job.result():
                tell(one)
            if time.monotonic() - told_s > TELLS_EVERY_S:
                told_s = time.monotonic()
                failed = sum(bool(one.findings) for one in results)
                print(f"  {len(results):,} of {histories:,} in {told_s - began_s:.0f} s, {failed} failed", flush=True)
    return summary(results, first, time.monotonic() - began_s)


def tell(result: Result) -> None:
    """Name a history that failed."""
    if result.findings:
        kinds = ", ".join(sorted({finding.kind for finding in result.findings}))
        print(f"FAILED {result.seed}: {kinds}", flush=True)


def summary(results: Iterable[Result], first: int, took_s: float) -> int:
    """Say what was found, by kind; returns the exit code."""
    results = sorted(results, key=lambda one: one.seed)
    by_kind: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for result in results:
        for finding in result.findings:
            by_kind[finding.kind].setdefault(result.seed, finding.what)
    for kind, seeds in sorted(by_kind.items(), key=lambda one: -len(one[1])):
        seed, what = next(iter(seeds.items()))
        named = ", ".join(map(str, list(seeds)[:SHOWN])) + (", ..." if len(seeds) > SHOWN else "")
        print(f"{kind}: in {len(seeds)} histories ({named})\n  {seed}: {what}\n  again: make histories SEED={seed}")
    rows, submissions = sum(one.rows for one in results), sum(one.submissions for one in results)
    failed = sum(bool(one.findings) for one in results)
    print(
        f"seeds {first} to {results[-1].seed}: {len(results):,} histories, {rows:,} rows, {submissions:,} submissions, "
        f"{sum(one.calls for one in results):,} calls, {sum(one.hours for one in results) / 24:,.0f} days, "
        f"in {took_s:.0f} s: {failed or 'none'} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
