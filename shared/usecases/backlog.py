"""Backlog: how many rows wait, where, since when, and how much of Microsoft's quota the app has used.

Told after every settle run, one event for each lane, those with nothing in them too, so that an alert can tell "none"
from "not told". Rows are counted as they stream by, in one scan of the worklist; none is kept. A failure to count is
told as an event of its own and goes no further: the rows that were just settled are settled.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from shared.domain.model import Priority, State
from shared.domain.planner import WINDOW, Limits
from shared.ports import Clock
from shared.stores.worklist import WorkItem, Worklist
from shared.telemetry import Event, emit, raised_at
from shared.usecases.sweep import sent_before

LANE_OF_STATE = {
    State.DISPATCHED: "in_flight",
    State.SUBMITTING: "in_flight",
    State.SUBMITTED: "at_microsoft",
    State.UNCERTAIN: "uncertain",
    State.COVERED: "covered",
}
LANES = (*(priority.value for priority in Priority), *dict.fromkeys(LANE_OF_STATE.values()))


class Backlog:
    """The use case behind what `settle_outcomes` tells of the rows that are not final."""

    def __init__(self, limits: Limits, *, worklist: Worklist, clock: Clock) -> None:
        self._limits = limits
        self._worklist = worklist
        self._clock = clock

    async def run(self) -> None:
        """Tell backlog and quota; never raises."""
        try:
            await self._tell_lanes()
            await self._tell_quota()
        except Exception as error:  # noqa: BLE001 - settling is done; its run must not fail for this
            emit(Event.BACKLOG_UNTOLD, error=type(error).__name__, where=raised_at(error))

    async def _tell_lanes(self) -> None:
        now = self._clock.now()
        count: Counter[str] = Counter()
        oldest: dict[str, datetime] = {}
        async for item in self._worklist.entries():
            lane = _lane(item)
            count[lane] += 1
            oldest[lane] = min(oldest.get(lane, now), _since(item))
        for lane in LANES:
            oldest_s = int((now - oldest.get(lane, now)).total_seconds())
            emit(Event.BACKLOG, lane=lane, count=count[lane], oldest_s=oldest_s)

    async def _tell_quota(self) -> None:
        now = self._clock.now()
        quota = await self._worklist.quota()
        sent = [one.slot.sent_at for one in quota.slots if one.slot.sent_at is not None]
        emit(
            Event.QUOTA_USED,
            window=sum(now - at < WINDOW for at in sent),
            window_limit=self._limits.for_anyone,
            today=quota.sent_today.since_yesterday(now).total() + len(sent),
            day_limit=self._limits.per_day,
        )


def _lane(item: WorkItem) -> str:
    waiting = item.outcome.priority or Priority.NORMAL
    return LANE_OF_STATE.get(item.outcome.state, waiting.value)


def _since(item: WorkItem) -> datetime:
    """When the row was received; for an uncertain one when its POST left, or may have: that is what it waits for."""
    return sent_before(item) if item.outcome.state is State.UNCERTAIN else item.outcome.received_at
