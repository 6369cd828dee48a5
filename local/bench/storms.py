"""Storms in simulated time: 1,000 and 10,000 reports wait at once, urgent requests come in between.

The ideal is greedy and exact: row k can go when row k - 120 is 15 minutes old (120 = 150 a window, less what is kept
for people and for urgent rows) and fewer than 8,001 went in the last 24 hours (10,000 less the same shares). Windows
are counted over the moments at which POSTs arrived at Microsoft, and the stand-in refuses whatever breaks its limits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.bench.figures import Figure, Target
from local.bench.simulated_day import SimulatedDay, simulated_day
from local.bench.windows import LONG, SHORT, Allowance, fullest_window, ideal_times, overfull_windows
from shared.domain.model import Priority

START = datetime(2026, 11, 23, 6, 0, 0, 250_000, UTC)
MOST_SENT_S = 48 * 3600.0
EARLIER_S = 2 * 3600.0
MICROSOFT = Allowance(150, 10_000)
ALLOWANCE = Allowance(120, 8_001)
WITHIN_ONE_PERCENT = Target("<=", 1.01)
NONE = Target("<=", 0)
TWO_DISPATCH_RUNS_S = Target("<=", 120)


@dataclass(frozen=True, slots=True)
class Storm:
    """How many rows wait at once, how many went out in the two hours before, how many urgent ones come in between."""

    waiting: int
    earlier: int
    urgent: int
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Course:
    """How a storm went: when what arrived at Microsoft, and how long each urgent row waited, in seconds."""

    began_at: datetime
    earlier: list[datetime]
    waiting: list[datetime]
    urgent: list[datetime]
    urgent_waits_s: list[float]
    refusals: int

    @property
    def all_times(self) -> list[datetime]:
        """Every arrival."""
        return [*self.earlier, *self.waiting, *self.urgent]


async def measure_small() -> list[Figure]:
    """A storm of 1,000."""
    return await _figures(Storm(waiting=1_000, earlier=0, urgent=10))


async def measure_large() -> list[Figure]:
    """A storm of 10,000 on a day on which 500 went out already, so that the daily limit holds the last ones back."""
    return await _figures(Storm(waiting=10_000, earlier=500, urgent=20))


async def run_storm(storm: Storm) -> Course:
    """Let the storm pass, to its last submission."""
    chance = random.Random(storm.seed)
    async with simulated_day(START, storm.seed) as day:
        if storm.earlier:
            await day.collect(storm.earlier)
            await day.clock.advance(EARLIER_S)
        earlier = list(day.microsoft.arrivals)
        began_at = day.clock.now()
        waiting = await day.collect(storm.waiting)
        urgent = await _urgent_in_between(day, storm, chance)
        await day.until_sent(storm.earlier + storm.waiting + storm.urgent, MOST_SENT_S)
        arrival_of = day.microsoft.arrival_of
        return Course(
            began_at=began_at,
            earlier=earlier,
            waiting=sorted(arrival_of[one] for one in waiting),
            urgent=sorted(arrival_of[one] for one in urgent),
            urgent_waits_s=[(arrival_of[one] - asked_at).total_seconds() for one, asked_at in urgent.items()],
            refusals=day.microsoft.refusals,
        )


async def _urgent_in_between(day: SimulatedDay, storm: Storm, chance: random.Random) -> dict[str, datetime]:
    """Let urgent rows in at random moments of the storm's first half.

    Intake would dispatch at once; here only the timer does, so the waits are the longest ones.
    """
    gap_s = storm.waiting / ALLOWANCE.per_15_min * SHORT.total_seconds() / 2 / max(storm.urgent, 1)
    asked: dict[str, datetime] = {}
    for _ in range(storm.urgent):
        await day.clock.advance(chance.uniform(0.1, 1.9) * gap_s)
        [submission_id] = await day.admit(1, Priority.URGENT)
        asked[submission_id] = day.clock.now()
    return asked


async def _figures(storm: Storm) -> list[Figure]:
    course = await run_storm(storm)
    name = f"storm of {storm.waiting:,}"
    return [_last_submission(name, course), _windows(name, course), _longest_wait(name, course)]


def _last_submission(name: str, course: Course) -> Figure:
    ideal = ideal_times(len(course.waiting), course.began_at, ALLOWANCE, [*course.earlier, *course.urgent])
    return Figure(
        name=f"{name}: last submission, simulated time",
        value=_minutes(course.waiting[-1] - course.began_at),
        unit="min",
        baseline=_minutes(ideal[-1] - course.began_at),
        target=WITHIN_ONE_PERCENT,
        note="baseline: the ideal",
    )


def _windows(name: str, course: Course) -> Figure:
    times = course.all_times
    broken = overfull_windows(times, SHORT, MICROSOFT.per_15_min) + overfull_windows(times, LONG, MICROSOFT.per_day)
    fullest = f"{fullest_window(times, SHORT)} in 15 min, {fullest_window(times, LONG):,} in 24 h"
    return Figure(
        name=f"{name}: windows broken or POSTs refused",
        value=broken + course.refusals,
        unit=f"of {len(times):,} POSTs",
        target=NONE,
        note=f"fullest: {fullest}",
    )


def _longest_wait(name: str, course: Course) -> Figure:
    return Figure(
        name=f"{name}: longest wait of {len(course.urgent_waits_s)} urgent rows, to the POST",
        value=max(course.urgent_waits_s),
        unit="s",
        target=TWO_DISPATCH_RUNS_S,
    )


def _minutes(span: timedelta) -> float:
    return span / timedelta(minutes=1)
