"""What every query and alert answers to rows of the real host, and to made ones: late, doubled, at the limit, none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.telemetry import Event
from shared.usecases.outcomes.backlog import LANES
from tests.infra.alert_rules import RULES, fires
from tests.infra.kusto import query_files
from tests.infra.workspace import (
    DRAINED,
    EXITED_143,
    NOW,
    RECORDED,
    WORKER,
    Row,
    ask,
    ask_file,
    failed_start,
    invoked,
    no_functions,
    raised,
    recorded,
    told,
    trace,
    worker_exit,
)
from tests.support.events import line_of

TIMERS = ("collect_reports", "dispatch", "settle_outcomes")
SETTINGS = (
    "SettingsError: 2 wrong or missing app settings: REPORTING_MAILBOXES is missing; it must be mail addresses "
    "separated by commas, each with `/folder` after it if not the inbox; QUOTA_PER_DAY must be a whole number from 1 "
    "to 10000"
)
REFUSED = raised("HttpResponseError at shared/adapters/storage.py:231 403 AuthorizationPermissionMismatch")
TIMED_OUT = "Timeout value of 00:10:00 was exceeded by function: Functions.submit. Worker channel is shutting down."


def ran(minutes_ago: float, *functions: str) -> list[Row]:
    """Return the heartbeats of timers that ended that long ago."""
    return [told(Event.RUN_FINISHED, minutes_ago, function=one, count=0, seconds=0.1) for one in functions or TIMERS]


def waiting(lane: str, minutes: float) -> list[Row]:
    """Return a backlog whose oldest row of one lane is so old; the other lanes are empty."""
    ages = {one: round(minutes * 60) if one == lane else 0 for one in LANES}
    return [told(Event.BACKLOG, lane=one, count=int(age > 0), oldest_s=age) for one, age in ages.items()]


def used(today: int) -> list[Row]:
    """Return a use of the day's quota of 10,000."""
    return [told(Event.QUOTA_USED, window=3, window_limit=140, today=today, day_limit=10_000)]


def many(times: int, event: Event, minutes_ago: float = 1, **fields: Any) -> list[Row]:
    """Return an event of so many rows, each told once."""
    return [told(event, minutes_ago + n / 100, submission_id=f"{n:032x}", **fields) for n in range(times)]


def failing(minutes_ago: float) -> list[Row]:
    """Return a mailbox that does not answer."""
    return [told(Event.MAILBOX_UNREACHABLE, minutes_ago, mailbox="2b6788c8440d", status=403, code="ErrorAccessDenied")]


def resting(minutes_ago: float) -> list[Row]:
    """Return a mailbox that may not send."""
    return [told(Event.NOTIFICATIONS_PAUSED, minutes_ago, seconds=900, status=403, code="ErrorAccessDenied")]


def deferred(minutes: float) -> list[Row]:
    """Return a report that could not be read for so long."""
    return [told(Event.REPORT_DEFERRED, ago, submission_id="a" * 32, status=503) for ago in (1, 1 + minutes)]


def poisoned(event: Event, minutes_ago: float = 1) -> list[Row]:
    """Return a message that failed every attempt."""
    if event is Event.POISON_RECORDED:
        return [told(event, minutes_ago, queue="submissions", message_hash="0123456789ab", reason="poison_message")]
    return [told(event, minutes_ago, message_hash="0123456789ab", error="HttpResponseError", lost=False)]


def failed(times: int, error: str = REFUSED) -> list[Row]:
    """Return so many failed invocations of `submit`."""
    return [row for n in range(times) for row in invoked("submit", 1 + n, error=error)]


def regularity(regular: str, minutes_ago: float = 1) -> list[Row]:
    """Return the verdict of a day."""
    counts = {"received": 9, "submitted": 8, "failed": 1, "missed": 0}
    return [told(Event.REGULARITY, minutes_ago, by="settle_outcomes", regular=regular, **counts)]


