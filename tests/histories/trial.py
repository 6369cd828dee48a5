"""Trying histories: one by its seed, a portion of many, or one again with everything told."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.histories.history import History
from tests.histories.judge import Finding, findings_of

DEFAULT_HISTORIES = 200
PORTION = 20
"""How many histories a process runs before it tells of them."""
KEPT_IN = Path(".local") / "histories"


@dataclass(frozen=True, slots=True)
class Result:
    """What a history came to."""

    seed: int
    findings: tuple[Finding, ...]
    digest: str
    rows: int
    submissions: int
    calls: int
    hours: float


@contextmanager
def silence() -> Iterator[None]:
    """Keep the product's log out of it: thousands of lines that nobody reads."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def trial(seed: int) -> Result:
    """Run one history and judge it."""
    return _tried(History(seed))


def portion(first: int, end: int) -> list[Result]:
    """Run the histories from `first` to before `end`."""
    return [trial(seed) for seed in range(first, end)]


def replay(seed: int) -> tuple[Result, Path]:
    """Run one history again; returns its result and the file that tells every call and every failure."""
    history = History(seed, tells=True)
    result = _tried(history)
    KEPT_IN.mkdir(parents=True, exist_ok=True)
    path = KEPT_IN / f"{seed}.txt"
    failures = ["".join(traceback.format_exception(one.error)) for one in history.host.failures[:20]]
    found = [f"FOUND {finding.kind}: {finding.what}" for finding in result.findings]
    path.write_text("\n".join([str(history.character), *history.pace.trace, *failures, *found]) + "\n")
    return result, path


def _tried(history: History) -> Result:
    with silence():
        history.live()
    return Result(
        seed=history.seed,
        findings=tuple(findings_of(history)),
        digest=history.digest(),
        rows=len(history.outcomes.rows()),
        submissions=len(history.microsoft.effects),
        calls=history.pace.calls,
        hours=history.loop.time() / 3_600,
    )
