"""Second chances: what failed because its message failed every attempt is replayed once, without being asked.

Five attempts are over in three minutes, and what failed them may be storage that did not answer for so long. What fails
them again stays `failed`: then it is a fault of ours, and somebody replays it once that is repaired.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.domain.model import State
from shared.ports import Clock
from shared.stores.ledger import Ledger, WorkItem
from shared.stores.replays import ReplayRequest, Replays
from shared.usecases.trouble import Trouble

AFTER = timedelta(minutes=10)


class SecondChances:
    """Asks for replays of rows that a poison message has failed."""

    def __init__(self, ledger: Ledger, replays: Replays, trouble: Trouble, clock: Clock) -> None:
        self._ledger = ledger
        self._replays = replays
        self._trouble = trouble
        self._clock = clock

    async def run(self, stop_at: datetime) -> None:
        """Ask for every such row, until then; what is left is asked for at the next run."""
        async for item in self._ledger.all_kept():
            if self._clock.now() >= stop_at:
                return
            if not item.had_second_chance and self._is_due(item):
                await self._trouble.each([item], self._ask)

    async def _ask(self, items: Sequence[WorkItem]) -> int:
        now = self._clock.now()
        await self._replays.ask([ReplayRequest(item.outcome.key, item.etag, now) for item in items])
        for item in items:
            await self._ledger.refile(item, {"had_second_chance": True})
        return len(items)

    def _is_due(self, item: WorkItem) -> bool:
        """Whether the row is failed for its message alone, and long enough."""
        outcome = item.outcome
        is_failed = outcome.state is State.FAILED and outcome.state_reason == "poison_message"
        return is_failed and outcome.changed_at is not None and self._clock.now() - outcome.changed_at >= AFTER