VERDICTS = {"VERDICT_DEADLINE_HOURS": 72}
DEADLINE_MINUTES = (VERDICTS["VERDICT_DEADLINE_HOURS"] + 48) * 60
CASES: dict[str, tuple[list[Row], list[Row], set[str]]] = {
    "silent": (ran(30), ran(1, "dispatch", "settle_outcomes") + ran(31, "collect_reports"), {"collect_reports"}),
    "dead-start": (
        failed_start(SETTINGS, 9) + invoked("dispatch", 2),
        invoked("dispatch", 9) + failed_start(SETTINGS, 2),
        {"REPORTING_MAILBOXES, QUOTA_PER_DAY"},
    ),
    "not-allowed": ([], many(1, Event.NOT_ALLOWED, reason="not_allowed", status=403, seconds=300), {"403"}),
    "late-urgent": (waiting("urgent", 30), waiting("urgent", 31), {"urgent"}),
    "late-others": (waiting("low", 1440), waiting("low", 1441), {"low"}),
    "irregular": (regularity("pass"), regularity("fail"), {""}),
    "slots-missed": (many(10, Event.SLOT_MISSED), many(11, Event.SLOT_MISSED), {""}),
    "stuck-uncertain": (waiting("uncertain", 60), waiting("uncertain", 61), {"uncertain"}),
    "past-deadline": (
        waiting("covered", DEADLINE_MINUTES),
        waiting("covered", DEADLINE_MINUTES + 1),
        {"covered"},
    ),
    "quota": (used(7_500), used(7_510), {""}),
    "throttled": (many(10, Event.THROTTLED, seconds=300), many(11, Event.THROTTLED, seconds=300), {""}),
    "unreadable": (
        failing(1) + failing(16) + failing(31),
        failing(1) + failing(16) + failing(31) + failing(46),
        {"mailbox_unreachable 2b6788c8440d"},
    ),
    "deferred": (deferred(44), deferred(45), {""}),
    "poison": (poisoned(Event.POISON_UNRECORDED), poisoned(Event.POISON_RECORDED), {"poison_recorded"}),
    "poison-unrecorded": (
        poisoned(Event.POISON_RECORDED),
        poisoned(Event.POISON_UNRECORDED),
        {"poison_unrecorded"},
    ),
    "expired": (many(1, Event.UNKNOWN_RESULT), many(1, Event.EXPIRED), {"expired"}),
    "gave-up": (many(1, Event.EXPIRED), many(1, Event.GAVE_UP, reason="no_effect"), {"gave_up"}),
    "refused": (
        many(10, Event.SUBMISSION_REFUSED, reason="refused", status=400),
        many(11, Event.SUBMISSION_REFUSED, reason="refused", status=400),
        {"submission_refused"},
    ),
    "unknown-result": (many(1, Event.EXPIRED), many(1, Event.UNKNOWN_RESULT), {"unknown_result"}),
    "untold": (
        many(5, Event.NOTIFICATION_UNDELIVERABLE, stage="verdict", status=400, code="ErrorInvalidRecipients"),
        many(6, Event.NOTIFICATION_UNDELIVERABLE, stage="verdict", status=400, code="ErrorInvalidRecipients"),
        {"notification_undeliverable"},
    ),
    "answers-rest": (
        many(9, Event.NOTIFICATION_UNDELIVERABLE, stage="verdict") + resting(1) + resting(17),
        resting(1) + resting(17) + resting(33),
        {"notifications_paused"},
    ),
    "failures": (failed(5), failed(6), {"submit"}),
}
"""For each alert: rows that are at its limit, rows beyond it, and what it is raised for then."""
SILENT_IF_NONE = {"silent": set(TIMERS)}
"""What fires in a workspace without a row: absence, and nothing else."""


def test_every_alert_has_its_rows() -> None:
    """A rule that no rows make fire may never fire."""
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_an_alert_fires_beyond_its_limit_and_not_at_it(name: str) -> None:
    """For what is wrong, by its name, and for nothing else."""
    at_limit, beyond, alerts = CASES[name]
    assert fires(name, at_limit) == set()
    assert fires(name, beyond) == alerts


@pytest.mark.parametrize("name", RULES)
def test_rows_that_come_twice_or_late_change_nothing(name: str) -> None:
    """Ingestion may deliver a row twice, and the oldest last: at the limit it stays at the limit."""
    at_limit, beyond, alerts = CASES[name]
    assert fires(name, reversed(at_limit * 2)) == set()
    assert fires(name, reversed(beyond * 2)) == alerts


@pytest.mark.parametrize("name", RULES)
def test_what_an_empty_workspace_means(name: str) -> None:
    """Only absence is told by it."""
    assert fires(name, []) == SILENT_IF_NONE.get(name, set())


