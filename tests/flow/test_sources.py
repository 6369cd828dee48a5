"""The sources beside the mailbox: each gives its rows, fails alone, and is taken up again where it was left."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from local.azurite import Azurite
from local.graph_simulator import (
    Access,
    Alert,
    AlertTraps,
    AnalyzedMessageEvidence,
    MailItem,
    ReportDestination,
    RowShape,
    SubmissionMailEvidence,
    UserSubmission,
)
from local.graph_simulator import Source as Gate
from local.graph_simulator.faults import (
    Fault,
    Scope,
    answer_body,
    answer_empty,
    answer_html,
    answer_status,
    link_to,
    mistype_rows,
    omit_rows,
    page_endlessly,
    refuse_filter,
    reset_connection,
    throttle,
)
from local.sample_tenant import REPORTING_MAILBOX
from shared.domain import keys
from shared.domain.lifecycle import is_final
from shared.domain.model import Category, Direction, Outcome, Source, State, Verdict
from shared.ports import Insert, Replace, Table, Write
from tests.flow.test_stops import named
from tests.support.reports import (
    ANNA,
    BEN,
    CARLA,
    as_item,
    events,
    listen,
    network_id,
    original,
    report_with,
    submissions,
)
from tests.support.stage import START, ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

QUERY = "UrlClickEvents | where ActionType == 'ClickAllowed'"
stage_with_all = partial(
    stage, USER_SUBMISSIONS="on", DEFENDER_ALERTS="on", HUNTING_QUERY=QUERY, REPORT_DESTINATION="microsoft"
)
"""A stage with every source switched on."""
TO_MICROSOFT = ReportDestination(to_microsoft=True)
HUNTED_URL = "https://hunted.lure.test/"
NEXT_LOOK = timedelta(minutes=11)
ROUND = timedelta(minutes=5)


async def finish(on: Stage, rows: int) -> list[Outcome]:
    """Work until there are that many rows and all are final; the feed is whole then."""
    found: list[Outcome] = []
    for _ in range(40):
        await on.round()
        found = await on.outcomes()
        if len(found) >= rows and all(is_final(one.state) for one in found):
            assert_feed_is_whole(found, await on.feed())
            return found
        on.clock.time += ROUND
    raise AssertionError(sorted(f"{one.source} {one.state} {one.state_reason or ''}" for one in found))


def submit(on: Stage, name: str, **facts: object) -> str:
    """Let Anna report a mail to Microsoft, which shows its Message-ID; returns the submission's id."""
    known = {"recipient": ANNA, "reporter": ANNA, "shape": RowShape(message_id="always"), **facts}
    return on.graph.control.submit_as_user(UserSubmission(mime=original(name), **known))  # type: ignore[arg-type]


def alert_about(on: Stage, submission_id: str, name: str, raised_at: datetime | None = None, **facts: object) -> None:
    """Let an alert tell of a reported mail as Defender does: the report, and the analysis of the same mail."""
    known = {
        "network_message_id": network_id(name),
        "recipient": ANNA,
        "submission_id": submission_id,
        "submitter": ANNA,
        "subject": "Your parcel",
        "submitted_at": on.clock.time,
        **facts,
    }
    analyzed = AnalyzedMessageEvidence(
        network_message_id=network_id(name), recipient=ANNA, internet_message_id=f"<{name}@parcel-lure.test>"
    )
    reported = SubmissionMailEvidence(**known)  # type: ignore[arg-type]
    on.graph.control.raise_alert(Alert(evidence=(analyzed, reported), at=raised_at, updated_at=on.clock.time))


def put_everything(on: Stage) -> None:
    """One report in the mailbox, one in Microsoft's list, one that only an alert still tells of, one hunted URL."""
    on.graph.control.set_report_destination(TO_MICROSOFT)
    report_with(on, as_item(original("in-mailbox")), subject="please look", reporter=BEN)
    submit(on, "listed")
    long_ago = on.clock.time - timedelta(days=3, hours=1)
    alert_about(on, submit(on, "alerted", at=long_ago), "alerted", submitted_at=long_ago)
    on.graph.control.set_hunting_rows(QUERY, [{"Url": HUNTED_URL, "Timestamp": "2026-11-23T11:00:00Z"}])


