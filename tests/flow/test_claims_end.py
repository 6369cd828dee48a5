"""A row speaks for others for a while: never after it expired, and never for what its verdict has refuted."""

from collections import Counter
from datetime import timedelta

import pytest

from local.graph_simulator.faults import Scope, answer_status, lose_answer, reset_connection, throttle
from shared.domain.model import Agreement, Outcome, State, Verdict
from tests.support.reports import (
    ANNA,
    BEN,
    ask,
    network_id,
    original,
    pass_time,
    posts,
    report,
    rows_by_report,
    submissions,
    url_request,
)
from tests.support.stage import Stage, assert_feed_is_whole, stage

ONE_POST = Scope(method="POST", times=1)
CLEAN = "noThreatsFound/goodReclassifiedAsGood"


async def row_of_request(on: Stage, request_id: str) -> Outcome:
    """The row of the request with that id."""
    return next(row for row in await on.outcomes() if row.request_id == request_id)


@pytest.mark.parametrize(("hours", "is_covered"), [(20, True), (26, False), (24 * 200, False)])
async def test_a_verdict_speaks_for_a_day(hours: int, is_covered: bool) -> None:
    """A URL that is asked for again soon gets its verdict; later it is submitted anew."""
    async with stage() as on:
        await ask(on, url_request("shop", requestId="first"))
        await on.finish(rows=1)
        on.clock.advance(hours=hours)
        await ask(on, url_request("shop", requestId="second"))
        await on.finish(rows=2)
        second = await row_of_request(on, "second")
        assert second.state is State.SETTLED
        assert (second.covered_by is not None) is is_covered
        assert posts(on) == (1 if is_covered else 2)


async def test_an_expired_row_speaks_for_nobody() -> None:
    """The mail is reported again after a verdict never came: it is submitted again, and settled."""
    async with stage(VERDICT_DEADLINE_HOURS="1") as on:
        report(on, original("slow", delay_s=5 * 3600))
        await pass_time(on, timedelta(hours=2), step=timedelta(minutes=10))
        assert [row.state for row in await on.outcomes()] == [State.EXPIRED]
        on.clock.advance(days=2)
        report(on, original("slow", delay_s=60), reporter=BEN)
        rows = await on.finish(rows=2)
        assert Counter(row.state for row in rows) == {State.EXPIRED: 1, State.SETTLED: 1}
        assert posts(on) == 2


async def test_what_may_have_arrived_is_looked_up_before_it_is_sent_again() -> None:
    """A lost POST was given up while Microsoft's list was silent; the mail's next report has it looked up."""
    async with stage() as on:
        on.graph.control.add_fault(lose_answer(Scope(method="POST", times=1)))
        silence = on.graph.control.add_fault(answer_status(503, Scope(method="GET", path="Threats")))
        report(on, original("barge"))
        await pass_time(on, timedelta(hours=97), step=timedelta(hours=1))
        assert [(row.state, row.state_reason) for row in await on.outcomes()] == [(State.FAILED, "never_reconciled")]
        report(on, original("barge"), reporter=BEN)
        await pass_time(on, timedelta(hours=2), step=timedelta(minutes=30))
        assert len(submissions(on)) == 1
        on.graph.control.remove_fault(silence)
        rows = await on.finish(rows=2)
        assert {row.state for row in rows} == {State.SETTLED}
        assert (len(submissions(on)), posts(on)) == (1, 1)
        assert_feed_is_whole(rows, await on.feed())


async def test_what_disputes_a_verdict_is_submitted() -> None:
    """Within the day in which the verdict speaks for everybody else."""
    async with stage() as on:
        await ask(on, url_request("dock", requestId="first"))
        (first,) = await on.finish(rows=1)
        on.clock.advance(minutes=20)
        await ask(on, url_request("dock", requestId="again", disputes=first.key.submission_id))
        await ask(on, url_request("dock", requestId="too"))
        await on.finish(rows=3)
        disputing = await row_of_request(on, "again")
        assert (disputing.disputes, disputing.covered_by) == (first.key.submission_id, None)
        assert disputing.submitted_at is not None
        assert (await row_of_request(on, "too")).covered_by == disputing.key.submission_id
        assert posts(on) == 2


