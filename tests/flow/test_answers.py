"""Reporters hear what came of their reports: each once, whatever stops, is lost or is refused on the way."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from local.azurite import Azurite
from local.graph_simulator import MailItem
from local.graph_simulator.faults import Fault, FaultKind, Scope
from shared.domain.answers import Stage as AnswerStage
from shared.domain.model import Outcome, SkipReason, State, Verdict
from tests.flow.test_campaigns import lure, person, report_lures
from tests.flow.test_stops import changes_met
from tests.support.answers import BOTH, BOX, answering, links, marks, tell_everybody, told
from tests.support.reports import ask, listen, report, url_request
from tests.support.stage import ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

SEND = Scope(path="sendMail", times=1)
REPORTS = 2


async def settled(on: Stage, count: int = REPORTS) -> list[Outcome]:
    """Let that many people report a mail of their own each, and everybody be told."""
    report_lures(on, count)
    return await finished(on, count)


async def finished(on: Stage, count: int = REPORTS) -> list[Outcome]:
    """Let everything come to its end."""
    await on.finish(rows=count)
    await tell_everybody(on)
    return await on.outcomes()


@contextmanager
def at(step: str) -> Iterator[None]:
    """Say in a failure where it was."""
    try:
        yield
    except BaseException as error:
        error.add_note(step)
        raise


def assert_each_told_once(on: Stage, outcomes: list[Outcome], stages: tuple[AnswerStage, ...]) -> None:
    """Every reporter has had one mail for each stage, to his address, and the row says so."""
    wanted: Counter[str] = Counter()
    for one in stages:
        wanted += marks(outcomes, one)
    sent = told(on)
    assert Counter(one.mark for one in sent) == wanted
    assert Counter(one.recipient for one in sent) == Counter([row.reporter for row in outcomes] * len(stages))
    assert {(row.reporter_told, row.reporter_told_at is not None) for row in outcomes} == {("verdict", True)}


async def test_a_reporter_is_told_the_verdict() -> None:
    """One mail from the mailbox that is named, marked as automatic, with the reported mail's own words and no link."""
    async with answering() as on:
        (outcome,) = await settled(on, 1)
        (answer,) = told(on)
        assert_each_told_once(on, [outcome], (AnswerStage.VERDICT,))
        assert_feed_is_whole([outcome], await on.feed())
        assert outcome.revision == len(await on.feed())
    assert outcome.verdict is Verdict.MALICIOUS
    assert (answer.mail["From"], answer.mail["Auto-Submitted"]) == (BOX, "auto-generated")
    assert answer.mail["X-Auto-Response-Suppress"] == "All"
    for text in (answer.text(), answer.text("html")):
        assert "The message is dangerous" in text
        assert "Parcel 0 for employee0" in text
        assert "desk[@]parcel-lure[.]test" in text
        assert answer.mark in text
    assert list(links(answer.text("html"))) == []


async def test_receipts_come_first_and_verdicts_follow() -> None:
    """With `received` everybody hears twice; a receipt never hides that the verdict was told."""
    async with answering(BOTH) as on:
        for number in range(REPORTS):
            report(on, lure(number, delay_s=1_800), reporter=person(number))
        for _ in range(3):
            await on.round()
            on.clock.time += timedelta(minutes=1)
        first = Counter(one.mail["Subject"] for one in told(on))
        assert first == {"Your report came in": REPORTS}
        outcomes = await finished(on)
        assert_each_told_once(on, outcomes, (AnswerStage.RECEIVED, AnswerStage.VERDICT))
        assert_feed_is_whole(outcomes, await on.feed())


async def test_switched_off_nothing_is_told_or_kept() -> None:
    """No mail leaves, nothing waits for one, and no port for it is there."""
    async with stage() as on:
        report_lures(on, 1)
        await on.finish(rows=1)
        assert on.app.answering is None
        assert on.ports.answers is None
        assert [row for row in await on.rows("worklist") if not row["RowKey"].startswith("0-")] == []


