"""A row is taken up again just as another takes its claim over: whoever is first, one of the two is submitted."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest

from local.graph_simulator.faults import Scope, answer_status
from local.memory_storage import MemoryTable
from shared.bootstrap import TABLES
from shared.domain.model import Outcome, State
from shared.ports import Replace, Row, Table, Write
from tests.flow.test_reading import Around
from tests.flow.test_stops import named
from tests.support.replays import ask_again, replays
from tests.support.reports import BEN, CARLA, ask, original, report, submissions, url_request
from tests.support.stage import Stage, assert_feed_is_whole, stage

Choose = Callable[[Sequence[str]], str]


class Turns:
    """Lets one of several tasks make one storage call at a time, the one that `choose` names."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.is_on = False

    async def wait(self) -> None:
        """Wait for the turn of the task that calls."""
        task = asyncio.current_task()
        name = "" if task is None else task.get_name()
        if self.is_on and name in {"replay", "other"}:
            self._waiting[name] = asyncio.get_running_loop().create_future()
            await self._waiting[name]

    async def play(self, replay: Awaitable[object], other: Awaitable[object]) -> None:
        """Run both to their ends, call by call."""
        works = {"replay": replay, "other": other}
        tasks = {name: asyncio.create_task(_whole(work), name=name) for name, work in works.items()}
        self.is_on = True
        while any(not task.done() for task in tasks.values()):
            await asyncio.sleep(0)
            going = {name for name, task in tasks.items() if not task.done()}
            ready = sorted(set(self._waiting) & going)
            if ready and set(ready) == going:
                self._waiting.pop(self._choose(ready)).set_result(None)
        self.is_on = False
        await asyncio.gather(*tasks.values())


async def _whole(work: Awaitable[object]) -> None:
    await work


class TurnTable(MemoryTable):
    """Every call waits for its turn."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""
        await self._turns.wait()
        return await super().get(partition, row)

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do the writes, all or none."""
        await self._turns.wait()
        return await super().write_all(writes)

    async def scan(
        self,
        partition: str,
        from_row: str,
        below_row: str,
        limit: int | None = None,
        *,
        only: tuple[str, str] | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of a range, ascending."""
        await self._turns.wait()
        async for row in super().scan(partition, from_row, below_row, limit, only=only, select=select):
            yield row


def switch_at(first: str, *switches: int) -> Choose:
    """One task goes until its call of the first number, the other as many as the second says, and so on."""
    order = itertools.cycle((first, "other" if first == "replay" else "replay"))
    turns = itertools.chain.from_iterable([who] * many for who, many in zip(order, switches, strict=False))
    rest = "other" if (len(switches) % 2 == 1) == (first == "replay") else "replay"

    def choose(ready: Sequence[str]) -> str:
        wanted = next(turns, rest)
        return wanted if wanted in ready else ready[0]

    return choose


def at_random(seed: int) -> Choose:
    """Any order."""
    dice = random.Random(seed)  # noqa: S311 - an order of steps is no secret
    return dice.choice


async def race(rival: str, choose: Choose) -> None:
    """A refused row is replayed while a sibling follows it, or just comes in; hold the end to what is promised."""
    turns = Turns(choose)
    async with stage(is_busy=True) as on:
        on.ports = replace(on.ports, tables={name: TurnTable(turns) for name in TABLES})
        on.start_process()
        rows = await put_a_refused_row(on, with_follower=rival == "follower")
        other = on.app.settle_outcomes if rival == "follower" else None
        replaying = on.start_process().settle_outcomes
        await turns.play(replaying.run(), other.run() if other else on.app.collect_reports.run())
        outcomes = await on.finish(rows=rows)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: rows}
        assert len(submissions(on)) == 1
        assert [one.status for one in on.graph.log.select(method="POST")] == [400, 201]
        assert_feed_is_whole(outcomes, await on.feed())
        assert await replays(on).waiting_ids() == set()
        assert [row["RowKey"] for row in await on.rows("worklist") if row["RowKey"][0] in "1234"] == []


async def put_a_refused_row(on: Stage, *, with_follower: bool) -> int:
    """A row that was refused and is asked for again, and one or two others of its mail; returns how many."""
    on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
    report(on, original("twin"))
    await on.app.collect_reports.run()
    if with_follower:
        report(on, original("twin"), reporter=BEN)
        report(on, original("twin"), reporter=CARLA)
        await on.app.collect_reports.run()
    await on.app.dispatch.run()
    await on.deliver_submissions()
    (refused,) = [row for row in await on.outcomes() if row.state is State.REJECTED]
    if not with_follower:
        report(on, original("twin"), reporter=BEN)
    await ask_again(on, refused)
    return 3 if with_follower else 2


CALLS = 45
"""More than either of the two makes."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("first", ["replay", "other"])
@pytest.mark.parametrize("rival", ["follower", "admission"])
async def test_one_goes_wherever_the_other_comes_in_between(rival: str, first: str) -> None:
    """One of them stops at any of its storage calls, the other does everything, and the first goes on."""
    for call in range(CALLS):
        with named(f"{rival}: {first} stands still at call {call}"):
            await race(rival, switch_at(first, call, 1000))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rival", ["follower", "admission"])
async def test_one_goes_in_any_order_of_their_calls(rival: str) -> None:
    """Both call storage in turns as dice say."""
    for seed in range(60):
        with named(f"{rival}: seed {seed}"):
            await race(rival, at_random(seed))


async def rejected(on: Stage) -> Outcome | None:
    """A row that Microsoft has refused for good, if there is one."""
    return next((row for row in await on.outcomes() if row.state is State.REJECTED), None)


@pytest.mark.expects_error_log
async def test_a_row_that_is_replayed_while_another_takes_its_place_does_not_wait_for_it() -> None:
    """The other held the item and was stopped before its row said so: each would follow the other for ever."""
    async with stage(is_busy=True) as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        await ask(on, url_request("dock", requestId="first"), url_request("dock", requestId="second"))
        inner = on.ports.tables["outcomes"]
        is_broken = [True]

        async def write_all(writes: list[Write]) -> list[str]:
            goes = [one for one in writes if isinstance(one, Replace) and "holder_came_to_nothing" in str(one.entity)]
            if goes and is_broken[0]:
                raise RuntimeError("503")
            return await inner.write_all(writes)

        async def write(one: Write) -> str:
            return (await write_all([one]))[0]

        tables = {**on.ports.tables, "outcomes": cast(Table, Around(inner, write=write, write_all=write_all))}
        true_ports, on.ports = on.ports, replace(on.ports, tables=tables)
        on.start_process()
        on.ports = true_ports
        while (await rejected(on)) is None:
            await on.round()
            on.clock.advance(minutes=1)
        await on.app.settle_outcomes.run()
        by_id = {row.request_id: row for row in await on.outcomes()}
        first, second = by_id["first"], by_id["second"]
        assert (first.state, second.state) == (State.REJECTED, State.COVERED)
        await ask_again(on, first)
        await on.app.settle_outcomes.run()
        is_broken[0] = False
        rows = await on.finish(rows=len(await on.outcomes()))
        assert {row.state for row in rows if row.request_id in ("first", "second")} == {State.SETTLED}
        assert [one.request.url for one in submissions(on)].count("https://dock.lure.test/") == 1
        assert_feed_is_whole(rows, await on.feed())
