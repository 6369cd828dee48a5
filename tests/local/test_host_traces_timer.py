"""The timer listener, laid next to recordings of the real one."""

import asyncio
from datetime import UTC, datetime, time
from typing import Any

import azure.functions as func
import pytest

from tests.local.functions_host_stage import RECORDINGS, Stage, TimerCall, assert_alike, timer_app

TIMERS: dict[str, dict[str, Any]] = RECORDINGS["timers"]
TOLERANCE_S = 0.7  # the recorded hosts took up to 0.6 s to start, and 0.1 s a run


def stage_for(name: str) -> Stage:
    """A stage whose clock stands where the recorded host's did at its second 0."""
    clock_time = time.fromisoformat(TIMERS[name]["clock_at_0"])
    return Stage(start=datetime.combine(datetime(2026, 11, 23, tzinfo=UTC), clock_time, tzinfo=UTC))


def running(stage: Stage, seconds: float) -> TimerCall:
    """A timer function that takes so long."""

    async def run(_timer: func.TimerRequest) -> None:
        await stage.clock.sleep(seconds)

    return run


def status_of(timer: func.TimerRequest) -> dict[str, str]:
    """What the function was told of `Last`, `Next` and `LastUpdated`."""
    status: dict[str, str] = timer.schedule_status  # type: ignore[attr-defined] # only the implementation has it
    return status


def assert_recorded(stage: Stage, name: str) -> None:
    """Compare the stage's log with the recording, as far as that goes."""
    recorded = TIMERS[name]["steps"]
    assert_alike(stage.steps[: len(recorded)], recorded, TOLERANCE_S)


@pytest.mark.parametrize(("name", "run_s"), [("every-10s-runs-3s", 3.0), ("every-10s-runs-25s", 25.0)])
async def test_every_ten_seconds(name: str, run_s: float) -> None:
    """Marks are kept by short runs; a run that overruns is followed by one at once, not past due, never beside it."""
    stage = stage_for(name)
    await stage.started(timer_app(running(stage, run_s), "*/10 * * * * *"))
    await stage.clock.advance(160)
    assert_recorded(stage, name)
    assert stage.statuses.texts == {}  # fires more often than once a minute: no monitor


async def test_restarts_with_and_without_a_missed_minute() -> None:
    """A restart after a missed mark runs once at start, past due; one with nothing missed does not run."""
    stage = stage_for("minute-restarts")
    app = timer_app(running(stage, 3.0), "0 * * * * *")
    host = await stage.started(app)
    for stop_s, start_s in [(297.38, 328.0), (377.38, 407.9)]:
        await stage.advance_to(stop_s)
        await host.stop()
        await stage.advance_to(start_s)
        host = await stage.started(app)
    await stage.advance_to(440)
    assert_recorded(stage, "minute-restarts")


async def test_overruns_and_a_kill_in_mid_run() -> None:
    """A killed run leaves the status of the run before it, so the next host is past due.

    The recorded host waited 60 s for the lease of the killed one; this stand-in has no leases and starts there.
    """
    stage = stage_for("minute-runs-75s")
    host = await stage.started(timer_app(running(stage, 75.0), "0 * * * * *"))
    await stage.advance_to(297)
    await host.kill()
    await stage.advance_to(359.65)
    await stage.started(timer_app(running(stage, 3.0), "0 * * * * *"))
    await stage.advance_to(372)
    recorded = [entry for entry in TIMERS["minute-runs-75s"]["steps"] if entry[0] < 299 or entry[1] != "started"]
    replayed = [entry for entry in stage.steps if entry[1] != "killed" and (entry[0] < 299 or entry[1] != "started")]
    assert_alike(replayed, recorded, TOLERANCE_S)


async def test_stop_cuts_a_timer_off_without_waiting() -> None:
    """At SIGTERM a running timer function is cut off at once and its run is not recorded, unlike with queues."""
    stage = Stage()
    cut_off = asyncio.Event()

    async def run(_timer: func.TimerRequest) -> None:
        try:
            await stage.clock.sleep(30)
        except asyncio.CancelledError:
            cut_off.set()
            raise

    host = await stage.started(timer_app(run, "0 * * * * *"))
    await stage.advance_to(10)
    before = dict(stage.statuses.texts)
    await host.stop()
    assert cut_off.is_set()
    assert stage.elapsed_s == 10
    assert stage.statuses.texts == before


async def test_start_waits_for_the_past_due_run() -> None:
    """The host counts as started only after the past-due run has ended, and the run is told that it is late."""
    stage = Stage()
    seen: list[tuple[bool, str]] = []

    async def run(timer: func.TimerRequest) -> None:
        seen.append((timer.past_due, status_of(timer)["Next"]))
        await stage.clock.sleep(3)

    app = timer_app(run, "0 * * * * *")
    host = await stage.started(app)
    await host.stop()
    await stage.advance_to(200)
    await stage.started(app)
    assert [step for _, step in stage.steps][-1] == "timer past_due"
    await stage.clock.advance(3)
    assert [step for _, step in stage.steps[-2:]] == ["status last=15:52:12 next=15:53:00", "started"]
    assert seen == [(True, "2026-11-23T15:49:00+00:00")]


@pytest.mark.parametrize(
    ("old", "new", "due"),
    [("0 * * * * *", "0 0 * * * *", "16:00:00"), ("0 0 * * * *", "0 * * * * *", "15:53:00")],
)
async def test_changed_schedule_is_not_past_due(old: str, new: str, due: str) -> None:
    """A status written for another schedule is recomputed from now and starts no run."""
    stage = Stage()
    host = await stage.started(timer_app(running(stage, 1), old))
    await host.stop()
    await stage.advance_to(200)
    await stage.started(timer_app(running(stage, 1), new))
    assert [step for _, step in stage.steps if step.startswith("timer")] == []
    assert stage.steps[-2] == (200, f"status last=never next={due}")


async def test_failing_past_due_run_is_not_retried() -> None:
    """A timer function that raises is not retried; the schedule goes on at the next mark."""
    stage = Stage()

    async def run(_timer: func.TimerRequest) -> None:
        raise RuntimeError

    app = timer_app(run, "0 * * * * *")
    host = await stage.started(app)
    await host.stop()
    await stage.advance_to(200)
    await stage.started(app)
    await stage.advance_to(250)
    assert [entry for entry in stage.steps if entry[1].startswith("timer ") or entry[1] == "timer"] == [
        (200, "timer past_due"),
        (247.42, "timer"),
    ]


async def test_run_on_startup_runs_at_once_and_not_past_due() -> None:
    """`run_on_startup` runs the function at every start, with past_due false."""
    stage = Stage()
    await stage.started(timer_app(running(stage, 1), "0 0 * * * *", run_on_startup=True))
    await stage.clock.advance(5)
    assert [step for _, step in stage.steps if step.startswith("timer")] == ["timer", "timerEnd"]


async def test_timer_without_monitor_keeps_no_status() -> None:
    """`use_monitor=False` stores nothing and tells the function nothing, so nothing is ever past due."""
    stage = Stage()
    seen: list[dict[str, str]] = []

    async def run(timer: func.TimerRequest) -> None:
        seen.append(status_of(timer))

    app = timer_app(run, "0 * * * * *", use_monitor=False)
    host = await stage.started(app)
    await stage.advance_to(8)
    await host.stop()
    await stage.advance_to(200)
    await stage.started(app)
    assert (seen, stage.statuses.texts) == ([{}], {})
