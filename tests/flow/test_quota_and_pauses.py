"""The quota is exact, a refusal stops everybody, and nobody loses a place for it."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from local.graph_simulator import FaultKind, QuotaLimits
from local.graph_simulator.faults import Fault, Scope, answer_status, throttle
from local.memory_storage import MemoryQueue, Message
from shared.bootstrap import build
from shared.codecs.submission_message import read_message
from shared.domain.model import Category, Priority, State
from shared.domain.submissions import SubmissionOrder, ThreatSubmission
from shared.ports import ThreatSubmissions
from tests.support.reports import (
    ask,
    email_request,
    events,
    listen,
    only_row,
    original,
    pass_time,
    posts,
    report,
    rows_by_report,
    submissions,
    url_request,
)
from tests.support.stage import Stage, stage

POST = Scope(method="POST")
ONE_POST = Scope(method="POST", times=1)
WINDOW = timedelta(minutes=15)


def small_quota() -> AbstractAsyncContextManager[Stage]:
    """A stage on which a window holds 10 submissions: 2 left to people, 2 to urgent rows, 6 for anybody."""
    return stage(QUOTA_PER_15_MIN="10", QUOTA_RESERVED_FOR_PEOPLE="2", QUOTA_RESERVED_FOR_URGENT="2")


def put_reports(on: Stage, count: int) -> list[str]:
    """That many reports of different mails."""
    return [report(on, original(f"mail-{number}")) for number in range(count)]


def sent_at(on: Stage) -> list[datetime]:
    """When each POST was made, refused ones too."""
    return [one.at for one in on.graph.log.select(method="POST")]


def most_in_a_window(times: list[datetime]) -> int:
    """The largest number of POSTs in any 15 minutes."""
    return max(sum(start <= at < start + WINDOW for at in times) for start in times)


async def states(on: Stage) -> list[State]:
    """The states of all rows."""
    return [row.state for row in await on.outcomes()]


async def waiting_entries(on: Stage) -> list[str]:
    """The keys of what waits on the worklist: section, lane, due time, row."""
    return [row["RowKey"] for row in await on.rows("worklist") if row["RowKey"].startswith("1-")]


async def test_no_15_minutes_hold_more_than_the_quota_leaves() -> None:
    """Normal rows leave out what is reserved for people and for urgent rows, in every rolling window."""
    async with small_quota() as on:
        put_reports(on, 20)
        await on.finish(rows=20, step=timedelta(minutes=1), rounds=80)
        assert most_in_a_window(sent_at(on)) == 6
        assert posts(on) == 20


async def test_urgent_rows_may_use_their_reserve_and_no_more() -> None:
    """Urgent rows fill the window up to what is left to people."""
    async with small_quota() as on:
        await ask(on, *(url_request(f"site-{number}") for number in range(12)))
        await on.finish(rows=12, step=timedelta(minutes=1), rounds=80)
        assert most_in_a_window(sent_at(on)) == 8


async def test_the_day_has_a_limit_too() -> None:
    """What the day's limit leaves over is sent when yesterday's submissions no longer count."""
    async with stage(QUOTA_PER_DAY="5") as on:
        put_reports(on, 7)
        await pass_time(on, timedelta(hours=23), step=timedelta(minutes=30))
        assert posts(on) == 5
        await pass_time(on, timedelta(hours=2), step=timedelta(minutes=30))
        assert posts(on) == 7


async def test_a_429_closes_the_window_for_everybody(caplog: pytest.LogCaptureFixture) -> None:
    """One refusal and nobody sends before Retry-After is over; rows keep their attempts and their place."""
    listen(caplog)
    async with stage() as on:
        put_reports(on, 5)
        on.graph.control.add_fault(throttle("300", ONE_POST))
        await on.round()
        assert posts(on) == 1
        assert set(await states(on)) == {State.PENDING}
        closed = on.clock.time
        outcomes = await on.finish(rows=5, step=timedelta(minutes=1))
        assert min(sent_at(on)[1:]) - closed >= timedelta(seconds=299)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert "throttled" in events(caplog)


async def test_people_in_the_portal_use_the_quota() -> None:
    """Where people use more than what is left to them the 429 is met, and every row is still submitted once."""
    async with small_quota() as on:
        on.graph.control.set_quota_limits(QuotaLimits(tenant_per_15_min=10))
        on.graph.control.use_portal_quota(8)
        put_reports(on, 6)
        outcomes = await on.finish(rows=6, step=timedelta(minutes=1))
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert [one.throttle for one in on.graph.log.select(method="POST") if one.throttle] == ["tenant_15_min"]
        assert len(submissions(on)) == 6


async def test_two_claims_about_one_item_keep_15_minutes_and_three_a_day() -> None:
    """Four claims about one mail: 15 minutes apart, and the fourth a day after the first."""
    async with stage() as on:
        for category in (Category.PHISHING, Category.SPAM, Category.NOT_JUNK):
            report(on, original("disputed"), category=category)
        await on.round()
        await on.ports.containers["submission-content"].put("case.eml", original("disputed"))
        await ask(on, email_request({"content": "case.eml"}, category="malware", priority="normal"))
        await pass_time(on, timedelta(hours=25), step=timedelta(minutes=4))
        assert set(await states(on)) == {State.SETTLED}
        times = [one.created_at for one in submissions(on)]
        apart = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(apart) >= WINDOW
        assert times[3] - times[0] >= timedelta(hours=24)
        assert not [one for one in on.graph.log.select(method="POST") if one.throttle]


async def test_a_row_that_misses_its_slot_waits_anew() -> None:
    """A message that comes too late is not sent; the row is pending again and goes with another slot."""
    async with stage() as on:
        report(on, original("late"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        on.clock.advance(minutes=6)
        await on.deliver_submissions()
        row = await only_row(on)
        assert (row.state, row.state_reason, row.attempts, posts(on)) == (State.PENDING, "slot_missed", 0, 0)
        assert (await on.finish(rows=1))[0].attempts == 1


async def test_a_row_whose_message_is_lost_waits_anew() -> None:
    """A slot that nobody used is taken back, and its row with it."""
    async with stage() as on:
        report(on, original("lost"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        on.ports.queues["submissions"].messages.clear()  # type: ignore[attr-defined] # in memory on this stage
        on.clock.advance(minutes=7)
        assert (await on.finish(rows=1))[0].state is State.SETTLED


async def test_an_urgent_request_does_not_wait_behind_a_storm() -> None:
    """With hundreds of reports waiting, an urgent request is sent at the next run."""
    async with small_quota() as on:
        put_reports(on, 100)
        await pass_time(on, timedelta(minutes=4))
        asked_at = on.clock.time
        await ask(on, url_request("urgent"))
        await pass_time(on, timedelta(minutes=2))
        (urgent,) = [one for one in submissions(on) if one.request.kind == "url"]
        assert urgent.created_at - asked_at <= timedelta(minutes=2)


async def test_an_urgent_request_takes_the_row_that_covers_it_along() -> None:
    """The item waits in the normal lane as a report: the request is covered, and the report goes ahead of the rest."""
    async with small_quota() as on:
        first = put_reports(on, 30)
        await pass_time(on, timedelta(minutes=4))
        await on.ports.containers["submission-content"].put("case.eml", original("mail-29"))
        await ask(on, email_request({"content": "case.eml"}))
        await pass_time(on, timedelta(minutes=2))
        rows = await rows_by_report(on)
        assert rows[first[29]].submitted_at is not None
        assert rows[first[29]].priority is Priority.URGENT
        assert State.PENDING in {rows[one].state for one in first[:29]}


async def test_an_urgent_request_takes_along_a_row_that_waits_for_its_own_reasons() -> None:
    """Also when the row's turn was moved: the request finds it, and the delay itself stays."""
    not_ready = Fault(FaultKind.STATUS, ONE_POST, status=400, message="The metadata isn't available yet.")
    async with stage() as on:
        on.graph.control.add_fault(not_ready)
        report(on, original("early"))
        await on.round()
        await on.ports.containers["submission-content"].put("case.eml", original("early"))
        await ask(on, email_request({"content": "case.eml"}))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        (waiting,) = await waiting_entries(on)
        assert waiting.startswith("1-0-")
        outcomes = await on.finish(rows=2)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert len(submissions(on)) == 1


