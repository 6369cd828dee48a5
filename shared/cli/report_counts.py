"""What a report counts: days of the table `statistics` added up to weeks and months, and rows grouped by what is asked.

Pure. The invariant: a count is a sum of what stands in the tables. Medians and 95th percentiles cannot be added up, so
they are told of a day, or of the rows of a group where rows were read; agreement is a share of decided rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Literal

from ..codecs.statistics import COLUMNS
from ..domain.model import Outcome
from ..domain.statistics import DayStatistics, Tally
from ..domain.text import domain_of

Period = Literal["day", "week", "month"]
Grouping = Literal["reporter", "sender", "campaign", "category", "source", "reason"]
By = Period | Grouping
PERIODS: Final[tuple[Period, ...]] = ("day", "week", "month")
GROUPINGS: Final[tuple[Grouping, ...]] = ("reporter", "sender", "campaign", "category", "source", "reason")
OF_A_DAY: Final = ("Reporters", "Campaigns")
"""Counted of a day, or of a group: distinct ones cannot be added up."""
SECONDS: Final = tuple(column for column in COLUMNS.values() if column.startswith("Seconds"))
COUNTS: Final = tuple(column for column in COLUMNS.values() if column not in {*OF_A_DAY, *SECONDS})
"""What can be added up."""
ROW_COLUMNS: Final = (
    *("PartitionKey", "RowKey", "ReceivedAt", "CollectedAt", "State", "StateReason", "Source", "Category", "Direction"),
    *("Kind", "Reporter", "RequestedBy", "Sender", "CampaignId", "CoveredBy", "SubmittedAt", "Agreement", "Disputes"),
    *("SecondsToSubmit", "SecondsToVerdict"),
)
"""All that is read of a row."""
NONE: Final = "(none)"
"""The group of rows that have nothing in the column."""


def counts_record(counts: Mapping[str, int]) -> dict[str, object]:
    """The counts, those that are nothing too, and the share of decided rows whose claim was right."""
    return {**{name: counts.get(name, 0) for name in COUNTS}, "RightPercent": right_percent(counts)}


def right_percent(counts: Mapping[str, int]) -> float | None:
    """Of the claims that Microsoft decided, the share that it confirmed; None where it decided none."""
    decided = counts.get("Confirmed", 0) + counts.get("Refuted", 0)
    return round(100 * counts.get("Confirmed", 0) / decided, 1) if decided else None


# --- periods --------------------------------------------------------------------------------------------------------


def begin_of(day: date, period: Period) -> date:
    """The first day of the period that holds the day; weeks begin on Monday."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def periods_of(first: date, last: date, period: Period) -> list[date]:
    """The first day of each period from one day to another, those without a report too."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return list(dict.fromkeys(begin_of(day, period) for day in days))


def added_up(days: Mapping[date, Mapping[str, int]], period: Period) -> dict[date, Counter[str]]:
    """The days' counts by the first day of their period."""
    found: dict[date, Counter[str]] = {}
    for day, counts in days.items():
        found.setdefault(begin_of(day, period), Counter()).update({name: counts.get(name, 0) for name in COUNTS})
    return found


# --- groups ---------------------------------------------------------------------------------------------------------


def _reporter(row: Outcome) -> str:
    return (row.reporter or row.requested_by or "").lower()


def _reason(row: Outcome) -> str:
    return f"{row.state}: {row.state_reason}" if row.state_reason else row.state.value


GROUP_OF: Final[dict[Grouping, Callable[[Outcome], str]]] = {
    "reporter": _reporter,
    "sender": lambda row: (row.sender or "").lower(),
    "campaign": lambda row: row.campaign_id or "",
    "category": lambda row: row.category or "",
    "source": lambda row: row.source,
    "reason": _reason,
}


@dataclass(slots=True)
class Groups:
    """Rows tallied by what they have in common."""

    group_of: Callable[[Outcome], str]
    tallies: dict[str, Tally] = field(default_factory=dict)

    def add(self, row: Outcome) -> None:
        """Count one row more in its group."""
        name = self.group_of(row) or NONE
        if name not in self.tallies:
            self.tallies[name] = Tally()
        self.tallies[name].add(row)

    def largest(self) -> list[tuple[str, dict[str, int]]]:
        """The groups with their figures by column, the one with most rows first, those of one size by name."""
        found = [(name, column_figures(tally.figures(date.min))) for name, tally in self.tallies.items()]
        return sorted(found, key=lambda item: (-item[1]["Received"], item[0]))


def column_figures(statistics: DayStatistics) -> dict[str, int]:
    """Figures by their column, without what does not apply."""
    found = {column: getattr(statistics, name) for name, column in COLUMNS.items()}
    return {column: value for column, value in found.items() if value is not None}


def sender_domain(row: Outcome) -> str:
    """The domain of a row's sender."""
    return domain_of(row.sender or "")


def numbered(names: Iterable[str]) -> dict[str, str]:
    """A number in place of each name, in their order, as `reporter 1`; the group of none keeps its own."""
    known = [name for name in names if name != NONE]
    return {NONE: NONE} | {name: f"reporter {number}" for number, name in enumerate(known, 1)}
