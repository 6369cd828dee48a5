"""What stops, overlaps and bad rows leave behind a replay does no harm later: nothing goes twice, nothing is stuck."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from local.graph_simulator.faults import Fault, FaultKind, Scope, answer_status
from shared.bootstrap import TABLES
from shared.domain.errors import AnswerLost
from shared.domain.model import Outcome, State
from shared.ports import Delete, Replace, Table, Write
from tests.flow.test_campaigns import lure, person, report_lures
from tests.flow.test_covering import upload
from tests.flow.test_replay import refused_row, upload_late
from tests.flow.test_replay_races import Turns, TurnTable, switch_at
from tests.flow.test_replay_stops import lose_the_answer, never_found
from tests.support.replays import ask_again, replays, row_of
from tests.support.reports import (
    BEN,
    ask,
    email_request,
    only_row,
    original,
    report,
    rows_by_report,
    submissions,
    url_request,
)
from tests.support.stage import ProcessStoppedError, Stage, Steps, stage

ROW_WRITTEN = "table outcomes.write"


@dataclass
class StopAfter(Steps):
    """Stops the process right after its first call of a name."""

    name: str = ROW_WRITTEN

    async def take(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Do the call, and end there if it is the one."""
        result = await super().take(name, call)
        if name == self.name:
            self.is_stopped = True
            raise ProcessStoppedError
        return result


async def settle_until(on: Stage, call: str = ROW_WRITTEN) -> None:
    """Settle in a process that stops after that call, and begin another."""
    on.start_process(StopAfter(name=call))
    with pytest.raises(ProcessStoppedError):
        await on.app.settle_outcomes.run()
    on.start_process()


async def entries(on: Stage) -> list[str]:
    """The entries of the worklist."""
    keys = [str(row["RowKey"]) for row in await on.rows("worklist")]
    return [key for key in keys if key[0] != "0"]


async def unavailable(on: Stage, count: int = 1) -> list[Outcome]:
    """Reports that Graph did not give."""
    fault = answer_status(404, Scope(path="attachments", method="GET"))
    on.graph.control.add_fault(fault)
    before = len(await on.outcomes())
    for number in range(count):
        report(on, original(f"r{number}"), age=timedelta(minutes=30))
    rows = await on.finish(rows=before + count)
    on.graph.control.clear_faults()
    return [one for one in rows if one.state_reason == "report_unavailable"]


async def send_and_lose_the_answer(on: Stage) -> None:
    """Submit what waits, and cut its answer off after its effect."""
    on.graph.control.add_fault(Fault(FaultKind.RESET, Scope(method="POST", times=1), after_effect=True))
    await on.app.dispatch.run()
    await on.deliver_submissions()
    assert (await only_row(on)).state is State.UNCERTAIN


async def test_a_request_that_comes_again_behind_a_stop_is_not_sent_twice() -> None:
    """The kept entry that the stop left knows nothing of the POST since: the one that does stays."""
    async with stage() as on:
        row = await upload_late(on)
        on.clock.advance(minutes=30)
        await upload(on, original("twin"))
        await ask_again(on, row)
        await settle_until(on)
        await ask(on, email_request({"content": "case.eml"}, requestId="case-1"))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        await send_and_lose_the_answer(on)
        on.clock.advance(minutes=1)
        (settled,) = await on.finish(rows=1)
        assert settled.state is State.SETTLED
        assert len(submissions(on)) == 1
        assert await entries(on) == []


async def test_a_report_that_is_listed_again_behind_a_stop_is_not_sent_twice() -> None:
    """As above, with a report whose folder is read from its beginning."""
    async with stage(is_busy=True) as on:
        await ask_again(on, *await unavailable(on))
        await settle_until(on)
        on.graph.control.add_fault(answer_status(410, Scope(path="delta", method="GET", times=1)))
        await on.app.collect_reports.run()
        await on.app.settle_outcomes.run()
        await send_and_lose_the_answer(on)
        await on.finish(rows=1)
        assert len(submissions(on)) == 1
        assert await entries(on) == []


@pytest.mark.parametrize("call", range(12))
async def test_two_settle_runs_at_once_leave_nothing_that_is_sent_again(call: int) -> None:
    """Also where a second administrator asks late, with the version of before."""
    turns = Turns(switch_at("replay", call, 1000))
    async with stage(is_busy=True) as on:
        on.ports = replace(on.ports, tables={name: TurnTable(turns) for name in TABLES})
        on.start_process()
        row = await refused_row(on)
        (first,) = await ask_again(on, row)
        other, mine = on.app.settle_outcomes, on.start_process().settle_outcomes
        await turns.play(mine.run(), other.run())
        on.clock.advance(minutes=16)
        assert not [key for key in await entries(on) if key[0] == "9"]
        await send_and_lose_the_answer(on)
        await replays(on).ask([replace(first, asked_at=on.clock.now())])
        await on.finish(rows=1)
        assert len(submissions(on)) == 1
        assert await entries(on) == []