@pytest.mark.parametrize("name", RULES)
def test_rows_older_than_the_window_are_over(name: str) -> None:
    """A condition that has passed resolves."""
    days = timedelta(days=3)
    _, beyond, _ = CASES[name]
    old = [row | {"TimeGenerated": moved(row["TimeGenerated"], days)} for row in beyond]
    assert fires(name, old) == SILENT_IF_NONE.get(name, set())


def moved(at: str, by: timedelta) -> str:
    """Return a row's time, that much earlier."""
    return (datetime.fromisoformat(at) - by).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize("name", RULES)
def test_the_recorded_runs_raise_what_they_should(name: str) -> None:
    """Work that goes well raises nothing; wrong settings raise `dead-start`, which names them, and `silent`."""
    quiet: dict[str, set[str]] = {"silent": set()}
    assert fires(name, recorded("work")) == quiet.get(name, set())
    dead = {"dead-start": {"REPORTING_MAILBOXES, QUOTA_PER_DAY"}, "silent": set(TIMERS)}
    assert fires(name, recorded("wrong_settings")) == dead.get(name, set())


def test_the_recorded_failures_are_counted_once_each() -> None:
    """Four invocations failed, told by eight exceptions, four requests and five lines; a fifth had no end yet."""
    rows = recorded("tables_unreachable")
    answer = {row["function"]: row for row in ask_file("failures", rows)}
    assert {name: row["failures"] for name, row in answer.items()} == {"dispatch": 3, "collect_reports": 1}
    assert all(row["errors"][0].startswith("ServiceRequestError: Cannot connect") for row in answer.values())
    assert fires("failures", rows) == set()


def test_the_recorded_work_is_counted() -> None:
    """By every query that tells of it; none of the host's own lines is an event."""
    rows = recorded("work")
    events = [row["Message"] for row in rows if row.get("Message", "").startswith("event=")]
    assert ask("events | summarize n = count()", rows) == [{"n": len(events)}]
    assert {row["lane"]: row["waiting"] for row in ask_file("backlog", rows)} == dict.fromkeys(LANES, 0)
    (quota,) = ask_file("quota", rows)
    assert (quota["window"], quota["window_limit"], quota["today"], quota["day_percent"]) == (0, 140, 10, 0.1)
    flow = {row["event"]: row["rows"] for row in ask_file("flow", rows)}
    assert flow == {"reports_collected": 0, "request_accepted": 1, "submitted": 1}
    assert {row["function"]: row["silent_minutes"] for row in ask_file("heartbeat", rows)} == {
        "collect_reports": 6,
        "dispatch": 6,
        "settle_outcomes": 10,
    }
    assert ask_file("problems", rows) == []


FOREIGN = [
    trace("event=settled verdict=phishing", category="Azure.Core"),
    trace("event=settled verdict=phishing", category="Function.submit"),
    trace("event=settled verdict=phishing", category="Host.Function.Console"),
    trace("the event=settled verdict=phishing"),
    trace("event=settled verdict=phishing and more"),
    trace('event=settled verdict="phishing"'),
    trace("event=settled\nverdict=phishing"),
    trace("event=settled verdict=a=b"),
    trace("event=settled  verdict=phishing"),
    trace("Event=settled verdict=phishing"),
    trace("event= verdict=phishing"),
    trace(""),
]


@pytest.mark.parametrize("row", FOREIGN, ids=lambda row: repr(row["Message"]))
def test_a_line_of_somebody_else_is_no_event(row: Row) -> None:
    """Whatever a library, the host or a stranger's text makes of it."""
    assert ask("events", [row]) == []


def test_an_event_is_read_with_every_field() -> None:
    """All values as texts, an empty one too, in any order of arrival."""
    rows = [
        told(Event.LISTING_FAILED, 2, kind="email", status=503, code="", request_id="6f1c-2"),
        told(Event.RUN_FAILED, 1, function="submit", error="KeyError", where="shared/usecases/sending/submit.py:7"),
    ]
    found = ask("events | project event, fields, level | order by event asc", reversed(rows))
    assert found == [
        {
            "event": "listing_failed",
            "fields": {"event": "listing_failed", "kind": "email", "status": "503", "code": "", "request_id": "6f1c-2"},
            "level": 2,
        },
        {
            "event": "run_failed",
            "fields": {
                "event": "run_failed",
                "function": "submit",
                "error": "KeyError",
                "where": "shared/usecases/sending/submit.py:7",
            },
            "level": 3,
        },
    ]


