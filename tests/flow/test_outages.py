"""An outage costs time and no row, whatever kind it is; a refusal of one row costs that row and no other."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.graph_simulator import MailItem
from local.graph_simulator.faults import Scope, answer_status, reset_connection
from local.memory_storage import MemoryTable
from shared.bootstrap import TABLES
from shared.codecs.submission_message import UnreadableMessage, read_message
from shared.domain.errors import NotSent
from shared.domain.model import Outcome, Source, State
from shared.domain.submissions import SubmissionOrder, ThreatSubmission
from shared.ports import Row, ThreatSubmissions, Write
from tests.support.reports import (
    BEN,
    ask,
    email_request,
    network_id,
    only_row,
    original,
    pass_time,
    posts,
    report,
    submissions,
    url_request,
)
from tests.support.stage import Stage, assert_feed_is_whole, stage

POST = Scope(method="POST")


class CutOff:
    """Graph cannot be reached for submissions until then."""

    def __init__(self, graph: ThreatSubmissions, on: Stage, until: datetime) -> None:
        self._graph, self._on, self.until, self.tries = graph, on, until, 0

    def __getattr__(self, name: str) -> Any:
        """Whatever is no submission goes through."""
        return getattr(self._graph, name)

    async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
        """Nothing leaves while there is no connection."""
        if self._on.clock.time < self.until:
            self.tries += 1
            raise NotSent("submit", code="ConnectError")
        return await self._graph.submit(order)


def cut_off(on: Stage, **span: float) -> CutOff:
    """Cut the app off for that long."""
    port: Any = CutOff(on.ports.submissions, on, on.clock.time + timedelta(**span))
    on.ports = replace(on.ports, submissions=port)
    on.start_process()
    cut: CutOff = port
    return cut


def ends(rows: Sequence[Outcome]) -> dict[State, int]:
    """How many rows are in each state."""
    return dict(Counter(row.state for row in rows))


@pytest.mark.parametrize("hours", [1, 5, 72])
async def test_rows_wait_while_there_is_no_connection(hours: float) -> None:
    """One is tried now and then, at no cost; all are sent when it is back, none is failed or sent twice."""
    async with stage() as on:
        for number in range(12):
            report(on, original(f"m-{number}"))
        port = cut_off(on, hours=hours)
        await pass_time(on, timedelta(hours=hours - 0.5), step=timedelta(minutes=5 if hours < 10 else 30))
        assert {row.state for row in await on.outcomes()} <= {State.PENDING, State.DISPATCHED}
        assert port.tries <= 12 + hours * 12
        await pass_time(on, timedelta(hours=1, minutes=30), step=timedelta(minutes=2))
        assert ends(await on.outcomes()) == {State.SETTLED: 12}
        assert len(submissions(on)) == posts(on) == 12
        assert_feed_is_whole(await on.outcomes(), await on.feed())


async def test_what_sent_nothing_uses_up_neither_window_nor_day() -> None:
    """With a small day: an urgent request goes as soon as the connection is back."""
    async with stage(QUOTA_PER_DAY="40") as on:
        for number in range(8):
            report(on, original(f"m-{number}"))
        port = cut_off(on, hours=4)
        await pass_time(on, timedelta(hours=4), step=timedelta(minutes=2))
        assert port.tries > 20
        await ask(on, url_request("urgent"))
        await pass_time(on, timedelta(minutes=15))
        assert len(submissions(on)) == 9


async def test_a_backlog_goes_in_order_after_an_outage() -> None:
    """Oldest first, however often which of them was tried meanwhile."""
    async with stage(QUOTA_PER_15_MIN="6", QUOTA_RESERVED_FOR_PEOPLE="1", QUOTA_RESERVED_FOR_URGENT="1") as on:
        for number in range(12):
            report(on, original(f"m-{number:02}", subject=f"mail {number:02}"), age=timedelta(minutes=60 - number))
        cut_off(on, hours=1)
        await pass_time(on, timedelta(hours=2, minutes=30), step=timedelta(minutes=1))
        sent = sorted(await on.outcomes(), key=lambda row: row.submitted_at or row.received_at)
        assert [row.subject for row in sent] == [f"mail {number:02}" for number in range(12)]


@pytest.mark.parametrize("status", [400, 404, 503])
async def test_what_refuses_everything_rejects_and_fails_nothing(status: int) -> None:
    """For two hours every POST gets the same answer: after it all are sent, once."""
    async with stage() as on:
        for number in range(40):
            report(on, original(f"m-{number}"))
        await ask(on, *(url_request(f"u-{number}") for number in range(4)))
        fault = on.graph.control.add_fault(answer_status(status, POST))
        await pass_time(on, timedelta(hours=2), step=timedelta(minutes=2))
        assert posts(on) < 60
        on.graph.control.remove_fault(fault)
        await pass_time(on, timedelta(hours=1), step=timedelta(minutes=2))
        rows = await on.outcomes()
        assert ends(rows) == {State.SETTLED: 44}
        assert len(submissions(on)) == 44
        assert not any(one.state in (State.FAILED, State.REJECTED) for one in rows)
        events = {(row["Event"], row["SubmissionId"]) for row in await on.feed()}
        assert not [one for one in events if one[0] in ("failed", "rejected")]


async def test_one_refused_row_is_rejected_once_another_is_accepted() -> None:
    """It waits until then: a refusal of one looks like the first one of all. Microsoft's words stay with it."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        report(on, original("bad"))
        await pass_time(on, timedelta(minutes=6))
        row = await only_row(on)
        assert (row.state, row.state_reason, row.attempts) == (State.PENDING, "refused_by_microsoft", 1)
        report(on, original("good"))
        await pass_time(on, timedelta(minutes=6))
        (bad,) = [one for one in await on.outcomes() if one.key == row.key]
        assert (bad.state, bad.state_reason) == (State.REJECTED, "refused_by_microsoft")
        assert bad.error_code is not None
        assert bad.error_request_id is not None
        assert posts(on) == 2


