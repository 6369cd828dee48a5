"""Rows of `outcomes` and of the feed: the contract's columns, and a round trip that loses nothing."""

import re
import unicodedata
from dataclasses import astuple, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codecs.rows import log_entity, outcome_entity, read_outcome, read_snapshot, snapshot
from shared.domain import keys
from shared.domain.model import Agreement, Outcome, State, Verdict
from shared.domain.text import clean
from tests.support.outcomes import NOW, make_outcome, moments, outcomes

COLUMNS = re.findall(
    r"\w+",
    """
SchemaVersion State StateReason StateDetail Kind Source Category Direction Priority Reporter RequestedBy Recipient
Sender SenderIp Subject InternetMessageId NetworkMessageId Url FileName FileSha256 SizeBytes Mailbox ReportMessageId
RequestId ItemKey CampaignId CoveredBy ReceivedAt CollectedAt DispatchedAt SubmittedAt SettledAt Attempts
GraphSubmissionId GraphStatus ResultCategory ResultDetail Verdict Agreement AllowOrBlock AllowOrBlockExpiresAt
AllowOrBlockStatus ErrorCode ErrorMessage ErrorRequestId SecondsToSubmit SecondsToVerdict Revision
ChangedAt Disputes ReporterTold ReporterToldAt
""",
)
"""Section 4 of the contract."""
ALWAYS = {"SchemaVersion", "State", "Source", "ReceivedAt", "CollectedAt", "Attempts"}
TEXTS = [field.name for field in fields(Outcome) if field.type == "str | None"]
KEYS = {"PartitionKey", "RowKey"}
plain_text = st.text(st.sampled_from("aZ 0é日'\"\\"), max_size=20)
hostile_text = st.text(st.characters(exclude_categories=[]), max_size=40)


def full() -> Outcome:
    """Return a row in which every column applies."""
    texts: dict[str, Any] = {name: f"{name} text" for name in TEXTS}
    return make_outcome(
        **texts,
        size_bytes=1,
        dispatched_at=NOW,
        submitted_at=NOW,
        settled_at=NOW,
        attempts=1,
        verdict=Verdict.MALICIOUS,
        agreement=Agreement.CONFIRMED,
        allow_or_block_expires_at=NOW,
        seconds_to_submit=2,
        seconds_to_verdict=3,
        revision=4,
        changed_at=NOW,
        reporter_told_at=NOW,
    )


def test_the_columns_are_the_contracts() -> None:
    """A row in which everything applies has every column of section 4, spelt as there, and no other."""
    assert set(outcome_entity(full())) == {*COLUMNS, *KEYS}


def test_what_does_not_apply_is_absent() -> None:
    """A row of which nothing is known has the columns that every row has; none is empty instead of absent."""
    known = make_outcome()
    bare = Outcome(key=known.key, state=known.state, source=known.source, received_at=NOW, collected_at=NOW)
    assert set(outcome_entity(bare)) == ALWAYS | KEYS


def test_a_row_is_found_by_day_and_submission_id() -> None:
    """The key's parts are the table's; the version of the schema is 1."""
    outcome = make_outcome()
    entity = outcome_entity(outcome)
    assert (entity["PartitionKey"], entity["RowKey"]) == ("20261123", outcome.key.submission_id)
    assert entity["SchemaVersion"] == 1


@given(outcomes(plain_text))
def test_a_row_survives_the_round_trip(outcome: Outcome) -> None:
    """What is read is what was written, words as words of their enumeration, for any outcome whose text is clean."""
    back = read_outcome(outcome_entity(outcome))
    assert back == outcome
    assert [type(value) for value in astuple(back)] == [type(value) for value in astuple(outcome)]


@given(outcomes(plain_text))
def test_a_snapshot_survives_the_round_trip(outcome: Outcome) -> None:
    """The worklist's copy holds the same outcome, to the microsecond."""
    assert read_snapshot(snapshot(outcome)) == outcome


@given(outcomes(hostile_text))
def test_values_are_what_table_storage_takes(outcome: Outcome) -> None:
    """Plain text, whole numbers and aware times, none of them None; words are the contract's own strings."""
    for value in outcome_entity(outcome).values():
        assert type(value) in (str, int, datetime)
        assert not isinstance(value, datetime) or value.tzinfo is not None


@given(outcomes(hostile_text))
def test_text_is_clean_wherever_it_comes_from(outcome: Outcome) -> None:
    """No control character, no lone surrogate, and reading it back changes nothing any more."""
    entity = outcome_entity(outcome)
    for text in (value for value in entity.values() if isinstance(value, str)):
        assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
        assert text == clean(text)
    assert outcome_entity(read_outcome(entity)) == entity


@pytest.mark.parametrize("length", [999, 1000, 1001, 32_000])
def test_text_is_cut_to_a_thousand_characters(length: int) -> None:
    """A longer text keeps its first 1,000."""
    assert outcome_entity(make_outcome(subject="x" * length))["Subject"] == "x" * min(length, 1000)


def test_times_come_back_as_utc() -> None:
    """Whatever zone they had when they were written."""
    at = datetime(2026, 11, 23, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    back = read_snapshot(snapshot(make_outcome(received_at=at)))
    assert back.received_at == NOW
    assert back.received_at.tzinfo is UTC


@settings(max_examples=30)
@given(outcomes(plain_text), moments, st.sampled_from(State), st.integers(0, 999))
def test_the_feeds_row_is_a_full_copy(outcome: Outcome, at: datetime, previous: State, sequence: int) -> None:
    """Every column of the outcome row as it is at that moment, and the change itself, under the feed's own key."""
    row = outcome_entity(outcome)
    event = log_entity(outcome, previous, at, sequence)
    own = {
        "PartitionKey": keys.day(at),
        "RowKey": keys.log_key(at, outcome.key.submission_id, sequence),
        "Event": outcome.state.value,
        "PreviousState": previous.value,
        "OutcomePartition": row["PartitionKey"],
        "SubmissionId": row["RowKey"],
    }
    assert event == {**row, **own}


def test_a_first_event_has_no_previous_state() -> None:
    """A row is born with it; the column is absent."""
    assert "PreviousState" not in log_entity(make_outcome(), None, NOW, 0)


def test_the_longest_hostile_snapshot_fits_one_property() -> None:
    """A mail whose every word is as long and as awkward as it can be still fits 32,768 UTF-16 units."""
    long = '"' * 5000
    text = snapshot(replace(full(), subject=long, internet_message_id=long, sender=long, state_detail=long))
    assert len(text.encode("utf-16-le")) // 2 <= 32_768
