"""A campaign's representative is refused, and the process stops anywhere while others are put in its place."""

from collections import Counter

import pytest

from local.graph_simulator.faults import Scope, answer_status
from shared.domain.model import State
from tests.flow.test_campaigns import lure, person, report_lures
from tests.flow.test_stops import named
from tests.support.reports import report, submissions
from tests.support.stage import ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

REPORTS = 6


async def refuse_the_representative(on: Stage) -> None:
    """Let Microsoft refuse the one that speaks for a campaign of five mails, one of them reported twice."""
    on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
    report_lures(on, REPORTS - 1)
    await on.app.collect_reports.run()
    report(on, lure(3), reporter=person(3))
    await on.app.collect_reports.run()
    await on.app.dispatch.run()
    await on.deliver_submissions()


async def recorded_steps() -> list[str]:
    """The names of all calls that leave the process while another representative is chosen."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        await refuse_the_representative(on)
        steps = Steps()
        await on.start_process(steps).settle_outcomes.run()
        return steps.taken


async def stop_and_go_on(stop_at: int, *, after_effect: bool) -> None:
    """Stop the promotion there, begin another process, and hold the end to what the contract promises."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        await refuse_the_representative(on)
        on.start_process(Steps(stop_at=stop_at, after_effect=after_effect))
        with pytest.raises(ProcessStoppedError):
            await on.app.settle_outcomes.run()
        on.start_process()
        outcomes = await on.finish(rows=REPORTS)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: REPORTS - 1, State.REJECTED: 1}
        assert_feed_is_whole(outcomes, await on.feed())
        assert len(submissions(on)) == 1
        assert all(row["RowKey"].startswith("0-") for row in await on.rows("worklist"))


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_stop_during_a_promotion_loses_neither_a_row_nor_an_event(after_effect: bool) -> None:
    """Whichever call was the last: one submission more, every verdict given, and the feed shows each step."""
    for number, name in enumerate(await recorded_steps()):
        with named(f"stopped at step {number}, {name}"):
            await stop_and_go_on(number, after_effect=after_effect)
