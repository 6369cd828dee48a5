"""What strangers try: to inject a submission, or to make one disappear. Each test is named after the attack.

The stage stands for a tenant whose Exchange writes its own headers; what the attacker controls is everything else in
his mail, and whatever he sends to the reporting mailbox.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.graph_simulator import MailItem
from local.sample_tenant import REPORTING_MAILBOX, wrap_as_report_button
from shared.bootstrap import tenant
from shared.domain.model import Category, CoverReason, Outcome, SkipReason, State
from shared.domain.simulations import OwnMarks
from shared.ports import ReportHead
from shared.usecases.arrivals.microsoft_knows import MicrosoftKnows
from shared.usecases.arrivals.reading import ReadingRules, ReportPlace, ReportReader
from tests.support.ledgers import new_ledger
from tests.support.reports import (
    ANNA,
    BEN,
    MALICIOUS,
    network_id,
    original,
    posts,
    report,
    rows_by_report,
    submissions,
    wording,
)
from tests.support.stage import Stage, stage

RESULTS = (
    "spf=fail (sender IP is 203.0.113.66) smtp.mailfrom=contoso.example; dkim=none (message not signed) "
    "header.d=none;dmarc=fail action=none header.from=contoso.example;compauth=fail reason=000"
)
EXTERNAL = (("Authentication-Results", RESULTS), ("X-MS-Exchange-Organization-AuthAs", "Anonymous"))
VENDORS_RESULTS = (
    "Authentication-Results: spf=pass (sender IP is 147.160.167.1) smtp.mailfrom=psm.knowbe4.com; dkim=pass "
    "(signature was verified) header.d=knowbe4.com;dmarc=pass action=none header.from=knowbe4.com"
)


async def rows_after(on: Stage) -> dict[str, Outcome]:
    """The rows by report, once all are final."""
    count = len(await on.outcomes())
    await on.round()
    await on.finish(rows=max(count, 1), step=timedelta(minutes=16))
    return await rows_by_report(on)


def reported(on: Stage, content: bytes, *headers: tuple[str, str]) -> MailItem:
    """A report in Anna's name with these headers in place of those of a mail from inside."""
    mail = wrap_as_report_button(
        content, reporter=ANNA, category=Category.NOT_JUNK, received_at=on.clock.time, mailbox=REPORTING_MAILBOX
    )
    return replace(mail, headers=headers)


def with_headers(content: bytes, *lines: str) -> bytes:
    """The mail with more headers below those that Exchange wrote."""
    head, blank, body = content.partition(b"\r\n\r\n")
    return head + b"\r\n" + "\r\n".join(lines).encode() + blank + body


@pytest.mark.parametrize(
    "headers",
    [
        EXTERNAL,
        (*EXTERNAL, ("X-MS-Exchange-Organization-AuthAs", "Internal")),
        (("X-MS-Exchange-Organization-AuthAs", "Internal"), *EXTERNAL),
        (*EXTERNAL, ("X-MS-Exchange-CrossTenant-AuthAs", "Internal")),
        (*EXTERNAL, ("Authentication-Results", "dmarc=pass action=none header.from=contoso.example;compauth=pass")),
        (("ARC-Authentication-Results", "i=1; mx.microsoft.com 1; dmarc=pass header.from=contoso.example"), *EXTERNAL),
        (("X-MS-Exchange-Organization-AuthAs", "Internal"), ("From", f"{ANNA}, <x@evil.test>")),
        (
            ("X-MS-Exchange-Organization-AuthAs", "Internal"),
            ("X-MS-Exchange-CrossTenant-Id", "11111111-2222-4333-8444-555555555555"),
        ),
        (("Subject", "3|a report"),),
    ],
    ids=[
        "plain",
        "AuthAs below",
        "AuthAs above",
        "CrossTenant",
        "results",
        "ARC",
        "two senders",
        "other tenant",
        "bare",
    ],
)
async def test_a_spoofed_internal_sender_injects_nothing(headers: tuple[tuple[str, str], ...]) -> None:
    """A report in a colleague's name, sent from outside, is recorded and not acted on."""
    async with stage() as on:
        spoofed = on.graph.tenant.deliver(REPORTING_MAILBOX, reported(on, original("a supplier's invoice"), *headers))
        row = (await rows_after(on))[spoofed]
        assert (row.state, row.state_reason) == (State.SKIPPED, SkipReason.UNTRUSTED_REPORTER)
        assert row.state_detail
        assert posts(on) == 0


