"""What comes of an answer in Exchange: another Message-ID, a lost word, bounces and automatic replies, on Azurite."""

from datetime import timedelta

import pytest

from local.azurite import Azurite
from local.graph_simulator import MailItem, SendTraps
from local.graph_simulator.faults import Scope, lose_answer
from local.sample_tenant import REPORTING_MAILBOX
from shared.domain.model import Outcome, Verdict
from tests.support.answers import BOX, answering, tell_everybody, told
from tests.support.reports import ANNA, original, report
from tests.support.stage import Stage, stage


async def reported(on: Stage) -> Outcome:
    """Let Anna report a mail and everything come to its end; returns her row."""
    report(on, original("lure"), reporter=ANNA)
    await on.finish(rows=1)
    await tell_everybody(on)
    (outcome,) = await on.outcomes()
    return outcome


async def test_from_the_report_to_the_mail_in_the_reporters_inbox(azurite: Azurite) -> None:
    """The word of Graph is lost and Exchange gives the mail another id: it is found by its text, and sent once."""
    async with answering(connection=azurite.new_account()) as on:
        on.graph.control.add_mailbox(ANNA)
        on.graph.control.set_send_traps(SendTraps(replace_message_id=True))
        on.graph.control.add_fault(lose_answer(Scope(path="sendMail", times=1)))
        outcome = await reported(on)
        (answer,) = told(on)
        inbox = on.graph.tenant.find_mailbox(ANNA)
        assert inbox is not None
        (arrived,) = inbox.open_folder("inbox").messages.values()
    assert (outcome.verdict, outcome.reporter_told) == (Verdict.MALICIOUS, "verdict")
    assert (answer.recipient, answer.mark in arrived.item.body) == (ANNA, True)
    assert arrived.item.from_address == BOX
    assert arrived.item.internet_message_id != str(answer.mail["Message-ID"])


@pytest.mark.parametrize("is_on", [True, False])
async def test_bounces_and_automatic_replies_get_no_row(azurite: Azurite, is_on: bool) -> None:
    """Also where answers leave from a reporting mailbox, and come back there. Without answers all is as ever."""
    connection = azurite.new_account()
    ours = answering(connection=connection, FEEDBACK_MAILBOX=REPORTING_MAILBOX)
    async with ours if is_on else stage(connection=connection) as on:
        await reported(on)
        mark = told(on)[0].mark if is_on else "answer-" + "0" * 40
        for number, (sender, submitted, headers) in enumerate(
            [
                (ANNA, "auto-generated", (("In-Reply-To", f"<{mark}@contoso.example>"),)),
                ("postmaster@contoso.example", "auto-replied", ()),
                ("postmaster@contoso.onmicrosoft.com", "auto-replied", ()),
            ]
        ):
            on.graph.tenant.deliver(REPORTING_MAILBOX, came_back(on, number, sender, submitted, *headers))
        report(on, original("another"), reporter=ANNA)
        for _ in range(5):
            await on.round()
            on.clock.time += timedelta(minutes=3)
        assert len(await on.outcomes()) == (2 if is_on else 5)


def came_back(on: Stage, number: int, sender: str, submitted: str, *headers: tuple[str, str]) -> MailItem:
    """Return what a machine writes about an answer."""
    return MailItem(
        from_address=sender,
        subject="Automatic reply: Your report",
        received_at=on.clock.time,
        internet_message_id=f"<back-{number}@contoso.example>",
        headers=(
            ("From", sender),
            ("Auto-Submitted", submitted),
            ("X-MS-Exchange-Organization-AuthAs", "Internal"),
            *headers,
        ),
    )
