"""Which moments Microsoft's quota leaves free, and who may have them.

Microsoft admits 150 submissions in any 15 minutes and 10,000 in any 24 hours per tenant (Defender documentation,
"admin submissions", 2025-09; Graph throttling limits). The window is exact: slot *i + N* is never earlier than POST
*i* + 15 minutes, and nothing is smoothed, so an idle quota may be spent in one burst. Some of the quota is left to
people in the portal, some of the rest only to urgent rows.

The planner takes the slots handed out so far and returns new moments. A slot whose POST time is not known yet may
still be used at any moment of its lifetime, so it counts from its first to its last possible moment. Nothing here
knows which row takes which slot, nor how slots are stored.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

WINDOW = timedelta(minutes=15)
DAY = timedelta(hours=24)
CLOCK_MARGIN = timedelta(seconds=3)
"""What our clock and Microsoft's may differ, and what a request takes from our stamp to their counter."""
SLOT_LIFETIME = timedelta(minutes=5)
"""How long after its moment a slot may still be used: a worker that starts from nothing needs a minute."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The tenant's submission limits, in submissions."""

    per_window: int
    per_day: int
    reserved_for_people: int
    reserved_for_urgent: int

    @property
    def for_anyone(self) -> int:
        """How many submissions a window may hold at all."""
        return self.per_window - self.reserved_for_people

    @property
    def for_others(self) -> int:
        """How many submissions that are not urgent a window may hold."""
        return self.for_anyone - self.reserved_for_urgent


@dataclass(frozen=True, slots=True)
class Slot:
    """A moment at which one submission may be sent; `sent_at` is the true time of its POST, None until then."""

    at: datetime
    urgent: bool
    sent_at: datetime | None = None

    @property
    def earliest(self) -> datetime:
        """The first moment at which its POST can have been, or can be."""
        return self.sent_at or self.at

    @property
    def latest(self) -> datetime:
        """The last moment at which its POST can have been, or can be."""
        return self.sent_at or self.at + SLOT_LIFETIME


def is_unusable(slot: Slot, now: datetime) -> bool:
    """Whether a slot was never used and no worker can use it any more (a minute of grace for slow writes)."""
    return slot.sent_at is None and now > slot.latest + timedelta(minutes=1)


def has_left_the_window(slot: Slot, now: datetime) -> bool:
    """Whether a slot no longer matters for the 15-minute limit."""
    return slot.latest + WINDOW + CLOCK_MARGIN < now


@dataclass(slots=True)
class _Track:
    """The possible POST times of a set of slots, sorted, and how many a window may hold."""

    limit: int
    earliest: list[datetime] = field(default_factory=list)
    latest: list[datetime] = field(default_factory=list)

    def add(self, slot: Slot) -> None:
        insort(self.earliest, slot.earliest)
        insort(self.latest, slot.latest)

    def in_window_ending(self, at: datetime) -> int:
        return bisect_right(self.earliest, at) - bisect_right(self.latest, at - WINDOW - CLOCK_MARGIN)

    def admits(self, at: datetime) -> bool:
        """Whether one more POST at this moment breaks neither its own window nor one that a later slot ends."""
        later = self.earliest[bisect_right(self.earliest, at) :]
        return all(self.in_window_ending(end) < self.limit for end in (at, *later))

    def next_free(self, start: datetime) -> datetime:
        """The first moment from `start` on that may hold one more POST."""
        openings = [opening for opening in (last + WINDOW + CLOCK_MARGIN for last in self.latest) if opening > start]
        return next(moment for moment in (start, *openings) if self.admits(moment))


@dataclass(slots=True)
class Planner:
    """Hands out moments one after the other, each counted against the next."""

    limits: Limits
    now: datetime
    horizon: datetime
    left_today: int
    closed_until: datetime | None = None
    _everyone: _Track = field(init=False)
    _others: _Track = field(init=False)

    def __post_init__(self) -> None:
        self._everyone = _Track(self.limits.for_anyone)
        self._others = _Track(self.limits.for_others)

    @classmethod
    def of(
        cls,
        limits: Limits,
        slots: list[Slot],
        *,
        now: datetime,
        horizon: datetime,
        left_today: int,
        closed_until: datetime | None = None,
    ) -> Planner:
        """Return a planner that knows the slots handed out so far.

        Moments are given between `now` and `horizon`, none before `closed_until`, and at most `left_today` of them.
        """
        planner = cls(limits, now, horizon, left_today, closed_until)
        for slot in slots:
            planner._count(slot)
        return planner

    def take(self, *, urgent: bool) -> Slot | None:
        """The next free slot for a row of that kind, now counted; None when none falls due before the horizon."""
        if self.left_today <= 0:
            return None
        at = self._next_free(urgent=urgent)
        if at > self.horizon:
            return None
        slot = Slot(at, urgent)
        self._count(slot)
        self.left_today -= 1
        return slot

    def _count(self, slot: Slot) -> None:
        self._everyone.add(slot)
        if not slot.urgent:
            self._others.add(slot)

    def _next_free(self, *, urgent: bool) -> datetime:
        tracks = [self._everyone] if urgent else [self._everyone, self._others]
        at = max(self.now, self.closed_until or self.now)
        while True:
            moved = at
            for track in tracks:
                moved = track.next_free(moved)
            if moved == at:
                return at
            at = moved


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many submissions were sent in each minute of the last day: `minutes` maps epoch minutes to counts."""

    minutes: dict[int, int] = field(default_factory=dict)

    def with_sent(self, at: datetime) -> DayCount:
        """The count with one more submission sent at `at`."""
        minute = _minute(at)
        return DayCount({**self.minutes, minute: self.minutes.get(minute, 0) + 1})

    def since_yesterday(self, now: datetime) -> DayCount:
        """The count without the minutes that lie wholly more than 24 hours back."""
        oldest = _minute(now - DAY - CLOCK_MARGIN)
        return DayCount({minute: count for minute, count in self.minutes.items() if minute >= oldest})

    def total(self) -> int:
        """Submissions counted; a minute counts whole until its last second is a day old."""
        return sum(self.minutes.values())


def _minute(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp()) // 60
