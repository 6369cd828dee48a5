"""Tables in memory that behave as one behind a network may: others go on in between, or it is down."""

import asyncio
from collections.abc import Sequence

from local.memory_storage import MemoryTable
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


class StuckTable(MemoryTable):
    """While `is_stuck`, takes writes and never answers, as a service behind a broken network."""

    is_stuck = False

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, unless it is stuck."""
        if self.is_stuck:
            await asyncio.Event().wait()
        return await super().write_all(writes)
