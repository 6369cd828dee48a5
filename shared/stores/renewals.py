"""When the originals of open rows were last renewed, and how far that has come: one row of the table `runstate`.

Nothing is lost with it: a pass that is begun again renews once more what it has renewed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ..ports import Entity, Replace, Table

PARTITION = "evidence"
_ROW = "renewal"


@dataclass(frozen=True, slots=True)
class Renewal:
    """A pass over the open rows: when it began, and where among the entries it goes on; None once it is done."""

    begun_at: datetime
    goes_on_at: str | None


class Renewals:
    """Reads and writes the last pass."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def last(self) -> Renewal | None:
        """The last pass, or None before the first one."""
        row = await self._table.get(PARTITION, _ROW)
        begun_at = None if row is None else row.entity.get("BegunAt")
        if row is None or not isinstance(begun_at, datetime):
            return None
        goes_on_at = row.entity.get("GoesOnAt")
        return Renewal(begun_at.astimezone(UTC), None if goes_on_at is None else str(goes_on_at))

    async def put(self, renewal: Renewal) -> None:
        """Write how far a pass has come."""
        entity: Entity = {"PartitionKey": PARTITION, "RowKey": _ROW, "BegunAt": renewal.begun_at}
        rest: Entity = {} if renewal.goes_on_at is None else {"GoesOnAt": renewal.goes_on_at}
        await self._table.write(Replace(entity | rest))
