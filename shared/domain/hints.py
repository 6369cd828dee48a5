"""Hints: what Microsoft's verdicts ask of people, each with the rows behind it.

Pure. The rules, over the decided rows of a span of time:
- `filter`: 3 or more mails of a sender were wrongly caught, as Microsoft confirmed (`falsePositive`, `confirmed`);
- `wanted`: 3 or more times people said that a sender's mail was wrongly caught and Microsoft refuted it, which is half
  or more of what it decided of that sender;
- `training`: of a reporter's 5 or more decided claims, half or more were refuted;
- `category`: of a category's 10 or more decided claims, half or more were refuted.

Senders and categories are judged by verdicts on rows that were submitted themselves: one that a campaign shares counts
once. Reporters are judged by each of their claims.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .model import Agreement, Direction

SENDER_TIMES: Final = 3
REPORTER_DECIDED: Final = 5
CATEGORY_DECIDED: Final = 10
REFUTED_PERCENT: Final = 50
MOST_ROWS: Final = 20
"""Rows named behind a hint: the first so many; `count` tells how many there are."""
MOST_OF_A_KIND: Final = 10
"""Hints of one kind, the weightiest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedRow:
    """A row whose claim Microsoft confirmed or refuted."""

    submission_id: str
    agreement: Agreement
    direction: Direction | None
    category: str | None
    sender: str | None
    reporter: str | None
    is_covered: bool


@dataclass(frozen=True, slots=True)
class Hint:
    """Something to act on: `kind` is the rule, `about` the sender, reporter or category, `rows` are submission ids."""

    kind: str
    about: str
    count: int
    decided: int
    rows: tuple[str, ...]


@dataclass(slots=True)
class _Ballot:
    """How the rows about one sender, reporter or category were decided."""

    decided: int = 0
    count: int = 0
    rows: list[str] = field(default_factory=list)

    def add(self, submission_id: str, *, counts: bool) -> None:
        self.decided += 1
        if counts:
            self.count += 1
            if len(self.rows) < MOST_ROWS:
                self.rows.append(submission_id)


@dataclass(slots=True)
class Evidence:
    """Takes decided rows one at a time, and has the hints that they give."""

    _caught: dict[str, _Ballot] = field(default_factory=lambda: defaultdict(_Ballot))
    _wanted: dict[str, _Ballot] = field(default_factory=lambda: defaultdict(_Ballot))
    _reporters: dict[str, _Ballot] = field(default_factory=lambda: defaultdict(_Ballot))
    _categories: dict[str, _Ballot] = field(default_factory=lambda: defaultdict(_Ballot))

    def add(self, row: DecidedRow) -> None:
        """Take a row into account."""
        is_refuted = row.agreement is Agreement.REFUTED
        if row.reporter:
            self._reporters[row.reporter].add(row.submission_id, counts=is_refuted)
        if row.is_covered:
            return
        if row.category:
            self._categories[row.category].add(row.submission_id, counts=is_refuted)
        if row.sender and row.direction is Direction.FALSE_POSITIVE:
            self._caught[row.sender].add(row.submission_id, counts=not is_refuted)
            self._wanted[row.sender].add(row.submission_id, counts=is_refuted)

    def hints(self) -> list[Hint]:
        """All that the rows give, by kind, the weightiest of a kind first."""
        return [
            *_found("filter", self._caught, lambda one: one.count >= SENDER_TIMES),
            *_found("wanted", self._wanted, lambda one: one.count >= SENDER_TIMES and _is_often(one)),
            *_found("training", self._reporters, lambda one: one.decided >= REPORTER_DECIDED and _is_often(one)),
            *_found("category", self._categories, lambda one: one.decided >= CATEGORY_DECIDED and _is_often(one)),
        ]


def _is_often(ballot: _Ballot) -> bool:
    return ballot.count * 100 >= ballot.decided * REFUTED_PERCENT


def _found(kind: str, ballots: dict[str, _Ballot], asks: Callable[[_Ballot], bool]) -> Iterator[Hint]:
    asking = [(about, one) for about, one in ballots.items() if asks(one)]
    asking.sort(key=lambda item: (-item[1].count, item[0]))
    for about, one in asking[:MOST_OF_A_KIND]:
        yield Hint(kind, about, one.count, one.decided, tuple(one.rows))
