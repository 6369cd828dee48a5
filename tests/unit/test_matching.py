"""Finding the submission that a lost POST made: never somebody else's, and never missing one's own."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.model import Category, Kind
from shared.domain.submissions import AFTER, BEFORE, LostSubmission, find_match
from tests.support.outcomes import NOW, make_listed

A_SECOND = timedelta(seconds=1)


def lost(**facts: Any) -> LostSubmission:
    """Return what is known of the POST of `make_outcome()`, with other `facts` where given."""
    known: dict[str, Any] = {
        "kind": Kind.EMAIL,
        "category": Category.PHISHING,
        "sent_at": NOW,
        "recipient": "bob@contoso.example",
        "sender": "mallory@evil.example",
        "subject": "Invoice 1",
        "internet_message_id": "<a@evil.example>",
    }
    return LostSubmission(**{**known, **facts})


def test_nothing_listed_is_no_match() -> None:
    """An empty list answers nothing."""
    assert find_match(lost(), []) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"internet_message_id": "<a@evil.example>", "subject": "other", "sender": "other@evil.example"},
        {"internet_message_id": None},
        {"internet_message_id": None, "subject": " INVOICE 1 ", "sender": "Mallory@Evil.example"},
        {"internet_message_id": None, "subject": None},
        {"internet_message_id": None, "sender": None},
        {"recipient": "Bob@Contoso.example"},
        {"created_at": NOW - BEFORE},
        {"created_at": NOW + AFTER},
    ],
    ids=[
        "by-message-id",
        "by-subject-and-sender",
        "whatever-their-case",
        "subject-not-told",
        "sender-not-told",
        "recipients-case",
        "clock-behind",
        "late",
    ],
)
def test_the_lost_submission_is_found(facts: dict[str, Any]) -> None:
    """By message id where both sides know it, else by what both know of subject and sender."""
    listed = make_listed(**facts)
    assert find_match(lost(), [make_listed(2, recipient="eve@contoso.example"), listed]) == listed


@pytest.mark.parametrize(
    "facts",
    [
        {"internet_message_id": "<b@evil.example>"},
        {"subject": "Invoice 2"},
        {"sender": "other@evil.example"},
        {"recipient": "eve@contoso.example"},
        {"recipient": None},
        {"category": "spam"},
        {"category": None},
        {"created_at": NOW - BEFORE - A_SECOND},
        {"created_at": NOW + AFTER + A_SECOND},
        {"created_at": None},
        {"is_users": True},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_another_submission_is_not_taken(facts: dict[str, Any]) -> None:
    """Other mail, other recipient, other claim, created when the POST cannot have arrived, or by a user's button."""
    assert find_match(lost(), [make_listed(**facts)]) is None


@pytest.mark.parametrize("unknown", ["subject", "sender", "internet_message_id"])
def test_what_we_do_not_know_rules_nothing_out(unknown: str) -> None:
    """A mail in a mailbox we may not read has no subject here: its submission must still not be made twice."""
    listed = make_listed(internet_message_id="<a@evil.example>")
    assert find_match(lost(**{unknown: None}), [listed]) == listed
    assert find_match(lost(subject=None, sender=None, internet_message_id=None), [listed]) == listed


def test_of_several_the_nearest_in_time_is_taken() -> None:
    """Before or after: only the distance counts."""
    listed = [
        make_listed(number, subject="Invoice 1", created_at=NOW + timedelta(seconds=offset))
        for number, offset in enumerate([-90, 40, -30, 600])
    ]
    assert find_match(lost(), listed) == listed[2]
    assert find_match(lost(), [*reversed(listed)]) == listed[2]


def test_a_url_is_found_by_itself() -> None:
    """The whole URL, its case included; mail facts do not matter."""
    url = "https://evil.example/Path?q=1"
    gone = lost(kind=Kind.URL, url=url, recipient=None)
    mine = make_listed(1, url=url, recipient=None)
    assert find_match(gone, [make_listed(2, url=url.lower()), make_listed(3), mine]) == mine


def test_a_file_is_found_by_its_name() -> None:
    """Graph shows neither content nor hash of a file."""
    gone = lost(kind=Kind.FILE, file_name="a.html", recipient=None)
    mine = make_listed(1, file_name="a.html", recipient=None)
    assert find_match(gone, [make_listed(2, file_name="b.html"), mine]) == mine
