"""Graph at its worst: no report is lost, none is submitted twice, and one fault stays one fault."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest
from aiohttp import web

from local.graph_simulator import Fault, FaultKind, MailTraps, Scope, SubmissionTraps, Verdict
from local.graph_simulator.faults import (
    answer_empty,
    answer_html,
    answer_status,
    lose_answer,
    reset_connection,
    throttle,
)
from local.sample_tenant import REPORTING_MAILBOX
from shared.adapters.graph.identity import graph_authentication
from shared.adapters.graph.mail import GraphMail
from shared.adapters.graph.transport import GraphTransport
from shared.domain import model
from shared.domain.model import State
from shared.domain.reports import Attachment
from tests.support.reports import (
    ask,
    events,
    listen,
    network_id,
    only_row,
    original,
    pass_time,
    posts,
    report,
    rows_by_report,
    submissions,
    url_request,
)
from tests.support.stage import ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

ONE_POST = Scope(method="POST", times=1)
LISTS = Scope(method="GET", path="Threats")
OTHER_MAILBOX = "abuse@fabrikam.example"
HARD_TO_MATCH = SubmissionTraps(empty_message_id_share=1.0, created_by="nested", subject_key="emailSubject")

AFTER_THE_EFFECT = {
    "connection lost": lose_answer(ONE_POST),
    "504": answer_status(504, ONE_POST, after_effect=True),
    "500": answer_status(500, ONE_POST, after_effect=True),
    "409": answer_status(409, ONE_POST, after_effect=True),
    "page instead of JSON": answer_html(502, ONE_POST, after_effect=True),
    "page with 200": answer_html(200, ONE_POST, after_effect=True),
    "201 without a body": answer_empty(201, ONE_POST),
    "201 without an id": Fault(FaultKind.WITHOUT_ID, ONE_POST),
    "half an answer": Fault(FaultKind.TRUNCATED, ONE_POST),
}
BEFORE_THE_EFFECT = {
    "connection reset": reset_connection(ONE_POST),
    "503": answer_status(503, ONE_POST),
    "500": answer_status(500, ONE_POST),
    "page with 200": answer_html(200, ONE_POST),
}


@pytest.mark.parametrize("traps", [SubmissionTraps(empty_message_id_share=0.0), HARD_TO_MATCH], ids=["easy", "hard"])
@pytest.mark.parametrize("name", AFTER_THE_EFFECT)
async def test_a_lost_answer_is_found_and_adopted(name: str, traps: SubmissionTraps) -> None:
    """Microsoft has it although its answer never came: uncertain, then found, never sent again."""
    async with stage() as on:
        on.graph.control.set_submission_traps(traps)
        on.graph.control.add_fault(AFTER_THE_EFFECT[name])
        report(on, original("lost"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        assert (await only_row(on)).state is State.UNCERTAIN
        outcomes = await on.finish(rows=1)
        assert [one.id for one in submissions(on)] == [outcomes[0].graph_submission_id]
        assert (outcomes[0].state, posts(on)) == (State.SETTLED, 1)
        assert_feed_is_whole(outcomes, await on.feed())


@pytest.mark.parametrize("kind", ["url", "email"])
async def test_lost_answers_of_other_kinds_are_adopted_too(kind: str) -> None:
    """URLs are matched by their address, mails by what the list shows of them."""
    async with stage() as on:
        on.graph.control.add_fault(lose_answer(Scope(method="POST", times=2)))
        if kind == "url":
            await ask(on, url_request("one"), url_request("two"))
        else:
            report(on, original("one", subject="First"))
            report(on, original("two", subject="Second"))
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert {row.graph_submission_id for row in outcomes} == {one.id for one in submissions(on)}
        assert posts(on) == 2


@pytest.mark.parametrize("name", BEFORE_THE_EFFECT)
async def test_a_post_without_effect_is_repeated_only_when_that_is_certain(name: str) -> None:
    """The row waits uncertain until Microsoft's list and the item's 15 minutes prove that nothing arrived."""
    async with stage() as on:
        on.graph.control.add_fault(BEFORE_THE_EFFECT[name])
        report(on, original("reset"))
        await pass_time(on, timedelta(minutes=14))
        assert ((await only_row(on)).state, posts(on)) == (State.UNCERTAIN, 1)
        (row,) = await on.finish(rows=1)
        assert (row.state, row.attempts, posts(on)) == (State.SETTLED, 2, 2)
        assert len(submissions(on)) == 1


async def test_posts_without_effect_are_given_up_at_last() -> None:
    """Three POSTs that came to nothing are all that Microsoft takes of an item in a day: the row failed, replayable."""
    async with stage(is_busy=True) as on:
        on.graph.control.add_fault(reset_connection(Scope(method="POST")))
        report(on, original("cursed"))
        (row,) = await on.finish(rows=1)
        assert (row.state, row.state_reason, posts(on)) == (State.FAILED, "no_effect", 3)


@pytest.mark.parametrize("delivered_before", range(4))
async def test_similar_mails_do_not_take_each_others_submission(delivered_before: int) -> None:
    """Same sender, subject and recipient, no message ids in the list: the POST nearest in time owns the submission.

    Whatever the order of the rows' keys, which hangs on how many mails the mailbox had before.
    """
    async with stage() as on:
        for _ in range(delivered_before):
            on.graph.tenant.remove(REPORTING_MAILBOX, report(on, original("early")))
        on.graph.control.set_submission_traps(HARD_TO_MATCH)
        on.graph.control.add_fault(reset_connection(ONE_POST))
        on.graph.control.add_fault(lose_answer(Scope(method="POST", times=1)))
        without_effect = report(on, original("one-twin"))
        await on.round()
        on.clock.advance(minutes=1)
        with_effect = report(on, original("other-twin"))
        await on.finish(rows=2)
        rows = await rows_by_report(on)
        assert (rows[without_effect].attempts, rows[with_effect].attempts) == (2, 1)
        assert {one.id: one.request.network_message_id for one in submissions(on)} == {
            row.graph_submission_id: row.network_message_id for row in rows.values()
        }


@pytest.mark.parametrize("delivered_before", range(2))
async def test_a_lost_row_does_not_take_the_submission_of_a_row_in_flight(delivered_before: int) -> None:
    """A worker that died right after its POST has a claim to what is listed, although its row does not say so yet."""
    async with stage() as on:
        for _ in range(delivered_before):
            on.graph.tenant.remove(REPORTING_MAILBOX, report(on, original("early")))
        on.graph.control.set_submission_traps(HARD_TO_MATCH)
        on.graph.control.add_fault(reset_connection(ONE_POST))
        without_effect = report(on, original("one-twin"))
        await on.round()
        on.clock.advance(minutes=1)
        with_effect = report(on, original("other-twin"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await die_after_the_post(on)
        await on.finish(rows=2)
        rows = await rows_by_report(on)
        assert (rows[without_effect].attempts, rows[with_effect].attempts) == (2, 1)
        assert len({one.request.item_key for one in submissions(on)}) == len(submissions(on)) == 2


async def die_after_the_post(on: Stage) -> None:
    """Let the process end between the POST and its record, and begin another."""
    steps = Steps(stop_at=5, after_effect=True)
    on.start_process(steps)
    with pytest.raises(ProcessStoppedError):
        await on.deliver_submissions()
    assert steps.taken[-1] == "graph submissions.submit"
    on.start_process()


async def test_nothing_is_found_missing_while_the_list_does_not_answer() -> None:
    """Uncertain rows wait for a complete list, however long; then the submission is adopted."""
    async with stage() as on:
        on.graph.control.add_fault(lose_answer(ONE_POST))
        handle = on.graph.control.add_fault(answer_status(503, LISTS))
        report(on, original("lost"))
        await pass_time(on, timedelta(hours=5), step=timedelta(minutes=10))
        assert ((await only_row(on)).state, posts(on)) == (State.UNCERTAIN, 1)
        on.graph.control.remove_fault(handle)
        assert (await on.finish(rows=1))[0].state is State.SETTLED
        assert posts(on) == 1


async def test_a_list_that_breaks_off_counts_for_nothing() -> None:
    """A later page that fails makes the whole list unusable: half a list would prove too much."""
    async with stage() as on:
        on.graph.control.add_fault(answer_html(200, Scope(method="GET", path=r"Threats\?.*skiptoken")))
        on.graph.control.add_fault(lose_answer(Scope(method="POST", every=105, times=1)))
        for number in range(105):
            await ask(on, url_request(f"site-{number}"))
        await pass_time(on, timedelta(minutes=40), step=timedelta(minutes=5))
        assert {row.state for row in await on.outcomes()} == {State.SUBMITTED, State.UNCERTAIN}
        on.graph.control.clear_faults()
        outcomes = await on.finish(rows=105)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert posts(on) == 105


async def test_a_tenant_that_refuses_the_filter_is_listed_whole() -> None:
    """400 on `$filter` is met by reading everything."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="GET", path=r"Threats\?.*filter")))
        report(on, original("plain"))
        assert (await on.finish(rows=1))[0].state is State.SETTLED


