# ruff: noqa: T201 - the terminal is the user interface here
"""`python -m tests.fuzz`: try many inputs in two processes; `python -m tests.fuzz FILE...`: try kept ones again.

FUZZ_INPUTS says how many (200,000), FUZZ_SEED which (a new one each time; it is printed). Exit code 1 if an input
broke its promise; each is kept in `.local/fuzz` under the name of its target.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.fuzz.campaign import Tally, run_alone
from tests.fuzz.seeds import real_mails
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Finding, attempt

DEFAULT_INPUTS = 200_000
PROCESSES = 2


def main(arguments: Sequence[str]) -> int:
    """Try what is asked for; returns the process's exit code."""
    findings = try_again(arguments) if arguments else try_many()
    for finding in findings:
        path = finding.keep()
        print(f"FOUND {finding.target}: {finding.what}\n  again: {sys.executable} -m tests.fuzz {path}", flush=True)
    print(f"{len(findings)} inputs broke their promise" if findings else "every input was answered in time and memory")
    return 1 if findings else 0


def try_many() -> list[Finding]:
    """Try new inputs; what they found."""
    inputs = int(os.environ.get("FUZZ_INPUTS", DEFAULT_INPUTS))
    run_seed = int(os.environ.get("FUZZ_SEED", time.time_ns() % 1_000_000))
    mails = real_mails()
    print(f"{inputs:,} inputs, FUZZ_SEED={run_seed}, {len(mails)} real mails, {PROCESSES} processes", flush=True)
    began_s = time.monotonic()
    jobs = [(-(-inputs // PROCESSES), run_seed * PROCESSES + number, mails) for number in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        tallies = list(pool.map(run_alone, *zip(*jobs, strict=True)))
    for line in told(tallies):
        print(line)
    print(f"tried {sum(one.count for one in tallies):,} inputs in {time.monotonic() - began_s:.0f} s")
    return list({name: found for one in tallies for name, found in one.findings.items()}.values())


def told(tallies: Sequence[Tally]) -> list[str]:
    """A line for each target: inputs, slowest, most memory by size."""
    return [
        f"  {target:12} {sum(one.tried[target] for one in tallies):>8,} inputs, slowest "
        f"{max(one.slowest_s.get(target, 0) for one in tallies):.2f} s, "
        f"{sum(one.weighed.get(target, 0) for one in tallies):,} weighed"
        for target in TARGETS
    ]


def try_again(paths: Sequence[str]) -> list[Finding]:
    """Try kept inputs; the target is in the name."""
    answers = [attempt(Path(path).name.partition("-")[0], Path(path).read_bytes(), weigh=True) for path in paths]
    for path, answer in zip(paths, answers, strict=True):
        print(f"{path}: {answer.what if isinstance(answer, Finding) else answer}")
    return [answer for answer in answers if isinstance(answer, Finding)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
