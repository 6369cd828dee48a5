"""What the app tells of the rows that are not final, and of the quota it has used."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.graph_simulator.faults import Scope, lose_answer
from local.memory_storage import MemoryTable
from shared.domain.model import OutcomeKey, Priority, State
from shared.domain.planner import Limits
from shared.ports import Row
from shared.stores.quota import QuotaStore
from shared.stores.worklist import WorkItem, Worklist
from shared.telemetry import Event
from shared.usecases.outcomes.backlog import LANES, Backlog
from tests.support.events import told
from tests.support.ledgers import new_ledger
from tests.support.outcomes import NOW, make_outcome
from tests.support.reports import ask, events, listen, original, pass_time, report, url_request
from tests.support.stage import Stage, StageClock, stage

LIMITS = Limits(per_window=150, per_day=10_000, reserved_for_people=10, reserved_for_urgent=20)


class FailingTable(MemoryTable):
    """Cannot be read through."""

    def scan(self, *_: Any, **__: Any) -> AsyncIterator[Row]:
        """Fail as a service does that is down."""
        raise ConnectionError("https://data.table.core.windows.net/worklist")


class ScannedTable(MemoryTable):
    """Counts its scans, and how many rows have been handed out."""

    scans = 0
    rows_out = 0

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[Row]:
        """Hand out the rows one by one."""
        self.scans += 1
        async for row in super().scan(*args, **kwargs):
            self.rows_out += 1
            yield row


def quota(caplog: pytest.LogCaptureFixture) -> list[dict[str, int]]:
    """What each telling of the quota said."""
    return [{field: int(value) for field, value in one.items()} for one in told(caplog, Event.QUOTA_USED)]


def lanes(caplog: pytest.LogCaptureFixture) -> dict[str, tuple[int, int]]:
    """Count and age of each lane, as last told."""
    last = told(caplog, Event.BACKLOG)[-len(LANES) :]
    assert [one["lane"] for one in last] == list(LANES)
    return {one["lane"]: (int(one["count"]), int(one["oldest_s"])) for one in last}


async def tell(on: Stage, caplog: pytest.LogCaptureFixture) -> dict[str, tuple[int, int]]:
    """Tell the backlog now; returns what was told of each lane."""
    await on.app.backlog.run()
    return lanes(caplog)


def test_the_lanes_are_those_of_the_register() -> None:
    """Alerts name lanes: there are these seven."""
    assert LANES == ("urgent", "normal", "low", "in_flight", "at_microsoft", "uncertain", "covered")


async def test_every_lane_is_told_even_when_nothing_waits(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is a figure too: an alert can tell an empty lane from a silent app."""
    listen(caplog)
    async with stage() as on:
        assert await tell(on, caplog) == dict.fromkeys(LANES, (0, 0))
        assert quota(caplog) == [
            {"window": 0, "window_limit": 140, "today": 0, "day_limit": 10_000},
        ]


async def test_a_row_is_told_where_it_stands(caplog: pytest.LogCaptureFixture) -> None:
    """A report is `normal`, then in flight, then at Microsoft, its age always from its receipt; then it is no more."""
    listen(caplog)
    async with stage() as on:
        report(on, original("one", delay_s=600), age=timedelta(minutes=10))
        await on.app.collect_reports.run()
        assert (await tell(on, caplog))["normal"] == (1, 600)
        await on.app.dispatch.run()
        assert (await tell(on, caplog))["in_flight"] == (1, 600)
        await on.deliver_submissions()
        on.clock.advance(minutes=5)
        assert (await tell(on, caplog))["at_microsoft"] == (1, 900)
        await on.finish(rows=1)
        assert await tell(on, caplog) == dict.fromkeys(LANES, (0, 0))


async def test_lanes_and_followers_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """An urgent request, a bulk request, and a second report of the same mail: three lanes."""
    listen(caplog)
    async with stage() as on:
        report(on, original("same"))
        report(on, original("same"), reporter="ben@contoso.example", age=timedelta(minutes=3))
        await ask(on, url_request("now", priority="urgent"), url_request("later", priority="low"))
        await on.app.collect_reports.run()
        for body in await bodies(on):
            await on.app.intake_manual.run(body)
        found = {lane: count for lane, (count, _) in (await tell(on, caplog)).items()}
        assert found == {**dict.fromkeys(LANES, 0), "urgent": 1, "normal": 1, "low": 1, "covered": 1}


