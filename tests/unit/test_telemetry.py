"""Events: one line each, registered once, and nothing in them that must not be logged."""

import ast
import enum
import functools
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.manual_message import BadManualMessage, read_manual_message
from shared.telemetry import FIELDS, WITHHELD, Event, emit, fingerprint, log_events_only, run_failed
from tests.support.events import levels_kept, line_of
from tests.support.source_code import DEPLOYED, PACKAGE, ROOT, nodes, parsed

PAGE = (ROOT / "docs" / "telemetry.md").read_text()
CONTENT = {"subject", "sender", "recipient", "reporter", "requested_by", "url", "token", "body", "content"}
"""Field names under which mail content or an address would reach the log."""
HASHED = {"mailbox", "message_hash"}


def calls_of_emit(tree: ast.AST) -> list[ast.Call]:
    """Return every call of `emit` in a tree."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if is_name(call.func, "emit")]


def is_name(node: ast.AST, name: str) -> bool:
    """Tell whether a node is a name as it stands."""
    return isinstance(node, ast.Name) and node.id == name


def events_in(tree: ast.AST) -> set[Event]:
    """Return the events that a tree names."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_name(node.value, "Event")]
    return {Event[node.attr] for node in nodes}


def trees() -> list[ast.Module]:
    """Return the tree of every deployed file."""
    return [parsed(file) for file in DEPLOYED]


@functools.cache
def told() -> list[tuple[ast.Call, set[Event]]]:
    """Return every call of `emit` in the product with the events it may tell.

    A call that names no event gets one from its function, which names all that come into question.
    """
    functions = [
        node for file in DEPLOYED for node in nodes(file) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [
        (call, events_in(function if is_chosen(call) else call.args[0]))
        for function in functions
        for call in calls_of_emit(function)
    ]


def is_chosen(call: ast.Call) -> bool:
    """Tell whether a call of `emit` names no event itself."""
    return any(isinstance(node, ast.Name) and node.id != "Event" for node in ast.walk(call.args[0]))


def test_every_event_has_its_own_name_fields_and_meaning() -> None:
    """Names are what operators query by; a meaning is one line of the register; two that say the same are one."""
    assert len(Event) == len(Event.__members__)
    assert all(re.fullmatch("[a-z_]+", event.label) for event in Event)
    assert all(event.meaning and event.level in (logging.INFO, logging.WARNING, logging.ERROR) for event in Event)
    assert all(event.fields and len(set(event.fields)) == len(event.fields) for event in Event)


def test_every_field_has_one_meaning() -> None:
    """A field means the same in every event, is not taken for the event's name, and none is explained idly."""
    assert {field for event in Event for field in event.fields} == set(FIELDS)
    assert all(re.fullmatch("[a-z_]+", field) for field in FIELDS)
    assert "event" not in FIELDS


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
    everywhere = {ast.unparse(call) for tree in trees() for call in calls_of_emit(tree)}
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
    """Every line passes through the register; a command prints to who runs it."""
    files = [file for file in PACKAGE.rglob("*.py") if not file.is_relative_to(PACKAGE / "cli")]
    loggers = [file.name for file in files if re.search(r"import logging|\bprint\(", file.read_text())]
    assert set(loggers) - {"command.py"} == {"telemetry.py"}


def test_an_event_is_one_line_of_fields(caplog: pytest.LogCaptureFixture) -> None:
    """In the order given, without those that are not known, at the event's level."""
    caplog.set_level(logging.INFO)
    emit(Event.SUBMITTED, submission_id="ab", status=None, seconds=3)
    emit(Event.THROTTLED, seconds=7)
    assert caplog.messages == ["event=submitted submission_id=ab seconds=3", "event=throttled seconds=7"]
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING]


NO_CODES = [
    "Some\nevent=settled",
    "Some\r\x1b[2J",
    "Some\u2028code",
    "X event=forged",
    "x" * 5000,
    "eve@fabrikam.example",
    "https://graph.microsoft.com/v1.0/users/eve",
    "/users/eve/messages/AAMkAD",
    "<CAF=1@mail.fabrikam.example>",
    "Your invoice",
    "eyJ0eXAiOiJKV1Qi.eyJhdWQi.c2ln",
    "R\u00e9sum\u00e9",
]


@pytest.mark.parametrize("field", ["code", "request_id"])
@pytest.mark.parametrize("word", NO_CODES)
def test_a_word_from_outside_is_told_only_where_it_is_a_code(field: str, word: str) -> None:
    """Graph's codes are another's words: they forge no line and no field, and bring no address or token along."""
    assert line_of(Event.LISTING_FAILED, **{field: word}) == f"event=listing_failed {field}={WITHHELD}"


