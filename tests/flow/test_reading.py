"""Reading reports: whatever one of them, a mailbox or storage does, the others are read in time; nothing is lost."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, cast
from urllib.parse import quote

import pytest

from local.graph_simulator import MailTraps
from local.graph_simulator.faults import Fault, FaultKind, Scope, answer_status, throttle
from local.memory_storage import MemoryTable
from local.sample_tenant import REPORTING_MAILBOX
from shared.domain import keys
from shared.domain.errors import AnswerLost, Gone, Throttled
from shared.domain.model import State
from shared.ports import BlobStore, Insert, MailSource, Replace, ReportPage, Table, Write
from shared.stores.checkpoints import CheckpointStore
from tests.support.reports import (
    ANNA,
    BEN,
    events,
    listen,
    network_id,
    only_row,
    original,
    report,
    rows_by_report,
)
from tests.support.stage import ProcessStoppedError, Stage, assert_feed_is_whole, stage

OTHER_MAILBOX = "phish@contoso.example"
LONGEST_RUN = timedelta(minutes=5)
USUAL = f"users/{REPORTING_MAILBOX.partition('@')[0]}(@|%40)"
"""Requests to the usual mailbox, in both ways in which its address is written."""


class BrokenError(Exception):
    """A bug of ours, or what storage says that nobody has thought of."""


class Around:
    """A port with some of its methods replaced."""

    def __init__(self, port: Any, **methods: Callable[..., Any]) -> None:
        self._port = port
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._port, name)


def with_mail(on: Stage, **methods: Callable[..., Any]) -> None:
    """Let the mailboxes answer so, from the next process on."""
    on.ports = replace(on.ports, mail=cast(MailSource, Around(on.ports.mail, **methods)))
    on.start_process()


two_mailboxes = partial(stage, REPORTING_MAILBOXES=f"{REPORTING_MAILBOX},{OTHER_MAILBOX}")
"""A stage with another mailbox behind the usual one."""


async def collect(on: Stage, times: int = 1, every: timedelta = timedelta(minutes=2)) -> None:
    """Let the timer run so often."""
    for _ in range(times):
        await on.app.collect_reports.run()
        on.clock.time += every


async def checkpoint_moves(on: Stage) -> bool:
    """Whether the folder's checkpoint has a place to go on from."""
    found = (await CheckpointStore(on.ports.tables["runstate"]).read(REPORTING_MAILBOX, "inbox")).checkpoint
    return found is not None and found.resume is not None


# --- One report -------------------------------------------------------------------------------------------------------


def break_on(on: Stage, bad: str, error: Exception) -> None:
    """Let the reading of one report raise."""
    inner = on.ports.mail.outline

    async def outline(mailbox: str, message_id: str) -> Any:
        if message_id == bad:
            raise error
        return await inner(mailbox, message_id)

    with_mail(on, outline=outline)