async def test_a_rehearsal_tells_nobody() -> None:
    """In shadow mode nothing reached Microsoft, so there is nothing to tell."""
    async with answering(BOTH, SUBMISSION_MODE="shadow") as on:
        report_lures(on, 1)
        (outcome,) = await on.finish(rows=1)
        assert outcome.state_reason == SkipReason.SHADOW_MODE
        assert told(on) == []
        assert on.app.answering is None


async def test_nobody_else_is_told() -> None:
    """Neither a stranger, nor whom Exchange does not vouch for, nor an operator, nor a mailbox of the app's own."""
    async with answering(BOTH) as on:
        report(on, lure(0), reporter="stranger@elsewhere.test")
        report(on, lure(1), reporter=on.settings.reporting_mailboxes[0].address)
        report(on, lure(2), reporter=BOX)
        await ask(on, url_request("case-1"))
        await on.finish(rows=4)
        await tell_everybody(on)
        assert told(on) == []
        assert {row.reporter_told for row in await on.outcomes()} == {None}


@pytest.mark.parametrize("simulations", ["off", "on"])
async def test_a_simulation_has_its_own_text_or_none(simulations: str) -> None:
    """Whoever reports an exercise hears that it was one where that is switched on; the receipt is not sent for it."""
    mail = lure(0).replace(b"Subject:", b"X-Exercise: 5e1f0c9a77b14d20\r\nSubject:")
    async with answering(BOTH, FEEDBACK_SIMULATIONS=simulations, SIMULATION_MARKS="X-Exercise=5e1f0c9a77b14d20") as on:
        report(on, mail, reporter=person(0))
        await on.finish(rows=1)
        await tell_everybody(on)
        (outcome,) = await on.outcomes()
        answers = told(on)
    assert outcome.state_reason == SkipReason.SIMULATION
    assert [one.mail["Subject"] for one in answers] == ["Your report: the message was an exercise"] * (
        simulations == "on"
    )
    assert outcome.reporter_told == ("verdict" if simulations == "on" else None)


async def put_the_work(on: Stage) -> None:
    """Two people report their copies of one campaign."""
    report_lures(on, REPORTS)


async def recorded_steps(connection: str | None = None) -> list[str]:
    """The names of all calls that leave the process while everybody is told."""
    async with answering(BOTH, connection=connection, CAMPAIGN_REPRESENTATIVES="1") as on:
        await put_the_work(on)
        steps = Steps()
        on.start_process(steps)
        await finished(on)
        return steps.taken


