"""A campaign of many reports costs three submissions: the others are covered and take the verdict, whatever happens."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from local.graph_simulator.faults import Fault, FaultKind, Scope, answer_status
from local.sample_tenant import DOMAINS
from shared.bootstrap import tenant
from shared.domain.model import Category, CoverReason, Outcome, Source, State, Verdict
from shared.domain.originals import OriginalFacts, read_original
from shared.domain.representatives import Member
from shared.formats.mail_fingerprint import mail_fingerprint
from shared.stores.campaigns import CampaignStore
from shared.usecases.sending.campaigns import Campaigns
from tests.support.ledgers import new_ledger
from tests.support.members import make_key
from tests.support.reports import (
    MALICIOUS,
    ask,
    email_request,
    network_id,
    pass_time,
    posts,
    report,
    rows_by_report,
    submissions,
)
from tests.support.stage import START, ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

CUSTOMS = "Your parcel is held at customs. Pay the fee of 1.99 within two days, or it goes back to the sender."
PRIZE = "You are the lucky winner of our summer draw. Tell us where to send the prize before Friday, dear {name}."
TOLD = "is submitted for the same item"


def person(number: int) -> str:
    """The address of that many's employee."""
    return f"employee{number}@{DOMAINS[0]}"


def lure(
    number: int,
    text: str = CUSTOMS,
    *,
    recipient: str | None = None,
    sent: str | None = None,
    message_id: str | None = None,
    sender: str = "desk@parcel-lure.test",
    delay_s: int = 60,
) -> bytes:
    """That many's copy of a lure: a mail of its own, unless `sent` or `message_id` name another's."""
    recipient = recipient or person(number)
    lines = (
        "Received: from mx.parcel-lure.test (203.0.113.9) by contoso.example",
        f"From: Parcel desk <{sender}>",
        f"To: <{recipient}>",
        f"Subject: Parcel {number} for {recipient.partition('@')[0]}",
        f"Message-ID: {message_id or f'<{sent or number}@parcel-lure.test>'}",
        f"Date: {format_datetime(START - timedelta(hours=8))}",
        f"X-MS-Exchange-Organization-Network-Message-Id: {network_id(sent or f'lure {text} {number}')}",
        f"X-Sample-Verdict: {MALICIOUS}",
        f"X-Sample-Verdict-Delay-S: {delay_s}",
        "",
        f"Dear {recipient},",
        text.format(name=recipient),
        f"Your number is {10_000 + number}.",
        "",
    )
    return "\r\n".join(lines).encode()


def report_lures(on: Stage, count: int, text: str = CUSTOMS, *, start: int = 0) -> list[str]:
    """Let so many people report their copies; returns the reports' message ids."""
    return [report(on, lure(number, text), reporter=person(number)) for number in range(start, start + count)]


async def ask_for(on: Stage, content: bytes, name: str = "case", **fields: object) -> None:
    """Let an operator ask for a mail that he uploads."""
    await on.ports.containers["submission-content"].put(f"{name}.eml", content)
    await ask(on, email_request({"content": f"{name}.eml"}, requestId=name, **fields))


async def collect(on: Stage) -> None:
    """Let in what was reported and asked for."""
    await on.app.collect_reports.run()
    await on.deliver("manual-submissions", on.app.intake_manual.run)


