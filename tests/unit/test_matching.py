"""Finding the submission that a lost POST made: never somebody else's, and never missing one's own."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model import Category, Kind
from shared.domain.submissions import AFTER, BEFORE, LostSubmission, ThreatSubmission, Unowned
from tests.support.outcomes import NOW, make_listed

A_SECOND = timedelta(seconds=1)


def lost(**facts: Any) -> LostSubmission:
    """Return what is known of the POST of `make_outcome()`, with other `facts` where given."""
    known: dict[str, Any] = {
        "category": Category.PHISHING,
        "sent_at": NOW,
        "recipient": "bob@contoso.example",
        "sender": "mallory@evil.example",
        "subject": "Invoice 1",
        "internet_message_id": "<a@evil.example>",
    }
    return LostSubmission(**{**known, **facts})


def find_match(
    gone: LostSubmission, listed: Sequence[ThreatSubmission], kind: Kind = Kind.EMAIL
) -> ThreatSubmission | None:
    """Return the listed submission that the lost POST made, or None."""
    return Unowned(kind, listed).nearest(gone)


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
    gone = lost(url=url, recipient=None)
    mine = make_listed(1, url=url, recipient=None)
    assert find_match(gone, [make_listed(2, url=url.lower()), make_listed(3), mine], Kind.URL) == mine


def test_a_file_is_found_by_its_name() -> None:
    """Graph shows neither content nor hash of a file."""
    gone = lost(file_name="a.html", recipient=None)
    mine = make_listed(1, file_name="a.html", recipient=None)
    assert find_match(gone, [make_listed(2, file_name="b.html"), mine], Kind.FILE) == mine


WORDS = st.sampled_from([None, "", "a", "A ", "b"])
MINUTES = st.integers(-20, 20).map(lambda count: NOW + timedelta(minutes=count))


@given(
    st.lists(
        st.fixed_dictionaries(
            {"recipient": WORDS, "subject": WORDS, "sender": WORDS, "internet_message_id": WORDS}
            | {"created_at": st.none() | MINUTES, "category": st.sampled_from(["phishing", "spam"])}
        ),
        max_size=12,
    ),
    st.lists(st.tuples(MINUTES, WORDS, WORDS, WORDS, WORDS), max_size=4),
    st.sets(st.integers(0, 11)),
)
def test_it_finds_what_a_look_at_each_of_the_list_would_find(
    told: list[dict[str, Any]],
    posts: list[tuple[datetime, str | None, str | None, str | None, str | None]],
    owned: set[int],
) -> None:
    """Whatever either side does not know, and whoever has found his submission before."""
    listed = [make_listed(number, **facts) for number, facts in enumerate(told)]
    unowned, left = Unowned(Kind.EMAIL, listed), [one for place, one in enumerate(listed) if place not in owned]
    for number in owned:
        unowned.take(f"graph-{number}")
    for sent_at, recipient, subject, sender, mail_id in posts:
        gone = lost(sent_at=sent_at, recipient=recipient, subject=subject, sender=sender, internet_message_id=mail_id)
        fitting = [one for one in left if one.created_at is not None and fits(gone, one, one.created_at)]
        expected = min(fitting, key=lambda one: abs((one.created_at or NOW) - gone.sent_at), default=None)
        assert unowned.nearest(gone) == expected
        if expected is not None:
            left.remove(expected)
            unowned.take(expected.submission_id)


def fits(gone: LostSubmission, one: ThreatSubmission, created_at: datetime) -> bool:
    """Return whether the lost POST may have made it, by the rule as it is written down."""
    if one.category != gone.category or not gone.sent_at - BEFORE <= created_at <= gone.sent_at + AFTER:
        return False
    if one.internet_message_id and gone.internet_message_id:
        return same(one.recipient, gone.recipient) and one.internet_message_id == gone.internet_message_id
    told = [(one.subject, gone.subject), (one.sender, gone.sender)]
    return same(one.recipient, gone.recipient) and all(same(*pair) for pair in told if all(pair))


def same(one: str | None, other: str | None) -> bool:
    """Return whether two texts are one but for their case."""
    return (one or "").strip().lower() == (other or "").strip().lower()
