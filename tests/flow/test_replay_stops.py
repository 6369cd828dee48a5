"""A process stops anywhere while rows are taken up again: nothing is sent twice, no row is lost or stuck."""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from local.graph_simulator.faults import Fault, FaultKind, Scope, answer_status
from shared.domain.model import Outcome, State
from shared.domain.turns import WORKER_SURELY_GONE
from tests.flow.test_covering import upload
from tests.flow.test_stops import named
from tests.support.replays import ask_again, replays
from tests.support.reports import BEN, ask, email_request, only_row, original, report, submissions
from tests.support.stage import ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

Setting = Callable[[Stage], Awaitable[list[Outcome]]]


async def refused(on: Stage) -> list[Outcome]:
    """A row that Microsoft refused: it is submitted as it is."""
    on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
    report(on, original("twin"))
    return await on.finish(rows=1)


async def lose_the_answer(on: Stage, *, arrived: bool) -> None:
    """Let a POST be cut off, before or after its effect."""
    on.graph.control.add_fault(Fault(FaultKind.RESET, Scope(method="POST", times=1), after_effect=arrived))
    report(on, original("twin"))
    await on.app.collect_reports.run()
    await on.app.dispatch.run()
    await on.deliver_submissions()
    assert (await only_row(on)).state is State.UNCERTAIN


async def never_found(on: Stage, *, arrived: bool = True) -> list[Outcome]:
    """A row whose POST got lost, and whose look-up Graph did not answer until it failed."""
    await lose_the_answer(on, arrived=arrived)
    on.graph.control.add_fault(answer_status(503, Scope(path="threatSubmission", method="GET")))
    on.clock.advance(days=5)
    await on.app.settle_outcomes.run()
    on.graph.control.clear_faults()
    failed = await on.outcomes()
    assert [(one.state, one.state_reason) for one in failed] == [(State.FAILED, "never_reconciled")]
    return failed


async def uploaded_late(on: Stage) -> list[Outcome]:
    """A request whose content came behind it: it is read again."""
    await ask(on, email_request({"content": "case.eml"}, requestId="case-1"))
    rows = await on.finish(rows=1)
    await upload(on, original("twin"))
    return rows


async def taken_over(on: Stage) -> list[Outcome]:
    """A row that Microsoft refused, and a second report of the mail that goes in its place: it will be covered."""
    rows = await refused(on)
    report(on, original("twin"), reporter=BEN)
    await on.app.collect_reports.run()
    return rows


SETTINGS: dict[str, Setting] = {
    "submit": refused,
    "look_up": never_found,
    "take_in": uploaded_late,
    "covered": taken_over,
}


async def put(on: Stage, name: str) -> int:
    """Have a row of that kind asked for; returns how many rows there are."""
    await ask_again(on, *await SETTINGS[name](on))
    return len(await on.outcomes())


async def recorded_steps(name: str) -> list[str]:
    """The calls that leave the process while the row is taken up."""
    async with stage() as on:
        await put(on, name)
        steps = Steps()
        await on.start_process(steps).settle_outcomes.run()
        return steps.taken


async def stop_and_go_on(name: str, stop_at: int, *, after_effect: bool) -> None:
    """Stop the run there, begin another process, and hold the end to what the contract promises."""
    async with stage() as on:
        rows = await put(on, name)
        on.start_process(Steps(stop_at=stop_at, after_effect=after_effect))
        with pytest.raises(ProcessStoppedError):
            await on.app.settle_outcomes.run()
        on.start_process()
        on.clock.advance(seconds=WORKER_SURELY_GONE.total_seconds())
        outcomes = await on.finish(rows=rows)
        await assert_all_is_done(on, outcomes)


async def assert_all_is_done(on: Stage, outcomes: list[Outcome]) -> None:
    """Everything is settled by one submission, the feed is whole and nothing is left of the work."""
    assert Counter(row.state for row in outcomes) == {State.SETTLED: len(outcomes)}
    assert len(submissions(on)) == 1
    assert_feed_is_whole(outcomes, await on.feed())
    assert [row["RowKey"] for row in await on.rows("worklist") if not row["RowKey"].startswith("0-")] == []
    assert await replays(on).waiting_ids() == set()


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", sorted(SETTINGS))
async def test_a_stop_while_a_row_is_taken_up_costs_nothing(name: str, after_effect: bool) -> None:
    """Whichever call was the last, the next run goes on from what stands there."""
    for number, step in enumerate(await recorded_steps(name)):
        with named(f"{name}: stopped at step {number}, {step}"):
            await stop_and_go_on(name, number, after_effect=after_effect)


@pytest.mark.parametrize("name", sorted(SETTINGS))
async def test_a_second_stop_costs_nothing_either(name: str) -> None:
    """The run that goes on where one was stopped may be stopped as well, anywhere."""
    for first in range(len(await recorded_steps(name))):
        async with stage() as on:
            rows = await put(on, name)
            for stop_at in (first, first // 2):
                on.start_process(Steps(stop_at=stop_at, after_effect=True))
                with suppress(ProcessStoppedError):
                    await on.app.settle_outcomes.run()
            on.start_process()
            on.clock.advance(seconds=WORKER_SURELY_GONE.total_seconds())
            with named(f"{name}: stopped at steps {first} and {first // 2}"):
                await assert_all_is_done(on, await on.finish(rows=rows))


async def test_a_lost_post_that_never_arrived_is_sent_once() -> None:
    """Microsoft's list was asked first: not there 15 minutes after its POST, so it had no effect."""
    async with stage() as on:
        await ask_again(on, *await never_found(on, arrived=False))
        outcomes = await on.finish(rows=1, step=timedelta(minutes=5))
        await assert_all_is_done(on, outcomes)


async def test_a_lost_post_that_arrived_is_found_and_not_sent_again() -> None:
    """One POST all in all."""
    async with stage() as on:
        await ask_again(on, *await never_found(on))
        await assert_all_is_done(on, await on.finish(rows=1))
        assert len(on.graph.log.select(method="POST")) == 1


async def test_a_stop_while_a_lost_post_is_given_up_leaves_it_to_be_replayed() -> None:
    """Its row failed, its entry does not know yet: the next run keeps the entry, with what was to be submitted."""
    async with stage() as on:
        await lose_the_answer(on, arrived=False)
        on.graph.control.add_fault(answer_status(503, Scope(path="threatSubmission", method="GET")))
        on.clock.advance(days=5)
        steps = Steps()
        on.start_process(steps)
        await on.app.settle_outcomes.run()
        stop_at = steps.taken.index("table outcomes.write")
    async with stage() as on:
        await lose_the_answer(on, arrived=False)
        on.graph.control.add_fault(answer_status(503, Scope(path="threatSubmission", method="GET")))
        on.clock.advance(days=5)
        on.start_process(Steps(stop_at=stop_at, after_effect=True))
        with pytest.raises(ProcessStoppedError):
            await on.app.settle_outcomes.run()
        on.start_process()
        on.graph.control.clear_faults()
        rows = await on.finish(rows=1)
        await on.app.settle_outcomes.run()
        assert [one.state for one in rows] == [State.FAILED]
        await ask_again(on, *rows)
        await on.app.settle_outcomes.run()
        await assert_all_is_done(on, await on.finish(rows=1))