def own(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the rows that were submitted themselves."""
    return [row for row in outcomes if row.submitted_at is not None]


def requested(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the one row that an operator asked for."""
    (row,) = [one for one in outcomes if one.source is Source.MANUAL]
    return row


async def campaign_of(on: Stage, content: bytes, ghost: int, at_most: int = 1) -> str:
    """Appoint a representative whose row never comes, as a process that stopped did; returns the campaign's id."""
    facts = read_original(content, tenant=tenant(on.settings), reporter=person(0))
    assert isinstance(facts, OriginalFacts)
    known_by = mail_fingerprint(Category.PHISHING, facts, content)
    assert known_by is not None
    campaigns = Campaigns(CampaignStore(on.ports.tables["items"]), at_most, new_ledger(on.clock), on.clock)
    places = await campaigns.place([Member(make_key(ghost), replace(known_by, ids=frozenset()))])
    return places[make_key(ghost)].campaign_id


# The promise.


async def test_forty_reports_from_forty_people_are_three_submissions_and_forty_verdicts() -> None:
    """Each covered row tells its campaign and who is submitted for it, and ends with that one's verdict."""
    async with stage() as on:
        report_lures(on, 40)
        await on.app.collect_reports.run()
        waiting = Counter(row.state for row in await on.outcomes())
        assert waiting == {State.PENDING: 3, State.COVERED: 37}
        outcomes = await on.finish(rows=40)
        assert {(row.state, row.verdict) for row in outcomes} == {(State.SETTLED, Verdict.MALICIOUS)}
        assert posts(on) == len(submissions(on)) == len(own(outcomes)) == 3
        assert len({row.campaign_id for row in outcomes}) == 1
        assert {row.covered_by for row in outcomes} - {None} <= {row.key.submission_id for row in own(outcomes)}
        assert sum(row.covered_by is not None for row in outcomes) == 37
        assert_feed_is_whole(outcomes, await on.feed())


async def test_a_covered_row_says_so_until_its_verdict() -> None:
    """The reason is the contract's word."""
    async with stage() as on:
        report_lures(on, 5)
        await on.app.collect_reports.run()
        covered = [row for row in await on.outcomes() if row.state is State.COVERED]
        assert {row.state_reason for row in covered} == {CoverReason.SAME_CAMPAIGN}
        assert all(row.campaign_id and row.covered_by for row in covered)


async def test_the_setting_says_how_many_are_submitted() -> None:
    """One, for who has little quota."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        report_lures(on, 10)
        outcomes = await on.finish(rows=10)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert posts(on) == 1


async def test_reports_that_drop_in_over_a_day_are_three_submissions() -> None:
    """Those that come after the verdict take it at once; a day later others speak."""
    async with stage() as on:
        for hour in range(0, 24, 2):
            report_lures(on, 3, start=100 + 3 * hour)
            await pass_time(on, timedelta(hours=2), step=timedelta(minutes=15))
        assert posts(on) == 3
        report_lures(on, 5, start=50)
        outcomes = await on.finish(rows=41)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert posts(on) == 6
        assert len({row.campaign_id for row in outcomes}) == 1


async def test_after_three_idle_days_it_is_another_campaign() -> None:
    """The same text comes back next week: other rows, other id, its own representatives."""
    async with stage() as on:
        report_lures(on, 5)
        await on.finish(rows=5)
        on.clock.advance(days=3, hours=1)
        report_lures(on, 5, start=10)
        outcomes = await on.finish(rows=10)
        assert list(Counter(row.campaign_id for row in outcomes).values()) == [5, 5]
        assert posts(on) == 6


async def test_two_campaigns_at_once_do_not_mix() -> None:
    """Three submissions for each; nobody is covered by the other's."""
    async with stage() as on:
        for number in range(10):
            report(on, lure(number), reporter=person(number))
            report(on, lure(number, PRIZE), reporter=person(number))
        outcomes = await on.finish(rows=20)
        assert posts(on) == 6
        names = {row.key.submission_id: row.campaign_id for row in outcomes}
        assert sorted(Counter(row.campaign_id for row in own(outcomes)).values()) == [3, 3]
        assert all(names[row.covered_by] == row.campaign_id for row in outcomes if row.covered_by)


async def test_one_mail_to_many_people_is_one_campaign() -> None:
    """The same network message id: an item for each recipient at Microsoft, three submissions in all."""
    async with stage() as on:
        for number in range(12):
            report(on, lure(1, sent="to all", recipient=person(number)), reporter=person(number))
        outcomes = await on.finish(rows=12)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert len({row.network_message_id for row in outcomes}) == 1
        assert posts(on) == 3


async def test_another_claim_is_another_campaign() -> None:
    """Who says it is no junk asks another question: it is not answered by who says phishing."""
    async with stage() as on:
        for number in range(8):
            category = Category.NOT_JUNK if number % 2 else Category.PHISHING
            report(on, lure(number), reporter=person(number), category=category)
        outcomes = await on.finish(rows=8)
        assert Counter(row.category for row in own(outcomes)) == {Category.NOT_JUNK: 3, Category.PHISHING: 3}
        assert len({(row.category, row.agreement) for row in outcomes}) == 2


async def test_the_same_report_twice_is_no_member_more() -> None:
    """One person reports one mail twice: the second is covered by the same item, and linked."""
    async with stage() as on:
        report_lures(on, 3)
        again = report(on, lure(0), reporter=person(0))
        late = report(on, lure(9), reporter=person(9))
        await on.app.collect_reports.run()
        rows = await rows_by_report(on)
        assert rows[again].state_reason == CoverReason.SAME_ITEM
        assert rows[late].state_reason == CoverReason.SAME_CAMPAIGN
        assert len({row.campaign_id for row in rows.values()}) == 1
        outcomes = await on.finish(rows=5)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert posts(on) == 3


# Representatives that come to nothing.


async def test_a_rejected_representative_promotes_another() -> None:
    """Microsoft refuses one for good: one more is submitted, the rest follow it."""
    async with stage(is_busy=True) as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        report_lures(on, 20)
        outcomes = await on.finish(rows=20)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: 19, State.REJECTED: 1}
        assert len(submissions(on)) == 3
        assert posts(on) == 4
        (gone,) = [row for row in outcomes if row.state is State.REJECTED]
        assert gone.key.submission_id not in {row.covered_by for row in outcomes}
        assert_feed_is_whole(outcomes, await on.feed())


