"""A row, its events and its entry say the same, and where one lags nobody is stopped: races, deleted days, repeats."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.graph_simulator.faults import Scope, answer_status, lose_answer
from local.memory_storage import MemoryTable
from shared.bootstrap import build
from shared.codecs.submission_message import read_message
from shared.domain.model import State
from shared.ports import Delete, Insert, Replace, Row, Write
from tests.support.reports import ANNA, BEN, ask, only_row, original, pass_time, posts, report, submissions, url_request
from tests.support.stage import Stage, assert_feed_is_whole, stage


class HeldTable(MemoryTable):
    """A table whose next reading waits until it is let go."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self._table, self.reached, self.let_go = table, asyncio.Event(), asyncio.Event()

    async def get(self, partition: str, row: str) -> Row | None:
        """Read, and hand out what was read later."""
        found = await self._table.get(partition, row)
        if not self.reached.is_set() and found is not None:
            self.reached.set()
            await self.let_go.wait()
        return found

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Write at once."""
        return await self._table.write_all(writes)

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[Row]:
        """Read at once."""
        async for row in self._table.scan(*args, **kwargs):
            yield row


class RepeatingTable(MemoryTable):
    """A table whose answer to a row's first entry is lost: the library writes it again, as it does, a while later."""

    def __init__(self) -> None:
        super().__init__()
        self.done, self.again, self._is_armed = asyncio.Event(), asyncio.Event(), True

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do it, and once do it again later."""
        is_first = any(isinstance(one, Insert) and str(one.entity["RowKey"]).startswith("1-") for one in writes)
        if self._is_armed and is_first:
            self._is_armed = False
            await super().write_all(writes)
            self.done.set()
            await self.again.wait()
        return await super().write_all(writes)


def memory(on: Stage, table: str) -> MemoryTable:
    """The table in memory."""
    port = on.ports.tables[table]
    assert isinstance(port, MemoryTable)
    return port


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_message_that_is_handled_twice_tells_no_change_that_never_was(steps: int) -> None:
    """One worker has read the row as it came in; meanwhile another one dispatches, submits and settles it."""
    async with stage() as on:
        body = json.dumps(url_request("door", requestId="twice"))
        await on.app.intake_manual.run(body)
        held = HeldTable(memory(on, "outcomes"))
        other = build(on.settings, replace(on.ports, tables={**on.ports.tables, "outcomes": held}))
        second = asyncio.create_task(other.intake_manual.run(body))
        await held.reached.wait()
        await on.app.dispatch.run()
        if steps > 1:
            await on.deliver_submissions()
        if steps > 2:
            on.clock.advance(minutes=20)
            await on.app.settle_outcomes.run()
        held.let_go.set()
        await second
        assert_feed_is_whole(await on.outcomes(), await on.feed())
        assert (await on.finish(rows=1))[0].revision == 5
        assert_feed_is_whole(await on.outcomes(), await on.feed())
        assert posts(on) == 1


async def test_a_write_that_storage_repeats_sends_nothing_twice() -> None:
    """Neither where the answer of the POST is lost as well, and Microsoft's list is silent for a while."""
    async with stage() as on:
        table = RepeatingTable()
        on.ports = replace(on.ports, tables={**on.ports.tables, "worklist": table})
        app = on.start_process()
        on.graph.control.add_fault(lose_answer(Scope(method="POST", times=1)))
        report(on, original("ferry"), age=timedelta(hours=3))
        collecting = asyncio.create_task(app.collect_reports.run())
        await table.done.wait()
        await app.dispatch.run()
        await on.deliver_submissions()
        table.again.set()
        await collecting
        silence = on.graph.control.add_fault(answer_status(503, Scope(method="GET", path="Threats")))
        await pass_time(on, timedelta(minutes=12))
        on.graph.control.remove_fault(silence)
        (row,) = await on.finish(rows=1)
        assert (row.state, row.attempts, len(submissions(on)), posts(on)) == (State.SETTLED, 1, 1, 1)
        assert not [one["RowKey"] for one in table.rows() if str(one["RowKey"])[0] != "0"]
        assert_feed_is_whole([row], await on.feed())


async def test_a_covered_row_and_the_listing_of_its_folder_leave_one_entry() -> None:
    """A refused mail was reported twice, and its folder is listed later: settling goes on, the mail goes once."""
    async with stage() as on:
        await on.round()
        on.clock.advance(minutes=58)
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        for reporter in (ANNA, BEN):
            report(on, original("barge"), reporter=reporter)
            await on.app.collect_reports.run()
            on.clock.advance(minutes=1)
        await on.app.settle_outcomes.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        on.clock.advance(minutes=3)
        await on.app.collect_reports.run()
        entries = Counter(
            str(row["RowKey"]).rsplit("-", 1)[-1] for row in await on.rows("worklist") if row["RowKey"][0] > "0"
        )
        assert set(entries.values()) == {1}
        rows = await on.finish(rows=2)
        assert {row.state for row in rows} == {State.SETTLED}
        assert len(submissions(on)) == 1


async def test_days_that_an_administrator_deletes_stop_nothing() -> None:
    """Rows in flight, at Microsoft, covered and waiting are gone: their entries go, what comes later is settled."""
    async with stage() as on:
        for name in ("one", "two"):
            report(on, original(name), age=timedelta(days=20))
        await on.round()
        report(on, original("one"), reporter=BEN, age=timedelta(days=20))
        report(on, original("three"), age=timedelta(days=20))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        for row in await on.outcomes():
            await on.ports.tables["outcomes"].write(Delete(row.key.partition, row.key.submission_id))
        report(on, original("new"))
        await pass_time(on, timedelta(hours=3), step=timedelta(minutes=5))
        assert (await only_row(on)).state is State.SETTLED
        assert not [row["RowKey"] for row in await on.rows("worklist") if row["RowKey"][0] in "1234"]


@pytest.mark.expects_error_log
async def test_a_row_that_cannot_be_worked_on_stops_only_itself() -> None:
    """Its row is spoilt: told at every run, given up at last as far as that can be, and the others are settled."""
    async with stage() as on:
        report(on, original("spoilt"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        row = await only_row(on)
        entity = await on.ports.tables["outcomes"].get(row.key.partition, row.key.submission_id)
        assert entity is not None
        await on.ports.tables["outcomes"].write(Replace({**entity.entity, "State": "no such state"}))
        for number in range(4):
            report(on, original(f"sound-{number}"))
        for _ in range(20):
            await on.round()
            on.clock.advance(minutes=5)
        states = Counter(str(one["State"]) for one in await on.rows("outcomes"))
        assert states == {"settled": 4, "no such state": 1}


async def test_two_deliveries_of_one_submission_post_once() -> None:
    """They come to two workers in the same moment."""
    async with stage() as on:
        report(on, original("pier"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        (message,) = memory_queue(on)
        other = build(on.settings, on.ports)
        await asyncio.gather(*(app.submit.run(read_message(message)) for app in (on.app, other)))
        assert posts(on) == 1


def memory_queue(on: Stage) -> list[str]:
    """The bodies on the queue `submissions`."""
    queue: Any = on.ports.queues["submissions"]
    return [message.body for message in queue.messages]


async def test_requests_that_come_together_ask_once() -> None:
    """Two requests for one URL under two ids: one POST, one verdict for both."""
    async with stage() as on:
        await ask(on, url_request("quay", requestId="a"), url_request("quay", requestId="b"))
        rows = await on.finish(rows=2)
        assert {row.state for row in rows} == {State.SETTLED}
        assert posts(on) == 1
