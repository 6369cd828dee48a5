"""What a check finds, in the five words that the doctor has for it.

A result never holds a token, a subject or mail content: it is printed, and in a deployed app written to a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

LONGEST_TEXT = 1_000
"""Characters of each text of a finding: enough for a list of names, little enough for a table row."""


class Mark(StrEnum):
    """How a line begins."""

    OK = "ok"
    WRONG = "WRONG"
    UNCLEAR = "unclear"
    NOT_TRIED = "not tried"
    LEARNED = "learned"


FAILING = frozenset({Mark.WRONG, Mark.UNCLEAR})
"""What keeps a tenant from being proven: a fault, or an answer from which nothing follows."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check; `holds_up` names the checks that prove nothing because of it."""

    mark: Mark
    found: str
    remedy: str = ""
    holds_up: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was tried, what came back, and what to do where that is not as it should be."""

    name: str
    tried: str
    mark: Mark
    found: str
    remedy: str = ""


def ok(found: str) -> Result:
    """The check came out as it should."""
    return Result(Mark.OK, found)


def wrong(found: str, remedy: str, *, holds_up: Iterable[str] = ()) -> Result:
    """The check came out wrong; the remedy says what to do."""
    return Result(Mark.WRONG, found, remedy, frozenset(holds_up))


def unclear(found: str, remedy: str = "Try again; if it stays, look at the service's health.") -> Result:
    """Nothing follows from what came back: neither right nor wrong."""
    return Result(Mark.UNCLEAR, found, remedy)


def not_tried(found: str, remedy: str = "") -> Result:
    """Nothing was asked, because of an option or of another line."""
    return Result(Mark.NOT_TRIED, found, remedy)


def learned(found: str) -> Result:
    """Something that Microsoft documents poorly, as this tenant has it; never right or wrong."""
    return Result(Mark.LEARNED, found)


def is_green(findings: Iterable[Finding]) -> bool:
    """Whether nothing is wrong and nothing unclear."""
    return all(finding.mark not in FAILING for finding in findings)