async def test_every_representative_may_be_rejected() -> None:
    """Promoted ones too: as many are tried as it takes, one for each that was refused."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="2") as on:
        on.graph.control.add_fault(answer_status(422, Scope(method="POST", times=5)))
        report_lures(on, 10)
        outcomes = await on.finish(rows=10)
        states = Counter(row.state for row in outcomes)
        assert states == {State.SETTLED: 5, State.REJECTED: 5}
        assert posts(on) == 5 + len(submissions(on))
        assert len(submissions(on)) <= 2


async def test_a_failed_representative_promotes_another() -> None:
    """One that Microsoft never had the metadata of gives up after two days; its campaign is still answered."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        scope = Scope(method="POST")
        handle = on.graph.control.add_fault(
            Fault(FaultKind.STATUS, scope, status=400, message="The metadata isn't available yet.")
        )
        first = report_lures(on, 1)[0]
        await on.round()
        report_lures(on, 10, start=10)
        await pass_time(on, timedelta(hours=48), step=timedelta(minutes=30))
        rows = await rows_by_report(on)
        assert (rows[first].state, rows[first].state_reason) == (State.FAILED, "metadata_not_ready")
        on.graph.control.remove_fault(handle)
        await pass_time(on, timedelta(hours=10), step=timedelta(minutes=30))
        assert Counter(row.state for row in await on.outcomes()) == {State.SETTLED: 10, State.FAILED: 1}
        assert len(submissions(on)) == 1


async def test_a_representative_whose_row_never_came_promotes_another() -> None:
    """A process stopped behind its decision, and the report was deleted: after an hour another one goes."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        campaign_id = await campaign_of(on, lure(0), ghost=1)
        report_lures(on, 10)
        await pass_time(on, timedelta(minutes=50), step=timedelta(minutes=10))
        assert {row.state for row in await on.outcomes()} == {State.COVERED}
        outcomes = await on.finish(rows=10)
        assert {(row.state, row.campaign_id) for row in outcomes} == {(State.SETTLED, campaign_id)}
        assert posts(on) == 1


async def test_more_than_one_transaction_of_members_follow_one_promoted() -> None:
    """Two hundred and fifty covered rows are moved a hundred at a time, and still only one of them goes."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        report_lures(on, 250)
        outcomes = await on.finish(rows=250)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: 249, State.REJECTED: 1}
        assert posts(on) == 2


