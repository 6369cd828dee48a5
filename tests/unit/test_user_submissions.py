"""User submissions: what Graph's JSON tells of them, and the rows they become."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.rows import outcome_entity, read_outcome
from shared.codecs.user_submission import is_user_submission, read_alert, read_listed
from shared.domain import keys
from shared.domain.model import Agreement, Category, Direction, Outcome, OutcomeKey, Source, State
from shared.domain.user_submissions import (
    BORN,
    UserSubmission,
    category_of,
    failed_outcome_of,
    item_keys,
    outcome_of,
    speaks_for,
)
from tests.support.outcomes import NOW

LISTED: dict[str, Any] = {
    "@odata.type": "#microsoft.graph.security.emailThreatSubmission",
    "id": "49C5EF5B-1f65-444a-e6b9-08d772ea2059",
    "createdDateTime": "2026-11-23T10:00:00.1234567Z",
    "category": "phishing",
    "source": "user",
    "createdBy": {"id": "1", "displayName": "Bob", "email": "bob@contoso.example"},
    "recipientEmailAddress": "Bob@Contoso.example",
    "internetMessageId": "<a@evil.example>",
    "subject": "Invoice",
    "sender": "mallory@evil.example",
    "senderIP": "203.0.113.9",
    "attackSimulationInfo": None,
    "result": {"category": "beingAnalyzed", "detail": "underInvestigation"},
}
NETWORK_ID = "1f1c7a52-8d0e-4b96-a4e7-0c5d9b2e6f18"
REPORTED: dict[str, Any] = {
    "@odata.type": "#microsoft.graph.security.submissionMailEvidence",
    "createdDateTime": "2026-11-23T10:05:00Z",
    "networkMessageId": NETWORK_ID.upper(),
    "recipient": "bob@contoso.example",
    "reportType": "Phish",
    "sender": "mallory@evil.example",
    "senderIp": "203.0.113.9",
    "subject": "Invoice",
    "submissionDateTime": "2026-11-23T10:00:00Z",
    "submissionId": "49C5EF5B-1f65-444a-e6b9-08d772ea2059",
    "submitter": "bob@contoso.example",
}
ANALYZED: dict[str, Any] = {
    "@odata.type": "#microsoft.graph.security.analyzedMessageEvidence",
    "networkMessageId": NETWORK_ID,
    "internetMessageId": "a@evil.example",
    "recipientEmailAddress": "bob@contoso.example",
    "p2Sender": {"emailAddress": "mallory@evil.example"},
    "senderIp": "203.0.113.9",
    "subject": "Invoice",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(**changes: Any) -> UserSubmission:
    """The submission of the list's row with these changes."""
    found = read_listed({**LISTED, **changes})
    assert found is not None
    return found


def alert(*evidence: object, **changes: Any) -> dict[str, Any]:
    """An alert with this evidence."""
    return {"title": "Email reported by user as malware or phish", "evidence": [*evidence], **changes}


def test_a_listed_row_is_read() -> None:
    """Every fact that the row needs, the time as aware UTC."""
    assert read() == UserSubmission(
        submission_id="49C5EF5B-1f65-444a-e6b9-08d772ea2059",
        created_at=datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC),
        word="phishing",
        reporter="bob@contoso.example",
        recipient="Bob@contoso.example",
        sender="mallory@evil.example",
        sender_ip="203.0.113.9",
        subject="Invoice",
        internet_message_id="<a@evil.example>",
    )


def test_both_shapes_of_the_documentation_are_read() -> None:
    """The samples nest the user and call the subject `emailSubject`; some ids have no angle brackets."""
    nested = {"user": {"identity": "1", "displayName": "Bob", "email": "bob@contoso.example"}}
    found = read(createdBy=nested, subject=None, emailSubject="Invoice", internetMessageId="a@evil.example")
    assert found == read()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": None},
        {"id": 7},
        {"createdDateTime": "yesterday"},
        {"createdDateTime": "0001-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_a_row_without_id_or_time_cannot_be_used(changes: dict[str, object]) -> None:
    """It could be named after nothing."""
    assert read_listed({**LISTED, **changes}) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"source": "administrator"}, False),
        ({"source": "unknownFutureValue"}, False),
        ({"source": None}, None),
        ({"result": None}, True),
        ({"result": {"category": "notSubmittedToMicrosoft"}}, False),
    ],
    ids=str,
)
def test_only_a_users_submission_that_is_at_microsoft_counts(changes: dict[str, object], expected: bool | None) -> None:
    """Ours are an administrator's; and what went to the mailbox only must not keep its report from being submitted."""
    assert is_user_submission({**LISTED, **changes}) is expected


