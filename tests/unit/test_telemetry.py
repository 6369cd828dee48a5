"""Events: one line each, registered once, and nothing in them that must not be logged."""

import ast
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry import Event, emit, fingerprint

SHARED = Path(__file__).resolve().parents[2] / "shared"
CONTENT = {"subject", "sender", "recipient", "reporter", "requested_by", "url", "token", "body", "content"}
"""Field names under which mail content or an address would reach the log."""


def emitted() -> list[ast.Call]:
    """Return every call of `emit` in the product."""
    calls = [node for file in SHARED.rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    return [
        node
        for node in calls
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "emit"
    ]


def test_every_event_has_its_own_name_and_a_meaning() -> None:
    """Names are what operators query by; a meaning is one line of the register."""
    labels = [event.label for event in Event]
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch("[a-z_]+", label) for label in labels)
    assert all(event.meaning and event.level in (logging.INFO, logging.WARNING, logging.ERROR) for event in Event)
    assert [event.name.lower() for event in Event] == labels


def test_every_event_is_emitted_somewhere() -> None:
    """The register holds nothing that never happens."""
    source = "\n".join(file.read_text() for file in SHARED.rglob("*.py") if file.name != "telemetry.py")
    source += (SHARED.parent / "function_app.py").read_text()
    assert [event.name for event in Event if f"Event.{event.name}" not in source] == []


def test_no_event_carries_content_or_an_address() -> None:
    """A mailbox or message goes in as its fingerprint only."""
    assert len(emitted()) > 20
    for call in emitted():
        fields = {keyword.arg: keyword.value for keyword in call.keywords}
        assert not CONTENT & set(fields), ast.unparse(call)
        for name in {"mailbox", "message"} & set(fields):
            assert ast.unparse(fields[name]).startswith("fingerprint("), ast.unparse(call)


def test_nothing_else_writes_to_a_log() -> None:
    """Every line passes through the register."""
    loggers = [file.name for file in SHARED.rglob("*.py") if re.search(r"import logging|\bprint\(", file.read_text())]
    assert loggers == ["telemetry.py"]


def test_an_event_is_one_line_of_fields(caplog: pytest.LogCaptureFixture) -> None:
    """In the order given, without those that are not known, at the event's level."""
    caplog.set_level(logging.INFO)
    emit(Event.SUBMITTED, submission_id="ab", status=None, seconds=3)
    emit(Event.THROTTLED, seconds=7)
    assert caplog.messages == ["event=submitted submission_id=ab seconds=3", "event=throttled seconds=7"]
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING]


@pytest.mark.parametrize("code", ["Some\nevent=settled", "Some\r\x1b[2J", "Some\u2028code", "x" * 5000])
def test_a_word_from_outside_stays_on_its_line(caplog: pytest.LogCaptureFixture, code: str) -> None:
    """Graph's codes are another's words: they cannot forge a line, nor flood the log."""
    emit(Event.LISTING_FAILED, code=code)
    (line,) = caplog.messages
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert len(line) < 400


@given(st.text(st.characters(exclude_categories=[])))
def test_a_fingerprint_is_twelve_digits_that_do_not_give_the_text_away(text: str) -> None:
    """Any text has one; it is the same whatever the case of letters."""
    assert re.fullmatch("[0-9a-f]{12}", fingerprint(text))
    assert fingerprint(text) == fingerprint(text)
    assert (
        fingerprint("Bob@Contoso.example") == fingerprint("bob@contoso.example") != fingerprint("eve@contoso.example")
    )


def test_a_value_cannot_pass_for_another_field(caplog: pytest.LogCaptureFixture) -> None:
    """White space in a value becomes an underscore, so that a reader of `name=value` pairs is not fooled."""
    caplog.set_level(logging.INFO)
    emit(Event.NOT_ALLOWED, code="X event=forged")
    assert caplog.messages == ["event=not_allowed code=X_event=forged"]
