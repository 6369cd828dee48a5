"""What a run of `collect_reports` costs, in requests to Graph and calls to storage: counts, the same on any machine."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from local.graph_simulator.faults import Scope, answer_status
from local.sample_tenant import REPORTING_MAILBOX
from shared.domain.model import State
from shared.ports import MailSource, Replace, Table
from tests.support.calls import Calls, counted
from tests.support.reports import events, listen, original, report, rows_by_report
from tests.support.stage import START, ProcessStoppedError, Stage, stage

MOST_GROWTH = 1.1
"""The exponent: twice as much work may cost 2.14 times as much."""
CONTENT = Scope(path=r"/messages/(?!delta)")


@dataclass
class Costs:
    """A stage whose storage is counted."""

    on: Stage
    calls: Calls

    def start_process(self, **others: Any) -> None:
        """Begin another process, with these in place of the stage's own ports."""
        whole = self.on.ports
        self.on.ports = counted(replace(whole, **others), self.calls)
        self.on.start_process()
        self.on.ports = whole

    async def run(self) -> tuple[Calls, int]:
        """What one run asks of storage, and how often it asks Graph."""
        self.calls.made = self.calls.rows = 0
        before = len(self.on.graph.log.select())
        await self.on.app.collect_reports.run()
        return replace(self.calls), len(self.on.graph.log.select()) - before

    def deliver(self, count: int, name: str = "mail") -> None:
        """Report so many mails."""
        for number in range(count):
            report(self.on, original(f"{name}-{number}"))

    def deferred(self) -> int:
        """How many reports are deferred."""
        return sum(str(row["RowKey"]).startswith("deferred") for row in self._runstate())

    def _runstate(self) -> list[dict[str, Any]]:
        table: Any = self.on.ports.tables["runstate"]
        return cast(list[dict[str, Any]], table.rows())


@asynccontextmanager
async def costs() -> AsyncIterator[Costs]:
    """A mailbox that was read before, and storage that is counted."""
    async with stage() as on:
        found = Costs(on, Calls())
        found.start_process()
        await found.run()
        on.clock.advance(seconds=30)
        yield found


# --- A run that finds nothing -----------------------------------------------------------------------------------------


async def test_an_idle_run_asks_graph_once_and_storage_hardly_more() -> None:
    """2,880 times a day and mailbox: the folder's changes, and what is known of the folder. Every tenth run saves."""
    async with costs() as collect:
        made, requests = 0, 0
        for _ in range(40):
            calls, asked = await collect.run()
            made, requests = made + calls.made, requests + asked
            collect.on.clock.advance(seconds=30)
        assert requests == 40
        assert made <= 40 + 5


async def test_a_quiet_folder_is_saved_now_and_then() -> None:
    """So that a run after a pause knows how old a stopped one may be, and no link grows older than minutes."""
    async with costs() as collect:
        saved = set()
        for _ in range(40):
            await collect.run()
            collect.on.clock.advance(seconds=30)
            (row,) = [one for one in collect._runstate() if one["RowKey"] == "checkpoint"]
            saved.add(row["SavedAt"])
            assert collect.on.clock.time - row["SavedAt"] <= timedelta(minutes=6)
        assert 3 <= len(saved) <= 6


