"""Where the tenant's reports go by themselves, and the mode in which nothing goes anywhere."""

from datetime import timedelta

import pytest

from local.graph_simulator import Fault, ReportDestination, Scope
from local.graph_simulator.faults import answer_empty, answer_html, answer_status
from local.memory_storage import MemoryBlobs
from local.sample_tenant import REPORTING_MAILBOX, wrap_as_third_party
from shared.bootstrap import build
from shared.domain.model import Category, State
from shared.settings import Settings
from tests.support.reports import (
    ANNA,
    ask,
    email_request,
    events,
    listen,
    original,
    posts,
    report,
    rows_by_report,
    submissions,
    url_request,
)
from tests.support.stage import Stage, assert_feed_is_whole, settings_for, stage

THERE_ALREADY = (State.SKIPPED, "already_at_microsoft")
SUBMITTED = (State.SETTLED, None)
TO_MICROSOFT = ReportDestination(to_microsoft=True, mailbox=REPORTING_MAILBOX)
TO_MAILBOX = ReportDestination(to_microsoft=False, mailbox=REPORTING_MAILBOX)
POLICY = Scope(path="emailThreatSubmissionPolicies")


def report_by_another_maker(on: Stage, name: str) -> str:
    """Report a mail with a button that only writes to the mailbox."""
    mail = wrap_as_third_party(
        original(name),
        reporter=ANNA,
        category=Category.PHISHING,
        received_at=on.clock.time - timedelta(minutes=1),
        mailbox=REPORTING_MAILBOX,
    )
    return on.graph.tenant.deliver(REPORTING_MAILBOX, mail)


async def ends(on: Stage, *message_ids: str) -> list[tuple[State, str | None]]:
    """State and reason of these reports when all rows are final."""
    await on.finish(rows=len(message_ids))
    rows = await rows_by_report(on)
    return [(rows[one].state, rows[one].state_reason) for one in message_ids]


@pytest.mark.parametrize(
    ("setting", "policy", "built_in"),
    [
        ("auto", TO_MICROSOFT, THERE_ALREADY),
        ("auto", TO_MAILBOX, SUBMITTED),
        ("microsoft", TO_MAILBOX, THERE_ALREADY),
        ("microsoft", TO_MICROSOFT, THERE_ALREADY),
        ("mailbox", TO_MICROSOFT, SUBMITTED),
        ("mailbox", TO_MAILBOX, SUBMITTED),
    ],
)
async def test_what_is_at_microsoft_already_is_not_submitted(
    setting: str, policy: ReportDestination, built_in: tuple[State, str | None]
) -> None:
    """Only the built-in button sends reports there by itself; other makers' reports are always ours to submit."""
    async with stage(REPORT_DESTINATION=setting) as on:
        on.graph.control.set_report_destination(policy)
        found = await ends(on, report(on, original("built-in")), report_by_another_maker(on, "foreign"))
        assert found == [built_in, SUBMITTED]
        assert len(submissions(on)) == 1 + (built_in == SUBMITTED)


@pytest.mark.parametrize("setting", ["microsoft", "mailbox"])
async def test_a_destination_that_is_set_asks_nobody(setting: str) -> None:
    """The policy is read only for `auto`."""
    async with stage(REPORT_DESTINATION=setting) as on:
        await on.round()
        assert not on.graph.log.select(path="Policies")


async def test_a_policy_that_changes_holds_from_the_next_run() -> None:
    """`auto` looks at every run: what came before stays as it was."""
    async with stage() as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        before = report(on, original("before"))
        await on.round()
        on.graph.control.set_report_destination(TO_MAILBOX)
        after = report(on, original("after"))
        assert await ends(on, before, after) == [THERE_ALREADY, SUBMITTED]


@pytest.mark.parametrize(
    "fault",
    [answer_status(403, POLICY), answer_status(500, POLICY), answer_html(200, POLICY), answer_empty(200, POLICY)],
    ids=["403", "500", "page", "empty"],
)
async def test_an_unreadable_policy_means_mailbox(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """Rather a submission too many than a report that nobody sees; it is an event."""
    listen(caplog)
    async with stage() as on:
        on.graph.control.set_report_destination(TO_MICROSOFT)
        on.graph.control.add_fault(fault)
        assert await ends(on, report(on, original("unknown"))) == [SUBMITTED]
        assert "policy_unreadable" in events(caplog)


async def test_a_request_is_submitted_wherever_reports_go() -> None:
    """An operator who asks means it."""
    async with stage(REPORT_DESTINATION="microsoft") as on:
        await on.ports.containers["submission-content"].put("case.eml", original("asked"))
        await ask(on, email_request({"content": "case.eml"}))
        assert (await on.finish(rows=1))[0].state is State.SETTLED


async def test_in_shadow_mode_everything_happens_but_the_post() -> None:
    """Rows of every kind end as shadow, evidence is kept, no quota is used, and Microsoft hears nothing."""
    async with stage(SUBMISSION_MODE="shadow", QUOTA_PER_DAY="4") as on:
        for number in range(5):
            report(on, original(f"mail-{number}"))
        await on.ports.containers["submission-content"].put("case.eml", original("asked"))
        await ask(on, url_request("one"), url_request("two"), email_request({"content": "case.eml"}))
        outcomes = await on.finish(rows=8, step=timedelta(minutes=1))
        assert {(row.state, row.state_reason) for row in outcomes} == {(State.SKIPPED, "shadow_mode")}
        assert {row.attempts for row in outcomes} == {0}
        assert posts(on) == 0
        assert len(evidence(on)) == 6
        assert [row["RowKey"] for row in await on.rows("worklist")] == ["0-quota"]
        assert_feed_is_whole(outcomes, await on.feed())


def evidence(on: Stage) -> dict[str, bytes]:
    """What the evidence container holds."""
    container = on.ports.containers["evidence"]
    assert isinstance(container, MemoryBlobs)
    return container.blobs


async def test_in_shadow_mode_covered_rows_end_too() -> None:
    """Nothing waits for a verdict that nobody asked for."""
    async with stage(SUBMISSION_MODE="shadow") as on:
        for _ in range(3):
            report(on, original("twin"))
        outcomes = await on.finish(rows=3)
        assert {(row.state, row.state_reason) for row in outcomes} == {(State.SKIPPED, "shadow_mode")}
        assert posts(on) == 0


async def test_in_shadow_mode_bad_requests_are_still_rejected() -> None:
    """The rehearsal shows what live mode would refuse."""
    async with stage(SUBMISSION_MODE="shadow") as on:
        await ask(on, url_request("one", colour="red"), email_request({"content": "absent.eml"}))
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.REJECTED}


async def test_what_was_only_rehearsed_is_submitted_when_it_is_reported_again() -> None:
    """A shadow row does not stand in the way of the first live one."""
    async with stage(SUBMISSION_MODE="shadow") as on:
        report(on, original("twin"))
        await on.finish(rows=1)
        on.app = build(Settings.load(settings_for(on.graph.base_url, None)), on.ports)
        again = report(on, original("twin"))
        await on.finish(rows=2)
        assert (await rows_by_report(on))[again].state is State.SETTLED
        assert len(submissions(on)) == 1
