"""A campaign's representative is refused, and the process stops anywhere while others are put in its place."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

import pytest

from local.graph_simulator.faults import Scope, answer_status
from shared.codecs.submission_message import UnreadableMessage, read_message
from shared.domain.model import Source, State
from tests.flow.test_campaigns import ask_for, lure, person, report_lures
from tests.flow.test_stops import named
from tests.support.reports import report, submissions
from tests.support.stage import START, ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage
from tests.support.tables import YieldingTable

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
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        await refuse_the_representative(on)
        steps = Steps()
        await on.start_process(steps).settle_outcomes.run()
        return steps.taken


async def stop_and_go_on(stop_at: int, *, after_effect: bool) -> None:
    """Stop the promotion there, begin another process, and hold the end to what the contract promises."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        await refuse_the_representative(on)
        on.start_process(Steps(stop_at=stop_at, after_effect=after_effect))
        with pytest.raises(ProcessStoppedError):
            await on.app.settle_outcomes.run()
        on.start_process()
        outcomes = await on.finish(rows=REPORTS)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: REPORTS - 1, State.REJECTED: 1}
        assert_feed_is_whole(outcomes, await on.feed())
        assert len(submissions(on)) == 1
        kept = {f"9-{row.key.submission_id}" for row in outcomes if row.state is State.REJECTED}
        assert {row["RowKey"] for row in await on.rows("worklist") if not row["RowKey"].startswith("0-")} == kept


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_stop_during_a_promotion_loses_neither_a_row_nor_an_event(after_effect: bool) -> None:
    """Whichever call was the last: one submission more, every verdict given, and the feed shows each step."""
    for number, name in enumerate(await recorded_steps()):
        with named(f"stopped at step {number}, {name}"):
            await stop_and_go_on(number, after_effect=after_effect)


async def submit_only_what_was_asked_for(on: Stage) -> None:
    """Dispatch everything; every message that is not about an operator's request comes again later."""
    await on.app.dispatch.run()
    asked_for = {row.key for row in await on.outcomes() if row.source is Source.MANUAL}

    async def submit(body: str) -> None:
        if (message := read_message(body)).key not in asked_for:
            raise UnreadableMessage
        await on.app.submit.run(message)

    await on.deliver("submissions", submit)


async def test_a_member_may_follow_the_same_row_for_another_reason() -> None:
    """Covered by the campaign through the row that holds its own item, it takes that row's place when it is refused.

    A mail is reported, asked for in vain, and reported again a day later, when the first representative is still
    waiting and counts no more.
    """
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        report_lures(on, 1)
        await on.app.collect_reports.run()
        report_lures(on, 1, start=4)
        await on.app.collect_reports.run()
        await ask_for(on, lure(4), recipient=person(4))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=3)))
        await submit_only_what_was_asked_for(on)
        on.clock.advance(hours=25)
        report_lures(on, 1, start=4)
        outcomes = await on.finish(rows=4)
        assert Counter(row.state for row in outcomes) == {State.REJECTED: 3, State.SETTLED: 1}
        assert_feed_is_whole(outcomes, await on.feed())


@pytest.mark.parametrize("lead", range(-3, 4))
async def test_a_request_and_a_promotion_at_once_submit_the_mail_once(lead: int) -> None:
    """An operator asks for a covered mail just as it is let go in the place of its campaign's representative."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        on.ports = replace(on.ports, tables={name: YieldingTable() for name in on.ports.tables})
        on.start_process()
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        for number in (0, 4):
            report_lures(on, 1, start=number)
            await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        await ask_for(on, lure(4), recipient=person(4))

        async def after(turns: int, work: Awaitable[object]) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await work

        await asyncio.gather(
            after(lead, on.deliver("manual-submissions", on.app.intake_manual.run)),
            after(-lead, on.app.settle_outcomes.run()),
        )
        outcomes = await on.finish(rows=3)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: 2, State.REJECTED: 1}
        assert len(submissions(on)) == 1


async def ask_to_block_a_covered_mail(on: Stage, *, delay_s: int = 60) -> None:
    """Let an operator ask for a block, urgently, on a mail whose report waits for its campaign."""
    for number in (0, 4):
        report(on, lure(number, delay_s=delay_s), reporter=person(number))
        await on.app.collect_reports.run()
    block = {"action": "block", "expiresAt": (START + timedelta(days=20)).isoformat()}
    await ask_for(on, lure(4), recipient=person(4), priority="urgent", allowOrBlock=block)
    await on.deliver("manual-submissions", on.app.intake_manual.run)
    await submit_only_what_was_asked_for(on)


async def test_another_claim_does_not_wait_for_a_row_that_only_its_campaign_covers() -> None:
    """The campaign's verdict may take days, and an urgent block does not wait for it."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        await ask_to_block_a_covered_mail(on, delay_s=10 * 3600)
        assert [row.state for row in await on.outcomes() if row.source is Source.MANUAL] == [State.SUBMITTED]
        outcomes = await on.finish(rows=3, step=timedelta(minutes=30))
        assert len(submissions(on)) == 2
        assert_feed_is_whole(outcomes, await on.feed())


async def test_a_member_that_is_let_go_keeps_the_items_time() -> None:
    """Another claim about its mail went meanwhile: the two POSTs are 15 minutes apart, and none is refused for it."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        await ask_to_block_a_covered_mail(on)
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        on.clock.advance(seconds=31)
        outcomes = await on.finish(rows=3, step=timedelta(minutes=1), rounds=60)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: 2, State.REJECTED: 1}
        assert [answer.status for answer in on.graph.log.select(method="POST")] == [201, 400, 201]
        first, second = sorted(row.submitted_at for row in outcomes if row.submitted_at)
        assert second - first >= timedelta(minutes=15)
