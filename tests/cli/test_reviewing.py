"""`submissions review`, from a user's own submission to the decision at Microsoft, and what it refuses."""

import csv
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from local.graph_simulator import ReportDestination, RowShape, UserSubmission
from shared.cli.errors import CommandError
from shared.cli.reviewing import check_reviewable
from tests.cli.submitting import account
from tests.cli.test_disputing import ID, run_beside, shown
from tests.support.command_line import run
from tests.support.reports import ANNA, original, submissions
from tests.support.stage import stage

to_microsoft = partial(stage, USER_SUBMISSIONS="on", REPORT_DESTINATION="microsoft")


async def test_an_administrator_decides_what_a_users_mail_is(storage_connection: str, tmp_path: Path) -> None:
    """By the beginning of the row's id; the review is a row of its own, and Microsoft has the decision."""
    async with account(storage_connection, tmp_path) as on, to_microsoft(connection=storage_connection) as app:
        app.clock.time = datetime.now(UTC)
        app.graph.control.set_report_destination(ReportDestination(to_microsoft=True))
        shape = RowShape(message_id="always")
        app.graph.control.submit_as_user(
            UserSubmission(mime=original("hers"), recipient=ANNA, reporter=ANNA, shape=shape)
        )
        await app.round()
        (theirs,) = await app.outcomes()
        review = await run_beside(on, app, "review", theirs.key.submission_id[:12], "--as", "spam", "--wait=60")
        assert review.code == 0, review.err
        (one,) = submissions(app)
    report = run(storage_connection, "--local", "report", "--by", "category", "--output", "csv")
    assert [line["Received"] for line in csv.DictReader(report.out.splitlines())] == ["1"]
    row = shown(storage_connection, review.records[0]["SubmissionId"])
    assert (row["Kind"], row["State"], row["Category"]) == ("review", "settled", "spam")
    assert row["GraphSubmissionId"] == theirs.graph_submission_id
    assert one.review is not None
    assert one.review.category == "spam"


@pytest.mark.parametrize("columns", [{"Source": "manual", "GraphSubmissionId": "g"}, {"Source": "microsoft"}])
def test_only_what_a_user_submitted_is_reviewed(columns: dict[str, str]) -> None:
    """A row of another source, and one that Microsoft gave no id, are named before anything is sent."""
    with pytest.raises(CommandError, match=f"{ID} has the Source .*: only what a user submitted"):
        check_reviewable({"RowKey": ID, **columns})