def name_of(outcome: Outcome) -> str:
    """Which of the things put there a row is about."""
    return outcome.url or (outcome.internet_message_id or "").strip("<").partition("@")[0]


def told(outcomes: list[Outcome]) -> dict[str, tuple[Source, State, str | None, Verdict | None]]:
    """What became of each thing; each has one row."""
    found = {name_of(one): (one.source, one.state, one.state_reason, one.verdict) for one in outcomes}
    assert len(found) == len(outcomes)
    return found


def source_events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings about sources and mailboxes since the last look at them."""
    lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    caplog.clear()
    return [line for line in lines if "event=source_" in line or "event=mailbox_" in line]


def posts_to_microsoft(on: Stage) -> int:
    """How many submissions were sent."""
    return len(on.graph.log.select(method="POST", path="threatSubmission"))


async def healthy() -> dict[str, tuple[Source, State, str | None, Verdict | None]]:
    """What becomes of everything when nothing fails."""
    async with stage_with_all() as on:
        put_everything(on)
        return told(await finish(on, rows=4))


# --- What each source gives -----------------------------------------------------------------------------------------


async def test_each_source_gives_its_row_and_its_verdict() -> None:
    """User submissions get a row and a verdict and are never sent; what was hunted is submitted like any request."""
    async with stage_with_all() as on:
        put_everything(on)
        outcomes = {name_of(one): one for one in await finish(on, rows=4)}
        listed, alerted, hunted = outcomes["listed"], outcomes["alerted"], outcomes[HUNTED_URL]
        assert {name: one.source for name, one in outcomes.items()} == {
            "in-mailbox": Source.MAILBOX,
            "listed": Source.MICROSOFT,
            "alerted": Source.MICROSOFT,
            HUNTED_URL: Source.MANUAL,
        }
        assert {one.verdict for one in (listed, alerted)} == {Verdict.MALICIOUS}
        assert (listed.reporter, listed.recipient, listed.sender) == (ANNA, ANNA, "desk@parcel-lure.test")
        assert listed.submitted_at == listed.received_at
        assert alerted.network_message_id == network_id("alerted")
        assert {(one.attempts, one.dispatched_at) for one in (listed, alerted)} == {(0, None)}
        assert (hunted.requested_by, hunted.attempts) == (REPORTING_MAILBOX, 1)
        assert posts_to_microsoft(on) == 2


async def test_on_a_real_storage_service_too(azurite: Azurite) -> None:
    """The same on Azurite, where names, types and refusals are the service's own."""
    expected = await healthy()
    async with stage_with_all(connection=azurite.new_account()) as on:
        put_everything(on)
        for _ in range(20):
            await on.round()
            on.clock.time += timedelta(seconds=1)
            if len(await on.outcomes()) == len(expected):
                break
        assert {name_of(one): one.source for one in await on.outcomes()} == {
            name: source for name, (source, *_) in expected.items()
        }


async def test_sources_are_off_unless_switched_on() -> None:
    """Without the settings nothing but the mailbox is read."""
    async with stage(REPORT_DESTINATION="microsoft") as on:
        put_everything(on)
        assert list(told(await finish(on, rows=1))) == ["in-mailbox"]
        assert not on.graph.log.select(path="alerts_v2")
        assert not on.graph.log.select(path="runHuntingQuery")


async def test_a_report_that_joins_an_old_alert_is_seen() -> None:
    """Defender gathers reports in one alert: what counts is when it was changed."""
    async with stage(DEFENDER_ALERTS="on", REPORT_DESTINATION="microsoft") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        alert_about(on, submit(on, "joined"), "joined", raised_at=START - timedelta(days=9))
        (row,) = await finish(on, rows=1)
        assert row.state is State.SETTLED


