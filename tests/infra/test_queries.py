"""Every Kusto query is sound: by Microsoft's parser, by the register of events and by what the app really writes."""

import ast
import json
import logging
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.setup import ROOT
from shared.telemetry import FIELDS, Event, emit
from tests.infra.kusto import PRELUDE, Reading, query_files, read_queries

EVENTS = {event.label: event for event in Event}
NAMES = sorted(query_files())


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    """Return what the parser says of each query with the events' query in front, and of that one alone."""
    return read_queries({"_events.kql": PRELUDE + "events", **{n: PRELUDE + text for n, text in query_files().items()}})


@pytest.mark.parametrize("name", ["_events.kql", *NAMES])
def test_a_query_is_kusto_over_the_workspaces_tables(readings: dict[str, Reading], name: str) -> None:
    """Microsoft's parser finds no fault: syntax, names of tables, columns and functions, types of arguments."""
    assert readings[name].problems == ()
    assert readings[name].columns


def test_the_parser_finds_faults() -> None:
    """A check that finds nothing wrong with these would find nothing at all."""
    broken = [
        "AppTrace | take 1",
        "events | where lane == 'urgent'",
        "events | summarize maximum(TimeGenerated)",
        "events | where event ==",
        "AppRequests | where Success == 'no' | project startofday(Name)",
        "AppRequests | where Name > 3",
        "events | where fields.count > 3",
        "events | where fields.lane == 'urgent'",
        "events | where event == 1",
    ]
    readings = read_queries({query: PRELUDE + query for query in broken})
    assert [query for query in broken if not readings[query].problems] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_query_asks_for_events_and_fields_that_exist(readings: dict[str, Reading], name: str) -> None:
    """A name that nobody writes would make a query that never finds anything."""
    reading = readings[name]
    assert reading.events <= set(EVENTS)
    assert reading.fields - {"event"} <= {field for label in reading.events for field in EVENTS[label].fields}


@pytest.mark.parametrize("name", NAMES)
def test_a_query_opens_with_its_question_and_what_to_do(name: str) -> None:
    """Who finds it in the portal sees what it tells, and where to read on."""
    comment = [line for line in query_files()[name].splitlines() if line.startswith("//")]
    assert re.match(r"// [A-Z][^?]*\?", comment[0]), comment[0]
    assert any(line.startswith("// To do: ") for line in comment)


def timers() -> list[str]:
    """Return the names of the app's functions with a timer trigger."""
    body = ast.parse((ROOT / "function_app.py").read_text()).body
    functions = [node for node in body if isinstance(node, ast.AsyncFunctionDef)]
    return [one.name for one in functions if any("timer_trigger" in ast.dump(by) for by in one.decorator_list)]


def test_every_timer_is_watched() -> None:
    """The timers that are expected to run are those of the app, all of them."""
    (listed,) = re.findall(r"datatable\(function: string\) \[(.*?)\]", query_files()["heartbeat.kql"])
    assert sorted(re.findall(r'"(\w+)"', listed)) == sorted(timers())
    assert len(timers()) == 3


def test_no_query_stands_in_bicep() -> None:
    """Bicep loads every query from its file, so each stands once and is read by these tests."""
    kusto = re.compile(r"\|\s*(where|extend|project|summarize|union|join)\b|\bApp(Traces|Requests|Exceptions)\b")
    files = list((ROOT / "infra").rglob("*.bicep"))
    assert len(files) > 3
    assert [file.name for file in files if kusto.search(file.read_text())] == []


def read_line(line: str) -> dict[str, str] | None:
    """Read a line as the events' query does, with its own literals: Python's `re` knows what they use of RE2."""
    (whole,) = re.findall(r'Message matches regex @"(.*?)"', PRELUDE)
    if not re.search(whole.replace("$", r"\Z"), line):
        return None
    found = json.loads('{"' + line.replace("=", '":"').replace(" ", '","') + '"}')
    assert isinstance(found, dict)
    return found


def test_the_events_query_reads_what_the_app_writes(caplog: pytest.LogCaptureFixture) -> None:
    """The line alone gives the event's name and every field; an empty value is one, too."""
    caplog.set_level(logging.INFO)
    emit(Event.BACKLOG, lane="urgent", count=3, oldest_s=40)
    emit(Event.LISTING_FAILED, kind="email", status=None, code="")
    assert [read_line(line) for line in caplog.messages] == [
        {"event": "backlog", "lane": "urgent", "count": "3", "oldest_s": "40"},
        {"event": "listing_failed", "kind": "email", "code": ""},
    ]


HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=[])),
    st.sampled_from(
        [
            " event=settled",
            "\nevent=settled verdict=x",
            "\u2028event=settled",
            "=",
            "a=b lane=urgent",
            "\t",
            '"',
            "\\",
            '","lane":"x',
        ]
    ),
)


@given(code=HOSTILE, request_id=HOSTILE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_can_fake_an_event_or_a_field(caplog: pytest.LogCaptureFixture, code: str, request_id: str) -> None:
    """Whatever Graph answers, its words stay the values of the fields that they were given for."""
    caplog.clear()
    emit(Event.LISTING_FAILED, kind="email", code=code, request_id=request_id)
    (line,) = caplog.messages
    read = read_line(line)
    assert read is not None
    assert list(read) == ["event", "kind", "code", "request_id"]
    assert (read["event"], read["kind"]) == ("listing_failed", "email")


def test_every_field_of_the_register_can_be_read() -> None:
    """The events' query knows names of lower-case letters and underscores only."""
    assert [name for name in FIELDS if read_line(f"event=x {name}=1") != {"event": "x", name: "1"}] == []
