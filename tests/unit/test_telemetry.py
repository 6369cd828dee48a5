"""Events: one line each, registered once, and nothing in them that must not be logged."""

import ast
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.manual_message import BadManualMessage, read_manual_message
from shared.telemetry import FIELDS, Event, emit, failures_told, fingerprint

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "shared"
PAGE = (ROOT / "docs" / "telemetry.md").read_text()
DEPLOYED = [ROOT / "function_app.py", *sorted(SHARED.rglob("*.py"))]
CONTENT = {"subject", "sender", "recipient", "reporter", "requested_by", "url", "token", "body", "content"}
"""Field names under which mail content or an address would reach the log."""
HASHED = {"mailbox", "message_hash"}
NOT_OURS = {*vars(logging.makeLogRecord({})), "asctime", "event", "message"}
"""Names that a log record has already, or that every event has."""


def calls_of_emit(tree: ast.AST) -> list[ast.Call]:
    """Return every call of `emit` in a tree."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "emit"]


def events_in(tree: ast.AST) -> set[Event]:
    """Return the events that a tree names."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return {Event[node.attr] for node in nodes if ast.unparse(node.value) == "Event"}


def told() -> Iterator[tuple[ast.Call, set[Event]]]:
    """Yield every call of `emit` in the product with the events it may tell.

    A call that names no event gets one from its function, which names all that come into question.
    """
    for file in DEPLOYED:
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in calls_of_emit(function):
                    is_chosen = any(
                        isinstance(node, ast.Name) and node.id != "Event" for node in ast.walk(call.args[0])
                    )
                    yield call, events_in(function if is_chosen else call.args[0])


def test_every_event_has_its_own_name_fields_and_meaning() -> None:
    """Names are what operators query by; a meaning is one line of the register; two that say the same are one."""
    assert len(Event) == len(Event.__members__)
    assert all(re.fullmatch("[a-z_]+", event.label) for event in Event)
    assert all(event.meaning and event.level in (logging.INFO, logging.WARNING, logging.ERROR) for event in Event)
    assert all(event.fields and len(set(event.fields)) == len(event.fields) for event in Event)


def test_every_field_has_one_meaning() -> None:
    """A field means the same in every event, hides nothing that a log record has itself, and none is explained idly."""
    assert {field for event in Event for field in event.fields} == set(FIELDS)
    assert all(re.fullmatch("[a-z_]+", field) for field in FIELDS)
    assert not NOT_OURS & set(FIELDS)


def rows_under(heading: str) -> list[str]:
    """Return the rows of the page's table under a heading, its head left out."""
    lines = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    return [line for line in lines if line.startswith("| `")]


def test_the_page_is_the_register() -> None:
    """Whoever writes a query finds each event with its level, fields and meaning, and each field, on the page."""
    events = [
        f"| `{event.label}` | {logging.getLevelName(event.level).lower()} "
        f"| {', '.join(f'`{field}`' for field in event.fields)} | {event.meaning} |"
        for event in Event
    ]
    assert rows_under("Events") == events
    assert rows_under("Fields") == [f"| `{name}` | {meaning} |" for name, meaning in FIELDS.items()]


def test_every_call_tells_declared_fields() -> None:
    """No call passes a field that its event does not declare, nor fields that cannot be read off the code."""
    for call, events in told():
        assert events, ast.unparse(call)
        names = [keyword.arg for keyword in call.keywords]
        for event in events:
            assert [name for name in names if name not in event.fields] == [], ast.unparse(call)


def test_every_event_and_field_is_told_somewhere() -> None:
    """The register holds nothing that never happens, and no field that no call passes."""
    passed: dict[Event, set[str | None]] = {event: set() for event in Event}
    for call, events in told():
        for event in events:
            passed[event] |= {keyword.arg for keyword in call.keywords}
    assert passed == {event: set(event.fields) for event in Event}


def test_every_call_of_emit_is_in_a_function() -> None:
    """What the tests above look through is all there is; a method of a class is a function too."""
    everywhere = {ast.unparse(call) for file in DEPLOYED for call in calls_of_emit(ast.parse(file.read_text()))}
    assert everywhere == {ast.unparse(call) for call, _ in told()}
    assert len(everywhere) > 30


def test_no_event_carries_content_or_an_address() -> None:
    """A mailbox or message goes in as its fingerprint only."""
    for call, _ in told():
        fields = {keyword.arg: keyword.value for keyword in call.keywords}
        assert not CONTENT & set(fields), ast.unparse(call)
        for name in HASHED & set(fields):
            assert ast.unparse(fields[name]).startswith("fingerprint("), ast.unparse(call)


def test_nothing_else_writes_to_a_log() -> None:
    """Every line passes through the register; the export hands on what does, and a command prints to who runs it."""
    files = [file for file in SHARED.rglob("*.py") if not file.is_relative_to(SHARED / "cli")]
    loggers = [file.name for file in files if re.search(r"import logging|\bprint\(", file.read_text())]
    assert set(loggers) - {"command.py"} == {"event_export.py", "telemetry.py"}


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
    assert vars(caplog.records[0])["code"] == line.removeprefix("event=listing_failed code=")
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


def test_the_fields_travel_as_attributes_too(caplog: pytest.LogCaptureFixture) -> None:
    """The log record has each field under its name: numbers as numbers, the rest as the words of the line."""
    caplog.set_level(logging.INFO)
    emit(Event.BACKLOG, lane="urgent", count=3, oldest_s=40)
    emit(Event.RECONCILED, submission_id=None, found=True)
    backlog, reconciled = (vars(record) for record in caplog.records)
    assert {name: backlog[name] for name in ("event", *Event.BACKLOG.fields)} == {
        "event": "backlog",
        "lane": "urgent",
        "count": 3,
        "oldest_s": 40,
    }
    assert reconciled["found"] == "True"
    assert "submission_id" not in reconciled


@pytest.mark.expects_error_log
def test_a_failure_is_told_by_type_and_place_and_rises(caplog: pytest.LogCaptureFixture) -> None:
    """What an exception says may be a stranger's words; where it came from is a line of ours."""
    with pytest.raises(BadManualMessage), failures_told("intake_manual"):
        read_manual_message("eve@fabrikam.example", now=datetime(2026, 12, 1, tzinfo=UTC))
    (line,) = caplog.messages
    said = "event=run_failed function=intake_manual error=BadManualMessage where=shared/codecs/manual_message.py:"
    assert re.fullmatch(re.escape(said) + "[0-9]+", line)


@pytest.mark.expects_error_log
def test_a_failure_outside_our_code_has_no_place(caplog: pytest.LogCaptureFixture) -> None:
    """A place is told only where it is one of ours."""
    with pytest.raises(ValueError, match="x"), failures_told("submit"):
        int("x")
    assert caplog.messages == ["event=run_failed function=submit error=ValueError"]