def test_every_event_of_the_register_is_read() -> None:
    """Whatever the app may tell is an event to the queries."""
    rows = [trace(line_of(event, **dict.fromkeys(event.fields, 7))) for event in Event]
    found = ask("events | project event, fields", rows)
    assert {row["event"]: {*row["fields"]} for row in found} == {
        event.label: {"event", *event.fields} for event in Event
    }


@pytest.mark.parametrize("name", [name.removesuffix(".kql") for name in query_files()])
def test_a_query_answers_an_empty_workspace(name: str) -> None:
    """No row, or one of nothing; never an error."""
    counts = {"deferred", "slots_missed", "throttled", "heartbeat"}
    assert bool(ask_file(name, [])) == (name in counts)


# --- What failed, and what was only drained ---------------------------------------------------------------------------


@pytest.mark.parametrize("said", [DRAINED, f"{EXITED_143}\nLanguage Worker Process exited. Pid=64."])
def test_a_drained_instance_is_no_failure(said: str) -> None:
    """Its worker ends with 143 and invocations that have just begun are cut off: told, and no alert."""
    drained = [worker_exit(EXITED_143, n) for n in range(8)] + failed(8, said) + invoked("submit", 20)
    (row,) = ask_file("failures", drained)
    assert (row["function"], row["failures"], row["cut_off"]) == ("submit", 0, 8)
    assert fires("failures", drained) == set()


@pytest.mark.parametrize("category", [WORKER, "Worker.rpcWorkerProcess.python.0fdc6097"])
def test_a_worker_that_ends_by_itself_again_and_again_is_told(category: str) -> None:
    """Killed for memory or crashed: whatever category tells it, and with no invocation at all."""
    rows = [worker_exit("python exited with code 137 (0x89)", n, category=category) for n in range(6)]
    assert fires("failures", rows) == {"host"}
    assert fires("dead-start", rows) == set()


def test_a_crash_that_takes_invocations_along_is_told() -> None:
    """Each invocation counts, though others of its function ended well."""
    assert fires("failures", failed(6, "python exited with code 139 (0x8B)") + invoked("submit", 20)) == {"submit"}


def test_what_looks_like_draining_and_never_ends_is_told() -> None:
    """Where no invocation ends well any more it is no drain."""
    assert fires("failures", failed(6, DRAINED)) == {"submit"}


def test_a_time_limit_is_no_drain() -> None:
    """It too shuts down the worker channel, with all that runs in it."""
    assert fires("failures", failed(6, TIMED_OUT) + invoked("submit", 20)) == {"submit"}


def test_a_request_whose_exceptions_are_late_counts() -> None:
    """The request alone tells that it failed."""
    requests = [row for row in failed(6) if row["Type"] == "AppRequests"]
    assert fires("failures", requests + invoked("submit", 20)) == {"submit"}


def test_errors_are_told_by_type_place_and_answer() -> None:
    """Without the words around them."""
    (row,) = ask_file("failures", failed(2))
    expected = "HttpResponseError at shared/adapters/storage.py:231 403 AuthorizationPermissionMismatch"
    assert row["errors"] == [expected]


# --- Starts that failed -----------------------------------------------------------------------------------------------


def test_a_dead_start_says_what_each_setting_must_be() -> None:
    """Whoever is woken needs no log stream."""
    (row,) = ask_file("dead_start", failed_start(SETTINGS, 3) + failed_start(SETTINGS, 1))
    assert (row["wrong"], row["reason"], row["starts"]) == ("REPORTING_MAILBOXES, QUOTA_PER_DAY", SETTINGS, 2)


def test_another_error_at_the_start_is_told_as_it_is() -> None:
    """Such as a package that was made for another Python."""
    error = "ModuleNotFoundError: No module named 'pydantic_core._pydantic_core'"
    assert fires("dead-start", failed_start(error)) == {error}


def test_a_start_without_functions_and_without_a_reason_is_told() -> None:
    """The host's own line is all that there is then."""
    assert fires("dead-start", [no_functions()]) == {"The host found no function in the package"}


