"""How the app does, as its own tables tell: what waits and for how long, the quota, pauses, the timers' last runs.

Read from the tables `worklist` and `runstate` and a month of `statistics`, as streams: however many outcomes there are,
and however long the backlog is, memory stays the same. The invariant: trouble goes by the name of the deployment's
alert for it, and by its limit where that is a time or a share, so that `docs/monitoring.md` tells what to do. What only
the events know, such as slots missed or answers refused, only the alerts tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ..domain.planner import CLOCK_MARGIN, DAY, Limits, Planner
from ..domain.regularity import Present, Regular, Regularity, ReportedDay, judge
from ..ports import Clock, Table
from ..stores.heartbeats import Heartbeat, read_heartbeats
from ..stores.quota import Quota, QuotaStore
from ..stores.worklist import Worklist
from ..usecases.outcomes.backlog import Lane, Used, count_lanes, count_used
from .statistics_days import waits

KEPT: Final = "kept"
"""The lane of rows that failed or were rejected, and can be replayed."""
REGULARITY_DAYS: Final = 30
"""As far back as Microsoft's own test looks."""
SILENT_AFTER: Final = timedelta(minutes=30)
OLDEST_S: Final = {"late-urgent": 30 * 60, "late-others": 24 * 3600, "stuck-uncertain": 3600}
DAY_PERCENT: Final = 75
_WATCHED: Final = {
    "urgent": "late-urgent",
    "normal": "late-others",
    "low": "late-others",
    "uncertain": "stuck-uncertain",
}
_PAUSES: Final = {
    "throttled": "Microsoft refused with 429: it goes on by itself; if it recurs, see who else submits in this tenant",
    "not_allowed": "Microsoft refused with 401, 402 or 403: run `submissions doctor`",
    "poison_message": "messages failed one after the other: see which error the function `submit` raises",
}
_TROUBLING: Final = {"not_allowed": "not-allowed", "poison_message": "poison"}


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is submitted before `until`; while `is_probing`, also after it, but for one row at a time."""

    until: datetime
    reason: str
    is_probing: bool

    @property
    def told(self) -> str:
        """Why, in words."""
        return _PAUSES.get(self.reason, self.reason)


@dataclass(frozen=True, slots=True)
class QuotaState:
    """What is used of the limits under which the app runs, and when it may submit next; None where nothing tells.

    `next_at` is the next free moment for a row that is not urgent, `next_urgent_at` for one that is.
    """

    used: Used
    limits: Limits | None
    next_at: datetime | None
    next_urgent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a person should look at: the alert that stands for it, and what it is."""

    alert: str
    told: str


@dataclass(frozen=True, slots=True)
class Condition:
    """How the app does at a moment."""

    at: datetime
    lanes: list[Lane]
    quota: QuotaState
    pause: Pause | None
    timers: list[Heartbeat]
    days: Sequence[ReportedDay] = ()
    """The days with reports of the last `REGULARITY_DAYS`."""

    @property
    def regularity(self) -> Regularity:
        """Whether submitting is regular."""
        silent = [timer.function for timer in self.timers if self.is_silent(timer)]
        return judge(self.days, self.at, Present(waits(self.lanes), silent))

    def troubles(self) -> list[Trouble]:
        """What should be looked at, the worst first."""
        return [
            *self._of_timers(),
            *self._of_pause(),
            *self._of_lanes(),
            *self._of_quota(),
            *self._of_regularity(),
        ]

    def is_silent(self, timer: Heartbeat) -> bool:
        """Whether the timer is silent."""
        return is_silent(timer, self.at)

    def _of_timers(self) -> Iterator[Trouble]:
        for timer in self.timers:
            if self.is_silent(timer):
                told = (
                    "never ended a run"
                    if timer.ended_at is None
                    else f"has ended no run for {self._ago(timer.ended_at)}"
                )
                yield Trouble("silent", f"{timer.function} {told}")
            if timer.failed_at is not None and has_failed(timer):
                told = f"the last run of {timer.function} failed {self._ago(timer.failed_at)} ago: {timer.error}"
                yield Trouble("failures", told)

    def _ago(self, moment: datetime) -> str:
        return age(self.at - moment)

    def _of_pause(self) -> Iterator[Trouble]:
        if self.pause is not None and self.pause.reason in _TROUBLING:
            yield Trouble(_TROUBLING[self.pause.reason], f"submissions pause: {self.pause.told}")

    def _of_lanes(self) -> Iterator[Trouble]:
        for lane in self.lanes:
            alert = _WATCHED.get(lane.name)
            if alert is not None and lane.oldest_s > OLDEST_S[alert]:
                since = age(timedelta(seconds=lane.oldest_s))
                yield Trouble(alert, f"a row of lane `{lane.name}` has waited for {since}")

    def _of_quota(self) -> Iterator[Trouble]:
        limits, today = self.quota.limits, self.quota.used.today
        if limits is not None and today * 100 > limits.per_day * DAY_PERCENT:
            yield Trouble("quota", f"{today} of the day's {limits.per_day} submissions are used")

    def _of_regularity(self) -> Iterator[Trouble]:
        """What only the days tell: silent timers and late rows have alerts of their own."""
        of_days = judge(self.days, self.at, None)
        if of_days.verdict is Regular.FAIL:
            yield Trouble("irregular", of_days.reason)


