"""Tables, queue and blobs in memory, for simulated time: the ports of the data account without Azurite.

Held to the same contract tests as the adapters over Azurite. They keep Table Storage's limits that Azurite does not
enforce (entity size, number of properties, forbidden characters in keys), so that simulated storms meet them too.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.adapters.storage import PAGE_BLOBS
from shared.adapters.system_clock import SystemClock
from shared.domain.errors import AlreadyExists, Changed, Missing
from shared.ports import Clock, Delete, Entity, Insert, Merge, Place, Replace, Row, Write

_FORBIDDEN = set("/\\#?%") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}
MOST_PROPERTIES = 252
MOST_ENTITY_BYTES = 1024 * 1024
MOST_STRING_CHARACTERS = 32_768
MOST_MESSAGE_BYTES = 65_536


class MemoryTable:
    """The `Table` port in memory."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, Row]] = {}
        self._etags = itertools.count(1)

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""
        found = self._partitions.get(partition, {}).get(row)
        return None if found is None else Row(dict(found.entity), found.etag)

    async def write(self, write: Write) -> str:
        """Do one write; see the port."""
        return (await self.write_all([write]))[0]

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do 1 to 100 writes to one partition, all or none; see the port."""
        places = [_place(write) for write in writes]
        if not 1 <= len(writes) <= 100 or len({partition for partition, _ in places}) != 1:
            raise ValueError("a transaction is 1 to 100 writes to one partition")
        if len(set(places)) != len(places):
            raise ValueError("a transaction writes a row once")
        for write in writes:
            self._check(write)
        return [self._apply(write) for write in writes]

    async def scan(
        self,
        partition: str,
        from_row: str,
        below_row: str,
        limit: int | None = None,
        *,
        only: tuple[str, str] | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of a range, ascending; see the port."""
        rows = self._partitions.get(partition, {})
        keys = sorted(key for key in rows if from_row <= key < below_row)
        found = [rows[key] for key in keys if only is None or rows[key].entity.get(only[0]) == only[1]]
        for row in found[:limit]:
            yield Row(_selected(row.entity, select), row.etag)

    async def behind(self, place: Place, below_partition: str, limit: int) -> list[Row]:
        """The rows behind a place; see the port."""
        keys = sorted((one, key) for one, rows in self._partitions.items() for key in rows if one < below_partition)
        found = [self._partitions[partition][key] for partition, key in keys if (partition, key) > place]
        return [Row(dict(row.entity), row.etag) for row in found[:limit]]

    def rows(self) -> list[Entity]:
        """Every row, for tests."""
        return [dict(row.entity) for rows in self._partitions.values() for row in rows.values()]

    def _check(self, write: Write) -> None:
        partition, key = _place(write)
        found = self._partitions.get(partition, {}).get(key)
        if isinstance(write, Insert) and found is not None:
            raise AlreadyExists
        etag = write.etag if isinstance(write, Replace | Delete) else None
        if found is None and (isinstance(write, Merge | Delete) or etag is not None):
            raise Missing
        if found is not None and etag is not None and etag != found.etag:
            raise Changed
        if not isinstance(write, Delete):
            _check_entity(write.entity)

    def _apply(self, write: Write) -> str:
        partition, key = _place(write)
        rows = self._partitions.setdefault(partition, {})
        if isinstance(write, Delete):
            del rows[key]
            return ""
        entity = dict(write.entity)
        if isinstance(write, Merge):
            entity = {**rows[key].entity, **entity}
        rows[key] = Row(entity, f'W/"{next(self._etags)}"')
        return rows[key].etag


@dataclass(slots=True)
class Message:
    """A message in a `MemoryQueue`."""

    body: str
    visible_at: datetime
    dequeue_count: int = 0


@dataclass(slots=True)
class MemoryQueue:
    """The `WorkQueue` port in memory, with what a listener needs to receive and delete."""

    clock: Clock
    messages: list[Message] = field(default_factory=list)

    async def send(self, body: str, delay_s: int = 0) -> None:
        """Put a message that becomes visible after `delay_s` seconds."""
        if len(body.encode()) > MOST_MESSAGE_BYTES:
            raise ValueError("a message is at most 64 KiB")
        self.messages.append(Message(body, self.clock.now() + timedelta(seconds=delay_s)))

    def receive(self, invisible_s: float = 600) -> Message | None:
        """The first visible message, made invisible, or None."""
        now = self.clock.now()
        for message in self.messages:
            if message.visible_at <= now:
                message.visible_at = now + timedelta(seconds=invisible_s)
                message.dequeue_count += 1
                return message
        return None

    def delete(self, message: Message) -> None:
        """Remove a message; one that is gone does not matter."""
        if message in self.messages:
            self.messages.remove(message)


class MemoryBlobs:
    """The `BlobStore` port in memory."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self._clock = clock or SystemClock()
        self._written_at: dict[str, datetime] = {}

    async def put(self, name: str, content: bytes) -> None:
        """Write a blob, replacing what was there."""
        self.blobs[name] = bytes(content)
        self._written_at[name] = self._clock.now()

    async def get(self, name: str, limit_bytes: int) -> bytes | None:
        """The content cut to `limit_bytes` + 1 bytes, or None."""
        found = self.blobs.get(name)
        return None if found is None else found[: limit_bytes + 1]

    async def renew(self, name: str) -> None:
        """Let a blob's age count from now on; one that is gone stays away."""
        if name in self.blobs:
            self._written_at[name] = self._clock.now()

    async def names(self, prefix: str, page: str | None) -> tuple[list[str], str | None]:
        """A page of names; see the port."""
        found = sorted(name for name in self.blobs if name.startswith(prefix) and name > (page or ""))
        return found[:PAGE_BLOBS], found[PAGE_BLOBS - 1] if len(found) > PAGE_BLOBS else None

    async def delete(self, name: str) -> bool:
        """Delete a blob; whether it was there."""
        return self.blobs.pop(name, None) is not None

    def written_at(self, name: str) -> datetime:
        """When a blob was last written, for tests."""
        return self._written_at[name]

    def drop_not_written_since(self, at: datetime) -> None:
        """What the account's lifecycle rule does: delete every blob that was not written since then."""
        for name in [name for name in self.blobs if self._written_at[name] < at]:
            del self.blobs[name]


def _selected(entity: Entity, select: Sequence[str] | None) -> Entity:
    if select is None:
        return dict(entity)
    names = {"PartitionKey", "RowKey", *select}
    return {name: value for name, value in entity.items() if name in names}


def _place(write: Write) -> tuple[str, str]:
    if isinstance(write, Delete):
        return write.partition, write.row
    return str(write.entity["PartitionKey"]), str(write.entity["RowKey"])


def _check_entity(entity: Entity) -> None:
    for key in (str(entity["PartitionKey"]), str(entity["RowKey"])):
        if _FORBIDDEN & set(key) or len(key) > 512:
            raise ValueError("a key holds a forbidden character or is too long")
    if len(entity) > MOST_PROPERTIES + 2:
        raise ValueError("an entity has at most 252 properties")
    if any(value is None for value in entity.values()):
        raise ValueError("an absent property is absent, not None")
    texts = [value for value in entity.values() if isinstance(value, str)]
    if any(len(text.encode("utf-16-le")) // 2 > MOST_STRING_CHARACTERS for text in texts):
        raise ValueError("a string property is at most 32,768 characters")
    if sum(2 * len(text) for text in texts) > MOST_ENTITY_BYTES:
        raise ValueError("an entity is at most 1 MiB")
