"""Tables in memory: entities as their JSON, by partition and in the order of their row keys.

An entity is never changed, only replaced by another one, so that a copy of all tables is a copy of references.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from local.bench.wire.table_filter import TableFilter

PAGE_ROWS = 1_000
"""The most rows that the table service gives at a time (Azure documentation, "Query timeout and pagination")."""
MOST_WRITES = 100
_FORBIDDEN = set("/\\#?%") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}
_PLAIN = frozenset({"Edm.String", "Edm.Int32", "Edm.Boolean", "Edm.Double"})
"""Types that JSON tells by itself: the service leaves their names out."""
_TYPE = "@odata.type"


class TableRefusal(Exception):
    """The service refuses: its status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """An entity: where it stands, its ETag, and all of its properties as one JSON object."""

    partition: str
    row: str
    etag: str
    text: str

    @property
    def rendered(self) -> str:
        """As the service gives it."""
        return f'{{"odata.etag":{json.dumps(self.etag)},{self.text[1:]}'

    def properties(self) -> dict[str, Any]:
        """Its properties, with the names of their types where JSON does not tell them."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    def selected(self, names: frozenset[str]) -> str:
        """As the service gives it where only these properties were asked for."""
        chosen = {name: value for name, value in self.properties().items() if name.partition("@")[0] in names}
        return json.dumps({"odata.etag": self.etag, **chosen}, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Partition:
    """The entities of a partition; their keys are put in order when somebody asks for a range."""

    entities: dict[str, StoredEntity] = field(default_factory=dict)
    _keys: list[str] | None = None

    def put(self, entity: StoredEntity) -> None:
        """Write an entity, whatever stood there."""
        if self._keys is not None and entity.row not in self.entities:
            insort(self._keys, entity.row)
        self.entities[entity.row] = entity

    def remove(self, row: str) -> None:
        """Take an entity away that is there."""
        del self.entities[row]
        if self._keys is not None:
            del self._keys[bisect_left(self._keys, row)]

    def between(self, from_row: str, below_row: str | None) -> Iterator[StoredEntity]:
        """The entities of a range, ascending."""
        if self._keys is None:
            self._keys = sorted(self.entities)
        for place in range(bisect_left(self._keys, from_row), len(self._keys)):
            if below_row is not None and self._keys[place] >= below_row:
                return
            yield self.entities[self._keys[place]]

    def copy(self) -> Partition:
        """Another partition of the same entities."""
        return Partition(dict(self.entities), None if self._keys is None else list(self._keys))


Method = Literal["insert", "replace", "merge", "delete"]


@dataclass(frozen=True, slots=True)
class TableWrite:
    """One write: `if_match` is an ETag, `*` for whatever stands there, or None for whatever stands there or nothing."""

    method: Method
    partition: str
    row: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    if_match: str | None = None


_ETAGS = count(1)


@dataclass(slots=True)
class StoredTable:
    """One table."""

    partitions: dict[str, Partition] = field(default_factory=dict)

    def get(self, partition: str, row: str) -> StoredEntity | None:
        """The entity, or None."""
        found = self.partitions.get(partition)
        return None if found is None else found.entities.get(row)

    def put(self, entity: StoredEntity) -> None:
        """Write an entity, whatever stood there."""
        self.partitions.setdefault(entity.partition, Partition()).put(entity)

    def __iter__(self) -> Iterator[StoredEntity]:
        return (entity for partition in self.partitions.values() for entity in partition.entities.values())

    def __len__(self) -> int:
        return sum(len(partition.entities) for partition in self.partitions.values())

    def copy(self) -> StoredTable:
        """Another table of the same entities."""
        return StoredTable({name: partition.copy() for name, partition in self.partitions.items()})

    def page(
        self, wanted: TableFilter, limit: int, after: tuple[str, str] | None
    ) -> tuple[list[StoredEntity], StoredEntity | None]:
        """Up to `limit` entities, from where the page before ended, and the first one of the next page."""
        found: list[StoredEntity] = []
        for entity in self._range(wanted, after):
            if wanted.others and not wanted.holds(entity.properties()):
                continue
            if len(found) == limit:
                return found, entity
            found.append(entity)
        return found, None

    def write_all(self, writes: list[TableWrite]) -> list[str]:
        """Do all writes or none; returns their ETags. Raises TableRefusal, with the number of the write that failed."""
        if len({(write.partition, write.row) for write in writes}) < len(writes):
            raise TableRefusal(400, "InvalidDuplicateRow")
        if len(writes) > MOST_WRITES or len({write.partition for write in writes}) > 1:
            raise TableRefusal(400, "InvalidInput")
        for number, write in enumerate(writes):
            self._check(write, number)
        return [self._apply(write) for write in writes]

    def _range(self, wanted: TableFilter, after: tuple[str, str] | None) -> Iterator[StoredEntity]:
        first, from_row = after or ("", wanted.from_row)
        names = sorted(self.partitions) if wanted.partition is None else [wanted.partition]
        for name in names:
            if name in self.partitions and name >= first:
                start = max(from_row, wanted.from_row) if name == first or after is None else wanted.from_row
                yield from self.partitions[name].between(start, wanted.below_row)

    def _check(self, write: TableWrite, number: int) -> None:
        found = self.get(write.partition, write.row)
        if write.method == "insert" and found is not None:
            raise TableRefusal(409, f"{number}:EntityAlreadyExists")
        if found is None and write.if_match is not None:
            raise TableRefusal(404, f"{number}:ResourceNotFound")
        if found is not None and write.if_match not in (None, "*", found.etag):
            raise TableRefusal(412, f"{number}:UpdateConditionNotSatisfied")
        if any(_FORBIDDEN & set(key) or len(key) > 512 for key in (write.partition, write.row)):
            raise TableRefusal(400, f"{number}:OutOfRangeInput")

    def _apply(self, write: TableWrite) -> str:
        if write.method == "delete":
            self.partitions[write.partition].remove(write.row)
            return ""
        properties = _stored(write)
        before = self.get(write.partition, write.row) if write.method == "merge" else None
        if before is not None:
            kept = {
                name: value for name, value in before.properties().items() if name.partition("@")[0] not in properties
            }
            properties = {**kept, **properties}
        text = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
        entity = StoredEntity(write.partition, write.row, f'W/"0x{next(_ETAGS):X}"', text)
        self.put(entity)
        return entity.etag


def _stored(write: TableWrite) -> dict[str, Any]:
    told = write.properties
    kept = {name: value for name, value in told.items() if not (name.endswith(_TYPE) and value in _PLAIN)}
    keys = {"PartitionKey": write.partition, "RowKey": write.row}
    return {name: value for name, value in {**keys, **kept}.items() if value is not None and name != "odata.etag"}