@pytest.mark.parametrize("representatives", ["1", "3"])
async def test_two_rows_never_wait_for_each_other(representatives: str) -> None:
    """One has the other's item, the other the first one's campaign: one of the two goes."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES=representatives) as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        report(on, lure(0), reporter=person(0))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        row = await only_row(on)
        assert row.state is State.REJECTED
        report_lures(on, int(representatives) - 1, start=1)
        report(on, lure(0), reporter=BEN)
        await on.app.collect_reports.run()
        await ask_again(on, row)
        rows = await on.finish(rows=1 + int(representatives))
        assert Counter(one.state for one in rows) == {State.SETTLED: 1 + int(representatives)}


async def test_a_row_that_took_a_claim_and_stopped_there_goes_though_the_one_before_it_is_taken_up_again() -> None:
    """The one taken up follows the one with the claim, which was covered by it until then: that one goes."""
    async with stage(is_busy=True) as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        first = report(on, original("twin"))
        await on.app.collect_reports.run()
        report(on, original("twin"), reporter=BEN)
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        await on.accept_another()
        row = (await rows_by_report(on))[first]
        assert row.state is State.REJECTED
        await settle_until(on, "table items.write")
        await ask_again(on, row)
        rows = await on.finish(rows=2)
        assert [one.state for one in rows] == [State.SETTLED, State.SETTLED]
        assert len(submissions(on)) == 1


class FiledBefore:
    """A worklist in which somebody else files a kept entry once, right before it is moved."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.is_filed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def write_all(self, writes: Sequence[Write]) -> Any:
        """Write, the entry having been written by another before."""
        kept = [one for one in writes if isinstance(one, Delete) and one.row.startswith("9-")]
        if kept and not self.is_filed:
            self.is_filed = True
            row = await self._table.get(kept[0].partition, kept[0].row)
            await self._table.write(Replace(row.entity))
        return await self._table.write_all(writes)


async def test_a_replay_whose_entry_somebody_else_filed_stays_open_until_it_is_in_line() -> None:
    """Done would be forgotten: the row waits, and nothing that is due shows it."""
    async with stage(is_busy=True) as on:
        row = await refused_row(on)
        worklist = FiledBefore(on.ports.tables["worklist"])
        true_ports = on.ports
        on.ports = replace(on.ports, tables={**on.ports.tables, "worklist": cast(Table, worklist)})
        on.start_process()
        on.ports = true_ports
        await ask_again(on, row)
        await on.app.settle_outcomes.run()
        assert worklist.is_filed
        assert await replays(on).waiting_ids() == {row.key.submission_id}
        assert await entries(on) == [f"9-{row.key.submission_id}"]
        (settled,) = await on.finish(rows=1)
        assert settled.state is State.SETTLED
        assert await replays(on).waiting_ids() == set()


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, OSError, ValueError])
async def test_a_row_whose_reading_fails_holds_up_nobody(error: type[Exception]) -> None:
    """It is told in the row; the row behind it is replayed."""
    async with stage(is_busy=True) as on:
        good = await refused_row(on)
        bad = (await unavailable(on))[0]
        await ask_again(on, bad)
        on.clock.advance(seconds=1)
        await ask_again(on, good)
        on.ports = replace(on.ports, mail=Failing(on.ports.mail, error("a mail that breaks it")))
        await on.start_process().settle_outcomes.run()
        told = (await row_of(on, bad)).state_detail or ""
        assert f"Replay refused: Reading it failed ({error.__name__})" in told
        assert (await row_of(on, good)).state is State.PENDING
        assert await replays(on).waiting_ids() == set()


class Failing:
    """Mailboxes that fail after a while; a minute is Graph's read timeout."""

    def __init__(self, mail: Any, error: Exception, on: Stage | None = None) -> None:
        self._mail = mail
        self._error = error
        self._on = on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mail, name)

    async def head(self, _mailbox: str, _message_id: str) -> None:
        """Fail."""
        if self._on is not None:
            self._on.clock.advance(seconds=60)
        raise self._error


