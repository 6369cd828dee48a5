"""Large starting states, made of what a build wrote itself: one row of each kind, copied under new names.

Nothing here knows how a build lays out its tables. A row is known by the names that only it has (its id, its item's,
Microsoft's, and the number that its mail carries everywhere); every entity in whose key one of them stands is copied,
with each of them replaced by a name of the same form, in keys and in values alike. Age comes in the same way: every
time in storage, in whatever form, is moved.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from local.bench.wire.queues_and_blobs import StoredBlob
from local.bench.wire.state import StorageState
from local.bench.wire.tables import Partition, StoredEntity, StoredTable

NAMING_COLUMNS = ("RowKey", "ItemKey", "NetworkMessageId", "GraphSubmissionId")
"""Columns of `outcomes`, of the contract, that hold a name of the row's own."""
FIRST_COPY = 1
_HEX = re.compile(r"[0-9a-f]")
_ISO = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
_EPOCH_MS = re.compile(r"(?<![0-9A-Za-z.])1[789]\d{11}(?![0-9A-Za-z])")
_DAY = re.compile(r"(?<![0-9A-Za-z])20[234]\d[01]\d[0-3]\d(?![0-9A-Za-z])")
DataT = TypeVar("DataT")


@dataclass(frozen=True, slots=True)
class RowNames:
    """The names that only one row has, the longest first."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, outcome: StoredEntity, number: str) -> RowNames:
        """The names of the row that an entity of `outcomes` holds; its mail carries `number`, decimal digits."""
        told = outcome.properties()
        names = {str(told[column]) for column in NAMING_COLUMNS if told.get(column)} | {number}
        return cls(tuple(sorted(names, key=len, reverse=True)))

    def stand_in(self, text: str) -> bool:
        """Whether one of them stands in the text."""
        return any(name in text for name in self.names)

    def renamer(self, copy: int) -> Callable[[str], str]:
        """What puts the names of a copy, counted from `FIRST_COPY`, in their places."""
        pairs = [(name, _renamed(name, copy)) for name in self.names]

        def rename(text: str) -> str:
            for name, new in pairs:
                text = text.replace(name, new)
            return text

        return rename


def _renamed(name: str, copy: int) -> str:
    """A name of the same form: the next numbers, or other hexadecimal digits where some stand."""
    if name.isdecimal():
        return str(int(name) + copy)
    digits = iter(hashlib.sha512(f"{copy}/{name}".encode()).hexdigest())
    return _HEX.sub(lambda _: next(digits), name)


def multiply(state: StorageState, names: RowNames, count: int, *, without: Container[str] = ()) -> None:
    """Put `count` copies of a row beside it, in every table but those named in `without`."""
    kinds = [
        (table, entity)
        for name, table in state.tables.items()
        if name not in without
        for entity in table
        if names.stand_in(entity.row) or names.stand_in(entity.partition)
    ]
    for copy in range(FIRST_COPY, FIRST_COPY + count):
        rename = names.renamer(copy)
        for table, entity in kinds:
            table.put(StoredEntity(rename(entity.partition), rename(entity.row), entity.etag, rename(entity.text)))


def renamed(value: DataT, rename: Callable[[str], str]) -> DataT:
    """A frozen record with every text in it renamed, however deep."""
    changes: dict[str, Any] = {}
    for one in fields(value):  # type: ignore[arg-type] # records only
        part = getattr(value, one.name)
        if isinstance(part, str):
            changes[one.name] = rename(part)
        elif is_dataclass(part):
            changes[one.name] = renamed(part, rename)
    return replace(value, **changes)  # type: ignore[type-var]


def aged(state: StorageState, by: timedelta) -> StorageState:
    """The account as if all in it had happened earlier by so many whole seconds; days move by whole ones only."""
    by = timedelta(seconds=round(by.total_seconds()))

    def older(text: str) -> str:
        text = _ISO.sub(lambda at: (datetime.fromisoformat(at[0]) - by).isoformat(), text)
        text = _EPOCH_MS.sub(lambda at: str(int(at[0]) - by // timedelta(milliseconds=1)), text)
        return _DAY.sub(lambda day: (datetime.strptime(day[0], "%Y%m%d") - _days(by)).strftime("%Y%m%d"), text)  # noqa: DTZ007

    moved = state.copy()
    moved.tables = {name: _table(_older_entities(table, older)) for name, table in state.tables.items()}
    for container in moved.containers.values():
        container.blobs = {
            older(name): StoredBlob(blob.content, blob.written_at - by) for name, blob in container.blobs.items()
        }
    return moved


def without_entities(state: StorageState, names: Sequence[RowNames], table: str) -> None:
    """Take every entity of these rows off a table: what a process that stopped before it had not written."""
    kept = [entity for entity in state.tables[table] if not any(one.stand_in(entity.row) for one in names)]
    state.tables[table] = _table(iter(kept))


def _older_entities(table: StoredTable, older: Callable[[str], str]) -> Iterator[StoredEntity]:
    for entity in table:
        yield StoredEntity(older(entity.partition), older(entity.row), entity.etag, older(entity.text))


def _table(entities: Iterator[StoredEntity]) -> StoredTable:
    table = StoredTable()
    for entity in entities:
        table.partitions.setdefault(entity.partition, Partition()).put(entity)
    return table


def _days(by: timedelta) -> timedelta:
    """The whole days of a time, towards zero."""
    return timedelta(days=int(by / timedelta(days=1)))
