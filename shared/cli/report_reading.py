"""What a report is made of: days from the table `statistics`, rows from `outcomes` where rows are asked for.

The invariant: without a question about rows no row is read, so a year costs 365 small entities. Rows are read a day and
a page at a time, their needed columns only, and counted as they stream by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from ..codecs.rows import read_outcome
from ..domain.hints import DecidedRow, Evidence, Hint
from ..domain.model import Agreement, Direction, Kind, Outcome
from ..domain.regularity import Present, Regularity, judge
from ..ports import Table
from ..stores.heartbeats import read_heartbeats
from ..stores.worklist import Worklist
from ..usecases.outcomes.backlog import count_lanes
from .condition import is_silent
from .gauges import gauge
from .report_counts import GROUP_OF, ROW_COLUMNS, Grouping, Groups, sender_domain
from .selection import Selection
from .statistics_days import read_days, reported, waits

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable
    from .connection import Connection


@dataclass(slots=True)
class RowCounts:
    """What rows tell beyond the days' figures."""

    groups: dict[Grouping, Groups] = field(default_factory=dict)
    caught_domains: Groups = field(default_factory=lambda: Groups(sender_domain))
    """False positives, by the domain of the sender."""
    evidence: Evidence = field(default_factory=Evidence)

    def add(self, row: Outcome) -> None:
        """Count one row more."""
        for groups in self.groups.values():
            groups.add(row)
        if row.direction is Direction.FALSE_POSITIVE:
            self.caught_domains.add(row)
        if row.agreement in (Agreement.CONFIRMED, Agreement.REFUTED):
            self.evidence.add(_decided(row, row.agreement))


@dataclass(frozen=True, slots=True)
class Figures:
    """A report's figures of whole UTC days, from `first` to `last`; `rows` where rows were read."""

    first: date
    last: date
    days: Mapping[date, Mapping[str, int]]
    """Figures by column, of each day on which something was received."""
    regularity: Regularity
    rows: RowCounts | None = None

    @property
    def hints(self) -> list[Hint]:
        """What the rows ask of people."""
        return self.rows.evidence.hints() if self.rows else []


async def read_figures(
    connection: Connection, first: date, last: date, *, now: datetime, groupings: Iterable[Grouping], is_coloured: bool
) -> Figures:
    """The figures from one day to another, with rows where there is anything to group them by.

    Regularity is judged at the end of the last day, or now where that is not over yet; only now can what waits, and
    which timers are silent, be seen.
    """
    days = await read_days(connection.table("statistics"), first, last)
    end = datetime.combine(last + timedelta(days=1), time(), UTC)
    present = None if end <= now else await _present(connection, now)
    regularity = judge(reported(days), now, present, until=end)
    wanted = list(groupings)
    if not wanted:
        return Figures(first, last, days, regularity)
    rows = RowCounts({one: Groups(GROUP_OF[one]) for one in dict.fromkeys(["reporter", *wanted])})
    await _read_rows(connection.table("outcomes"), first, last, rows, is_coloured=is_coloured)
    return Figures(first, last, days, regularity, rows)


async def read_present(worklist: Table, runstate: Table, now: datetime) -> Present:
    """How the app stands now."""
    silent = [timer.function for timer in await read_heartbeats(runstate) if is_silent(timer, now)]
    return Present(waits(await count_lanes(Worklist(worklist), now)), silent)


async def _present(connection: Connection, now: datetime) -> Present | None:
    """How the app stands now; None where the reader may not see it, as only administrators may."""
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - dear, and loaded with the first table

    try:
        return await read_present(connection.table("worklist"), connection.table("runstate"), now)
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return None


async def _read_rows(outcomes: AzureTable, first: date, last: date, rows: RowCounts, *, is_coloured: bool) -> None:
    begin, end = (datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1)))
    selection = Selection(begin, end)
    days = selection.days()
    with gauge("days read", len(days), is_coloured=is_coloured) as advance:
        for day in days:
            async for entity in selection.rows(outcomes, day, ROW_COLUMNS):
                row = read_outcome(entity)
                if row.kind is not Kind.REVIEW:  # the mail that it is about has a row of its own
                    rows.add(row)
            advance()


def _decided(row: Outcome, agreement: Agreement) -> DecidedRow:
    return DecidedRow(
        submission_id=row.key.submission_id,
        agreement=agreement,
        direction=row.direction,
        category=row.category,
        sender=GROUP_OF["sender"](row),
        reporter=GROUP_OF["reporter"](row),
        is_covered=row.covered_by is not None and row.submitted_at is None,
    )
