"""When each source beside the mailbox was looked at, and what was asked for already; part of the table `runstate`.

A look is complete once everything it found is durable; only then does the next one begin where it began.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.errors import AlreadyExists
from shared.ports import Entity, Insert, Replace, Row, Table

_LOOK = "look"


@dataclass(frozen=True, slots=True)
class LastLook:
    """When a source was looked at last, and when the last look began that was complete (None: there was none)."""

    began_at: datetime
    complete_since: datetime | None


class LookStore:
    """Reads and writes the looks at sources, one partition for each."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def last(self, source: str) -> LastLook | None:
        """The last look at that source, or None when it was never looked at."""
        row = await self._table.get(_partition(source), _LOOK)
        if row is None:
            return None
        return LastLook(_time(row, "BeganAt"), _time(row, "CompleteSince") if "CompleteSince" in row.entity else None)

    async def put(self, source: str, look: LastLook) -> None:
        """Save how that source was looked at."""
        entity: Entity = {"PartitionKey": _partition(source), "RowKey": _LOOK, "BeganAt": look.began_at}
        if look.complete_since is not None:
            entity["CompleteSince"] = look.complete_since
        await self._table.write(Replace(entity))


class AskedFor:
    """The requests that a source has put on the operators' queue."""

    def __init__(self, table: Table, source: str) -> None:
        self._table = table
        self._partition = _partition(source)

    async def holds(self, request_id: str) -> bool:
        """Whether that request was put there."""
        return await self._table.get(self._partition, f"asked-{request_id}") is not None

    async def add(self, request_id: str) -> None:
        """Remember a request that was put there."""
        with suppress(AlreadyExists):
            await self._table.write(Insert({"PartitionKey": self._partition, "RowKey": f"asked-{request_id}"}))


def _partition(source: str) -> str:
    return f"source-{source}"


def _time(row: Row, column: str) -> datetime:
    value = row.entity[column]
    if not isinstance(value, datetime):
        raise TypeError(f"{column} is no time")
    return value.astimezone(UTC)