async def test_members_expire_with_their_representative() -> None:
    """Without a verdict by the deadline nobody waits on, and nobody else is submitted."""
    async with stage(VERDICT_DEADLINE_HOURS="2", CAMPAIGN_REPRESENTATIVES="1") as on:
        for number in range(5):
            report(on, lure(number, delay_s=86_400), reporter=person(number))
        outcomes = await on.finish(rows=5, step=timedelta(minutes=30))
        assert {(row.state, row.state_reason) for row in outcomes} == {(State.EXPIRED, "no_verdict")}
        assert posts(on) == 1


async def test_a_rehearsed_campaign_submits_nothing() -> None:
    """In shadow mode the representatives end skipped, and so do those they would have spoken for."""
    async with stage(SUBMISSION_MODE="shadow") as on:
        report_lures(on, 10)
        outcomes = await on.finish(rows=10)
        assert {(row.state, row.state_reason) for row in outcomes} == {(State.SKIPPED, "shadow_mode")}
        assert Counter(row.covered_by is None for row in outcomes) == {False: 7, True: 3}
        assert posts(on) == 0
        assert_feed_is_whole(outcomes, await on.feed())


# What an operator asks for.


@pytest.mark.parametrize("before", [0, 1, 5], ids=["first", "when one is submitted", "when the limit is reached"])
@pytest.mark.parametrize("is_settled", [False, True], ids=["waiting", "settled"])
async def test_a_request_about_another_copy_is_submitted(before: int, is_settled: bool) -> None:
    """Whenever an operator asks for a mail of the campaign that nobody reported: it goes itself, and is linked."""
    async with stage() as on:
        report_lures(on, before)
        await (on.finish(rows=before) if is_settled and before else collect(on))
        await ask_for(on, lure(70))
        await collect(on)
        report_lures(on, 5, start=80)
        outcomes = await on.finish(rows=before + 6)
        row = requested(outcomes)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert row.submitted_at is not None
        assert row.covered_by is None
        assert {row.campaign_id} == {one.campaign_id for one in outcomes}
        assert posts(on) <= 3 + (before >= 3)


@pytest.mark.parametrize("is_settled", [False, True], ids=["waiting", "settled"])
async def test_a_request_takes_over_from_a_report_that_its_campaign_covers(is_settled: bool) -> None:
    """The very mail was reported, and is not submitted itself: for an operator it is, and both end with a verdict."""
    async with stage() as on:
        report_lures(on, 5)
        await (on.finish(rows=5) if is_settled else collect(on))
        (covered, *_) = [row for row in await on.outcomes() if row.covered_by]
        number = next(number for number in range(5) if person(number) == covered.recipient)
        await ask_for(on, lure(number), recipient=person(number))
        await collect(on)
        row = requested(await on.outcomes())
        assert (row.state, row.item_key, row.campaign_id) == (State.PENDING, covered.item_key, covered.campaign_id)
        outcomes = await on.finish(rows=6)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert requested(outcomes).submitted_at is not None
        assert posts(on) == 4


@pytest.mark.parametrize("is_first", [False, True], ids=["report first", "request first"])
async def test_a_request_about_a_mail_that_is_being_submitted_is_told_so(is_first: bool) -> None:
    """The same item is not sent twice: who came second is covered by the other, and an operator reads it in words."""
    async with stage() as on:
        await (ask_for(on, lure(0), recipient=person(0)) if is_first else collect(on))
        await collect(on)
        report_lures(on, 1)
        await collect(on)
        await ask_for(on, lure(0), recipient=person(0))
        await collect(on)
        report_lures(on, 5, start=10)
        await collect(on)
        row = requested(await on.outcomes())
        if is_first:
            assert row.state is State.PENDING
        else:
            assert (row.state, row.state_reason) == (State.COVERED, CoverReason.SAME_ITEM)
            assert row.state_detail == f"{row.covered_by} {TOLD}"
        assert row.campaign_id
        outcomes = await on.finish(rows=7)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert posts(on) == 3