@pytest.mark.parametrize("first", ["list", "alert"])
async def test_one_submission_told_of_twice_is_one_row(first: str) -> None:
    """Whoever tells first, in whatever case and on whichever side of midnight: the row is Microsoft's id's."""
    async with stage_with_all(HUNTING_QUERY="") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        on.clock.time = on.clock.time.replace(hour=23, minute=59, second=59)
        submission_id = submit(on, "twice")
        on.clock.advance(seconds=2)
        gate = Gate.ALERTS if first == "list" else Gate.USER_SUBMISSIONS
        on.graph.control.set_source_access(gate, Access.NOT_LICENSED)
        alert_about(on, submission_id.upper(), "twice")
        await on.round()
        on.graph.control.set_source_access(gate, Access.GRANTED)
        on.clock.time += NEXT_LOOK
        (row,) = await finish(on, rows=1)
        assert (row.state, row.source) == (State.SETTLED, Source.MICROSOFT)


async def test_a_simulation_is_skipped() -> None:
    """Microsoft says so itself: the row is final, and nobody waits for its verdict."""
    async with stage(USER_SUBMISSIONS="on") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        submit(on, "training", attack_simulation_id="5f1c7a52-8d0e-4b96-a4e7-0c5d9b2e6f18")
        (row,) = await finish(on, rows=1)
        assert (row.state, row.state_reason, row.source) == (State.SKIPPED, "simulation", Source.MICROSOFT)


@pytest.mark.parametrize(
    ("word", "category", "direction"),
    [
        ("junk", Category.SPAM, Direction.FALSE_NEGATIVE),
        ("notJunk", Category.NOT_JUNK, Direction.FALSE_POSITIVE),
        ("smishing", Category.PHISHING, Direction.FALSE_NEGATIVE),
    ],
)
async def test_the_claim_is_microsofts_word(word: str, category: Category, direction: Direction) -> None:
    """A word that nobody knows counts as phishing, as at Microsoft, and stands in the first event."""
    async with stage(DEFENDER_ALERTS="on", REPORT_DESTINATION="microsoft") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        alert_about(on, submit(on, "said"), "said", report_type=word)
        (row,) = await finish(on, rows=1)
        assert (row.category, row.direction) == (category, direction)
        first = (await on.feed())[0]
        assert ("StateDetail" in first) == (word == "smishing")


# --- What is never taken for a user's -------------------------------------------------------------------------------


async def test_our_own_submission_in_an_alert_gets_no_second_row() -> None:
    """The row that made the submission is its row, whoever tells of it."""
    async with stage_with_all() as on:
        on.graph.control.set_hunting_rows(QUERY, [])
        report_with(on, as_item(original("ours")), subject="please look")
        (ours,) = await finish(on, rows=1)
        assert ours.graph_submission_id is not None
        alert_about(on, ours.graph_submission_id.upper(), "ours")
        on.clock.time += NEXT_LOOK
        assert await finish(on, rows=1) == [ours]


@pytest.mark.parametrize("is_filter_refused", [False, True], ids=["filtered", "filter refused"])
async def test_an_admins_submission_is_not_a_users(is_filter_refused: bool) -> None:
    """Not even where the service refuses to filter and everything is read."""
    async with stage(USER_SUBMISSIONS="on") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        if is_filter_refused:
            on.graph.control.add_fault(refuse_filter("emailThreats"))
        on.graph.control.submit_in_portal(
            "emailThreats", UserSubmission(mime=original("admins"), recipient=CARLA, reporter=CARLA).render_body()
        )
        users = submit(on, "users")
        await on.app.collect_reports.run()
        assert [one.graph_submission_id for one in await on.outcomes()] == [users]


async def test_alerts_about_mailbox_reports_do_not_count() -> None:
    """Where reports do not reach Microsoft, the mailbox has them: an alert must not keep one from being submitted."""
    async with stage(DEFENDER_ALERTS="on") as on:
        on.graph.control.set_alert_traps(AlertTraps(user_submissions_raise=True))
        submit(on, "mailbox-only")
        report_with(on, as_item(original("mailbox-only")))
        (row,) = await finish(on, rows=1)
        assert (row.source, row.state) == (Source.MAILBOX, State.SETTLED)
        assert len(submissions(on)) == 2


