"""Goes through the checks in their order and leaves out those whose ground is missing.

The invariant: one fault, one failing line. A check that needs a line which failed, or was left out for that, is not
tried and says which line comes first. No check can end the examination: what it raises is a finding of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from ..domain.text import clean
from .findings import FAILING, LONGEST_TEXT, Finding, Result, not_tried, unclear

Run = Callable[[], Awaitable[Result]]
CHECK_TIME_S = 90.0
"""The longest that one check may take; a silent service costs one line, not the examination."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line to be: its name, what it tries, which lines it needs, and how it is found out."""

    name: str
    tried: str
    run: Run
    needs: tuple[str, ...] = ()


async def examine(checks: Iterable[Check], check_time_s: float = CHECK_TIME_S) -> AsyncIterator[Finding]:
    """The findings, each as soon as it is there."""
    comes_first: dict[str, str] = {}
    for check in checks:
        first = _obstacle(check, comes_first)
        result = not_tried(f"{first} comes first") if first else await _result(check, check_time_s)
        if first or result.mark in FAILING:
            comes_first.setdefault(check.name, first or check.name)
        comes_first.update(dict.fromkeys(result.holds_up, check.name))
        yield _finding(check, result)


def _obstacle(check: Check, comes_first: dict[str, str]) -> str | None:
    return next((comes_first[name] for name in (check.name, *check.needs) if name in comes_first), None)


async def _result(check: Check, check_time_s: float) -> Result:
    try:
        async with asyncio.timeout(check_time_s):
            return await check.run()
    except TimeoutError:
        return unclear(f"no answer within {check_time_s:.0f} seconds")
    except Exception as error:  # noqa: BLE001 - a doctor that stops at the first surprise examines nothing
        return unclear(f"ended by {type(error).__name__}", "This is a fault of the doctor: please report it.")


def _finding(check: Check, result: Result) -> Finding:
    tried, found, remedy = (clean(text, LONGEST_TEXT) for text in (check.tried, result.found, result.remedy))
    return Finding(check.name, tried, result.mark, found, remedy)
