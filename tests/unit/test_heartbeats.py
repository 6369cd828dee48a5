"""What a timer leaves behind of its runs: one row, written once a run at most, and no harm to any."""

from datetime import datetime, timedelta

import pytest

from local.memory_storage import MemoryTable
from shared.domain.planner import Limits
from shared.ports import Entity, Replace, Write
from shared.stores.heartbeats import PARTITION, TIMERS, Heartbeat, Heartbeats, read_heartbeats
from tests.support.outcomes import NOW
from tests.support.stage import StageClock
from tests.support.tables import CountingTable

LIMITS = Limits(per_window=150, per_day=10_000, reserved_for_people=10, reserved_for_urgent=20)
NO_RUN = [Heartbeat(function=function) for function in TIMERS]


class RefusingTable(MemoryTable):
    """Can be read, and not written."""

    async def write(self, write: Write) -> str:  # noqa: ARG002 - the port's signature
        """Refuse, with a text that nobody may read."""
        raise ConnectionError("https://data.table.core.windows.net/runstate")


class StandingClock(StageClock):
    """Time that does not move by being looked at."""

    def now(self) -> datetime:
        """The same moment each time."""
        return self.time


@pytest.fixture
def table() -> CountingTable:
    """Return the empty table."""
    return CountingTable()


@pytest.fixture
def clock() -> StandingClock:
    """Return the clock of the app."""
    return StandingClock(NOW)


@pytest.fixture
def heartbeats(table: CountingTable, clock: StandingClock) -> Heartbeats:
    """Return what the app writes with."""
    return Heartbeats(table, clock, LIMITS)


async def test_a_timer_that_never_ran_is_listed(table: CountingTable) -> None:
    """Nothing is known of it, and it is not left out: silence is what is looked for."""
    assert await read_heartbeats(table) == NO_RUN


async def test_a_run_is_one_row_with_its_quota(heartbeats: Heartbeats, table: CountingTable) -> None:
    """When it ended, how long it took, how many it did, and under which limits."""
    await heartbeats.ended("dispatch", 7, 1.2345)
    found = Heartbeat(function="dispatch", ended_at=NOW, took_ms=1234, count=7, limits=LIMITS)
    assert await read_heartbeats(table) == [NO_RUN[0], found, NO_RUN[2]]


async def test_a_failure_leaves_the_last_good_run(
    heartbeats: Heartbeats, table: CountingTable, clock: StandingClock
) -> None:
    """Both stand side by side, so that both ages can be told; the error is its type and nothing of its text."""
    await heartbeats.ended("dispatch", 7, 1.0)
    clock.advance(minutes=1)
    await heartbeats.failed("dispatch", ValueError("mallory@evil.example"))
    (_, found, _) = await read_heartbeats(table)
    later = NOW + timedelta(minutes=1)
    assert (found.ended_at, found.count, found.failed_at, found.error) == (NOW, 7, later, "ValueError")
    assert "mallory" not in str(table.rows())


async def test_a_run_after_a_failure_keeps_the_failure(heartbeats: Heartbeats, table: CountingTable) -> None:
    """A failure that passed is still told, with its time."""
    await heartbeats.failed("dispatch", TimeoutError())
    await heartbeats.ended("dispatch", 0, 0.1)
    (_, found, _) = await read_heartbeats(table)
    assert (found.error, found.count, found.limits) == ("TimeoutError", 0, LIMITS)


async def test_a_run_costs_one_write(heartbeats: Heartbeats, table: CountingTable) -> None:
    """After the first, which finds no row and makes it."""
    await heartbeats.ended("dispatch", 1, 0.1)
    table.calls = 0
    for _ in range(5):
        await heartbeats.ended("dispatch", 1, 0.1)
    assert table.calls == 5


async def test_a_quiet_timer_is_kept_every_two_minutes(
    heartbeats: Heartbeats, table: CountingTable, clock: StandingClock
) -> None:
    """Runs that got nothing done write their row now and then, one that did at once, and each timer its own."""
    await heartbeats.ended("collect_reports", 0, 0.1)
    written = []
    for count in (0, 0, 0, 0, 0, 3, 0):
        table.calls = 0
        clock.advance(seconds=30)
        await heartbeats.ended("collect_reports", count, 0.1)
        written.append(table.calls)
    assert written == [0, 0, 0, 1, 0, 1, 0]
    table.calls = 0
    await heartbeats.ended("dispatch", 0, 0.1)
    assert table.calls > 0


async def test_a_quiet_run_after_a_failure_is_kept_at_once(
    heartbeats: Heartbeats, table: CountingTable, clock: StandingClock
) -> None:
    """Who looks sees that the trouble has passed."""
    await heartbeats.ended("dispatch", 0, 0.1)
    clock.advance(seconds=10)
    await heartbeats.failed("dispatch", TimeoutError())
    clock.advance(seconds=10)
    await heartbeats.ended("dispatch", 0, 0.1)
    (_, found, _) = await read_heartbeats(table)
    assert found.ended_at == NOW + timedelta(seconds=20)


async def test_a_quiet_run_that_could_not_be_written_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """By the next run, not two minutes later."""
    heartbeats = Heartbeats(RefusingTable(), StandingClock(NOW), LIMITS)
    await heartbeats.ended("dispatch", 0, 0.1)
    await heartbeats.ended("dispatch", 0, 0.1)
    assert len(caplog.messages) == 2


async def test_what_cannot_be_written_is_told_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """No exception leaves; the event names timer and kind of failure, and repeats no address."""
    heartbeats = Heartbeats(RefusingTable(), StandingClock(NOW), LIMITS)
    await heartbeats.ended("dispatch", 0, 0.1)
    await heartbeats.failed("settle_outcomes", ValueError())
    assert caplog.messages == [
        f"event=heartbeat_unwritten function={function} error=ConnectionError"
        for function in ("dispatch", "settle_outcomes")
    ]


async def test_a_row_that_somebody_spoiled_is_read_as_far_as_it_goes(table: CountingTable) -> None:
    """What is of another kind than it should be counts as not known."""
    spoiled: Entity = {"PartitionKey": PARTITION, "RowKey": "dispatch", "EndedAt": "soon", "QuotaPerDay": "many"}
    await table.write(Replace(spoiled))
    assert await read_heartbeats(table) == NO_RUN