async def test_a_mailbox_report_of_the_same_mail_is_at_microsoft_already() -> None:
    """The report in the mailbox repeats what Microsoft has: it is skipped, and says so."""
    async with stage(USER_SUBMISSIONS="on", REPORT_DESTINATION="mailbox") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        submit(on, "both")
        await on.app.collect_reports.run()
        report_with(on, as_item(original("both")))
        rows = {one.source: one for one in await finish(on, rows=2)}
        mailbox = rows[Source.MAILBOX]
        assert (mailbox.state, mailbox.state_reason) == (State.SKIPPED, "already_at_microsoft")
        assert rows[Source.MICROSOFT].state is State.SETTLED
        assert posts_to_microsoft(on) == 0


async def test_an_alert_adds_what_the_list_leaves_out() -> None:
    """The list hides the Message-ID: a mailbox report is recognised once an alert has told the network message id."""
    async with stage(USER_SUBMISSIONS="on", DEFENDER_ALERTS="on", REPORT_DESTINATION="microsoft") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        submission_id = submit(on, "hidden", shape=RowShape(message_id="never"))
        await finish(on, rows=1)
        alert_about(on, submission_id, "hidden")
        on.clock.time += NEXT_LOOK
        await on.round()
        report_with(on, as_item(original("hidden")), subject="please look")
        rows = {one.source: one for one in await finish(on, rows=2)}
        assert rows[Source.MAILBOX].state_reason == "already_at_microsoft"


# --- Each fails alone -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Victim:
    """A source to take away: its gate at Microsoft, its requests, and the thing whose row it gives."""

    gate: Gate
    scope: Scope
    thing: str


VICTIMS = {
    "mailbox": Victim(Gate.MAILBOX, Scope(path="/users/"), "in-mailbox"),
    "user_submissions": Victim(Gate.USER_SUBMISSIONS, Scope(method="GET", path="emailThreats.*user"), "listed"),
    "defender_alerts": Victim(Gate.ALERTS, Scope(path="alerts_v2"), "alerted"),
    "hunting_query": Victim(Gate.HUNTING, Scope(path="runHuntingQuery"), HUNTED_URL),
}
CLOSED = [Access.UNAUTHENTICATED, Access.NOT_GRANTED, Access.NOT_LICENSED, Access.UNKNOWN_ENDPOINT]
FAULTS: dict[str, Callable[[Scope], Fault]] = {
    "429": lambda scope: throttle("10", scope),
    "429 for a day": lambda scope: throttle("86400", scope),
    "500": lambda scope: answer_status(500, scope),
    "reset": reset_connection,
    "page instead of JSON": lambda scope: answer_html(200, scope),
    "no body": lambda scope: answer_empty(200, scope),
    "a list": lambda scope: answer_body("[]", scope),
    "cut off": lambda scope: answer_body('{"value": [{', scope),
    "no rows": omit_rows,
    "wrong types": mistype_rows,
}
FAULTS_OF_LISTS: dict[str, Callable[[Scope], Fault]] = {
    "link to itself": lambda scope: link_to("", scope),
    "link abroad": lambda scope: link_to("https://graph.evil.example/v1.0/next", scope),
    "no link": lambda scope: link_to("not a link", scope),
}