async def test_a_list_that_lags_behind_proves_nothing_yet() -> None:
    """A submission that appears in the list minutes later is adopted all the same."""
    async with stage() as on:
        on.graph.control.set_submission_traps(SubmissionTraps(list_lag_s=600))
        on.graph.control.add_fault(lose_answer(ONE_POST))
        report(on, original("late"))
        (row,) = await on.finish(rows=1, step=timedelta(minutes=1))
        assert (row.state, posts(on)) == (State.SETTLED, 1)


async def test_a_word_nobody_knows_yet_is_undetermined_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """New result words end the row, stand in it untouched, and are an event."""
    listen(caplog)
    async with stage() as on:
        on.graph.control.set_verdict(network_id("new"), Verdict("quantumPhish", "foundByOracle"))
        report(on, original("new", verdict=""))
        (row,) = await on.finish(rows=1)
        assert (row.state, row.verdict) == (State.SETTLED, model.Verdict.UNDETERMINED)
        assert (row.result_category, row.result_detail) == ("quantumPhish", "foundByOracle")
        assert events(caplog).count("unknown_result") == 1


async def test_a_status_nobody_knows_yet_ends_nothing() -> None:
    """The row waits on: a later answer in known words still settles it."""
    async with stage() as on:
        on.graph.control.add_fault(Fault(FaultKind.UNKNOWN_VALUE, LISTS))
        report(on, original("odd"))
        await pass_time(on, timedelta(hours=1), step=timedelta(minutes=5))
        assert (await only_row(on)).state is State.SUBMITTED
        on.graph.control.clear_faults()
        assert (await on.finish(rows=1))[0].verdict is model.Verdict.MALICIOUS