async def test_a_rejected_request_leaves_its_campaign_to_another() -> None:
    """It spoke for the reports that came after it; they are not left without a verdict."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        await ask_for(on, lure(0), recipient=person(0))
        await collect(on)
        report_lures(on, 5, start=10)
        outcomes = await on.finish(rows=6)
        assert requested(outcomes).state is State.REJECTED
        assert Counter(row.state for row in outcomes) == {State.SETTLED: 5, State.REJECTED: 1}
        assert posts(on) == 2


# Attacks.


@pytest.mark.parametrize(
    ("sender", "sent"),
    [("mallory@evil.example", f"lure {CUSTOMS} 0"), ("desk@parcel-lure.test", "a mail of its own")],
    ids=["both ids", "Message-ID and sender"],
)
async def test_forged_ids_of_a_reported_mail_do_not_hide_another(sender: str, sent: str) -> None:
    """A mail that bears the ids of a reported one and says something else is submitted for what it says."""
    async with stage() as on:
        report_lures(on, 5)
        await on.finish(rows=5)
        forged = lure(0, PRIZE, sent=sent, message_id="<0@parcel-lure.test>", sender=sender)
        late = report(on, forged, reporter=person(0))
        await on.finish(rows=6)
        row = (await rows_by_report(on))[late]
        assert row.submitted_at is not None
        assert row.covered_by is None
        assert row.campaign_id not in {one.campaign_id for one in await on.outcomes() if one.key != row.key}


async def test_a_mail_that_copies_the_words_but_leads_elsewhere_is_submitted() -> None:
    """An attacker copies a newsletter that was found clean, and changes where it leads."""
    async with stage() as on:
        report_lures(on, 5)
        await on.finish(rows=5)
        late = report(on, lure(7, f"{CUSTOMS} https://evil-fees.test/pay"), reporter=person(7))
        await on.finish(rows=6)
        assert (await rows_by_report(on))[late].submitted_at is not None


# Stops.

ROWS = 7


class StepsUntil(Steps):
    """The calls of a process that ends before its first call of a kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    async def take(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Do the call, unless it is of that kind."""
        if name.startswith(self._kind):
            self.stop_at = len(self.taken)
        return await super().take(name, call)


async def put_the_work(on: Stage) -> None:
    """Six reports of one campaign, one mail twice among them, and an operator's request about one of them."""
    for number in (0, 1, 2, 3, 4, 1):
        report(on, lure(number), reporter=person(number))
    await ask_for(on, lure(4), recipient=person(4))


async def recorded_steps() -> list[str]:
    """The names of all calls that leave the process while that work is done."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="2") as on:
        await put_the_work(on)
        steps = Steps()
        on.start_process(steps)
        await on.finish(rows=ROWS)
        return steps.taken


async def stop_and_go_on(stop_at: int, *, after_effect: bool, refused: int) -> None:
    """Stop the process there, begin another, and hold everything to what the contract promises."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="2") as on:
        if refused:
            on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=refused)))
        await put_the_work(on)
        steps = Steps(stop_at=stop_at, after_effect=after_effect)
        on.start_process(steps)
        try:
            await on.finish(rows=ROWS)
        except ProcessStoppedError:
            pass
        else:
            assert len(steps.taken) <= stop_at, "ended in fewer calls than the life that was recorded"
        on.start_process()
        on.clock.advance(minutes=11)
        outcomes = await on.finish(rows=ROWS)
        assert len(outcomes) == ROWS
        states = Counter(row.state for row in outcomes)
        assert states[State.SETTLED] + states[State.REJECTED] == ROWS
        assert states[State.REJECTED] <= refused
        assert_feed_is_whole(outcomes, await on.feed())
        effects = Counter(one.request.item_key for one in submissions(on))
        assert set(effects.values()) == {1}
        assert len(effects) <= 3
        kept = {f"9-{row.key.submission_id}" for row in outcomes if row.state is State.REJECTED}
        assert {row["RowKey"] for row in await on.rows("worklist") if not row["RowKey"].startswith("0-")} == kept


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("refused", [0, 1], ids=["accepted", "refused"])
async def test_a_stop_at_any_step_keeps_the_campaign_whole(after_effect: bool, refused: int) -> None:
    """Before each even call, after each odd one: each row one final state, no item twice, no submission too many."""
    steps = list(enumerate(await recorded_steps()))
    for number, name in steps[after_effect::2]:
        try:
            await stop_and_go_on(number, after_effect=after_effect, refused=refused)
        except BaseException as error:
            error.add_note(f"stopped at step {number}, {name}")
            raise


