"""The table `statistics`: kept by the app as its days change, whatever stops in between, and at a small cost."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.memory_storage import MemoryTable
from shared.codecs.statistics import statistics_entity
from shared.domain.errors import Missing
from shared.domain.model import Outcome
from shared.domain.statistics import day_statistics
from shared.ports import Delete, Row, Table
from tests.support.reports import original, report
from tests.support.stage import ProcessStoppedError, Stage, Steps, stage

DAY = timedelta(days=1)


def counted(outcomes: list[Outcome]) -> dict[str, dict[str, Any]]:
    """What the table should hold, counted from all rows at once."""
    partitions: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        partitions.setdefault(outcome.key.partition, []).append(outcome)
    return {
        key: statistics_entity(day_statistics(datetime.strptime(key, "%Y%m%d").replace(tzinfo=UTC).date(), rows))
        for key, rows in partitions.items()
    }


async def kept(on: Stage) -> dict[str, Mapping[str, Any]]:
    """What the table holds, by day."""
    return {row["RowKey"]: row for row in await on.rows("statistics")}


async def keep(on: Stage) -> None:
    """Let the hour come round in which the days are kept."""
    on.clock.advance(hours=1)
    await on.app.keep_statistics.run()


async def test_days_are_kept_while_their_rows_change() -> None:
    """Reports of two days are counted when they come, and again when their verdicts do, days later."""
    async with stage() as on:
        for number in range(3):
            report(on, original(f"mail-{number}"), age=DAY * (number % 2))
        await on.app.collect_reports.run()
        await keep(on)
        first = await kept(on)
        assert first == counted(await on.outcomes())
        assert sum(row["Received"] for row in first.values()) == 3
        await on.finish(rows=3)
        on.clock.advance(days=2)
        await keep(on)
        assert await kept(on) == counted(await on.outcomes())
        assert sum(row["Settled"] for row in (await kept(on)).values()) == 3


async def test_a_run_in_between_costs_nothing() -> None:
    """Within the hour nothing is read, and a worker that begins anew reads one row."""
    async with stage() as on:
        report(on, original("mail"))
        await on.round()
        await on.app.keep_statistics.run()
        steps = Steps()
        on.start_process(steps)
        for _ in range(11):
            on.clock.advance(minutes=5)
            await on.app.keep_statistics.run()
        assert steps.taken == ["table runstate.get"]


async def test_a_day_without_changes_is_not_read() -> None:
    """What the feed does not name is left alone."""
    async with stage() as on:
        report(on, original("mail"))
        await on.finish(rows=1)
        await keep(on)
        on.clock.advance(hours=3)
        await keep(on)
        steps = Steps()
        on.start_process(steps)
        await keep(on)
        assert [step for step in steps.taken if step.startswith("table statistics")] == []


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_stop_anywhere_loses_nothing(after_effect: bool) -> None:
    """Whichever call ends the process, the next one has every day right."""
    async with stage() as on:
        for number in range(3):
            report(on, original(f"mail-{number}"), age=DAY * number)
        await on.finish(rows=3)
        for stop_at in range(20):
            on.ports.tables["statistics"] = MemoryTable()
            await forget_upkeep(on)
            steps = Steps(stop_at=stop_at, after_effect=after_effect)
            on.start_process(steps)
            with suppress(ProcessStoppedError):
                await keep(on)
            on.start_process()
            await keep(on)
            assert await kept(on) == counted(await on.outcomes()), stop_at
            if not steps.is_stopped:
                break
        else:
            raise AssertionError("a run takes more calls than were looked at")
        assert stop_at >= 5


async def forget_upkeep(on: Stage) -> None:
    """Let the app begin as if it had never kept a day."""
    if await on.ports.tables["runstate"].get("statistics", "upkeep"):
        await on.ports.tables["runstate"].write(Delete("statistics", "upkeep"))


async def test_a_day_keeps_its_count_when_its_rows_are_deleted() -> None:
    """Rows that are too old to be kept, or that a person wants gone, were received all the same."""
    async with stage() as on:
        for number in range(2):
            report(on, original(f"mail-{number}"))
        rows = await on.finish(rows=2)
        await keep(on)
        before = await kept(on)
        for row in rows[:1]:
            await on.ports.tables["outcomes"].write(Delete(row.key.partition, row.key.submission_id))
        await forget_upkeep(on)
        on.start_process()
        await keep(on)
        assert await kept(on) == before
        assert sum(row["Received"] for row in before.values()) == 2


class OvertakenTable:
    """The table `outcomes`, in which another worker is done with a day while this one still reads its rows."""

    def __init__(self, port: Table, other: Any) -> None:
        self._port = port
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def scan(self, *args: Any, **kwargs: Any) -> Any:
        """The rows as they stood before the other worker came."""
        rows = [row async for row in self._port.scan(*args, **kwargs)]
        other, self._other = self._other, None
        if other is not None:
            await other()
        for row in rows:
            yield row


async def test_a_worker_that_was_overtaken_writes_no_older_count() -> None:
    """It read before a report came, another counted that report, and then it would write."""
    async with stage() as on:
        report(on, original("early"))
        await on.app.collect_reports.run()
        true_ports = on.ports

        async def other() -> None:
            on.ports = true_ports
            on.start_process()
            report(on, original("late"))
            await on.app.collect_reports.run()
            on.clock.advance(hours=2)
            await on.app.keep_statistics.run()

        slow: Any = OvertakenTable(true_ports.tables["outcomes"], other)
        on.ports = replace(true_ports, tables={**true_ports.tables, "outcomes": slow})
        stalled = on.start_process()
        await stalled.keep_statistics.run()
        assert [row["Received"] for row in (await kept(on)).values()] == [2]
        await keep(on)
        assert await kept(on) == counted(await on.outcomes())


async def test_days_are_told_once_they_are_over(caplog: pytest.LogCaptureFixture) -> None:
    """Once a day, each day that has changed, in counts alone; today when it is over."""
    caplog.set_level("INFO")
    async with stage() as on:
        report(on, original("mail"))
        await on.finish(rows=1)
        today = on.clock.time.date()
        await keep(on)
        assert told_days(caplog) == []
        on.clock.advance(days=1)
        await keep(on)
        await keep(on)
        assert told_days(caplog) == [today.isoformat()]
        (line,) = [line for line in caplog.messages if line.startswith("event=statistics ")]
        assert " received=1 submitted=1 " in line
        assert "@" not in line


def told_days(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The days that were told."""
    lines = [line.split() for line in caplog.messages if line.startswith("event=statistics ")]
    return [dict(pair.split("=") for pair in line)["day"] for line in lines]


async def test_an_account_without_the_table_is_told_and_caught_up_with(caplog: pytest.LogCaptureFixture) -> None:
    """The code may be deployed before the table: nothing fails, and nothing is left out later."""
    async with stage() as on:
        report(on, original("mail"))
        await on.finish(rows=1)
        true_ports = on.ports
        missing: Any = MissingTable()
        on.ports = replace(true_ports, tables={**true_ports.tables, "statistics": missing})
        on.start_process()
        await keep(on)
        assert [line for line in caplog.messages if line.startswith("event=statistics_unkept error=Missing")]
        on.ports = true_ports
        on.start_process()
        await keep(on)
        assert await kept(on) == counted(await on.outcomes())


class MissingTable:
    """A table that is not there."""

    def scan(self, *_args: Any) -> AsyncIterator[Row]:
        """Refused."""
        raise Missing