async def test_a_dispute_that_is_refused_leaves_the_item_to_the_row_that_it_disputed() -> None:
    """That one's verdict speaks for its day, as if nobody had disputed it."""
    async with stage() as on:
        await ask(on, url_request("dock", requestId="first"))
        (first,) = await on.finish(rows=1)
        on.clock.advance(minutes=20)
        on.graph.control.add_fault(answer_status(400, Scope(method="POST")))
        await ask(on, url_request("dock", requestId="dispute", disputes=first.key.submission_id))
        await on.round()
        on.graph.control.clear_faults()
        await ask(on, url_request("other"))
        await pass_time(on, timedelta(hours=1))
        dispute = await row_of_request(on, "dispute")
        if dispute.state is not State.REJECTED:
            pytest.fail(f"the dispute is {dispute.state}")
        await ask(on, url_request("dock", requestId="later"))
        await on.finish(rows=4)
        later = await row_of_request(on, "later")
        assert (later.state, later.covered_by) == (State.SETTLED, first.key.submission_id)


@pytest.mark.parametrize("comes_back", [True, False], ids=["after a try", "never tried"])
async def test_who_waits_when_a_dispute_passes_follows_it(comes_back: bool) -> None:
    """Two rows with one claim: whichever waits, only one of them goes to Microsoft."""
    async with stage() as on:
        await ask(on, url_request("dock", requestId="first"))
        (first,) = await on.finish(rows=1)
        on.clock.advance(days=2)
        waiting = url_request("dock", requestId="again", priority="low")
        if comes_back:
            on.graph.control.add_fault(answer_status(503, ONE_POST))
            await ask(on, waiting)
        else:
            on.graph.control.add_fault(throttle("600", ONE_POST))
            await ask(on, url_request("another"))
        await on.round()
        assert posts(on) == 2
        await ask(on, *([] if comes_back else [waiting]))
        await ask(on, url_request("dock", requestId="dispute", disputes=first.key.submission_id))
        rows = await on.finish(rows=3 if comes_back else 4)
        again, dispute = await row_of_request(on, "again"), await row_of_request(on, "dispute")
        assert (again.state, again.covered_by) == (State.SETTLED, dispute.key.submission_id)
        assert (dispute.state, dispute.covered_by) == (State.SETTLED, None)
        assert [one.request.url for one in submissions(on)].count("https://dock.lure.test/") == 2
        assert_feed_is_whole(rows, await on.feed())


async def test_a_dispute_that_waits_follows_no_other_dispute() -> None:
    """Both are submitted, fifteen minutes apart; who disputes nothing follows the first that is sent."""
    async with stage() as on:
        await ask(on, url_request("dock", requestId="first"))
        (first,) = await on.finish(rows=1)
        on.clock.advance(days=2)
        on.graph.control.add_fault(throttle("600", ONE_POST))
        await ask(on, url_request("another"))
        await on.round()
        disputed = first.key.submission_id
        await ask(on, url_request("dock", requestId="again", priority="low"))
        await ask(on, url_request("dock", requestId="one", priority="low", disputes=disputed))
        await ask(on, url_request("dock", requestId="two", disputes=disputed))
        await on.finish(rows=5)
        again, one, two = [await row_of_request(on, name) for name in ("again", "one", "two")]
        assert again.covered_by == two.key.submission_id
        assert (one.covered_by, two.covered_by) == (None, None)
        assert one.submitted_at is not None
        assert two.submitted_at is not None
        assert one.submitted_at - two.submitted_at >= timedelta(minutes=15)


async def test_a_lost_post_follows_the_dispute_that_left_meanwhile() -> None:
    """It never arrived, which is known only after the dispute was sent: it does not go a second time."""
    async with stage() as on:
        await ask(on, url_request("dock", requestId="first"))
        (first,) = await on.finish(rows=1)
        on.clock.advance(days=2)
        on.graph.control.add_fault(reset_connection(ONE_POST))
        on.graph.control.add_fault(answer_status(503, Scope(method="GET", path="threatSubmission")))
        await ask(on, url_request("dock", requestId="again"))
        await on.round()
        assert (await row_of_request(on, "again")).state is State.UNCERTAIN
        await ask(on, url_request("dock", requestId="dispute", disputes=first.key.submission_id))
        await pass_time(on, timedelta(minutes=20))
        dispute = await row_of_request(on, "dispute")
        assert dispute.state is State.SUBMITTED
        on.graph.control.clear_faults()
        await on.finish(rows=3)
        again = await row_of_request(on, "again")
        assert (again.state, again.covered_by) == (State.SETTLED, dispute.key.submission_id)
        assert len(submissions(on)) == 2