async def test_a_verdict_beyond_the_deadline_is_expired() -> None:
    """After the deadline a row without a verdict is expired, and stays so when the verdict comes."""
    async with stage() as on:
        report(on, original("slow", delay_s=4 * 86_400))
        (row,) = await on.finish(rows=1, step=timedelta(hours=2))
        assert (row.state, row.state_reason) == (State.EXPIRED, "no_verdict")
        assert timedelta(hours=72) <= on.clock.time - (row.submitted_at or on.clock.time) <= timedelta(hours=76)
        await pass_time(on, timedelta(hours=30), step=timedelta(hours=2))
        assert (await only_row(on)).state is State.EXPIRED


@pytest.mark.parametrize(
    ("status", "state"),
    [(400, State.REJECTED), (404, State.REJECTED), (413, State.REJECTED), (422, State.REJECTED)],
)
async def test_what_microsoft_refuses_for_good_is_rejected_with_its_words(status: int, state: State) -> None:
    """Code, message and request id stand in the row, for support; it is not tried again."""
    async with stage(is_busy=True) as on:
        on.graph.control.add_fault(answer_status(status, Scope(method="POST"), code="InvalidInput"))
        report(on, original("refused"))
        (row,) = await on.finish(rows=1)
        assert (row.state, row.error_code, posts(on)) == (state, "InvalidInput", 1)
        assert row.error_message
        assert row.error_request_id