async def fail_and_recover(
    name: str, fail: Callable[[Stage], None], heal: Callable[[Stage], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Let one source fail at one look: the others are as ever, it costs one event, and later nothing is missing."""
    expected, thing = await healthy(), VICTIMS[name].thing
    async with stage_with_all() as on:
        put_everything(on)
        fail(on)
        source_events(caplog)
        await on.round()
        assert len(source_events(caplog)) == 1
        others = {other: end for other, end in expected.items() if other != thing}
        found = told(await finish_others(on, thing, len(others)))
        assert {other: end for other, end in found.items() if other != thing} == others
        heal(on)
        on.clock.time += NEXT_LOOK
        assert told(await finish(on, rows=len(expected))) == expected
        assert posts_to_microsoft(on) == 2


async def finish_others(on: Stage, thing: str, rows: int) -> list[Outcome]:
    """Work until the other rows are final, within the ten minutes until the failed source is looked at again."""
    for _ in range(40):
        await on.round()
        found = [one for one in await on.outcomes() if name_of(one) != thing]
        if len(found) == rows and all(is_final(one.state) for one in found):
            return found
        on.clock.time += ROUND
    raise AssertionError(sorted(f"{name_of(one)} {one.state}" for one in await on.outcomes()))


@pytest.mark.parametrize("access", CLOSED)
@pytest.mark.parametrize("name", VICTIMS)
async def test_a_source_that_is_closed_leaves_the_others_alone(
    name: str, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    """No token, no grant, no licence, no such endpoint: one event; once it is open, its row comes, once."""
    gate = VICTIMS[name].gate
    await fail_and_recover(
        name,
        lambda on: on.graph.control.set_source_access(gate, access),
        lambda on: on.graph.control.set_source_access(gate, Access.GRANTED),
        caplog,
    )


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in VICTIMS if name != "mailbox" for fault in FAULTS]
    + [(name, fault) for name in ("user_submissions", "defender_alerts") for fault in FAULTS_OF_LISTS],
)
async def test_a_source_that_answers_nonsense_leaves_the_others_alone(
    name: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Throttled, broken or garbage: one event; once it answers, its row comes, once."""
    made = {**FAULTS, **FAULTS_OF_LISTS}[fault](VICTIMS[name].scope)
    await fail_and_recover(
        name, lambda on: void(on.graph.control.add_fault(made)), lambda on: on.graph.control.clear_faults(), caplog
    )


def void(_: object) -> None:
    """Nothing: what a command returns does not matter here."""


async def test_a_list_without_end_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """It is no list, and no part of it is taken for the whole."""
    await fail_and_recover(
        "defender_alerts",
        lambda on: void(on.graph.control.add_fault(page_endlessly(VICTIMS["defender_alerts"].scope))),
        lambda on: on.graph.control.clear_faults(),
        caplog,
    )


async def test_a_failed_source_is_left_alone_for_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    """A missing licence costs one event every ten minutes, not one every run."""
    async with stage(DEFENDER_ALERTS="on", REPORT_DESTINATION="microsoft") as on:
        on.graph.control.set_source_access(Gate.ALERTS, Access.NOT_LICENSED)
        for _ in range(9):
            await on.app.collect_reports.run()
            on.clock.advance(minutes=2)
        assert len(source_events(caplog)) == 2


# --- Stops ----------------------------------------------------------------------------------------------------------


async def recorded_steps() -> list[str]:
    """The names of all calls that leave the process while every source is looked at."""
    async with stage_with_all() as on:
        put_everything(on)
        steps = Steps()
        on.start_process(steps)
        await on.app.collect_reports.run()
        return steps.taken


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_stop_at_any_step_of_a_look_loses_and_repeats_nothing(after_effect: bool) -> None:
    """The next look finds every row; each stands once, the feed is whole, and no user submission is sent."""
    expected = await healthy()
    for number, step in enumerate(await recorded_steps()):
        with named(f"stopped at step {number}, {step}"):
            async with stage_with_all() as on:
                put_everything(on)
                on.start_process(Steps(stop_at=number, after_effect=after_effect))
                with pytest.raises(ProcessStoppedError):
                    await on.app.collect_reports.run()
                on.start_process()
                on.clock.time += NEXT_LOOK
                assert told(await finish(on, rows=4)) == expected
                assert posts_to_microsoft(on) == 2


# --- Hunting --------------------------------------------------------------------------------------------------------


async def hunt(on: Stage) -> int:
    """Look once more, after the pause; returns how many requests are new."""
    on.clock.time += NEXT_LOOK
    return await on.app.collect_reports.run()


def mail_in_mailbox(name: str) -> MailItem:
    """The original of that name where it was delivered."""
    return MailItem(
        from_address="desk@parcel-lure.test",
        subject="Your parcel",
        received_at=START - timedelta(hours=8),
        internet_message_id=f"<{name}@parcel-lure.test>",
        mime=original(name),
    )


def waiting_requests(on: Stage) -> int:
    """How many messages the operators' queue holds."""
    messages: list[object] = on.ports.queues["manual-submissions"].messages  # type: ignore[attr-defined]
    return len(messages)


async def test_what_is_found_again_is_not_asked_for_again() -> None:
    """The same row an hour or a day later changes nothing, whatever else the row holds by then."""
    async with stage(HUNTING_QUERY=QUERY) as on:
        on.graph.control.set_hunting_rows(QUERY, [{"Url": HUNTED_URL, "Timestamp": "2026-11-23T11:00:00Z"}])
        assert await hunt(on) == 1
        await finish(on, rows=1)
        on.graph.control.set_hunting_rows(QUERY, [{"Url": HUNTED_URL, "Timestamp": "2026-11-24T11:00:00Z"}])
        on.clock.time += timedelta(days=1)
        assert await hunt(on) == 0
        assert len(await finish(on, rows=1)) == 1


async def test_a_mail_that_was_hunted_is_submitted_from_its_mailbox() -> None:
    """The row names it by its Message-ID and its recipient; the claim is the setting's."""
    async with stage(HUNTING_QUERY=QUERY, HUNTING_CATEGORY="spam") as on:
        on.graph.tenant.add_mailbox(ANNA)
        on.graph.tenant.deliver(ANNA, mail_in_mailbox("unreported"))
        row = {"InternetMessageId": "<unreported@parcel-lure.test>", "RecipientEmailAddress": ANNA}
        on.graph.control.set_hunting_rows(QUERY, [{**row, "NetworkMessageId": network_id("unreported")}])
        await on.app.collect_reports.run()
        (found,) = await finish(on, rows=1)
        assert (found.state, found.category, found.recipient) == (State.SETTLED, Category.SPAM, ANNA)


async def test_rows_that_name_nothing_are_counted_and_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """One event for all of them; the good row is asked for."""
    rows = [
        {"Url": HUNTED_URL},
        {"NetworkMessageId": network_id("alone")},
        {"Url": "javascript:alert(1)"},
        {"Url": "https://other.lure.test/", "Category": "InitialAccess"},
        {"InternetMessageId": "<a@b.test>", "RecipientEmailAddress": "nobody"},
    ]
    async with stage(HUNTING_QUERY=QUERY) as on:
        on.graph.control.set_hunting_rows(QUERY, rows)
        assert await on.app.collect_reports.run() == 1
        (event,) = source_events(caplog)
        assert "event=source_rows_unusable" in event
        assert "count=4" in event
        assert waiting_requests(on) == 1


async def test_a_query_that_finds_too_much_is_taken_in_portions(caplog: pytest.LogCaptureFixture) -> None:
    """1,000 at a look, the rest at the next, and an event says how many are left."""
    rows = [{"Url": f"https://lure.test/{number}"} for number in range(1_200)]
    async with stage(HUNTING_QUERY=QUERY) as on:
        on.graph.control.set_hunting_rows(QUERY, rows)
        assert await on.app.collect_reports.run() == 1_000
        assert [one.getMessage() for one in caplog.records] == ["event=hunting_limited left=200"]
        assert await hunt(on) == 200
        assert await hunt(on) == 0
        assert waiting_requests(on) == 1_200


# --- One bad row ------------------------------------------------------------------------------------------------------


@dataclass
class Picky:
    """A table that does not take rows in which something stands."""

    port: Any
    refuses: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    async def write(self, write: Write) -> str:
        """Do one write, unless it holds what is refused."""
        return (await self.write_all([write]))[0]

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do all writes, unless one of them holds what is refused."""
        if any(self.refuses in str(one.entity) for one in writes if isinstance(one, Insert | Replace)):
            raise RuntimeError("400")
        return cast(list[str], await self.port.write_all(writes))


def with_picky(on: Stage, table: str, refuses: str) -> None:
    """Let a table refuse this, in the next process; the stage itself sees the true one."""
    true_ports = on.ports
    tables = {**on.ports.tables, table: cast(Table, Picky(on.ports.tables[table], refuses))}
    on.ports = replace(on.ports, tables=tables)
    on.start_process()
    on.ports = true_ports


async def test_a_submission_that_storage_does_not_take_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """The others have their rows at the first look; it is told, tried again, and at last failed with what to do."""
    listen(caplog)
    async with stage(USER_SUBMISSIONS="on") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        for number in range(5):
            submit(on, f"good-{number}")
        submit(on, "cursed")
        with_picky(on, "outcomes", "<cursed@")
        await on.app.collect_reports.run()
        assert len(await on.outcomes()) == 5
        assert events(caplog).count("source_row_failed") == 1
        late = submit(on, "late")
        for _ in range(15):
            on.clock.advance(minutes=30)
            await on.app.collect_reports.run()
        rows = {one.graph_submission_id: one for one in await on.outcomes()}
        assert late in rows
        assert (rows[None].state, rows[None].state_reason) == (State.FAILED, "submission_unreadable")
        assert rows[None].source is Source.MICROSOFT
        assert len(rows) == 7


async def test_a_submission_whose_row_stands_is_not_given_up_half_done() -> None:
    """Its entry was refused for longer than a row is tried for; once taken, the row is followed to its verdict."""
    async with stage(USER_SUBMISSIONS="on") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        submit(on, "half")
        with_picky(on, "worklist", "submitted")
        for _ in range(16):
            await on.app.collect_reports.run()
            on.clock.advance(minutes=30)
        assert [row.state for row in await on.outcomes()] == [State.SUBMITTED]
        on.start_process()
        (row,) = await on.finish(rows=1)
        assert row.state is State.SETTLED


async def test_a_request_that_cannot_be_noted_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """What else the query finds is asked for; the one is told, and asked for again by every look that finds it."""
    listen(caplog)
    rows = [{"Url": f"https://lure{number}.test/"} for number in range(30)]
    async with stage(HUNTING_QUERY=QUERY) as on:
        on.graph.control.set_hunting_rows(QUERY, rows)
        request_id = keys.hunting_request_id(keys.url_item("https://lure7.test/"), "phishing")
        with_picky(on, "runstate", request_id)
        await on.app.collect_reports.run()
        assert waiting_requests(on) == 30
        assert events(caplog).count("source_row_failed") == 1


async def test_one_alert_that_cannot_be_read_hides_no_other() -> None:
    """Its evidence is no list of objects: it is counted, and the submission of the other one has its row."""
    answer = {
        "value": [
            {"title": "Email reported by user", "evidence": "none"},
            {
                "title": "Email reported by user",
                "createdDateTime": "2026-11-23T11:50:00Z",
                "evidence": [
                    {
                        "@odata.type": "#microsoft.graph.security.submissionMailEvidence",
                        "submissionId": "49c5ef5b-1f65-444a-e6b9-08d772ea2059",
                        "submissionDateTime": "2026-11-23T11:40:00Z",
                        "submitter": ANNA,
                    }
                ],
            },
        ]
    }
    async with stage(DEFENDER_ALERTS="on", REPORT_DESTINATION="microsoft") as on:
        on.graph.control.add_fault(answer_body(json.dumps(answer), Scope(path="alerts_v2")))
        await on.app.collect_reports.run()
        assert [one.source for one in await on.outcomes()] == [Source.MICROSOFT]


# --- Who speaks for a mail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "later", "is_covered"),
    [
        ("phishing", timedelta(minutes=20), True),
        ("phishing", timedelta(hours=23), True),
        ("phishing", timedelta(hours=30), False),
        ("notJunk", timedelta(minutes=20), False),
        ("notJunk", timedelta(days=20), False),
    ],
)
async def test_a_users_submission_speaks_for_its_own_claim_and_for_a_day(
    claimed: str, later: timedelta, is_covered: bool
) -> None:
    """Whoever reports the mail as the opposite, or long after the verdict, is submitted."""
    async with stage(USER_SUBMISSIONS="on", REPORT_DESTINATION="mailbox") as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        submit(on, "mail", category=claimed)
        await finish(on, rows=1)
        on.clock.time += later
        report_with(on, as_item(original("mail")))
        (row,) = [one for one in await finish(on, rows=2) if one.source is Source.MAILBOX]
        covered = (State.SKIPPED, "already_at_microsoft")
        assert ((row.state, row.state_reason) == covered) is is_covered
        assert posts_to_microsoft(on) == (not is_covered)
