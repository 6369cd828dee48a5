"""Trouble: whatever one row raises is told, counted at its entry and tried again, and holds up no other row.

A row that raised in every one of many runs ends `failed`, replayable. The count is kept in storage: while storage
itself does not answer nothing is counted, so an outage fails no row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..domain.lifecycle import TRANSITIONS, move
from ..domain.model import State
from ..stores.ledger import Ledger, Step, WorkItem
from ..telemetry import Event, emit, raised_at

TRIES = 12
"""So many runs of settle or dispatch in which a row raised: between a quarter of an hour and an hour."""
_MAY_BE_AT_MICROSOFT = frozenset({State.SUBMITTING, State.UNCERTAIN, State.SUBMITTED})


class Trouble:
    """Contains what single rows raise."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def each(self, items: Sequence[WorkItem], do: Callable[[Sequence[WorkItem]], Awaitable[int]]) -> int:
        """Do something for rows together; where that fails, for each alone. Returns the sum of what `do` counts.

        What all of several rows raise rises: that is no row's trouble.
        """
        try:
            return await do(items)
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be one row's alone
            if len(items) == 1:
                await self._tell(items[0], error)
                return 0
        return await self._each_alone(items, do)

    async def _each_alone(self, items: Sequence[WorkItem], do: Callable[[Sequence[WorkItem]], Awaitable[int]]) -> int:
        counted = 0
        raised: list[tuple[WorkItem, Exception]] = []
        for item in items:
            try:
                counted += await do([item])
            except Exception as error:  # noqa: BLE001 - as above
                raised.append((item, error))
        if len(raised) == len(items):
            raise raised[0][1]
        for item, what in raised:
            await self._tell(item, what)
        return counted

    async def _tell(self, item: WorkItem, error: Exception) -> None:
        own_id = item.outcome.key.submission_id
        emit(Event.ROW_RAISED, submission_id=own_id, error=type(error).__name__, where=raised_at(error))
        await self._count(item)

    async def _count(self, item: WorkItem) -> None:
        try:
            tries = item.tries + 1
            if tries < TRIES or item.outcome.state in _MAY_BE_AT_MICROSOFT:
                await self._ledger.refile(item, {"tries": tries})
            else:
                await self._give_up(item)
        except Exception as error:  # noqa: BLE001 - as above: it is counted at the next run
            emit(Event.ROW_RAISED, submission_id=item.outcome.key.submission_id, error=type(error).__name__)

    async def _give_up(self, item: WorkItem) -> None:
        stored = await self._ledger.get(item.outcome.key)
        if stored is None or State.FAILED not in TRANSITIONS[stored.outcome.state]:
            await self._ledger.refile(item)
            return
        emit(Event.GAVE_UP, submission_id=item.outcome.key.submission_id, reason="processing_failed")
        after = move(stored.outcome, State.FAILED, reason="processing_failed", covered_by=None)
        await self._ledger.step(Step(item, after, stored))