async def read_condition(
    worklist: Table,
    runstate: Table,
    clock: Clock,
    days: Sequence[ReportedDay] = (),
    replayable: tuple[int, datetime] | None = None,
) -> Condition:
    """How the app does now; the days of its statistics, and how many rows can be replayed and since when, if given."""
    now = clock.now()
    listed = Worklist(worklist)
    timers = await read_heartbeats(runstate)
    quota = await QuotaStore(worklist, clock).quota()
    lanes = await count_lanes(listed, now)
    kept, oldest = replayable or (0, now)
    return Condition(
        at=now,
        lanes=[*lanes, Lane(KEPT, kept, int((now - oldest).total_seconds()))],
        quota=_quota_state(quota, _latest_limits(timers), now),
        pause=_pause(quota, now),
        timers=timers,
        days=days,
    )


def is_silent(timer: Heartbeat, now: datetime) -> bool:
    """Whether the timer has ended no run well for too long, or never."""
    return timer.ended_at is None or now - timer.ended_at > SILENT_AFTER


def has_failed(timer: Heartbeat) -> bool:
    """Whether the timer's last run failed; a good run makes up for a failure before it."""
    return timer.failed_at is not None and (timer.ended_at is None or timer.failed_at > timer.ended_at)


def age(span: timedelta) -> str:
    """A length of time in its two largest units, such as `2h 14m`; a negative one is `0s`."""
    left_s = max(0, int(span.total_seconds()))
    parts: list[str] = []
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, left_s = divmod(left_s, unit_s)
        if number or parts:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2]) or "0s"


def age_of(seconds: int) -> str:
    """As `age`, without a second unit that is nothing: `10m`, `1h 5m`."""
    return age(timedelta(seconds=seconds)).removesuffix(" 0s").removesuffix(" 0m").removesuffix(" 0h")


def _latest_limits(timers: list[Heartbeat]) -> Limits | None:
    known = [timer for timer in timers if timer.limits is not None and timer.ended_at is not None]
    latest = max(known, key=lambda timer: timer.ended_at or datetime.min.replace(tzinfo=UTC), default=None)
    return None if latest is None else latest.limits


def _pause(quota: Quota, now: datetime) -> Pause | None:
    is_probing = quota.is_probing(now)
    if quota.closed_until is None or quota.closed_reason is None or not (quota.closed_until > now or is_probing):
        return None
    return Pause(quota.closed_until, quota.closed_reason, is_probing)


def _quota_state(quota: Quota, limits: Limits | None, now: datetime) -> QuotaState:
    if limits is None:
        return QuotaState(count_used(quota, now), None, None, None)
    next_at, next_urgent_at = (_next_free(quota, limits, now, urgent=urgent) for urgent in (False, True))
    return QuotaState(count_used(quota, now), limits, next_at, next_urgent_at)


def _next_free(quota: Quota, limits: Limits, now: datetime, *, urgent: bool) -> datetime | None:
    """When the next slot is free; None where the day is used up and nothing tells when it frees."""
    today = quota.sent_today.since_yesterday(now)
    slots = [one.slot for one in quota.counted]
    left_today = today.left(limits, slots)
    if not left_today.admits(urgent=urgent):
        return (
            datetime.fromtimestamp((min(today.minutes) + 1) * 60, UTC) + DAY + CLOCK_MARGIN if today.minutes else None
        )
    planner = Planner.of(
        limits, slots, now=now, horizon=now + DAY, left_today=left_today, closed_until=quota.closed_until
    )
    slot = planner.take(urgent=urgent)
    return None if slot is None else slot.at