async def test_mailboxes_that_are_silent_do_not_use_up_every_run() -> None:
    """Three reports wait in silence, and were asked for before a row that needs no mailbox."""
    async with stage(is_busy=True) as on:
        good = await refused_row(on)
        await ask_again(on, *await unavailable(on, 3))
        on.clock.advance(seconds=1)
        await ask_again(on, good)
        on.ports = replace(on.ports, mail=Failing(on.ports.mail, AnswerLost("read a mail", code="ReadTimeout"), on))
        on.start_process()
        for _ in range(2):
            await on.app.settle_outcomes.run()
        assert (await row_of(on, good)).state is State.PENDING


async def test_a_row_that_a_stop_left_elsewhere_is_waited_for() -> None:
    """It failed a moment ago and its entry is not kept yet: it is taken up at the next run, not called lost."""
    async with stage() as on:
        await lose_the_answer(on, arrived=True)
        on.graph.control.add_fault(answer_status(503, Scope(path="threatSubmission", method="GET")))
        on.clock.advance(days=5)
        await settle_until(on)
        on.graph.control.clear_faults()
        row = await only_row(on)
        assert (row.state, row.state_reason) == (State.FAILED, "never_reconciled")
        await ask_again(on, row)
        await on.app.settle_outcomes.run()
        (settled,) = await on.finish(rows=1)
        assert (settled.state, len(submissions(on))) == (State.SETTLED, 1)


async def test_a_row_taken_up_keeps_its_only_entry_when_evidence_is_dropped() -> None:
    """A stop left it `pending` with nothing but its kept entry, and the next run has no time for it."""
    async with stage(is_busy=True, EVIDENCE_DAYS="1") as on:
        report(on, original("mail"))
        await on.finish(rows=1)
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        await ask(on, url_request("a", requestId="u1"))
        rows = await on.finish(rows=2)
        row = next(one for one in rows if one.state is State.REJECTED)
        on.clock.time = on.clock.time.replace(hour=12, minute=30) + timedelta(days=1, hours=14)
        (asked,) = await ask_again(on, row)
        await settle_until(on)
        await replays(on).done((await replays(on).waiting())[0])
        await on.app.settle_outcomes.run()
        await replays(on).ask([asked])
        rows = await on.finish(rows=2)
        assert {one.state for one in rows} == {State.SETTLED}


async def test_nothing_is_kept_of_a_row_that_a_replay_ended() -> None:
    """Its mail is larger than Microsoft takes: `skipped`, and the process stops there."""
    async with stage() as on:
        row = await upload_late(on)
        await upload(on, b"x" * 3_000_001)
        await ask_again(on, row)
        await settle_until(on)
        (skipped,) = await on.finish(rows=1)
        assert skipped.state is State.SKIPPED
        assert await entries(on) == []


async def test_a_policy_that_cannot_be_read_keeps_no_report_back() -> None:
    """As when it is collected."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(404, Scope(path="attachments", method="GET", times=1)))
        report(on, original("twin"))
        (row,) = await on.finish(rows=1)
        on.graph.control.add_fault(answer_status(403, Scope(path="Policies", method="GET")))
        await ask_again(on, row)
        (settled,) = await on.finish(rows=1)
        assert settled.state is State.SETTLED


async def test_what_cannot_be_looked_up_still_says_so() -> None:
    """The list is silent as before: the row has failed again at once, and tells why."""
    async with stage() as on:
        (row,) = await never_found(on)
        on.graph.control.add_fault(answer_status(503, Scope(path="threatSubmission", method="GET")))
        await ask_again(on, row)
        await on.app.settle_outcomes.run()
        again = await only_row(on)
        assert again.state is State.FAILED
        assert "could not be read" in (again.state_detail or "")


async def test_a_mailbox_that_is_not_allowed_is_told_at_once() -> None:
    """An administrator has to act: nobody waits an hour for it."""
    async with stage() as on:
        (row,) = await unavailable(on)
        await ask_again(on, row)
        on.graph.control.add_fault(answer_status(403, Scope(path="messages", method="GET")))
        await on.app.settle_outcomes.run()
        assert "does not let the app read the mailbox" in ((await row_of(on, row)).state_detail or "")
        assert await replays(on).waiting_ids() == set()


async def test_an_original_that_would_be_deleted_at_once_is_told() -> None:
    """The report is read again, but originals of its day are not kept any more."""
    async with stage(EVIDENCE_DAYS="7") as on:
        (row,) = await unavailable(on)
        on.clock.advance(days=9)
        await ask_again(on, row)
        (again,) = await on.finish(rows=1)
        assert again.state is State.FAILED
        assert "EVIDENCE_DAYS is over" in (again.state_detail or "")
