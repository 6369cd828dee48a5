"""When each timer last ended well, and when it last failed: a row each in the table `runstate`.

Telemetry tells the same, to those who may read a workspace; this is for who stands before the data account. A row also
holds the quota under which its run worked, which nothing outside the app's settings knows. A good run that got nothing
done is kept every two minutes: a timer that runs every half minute would write the same row 2,880 times a day. The
invariant: no run fails for its heartbeat. What cannot be written is told as an event and left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..domain.errors import Missing
from ..domain.planner import Limits
from ..ports import Clock, Entity, Merge, Replace, Table, Value
from ..telemetry import Event, emit

PARTITION = "heartbeat"
QUIET_EVERY = timedelta(minutes=2)
"""How often a good run that got nothing done is kept; far below what counts as silence (30 minutes)."""
TIMERS = ("collect_reports", "dispatch", "settle_outcomes")
_LIMITS = {
    "per_window": "QuotaPer15Min",
    "per_day": "QuotaPerDay",
    "reserved_for_people": "QuotaReservedForPeople",
    "reserved_for_urgent": "QuotaReservedForUrgent",
}
"""Field of `Limits` to column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What is known of a timer's runs; a field is None where there was no such run yet.

    `count` is what its last good run got done, as `run_finished` has it; `error` is the type of its last failure.
    """

    function: str
    ended_at: datetime | None = None
    took_ms: int | None = None
    count: int | None = None
    failed_at: datetime | None = None
    error: str | None = None
    limits: Limits | None = None


class Heartbeats:
    """Writes the rows, one write a run at most; neither method raises."""

    def __init__(self, table: Table, clock: Clock, limits: Limits) -> None:
        self._table = table
        self._clock = clock
        self._limits = limits
        self._good_until: dict[str, datetime] = {}
        """Until when the row of each timer says what matters of a good run that got nothing done."""

    async def ended(self, function: str, count: int, seconds: float) -> None:
        """Keep that a run ended well just now, after `seconds`."""
        now = self._clock.now()
        if count == 0 and now < self._good_until.get(function, now):
            return
        ended: Entity = {"EndedAt": now, "TookMs": round(seconds * 1000), "Count": count}
        if await self._keep(function, ended | _limits_entity(self._limits)):
            self._good_until[function] = now + QUIET_EVERY

    async def failed(self, function: str, error: Exception) -> None:
        """Keep that a run failed just now, by the error's type: its text may repeat what a stranger wrote."""
        self._good_until.pop(function, None)
        await self._keep(function, {"FailedAt": self._clock.now(), "Error": type(error).__name__})

    async def _keep(self, function: str, facts: Mapping[str, Value]) -> bool:
        """Whether the facts could be written."""
        try:
            await self._merge({"PartitionKey": PARTITION, "RowKey": function, **facts})
        except Exception as error:  # noqa: BLE001 - whatever it is, the run is what it was
            emit(Event.HEARTBEAT_UNWRITTEN, function=function, error=type(error).__name__)
            return False
        return True

    async def _merge(self, entity: Entity) -> None:
        """Write these columns and leave the others; a timer's first run makes its row."""
        try:
            await self._table.write(Merge(entity))
        except Missing:
            await self._table.write(Replace(entity))


async def read_heartbeats(table: Table) -> list[Heartbeat]:
    """What is known of each of `TIMERS`, in that order."""
    rows = {str(row.entity["RowKey"]): row.entity async for row in table.scan(PARTITION, "", "~")}
    return [_heartbeat(function, rows.get(function, {})) for function in TIMERS]


def _heartbeat(function: str, entity: Entity) -> Heartbeat:
    return Heartbeat(
        function=function,
        ended_at=_time(entity.get("EndedAt")),
        took_ms=_number(entity.get("TookMs")),
        count=_number(entity.get("Count")),
        failed_at=_time(entity.get("FailedAt")),
        error=str(entity["Error"]) if "Error" in entity else None,
        limits=_limits(entity),
    )


def _limits_entity(limits: Limits) -> Entity:
    return {column: int(getattr(limits, name)) for name, column in _LIMITS.items()}


def _limits(entity: Entity) -> Limits | None:
    found = {name: _number(entity.get(column)) for name, column in _LIMITS.items()}
    known = {name: number for name, number in found.items() if number is not None}
    return Limits(**known) if len(known) == len(_LIMITS) else None


def _time(value: Value | None) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _number(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
