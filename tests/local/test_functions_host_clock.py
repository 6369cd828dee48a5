"""The simulated clock: what others build their tests on."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from local.functions_host import SimulatedClock, SystemClock


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    """`advance` wakes sleepers by due time, equals in the order they lay down, each seeing its own time."""
    clock = SimulatedClock(datetime(2026, 1, 1, tzinfo=UTC))
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, (clock.now() - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in [("late", 5.0), ("soon", 1.0), ("equal", 1.0), ("now", 0.0), ("negative", -3.0)]:
            group.create_task(sleep(name, seconds))
        await clock.advance(10)
    assert woken == [("now", 0), ("negative", 0), ("soon", 1), ("equal", 1), ("late", 5)]
    assert clock.now() == datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)


async def test_what_a_sleeper_starts_is_settled_before_the_next_wakes() -> None:
    """Between two moments all tasks run until they wait, however many steps that takes."""
    clock = SimulatedClock()
    log: list[str] = []

    async def chain() -> None:
        await clock.sleep(1)
        for _ in range(50):
            await asyncio.create_task(asyncio.sleep(0))
        log.append("chain")

    async def later() -> None:
        await clock.sleep(1.001)
        log.append("later")

    async with asyncio.TaskGroup() as group:
        group.create_task(later())
        group.create_task(chain())
        await clock.advance(2)
    assert log == ["chain", "later"]


async def test_sleeps_laid_down_on_the_way_count() -> None:
    """A loop that sleeps again and again is woken for every round within one `advance`."""
    clock = SimulatedClock()
    rounds: list[datetime] = []

    async def tick() -> None:
        while True:
            await clock.sleep(60)
            rounds.append(clock.now())

    task = asyncio.create_task(tick())
    await clock.advance(3600)
    task.cancel()
    assert len(rounds) == 60


async def test_cancelled_sleeper_is_not_woken() -> None:
    """A cancelled sleep neither wakes nor moves the clock."""
    clock = SimulatedClock()
    start = clock.now()
    task = asyncio.create_task(clock.sleep(5))
    await clock.settle()
    task.cancel()
    with pytest.raises(TimeoutError):
        await clock.advance_until(lambda: False, 10)
    assert clock.now() == start


async def test_advance_until_stops_at_the_moment() -> None:
    """`advance_until` returns the seconds until the condition first held, and refuses to wait beyond its limit."""
    clock = SimulatedClock()
    task = asyncio.create_task(clock.sleep(7))
    assert await clock.advance_until(task.done, 10) == 7
    with pytest.raises(TimeoutError):
        await clock.advance_until(lambda: False, 10)


async def test_threads_results_are_seen() -> None:
    """A settled clock has given the loop a chance to see what threads have finished."""
    clock = SimulatedClock()
    future = asyncio.get_running_loop().run_in_executor(None, lambda: "done")
    assert await future == "done"
    await clock.settle()


async def test_clocks_tell_aware_utc() -> None:
    """Both clocks tell aware UTC; a naive start is refused."""
    assert SimulatedClock().now().utcoffset() == timedelta(0)
    assert SystemClock().now().utcoffset() == timedelta(0)
    with pytest.raises(ValueError, match="aware"):
        SimulatedClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the point


async def test_endless_zero_sleeps_are_reported() -> None:
    """A task that never rests is reported instead of hanging the test."""
    clock = SimulatedClock()

    async def spin() -> None:
        while True:
            await clock.sleep(0)

    task = asyncio.create_task(spin())
    with pytest.raises(RuntimeError, match="rest"):
        await clock.settle()
    task.cancel()
