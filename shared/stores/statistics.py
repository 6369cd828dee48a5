"""The table `statistics`, a row for each day, counted from the rows of `outcomes`; and how far the app has come.

The invariants: a row is written only as it was read, so that a worker that stalled never puts older figures over newer
ones; and a day never counts fewer rows than it has counted before. Rows are deleted when they are old (OUTCOMES_DAYS),
or because a person asked for it: what came of them stays counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from ..codecs.rows import COLUMNS, read_outcome
from ..codecs.statistics import day_key, month_key, read_day, read_statistics, statistics_entity
from ..domain.errors import AlreadyExists, Changed
from ..domain.model import Outcome
from ..domain.statistics import DayStatistics, day_statistics
from ..ports import Entity, Insert, Replace, Row, Table

PARTITION = "statistics"
"""Of the table `runstate`."""
_ROW = "upkeep"
_COUNTED = tuple(
    COLUMNS[name]
    for name in (
        *("kind", "state", "covered_by", "submitted_at", "agreement", "direction"),
        *("reporter", "campaign_id", "disputes"),
        *("seconds_to_submit", "seconds_to_verdict"),
    )
)
"""All that is read of a row: what `day_statistics` counts."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A day's figures as they were kept and as they are; `after` is None where there is nothing to keep.

    `has_lost_rows`: fewer rows stand in `outcomes` than were counted before, so that `after` is `before`.
    """

    before: DayStatistics | None
    after: DayStatistics | None
    has_lost_rows: bool = False

    @property
    def is_changed(self) -> bool:
        """Whether the figures are others than before."""
        return self.after != self.before


class StatisticsStore:
    """Reads the days, and counts them anew from `outcomes`, which is read alone."""

    def __init__(self, statistics: Table, outcomes: Table) -> None:
        self._statistics = statistics
        self._outcomes = outcomes

    async def between(self, first: date, last: date) -> AsyncIterator[DayStatistics]:
        """The days that are kept from one day to another, both included, in their order."""
        month = first.replace(day=1)
        while month <= last:
            from_day = max(first, month)
            month = (month + timedelta(days=31)).replace(day=1)
            below = min(last + timedelta(days=1), month)
            # The first day of the next month is no key of this one, and greater than all of them.
            async for row in self._statistics.scan(month_key(from_day), day_key(from_day), day_key(below)):
                yield read_statistics(row.entity)

    async def kept(self, days: Iterable[date]) -> dict[date, Row]:
        """The rows of these days as they are kept, at the cost of one range of each month; for `rebuild`."""
        found: dict[date, Row] = {}
        for month, of_month in groupby(sorted(days), month_key):
            asked = list(of_month)
            async for row in self._statistics.scan(month, day_key(asked[0]), f"{day_key(asked[-1])}~"):
                found[read_day(str(row.entity["RowKey"]))] = row
        return found

    async def counted(self, day: date) -> Rebuilt:
        """A day's figures as they are kept and as its rows are now; nothing is written."""
        return await self._counted(day, (await self.kept([day])).get(day))

    async def rebuild(self, day: date, kept: Row | None = None) -> Rebuilt:
        """Count a day anew and write its figures over the row that is kept, or over none; reads the day's rows.

        Raises `Changed` or `AlreadyExists` where somebody else has kept the day meanwhile: rebuild it again, as theirs
        may be the older count. Raises `Missing` where the table itself is not there: deploy `infra/`.
        """
        rebuilt = await self._counted(day, kept)
        if rebuilt.is_changed and rebuilt.after is not None:
            entity = statistics_entity(rebuilt.after)
            await self._statistics.write(Insert(entity) if kept is None else Replace(entity, kept.etag))
        return rebuilt

    async def rebuild_alone(self, day: date) -> Rebuilt:
        """Rebuild a day of which the kept row is not read yet; as `rebuild`."""
        return await self.rebuild(day, (await self.kept([day])).get(day))

    async def _counted(self, day: date, kept: Row | None) -> Rebuilt:
        before = None if kept is None else read_statistics(kept.entity)
        now = day_statistics(day, [outcome async for outcome in self._rows(day)])
        if before is not None and now.received < before.received:
            return Rebuilt(before, before, has_lost_rows=True)
        return Rebuilt(before, now if now.received else None)

    async def _rows(self, day: date) -> AsyncIterator[Outcome]:
        async for row in self._outcomes.scan(day_key(day), "", "~", select=_COUNTED):
            yield read_outcome(row.entity)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How far the app has come: the feed is read up to `read_to`, and `days` are to be rebuilt.

    `untold` are days whose figures have changed since they were last told in the log, on the day `told_on`.
    """

    read_to: datetime
    ran_at: datetime
    days: frozenset[date] = frozenset()
    untold: frozenset[date] = frozenset()
    told_on: date | None = None
    etag: str | None = field(default=None, compare=False)


class UpkeepStore:
    """Reads and writes how far the app has come: one row of the table `runstate`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def read(self) -> Upkeep | None:
        """How far it has come; None where it has not begun."""
        row = await self._table.get(PARTITION, _ROW)
        return None if row is None else _upkeep(row)

    async def write(self, upkeep: Upkeep) -> None:
        """Write it as it was read; what somebody else has written meanwhile stays, as that is no less true."""
        entity = _entity(upkeep)
        with suppress(AlreadyExists, Changed):
            await self._table.write(Replace(entity, upkeep.etag) if upkeep.etag else Insert(entity))


def _entity(upkeep: Upkeep) -> Entity:
    entity: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": _ROW,
        "ReadTo": upkeep.read_to,
        "RanAt": upkeep.ran_at,
        "Days": _listed(upkeep.days),
        "Untold": _listed(upkeep.untold),
    }
    return entity if upkeep.told_on is None else entity | {"ToldOn": day_key(upkeep.told_on)}


def _upkeep(row: Row) -> Upkeep | None:
    """What the row says; None for one that is not ours to read: it is begun anew."""
    entity = row.entity
    read_to, ran_at, told_on = entity.get("ReadTo"), entity.get("RanAt"), entity.get("ToldOn")
    if not isinstance(read_to, datetime) or not isinstance(ran_at, datetime):
        return None
    return Upkeep(
        read_to.astimezone(UTC),
        ran_at.astimezone(UTC),
        _days(str(entity.get("Days", ""))),
        _days(str(entity.get("Untold", ""))),
        None if told_on is None else read_day(str(told_on)),
        row.etag,
    )


def _listed(days: frozenset[date]) -> str:
    return ",".join(day_key(day) for day in sorted(days))


def _days(listed: str) -> frozenset[date]:
    return frozenset(read_day(key) for key in listed.split(",") if key)