async def test_a_promotion_that_was_cut_off_is_finished_for_the_one_that_was_chosen() -> None:
    """A process stopped behind its decision, and another member stands first by now: it follows the chosen one."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        report_lures(on, 6)
        await on.app.collect_reports.run()
        await on.app.dispatch.run()
        await on.deliver_submissions()
        rows = sorted(await on.outcomes(), key=lambda row: row.key.submission_id)
        (gone,) = [row.key for row in rows if row.state is State.REJECTED]
        chosen = [row for row in rows if row.state is State.COVERED][3]
        campaigns = Campaigns(CampaignStore(on.ports.tables["items"]), 1, new_ledger(on.clock), on.clock)
        await campaigns.hand_over(chosen.campaign_id or "", gone, chosen.key)
        outcomes = await on.finish(rows=6)
        assert Counter(row.state for row in outcomes) == {State.SETTLED: 5, State.REJECTED: 1}
        assert [row.key for row in own(outcomes) if row.state is State.SETTLED] == [chosen.key]


@pytest.mark.parametrize("is_settled", [False, True], ids=["waiting", "settled"])
async def test_a_request_does_not_wait_for_a_report_that_turns_out_to_be_covered(is_settled: bool) -> None:
    """It comes between a report's claim on the item and its row; the row then says that the campaign covers it."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        report_lures(on, 1)
        await on.app.collect_reports.run()
        report_lures(on, 1, start=4)
        on.start_process(StepsUntil("table outcomes.write"))
        with pytest.raises(ProcessStoppedError):
            await on.app.collect_reports.run()
        on.start_process()
        await ask_for(on, lure(4), recipient=person(4))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        assert requested(await on.outcomes()).state is State.COVERED
        if is_settled:
            await on.app.dispatch.run()
            await on.deliver_submissions()
            on.clock.advance(minutes=5)
        outcomes = await on.finish(rows=3)
        assert {row.state for row in outcomes} == {State.SETTLED}
        assert requested(outcomes).submitted_at is not None
        assert posts(on) == 2


async def test_a_promoted_member_does_not_wait_for_one_that_waits_for_it() -> None:
    """A mail is reported, asked for in vain, and reported again: that report holds the item and is no obstacle."""
    async with stage(is_busy=True, CAMPAIGN_REPRESENTATIVES="1") as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=2)))
        (representative,), (member,) = report_lures(on, 1), report_lures(on, 1, start=4)
        await collect(on)
        await ask_for(on, lure(4), recipient=person(4))
        await collect(on)
        await on.app.dispatch.run()
        await on.deliver_submissions()
        report_lures(on, 1, start=4)
        await on.app.collect_reports.run()
        rows = await rows_by_report(on)
        gone, promoted = rows[representative].key, rows[member].key
        campaigns = Campaigns(CampaignStore(on.ports.tables["items"]), 1, new_ledger(on.clock), on.clock)
        await campaigns.hand_over(rows[member].campaign_id or "", gone, promoted)
        outcomes = await on.finish(rows=4)
        assert Counter(row.state for row in outcomes) == {State.REJECTED: 2, State.SETTLED: 2}
        assert [row.key for row in own(outcomes) if row.state is State.SETTLED] == [promoted]