async def bodies(on: Stage) -> list[str]:
    """Take what is on the operators' queue."""
    taken: list[str] = []

    async def take(body: str) -> None:
        taken.append(body)

    await on.deliver("manual-submissions", take)
    return taken


async def test_an_uncertain_row_is_as_old_as_its_post(caplog: pytest.LogCaptureFixture) -> None:
    """Its POST is what it waits for: an old report that became uncertain just now is no stuck one."""
    listen(caplog)
    async with stage() as on:
        report(on, original("lost"), age=timedelta(hours=2))
        on.graph.control.add_fault(lose_answer(Scope(method="POST", times=1)))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        on.clock.advance(seconds=70)
        count, oldest_s = (await tell(on, caplog))["uncertain"]
        assert (count, 70 <= oldest_s <= 75) == (1, True)


async def test_the_quota_counts_posts(caplog: pytest.LogCaptureFixture) -> None:
    """Those of the last 15 minutes and of the last 24 hours, refused ones too; slots that nobody used are none."""
    listen(caplog)
    async with stage() as on:
        for number in range(3):
            report(on, original(f"mail-{number}"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.app.backlog.run()
        await on.deliver_submissions()
        await on.app.backlog.run()
        await pass_time(on, timedelta(minutes=30))
        await on.app.backlog.run()
        on.clock.advance(hours=25)
        await on.app.backlog.run()
    used = [(one["window"], one["today"]) for one in quota(caplog)]
    assert used == [(0, 0), (3, 3), (0, 3), (0, 0)]


@pytest.mark.expects_error_log
async def test_what_cannot_be_read_is_told_and_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """No exception leaves: settling was done. The event names the kind of failure and repeats no address."""
    clock, table = StageClock(), FailingTable()
    ledger, quota = new_ledger(clock, worklist=table), QuotaStore(table, clock)
    await Backlog(LIMITS, ledger=ledger, quota=quota, clock=clock).run()
    (line,) = caplog.messages
    assert line.startswith("event=backlog_untold error=ConnectionError where=shared/stores/worklist.py:")


async def test_ten_thousand_rows_are_counted_as_they_stream_by(caplog: pytest.LogCaptureFixture) -> None:
    """However many rows wait: one scan of the worklist and one of the quota, and eight lines."""
    listen(caplog)
    table = ScannedTable()
    keys = [OutcomeKey("20261123", f"{number:032x}") for number in range(10_000)]
    row = make_outcome(priority=Priority.NORMAL, state=State.PENDING, received_at=NOW - timedelta(hours=1))
    await Worklist(table).add([WorkItem(outcome=replace(row, key=key), etag="1", due_at=NOW) for key in keys])
    clock = StageClock(NOW)
    ledger, quota = new_ledger(clock, worklist=table), QuotaStore(table, clock)
    await Backlog(LIMITS, ledger=ledger, quota=quota, clock=clock).run()
    assert lanes(caplog)["normal"] == (10_000, 3600)
    assert (table.scans, table.rows_out) == (2, 10_000)
    assert len(events(caplog)) == len(LANES) + 1


async def test_backlog_on_azurite(storage_connection: str, caplog: pytest.LogCaptureFixture) -> None:
    """The same figures from real storage."""
    listen(caplog)
    async with stage(connection=storage_connection) as on:
        report(on, original("one"), age=timedelta(minutes=10))
        report(on, original("two"), age=timedelta(minutes=20))
        await on.app.collect_reports.run()
        assert (await tell(on, caplog))["normal"] == (2, 1200)
        await on.app.dispatch.run()
        await on.deliver_submissions()
        assert (await tell(on, caplog))["at_microsoft"] == (2, 1200)
        assert quota(caplog)[-1]["window"] == 2
