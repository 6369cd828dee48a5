"""Retention: rows whose days are over are deleted, those that nobody needs any more.

    outcomes     final, unchanged for OUTCOMES_DAYS, and it speaks for no other row
    outcomelog   written OUTCOMELOG_DAYS ago
    items        unchanged for ITEMS_DAYS, and no row for which it stands speaks for others

Once a day each table is gone through from its oldest row, a share in each run, up to the day whose rows may be over.
What was deleted is not read again, so a pass costs the rows that became old since the last one and the few that had to
stay; of `items`, whose keys tell no time, it reads all. Every row is deleted as it was read: one that changes meanwhile
stays, whoever else deletes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...domain import keys
from ...domain.item import speaks
from ...domain.model import Outcome, OutcomeKey
from ...domain.submissions import OLDEST_REPORT
from ...ports import Clock, Place
from ...stores.ledger import Ledger, Stored
from ...stores.old_items import OldItem, OldItems
from ...stores.passes import BEFORE_ALL, Pass, Passes
from ...telemetry import Event, emit

EVERY = timedelta(days=1)
ROWS_AT_ONCE = 1_000
"""A page of the table service."""
RUN_TIME = timedelta(seconds=20)
"""A table's share of a run: it begins no further page after this."""
_TOGETHER = 20


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Days for which rows are kept, by table; None: for ever."""

    outcomes_days: int | None
    outcomelog_days: int | None
    items_days: int | None


_Page = tuple[Place | None, int]
"""Where a table goes on behind a page, None where it is gone through; and how many rows were deleted."""


class Retention:
    """Deletes what is kept no longer; runs within `settle_outcomes`."""

    def __init__(self, rules: RetentionRules, *, ledger: Ledger, items: OldItems, passes: Passes, clock: Clock) -> None:
        self._rules = rules
        self._ledger = ledger
        self._items = items
        self._passes = passes
        self._clock = clock

    async def run(self) -> None:
        """Begin the day's pass over each table that has its days, or go on with it; nothing where it is done."""
        rules = self._rules
        await self._table("outcomes", rules.outcomes_days, self._outcomes)
        await self._table("outcomelog", rules.outcomelog_days, self._events)
        await self._table("items", rules.items_days, self._old_items)

    async def _table(self, name: str, days: int | None, page: Callable[[Place, datetime], Awaitable[_Page]]) -> None:
        if days is None:
            return
        began_at = self._clock.now()
        one = await self._passes.current(name, began_at, EVERY)
        behind, deleted = one.goes_on_behind, 0
        while behind is not None and self._clock.now() < began_at + RUN_TIME:
            place, count = await page(_place(behind), began_at - timedelta(days=days))
            behind = None if place is None else "/".join(place)
            deleted += count
            await self._passes.put(name, Pass(one.begun_at, behind))
        if deleted:
            emit(Event.ROWS_DELETED, count=deleted, table=name)

    async def _outcomes(self, place: Place, oldest: datetime) -> _Page:
        found = await self._ledger.old(place, keys.day(oldest), ROWS_AT_ONCE)
        old = [one for one in found if self._is_over(one.outcome, oldest)]
        holders = {one.submission_id async for one in self._ledger.holders()} if old else set[str]()
        # A row that came to cover another one since is final and unchanged for days: nobody is covered by such a row.
        deleted = await self._ledger.forget([one for one in old if one.outcome.key.submission_id not in holders])
        return _behind([_place_of(one) for one in found]), deleted

    def _is_over(self, outcome: Outcome, oldest: datetime) -> bool:
        """Whether the row may go. While its mail is young enough for Microsoft, the report may be read again."""
        now = self._clock.now()
        changed_at = outcome.changed_at or outcome.settled_at or outcome.collected_at
        return changed_at < oldest and now - outcome.received_at > OLDEST_REPORT and not speaks(outcome, now)

    async def _events(self, place: Place, oldest: datetime) -> _Page:
        found = await self._ledger.old_events(place, keys.day(oldest), ROWS_AT_ONCE)
        places = [(str(one.entity["PartitionKey"]), str(one.entity["RowKey"])) for one in found]
        return _behind(places), await self._ledger.forget_events(places)

    async def _old_items(self, place: Place, oldest: datetime) -> _Page:
        found = await self._items.behind(place, ROWS_AT_ONCE)
        old = [one for one in found if one.changed_at is not None and one.changed_at < oldest]
        needless: list[OldItem] = []
        for start in range(0, len(old), _TOGETHER):
            some = old[start : start + _TOGETHER]
            needed = await asyncio.gather(*(self._is_needed(one.rows) for one in some))
            needless += [one for one, is_needed in zip(some, needed, strict=True) if not is_needed]
        return _behind([one.place for one in found]), await self._items.delete(needless)

    async def _is_needed(self, rows: Sequence[OutcomeKey]) -> bool:
        for key in rows:
            stored = await self._ledger.get(key)
            if stored is not None and speaks(stored.outcome, self._clock.now()):
                return True
        return False


def _behind(places: Sequence[Place]) -> Place | None:
    """Where to go on behind a page; None where it was the last one."""
    return places[-1] if len(places) == ROWS_AT_ONCE else None


def _place_of(one: Stored) -> Place:
    return one.outcome.key.partition, one.outcome.key.submission_id


def _place(behind: str) -> Place:
    """Keys hold no slash: Table Storage forbids it."""
    partition, _, row = behind.partition("/")
    return (partition, row) if behind != BEFORE_ALL else ("", "")
