"""A failed or rejected row is taken up again where an administrator asks for it, and nothing is ever sent twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.graph_simulator.faults import Scope, answer_status
from shared.domain.model import Outcome, OutcomeKey, State
from shared.domain.replays import REPLAYED
from shared.ports import Insert
from shared.stores.replays import ReplayRequest
from tests.flow.test_covering import upload
from tests.support.replays import ask_again, replays, row_of
from tests.support.reports import (
    BEN,
    ask,
    email_request,
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
    async with stage(is_busy=True) as on:
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
    async with stage(is_busy=True) as on:
        row = await refused_row(on)
        await ask_again(on, row)
        await on.finish(rows=1, step=timedelta(minutes=1))
        posts = [one for one in on.graph.log.select() if one.method == "POST"]
        assert posts[-1].at - posts[0].at >= timedelta(minutes=15)


async def upload_late(on: Stage) -> Outcome:
    """A request whose content is not there yet."""
    await ask(on, email_request({"content": "case.eml"}, requestId="case-1"))
    (row,) = await on.finish(rows=1)
    assert (row.state, row.state_reason) == (State.REJECTED, "content_not_found")
    return row


async def test_what_is_still_missing_is_told_and_what_was_uploaded_is_sent() -> None:
    """Read again each time: rejected again for the same reason, then for another, then submitted."""
    async with stage() as on:
        row = await upload_late(on)
        for content, reason in ((None, "content_not_found"), (b"", "content_empty")):
            if content is not None:
                await upload(on, content)
            await ask_again(on, row)
            await on.app.settle_outcomes.run()
            row = await row_of(on, row)
            assert (row.state, row.state_reason) == (State.REJECTED, reason)
        await upload(on, original("twin"))
        await ask_again(on, row)
        (settled,) = await on.finish(rows=1)
        assert settled.state is State.SETTLED
        assert len(submissions(on)) == 1
        assert_feed_is_whole([settled], await on.feed())


async def test_a_sibling_that_went_meanwhile_gives_its_verdict() -> None:
    """The second report of the mail took the claim over: the replayed row is covered by it, and nothing goes twice."""
    async with stage(is_busy=True) as on:
        row = await refused_row(on)
        report(on, original("twin"), reporter=BEN)
        await on.finish(rows=2)
        await ask_again(on, row)
        await on.app.settle_outcomes.run()
        outcomes = await on.finish(rows=2)
        assert {one.state for one in outcomes} == {State.SETTLED}
        assert len(submissions(on)) == 1
        assert_feed_is_whole(outcomes, await on.feed())


@pytest.mark.parametrize("hours", [2, 31 * 24])
async def test_what_was_asked_too_long_ago_is_refused_and_told(hours: int) -> None:
    """Nobody waits for it any more: the row stays as it is, and says so."""
    async with stage(is_busy=True) as on:
        row = await refused_row(on)
        await ask_again(on, row)
        on.clock.advance(hours=hours)
        await on.app.settle_outcomes.run()
        again = await row_of(on, row)
        assert again.state is State.REJECTED
        assert "could not be done within the hour" in (again.state_detail or "")
        assert await replays(on).waiting_ids() == set()


async def test_a_row_that_changed_since_is_left_alone() -> None:
    """Asked with the version of before, for a row that was replayed and settled: nothing is sent, nothing changes."""
    async with stage(is_busy=True) as on:
        row = await refused_row(on)
        (old,) = await ask_again(on, row)
        (settled,) = await on.finish(rows=1)
        await replays(on).ask([replace(old, asked_at=on.clock.now())])
        await on.app.settle_outcomes.run()
        assert await row_of(on, row) == settled
        assert len(submissions(on)) == 1
        assert await replays(on).waiting_ids() == set()


async def test_a_bad_request_does_not_hold_up_the_others() -> None:
    """One for a row that is not there, one that is none at all, and a good one."""
    async with stage(is_busy=True) as on:
        row = await refused_row(on)
        await replays(on).ask([ReplayRequest(OutcomeKey("20261123", "f" * 32), "1", on.clock.now() - timedelta(1))])
        await on.ports.tables["runstate"].write(Insert({"PartitionKey": "replay", "RowKey": "bad"}))
        await ask_again(on, row)
        (settled,) = await on.finish(rows=1)
        assert settled.state is State.SETTLED
        assert await replays(on).waiting_ids() == {"bad"}


async def test_shadow_mode_rehearses_a_replay() -> None:
    """Nothing is sent."""
    async with stage() as on:
        row = await upload_late(on)
        await upload(on, original("twin"))
        on.settings = replace(on.settings, submission_mode="shadow")
        on.start_process()
        await ask_again(on, row)
        (skipped,) = await on.finish(rows=1)
        assert skipped.state is State.SKIPPED
        assert len(submissions(on)) == 0