@pytest.mark.parametrize(
    ("retry_after", "least_s", "most_s"),
    [
        ("1", 1, 90),
        ("600", 600, 690),
        (None, 60, 150),
        ("in a while", 60, 150),
        ("nan", 60, 150),
        ("-5", 1, 90),
        ("99999999", 86_400, 87_000),
    ],
)
async def test_retry_after_is_honoured_in_every_form(retry_after: str | None, least_s: int, most_s: int) -> None:
    """Seconds as told, a minute where Graph says nothing readable, a day at most."""
    async with stage() as on:
        on.graph.control.add_fault(throttle(retry_after, ONE_POST))
        report(on, original("throttled"))
        await pass_time(on, timedelta(seconds=most_s + 60), step=timedelta(seconds=60 if most_s < 1_000 else 600))
        first, second = (one.at for one in on.graph.log.select(method="POST"))
        assert least_s - 1 <= (second - first).total_seconds() <= most_s + 60


async def test_retry_after_as_a_date_is_honoured() -> None:
    """HTTP allows a date: it is held against the present time."""
    async with stage() as on:
        date = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
        on.graph.control.add_fault(throttle(date, ONE_POST))
        report(on, original("throttled"))
        await pass_time(on, timedelta(minutes=7))
        first, second = (one.at for one in on.graph.log.select(method="POST"))
        assert timedelta(minutes=4) <= second - first <= timedelta(minutes=7)


@pytest.mark.parametrize(
    "outage",
    [answer_html(200), answer_html(502), answer_empty(200), answer_status(503), answer_status(401), reset_connection()],
    ids=["page", "page 502", "empty", "503", "401", "reset"],
)
async def test_an_hour_of_nonsense_from_everything_costs_only_the_hour(outage: Fault) -> None:
    """Mailbox, POST and lists at once: nothing is burned, and afterwards each item has one submission."""
    async with stage() as on:
        before = [report(on, original(f"before-{number}")) for number in range(3)]
        await on.app.collect_reports.run()
        handle = on.graph.control.add_fault(outage)
        await pass_time(on, timedelta(hours=1), step=timedelta(minutes=2))
        during = [report(on, original(f"during-{number}")) for number in range(3)]
        await pass_time(on, timedelta(minutes=10), step=timedelta(minutes=2))
        assert {row.state for row in await on.outcomes()} <= {State.PENDING, State.UNCERTAIN}
        on.graph.control.remove_fault(handle)
        outcomes = await on.finish(rows=6)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert set(await rows_by_report(on)) == {*before, *during}
        assert len(submissions(on)) == 6
        assert_feed_is_whole(outcomes, await on.feed())


# --- Reading mailboxes ----------------------------------------------------------------------------------------------


async def test_a_mailbox_that_does_not_exist_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """404 on one reporting mailbox is an event; the other is read."""
    listen(caplog)
    async with stage(REPORTING_MAILBOXES=f"gone@contoso.example,{REPORTING_MAILBOX}") as on:
        report(on, original("here"))
        assert (await on.finish(rows=1))[0].state is State.SETTLED
        assert "mailbox_unreachable" in events(caplog)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_mailbox_that_refuses_holds_up_no_other(status: int) -> None:
    """Whatever one mailbox answers, the other is read, and the first goes on where it stood."""
    async with stage(REPORTING_MAILBOXES=f"{OTHER_MAILBOX},{REPORTING_MAILBOX}") as on:
        on.graph.tenant.add_mailbox(OTHER_MAILBOX)
        handle = on.graph.control.add_fault(answer_status(status, Scope(path=quote(OTHER_MAILBOX, safe="@"))))
        waiting = report(on, original("there"), mailbox=OTHER_MAILBOX)
        report(on, original("here"))
        assert (await on.finish(rows=1))[0].state is State.SETTLED
        on.graph.control.remove_fault(handle)
        await on.finish(rows=2)
        assert (await rows_by_report(on))[waiting].state is State.SETTLED


