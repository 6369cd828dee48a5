"""What the demo takes for a success: each thing that may go wrong, made up, must be seen and fail it."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from local.demo.expectation import Expectation, expect_message
from local.demo.judgement import PREFERENCE, Evidence, judge, name_unfinished
from local.demo.play import tell
from local.graph_simulator import RequestRecord, SimulatedTenant, Submission
from local.graph_simulator.submission import SubmissionRequest
from local.graph_simulator.submission_desk import APP
from local.sample_tenant import DOMAINS, TENANT_ID, populate, sample_manual_messages

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LURE = Expectation("lure", {"ReportMessageId": "A"}, {"State": "settled", "Verdict": "malicious"})
ALBUM = Expectation("album", {"ReportMessageId": "B"}, {"State": "skipped", "StateReason": "too_large"})
SETTLED_ROW = {
    "RowKey": "1",
    "State": "settled",
    "Verdict": "malicious",
    "ReportMessageId": "A",
    "GraphSubmissionId": "g1",
    "Subject": "[bold]not markup[/bold]",
}
SKIPPED_ROW = {"RowKey": "2", "State": "skipped", "StateReason": "too_large", "ReportMessageId": "B"}
EVENTS = (
    {"SubmissionId": "1", "Event": "pending"},
    {"SubmissionId": "1", "Event": "settled", "PreviousState": "pending"},
    {"SubmissionId": "2", "Event": "skipped"},
)
SUBMISSION = Submission(
    id="g1",
    request=SubmissionRequest(kind="email", category="phishing", item_key="mail and recipient"),
    created_at=NOW,
    created_by=APP,
    source="administrator",
    settles_at=NOW,
    result_category="threatsFound",
    result_detail="itemFoundMalicious",
    final_status="succeeded",
)
POST = RequestRecord(
    sequence=1,
    at=NOW,
    method="POST",
    path="/beta/security/threatSubmission/emailThreats",
    query="",
    headers={"prefer": PREFERENCE},
    status=201,
    effect="g1",
)
GOOD = Evidence((LURE, ALBUM), (SETTLED_ROW, SKIPPED_ROW), EVENTS, (SUBMISSION,), (POST,), ("msgraph_core", "shared"))


def told(evidence: Evidence) -> tuple[int, str]:
    """Return exit code and screen."""
    screen = io.StringIO()
    return tell(Console(file=screen, width=80), evidence), screen.getvalue()


def changed(rows: tuple[dict[str, Any], ...]) -> Evidence:
    """Return the good evidence with other rows."""
    return replace(GOOD, rows=rows)


BAD: dict[str, tuple[Callable[[], Evidence], str]] = {
    "missing row": (lambda: changed((SETTLED_ROW,)), "album: no row"),
    "two rows": (lambda: changed((SETTLED_ROW, SKIPPED_ROW, SKIPPED_ROW)), "album: 2 rows, not 1"),
    "row of nobody": (
        lambda: changed((SETTLED_ROW, SKIPPED_ROW, {"RowKey": "3", "State": "settled"})),
        "3: settled, a row that belongs to no report",
    ),
    "not final": (
        lambda: changed((SETTLED_ROW, {**SKIPPED_ROW, "State": "pending"})),
        "pending/too_large is not final",
    ),
    "wrong state": (
        lambda: changed((SETTLED_ROW, {**SKIPPED_ROW, "State": "failed"})),
        "album: State failed instead of skipped",
    ),
    "wrong verdict": (
        lambda: changed(({**SETTLED_ROW, "Verdict": "clean"}, SKIPPED_ROW)),
        "lure: Verdict clean instead of malicious",
    ),
    "submitted twice": (
        lambda: replace(GOOD, submissions=(SUBMISSION, replace(SUBMISSION, id="g2"))),
        "2 submissions of mail and recipient as phishing",
    ),
    "unknown submission": (
        lambda: replace(GOOD, submissions=(replace(SUBMISSION, id="g2"),)),
        "submission g2 is in no row",
    ),
    "invented submission": (lambda: replace(GOOD, submissions=()), "submission g1 is in a row only"),
    "refused POST": (
        lambda: replace(GOOD, requests=(POST, replace(POST, sequence=2, status=429, effect=None))),
        "request 2: status 429",
    ),
    "no preference": (lambda: replace(GOOD, requests=(replace(POST, headers={}),)), "request 1: POST /beta/security"),
    "no call": (lambda: replace(GOOD, requests=()), "there was no such call"),
    "lost event": (lambda: replace(GOOD, feed=(EVENTS[0], EVENTS[2])), "1: settled/malicious, but the feed says pend"),
    "broken chain": (
        lambda: replace(GOOD, feed=(EVENTS[0], {**EVENTS[1], "PreviousState": "submitted"}, EVENTS[2])),
        "the feed says pending > settled",
    ),
    "generated model": (
        lambda: replace(GOOD, modules=("msgraph_core", "msgraph.generated.models.user")),
        "msgraph.generated.models.user",
    ),
    "no list of modules": (lambda: replace(GOOD, modules=()), "lacks even msgraph_core"),
}


def test_good_evidence_is_a_success() -> None:
    """All as expected: every check holds and the exit code is 0."""
    exit_code, screen = told(GOOD)
    assert exit_code == 0
    assert screen.count("ok  ") == len(judge(GOOD)) == 8
    assert "FAILED" not in screen


@pytest.mark.parametrize("case", BAD)
def test_bad_evidence_fails_the_demo(case: str) -> None:
    """One thing wrong: exit code 1, and the screen names the rule and the place."""
    make, problem = BAD[case]
    exit_code, screen = told(make())
    assert exit_code == 1
    assert "FAILED" in screen
    assert problem in " ".join(screen.split())


def test_only_the_first_problems_are_printed() -> None:
    """A hundred problems are counted, not listed."""
    rows = tuple({"RowKey": f"extra-{number}", "State": "settled"} for number in range(100))
    _, screen = told(changed((SETTLED_ROW, SKIPPED_ROW, *rows)))
    assert "and 95 more" in screen
    assert "extra-5" not in screen


def test_equal_identities_need_as_many_rows() -> None:
    """Two messages that nothing but their number tells apart need two rows."""
    twice = replace(GOOD, expectations=(LURE, ALBUM, ALBUM), rows=(SETTLED_ROW, SKIPPED_ROW, SKIPPED_ROW))
    assert all(check.holds for check in judge(twice))
    assert not judge(replace(twice, rows=(SETTLED_ROW, SKIPPED_ROW)))[0].holds


def test_the_unfinished_are_named() -> None:
    """A demo that runs out of time says which rows are not there and which are not final."""
    rows = ({**SETTLED_ROW, "State": "submitted"},)
    assert name_unfinished((LURE, ALBUM), rows) == ["lure: submitted/malicious is not final", "album: no row"]


def test_messages_are_told_apart_by_what_they_ask() -> None:
    """No message's identity fits another's row, except two refused for the same reason; a repeated one has none."""
    message_ids = populate(SimulatedTenant(TENANT_ID, DOMAINS), NOW, with_reports=False)
    messages = sample_manual_messages(NOW, message_ids)
    found = {message.name: expect_message(message) for message in messages}
    assert [name for name, one in found.items() if one is None] == ["request-id-again"]
    expected = [one for one in found.values() if one is not None]
    alike = {(one.name, other.name) for one in expected for other in expected if one.is_of(other.identity)}
    reserved = ("reserved-key", "reserved-key-of-wrong-form")
    assert alike == {(one.name, one.name) for one in expected} | {reserved, reserved[::-1]}