async def stop_and_go_on(stop_at: int, *, after_effect: bool, connection: str | None = None) -> None:
    """Stop the process there, begin another; everybody has heard everything once."""
    async with answering(BOTH, connection=connection, CAMPAIGN_REPRESENTATIVES="1") as on:
        await put_the_work(on)
        on.start_process(Steps(stop_at=stop_at, after_effect=after_effect))
        with pytest.raises(ProcessStoppedError):
            await finished(on)
        on.start_process()
        on.clock.advance(minutes=11)
        outcomes = await finished(on)
        assert {outcome.state for outcome in outcomes} == {State.SETTLED}
        assert_feed_is_whole(outcomes, await on.feed())
        assert max(Counter(one.mark for one in told(on)).values()) == 1
        verdicts = {one.mark for one in told(on)} & set(marks(outcomes))
        assert verdicts == set(marks(outcomes))
        assert {row.reporter_told for row in outcomes} == {"verdict"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_stop_at_any_step_tells_everybody_once(after_effect: bool) -> None:
    """Whichever call was the last, each reporter hears the verdict once, and the receipt once at most."""
    for number, name in enumerate(await recorded_steps()):
        with at(f"stopped at step {number}, {name}"):
            await stop_and_go_on(number, after_effect=after_effect)


@pytest.mark.timeout(300)
async def test_a_stop_on_azurite_tells_everybody_once(azurite: Azurite) -> None:
    """The same on a real storage service, after every change from the first answer's place on."""
    steps = await recorded_steps(azurite.new_account())
    first = next(number for number, name in enumerate(steps) if name == "queue notifications.send")
    for number in [one for one in changes_met(steps) if one >= first]:
        with at(f"stopped at step {number}, {steps[number]}"):
            await stop_and_go_on(number, after_effect=True, connection=azurite.new_account())


LOST = {
    "before": Fault(FaultKind.RESET, SEND),
    "after": Fault(FaultKind.RESET, SEND, after_effect=True),
    "503": Fault(FaultKind.STATUS, SEND, status=503),
    "503 after": Fault(FaultKind.STATUS, SEND, status=503, after_effect=True),
    "429 after": Fault(FaultKind.STATUS, SEND, status=429, retry_after="7", after_effect=True),
    "429": Fault(FaultKind.STATUS, SEND, status=429, retry_after="7"),
    "401": Fault(FaultKind.STATUS, SEND, status=401),
    "403": Fault(FaultKind.STATUS, SEND, status=403, code="ErrorAccessDenied"),
    "404": Fault(FaultKind.STATUS, SEND, status=404, code="ErrorInvalidUser"),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
async def test_a_lost_answer_is_looked_up_before_anything_is_sent_again(fault: Fault) -> None:
    """Whether the mail had left or not, the reporter has it once."""
    async with answering() as on:
        on.graph.control.add_fault(fault)
        outcomes = await settled(on, 1)
        assert_each_told_once(on, outcomes, (AnswerStage.VERDICT,))


async def test_what_sent_items_cannot_tell_is_not_sent_again() -> None:
    """While they cannot be read a lost answer stands still; once they can, it is known."""
    async with answering() as on:
        on.graph.control.add_fault(Fault(FaultKind.STATUS, SEND, status=503, after_effect=True))
        on.graph.control.add_fault(Fault(FaultKind.STATUS, Scope(path="mailFolders/sentitems"), status=503))
        report_lures(on, 1)
        await on.finish(rows=1)
        for _ in range(30):
            await on.round()
            on.clock.time += timedelta(minutes=5)
        assert len(told(on)) == 1
        on.graph.control.clear_faults()
        assert_each_told_once(on, await finished(on, 1), (AnswerStage.VERDICT,))


async def test_a_refused_answer_is_undeliverable_and_not_tried_again() -> None:
    """Exchange will not have this mail: the row says so, and the others are told."""
    async with answering() as on:
        refused = Scope(path="sendMail", times=1)
        on.graph.control.add_fault(Fault(FaultKind.STATUS, refused, status=400, code="ErrorInvalidRecipients"))
        outcomes = await settled(on, 2)
        assert Counter(row.reporter_told for row in outcomes) == {"undeliverable": 1, "verdict": 1}
        assert len(told(on)) == 1


async def test_without_the_right_to_send_answers_wait_and_submissions_go_on() -> None:
    """A missing grant costs one try in a quarter of an hour; once it is there everybody is told."""
    async with answering() as on:
        on.graph.control.add_fault(Fault(FaultKind.STATUS, Scope(path="sendMail"), status=403))
        report_lures(on, 5)
        outcomes = await on.finish(rows=5)
        on.graph.control.clear_log()
        for _ in range(12):
            await on.round()
            on.clock.time += timedelta(minutes=5)
        tries = [one for one in on.graph.control.read_log() if "sendMail" in one.path]
        assert len(tries) <= 5 * 5
        assert {row.state for row in outcomes} == {State.SETTLED}
        on.graph.control.clear_faults()
        assert_each_told_once(on, await finished(on, 5), (AnswerStage.VERDICT,))


async def test_what_nothing_comes_of_for_a_week_is_given_up() -> None:
    """Nobody is told of a verdict that is a week old, and the row says that its reporter was not told."""
    async with answering() as on:
        on.graph.control.add_fault(Fault(FaultKind.STATUS, Scope(path="sendMail"), status=403))
        report_lures(on, 1)
        await on.finish(rows=1)
        on.clock.time += timedelta(days=8)
        on.graph.control.clear_faults()
        (outcome,) = await finished(on, 1)
        assert outcome.reporter_told == "undeliverable"
        assert told(on) == []


@pytest.mark.timeout(300)
async def test_a_thousand_reporters_of_a_campaign_are_told_once_each() -> None:
    """Three submissions, a thousand answers of their verdict at no more than 30 a minute, none twice."""
    async with answering(CAMPAIGN_REPRESENTATIVES="3") as on:
        report_lures(on, 1_000)
        outcomes = await on.finish(rows=1_000)
        settled_at = on.clock.time
        for _ in range(45):
            await on.answers_round()
            on.clock.time += timedelta(minutes=1)
        outcomes = await on.outcomes()
        assert len(on.graph.control.list_submissions()) == 3
        assert_each_told_once(on, outcomes, (AnswerStage.VERDICT,))
        assert {one.mail["Subject"] for one in told(on)} == {"Your report: the message is dangerous"}
        assert {row.verdict for row in outcomes} == {Verdict.MALICIOUS}
        moments = [one.at for one in on.graph.control.list_sent_mails()]
        assert on.clock.time - settled_at > timedelta(minutes=30)
        assert max(sum(at <= one < at + timedelta(minutes=1) for one in moments) for at in moments[::50]) <= 30


@pytest.mark.expects_error_log
async def test_texts_of_the_administrators_replace_shipped_ones(caplog: pytest.LogCaptureFixture) -> None:
    """His text is used; one with an unknown placeholder is told by file and name, and the shipped one stands in."""
    listen(caplog)
    own = (
        '[malicious]\nsubject = "Finger weg"\ntitle = "Finger weg von {subject}"\nfound = "Böse."\n'
        'advice = ["Anrufen: 4711"]\n[spam]\nsubject = "x"\ntitle = "x"\nfound = "{who}"\nadvice = ["x"]\n'
    )
    async with answering(FEEDBACK_LANGUAGE="de") as on:
        await on.ports.containers["feedback-texts"].put("de.toml", own.encode())
        await settled(on, 1)
        (answer,) = told(on)
        assert answer.mail["Subject"] == "Finger weg"
        assert "Anrufen: 4711" in answer.text()
        assert "Danke für Ihre Meldung" in answer.text()
    assert [line for line in caplog.messages if "feedback_text" in line] == [
        "event=feedback_text_unusable file=de.toml on=spam reason=unknown_placeholder"
    ]


@pytest.mark.parametrize("mailbox", [BOX, "phish-reports@contoso.example"])
async def test_what_comes_back_by_itself_gets_no_row(mailbox: str) -> None:
    """An automatic reply and a failure notice in a reporting mailbox are no reports; a person's mail is one."""
    async with answering(BOTH, REPORTING_MAILBOXES=mailbox) as on:
        on.graph.control.add_mailbox(mailbox)
        own = ("X-MS-Exchange-Organization-AuthAs", "Internal")
        came_back = (
            (("Auto-Submitted", "auto-replied"),),
            (("Auto-Submitted", "auto-generated"), ("In-Reply-To", "<answer-1@contoso.example>")),
            (("Content-Type", 'multipart/report; report-type="delivery-status"; boundary=b'),),
            (("Return-Path", "<>"),),
            (("Auto-Submitted", "no"),),
        )
        for number, headers in enumerate(came_back):
            mail = MailItem(
                from_address=person(number),
                subject=f"Mail {number}",
                received_at=on.clock.time - timedelta(minutes=1),
                internet_message_id=f"<{number}@contoso.example>",
                to_addresses=(mailbox,),
                body="I am out of office.",
                headers=(*headers, own),
            )
            on.graph.control.deliver(mailbox, mail)
        await on.round()
        assert [row.subject for row in await on.outcomes()] == ["Mail 4"]
        await tell_everybody(on)
        assert told(on) == []
