"""Rows of the table `items` whose time may be over, in the order of their keys, whatever they are there for.

item, campaign               who speaks for an item, which campaigns are about
at-microsoft                 what reached Microsoft by itself
<submission id>, request     which request ids are taken
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..domain.errors import Changed
from ..domain.model import OutcomeKey
from ..ports import Delete, Place, Row, Table
from .batches import write_each

_BEHIND_ALL = "~"
"""All partitions begin with a letter or a digit."""


@dataclass(frozen=True, slots=True)
class OldItem:
    """A row of the table: when it last changed as far as it tells, and the rows for which it stands.

    `changed_at` is None for a row that is no item, and stays.
    """

    place: Place
    etag: str
    changed_at: datetime | None
    rows: tuple[OutcomeKey, ...] = ()


class OldItems:
    """Reads the table in shares, and deletes what nobody needs."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def behind(self, place: Place, limit: int) -> list[OldItem]:
        """At most `limit` rows behind a place."""
        return [_old_item(row) for row in await self._table.behind(place, _BEHIND_ALL, limit)]

    async def of_item(self, item_key: str) -> OldItem | None:
        """Who speaks for an item, or None."""
        row = await self._table.get("item", item_key)
        return None if row is None else _old_item(row)

    async def delete(self, items: Sequence[OldItem]) -> int:
        """Delete rows as they were read; one that somebody changed since stays. Returns how many are gone."""
        deletes = [Delete(*one.place, one.etag) for one in items]
        return sum(etag is not None for etag in await write_each(self._table, deletes, Changed))


def _old_item(row: Row) -> OldItem:
    entity = row.entity
    partition, key = str(entity["PartitionKey"]), str(entity["RowKey"])
    told: list[tuple[datetime, OutcomeKey | None]] = []
    if partition == "item":
        told = list(_claims(str(entity["Claims"])))
    elif partition == "campaign":
        told = [(_time(json.loads(str(value))[0]), None) for name, value in entity.items() if _is_campaign(name)]
    elif partition == "at-microsoft":
        of = OutcomeKey(str(entity["OutcomePartition"]), str(entity["SubmissionId"]))
        told = [(_end_of(of.partition), of)]
    elif isinstance(seen_at := entity.get("SeenAt"), datetime):
        told = [(seen_at.astimezone(UTC), OutcomeKey(str(entity["OutcomePartition"]), partition))]
    changed_at = max((at for at, _ in told), default=None)
    return OldItem((partition, key), row.etag, changed_at, tuple(of for _, of in told if of is not None))


def _claims(text: str) -> Iterator[tuple[datetime, OutcomeKey]]:
    for day, own_id, *since in json.loads(text).values():
        yield (_time(since[0]) if since else _end_of(day)), OutcomeKey(day, own_id)


def _is_campaign(column: str) -> bool:
    return column.startswith("C") and len(column) == 33


def _time(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def _end_of(day: str) -> datetime:
    """The end of a partition's day: an earlier version wrote down no time."""
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1)