async def test_a_row_that_is_refused_alone_is_rejected_after_a_day() -> None:
    """Nothing else is sent in this tenant: it is tried again within what Microsoft admits, then it ends."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(404, POST))
        report(on, original("bad"))
        await pass_time(on, timedelta(hours=23), step=timedelta(minutes=10))
        assert (await only_row(on)).state is State.PENDING
        await pass_time(on, timedelta(hours=2), step=timedelta(minutes=10))
        assert (await only_row(on)).state is State.REJECTED
        assert posts(on) <= 4


class SilentTable(MemoryTable):
    """A table that answers nothing but 503 while the stage says so."""

    on: Stage
    until: datetime

    def _answer(self) -> None:
        if self.on.clock.time < self.until:
            raise ConnectionError("503 ServerBusy")

    async def get(self, partition: str, row: str) -> Row | None:
        """Answer, or not."""
        self._answer()
        return await super().get(partition, row)

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Answer, or not."""
        self._answer()
        return await super().write_all(writes)

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[Row]:
        """Answer, or not."""
        self._answer()
        async for row in super().scan(*args, **kwargs):
            yield row


def failing(handle: Callable[[str], Awaitable[object]]) -> Callable[[str], Awaitable[None]]:
    """The handler, its failure told as the stage knows it: the message comes again."""

    async def run(body: str) -> None:
        try:
            await handle(body)
        except ConnectionError:
            raise UnreadableMessage from None

    return run


async def round_in_trouble(on: Stage) -> None:
    """One round of every function, each of which may fail."""
    app = on.app
    for timer in (app.collect_reports, app.dispatch, app.settle_outcomes):
        with suppress(ConnectionError):
            await timer.run()
    await on.deliver("manual-submissions", failing(app.intake_manual.run))
    await on.deliver("submissions", failing(lambda body: app.submit.run(read_message(body))))
    await on.deliver("manual-submissions-poison", app.record_poison_manual.run)
    await on.deliver("submissions-poison", app.record_poison_submission.run)