async def test_an_expired_delta_link_begins_the_folder_anew(caplog: pytest.LogCaptureFixture) -> None:
    """410: everything is read again, known rows stay, nothing is submitted twice."""
    listen(caplog)
    async with stage() as on:
        report(on, original("before"))
        await on.finish(rows=1)
        on.graph.control.expire_delta_links()
        report(on, original("after"))
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert "delta_link_expired" in events(caplog)
        assert len(submissions(on)) == 2


async def test_a_delta_link_to_another_host_is_not_followed() -> None:
    """A link elsewhere would take the token along: the folder is read from its beginning instead."""
    async with stage() as on:
        on.graph.control.set_mail_traps(MailTraps(link_base_url="https://graph.evil.test"))
        report(on, original("one"))
        await on.round()
        report(on, original("two"))
        assert len(await on.finish(rows=2)) == 2


@pytest.mark.parametrize(
    "traps",
    [MailTraps(empty_pages=(1,)), MailTraps(empty_pages=(1, 2)), MailTraps(replayed_changes=5)],
    ids=["first page empty", "two pages empty", "replays"],
)
async def test_odd_pages_lose_and_repeat_nothing(traps: MailTraps) -> None:
    """Empty pages with a next link are read past, changes told again are known."""
    async with stage() as on:
        on.graph.control.set_mail_traps(traps)
        for number in range(120):
            report(on, original(f"mail-{number}"))
            if number == 60:
                await on.round()
        outcomes = await on.finish(rows=120, step=timedelta(minutes=16))
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert (len(outcomes), len(submissions(on))) == (120, 120)


async def test_a_report_that_was_moved_into_the_folder_is_found() -> None:
    """The change feed with immutable ids can miss it; the hourly list does not."""
    async with stage() as on:
        on.graph.control.set_mail_traps(MailTraps(hide_moved_from_immutable=True))
        await on.round()
        message_id = report(on, original("moved"))
        on.graph.tenant.move(REPORTING_MAILBOX, message_id, "junkemail")
        on.graph.tenant.move(REPORTING_MAILBOX, message_id, "inbox")
        await on.round()
        assert not await on.outcomes()
        await pass_time(on, timedelta(minutes=75), step=timedelta(minutes=5))
        assert (await only_row(on)).state is State.SETTLED


async def test_a_report_that_is_read_and_moved_is_known_again() -> None:
    """A changed flag or another folder makes no second row: the id is immutable."""
    async with stage() as on:
        message_id = report(on, original("handled"))
        await on.round()
        on.graph.control.mark_read(REPORTING_MAILBOX, message_id)
        await on.round()
        on.graph.tenant.move(REPORTING_MAILBOX, message_id, "archive")
        on.graph.tenant.move(REPORTING_MAILBOX, message_id, "inbox")
        outcomes = await on.finish(rows=1)
        assert (len(outcomes), posts(on)) == (1, 1)


async def test_a_report_deleted_before_the_first_look_leaves_no_trouble() -> None:
    """What is gone from the folder is told as removed and is nobody's report."""
    async with stage() as on:
        await on.round()
        message_id = report(on, original("gone"))
        on.graph.tenant.remove(REPORTING_MAILBOX, message_id)
        report(on, original("kept"))
        assert len(await on.finish(rows=1)) == 1


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_one_unreadable_attachment_is_deferred_and_given_up_alone(status: int) -> None:
    """Others of its page and of later pages go on; after a day its row says that it could not be read."""
    async with stage() as on:
        bad = report(on, original("bad"))
        on.graph.control.add_fault(answer_status(status, Scope(path=f"{quote(bad, safe='')}/attachments")))
        report(on, original("same-page"))
        await on.round()
        report(on, original("later"))
        await on.finish(rows=2)
        assert bad not in await rows_by_report(on)
        await pass_time(on, timedelta(hours=25), step=timedelta(minutes=30))
        row = (await rows_by_report(on))[bad]
        assert (row.state, row.state_reason) == (State.FAILED, "report_unavailable")


