"""Passes over many rows that the app goes through once a day, a share in each run: rows of the table `runstate`.

Nothing is lost with them: a pass that is begun again does once more what it has done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..ports import Entity, Replace, Table

PARTITION = "passes"
BEFORE_ALL = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass: when it began, and behind which row it goes on; None once it is done."""

    begun_at: datetime
    goes_on_behind: str | None

    def next(self, now: datetime, every: timedelta) -> Pass:
        """The pass that goes on now: this one, or a new one where it is done and due again."""
        is_due = self.goes_on_behind is None and now - self.begun_at >= every
        return Pass(now, BEFORE_ALL) if is_due else self


class Passes:
    """Reads and writes how far each pass has come."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def current(self, name: str, now: datetime, every: timedelta) -> Pass:
        """The pass of that name that goes on now, or the last one, which is done."""
        row = await self._table.get(PARTITION, name)
        begun_at = None if row is None else row.entity.get("BegunAt")
        if row is None or not isinstance(begun_at, datetime):
            return Pass(now, BEFORE_ALL)
        behind = row.entity.get("GoesOnBehind")
        return Pass(begun_at.astimezone(UTC), None if behind is None else str(behind)).next(now, every)

    async def put(self, name: str, one: Pass) -> None:
        """Write how far a pass has come."""
        entity: Entity = {"PartitionKey": PARTITION, "RowKey": name, "BegunAt": one.begun_at}
        rest: Entity = {} if one.goes_on_behind is None else {"GoesOnBehind": one.goes_on_behind}
        await self._table.write(Replace(entity | rest))
