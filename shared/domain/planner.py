"""Which moments Microsoft's quota leaves free, and who may have them.

Microsoft admits 150 submissions in any 15 minutes and 10,000 in any 24 hours per tenant (Defender documentation,
"admin submissions", 2025-09; Graph throttling limits). The window is exact: slot *i + N* is never earlier than POST
*i* + 15 minutes, and nothing is smoothed, so an idle quota may be spent in one burst. Some of the quota is left to
people in the portal, some of the rest only to urgent rows; the same shares of a window and of a day.

The planner takes the slots handed out so far and returns new moments. A slot whose POST time is not known yet may
still be used at any moment of its lifetime, so it counts from its first to its last possible moment. Nothing here
knows which row takes which slot, nor how slots are stored.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
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

    @property
    def for_anyone_a_day(self) -> int:
        """How many submissions a day may hold at all; what is left to people is the same share as of a window."""
        return self.per_day - self.per_day * self.reserved_for_people // self.per_window

    @property
    def for_others_a_day(self) -> int:
        """How many submissions that are not urgent a day may hold; urgent ones have the same share as of a window."""
        return self.for_anyone_a_day - self.per_day * self.reserved_for_urgent // self.per_window


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


@dataclass(frozen=True, slots=True)
class LeftToday:
    """How many submissions the day still admits: in all, and how many of them may be of rows that are not urgent."""

    anyone: int
    others: int

    def admits(self, *, urgent: bool) -> bool:
        """Whether one more row of that kind may go."""
        return self.anyone > 0 and (urgent or self.others > 0)

    def without(self, *, urgent: bool) -> LeftToday:
        """What is left when one more row of that kind has gone."""
        return LeftToday(self.anyone - 1, self.others - (not urgent))


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
    left_today: LeftToday
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
        left_today: LeftToday,
        closed_until: datetime | None = None,
    ) -> Planner:
        """Return a planner that knows the slots handed out so far.

        Moments are given between `now` and `horizon`, none before `closed_until`, and no more than `left_today`.
        """
        planner = cls(limits, now, horizon, left_today, closed_until)
        for slot in slots:
            planner._count(slot)
        return planner

    def take(self, *, urgent: bool) -> Slot | None:
        """The next free slot for a row of that kind, now counted; None when none falls due before the horizon."""
        if not self.left_today.admits(urgent=urgent):
            return None
        at = self._next_free(urgent=urgent)
        if at > self.horizon:
            return None
        slot = Slot(at, urgent)
        self._count(slot)
        self.left_today = self.left_today.without(urgent=urgent)
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
    """How many submissions were sent in each minute of the last day.

    `minutes` maps epoch minutes to counts of all of them, `urgent_minutes` to how many of those were urgent rows'.
    """

    minutes: dict[int, int] = field(default_factory=dict)
    urgent_minutes: dict[int, int] = field(default_factory=dict)

    def with_sent(self, at: datetime, *, urgent: bool = False) -> DayCount:
        """The count with one more submission sent at `at`."""
        minute = _minute(at)
        return DayCount(
            _with_one_more(self.minutes, minute),
            _with_one_more(self.urgent_minutes, minute) if urgent else self.urgent_minutes,
        )

    def since_yesterday(self, now: datetime) -> DayCount:
        """The count without the minutes that lie wholly more than 24 hours back."""
        oldest = _minute(now - DAY - CLOCK_MARGIN)
        return DayCount(_from(oldest, self.minutes), _from(oldest, self.urgent_minutes))

    def total(self) -> int:
        """Submissions counted; a minute counts whole until its last second is a day old."""
        return sum(self.minutes.values())

    def left(self, limits: Limits, slots: Sequence[Slot]) -> LeftToday:
        """What the limits still admit today beside what is counted and the slots that are not counted yet."""
        others = self.total() - sum(self.urgent_minutes.values()) + sum(not slot.urgent for slot in slots)
        return LeftToday(limits.for_anyone_a_day - self.total() - len(slots), limits.for_others_a_day - others)


def _with_one_more(counts: dict[int, int], minute: int) -> dict[int, int]:
    return {**counts, minute: counts.get(minute, 0) + 1}


def _from(oldest: int, counts: dict[int, int]) -> dict[int, int]:
    return {minute: count for minute, count in counts.items() if minute >= oldest}


def _minute(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp()) // 60
