"""The message on the queue `submissions`: it comes back as sent, and anything else is told from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.submission_message import SubmissionMessage, UnreadableMessage, read_message, write_message
from shared.domain.model import OutcomeKey
from tests.support.outcomes import submission_id

MESSAGE = SubmissionMessage(
    OutcomeKey("20261123", submission_id(1)),
    f"0-slot-1795435200000-{submission_id(1)}",
    "W/\"datetime'2026-11-23T12%3A00%3A00.1234567Z'\"",
)
METADATA = {"id", "dequeueCount", "expirationTime", "insertionTime", "nextVisibleTime", "popReceipt"}
"""Names that the Functions host takes for message metadata (contract, section 3)."""
ids = st.from_regex("[0-9a-f]{32}", fullmatch=True)
days = st.from_regex("[0-9]{8}", fullmatch=True)
slots = st.from_regex("0-slot-[0-9]{13}-[0-9a-f]{32}", fullmatch=True)
etags = st.from_regex(r'W/"[ -~]{1,60}"', fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.builds(SubmissionMessage, st.builds(OutcomeKey, days, ids), slots, etags))
def test_a_message_comes_back_as_it_was_sent(message: SubmissionMessage) -> None:
    """Whatever row, slot and version it names."""
    assert read_message(write_message(message)) == message


def test_a_message_is_small_and_names_no_metadata() -> None:
    """References only, and no top-level name that the host would put in the place of its own."""
    body = write_message(MESSAGE)
    assert len(body) < 300
    assert not METADATA & set(json.loads(body))


@pytest.mark.parametrize("missing", ["outcomePartition", "submissionId", "slot", "etag"])
@pytest.mark.parametrize("value", ["absent", None, 1, ["x"], {}])
def test_a_message_without_one_of_its_parts_is_unreadable(missing: str, value: object) -> None:
    """Absent or of another type: it is none of ours."""
    body = json.loads(write_message(MESSAGE))
    if value == "absent":
        del body[missing]
    else:
        body[missing] = value
    with pytest.raises(UnreadableMessage):
        read_message(json.dumps(body))


@pytest.mark.parametrize("part", ["outcomePartition", "submissionId", "slot"])
@pytest.mark.parametrize("value", ["", "a/b#?", "x' or RowKey gt '", "\u0000", "a" * 3_000])
def test_a_message_with_a_part_of_another_form_is_unreadable(part: str, value: str) -> None:
    """Storage refuses such keys every time: as poison it would come back for ever."""
    with pytest.raises(UnreadableMessage):
        read_message(json.dumps({**json.loads(write_message(MESSAGE)), part: value}))


@given(st.text() | json_values.map(json.dumps))
def test_anything_else_is_unreadable_and_is_not_repeated_in_the_error(body: str) -> None:
    """Every text has an answer, and the error tells its length only: it may be mail content."""
    with pytest.raises(UnreadableMessage) as refusal:
        read_message(body)
    assert str(refusal.value).endswith(f" in a message of {len(body)} characters")


def test_deep_nesting_is_unreadable() -> None:
    """A body that would exhaust the stack is refused like any other."""
    with pytest.raises(UnreadableMessage):
        read_message("[" * 100_000)
