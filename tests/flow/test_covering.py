"""The same item twice is one submission: who made the claim first speaks for the others."""

from datetime import timedelta

import pytest

from local.graph_simulator.faults import Fault, FaultKind, Scope, answer_status
from shared.domain.model import Agreement, Category, Outcome, State, Verdict
from tests.support.reports import (
    ANNA,
    ask,
    email_request,
    original,
    pass_time,
    report,
    rows_by_report,
    submissions,
    url_request,
)
from tests.support.stage import Stage, assert_feed_is_whole, stage

POST = Scope(method="POST")
DAY = timedelta(hours=24)


async def upload(on: Stage, content: bytes, name: str = "case.eml") -> dict[str, object]:
    """Put a mail where operators put it; returns how a request refers to it."""
    await on.ports.containers["submission-content"].put(name, content)
    return {"content": name}


async def put_item_twice(on: Stage, first: str, second: str) -> None:
    """Two claims about one item, the second after the first has its row."""
    for place, source in enumerate((first, second)):
        if source == "report":
            report(on, original("twin"))
        else:
            message = await upload(on, original("twin"))
            await ask(on, email_request(message, requestId=f"case-{place}", priority="normal"))
        await on.app.collect_reports.run()
        await on.deliver("manual-submissions", on.app.intake_manual.run)


@pytest.mark.parametrize(
    ("first", "second"), [("report", "report"), ("report", "request"), ("request", "report"), ("request", "request")]
)
async def test_the_second_claim_is_covered_and_gets_the_first_ones_verdict(first: str, second: str) -> None:
    """One submission; the other row is covered meanwhile, then settled with the same words."""
    async with stage() as on:
        await put_item_twice(on, first, second)
        await on.app.dispatch.run()
        await on.deliver_submissions()
        holder, covered = sorted(await on.outcomes(), key=lambda row: row.collected_at)
        assert (holder.state, covered.state) == (State.SUBMITTED, State.COVERED)
        assert covered.covered_by == holder.key.submission_id
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert {(row.verdict, row.agreement) for row in outcomes} == {(Verdict.MALICIOUS, Agreement.CONFIRMED)}
        assert len({row.graph_submission_id for row in outcomes}) == 1
        assert len(submissions(on)) == 1
        assert_feed_is_whole(outcomes, await on.feed())


async def test_a_report_of_a_settled_item_takes_its_verdict() -> None:
    """A claim that was answered already is not asked again."""
    async with stage() as on:
        report(on, original("twin"))
        await on.finish(rows=1)
        late = report(on, original("twin"))
        await on.finish(rows=2)
        row = (await rows_by_report(on))[late]
        assert (row.state, row.verdict) == (State.SETTLED, Verdict.MALICIOUS)
        assert len(submissions(on)) == 1


async def test_a_rejected_holder_hands_its_claim_over() -> None:
    """What Microsoft refused for the first row is tried once more by one covered row; the rest follow that one."""
    async with stage(is_busy=True) as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        for _ in range(3):
            report(on, original("twin"))
        outcomes = await on.finish(rows=3)
        assert sorted(row.state for row in outcomes) == [State.REJECTED, State.SETTLED, State.SETTLED]
        assert len(submissions(on)) == 1


async def test_a_refused_item_is_not_covered_by_its_refusal() -> None:
    """A report after the holder was rejected is a claim of its own."""
    async with stage(is_busy=True) as on:
        on.graph.control.add_fault(answer_status(422, Scope(method="POST", times=1)))
        report(on, original("twin"))
        (rejected,) = await on.finish(rows=1)
        later = report(on, original("twin"))
        await on.app.collect_reports.run()
        assert (await rows_by_report(on))[later].state is State.PENDING
        await on.finish(rows=2)
        assert rejected.state is State.REJECTED
        assert (await rows_by_report(on))[later].state is State.SETTLED


async def test_a_failed_holder_hands_its_claim_over() -> None:
    """A row that gave up does not take those that waited for it along."""
    not_ready = Fault(FaultKind.STATUS, POST, status=400, message="The metadata isn't available yet.")
    async with stage(is_busy=True) as on:
        handle = on.graph.control.add_fault(not_ready)
        first = report(on, original("twin"), age=timedelta(minutes=2))
        await on.round()
        second = report(on, original("twin"))
        await pass_time(on, timedelta(hours=48), step=timedelta(minutes=30))
        rows = await rows_by_report(on)
        assert (rows[first].state, rows[first].state_reason) == (State.FAILED, "metadata_not_ready")
        on.graph.control.remove_fault(handle)
        await pass_time(on, timedelta(hours=10), step=timedelta(minutes=30))
        assert (await rows_by_report(on))[second].state is State.SETTLED
        assert len(submissions(on)) == 1


async def test_an_expired_holder_expires_those_it_covers() -> None:
    """Without a verdict by the deadline no row waits on."""
    async with stage(VERDICT_DEADLINE_HOURS="2") as on:
        for _ in range(2):
            report(on, original("twin", delay_s=86_400))
        outcomes = await on.finish(rows=2, step=timedelta(minutes=30))
        assert {(row.state, row.state_reason) for row in outcomes} == {(State.EXPIRED, "no_verdict")}
        assert len(submissions(on)) == 1


async def test_an_allow_or_block_entry_is_a_claim_of_its_own() -> None:
    """Who also wants an entry on the list asks for more: a second submission, no sooner than the item's rule allows."""
    async with stage() as on:
        report(on, original("twin"))
        message = await upload(on, original("twin"))
        block = {"action": "block", "expiresAt": "2026-12-10T00:00:00Z", "note": "case-1"}
        await on.round()
        await ask(on, email_request(message, allowOrBlock=block))
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        first, second = submissions(on)
        assert second.created_at - first.created_at >= timedelta(minutes=15)
        assert second.request.allow_or_block is not None
        assert wanted(outcomes) == ("block", "succeeded")


def wanted(outcomes: list[Outcome]) -> tuple[str | None, str | None]:
    """What the one row with a list entry says of it."""
    (row,) = [one for one in outcomes if one.allow_or_block is not None]
    return row.allow_or_block, row.allow_or_block_status


@pytest.mark.parametrize("category", [Category.SPAM, Category.NOT_JUNK])
async def test_another_category_is_another_claim(category: Category) -> None:
    """Junk and not junk are different questions about one mail: both are asked."""
    async with stage() as on:
        report(on, original("twin"), category=Category.PHISHING)
        report(on, original("twin"), category=category)
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert {one.request.category for one in submissions(on)} == {"phishing", category}


async def test_the_same_mail_to_another_recipient_is_another_item() -> None:
    """Microsoft counts mail and recipient together, and so do we."""
    async with stage() as on:
        report(on, original("twin", recipient=ANNA))
        report(on, original("twin", recipient="ben.okafor@contoso.example"))
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert len(submissions(on)) == 2


async def test_two_requests_for_one_url_are_one_submission() -> None:
    """URLs are items like mail: host and scheme without regard to case."""
    async with stage() as on:
        await ask(on, url_request("shop"), url_request("shop", url="HTTPS://SHOP.lure.test/", requestId="again"))
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert len(submissions(on)) == 1
