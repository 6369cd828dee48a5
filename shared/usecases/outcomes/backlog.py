"""Backlog: how many rows wait, where, since when, and how much of Microsoft's quota the app has used.

Told after every settle run, one event for each lane, those with nothing in them too, so that an alert can tell "none"
from "not told". Rows are counted as they stream by, in one scan of the worklist; none is kept. A failure to count is
told as an event of its own and goes no further: the rows that were just settled are settled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from shared.domain.model import Priority, State
from shared.domain.planner import WINDOW, Limits
from shared.ports import Clock
from shared.stores.ledger import Ledger, WorkItem
from shared.stores.quota import Quota, QuotaStore
from shared.telemetry import Event, emit, raised_at

LANE_OF_STATE = {
    State.DISPATCHED: "in_flight",
    State.SUBMITTING: "in_flight",
    State.SUBMITTED: "at_microsoft",
    State.UNCERTAIN: "uncertain",
    State.COVERED: "covered",
}
LANES = (*(priority.value for priority in Priority), *dict.fromkeys(LANE_OF_STATE.values()))


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
        for lane in await count_lanes(self._ledger.entries(), self._clock.now()):
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


async def count_lanes(entries: AsyncIterator[WorkItem], now: datetime) -> list[Lane]:
    """The lanes of `LANES`, in that order, counted from rows that are not final as they stream by."""
    count: Counter[str] = Counter()
    oldest: dict[str, datetime] = {}
    async for item in entries:
        name = _lane(item)
        count[name] += 1
        oldest[name] = min(oldest.get(name, now), _since(item))
    return [Lane(name, count[name], int((now - oldest.get(name, now)).total_seconds())) for name in LANES]


def count_used(quota: Quota, now: datetime) -> Used:
    """What the app's own submissions have used of the quota."""
    sent = [one.slot.sent_at for one in quota.slots if one.slot.sent_at is not None]
    return Used(sum(now - at < WINDOW for at in sent), quota.sent_today.since_yesterday(now).total() + len(sent))


def _lane(item: WorkItem) -> str:
    waiting = item.outcome.priority or Priority.NORMAL
    return LANE_OF_STATE.get(item.outcome.state, waiting.value)


def _since(item: WorkItem) -> datetime:
    """When the row was received; for an uncertain one when its POST left, or may have: that is what it waits for."""
    return item.sent_before if item.outcome.state is State.UNCERTAIN else item.outcome.received_at