async def test_an_expired_link_is_replaced_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Also where the folder has nothing new: or it would be read from its beginning, and told, for five minutes."""
    listen(caplog)
    async with costs() as collect:
        collect.on.graph.control.expire_delta_links()
        await collect.run()
        collect.on.clock.advance(seconds=30)
        _, requests = await collect.run()
        assert (requests, events(caplog).count("delta_link_expired")) == (1, 1)


async def test_a_mailbox_that_is_not_found_for_a_while_keeps_its_place() -> None:
    """404 may pass: nothing is read from the beginning then."""
    async with costs() as collect:
        collect.deliver(60)
        await collect.run()
        collect.on.clock.advance(seconds=30)
        fault = collect.on.graph.control.add_fault(answer_status(404, Scope(path="/users/"), code="ErrorInvalidUser"))
        await collect.run()
        collect.on.graph.control.remove_fault(fault)
        collect.on.clock.advance(minutes=2)
        _, requests = await collect.run()
        assert requests == 1


async def test_the_policy_is_asked_for_when_there_is_a_report() -> None:
    """Once a run, however many reports are read at once."""
    async with costs() as collect:
        collect.deliver(8)
        await collect.run()
        assert len(collect.on.graph.log.select(path="emailThreatSubmissionPolicies")) == 1


# --- Reports ----------------------------------------------------------------------------------------------------------


async def test_a_report_costs_two_requests() -> None:
    """Its outline and its original; pages of changes are shared by fifty."""
    async with costs() as collect:
        collect.deliver(40)
        _, requests = await collect.run()
        assert len(await rows_by_report(collect.on)) == 40
        assert requests / 40 <= 2.1


async def test_the_hourly_list_reads_no_report_again() -> None:
    """What the feed told a moment ago is known: one request for the list, and none for a report or its row."""
    async with costs() as collect:
        collect.on.clock.advance(minutes=59, seconds=20)
        collect.deliver(30)
        await collect.run()
        collect.on.clock.advance(seconds=30)
        calls, requests = await collect.run()
        listed = collect.on.graph.log.select(path="/messages$")
        assert len(listed) == 2, "the list of the first run, and the hourly one"
        assert len(collect.on.graph.log.select(path=r"/messages/(?!delta)[^/]+$")) == 30
        assert requests <= 2
        assert calls.made <= 3
        assert calls.rows <= 1


async def test_a_report_that_is_told_again_is_not_read_again() -> None:
    """Somebody opens a report in the mailbox minutes after it came: its row is whole, and the mail stays unread."""
    async with costs() as collect:
        message_id = report(collect.on, original("opened"))
        await collect.run()
        collect.on.clock.advance(minutes=1)
        collect.on.graph.tenant.mark_read(REPORTING_MAILBOX, message_id)
        _, requests = await collect.run()
        assert requests == 1


# --- After a stop -----------------------------------------------------------------------------------------------------


async def left_half_in(collect: Costs, reports: int, waiting: int) -> None:
    """Let a run stop between the rows of reports and their entries, while other entries wait for a slot."""
    on = collect.on
    seed = report(on, original("seed"))
    await collect.run()
    worklist: Any = on.ports.tables["worklist"]
    (entry,) = [row for row in worklist.rows() if row["RowKey"].startswith("1-")]
    for number in range(waiting):
        due_ms = int(START.timestamp() * 1000) + number
        await worklist.write(Replace({**entry, "RowKey": f"1-1-{due_ms:013d}-{number:032x}"}))
    on.clock.advance(seconds=30)
    collect.deliver(reports)
    collect.start_process(tables={**on.ports.tables, "worklist": cast(Table, Stopping(worklist))})
    with suppress(ProcessStoppedError):
        await on.app.collect_reports.run()
    collect.start_process()
    on.clock.advance(seconds=30)
    assert len(await rows_by_report(on)) == reports + 1
    assert seed in await rows_by_report(on)


class Stopping:
    """A table over whose next write the process ends."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def write_all(self, writes: object) -> list[str]:  # noqa: ARG002 - the port's signature
        """End the process."""
        raise ProcessStoppedError


@pytest.mark.parametrize("waiting", [0, 500])
async def test_what_a_stop_left_half_in_costs_the_same_however_much_waits(waiting: int) -> None:
    """Fifty reports with rows and without entries: three rows are read for each, and no list is gone through."""
    async with costs() as collect:
        await left_half_in(collect, 50, waiting)
        calls, requests = await collect.run()
        assert calls.rows <= 200
        assert requests <= 102
        worklist: Any = collect.on.ports.tables["worklist"]
        assert len([row for row in worklist.rows() if row["RowKey"].startswith("1-")]) == 51 + waiting
        assert {row.state for row in await collect.on.outcomes()} == {State.PENDING}


# --- An outage of Graph -----------------------------------------------------------------------------------------------


