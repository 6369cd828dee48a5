"""An administrator decides what a mail is that a user submitted: Microsoft has the decision, and its row says so."""

from datetime import timedelta

import pytest

from local.graph_simulator import ReportDestination, RowShape, UserSubmission
from local.graph_simulator.faults import Fault, Scope, answer_status, lose_answer, reset_connection, throttle
from shared.domain.model import Category, Kind, Outcome, Source, State
from tests.flow.test_sources import TO_MICROSOFT, finish, stage_with_all
from tests.flow.test_statistics import keep
from tests.flow.test_stops import named
from tests.support.reports import ANNA, OPERATOR, ask, only_row, original, pass_time, submissions, url_request
from tests.support.stage import ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

ONE_REVIEW = Scope(method="POST", path="/review", times=1)
CASE = "case-1"


async def submitted_by_a_user(on: Stage) -> Outcome:
    """Let Anna report a mail to Microsoft; returns its settled row."""
    on.graph.control.set_report_destination(TO_MICROSOFT)
    shape = RowShape(message_id="always")
    on.graph.control.submit_as_user(UserSubmission(mime=original("hers"), recipient=ANNA, reporter=ANNA, shape=shape))
    (row,) = await finish(on, 1)
    assert (row.source, row.state) == (Source.MICROSOFT, State.SETTLED)
    return row


def review_of(submission_id: str, category: str = "notJunk", **fields: object) -> dict[str, object]:
    """A valid request for a review."""
    request = {
        "schemaVersion": 1,
        "kind": "review",
        "category": category,
        "requestId": CASE,
        "requestedBy": OPERATOR,
        "review": {"submissionId": submission_id},
    }
    return {**request, **fields}


def decided(on: Stage) -> str | None:
    """What Microsoft has as the administrator's word on the one submission."""
    (one,) = submissions(on)
    return None if one.review is None else one.review.category


def reviews_posted(on: Stage) -> int:
    """How many reviews were tried on the wire."""
    return len(on.graph.log.select(method="POST", path="/review"))


async def the_review(on: Stage, *, rows: int = 2) -> Outcome:
    """Work until all rows are final; returns that of the review."""
    return next(one for one in await finish(on, rows) if one.request_id == CASE)


@pytest.mark.parametrize("category", Category)
async def test_a_review_takes_effect_and_is_settled(category: Category) -> None:
    """Microsoft has the decision; the row names the mail and has no verdict, and the user's own row stays as it was."""
    async with stage_with_all() as on:
        theirs = await submitted_by_a_user(on)
        await ask(on, review_of(theirs.key.submission_id, category))
        row = await the_review(on)
        assert (row.kind, row.source, row.state, row.category) == (Kind.REVIEW, Source.MANUAL, State.SETTLED, category)
        assert (row.verdict, row.agreement, row.direction, row.submitted_at) == (None, None, None, None)
        assert (row.graph_submission_id, row.subject) == (theirs.graph_submission_id, theirs.subject)
        assert row.settled_at is not None
        assert (decided(on), reviews_posted(on)) == (category, 1)
        outcomes = await on.outcomes()
        assert theirs in outcomes
        assert_feed_is_whole(outcomes, await on.feed())
        await keep(on)
        assert [day["Received"] for day in await on.rows("statistics")] == [1]


async def test_an_administrator_may_decide_anew() -> None:
    """No review covers another, not even one in the same words."""
    async with stage_with_all() as on:
        theirs = await submitted_by_a_user(on)
        for number, category in enumerate(("phishing", "notJunk", "phishing")):
            await ask(on, review_of(theirs.key.submission_id, category, requestId=f"case-{number}"))
            outcomes = await finish(on, 2 + number)
            assert decided(on) == category
        assert {one.state for one in outcomes} == {State.SETTLED}
        assert reviews_posted(on) == 3


