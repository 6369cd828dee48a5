"""Rolling windows over times of POSTs: how full they were, and the earliest times that keep them.

Pure. A window of 15 minutes that ends at `t` holds everything later than `t` - 15 minutes up to `t` itself.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SHORT = timedelta(minutes=15)
LONG = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many POSTs any 15 minutes and any 24 hours may hold."""

    per_15_min: int
    per_day: int


def fullest_window(times: Sequence[datetime], window: timedelta) -> int:
    """The most times that any rolling window holds."""
    in_order = sorted(times)
    return max((end + 1 - bisect_right(in_order, at - window) for end, at in enumerate(in_order)), default=0)


def overfull_windows(times: Sequence[datetime], window: timedelta, limit: int) -> int:
    """How many of the times end a rolling window that holds more than `limit`."""
    in_order = sorted(times)
    return sum(end + 1 - bisect_right(in_order, at - window) > limit for end, at in enumerate(in_order))


def ideal_times(count: int, start: datetime, allowance: Allowance, taken: Sequence[datetime] = ()) -> list[datetime]:
    """The earliest times at which `count` waiting rows can be sent, the first at `start`.

    Greedy, which is optimal here: row k goes as soon as row k - `per_15_min` is 15 minutes old and the last 24 hours,
    with the times in `taken`, hold fewer than `per_day`.
    """
    own: list[datetime] = []
    day = sorted(taken)
    for number in range(count):
        at = own[-1] if own else start
        if number >= allowance.per_15_min:
            at = max(at, own[number - allowance.per_15_min] + SHORT)
        at = _free_today(at, day, allowance.per_day)
        own.append(at)
        insort(day, at)
    return own


def _free_today(at: datetime, day: Sequence[datetime], per_day: int) -> datetime:
    """The first moment from `at` on whose last 24 hours hold fewer than `per_day` of these times."""
    while bisect_right(day, at) - bisect_right(day, at - LONG) >= per_day:
        at = day[bisect_right(day, at) - per_day] + LONG
    return at
