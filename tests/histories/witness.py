"""The public tables, with a witness to every write: the truth that the feed is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from local.memory_storage import MemoryTable
from shared.ports import Entity, Insert, Write
from tests.histories.virtual_time import VirtualTimeLoop


@dataclass(frozen=True, slots=True)
class Step:
    """A change of `State` or `Verdict` of a row, as it was really written."""

    at_s: float
    state: str
    verdict: str | None
    entity: Entity


class WitnessedOutcomes(MemoryTable):
    """The table `outcomes`, and every change that was ever written to it, in the order of writing."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop
        self.steps: dict[str, list[Step]] = {}

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """See the port."""
        etags = await super().write_all(writes)
        for write in writes:
            await self._witness(write)
        return etags

    async def _witness(self, write: Write) -> None:
        if not hasattr(write, "entity"):
            return
        row = await self.get(str(write.entity["PartitionKey"]), str(write.entity["RowKey"]))
        assert row is not None
        steps = self.steps.setdefault(str(row.entity["RowKey"]), [])
        verdict = row.entity.get("Verdict")
        step = Step(
            self._loop.time(), str(row.entity["State"]), None if verdict is None else str(verdict), dict(row.entity)
        )
        if not steps or (steps[-1].state, steps[-1].verdict) != (step.state, step.verdict):
            steps.append(step)


class WitnessedLog(MemoryTable):
    """The table `outcomelog`, and every write that changed or removed a row of it."""

    def __init__(self) -> None:
        super().__init__()
        self.rewritten: list[str] = []

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """See the port."""
        for write in writes:
            if isinstance(write, Insert):
                continue
            key = str(write.entity["RowKey"]) if hasattr(write, "entity") else write.row
            self.rewritten.append(key)
        return await super().write_all(writes)