def test_settings_of_every_kind_are_named() -> None:
    """Each problem of the parser's begins with the name of its setting."""
    from shared.settings import Settings, SettingsError, setting_names  # noqa: PLC0415

    with pytest.raises(SettingsError) as wrong:
        Settings.load(dict.fromkeys(setting_names(), "?"))
    (row,) = ask_file("dead_start", failed_start(f"SettingsError: {wrong.value}"))
    expected = [problem.partition(" ")[0] for problem in wrong.value.problems]
    assert row["wrong"].split(", ") == expected
    assert len(expected) > 10


# --- The other questions ----------------------------------------------------------------------------------------------


def test_the_newest_backlog_counts() -> None:
    """A line that arrives late changes nothing."""
    late = told(Event.BACKLOG, 9, by="settle_outcomes", lane="urgent", count=40, oldest_s=7200)
    newest = {row["lane"]: row for row in ask_file("backlog", [*waiting("urgent", 5), late])}
    assert (newest["urgent"]["waiting"], newest["urgent"]["oldest_minutes"]) == (1, 5)
    over_time = ask_file("backlog_over_time", [*waiting("urgent", 5), late])
    assert max(row["waiting"] for row in over_time) == 40


def test_rows_that_ended_are_named() -> None:
    """Ids and reasons, each row once."""
    rows = many(2, Event.GAVE_UP, reason="no_effect", code="ConnectError") * 2
    (row,) = ask_file("ended", rows)
    assert (row["rows"], sorted(row["ids"]), row["reasons"]) == (
        2,
        [f"{n:032x}" for n in range(2)],
        ["no_effect ConnectError"],
    )


def test_refusals_tell_their_status_or_that_there_was_no_token() -> None:
    """So that a missing role and a missing identity differ."""
    rows = many(2, Event.NOT_ALLOWED, status=403, code="Forbidden") + many(1, Event.NOT_ALLOWED, 5, code="no_token")
    assert {row["status"]: row["refusals"] for row in ask_file("not_allowed", rows)} == {"403": 2, "no_token": 1}


def test_minutes_from_report_to_verdict() -> None:
    """Seconds are numbers, not texts: 900 is less than 1200."""
    rows = many(1, Event.SUBMITTED, seconds=900) + many(1, Event.SUBMITTED, 3, seconds=1200.5)
    rows += many(1, Event.SETTLED, verdict="phishing", agreement="agrees", seconds=3600)
    steps = {row["step"]: row for row in ask_file("speed", rows)}
    assert (steps["submitted"]["rows"], steps["settled"]["slowest"]) == (2, 60.0)
    assert steps["submitted"]["slowest"] == pytest.approx(20.0, abs=0.1)


def test_verdicts_count_rows_not_lines() -> None:
    """A row settles once, however often it is told."""
    rows = many(3, Event.SETTLED, verdict="phishing", agreement="agrees", seconds=1) * 2
    rows += [told(Event.SETTLED, 9, submission_id=f"{0:032x}", verdict="phishing", agreement="agrees", seconds=1)]
    assert ask_file("verdicts", rows) == [{"verdict": "phishing", "agreement": "agrees", "rows": 3}]


def test_problems_leave_out_information() -> None:
    """Warnings and errors by kind, the most frequent first."""
    rows = many(2, Event.EXPIRED) + many(1, Event.GAVE_UP) + many(5, Event.SLOT_MISSED)
    assert [(row["event"], row["times"]) for row in ask_file("problems", rows)] == [("expired", 2), ("gave_up", 1)]


def test_the_fullest_moment_of_a_quarter_is_told() -> None:
    """In percent of each limit."""
    rows = [*used(5_000), told(Event.QUOTA_USED, 2, window=70, window_limit=140, today=4_000, day_limit=10_000)]
    (row,) = ask_file("quota_over_time", rows)
    assert (row["window_percent"], row["day_percent"]) == (50.0, 50.0)


def test_the_recorded_rows_are_there() -> None:
    """Three runs, with rows of all three tables, all within the hour before now."""
    assert set(RECORDED) == {"work", "wrong_settings", "tables_unreachable"}
    rows = [row for name in RECORDED for row in recorded(name)]
    assert {row["Type"] for row in rows} == {"AppTraces", "AppRequests", "AppExceptions"}
    assert all(
        NOW - timedelta(hours=1) < datetime.fromisoformat(row["TimeGenerated"][:26] + "+00:00") < NOW for row in rows
    )