@pytest.mark.parametrize("status", [403, 500])
async def test_a_deferred_report_is_read_when_it_can_be(status: int) -> None:
    """A content that comes back within the day makes an ordinary row."""
    async with stage() as on:
        bad = report(on, original("bad"))
        where = Scope(path=rf"{quote(bad, safe='')}/attachments/.*value")
        handle = on.graph.control.add_fault(answer_status(status, where))
        await pass_time(on, timedelta(hours=3), step=timedelta(minutes=10))
        assert not await on.outcomes()
        on.graph.control.remove_fault(handle)
        assert (await on.finish(rows=1))[0].state is State.SETTLED


async def test_an_outage_of_days_gives_up_no_report() -> None:
    """While the whole mailbox is silent nothing is known of its deferred reports: they outlast it."""
    async with stage() as on:
        bad = report(on, original("bad"))
        handle = on.graph.control.add_fault(answer_status(500, Scope(path=f"{quote(bad, safe='')}/attachments")))
        await on.round()
        on.graph.control.start_outage(503)
        await pass_time(on, timedelta(hours=30), step=timedelta(minutes=30))
        on.graph.control.end_outage()
        on.graph.control.remove_fault(handle)
        assert (await on.finish(rows=1))[0].state is State.SETTLED


Handler = Callable[[web.Request], dict[str, object]]


@asynccontextmanager
async def small_graph(answer: Handler) -> AsyncIterator[GraphMail]:
    """The mailbox reader against a server that answers every GET with what `answer` returns."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(answer(request))  # type: ignore[arg-type] # a Request in all that is read here

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    transport = GraphTransport(base_url, graph_authentication(base_url, None))
    try:
        yield GraphMail(transport)
    finally:
        await transport.aclose()
        await runner.cleanup()


WHOLE = {
    "id": "AAk1",
    "subject": "3|x",
    "receivedDateTime": "2026-11-23T11:00:00Z",
    "from": {"emailAddress": {"address": "anna.berg@contoso.example"}},
}


@pytest.mark.parametrize("missing", ["subject", "receivedDateTime", "from"])
async def test_a_change_told_in_part_is_asked_for(missing: str) -> None:
    """Graph tells only the changed properties of a known mail: without the others a reporter would look untrusted."""
    part = {name: value for name, value in WHOLE.items() if name != missing}

    def answer(request: web.Request) -> dict[str, object]:
        if "delta" in request.path:
            return {"value": [part], "@odata.deltaLink": f"http://{request.host}/v1.0/next"}
        return dict(WHOLE)

    async with small_graph(answer) as mail:
        (head,) = (await mail.changes("box@contoso.example", "inbox", None)).reports
        assert (head.sender, head.subject) == ("anna.berg@contoso.example", "3|x")
        assert head.received_at == datetime(2026, 11, 23, 11, tzinfo=UTC)


async def test_attachments_told_oddly_are_still_attachments() -> None:
    """Missing names, sizes and types, and a type of the wrong form, stop nothing."""
    found = [{"id": "a"}, {"id": "b", "contentType": 12, "size": "many", "name": None}]
    async with small_graph(lambda _: {"value": found}) as mail:
        listed = await mail.attachments("box@contoso.example", "AAk1")
    plain = {"name": "", "content_type": None, "size_bytes": 0, "is_inline": False}
    assert listed == [Attachment(id=one, kind="file", **plain) for one in ("a", "b")]  # type: ignore[arg-type]