async def test_a_report_without_headers_injects_nothing_in_a_tenant() -> None:
    """Where Graph is Microsoft's, nothing but Exchange's headers tells who sent a report; a stand-in may show none."""
    async with stage() as on:
        bare = on.graph.tenant.deliver(REPORTING_MAILBOX, reported(on, original("bare")))
        in_a_tenant = ReportReader(
            ReadingRules(tenant(on.settings), 3_000_000, OwnMarks()),
            mail=on.ports.mail,
            evidence=on.ports.containers["evidence"],
            microsoft=MicrosoftKnows(None, new_ledger(on.clock)),
            clock=on.clock,
        )
        head = ReportHead(bare, on.clock.now(), "3|bare", ANNA)
        candidate = await in_a_tenant.read(ReportPlace(REPORTING_MAILBOX, head, reports_reach_microsoft=False))
        assert candidate is not None
        row = candidate.outcome
        assert (row.state, row.state_reason) == (State.SKIPPED, SkipReason.UNTRUSTED_REPORTER)
        assert (await rows_after(on))[bare].state is State.SETTLED


async def test_a_forged_message_id_hides_no_mail_that_exchange_did_not_mark() -> None:
    """Originals that a button stripped of Exchange's headers: the same ids and sender, each its own verdict."""
    async with stage() as on:
        first, second = (
            original(name, internet_id="<same@parcel-lure.test>", subject=name).replace(b"X-MS-Exchange-", b"X-Cut-")
            for name in ("newsletter", "lure")
        )
        reports = [report(on, first), report(on, second)]
        rows = await rows_after(on)
        assert [rows[one].covered_by for one in reports] == [None, None]
        assert posts(on) == 2


async def test_a_spoofed_report_takes_no_claim_from_the_real_one() -> None:
    """The spoof comes first and names the very item; the recipient's own report is submitted all the same."""
    async with stage() as on:
        lure = original("lure")
        on.graph.tenant.deliver(REPORTING_MAILBOX, reported(on, lure, *EXTERNAL))
        await on.round()
        real = report(on, lure)
        assert (await rows_after(on))[real].state is State.SETTLED
        assert posts(on) == 1


@pytest.mark.parametrize("same", ["network message id", "both ids", "both ids and the sender"])
async def test_a_forged_network_message_id_hides_no_mail_behind_another(same: str) -> None:
    """A lure that bears the ids of a mail reported before is submitted itself, and gets its own verdict."""
    async with stage() as on:
        harmless = original("newsletter", verdict="noThreatsFound/goodReclassifiedAsGood")
        first = report(on, harmless)
        await on.round()
        forged_id = None if same == "network message id" else "<newsletter@parcel-lure.test>"
        lure = original("lure", subject="Your account is locked", verdict=MALICIOUS, internet_id=forged_id)
        lure = lure.replace(network_id("lure").encode(), network_id("newsletter").encode())
        if same != "both ids and the sender":
            lure = lure.replace(b"desk@parcel-lure.test>", b"bank@evil.test>", 1)
        second = report(on, lure)
        rows = await rows_after(on)
        assert rows[second].network_message_id == rows[first].network_message_id
        assert [rows[one].state for one in (first, second)] == [State.SETTLED] * 2
        assert rows[second].covered_by is None
        assert posts(on) == 2


async def test_a_forged_network_message_id_of_a_campaign_joins_no_campaign() -> None:
    """Ids alone join nothing: other words, and the mail is a campaign of its own."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        report(on, original("campaign"))
        copy = original("campaign", recipient=BEN)
        covered = report(on, copy, reporter=BEN)
        await on.round()
        lure = copy.replace(wording("campaign").encode(), b"Log in here, or your mailbox is closed tonight.")
        forged = report(on, lure.replace(BEN.encode(), b"carla@contoso.example"), reporter=BEN)
        rows = await rows_after(on)
        assert rows[covered].campaign_id != rows[forged].campaign_id
        assert rows[forged].covered_by is None
        assert posts(on) == 2


async def test_a_forged_network_message_id_in_the_reports_subject_counts_for_nothing() -> None:
    """The original's header counts; the row says that the subject tells another."""
    async with stage() as on:
        lure = original("lure")
        mail = wrap_as_report_button(
            lure, reporter=ANNA, category=Category.PHISHING, received_at=on.clock.time, mailbox=REPORTING_MAILBOX
        )
        other = mail.subject.replace(network_id("lure"), network_id("another mail"))
        on.graph.tenant.deliver(REPORTING_MAILBOX, replace(mail, subject=other))
        await on.app.collect_reports.run()
        (row,) = await on.outcomes()
        assert row.network_message_id == network_id("lure")
        assert "network message id" in (row.state_detail or "")


