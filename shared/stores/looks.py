"""When each source beside the mailbox was looked at, and what was asked for already; part of the table `runstate`.

A look may be read in parts, over several runs. It is complete once everything that it found is durable; only then does
the next one begin where it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ..domain import keys
from ..ports import Delete, Entity, Replace, Row, Table
from .batches import delete_each

_LOOK = "look"
_ASKED = "asked-"
_DAY_AND_DASH = len("yyyymmdd-")
_LONGEST_LINK = 30_000
"""A string property holds at most 32,768 characters; where a link is longer, the list begins anew."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """The last look at a source.

    `complete_since` is when the last look began that was complete (None: there was none). `resume` is where this one
    goes on, after so many `parts`, and `due_at` when (None: it is over). `is_lacking` says that rows of it could not be
    written yet, `lacking_since` since when there have been such rows in every look.
    """

    began_at: datetime
    complete_since: datetime | None
    due_at: datetime | None = None
    resume: str | None = None
    parts: int = 0
    is_lacking: bool = False
    lacking_since: datetime | None = None


class LookStore:
    """Reads and writes the looks at sources, one partition for each."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def last(self, source: str) -> LastLook | None:
        """The last look at that source, or None when it was never looked at."""
        row = await self._table.get(_partition(source), _LOOK)
        if row is None:
            return None
        return LastLook(
            _time(row, "BeganAt"),
            _optional_time(row, "CompleteSince"),
            _optional_time(row, "DueAt"),
            str(row.entity["Resume"]) if "Resume" in row.entity else None,
            int(str(row.entity.get("Parts", 0))),
            bool(row.entity.get("IsLacking", False)),
            _optional_time(row, "LackingSince"),
        )

    async def put(self, source: str, look: LastLook) -> None:
        """Save how that source was looked at."""
        entity: Entity = {
            "PartitionKey": _partition(source),
            "RowKey": _LOOK,
            "BeganAt": look.began_at,
            "Parts": look.parts,
            "IsLacking": look.is_lacking,
        }
        times = {"CompleteSince": look.complete_since, "DueAt": look.due_at, "LackingSince": look.lacking_since}
        entity |= {name: at for name, at in times.items() if at is not None}
        if look.resume is not None and len(look.resume) <= _LONGEST_LINK:
            entity["Resume"] = look.resume
        await self._table.write(Replace(entity))


class AskedFor:
    """The requests that a source has put on the operators' queue, by the day on which it did.

    The table is read once a day; in between this process knows what it has put there itself. What another one puts
    there meanwhile may be put there again, which its id makes harmless.
    """

    def __init__(self, table: Table, source: str) -> None:
        self._table = table
        self._partition = _partition(source)
        self._known: set[str] = set()
        self._known_since: str | None = None

    async def since(self, at: datetime) -> set[str]:
        """The ids of the requests that were put there on that day or later; those from before are forgotten."""
        day = keys.day(at)
        if self._known_since != day:
            self._known = await self._kept_since(f"{_ASKED}{day}")
            self._known_since = day
        return self._known

    async def _kept_since(self, first: str) -> set[str]:
        rows = [str(row.entity["RowKey"]) async for row in self._table.scan(self._partition, _ASKED, f"{_ASKED}~")]
        await delete_each(self._table, [Delete(self._partition, one) for one in rows if one < first])
        return {one.removeprefix(_ASKED)[_DAY_AND_DASH:] for one in rows if one >= first}

    async def add(self, request_id: str, at: datetime) -> None:
        """Remember a request that was put there just now."""
        name = f"{_ASKED}{keys.day(at)}-{request_id}"
        await self._table.write(Replace({"PartitionKey": self._partition, "RowKey": name}))
        self._known.add(request_id)


def _partition(source: str) -> str:
    return f"source-{source}"


def _time(row: Row, column: str) -> datetime:
    value = row.entity[column]
    if not isinstance(value, datetime):
        raise TypeError(f"{column} is no time")
    return value.astimezone(UTC)


def _optional_time(row: Row, column: str) -> datetime | None:
    return _time(row, column) if column in row.entity else None