@pytest.mark.expects_error_log
@pytest.mark.parametrize("begins_after_s", [0, 40])
async def test_ten_minutes_without_tables_fail_nobody(begins_after_s: int) -> None:
    """Operators' messages and reports wait, and are settled after it; nothing is sent twice."""
    async with stage() as on:
        tables = {name: SilentTable() for name in TABLES}
        for table in tables.values():
            table.on, table.until = on, on.clock.time
        on.ports = replace(on.ports, tables=dict(tables))
        on.start_process()
        await ask(on, *(url_request(f"u-{number}", requestId=f"case-{number}") for number in range(6)))
        for number in range(6):
            report(on, original(f"m-{number}"))
        if begins_after_s:
            await round_in_trouble(on)
            on.clock.advance(seconds=begins_after_s)
        for table in tables.values():
            table.until = on.clock.time + timedelta(minutes=10)
        for _ in range(120):
            await round_in_trouble(on)
            on.clock.advance(seconds=31)
        assert ends(await on.outcomes()) == {State.SETTLED: 12}
        assert len(submissions(on)) == 12
        assert_feed_is_whole(await on.outcomes(), await on.feed())


# A mail that could not be read when it was asked for.


def put_mail(on: Stage, *, app_may_read: bool) -> tuple[bytes, str]:
    """Ben has a mail; returns it, and its regular id."""
    content = original("ferry", recipient=BEN)
    on.graph.tenant.add_mailbox(BEN, app_may_read=app_may_read)
    mail = MailItem(
        from_address="desk@parcel-lure.test",
        subject="Your parcel",
        received_at=on.clock.time,
        internet_message_id="<ferry@parcel-lure.test>",
        to_addresses=(BEN,),
        headers=(("X-MS-Exchange-Organization-Network-Message-Id", network_id("ferry")),),
        mime=content,
    )
    return content, on.graph.tenant.read_regular_id(BEN, on.graph.tenant.deliver(BEN, mail))


def by_id(mail_id: str) -> dict[str, object]:
    """A request for Ben's mail by its place."""
    return email_request({"mailbox": BEN, "messageId": mail_id}, recipient=BEN, requestId="by-id")


async def test_a_429_of_an_unknown_item_makes_nobody_else_wait() -> None:
    """The mail was reported, and is asked for by its place: Microsoft refuses it for 15 minutes, and others go on."""
    async with stage() as on:
        content, mail_id = put_mail(on, app_may_read=False)
        report(on, content, reporter=BEN)
        await on.round()
        await ask(on, by_id(mail_id))
        await pass_time(on, timedelta(minutes=1))
        await ask(on, url_request("one", requestId="b"), url_request("two", requestId="c"))
        asked_at = on.clock.time
        rows = await on.finish(rows=4, step=timedelta(minutes=1))
        waited = [row.submitted_at - asked_at for row in rows if row.url and row.submitted_at]
        assert len(waited) == 2
        assert max(waited) < timedelta(minutes=2)
        assert [one.status for one in on.graph.log.select(method="POST")].count(429) == 1


async def test_a_mail_that_can_be_read_by_now_is_known_before_it_is_sent() -> None:
    """Intake could not look it up; when its turn comes it can be, and the report of it speaks for both."""
    async with stage() as on:
        content, mail_id = put_mail(on, app_may_read=True)
        silence = on.graph.control.add_fault(answer_status(503, Scope(method="GET", path=mail_id)))
        report(on, content, reporter=BEN)
        await on.app.collect_reports.run()
        await ask(on, by_id(mail_id))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        on.graph.control.remove_fault(silence)
        rows = await on.finish(rows=2)
        assert {row.state for row in rows} == {State.SETTLED}
        assert posts(on) == 1
        asked_for = next(row for row in rows if row.source is Source.MANUAL)
        assert asked_for.network_message_id == network_id("ferry")
        assert_feed_is_whole(rows, await on.feed())


async def test_a_lost_post_of_one_row_counts_while_others_are_accepted() -> None:
    """Three POSTs that have no effect, each while another row is accepted: the row fails, replayable."""
    async with stage() as on:
        report(on, original("lost"))
        on.graph.control.add_fault(reset_connection(Scope(method="POST", path="emailThreats")))
        for number in range(12):
            await pass_time(on, timedelta(minutes=8))
            await ask(on, url_request(f"other-{number}"))
        row = next(one for one in await on.outcomes() if one.source is Source.MAILBOX)
        assert (row.state, row.state_reason) == (State.FAILED, "no_effect")
