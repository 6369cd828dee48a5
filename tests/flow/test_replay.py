"""A failed or rejected row is taken up again where an administrator asks for it, and nothing is ever sent twice."""

from datetime import timedelta

from local.graph_simulator.faults import Scope, answer_status
from shared.domain.model import Outcome, State
from shared.domain.replays import REPLAYED
from tests.support.replays import ask_again, replays, row_of
from tests.support.reports import (
    original,
    report,
    submissions,
)
from tests.support.stage import Stage, assert_feed_is_whole, stage

POST = Scope(method="POST")
REFUSED = answer_status(400, Scope(method="POST", times=1))


async def refused_row(on: Stage) -> Outcome:
    """A row that Microsoft refused."""
    on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
    report(on, original("twin"))
    (row,) = await on.finish(rows=1)
    assert (row.state, row.state_reason) == (State.REJECTED, "refused_by_microsoft")
    return row


async def test_what_microsoft_refused_is_sent_again_and_settled() -> None:
    """The row waits anew with what was kept of it, its feed goes on, and the request is gone."""
    async with stage() as on:
        row = await refused_row(on)
        await ask_again(on, row)
        await on.app.settle_outcomes.run()
        again = await row_of(on, row)
        assert (again.state, again.state_reason, again.attempts) == (State.PENDING, REPLAYED, row.attempts)
        assert await replays(on).waiting_ids() == set()
        (settled,) = await on.finish(rows=1)
        assert settled.state is State.SETTLED
        assert len(submissions(on)) == 1
        assert_feed_is_whole([settled], await on.feed())


async def test_a_refused_item_is_not_sent_again_before_microsoft_takes_it() -> None:
    """Microsoft takes an item once in 15 minutes, counted from the POST that it refused."""
    async with stage() as on:
        row = await refused_row(on)
        await ask_again(on, row)
        await on.finish(rows=1, step=timedelta(minutes=1))
        posts = [one for one in on.graph.log.select() if one.method == "POST"]
        assert posts[-1].at - posts[0].at >= timedelta(minutes=15)
