"""Second chances: what failed because its message failed every attempt is replayed once, without being asked.

Five attempts are over in three minutes, and what failed them may be storage that did not answer for so long. What fails
them again stays `failed`: then it is a fault of ours, and somebody replays it once that is repaired.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from ...ports import Clock
from ...stores.ledger import Ledger, WorkItem
from ...stores.replays import ReplayRequest, Replays
from ..trouble import Trouble

AFTER = timedelta(minutes=10)


class SecondChances:
    """Asks for replays of rows that a poison message has failed."""

    def __init__(self, ledger: Ledger, replays: Replays, trouble: Trouble, clock: Clock) -> None:
        self._ledger = ledger
        self._replays = replays
        self._trouble = trouble
        self._clock = clock
        self._first_run_at: datetime | None = None
        self._has_seen_all = False

    async def run(self, stop_at: datetime) -> None:
        """Ask for every such row, until then; what is left is asked for at the next run."""
        begun_at = self._clock.now()
        self._first_run_at = self._first_run_at or begun_at
        async for item in self._failed():
            if self._clock.now() >= stop_at:
                return
            if item.is_due_for_a_second_chance and self._is_long_ago(item):
                await self._trouble.each([item], self._ask)
        self._has_seen_all = begun_at - self._first_run_at >= AFTER

    def _failed(self) -> AsyncIterator[WorkItem]:
        """The entries to look at: all at first, as an earlier version may just have written some without a mark."""
        return self._ledger.due_for_a_second_chance() if self._has_seen_all else self._ledger.all_kept()

    async def _ask(self, items: Sequence[WorkItem]) -> int:
        now = self._clock.now()
        await self._replays.ask([ReplayRequest(item.outcome.key, item.etag, now, is_apps_own=True) for item in items])
        for item in items:
            await self._ledger.refile(item, {"had_second_chance": True})
        return len(items)

    def _is_long_ago(self, item: WorkItem) -> bool:
        changed_at = item.outcome.changed_at
        return changed_at is not None and self._clock.now() - changed_at >= AFTER