async def defer(collect: Costs, count: int) -> int:
    """Let the mailbox answer and no mail in it, until so many reports are deferred; returns the fault."""
    collect.deliver(count)
    fault = collect.on.graph.control.add_fault(answer_status(503, CONTENT))
    for _ in range(20):
        await collect.run()
        collect.on.clock.advance(seconds=30)
        if collect.deferred() == count:
            break
    collect.on.clock.advance(minutes=30)
    return fault


async def test_deferred_reports_are_read_together() -> None:
    """Four at a time, as many as Outlook serves, and written by the page."""
    async with costs() as collect:
        collect.on.graph.control.remove_fault(await defer(collect, 100))
        under_way = Most()
        collect.start_process(mail=cast(MailSource, under_way.around(collect.on.ports.mail, "outline")))
        calls, requests = await collect.run()
        assert (collect.deferred(), len(await rows_by_report(collect.on))) == (0, 100)
        assert calls.made / 100 <= 2.5
        assert requests / 100 <= 2.1
        assert under_way.most == 4


async def test_a_try_in_an_outage_costs_a_look_at_each_row() -> None:
    """What fails again is written by the page, too."""
    async with costs() as collect:
        await defer(collect, 100)
        calls, requests = await collect.run()
        assert collect.deferred() == 100
        assert calls.made / 100 <= 1.1
        assert requests / 100 <= 1.1


@dataclass
class Most:
    """How many calls of a method were under way at once."""

    now: int = 0
    most: int = 0

    def around(self, port: Any, name: str) -> Any:
        """The port, with that method watched."""
        outer, call = self, getattr(port, name)

        class Watched:
            def __getattr__(self, other: str) -> Any:
                return outer.watched(call) if other == name else getattr(port, other)

        return Watched()

    def watched(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The method, watched."""

        async def watching(*args: Any) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                return await call(*args)
            finally:
                self.now -= 1

        return watching


# --- Growth -----------------------------------------------------------------------------------------------------------


async def first_read(collect: Costs, count: int) -> None:
    """New reports."""
    collect.deliver(count)


async def listed_again(collect: Costs, count: int) -> None:
    """Reports that are known already, before the long list of the folder."""
    collect.deliver(count)
    await collect.run()
    collect.on.clock.advance(hours=6, minutes=1)


async def half_in(collect: Costs, count: int) -> None:
    """Reports whose rows lack their entries, among as many that wait."""
    await left_half_in(collect, count, count)


async def readable_again(collect: Costs, count: int) -> None:
    """Deferred reports after an outage."""
    collect.on.graph.control.remove_fault(await defer(collect, count))


async def unreadable_still(collect: Costs, count: int) -> None:
    """Deferred reports in an outage."""
    await defer(collect, count)


@pytest.mark.parametrize("work", [first_read, listed_again, half_in, readable_again, unreadable_still])
async def test_nothing_grows_faster_than_the_work(work: Callable[[Costs, int], Awaitable[None]]) -> None:
    """Four times as many reports cost about four times as much, in calls, rows and requests alike."""
    found: list[tuple[int, int, int]] = []
    for count in (12, 48) if work is half_in else (25, 100):  # no more than a page is left half in
        async with costs() as collect:
            await work(collect, count)
            calls, requests = await collect.run()
            found.append((calls.made, calls.rows + 1, requests))
    for small, large in zip(*found, strict=True):
        assert math.log(large / small, 4) <= MOST_GROWTH, found


async def test_a_run_costs_the_same_after_a_fortnight() -> None:
    """Lists come and go, reports come and are done: what is kept of a folder hangs on what stands in it."""
    async with costs() as collect:
        collect.deliver(12)
        rows, made = [], []
        for day in range(14):
            for _ in range(8):
                await collect.run()
                collect.on.clock.advance(hours=3)
            await collect.run()
            collect.on.clock.advance(seconds=30)
            calls, _ = await collect.run()
            made.append(calls.made)
            rows.append(len(collect._runstate()))
            collect.on.clock.advance(minutes=day)
        assert set(made[1:]) <= {1, 2}
        assert rows[1:] == [rows[1]] * 13
