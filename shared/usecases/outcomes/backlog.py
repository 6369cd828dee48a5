"""Backlog: how many rows wait, where, since when, and how much of Microsoft's quota the app has used.

Told after every settle run, one event for each lane, those with nothing in them too, so that an alert can tell "none"
from "not told". Rows are counted as they stream by, their keys and two columns of each; none is kept. Of many thousand
covered rows some are counted and the rest is estimated: a verdict that is late must not cost more each run, the more
rows wait for it. A failure to count is told as an event of its own and goes no further: the rows that were just settled
are settled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ...domain.model import Priority, State
from ...domain.planner import WINDOW, Limits
from ...ports import Clock
from ...stores.ledger import Ledger, Standing
from ...stores.quota import Quota, QuotaStore
from ...telemetry import Event, emit, raised_at

LANE_OF_STATE = {
    State.DISPATCHED: "in_flight",
    State.SUBMITTING: "in_flight",
    State.SUBMITTED: "at_microsoft",
    State.UNCERTAIN: "uncertain",
    State.COVERED: "covered",
}
COUNTED_COVERED_ROWS = 10_000
"""So many covered rows are counted one by one, and a page of each holder's beyond them."""
LANES = (*(priority.value for priority in Priority), *dict.fromkeys(LANE_OF_STATE.values()))


class Rows(Protocol):
    """What lanes are counted from: the ledger, or the worklist behind it."""

    def standing(self, counted: int) -> AsyncIterator[Standing]:
        """How every row stands that is not final."""


@dataclass(frozen=True, slots=True)
class Lane:
    """How many rows stand in a lane, and since when the oldest of them does, in seconds; 0 where there is none."""

    name: str
    count: int
    oldest_s: int


@dataclass(frozen=True, slots=True)
class Used:
    """Submissions sent in the last 15 minutes, and in the last 24 hours."""

    window: int
    today: int


class Backlog:
    """The use case behind what `settle_outcomes` tells of the rows that are not final."""

    def __init__(self, limits: Limits, *, ledger: Ledger, quota: QuotaStore, clock: Clock) -> None:
        self._limits = limits
        self._ledger = ledger
        self._quota = quota
        self._clock = clock

    async def run(self) -> None:
        """Tell backlog and quota; never raises."""
        try:
            await self._tell_lanes()
            await self._tell_quota()
        except Exception as error:  # noqa: BLE001 - settling is done; its run must not fail for this
            emit(Event.BACKLOG_UNTOLD, error=type(error).__name__, where=raised_at(error))

    async def _tell_lanes(self) -> None:
        for lane in await count_lanes(self._ledger, self._clock.now()):
            emit(Event.BACKLOG, lane=lane.name, count=lane.count, oldest_s=lane.oldest_s)

    async def _tell_quota(self) -> None:
        used = count_used(await self._quota.quota(), self._clock.now())
        emit(
            Event.QUOTA_USED,
            window=used.window,
            window_limit=self._limits.for_anyone,
            today=used.today,
            day_limit=self._limits.per_day,
        )


async def count_lanes(rows: Rows, now: datetime) -> list[Lane]:
    """The lanes of `LANES`, in that order, counted from rows that are not final as they stream by."""
    count: Counter[str] = Counter()
    oldest: dict[str, datetime] = {}
    async for some in rows.standing(COUNTED_COVERED_ROWS):
        name = LANE_OF_STATE.get(some.state, some.priority.value)
        count[name] += some.count
        oldest[name] = min(oldest.get(name, now), some.since)
    return [Lane(name, count[name], int((now - oldest.get(name, now)).total_seconds())) for name in LANES]


def count_used(quota: Quota, now: datetime) -> Used:
    """What the app's own submissions have used of the quota."""
    sent = [one.slot.sent_at for one in quota.slots if one.slot.sent_at is not None]
    return Used(sum(now - at < WINDOW for at in sent), quota.sent_today.since_yesterday(now).total() + len(sent))