def test_a_simulation_is_known_by_its_info() -> None:
    """Anything but null says so (Graph documentation, "emailThreatSubmission")."""
    assert read(attackSimulationInfo={}).is_simulation
    assert not read().is_simulation


def test_an_alert_is_read_with_both_its_evidences() -> None:
    """The analysis of the same mail gives the Message-ID and what the report leaves out, in either order."""
    bare = {**REPORTED, "sender": None, "senderIp": None, "subject": None, "recipient": None}
    for evidence in ([REPORTED, ANALYZED], [ANALYZED, bare]):
        (found,) = read_alert(alert(*evidence))
        assert found == UserSubmission(
            submission_id="49c5ef5b-1f65-444a-e6b9-08d772ea2059",
            created_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
            word="Phish",
            reporter="bob@contoso.example",
            recipient="bob@contoso.example",
            sender="mallory@evil.example",
            sender_ip="203.0.113.9",
            subject="Invoice",
            internet_message_id="<a@evil.example>",
            network_message_id=NETWORK_ID,
        )


def test_another_mails_analysis_says_nothing() -> None:
    """One alert gathers several mails: each is completed by its own analysis only."""
    other = {**ANALYZED, "networkMessageId": "2f1c7a52-8d0e-4b96-a4e7-0c5d9b2e6f18"}
    (found,) = read_alert(alert(REPORTED, other))
    assert found is not None
    assert found.internet_message_id is None


def test_an_alert_about_admins_tells_of_no_user() -> None:
    """Its title says so; and a report without a person's address is not known to be a user's."""
    assert read_alert(alert(REPORTED, title="Admin submission result completed")) == []
    assert read_alert(alert({**REPORTED, "submitter": ""})) == [None]


@pytest.mark.parametrize("evidence", ["text", {"a": 1}, [None], ["text"], 7], ids=str)
def test_evidence_that_is_no_list_of_objects_is_refused(evidence: object) -> None:
    """It may hide reports: the answer as a whole counts for nothing."""
    with pytest.raises(ValueError, match="evidence"):
        read_alert({"evidence": evidence})


@given(st.dictionaries(st.sampled_from(sorted(LISTED)), json_values), st.booleans())
def test_any_row_of_the_list_has_an_answer(changes: dict[str, Any], is_mixed: bool) -> None:
    """Whatever a value is; and what can be used becomes a row that storage takes and gives back."""
    found = {**LISTED, **changes} if is_mixed else changes
    is_user_submission(found)
    submission = read_listed(found)
    if submission is not None:
        outcome = outcome_of(submission, submission.new_key, NOW)
        assert read_outcome(outcome_entity(outcome)).key == submission.new_key
        assert outcome.state in BORN


@given(st.dictionaries(st.sampled_from(sorted(REPORTED)), json_values), json_values, json_values)
def test_any_alert_has_an_answer(changes: dict[str, Any], title: object, analyzed: object) -> None:
    """Its submissions, unusable ones included, or the refusal of the whole."""
    evidence = [{**REPORTED, **changes}, {**ANALYZED, "p2Sender": analyzed, "internetMessageId": analyzed}]
    assert len(read_alert(alert(*evidence, title=title))) <= 2


@pytest.mark.parametrize(
    ("word", "category"),
    [
        ("phishing", Category.PHISHING),
        ("Phish", Category.PHISHING),
        ("malware", Category.MALWARE),
        ("spam", Category.SPAM),
        ("junk", Category.SPAM),
        ("notJunk", Category.NOT_JUNK),
        ("notSpam", Category.NOT_JUNK),
        ("unknownFutureValue", None),
        ("", None),
        (None, None),
    ],
)
def test_microsofts_words_are_known(word: str | None, category: Category | None) -> None:
    """Those of the API, of its samples and of the alerts, in any case."""
    assert category_of(word) is category