async def test_a_row_that_comes_back_keeps_its_claim() -> None:
    """A try that failed does not cost the row its place: it is submitted, and who asks meanwhile follows it."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(503, ONE_POST))
        await ask(on, url_request("dock", requestId="one"))
        await on.round()
        await ask(on, url_request("dock", requestId="two"))
        await on.finish(rows=2)
        one, two = await row_of_request(on, "one"), await row_of_request(on, "two")
        assert (one.covered_by, two.covered_by) == (None, one.key.submission_id)
        assert len(submissions(on)) == 1


def people(first: int, count: int) -> list[str]:
    """People of the tenant."""
    return [f"employee{number}@contoso.example" for number in range(first, first + count)]


def letter(person: str, path: str, verdict: str, more: str = "") -> bytes:
    """One mail of a club that writes the same to all its members, with a link of its own in it."""
    text = (
        "Dear member of the rowing club, the boathouse opens again on the first Sunday of the month. Please sign up "
        "for one of the crews before the harbour master closes the list, and bring your own gloves and a bottle of "
        f"water. The plan with all starting times is here: https://club.rowing-lure.test/{path} and the coach answers "
        "questions on the phone every evening after seven. The committee thanks all who helped to paint the boats."
    )
    head = original(f"{path}-{person}", recipient=person, subject="Your crew", verdict=verdict)
    return head.partition(b"\r\n\r\n")[0] + f"\r\n\r\n{text} {more}".encode()


async def test_a_bait_does_not_speak_for_the_lure() -> None:
    """Three harmless mails are judged clean; what comes later of their campaign is submitted, its own verdict holds."""
    async with stage() as on:
        for person in people(0, 3):
            report(on, letter(person, "plan", CLEAN), reporter=person)
        rows = await on.finish(rows=3)
        assert {(row.verdict, row.agreement) for row in rows} == {(Verdict.CLEAN, Agreement.REFUTED)}
        on.clock.advance(hours=1)
        malicious = "threatsFound/goodReclassifiedAsBad"
        lures = [
            report(on, letter(one, "login", malicious, "Sign in before Friday."), reporter=one) for one in people(10, 8)
        ]
        await on.finish(rows=11)
        found = await rows_by_report(on)
        assert {(found[one].state, found[one].verdict) for one in lures} == {(State.SETTLED, Verdict.MALICIOUS)}
        assert len({found[one].campaign_id for one in found}) == 1
        assert sum(found[one].submitted_at is not None for one in lures) == 3


async def test_an_expired_representative_does_not_speak_for_its_campaign() -> None:
    """Who reports the campaign a little later is not told that no verdict came: another mail is submitted."""
    async with stage(VERDICT_DEADLINE_HOURS="1", CAMPAIGN_REPRESENTATIVES="1") as on:
        malicious = "threatsFound/goodReclassifiedAsBad"
        slow = letter("employee0@contoso.example", "plan", malicious).replace(b"Delay-S: 60", b"Delay-S: 90000")
        report(on, slow, reporter="employee0@contoso.example")
        await pass_time(on, timedelta(hours=2), step=timedelta(minutes=10))
        assert [row.state for row in await on.outcomes()] == [State.EXPIRED]
        for person in people(1, 3):
            report(on, letter(person, "plan", malicious), reporter=person)
        rows = await on.finish(rows=4)
        assert Counter(row.state for row in rows) == {State.EXPIRED: 1, State.SETTLED: 3}
        assert posts(on) == 2


async def test_one_id_on_many_mails_stops_nobody() -> None:
    """Every report has its row, whatever a sender wrote into the headers of four hundred mails."""
    async with stage() as on:
        same = network_id("the one").encode()
        for number in range(400):
            report(on, original(f"x-{number}").replace(network_id(f"x-{number}").encode(), same))
        innocent = report(on, original("innocent"), reporter=ANNA)
        for _ in range(12):
            await on.round()
            on.clock.advance(minutes=2)
        rows = await rows_by_report(on)
        assert len(rows) == 401
        assert rows[innocent].state is State.SETTLED
        assert max(len(str(row.get("Claims", ""))) for row in await on.rows("items")) < 30_000