@pytest.mark.parametrize(
    "mark",
    [
        "X-PHISHTEST: KnowBe4",
        "X-PhishMe: Phishing_Training",
        "X-ThreatSim-Header: http://threatsim.com/how-it-works",
        "X-Forefront-Antispam-Report: CIP:147.160.167.1;CTRY:US;SFV:NSPM;",
        VENDORS_RESULTS,
        "X-Exercise: somebody guessed",
    ],
)
async def test_a_forged_simulation_mark_suppresses_nothing(mark: str) -> None:
    """A lure that says it is an exercise is submitted like any other."""
    async with stage(SIMULATION_MARKS="X-Exercise=5e1f0c9a77b14d20") as on:
        lure = with_headers(original("lure"), "X-MS-Exchange-Organization-AuthAs: Anonymous", "X-PHISHTEST: 1", mark)
        results = RESULTS.replace("contoso.example", "parcel-lure.test").encode()
        lure = b"Authentication-Results: " + results + b"\r\n" + lure
        reported_lure = report(on, lure)
        assert (await rows_after(on))[reported_lure].state is State.SETTLED
        assert posts(on) == 1


async def test_the_tenants_own_secret_marks_its_exercise() -> None:
    """What the forger cannot know suppresses: the same report with the secret is a simulation."""
    async with stage(SIMULATION_MARKS="X-Exercise=5e1f0c9a77b14d20") as on:
        exercise = report(on, with_headers(original("lure"), "X-Exercise: 5e1f0c9a77b14d20"))
        row = (await rows_after(on))[exercise]
        assert (row.state, row.state_reason) == (State.SKIPPED, SkipReason.SIMULATION)
        assert row.sender == "desk@parcel-lure.test"
        assert posts(on) == 0


@pytest.mark.parametrize("subject", ["3|{id}|203.0.113.9|desk@parcel-lure.test|(hello)", "Phishing: hello", "hello"])
async def test_a_lure_dressed_as_a_report_is_not_unwrapped(subject: str) -> None:
    """Its sender would choose what is submitted in its place: a mail of his that carries a harmless one is the lure."""
    async with stage() as on:
        harmless = original("harmless", verdict="noThreatsFound/goodReclassifiedAsGood")
        lines = (
            "Received: from mx.evil.test (203.0.113.66) by contoso.example",
            f"From: Colleague <{BEN}>",
            f"To: {REPORTING_MAILBOX}, {ANNA}",
            f"Subject: {subject.format(id=network_id('harmless'))}",
            "Message-ID: <dressed@evil.test>",
            f"X-MS-Exchange-Organization-Network-Message-Id: {network_id('dressed')}",
            "X-MS-Exchange-Organization-AuthAs: Anonymous",
            f"X-Sample-Verdict: {MALICIOUS}",
            "MIME-Version: 1.0",
            'Content-Type: multipart/mixed; boundary="b"',
            "",
            "--b",
            "",
            "Open the attachment.",
            "--b",
            "Content-Type: message/rfc822",
            "",
        )
        dressed = "\r\n".join(lines).encode() + b"\r\n" + harmless + b"\r\n--b--\r\n"
        lure = report(on, dressed)
        row = (await rows_after(on))[lure]
        assert (row.network_message_id, row.internet_message_id) == (network_id("dressed"), "<dressed@evil.test>")
        assert row.state is State.SETTLED


async def test_not_junk_from_a_user_allows_nothing() -> None:
    """No report ever asks for an allow entry: that takes an operator."""
    async with stage() as on:
        on.graph.tenant.deliver(
            REPORTING_MAILBOX,
            wrap_as_report_button(
                original("invoice"),
                reporter=ANNA,
                category=Category.NOT_JUNK,
                received_at=on.clock.time,
                mailbox=REPORTING_MAILBOX,
            ),
        )
        (row,) = (await rows_after(on)).values()
        assert (row.category, row.allow_or_block) == (Category.NOT_JUNK, None)
        (submission,) = submissions(on)
        assert submission.request.allow_or_block is None


async def test_a_clone_with_another_link_is_covered_by_nobody() -> None:
    """The words of a newsletter with a link of the attacker's: another campaign, another verdict."""
    async with stage(CAMPAIGN_REPRESENTATIVES="1") as on:
        news = original("news").replace(b"\r\n\r\n", b"\r\n\r\nRead on: https://www.parcel-lure.test/today ", 1)
        report(on, news)
        await on.round()
        clone = original("news", recipient=BEN).replace(
            b"\r\n\r\n", b"\r\n\r\nRead on: https://www.evil.test/today ", 1
        )
        cloned = report(on, clone, reporter=BEN)
        row = (await rows_after(on))[cloned]
        assert row.state_reason != CoverReason.SAME_CAMPAIGN
        assert posts(on) == 2