def test_the_row_is_born_submitted() -> None:
    """Microsoft has it since the user reported it; nothing was tried, nothing is known of the verdict."""
    outcome = outcome_of(read(), OutcomeKey("20261123", "0" * 32), NOW)
    assert (outcome.state, outcome.source, outcome.category) == (State.SUBMITTED, Source.MICROSOFT, Category.PHISHING)
    assert outcome.submitted_at == outcome.received_at == read().created_at
    assert (outcome.attempts, outcome.priority, outcome.verdict, outcome.state_detail) == (0, None, None, None)
    assert outcome.agreement is not Agreement.CONFIRMED


def test_an_unknown_word_is_kept() -> None:
    """The claim is phishing then, and the detail says what it was called."""
    outcome = outcome_of(read(category="smishing"), OutcomeKey("20261123", "0" * 32), NOW)
    assert (outcome.category, outcome.state_detail) == (Category.PHISHING, "reported to Microsoft as: smishing")


def test_the_item_is_known_by_every_id() -> None:
    """By each id with who got the mail, else who reported it; and by none where that is not known."""
    (found,) = read_alert(alert(REPORTED, ANALYZED))
    assert found is not None
    expected = (
        keys.email_item(NETWORK_ID, None, "", "bob@contoso.example"),
        keys.email_item(None, "<a@evil.example>", "", "bob@contoso.example"),
    )
    assert item_keys(found) == expected
    assert outcome_of(found, found.new_key, NOW).item_key == expected[0]
    assert item_keys(read(recipientEmailAddress=None)) == expected[1:]
    assert item_keys(read(recipientEmailAddress=None, createdBy=None)) == ()


def test_the_key_is_microsofts_id_in_any_case() -> None:
    """Two sources may write it in two cases."""
    assert read().new_key == read(id=LISTED["id"].lower()).new_key
    assert read().new_key != read(id="other").new_key


def report_of(row: Outcome, **changes: Any) -> Outcome:
    """A mailbox report of the same mail, with the same claim, an hour later."""
    known: dict[str, Any] = {
        "source": Source.MAILBOX,
        "state": State.PENDING,
        "received_at": row.received_at + timedelta(hours=1),
    }
    return replace(row, **{**known, **changes})


@pytest.mark.parametrize(
    ("state", "settled_after", "reported_after", "is_spoken_for"),
    [
        (State.SUBMITTED, None, timedelta(days=2), True),
        (State.SKIPPED, None, timedelta(hours=23), True),
        (State.SKIPPED, None, timedelta(hours=25), False),
        (State.SETTLED, timedelta(hours=10), timedelta(hours=33), True),
        (State.SETTLED, timedelta(hours=10), timedelta(hours=35), False),
        (State.SETTLED, timedelta(hours=10), timedelta(hours=1), True),
        (State.EXPIRED, None, timedelta(hours=1), False),
        (State.FAILED, None, timedelta(hours=1), False),
    ],
)
def test_a_submission_speaks_while_it_is_open_and_a_day_after_its_end(
    state: State, settled_after: timedelta | None, reported_after: timedelta, is_spoken_for: bool
) -> None:
    """One that expired or failed never does."""
    row = outcome_of(read(), read().new_key, NOW)
    settled_at = None if settled_after is None else row.received_at + settled_after
    ended = replace(row, state=state, settled_at=settled_at)
    assert speaks_for(ended, report_of(row, received_at=row.received_at + reported_after)) is is_spoken_for


@pytest.mark.parametrize(
    ("changes", "is_spoken_for"),
    [
        ({}, True),
        ({"direction": Direction.FALSE_POSITIVE}, False),
        ({"sender": "someone@else.test"}, False),
        ({"subject": "Another one"}, False),
        ({"sender": None}, True),
        ({"sender": None, "subject": None}, False),
    ],
    ids=str,
)
def test_a_submission_speaks_for_its_own_mail_and_claim_only(changes: dict[str, Any], is_spoken_for: bool) -> None:
    """What both know must agree, and something must be known of both."""
    row = outcome_of(read(), read().new_key, NOW)
    assert speaks_for(row, report_of(row, **changes)) is is_spoken_for


def test_a_submission_that_could_not_be_taken_in_has_a_row_that_says_what_to_do() -> None:
    """Under the key that it would have had, failed, and no more than what names it."""
    row = failed_outcome_of(read(), NOW)
    assert (row.key, row.state, row.source) == (read().new_key, State.FAILED, Source.MICROSOFT)
    assert (row.state_reason, row.subject, row.sender) == ("submission_unreadable", None, None)
    assert row.state_detail
