"""Tables in memory that behave as one behind a network may: others go on in between, or it is down."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from local.memory_storage import MemoryTable
from shared.adapters.storage import PAGE_ROWS
from shared.ports import Row, Write


class YieldingTable(MemoryTable):
    """Lets every other task go on before each call."""

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""
        await asyncio.sleep(0)
        return await super().get(partition, row)

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, all or none."""
        await asyncio.sleep(0)
        return await super().write_all(writes)


class StoppingTable(MemoryTable):
    """Cannot be written while `is_down`."""

    is_down = False

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, unless it is down."""
        if self.is_down:
            raise ConnectionError
        return await super().write_all(writes)


class CountingTable(MemoryTable):
    """Counts the calls that change it."""

    calls = 0

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, all or none."""
        self.calls += 1
        return await super().write_all(writes)


class MeteredTable(MemoryTable):
    """Counts what a table in the cloud would be asked: calls, a page of 1,000 rows being one, and what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.rows_read = 0
        self.characters_read = 0

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""
        self.calls += 1
        found = await super().get(partition, row)
        return None if found is None else self._read(found)

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, all or none."""
        self.calls += 1
        return await super().write_all(writes)

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[Row]:
        """The rows of a range, of which each thousand is another call."""
        self.calls += 1
        count = 0
        async for row in super().scan(*args, **kwargs):
            self.calls += bool(count) and count % PAGE_ROWS == 0
            count += 1
            yield self._read(row)

    def _read(self, row: Row) -> Row:
        self.rows_read += 1
        self.characters_read += sum(len(str(value)) for value in row.entity.values())
        return row


class StuckTable(MemoryTable):
    """While `is_stuck`, takes writes and never answers, as a service behind a broken network."""

    is_stuck = False

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, unless it is stuck."""
        if self.is_stuck:
            await asyncio.Event().wait()
        return await super().write_all(writes)