@pytest.mark.parametrize("error", [BrokenError("a bug"), RecursionError(), TimeoutError()], ids=repr)
async def test_a_report_that_raises_is_told_and_fails_alone(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Those before, beside and after it have their rows at once; at last it has one as well, that can be replayed."""
    listen(caplog)
    async with stage() as on:
        before, bad = report(on, original("before")), report(on, original("bad"))
        break_on(on, bad, error)
        await collect(on)
        after = report(on, original("after"))
        await collect(on)
        assert set(await rows_by_report(on)) == {before, after}
        assert await checkpoint_moves(on)
        assert "report_deferred" in events(caplog)
        await collect(on, times=30, every=timedelta(hours=1))
        row = (await rows_by_report(on))[bad]
        is_outside = isinstance(error, TimeoutError)
        assert (row.state, row.state_reason) == (
            State.FAILED,
            "report_unavailable" if is_outside else "report_unreadable",
        )
        assert row.error_code == type(error).__name__


async def test_a_report_that_is_readable_again_is_read() -> None:
    """A deployment that mends the reader is enough: within the hours in which it is tried, nobody has to replay."""
    async with stage() as on:
        bad = report(on, original("bad"))
        mended = on.ports
        break_on(on, bad, BrokenError("a bug"))
        await collect(on, times=60)
        assert not await on.outcomes()
        on.ports = mended
        on.start_process()
        await collect(on, times=10)
        assert (await only_row(on)).state is State.PENDING


@dataclass
class Picky:
    """A table or container that does not take one row or blob."""

    port: Any
    refuses: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    async def write(self, write: Write) -> str:
        """Do one write, unless it holds what is refused."""
        self._check([write])
        return cast(str, await self.port.write(write))

    async def write_all(self, writes: list[Write]) -> list[str]:
        """Do all writes, unless one of them holds what is refused."""
        self._check(writes)
        return cast(list[str], await self.port.write_all(writes))

    async def put(self, name: str, content: bytes) -> None:
        """Write a blob, unless it holds what is refused."""
        if self.refuses.encode() in content:
            raise BrokenError("413")
        await self.port.put(name, content)

    def _check(self, writes: list[Write]) -> None:
        written = [one.entity for one in writes if isinstance(one, Insert | Replace)]
        if any(self.refuses in str(entity) and "Failed" not in str(entity) for entity in written):
            raise BrokenError("400")


@pytest.mark.parametrize("place", ["items", "outcomes", "outcomelog", "worklist", "evidence"])
async def test_a_row_that_storage_does_not_take_holds_up_no_other(place: str) -> None:
    """A page of reports, one of which cannot be stored in one of the places: the others have whole rows at once."""
    async with stage() as on:
        bad = original("bad", internet_id="<cursed@parcel-lure.test>")
        names = [report(on, original(f"mail-{number}")) for number in range(3)]
        bad_id = report(on, bad)
        names += [report(on, original(f"mail-{number}")) for number in range(3, 7)]
        tables, containers = dict(on.ports.tables), dict(on.ports.containers)
        if place == "evidence":
            containers[place] = cast(BlobStore, Picky(containers[place], "cursed@"))
        elif place == "items":
            item = keys.email_item(network_id("bad"), "<cursed@parcel-lure.test>", "", ANNA)
            tables[place] = cast(Table, Picky(tables[place], item))
        else:
            tables[place] = cast(Table, Picky(tables[place], "cursed@"))
        true_ports, on.ports = on.ports, replace(on.ports, tables=tables, containers=containers)
        on.start_process()
        on.ports = true_ports
        await collect(on)
        rows = await rows_by_report(on)
        assert set(names) <= set(rows)
        assert {rows[one].state for one in names} == {State.PENDING}
        assert len([row for row in await on.rows("worklist") if str(row["RowKey"]).startswith("1-")]) >= len(names)
        assert await checkpoint_moves(on)
        late = report(on, original("late"), reporter=BEN)
        await collect(on)
        assert late in await rows_by_report(on)
        if place in {"items", "evidence"}:
            await collect(on, times=12, every=timedelta(hours=1))
            row = (await rows_by_report(on))[bad_id]
            assert (row.state, row.state_reason, row.error_code) == (
                State.FAILED,
                "report_unreadable",
                "BrokenError",
            )


@pytest.mark.parametrize("minutes", [1, 5, 40])
async def test_a_mail_that_is_not_found_for_a_while_is_read(minutes: int) -> None:
    """404 for some time after it arrived is seen in the field: within the hour it is read like any other."""
    async with stage() as on:
        young = report(on, original("young"))
        where = Scope(path=f"{quote(young, safe='')}/")
        handle = on.graph.control.add_fault(answer_status(404, where, code="ErrorItemNotFound"))
        await collect(on, times=minutes, every=timedelta(minutes=1))
        on.graph.control.remove_fault(handle)
        await collect(on, times=20, every=timedelta(minutes=1))
        assert (await only_row(on)).state is State.PENDING


async def test_a_report_whose_reading_ends_the_process_does_not_do_so_for_ever() -> None:
    """Each try is counted before it begins: after five of them its row is failed, and the others never waited long."""
    async with stage() as on:
        ids = [report(on, original(f"mail-{number}")) for number in range(20)]
        killer, kills = ids[7], 0
        inner = on.ports.mail.outline

        async def outline(mailbox: str, message_id: str) -> Any:
            nonlocal kills
            if message_id == killer:
                kills += 1
                raise ProcessStoppedError
            return await inner(mailbox, message_id)

        with_mail(on, outline=outline)
        for _ in range(24):
            with suppress(ProcessStoppedError):
                await on.app.collect_reports.run()
            on.start_process()
            on.clock.advance(minutes=10)
        rows = await rows_by_report(on)
        assert set(rows) == set(ids)
        assert (rows[killer].state, rows[killer].state_reason) == (State.FAILED, "report_unreadable")
        assert {row.state for message_id, row in rows.items() if message_id != killer} == {State.PENDING}
        assert kills <= 6


# --- One mailbox ------------------------------------------------------------------------------------------------------


@pytest.mark.expects_error_log
async def test_a_mailbox_whose_checkpoint_cannot_be_read_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is told as an error of ours, by the mailbox's fingerprint; the run itself ends well."""
    listen(caplog)
    async with two_mailboxes() as on:
        on.graph.tenant.add_mailbox(OTHER_MAILBOX)
        await collect(on)
        runstate = on.ports.tables["runstate"]
        assert isinstance(runstate, MemoryTable)
        (row, _) = [one for one in runstate.rows() if one["RowKey"] == "checkpoint"]
        await runstate.write(Replace({**row, "SavedAt": "no time"}))
        ids = {report(on, original("one")), report(on, original("two"), mailbox=OTHER_MAILBOX)}
        await collect(on)
        assert len(ids & set(await rows_by_report(on))) == 1
        assert events(caplog).count("mailbox_failed") == 1


@pytest.mark.expects_error_log
async def test_a_run_in_which_no_mailbox_could_be_read_has_failed() -> None:
    """Nothing else would tell that collecting stands still."""
    async with stage() as on:
        await collect(on)
        runstate = on.ports.tables["runstate"]
        assert isinstance(runstate, MemoryTable)
        (row,) = [one for one in runstate.rows() if one["RowKey"] == "checkpoint"]
        await runstate.write(Replace({**row, "SavedAt": "no time"}))
        with pytest.raises(TypeError):
            await on.app.collect_reports.run()


async def test_a_mailbox_that_refuses_rests_until_retry_after_and_the_others_go_on() -> None:
    """One request, then none for ten minutes, over several runs and another process; then it is read to its end."""
    async with two_mailboxes() as on:
        on.graph.tenant.add_mailbox(OTHER_MAILBOX)
        waiting = [report(on, original(f"here-{number}")) for number in range(5)]
        await collect(on)
        where = Scope(path=USUAL)
        handle = on.graph.control.add_fault(throttle("600", where))
        waiting += [report(on, original(f"later-{number}")) for number in range(5)]
        seen = asked(on)
        await collect(on)
        assert asked(on) == seen + 1
        on.graph.control.remove_fault(handle)
        on.start_process()
        there = report(on, original("there"), mailbox=OTHER_MAILBOX)
        await collect(on, times=3)
        assert asked(on) == seen + 1
        assert there in await rows_by_report(on)
        on.clock.advance(minutes=10)
        await collect(on, times=2)
        assert set(waiting) <= set(await rows_by_report(on))


def asked(on: Stage) -> int:
    """How many requests to the usual mailbox were made."""
    return len(on.graph.log.select(path=USUAL))


@pytest.mark.parametrize(("retry_after", "most"), [("60", 10), ("1", 40)])
async def test_a_mailbox_that_goes_on_refusing_is_asked_about_once_a_run(retry_after: str, most: int) -> None:
    """Retry-After after Retry-After: nothing else is asked for, and a short rest is waited for three times a run."""
    async with stage() as on:
        for number in range(30):
            report(on, original(f"mail-{number}"))
        await collect(on)
        for number in range(30):
            report(on, original(f"more-{number}"))
        on.graph.control.add_fault(throttle(retry_after, Scope(path=USUAL)))
        seen = asked(on)
        await collect(on, times=10)
        assert 10 <= asked(on) - seen <= most
        assert len(await rows_by_report(on)) == 30


@dataclass
class FourAtOnce:
    """A mailbox that answers four requests at a time, of which somebody else has some: the fifth is refused."""

    taken_by_others: int
    under_way: int = 0
    most: int = 0
    refusals: int = 0

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, refused where it is one too many."""

        async def guarded(*args: Any) -> Any:
            if self.under_way + self.taken_by_others >= 4:
                self.refusals += 1
                raise Throttled("read", status=429, code="ApplicationThrottled", retry_after_s=1)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                await asyncio.sleep(0.001)
                return await call(*args)
            finally:
                self.under_way -= 1

        return guarded


@pytest.mark.parametrize("others", [0, 1, 3])
async def test_what_outlook_refuses_is_what_slows_reading_down(others: int) -> None:
    """Other workers may use some of its four requests: everything is read all the same, with a refusal now and then."""
    async with stage() as on:
        ids = {report(on, original(f"mail-{number}")) for number in range(40)}
        outlook = FourAtOnce(others)
        names = ("changes", "listed", "outline", "attachment_content")
        with_mail(on, **{name: outlook.guard(getattr(on.ports.mail, name)) for name in names})
        await collect(on, times=12)
        assert set(await rows_by_report(on)) == ids
        assert outlook.most == 4 - others
        assert outlook.refusals <= 80


# --- Time -------------------------------------------------------------------------------------------------------------


def slow(on: Stage, call: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    """The call, which takes so long."""

    async def wait(*args: Any) -> Any:
        on.clock.advance(seconds=seconds)
        return await call(*args)

    return wait


async def run_time(on: Stage) -> timedelta:
    """How long one run takes."""
    began_at = on.clock.time
    await on.app.collect_reports.run()
    return on.clock.time - began_at


async def test_a_long_folder_leaves_the_others_their_turn() -> None:
    """A first read of thousands of mails: another folder's report is a row after a page of them, in the same run."""
    async with two_mailboxes() as on:
        on.graph.tenant.add_mailbox(OTHER_MAILBOX)
        inner = on.ports.mail.changes
        pages: list[str] = []
        rows_at: list[int] = []

        async def changes(mailbox: str, folder: str, resume: str | None) -> ReportPage:
            if mailbox == OTHER_MAILBOX:
                return await inner(mailbox, folder, resume)
            on.clock.advance(seconds=10)
            pages.append(mailbox)
            rows_at.append(len(await on.outcomes()))
            return ReportPage((), f"page {len(pages)}", len(pages) >= 1_000)

        with_mail(on, changes=changes)
        report(on, original("short"), mailbox=OTHER_MAILBOX)
        assert await run_time(on) <= LONGEST_RUN
        assert rows_at.index(1) <= 2


async def test_the_folder_that_was_read_longest_ago_comes_first() -> None:
    """Twenty folders whose pages take half a minute each: all of them have had a turn after three runs."""
    boxes = [f"box{number}@contoso.example" for number in range(20)]
    async with stage(REPORTING_MAILBOXES=",".join(boxes)) as on:
        for box in boxes:
            on.graph.tenant.add_mailbox(box)
            report(on, original(box), mailbox=box)
        with_mail(on, changes=slow(on, on.ports.mail.changes, 30))
        for _ in range(3):
            assert await run_time(on) <= LONGEST_RUN
            on.clock.advance(seconds=30)
        assert {row.mailbox for row in await on.outcomes()} == set(boxes)


@pytest.mark.parametrize("hours", [0.1, 2])
async def test_a_run_ends_in_time_and_the_next_one_goes_on(hours: float) -> None:
    """Many reports, seven seconds each: no run is longer than five minutes, and each makes rows."""
    async with stage() as on:
        await collect(on)
        ids = {report(on, original(f"mail-{number}")) for number in range(120)}
        on.clock.advance(hours=hours)
        with_mail(on, outline=slow(on, on.ports.mail.outline, 7))
        rows, runs = 0, 0
        while rows < len(ids):
            assert await run_time(on) <= LONGEST_RUN
            on.clock.advance(seconds=10)
            before, rows = rows, len(await on.outcomes())
            assert rows - before >= 20 or rows == len(ids)
            runs += 1
        assert runs <= 6
        assert {row.state for row in await on.outcomes()} == {State.PENDING}


async def test_a_page_that_is_not_read_to_its_end_is_not_read_again() -> None:
    """What there was no time for is deferred, and the feed goes on behind it: one slow mail costs no second reading."""
    async with stage() as on:
        await collect(on)
        for number in range(50):
            report(on, original(f"mail-{number}"))
        with_mail(on, outline=slow(on, on.ports.mail.outline, 15))
        await run_time(on)
        assert 0 < len(await on.outcomes()) < 50
        assert await checkpoint_moves(on)
        read = len(on.graph.log.select(path="/messages/(?!delta)[^/]+$"))
        await collect(on, times=6)
        assert len(await on.outcomes()) == 50
        assert len(on.graph.log.select(path="/messages/(?!delta)[^/]+$")) == 50 > read


async def test_three_workers_that_collect_at_once_make_each_row_once() -> None:
    """A platform that redeploys has two for a while: they read the same pages, and disturb each other at nothing."""
    async with stage() as on:
        ids = {report(on, original(f"mail-{number}")) for number in range(60)}
        bad = report(on, original("bad"))
        on.graph.control.add_fault(answer_status(500, Scope(path=f"{quote(bad, safe='')}/attachments")))
        workers = [on.start_process() for _ in range(3)]
        for hours in (0, 0, 7, 20):
            on.clock.advance(hours=hours, minutes=3)
            await asyncio.gather(*(one.collect_reports.run() for one in workers))
        rows = await rows_by_report(on)
        assert set(rows) == {*ids, bad}
        assert len(await on.outcomes()) == 61
        assert rows[bad].state is State.FAILED
        waiting = [str(row["RowKey"])[-32:] for row in await on.rows("worklist") if str(row["RowKey"])[0] == "1"]
        assert sorted(waiting) == sorted(rows[one].key.submission_id for one in ids)
        assert_feed_is_whole(list(rows.values()), await on.feed())


# --- Mails that the feed does not tell --------------------------------------------------------------------------------


async def move_in(on: Stage, name: str, age: timedelta) -> str:
    """A report that comes into the folder from elsewhere, so long after it was received."""
    message_id = report(on, original(name), age=age)
    on.graph.tenant.move(REPORTING_MAILBOX, message_id, "archive")
    on.graph.tenant.move(REPORTING_MAILBOX, message_id, "inbox")
    return message_id


HIDDEN = MailTraps(hide_moved_from_immutable=True)
"""With immutable ids, mail that was moved into a folder is missing from its feed (microsoft-graph-docs issue 21752)."""


@pytest.mark.parametrize("days", [0.2, 3, 29])
async def test_a_report_that_is_moved_into_the_folder_after_days_is_found(days: float) -> None:
    """Within hours, however old it is by then."""
    async with stage() as on:
        on.graph.control.set_mail_traps(HIDDEN)
        for number in range(3):
            report(on, original(f"mail-{number}"), age=timedelta(days=10))
        await collect(on)
        moved = await move_in(on, "moved", timedelta(days=days))
        await collect(on)
        assert moved not in await rows_by_report(on)
        await collect(on, times=15, every=timedelta(minutes=30))
        assert (await rows_by_report(on))[moved].state is State.PENDING
        assert len(await on.outcomes()) == 4


async def test_a_folder_of_many_mails_is_listed_over_several_turns_and_asks_for_no_known_row() -> None:
    """What stood there at the last list is known by its id alone: the list costs a request for 200 mails."""
    async with stage() as on:
        on.graph.control.set_mail_traps(HIDDEN)
        for number in range(450):
            report(on, original(f"mail-{number}"), reporter="stranger@elsewhere.test", age=timedelta(days=5))
        await collect(on, times=4)
        assert len(await on.outcomes()) == 450
        on.clock.advance(hours=6)
        gets = counted_gets(on)
        moved = await move_in(on, "moved", timedelta(days=9))
        before = len(on.graph.log.select(path="messages$"))
        await collect(on)
        assert moved in await rows_by_report(on)
        assert len(on.graph.log.select(path="messages$")) - before == 3
        assert len(gets) <= 10


def counted_gets(on: Stage) -> list[str]:
    """The rows of `outcomes` that are asked for from the next process on."""
    gets: list[str] = []
    inner = on.ports.tables["outcomes"]

    async def get(partition: str, row: str) -> Any:
        gets.append(row)
        return await inner.get(partition, row)

    tables = {**on.ports.tables, "outcomes": cast(Table, Around(inner, get=get))}
    true_ports, on.ports = on.ports, replace(on.ports, tables=tables)
    on.start_process()
    on.ports = true_ports
    return gets


async def test_reports_whose_rows_were_deleted_are_not_collected_again() -> None:
    """An administrator or retention deletes a day of outcomes; the reports still stand in the mailbox."""
    async with stage() as on:
        for number in range(3):
            report(on, original(f"mail-{number}"), age=timedelta(days=5))
        await collect(on)
        outcomes = on.ports.tables["outcomes"]
        assert isinstance(outcomes, MemoryTable)
        outcomes._partitions.clear()
        await collect(on, times=60, every=timedelta(hours=1))
        assert not await on.outcomes()


# --- Faults of Graph within a list ------------------------------------------------------------------------------------


async def test_a_list_that_fails_costs_an_event_and_the_feed_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """The mailbox answers its feed: that it cannot be listed holds up no report."""
    listen(caplog)
    async with stage() as on:
        on.graph.control.add_fault(Fault(FaultKind.STATUS, Scope(path="messages\\?.*filter"), status=500))
        ids = {report(on, original("one"))}
        await collect(on)
        ids.add(report(on, original("two")))
        await collect(on, times=2)
        assert set(await rows_by_report(on)) == ids
        assert events(caplog).count("mailbox_unreachable") == 1


async def test_everything_that_was_deferred_ends_in_rows() -> None:
    """Storage fails half way through a run: what it left is read by the next ones, once each."""
    async with stage() as on:
        ids = {report(on, original(f"mail-{number}")) for number in range(60)}
        inner = on.ports.tables["worklist"]
        broken = [True]

        async def write_all(writes: list[Write]) -> list[str]:
            if broken[0]:
                raise BrokenError("503")
            return await inner.write_all(writes)

        tables = {**on.ports.tables, "worklist": cast(Table, Around(inner, write_all=write_all))}
        true_ports, on.ports = on.ports, replace(on.ports, tables=tables)
        on.start_process()
        on.ports = true_ports
        await collect(on, times=3)
        broken[0] = False
        await collect(on, times=12, every=timedelta(minutes=5))
        rows = await rows_by_report(on)
        assert set(rows) == ids
        waiting = [row for row in await on.rows("worklist") if str(row["RowKey"]).startswith("1-")]
        assert len(waiting) == 60


async def test_a_feed_that_begins_anew_takes_no_row_for_whole_that_a_stop_left_half_done() -> None:
    """The checkpoint was saved since, but for pages before it: what is looked at closely begins where all was read."""
    async with stage() as on:
        ids = {report(on, original(f"mail-{number}")) for number in range(60)}
        inner, written = on.ports.tables["worklist"], list[int]()

        async def write_all(writes: list[Write]) -> list[str]:
            written.append(len(writes))
            if sum(written) > 50:
                raise ProcessStoppedError
            return await inner.write_all(writes)

        tables = {**on.ports.tables, "worklist": cast(Table, Around(inner, write_all=write_all))}
        true_ports, on.ports = on.ports, replace(on.ports, tables=tables)
        on.start_process()
        on.ports = true_ports
        with suppress(ProcessStoppedError):
            await collect(on)
        on.start_process()
        assert len(await on.outcomes()) == 60, "the last rows stand, and lack their entries"
        on.clock.advance(minutes=10)
        true_mail = on.ports.mail

        async def changes(mailbox: str, folder: str, resume: str | None) -> ReportPage:
            if resume is not None:
                asked.append(resume)
                raise Gone("changes", 410) if len(asked) == 1 else AnswerLost("changes")
            return await true_mail.changes(mailbox, folder, None)

        asked = list[str]()
        with_mail(on, changes=changes)
        await collect(on)
        assert len(asked) == 2, "the first page was read, the second was not"
        on.clock.advance(minutes=10)
        on.ports = replace(on.ports, mail=true_mail)
        on.start_process()
        await collect(on, times=3)
        assert set(await rows_by_report(on)) == ids
        waiting = [row for row in await on.rows("worklist") if str(row["RowKey"])[:2] in ("1-", "2-")]
        assert len(waiting) == 60
