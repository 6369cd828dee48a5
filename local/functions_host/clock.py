"""Time and chance as the host sees them: the machine's own, or simulated.

Everything in this package waits through a `Clock` and draws through a `Random`, so that a test decides both. The
invariant: `now()` is an aware UTC datetime and never goes back.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

_MAX_ROUNDS = 100_000


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once, but only after other tasks had their turn, for zero or less."""
        ...


class Random(Protocol):
    """A source of jitter; `random.Random` is one."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between `a` and `b`."""
        ...


async def sleep_unless(clock: Clock, seconds: float, ended: asyncio.Event) -> None:
    """Return after `seconds` on `clock`, or as soon as `ended` is set."""
    waits = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(ended.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of real time."""
        await asyncio.sleep(max(0.0, seconds))


class SimulatedClock:
    """A clock that moves only when told to: days of waiting pass in milliseconds, the same way each time.

    `advance` moves it from one due moment to the next; at each it wakes all who sleep until then, in the order they
    lay down, and lets every task run until it waits again. It sees only tasks that wait on this clock or on each
    other: one that waits for a socket or a thread does not hold time back, so await such work before advancing.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError("a simulated clock starts at an aware datetime")
        self._now = start.astimezone(UTC)
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The simulated moment, aware, in UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been advanced by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move `seconds` on, waking every sleeper due on the way; all tasks are at rest when this returns."""
        end = self._now + timedelta(seconds=seconds)
        await self.settle()
        while self._wake_earliest(end):
            await self.settle()
        self._now = end

    async def advance_until(self, condition: Callable[[], bool], limit_s: float) -> float:
        """Move on, from one due moment to the next, until `condition()` holds; return the seconds that took.

        Raises `TimeoutError` when it does not hold `limit_s` later, or when nobody sleeps any more.
        """
        start = self._now
        end = start + timedelta(seconds=limit_s)
        await self.settle()
        while not condition():
            if not self._wake_earliest(end):
                raise TimeoutError(f"not so within {limit_s} simulated seconds")
            await self.settle()
        return (self._now - start).total_seconds()

    async def settle(self) -> None:
        """Let every task run until all of them wait, without moving the time.

        Raises `RuntimeError` when they never come to rest, as in a loop that sleeps for zero seconds.
        """
        # asyncio offers no public way to ask whether anything is ready to run. Two empty looks in a row also give the
        # loop a chance to see finished I/O and wake-ups from threads.
        ready = getattr(asyncio.get_running_loop(), "_ready", ())
        quiet = 0
        for _ in range(_MAX_ROUNDS):
            await asyncio.sleep(0)
            quiet = 0 if ready else quiet + 1
            if quiet == 2:
                return
        raise RuntimeError("tasks do not come to rest")

    def _wake_earliest(self, end: datetime) -> bool:
        woken = False
        while self._sleepers and self._sleepers[0][0] <= (self._now if woken else end):
            due, _, sleeper = heapq.heappop(self._sleepers)
            if not sleeper.done():
                self._now = due
                sleeper.set_result(None)
                woken = True
        return woken