@pytest.mark.parametrize("code", ["ErrorItemNotFound", "Request_BadRequest", "no_token", "20117", "", "a-b"])
def test_a_code_is_told_as_it_came(code: str) -> None:
    """Operators look it up in Microsoft's documentation."""
    assert line_of(Event.LISTING_FAILED, code=code) == f"event=listing_failed code={code}"


@given(st.text(st.characters(exclude_categories=[])))
def test_every_value_is_one_word_without_signs_that_json_escapes(value: str) -> None:
    """The queries make a bag of the line as it stands."""
    line = line_of(Event.GAVE_UP, reason=value)
    assert re.fullmatch(r"event=gave_up reason=[A-Za-z0-9_.,:/+-]*", line)


@given(st.text(st.characters(exclude_categories=[])))
def test_a_fingerprint_is_twelve_digits_that_do_not_give_the_text_away(text: str) -> None:
    """Any text has one; it is the same whatever the case of letters."""
    assert re.fullmatch("[0-9a-f]{12}", fingerprint(text))
    assert fingerprint(text) == fingerprint(text)
    assert (
        fingerprint("Bob@Contoso.example") == fingerprint("bob@contoso.example") != fingerprint("eve@contoso.example")
    )


def failure_of(body: str) -> Exception:
    """Return what reading a message raises."""
    with pytest.raises(BadManualMessage) as raised:
        read_manual_message(body, now=datetime(2026, 12, 1, tzinfo=UTC))
    return raised.value


@pytest.mark.expects_error_log
def test_a_failure_is_told_by_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """What an exception says may be a stranger's words; where it came from is a line of ours."""
    told = run_failed("intake_manual", failure_of("eve@fabrikam.example"))
    place = r"shared/codecs/manual_message\.py:[0-9]+"
    (line,) = caplog.messages
    assert re.fullmatch(f"event=run_failed function=intake_manual error=BadManualMessage where={place}", line)
    assert re.fullmatch(f"BadManualMessage at {place}", str(told))
    assert (told.__cause__, told.__context__, told.args) == (None, None, (str(told),))


@pytest.mark.expects_error_log
def test_a_failure_outside_our_code_has_no_place(caplog: pytest.LogCaptureFixture) -> None:
    """A place is told only where it is one of ours."""
    assert str(run_failed("submit", ValueError("x"))) == "ValueError at no line of ours"
    assert caplog.messages == ["event=run_failed function=submit error=ValueError"]


class Answered(Exception):
    """An error about an answer, as our errors and the storage libraries' have them."""

    def __init__(self, **facts: object) -> None:
        super().__init__("PUT https://data.table.core.windows.net/outcomes(eve@fabrikam.example)")
        vars(self).update(facts)


class Code(enum.Enum):
    """What the storage libraries name their codes with."""

    DENIED = "AuthorizationPermissionMismatch"


@pytest.mark.expects_error_log
@pytest.mark.parametrize(
    ("facts", "answer"),
    [
        ({"status": 403, "code": "ErrorAccessDenied"}, " status=403 code=ErrorAccessDenied"),
        ({"status_code": 403, "error_code": Code.DENIED}, " status=403 code=AuthorizationPermissionMismatch"),
        ({"status_code": 404, "error_code": "eve@fabrikam.example"}, " status=404 code=withheld"),
        ({"status_code": None, "error_code": None}, ""),
        ({"status": "eve@fabrikam.example", "code": 7}, ""),
    ],
)
def test_the_answer_that_a_failure_is_about_is_told(
    caplog: pytest.LogCaptureFixture, facts: dict[str, object], answer: str
) -> None:
    """Status and code, as far as they are such; the library's text stays here."""
    told = run_failed("dispatch", Answered(**facts))
    assert caplog.messages == [f"event=run_failed function=dispatch error=Answered{answer}"]
    words = [pair.partition("=")[2] for pair in answer.split()]
    assert str(told) == " ".join(["Answered at no line of ours", *words])


@pytest.fixture
def levels() -> Iterator[None]:
    """Put the loggers' levels back as they were."""
    with levels_kept():
        yield


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize(
    "name", ["azure.core", "asyncio", "httpx", "msal.token_cache", "py.warnings", "shared.x", None]
)
def test_no_other_logger_is_heard(caplog: pytest.LogCaptureFixture, name: str | None) -> None:
    """Not even a critical line: it may hold an address. Events are heard from Information on."""
    log_events_only()
    logging.getLogger(name).critical("GET https://graph.microsoft.com/v1.0/users/eve@fabrikam.example")
    emit(Event.SLOT_MISSED, submission_id="ab")
    assert caplog.messages == ["event=slot_missed submission_id=ab"]
