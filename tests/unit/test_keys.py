"""Names of rows, items and blobs: derived from the source alone, and safe whatever the source holds."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import keys
from shared.domain.model import Category
from tests.support.outcomes import NOW, moments

anything = st.text(st.characters(exclude_categories=[]), max_size=50)
"""Any text, lone surrogates and NUL included."""
DERIVED: list[Callable[[str, str], str]] = [
    keys.report_id,
    keys.conflict_id,
    lambda one, _: keys.request_id(one),
    lambda one, _: keys.content_id(one),
    lambda one, _: keys.unreadable_id(one),
    lambda one, two: keys.email_item(one, two, "", two),
    lambda one, two: keys.email_item(None, one, "", two),
    lambda one, two: keys.email_item(None, None, one, two),
    lambda one, _: keys.url_item(one),
    lambda one, _: keys.file_item(one),
]
plain = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(anything, anything)
@example("\x00", "\ud800/\\#?%")
def test_a_key_is_32_lower_case_hex_digits_whatever_it_is_made_of(one: str, two: str) -> None:
    """No character that a stranger chose, nothing that Table Storage forbids, always the same length."""
    for derive in DERIVED:
        key = derive(one, two)
        assert re.fullmatch("[0-9a-f]{32}", key)
        assert key == derive(one, two)


@given(plain, plain)
def test_kinds_of_keys_never_meet(one: str, two: str) -> None:
    """The same text is another row or item for each kind of source."""
    made = [derive(one, two) for derive in DERIVED]
    assert len(set(made)) == len(made)


@given(plain, plain, plain, plain)
def test_two_sources_have_two_keys(one: str, two: str, three: str, four: str) -> None:
    """Parts cannot be shifted into one another."""
    if (one.lower(), two) != (three.lower(), four):
        assert keys.report_id(one, two) != keys.report_id(three, four)
    if (one, two) != (three, four):
        assert keys.conflict_id(one, two) != keys.conflict_id(three, four)


def test_a_message_id_is_case_sensitive_and_a_mailbox_is_not() -> None:
    """Graph's ids may differ in one letter's case (Graph documentation); addresses do not."""
    assert keys.report_id("Reports@Contoso.example", "AAMkA") == keys.report_id("reports@contoso.example", "AAMkA")
    assert keys.report_id("reports@contoso.example", "AAMkA") != keys.report_id("reports@contoso.example", "AAMka")


def test_a_mail_item_is_network_message_id_and_recipient() -> None:
    """That is what Microsoft counts; what stands beside it does not matter, and neither's case does."""
    item = keys.email_item("8B7A", "<a@x>", "hash", "bob@contoso.example")
    assert keys.email_item("8b7a", "<b@x>", "other", "Bob@Contoso.example") == item
    assert keys.email_item("8b7b", "<a@x>", "hash", "bob@contoso.example") != item
    assert keys.email_item("8b7a", "<a@x>", "hash", "eve@contoso.example") != item


def test_where_ids_are_missing_the_next_best_stands_in() -> None:
    """Internet message id (its case counts), then the content."""
    recipient = "bob@contoso.example"
    assert keys.email_item(None, "<a@x>", "1", recipient) == keys.email_item("", "<a@x>", "2", recipient)
    assert keys.email_item(None, "<a@x>", "1", recipient) != keys.email_item(None, "<A@x>", "1", recipient)
    assert keys.email_item(None, None, "1", recipient) != keys.email_item(None, "", "2", recipient)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("https://login.example/a", "HTTPS://LOGIN.example/a", True),
        ("https://login.example/a", "https://login.example/A", False),
        ("https://login.example/?t=a", "https://login.example/?t=A", False),
        ("https://login.example?t=a", "https://login.example?t=A", False),
        ("https://login.example#a", "https://login.example#A", True),
        ("https://LOGIN.example?t=a", "https://login.example?t=a", True),
        ("https://login.example/a", "http://login.example/a", False),
        ("https://login.example/a?u=https://B.example", "https://login.example/a?u=https://b.example", False),
    ],
)
def test_a_url_item_ignores_case_where_urls_do(one: str, other: str, is_same: bool) -> None:
    """Scheme and host are without case (RFC 3986, section 6.2.2.1), path and query are not; a fragment is not sent."""
    assert (keys.url_item(one) == keys.url_item(other)) is is_same


@given(category=st.sampled_from(Category), action=st.sampled_from([None, "allow", "block"]))
def test_a_claim_tells_category_and_wanted_entry_apart(category: Category, action: str | None) -> None:
    """Two claims are one only if both are the same."""
    others = {(one, entry) for one in Category for entry in (None, "allow", "block")} - {(category, action)}
    assert keys.claim(category, action) not in {keys.claim(*other) for other in others}


@given(st.lists(st.tuples(moments, st.integers(0, 999)), min_size=2, max_size=10))
def test_the_feeds_keys_sort_as_time_does(events: list[tuple[datetime, int]]) -> None:
    """(PartitionKey, RowKey) ascends with the time of the change, and within a millisecond with the sequence."""
    row = "0" * 32
    ordered = sorted(events, key=lambda event: (keys.epoch_ms(event[0]), event[1]))
    named = [(keys.day(at), keys.log_key(at, row, sequence)) for at, sequence in ordered]
    assert named == sorted(named)
    assert all(re.fullmatch("[0-9]{13}-0{32}-[0-9]{3}", key) for _, key in named)


@given(moments, moments)
def test_milliseconds_never_run_against_time(one: datetime, other: datetime) -> None:
    """A later moment has no smaller number."""
    assert (one <= other) <= (keys.epoch_ms(one) <= keys.epoch_ms(other))


@given(moments.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)))
def test_a_whole_millisecond_keeps_its_number(at: datetime) -> None:
    """A key names exactly the millisecond of its moment, without an error of rounding."""
    assert datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=keys.epoch_ms(at)) == at


def test_a_day_is_the_utc_day() -> None:
    """Whatever zone a time is given in."""
    assert keys.day(datetime(2026, 11, 24, 0, 30, tzinfo=timezone(timedelta(hours=1)))) == "20261123"
    assert keys.day(NOW) == "20261123"


def test_evidence_is_grouped_by_day() -> None:
    """The name begins with the day, so that a whole day can be dropped."""
    assert keys.evidence_name("20261123", "ab", ".eml") == "20261123/ab.eml"