@pytest.mark.parametrize(
    "fault",
    [
        lose_answer(ONE_REVIEW),
        answer_status(503, ONE_REVIEW, after_effect=True),
        answer_status(503, ONE_REVIEW),
        reset_connection(ONE_REVIEW),
        throttle("10", ONE_REVIEW),
        answer_status(403, ONE_REVIEW),
    ],
    ids=lambda fault: fault.name or fault.kind.name,
)
async def test_a_review_that_went_wrong_is_repeated(fault: Fault) -> None:
    """Said twice it is the same decision, so a lost answer costs nothing but time."""
    async with stage_with_all() as on:
        theirs = await submitted_by_a_user(on)
        on.graph.control.add_fault(fault)
        await ask(on, review_of(theirs.key.submission_id))
        row = await the_review(on)
        assert (row.state, row.error_code, decided(on), reviews_posted(on)) == (State.SETTLED, None, "notJunk", 2)
        assert_feed_is_whole(await on.outcomes(), await on.feed())


async def test_what_microsoft_refuses_is_rejected() -> None:
    """It does not know the submission any more, while it takes others: with Microsoft's words, like any refusal."""
    async with stage_with_all(is_busy=True) as on:
        theirs = await submitted_by_a_user(on)
        on.graph.control.set_report_destination(ReportDestination())
        await ask(on, review_of(theirs.key.submission_id))
        row = await the_review(on)
        assert (row.state, row.state_reason) == (State.REJECTED, "refused_by_microsoft")
        assert row.error_code == "ResourceNotFound"


async def test_only_what_a_user_submitted_is_reviewed() -> None:
    """A row of our own, and one that is not there, are named; nothing reaches Microsoft."""
    async with stage() as on:
        await ask(on, url_request("ours"))
        await on.round()
        ours = await only_row(on)
        await ask(on, review_of(ours.key.submission_id), review_of("0" * 32, requestId="case-2"))
        reasons = {one.request_id: one.state_reason for one in await on.finish(rows=3)}
        assert reasons == {None: None, CASE: "not_reviewable", "case-2": "submission_not_found"}
        assert reviews_posted(on) == 0


@pytest.mark.parametrize(("days", "reason"), [(29, None), (32, "submission_not_found")])
async def test_a_row_is_found_by_its_id_for_thirty_days(days: int, reason: str | None) -> None:
    """A review does not name the day."""
    async with stage_with_all() as on:
        theirs = await submitted_by_a_user(on)
        on.clock.advance(days=days)
        await ask(on, review_of(theirs.key.submission_id))
        assert (await the_review(on)).state_reason == reason


async def test_a_shadow_reviews_nothing() -> None:
    """`SUBMISSION_MODE` is `shadow`: nothing is posted."""
    async with stage_with_all(SUBMISSION_MODE="shadow") as on:
        theirs = await submitted_by_a_user(on)
        await ask(on, review_of(theirs.key.submission_id))
        assert (await the_review(on)).state_reason == "shadow_mode"
        assert reviews_posted(on) == 0


async def carry_out(on: Stage, steps: Steps) -> None:
    """Ask for a review once the user's row is settled, and do all that it takes in a process that may stop."""
    theirs = await submitted_by_a_user(on)
    await ask(on, review_of(theirs.key.submission_id))
    on.start_process(steps)
    await on.deliver("manual-submissions", on.app.intake_manual.run)
    await on.app.dispatch.run()
    await on.deliver_submissions()


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_stop_at_any_step_loses_no_review(after_effect: bool) -> None:
    """Whichever call was the last, Microsoft has the decision in the end, the row is settled and the feed whole."""
    recorded = Steps()
    async with stage_with_all() as on:
        await carry_out(on, recorded)
    assert "graph submissions.review" in recorded.taken
    for number, name in enumerate(recorded.taken):
        with named(f"stopped at step {number}, {name}"):
            async with stage_with_all() as on:
                with pytest.raises(ProcessStoppedError):
                    await carry_out(on, Steps(stop_at=number, after_effect=after_effect))
                on.start_process()
                await pass_time(on, timedelta(hours=1), timedelta(minutes=5))
                row = await the_review(on)
                assert (row.state, decided(on)) == (State.SETTLED, "notJunk")
                assert_feed_is_whole(await on.outcomes(), await on.feed())
                assert all(entry["RowKey"].startswith("0-") for entry in await on.rows("worklist"))