async def test_a_request_sent_again_does_not_shorten_a_delay() -> None:
    """A row that waits for hours stands once on the worklist, however often its message comes."""
    not_ready = Fault(FaultKind.STATUS, ONE_POST, status=400, message="The metadata isn't available yet.")
    async with stage() as on:
        on.graph.control.add_fault(not_ready)
        for _ in range(2):
            await ask(on, url_request("again", requestId="case-1"))
            await on.round()
        assert len(await waiting_entries(on)) == 1
        await pass_time(on, timedelta(minutes=59))
        assert posts(on) == 1
        assert (await on.finish(rows=1))[0].state is State.SETTLED


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_identity_pauses_everything_but_single_probes(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour without permission: one POST at a time, ever rarer; then all rows go and none was burned."""
    listen(caplog)
    async with stage() as on:
        handle = on.graph.control.add_fault(answer_status(status, POST))
        put_reports(on, 20)
        await pass_time(on, timedelta(minutes=1))
        first_wave = posts(on)
        await pass_time(on, timedelta(minutes=59))
        probes = sent_at(on)[first_wave:]
        assert first_wave <= 1
        assert 1 <= len(probes) <= 5
        assert all(later - earlier >= timedelta(minutes=5) for earlier, later in itertools.pairwise(probes))
        assert set(await states(on)) == {State.PENDING}
        on.graph.control.remove_fault(handle)
        outcomes = await on.finish(rows=20)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert len(submissions(on)) == 20
        assert "not_allowed" in events(caplog)


async def test_only_one_probe_is_out_at_a_time() -> None:
    """While permission is in doubt, however often dispatch runs, one row is in flight and the others wait."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(401, ONE_POST))
        put_reports(on, 10)
        await on.round()
        on.clock.advance(minutes=6)
        for _ in range(3):
            await on.app.dispatch.run()
        assert sorted(await states(on)) == [State.DISPATCHED, *[State.PENDING] * 9]
        await on.deliver_submissions()
        assert sorted(await states(on)) == [*[State.PENDING] * 9, State.SUBMITTED]


async def test_a_probe_that_gets_through_reopens_the_window() -> None:
    """After one success the whole burst goes at once, and the next refusal counts as the first again."""
    async with stage() as on:
        handle = on.graph.control.add_fault(answer_status(403, POST))
        put_reports(on, 10)
        await pass_time(on, timedelta(minutes=20))
        assert set(await states(on)) == {State.PENDING}
        on.graph.control.remove_fault(handle)
        before = posts(on)
        await pass_time(on, timedelta(minutes=25))
        assert posts(on) - before == 10
        times = sent_at(on)[before:]
        assert times[-1] - times[1] <= timedelta(minutes=2)


async def test_a_slow_post_counts_from_its_end() -> None:
    """Microsoft may have counted it at any moment until it answered, so the slot is stamped anew."""

    class SlowMicrosoft:
        """Passes orders on after eight seconds."""

        async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
            await on.clock.sleep(8)
            return await on.ports.submissions.submit(order)

    async with stage() as on:
        report(on, original("one"))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        on.app = build(on.settings, replace(on.ports, submissions=cast("ThreatSubmissions", SlowMicrosoft())))
        await on.deliver_submissions()
        outcome = await only_row(on)
        slots = [row for row in await on.rows("worklist") if row["RowKey"].startswith("0-slot")]
        assert outcome.submitted_at is not None
        assert slots[0]["SentAt"] >= outcome.submitted_at + timedelta(seconds=8)


async def test_one_burst_of_refusals_is_one_strike() -> None:
    """Twelve workers that are refused at once pause for five minutes, as one would."""
    async with stage() as on:
        put_reports(on, 12)
        on.graph.control.add_fault(answer_status(403, POST))
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        bodies = [message.body for message in taken(on)]
        await asyncio.gather(*(on.app.submit.run(read_message(body)) for body in bodies))
        quota = next(row for row in await on.rows("worklist") if row["RowKey"] == "0-quota")
        assert quota["Strikes"] == 1
        assert quota["ClosedUntil"] - on.clock.now() < timedelta(minutes=5, seconds=1)


def taken(on: Stage) -> Iterator[Message]:
    """The messages that wait on the queue `submissions`."""
    queue = on.ports.queues["submissions"]
    assert isinstance(queue, MemoryQueue)
    while (message := queue.receive()) is not None:
        yield message
