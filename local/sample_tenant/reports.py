"""About forty reports of every kind that the app handles, each with the final row it must end in.

The expectations follow the contract, sections 4 to 6, and are written by hand: nothing here asks the app what it
thinks. Reports arrive over the three hours before `now`, and every original reached its recipient on an earlier day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from local.graph_simulator.mail_item import Attachment, FileAttachment, ItemAttachment, MailItem, ReferenceAttachment
from local.sample_tenant.directory import (
    ANNA,
    BEN,
    CARLA,
    CLAIRE,
    DAVID,
    ELIF,
    FELIX,
    GRACE,
    HARUTO,
    LAYLA,
    REPORTING_MAILBOX,
)
from local.sample_tenant.oddities import (
    OUTLOOK_MSG,
    UNDECODABLE,
    address_to_many,
    cut_in_body,
    cut_in_headers,
    give_hostile_subject,
    grow,
    misstate_charset,
    readdress,
)
from local.sample_tenant.originals import REPORTED_OVER, find_original, read_original
from local.sample_tenant.wrappers import (
    attach_as_file,
    read_facts,
    wrap_as_report_button,
    wrap_as_third_party,
    write_report,
)
from shared.domain.model import Category, SkipReason, State, Verdict

PHISHING, SPAM, NOT_JUNK = Category.PHISHING, Category.SPAM, Category.NOT_JUNK

TOO_MANY_BYTES = 30_000_000
"""Ten times the largest original that is submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReport:
    """A report and how its row must end. What is None is not promised for it.

    A report that is covered by another ends `settled` like that one.
    """

    name: str
    mail: MailItem
    expected_state: State
    expected_reason: SkipReason | None = None
    expected_category: Category | None = None
    expected_recipient: str | None = None
    expected_network_message_id: str | None = None
    expected_verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class _Plain:
    """A well-formed report of an original as it lies in the collection."""

    original: str
    reporter: str
    category: Category
    is_file: bool = False
    worded: bool = False


_PLAIN = (
    # The built-in button as it is now: 3|, 2|, 1|.
    _Plain("mailbox-quota-credentials", ANNA, PHISHING),
    _Plain("bank-details-change-invoice", ELIF, PHISHING),
    _Plain("voicemail-html-attachment", BEN, PHISHING),
    _Plain("qr-code-authenticator", CARLA, PHISHING),
    _Plain("payroll-account-change", GRACE, PHISHING),
    _Plain("fattura-zip-malware", ELIF, PHISHING),
    _Plain("password-reset-genuine", GRACE, PHISHING),
    _Plain("shared-document-lure", FELIX, PHISHING),
    _Plain("banque-securite-fr", CLAIRE, PHISHING),
    _Plain("card-suspended-ja", HARUTO, PHISHING),
    _Plain("awareness-training-simulation", GRACE, PHISHING),
    _Plain("newsletter-in-junk", DAVID, NOT_JUNK),
    _Plain("conference-invite-delivered", HARUTO, NOT_JUNK),
    _Plain("webshop-sale-es", CARLA, SPAM),
    # The built-in button as it was: Phishing:, Not junk:, Junk:.
    _Plain("webcam-extortion", ANNA, PHISHING, worded=True),
    _Plain("mfa-fatigue-approve", ELIF, PHISHING, worded=True),
    _Plain("supplier-portal-not-junk", DAVID, NOT_JUNK, worded=True),
    _Plain("vaga-de-emprego-golpe", CARLA, SPAM, worded=True),
    # Other makers' buttons, with either kind of prefix.
    _Plain("gift-cards-from-director", GRACE, PHISHING, is_file=True),
    _Plain("partner-portal-transport-rule", FELIX, PHISHING, is_file=True),
    _Plain("lieferantenrechnung-quarantaene", ELIF, NOT_JUNK, is_file=True),
    _Plain("crypto-giveaway", BEN, SPAM, is_file=True),
    _Plain("steuererstattung-de", FELIX, PHISHING, is_file=True, worded=True),
    _Plain("customs-broker-blocked", DAVID, NOT_JUNK, is_file=True, worded=True),
    _Plain("calendar-spam", BEN, SPAM, is_file=True, worded=True),
)

_SAME_AGAIN = _Plain("mailbox-quota-credentials", ANNA, PHISHING, worded=True)
_LURE = "meeting-recap-campaign"
_LURED = (ANNA, BEN, CARLA, CLAIRE)
_NOTE = "Is this one real? I clicked the link but did not type anything. Please have a look."
_LOGO = FileAttachment(
    name="logo.gif", content_type="image/gif", content=b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", is_inline=True
)


def sample_reports(now: datetime) -> list[SampleReport]:
    """The reports, oldest first; names are unique.

    `now` is aware UTC and decides when the reports and their originals came: the same `now` gives the same reports.
    """
    return sorted(_Desk(now).write_all(), key=lambda report: report.mail.received_at)


class _Desk:
    """Writes one report after another, each three minutes after the last."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._arrivals = (now - REPORTED_OVER + timedelta(minutes=3 * number) for number in range(60))

    def write_all(self) -> Iterator[SampleReport]:
        yield from map(self._plain, _PLAIN)
        yield replace(self._plain(_SAME_AGAIN), name="same-item-again")
        yield from map(self._lured, _LURED)
        yield from self._odd_but_good()
        yield from self._without_one_original()
        yield from self._unreadable()
        yield from self._refused_unread()

    def _original(self, name: str) -> bytes:
        return read_original(name, self._now)

    def _plain(self, plain: _Plain) -> SampleReport:
        original, known = self._original(plain.original), find_original(plain.original)
        wrap = wrap_as_third_party if plain.is_file else wrap_as_report_button
        mail = wrap(
            original,
            reporter=plain.reporter,
            category=plain.category,
            received_at=next(self._arrivals),
            mailbox=REPORTING_MAILBOX,
            worded=plain.worded,
        )
        return _settled(plain.original, mail, original, plain.category, known.recipient, known.verdict)

    def _lured(self, recipient: str) -> SampleReport:
        original, sent_to = self._original(_LURE), find_original(_LURE).recipient
        copy = original if recipient == sent_to else readdress(original, sent_to=sent_to, recipient=recipient)
        return self._reported(f"{_LURE}-{recipient.partition('.')[0]}", copy, recipient, PHISHING, Verdict.MALICIOUS)

    def _reported(
        self, name: str, original: bytes, recipient: str, category: Category, verdict: Verdict
    ) -> SampleReport:
        """By the recipient, with the built-in button."""
        mail = wrap_as_report_button(
            original,
            reporter=recipient,
            category=category,
            received_at=next(self._arrivals),
            mailbox=REPORTING_MAILBOX,
        )
        return _settled(name, mail, original, category, recipient, verdict)

    def _attached(self, reporter: str, subject: str, *attachments: Attachment) -> MailItem:
        return write_report(
            subject,
            attachments,
            reporter=reporter,
            received_at=next(self._arrivals),
            mailbox=REPORTING_MAILBOX,
            body=_NOTE,
        )

    def _odd_but_good(self) -> Iterator[SampleReport]:
        charity = address_to_many(self._original("charity-appeal-deleted"), recipient=CLAIRE, count=5_000)
        yield self._reported("five-thousand-recipients", charity, CLAIRE, PHISHING, Verdict.NOT_FOUND)
        warning = give_hostile_subject(self._original("arabic-account-warning"))
        yield self._reported("nul-and-bidi-in-subject", warning, LAYLA, PHISHING, Verdict.MALICIOUS)
        invoice = misstate_charset(self._original("gb18030-invoice-spam"), charset="gb18030")
        yield self._reported("unknown-charset", invoice, GRACE, SPAM, Verdict.SPAM)
        scan = cut_in_body(self._original("hybrid-relay-lost-verdict"))
        mail = self._attached(FELIX, "1|Scanned document 0007", attach_as_file(scan))
        yield _settled("cut-in-its-body", mail, scan, SPAM, FELIX, Verdict.UNDETERMINED)
        parcel = self._original("parcel-customs-fee-nl")
        mail = self._attached(FELIX, "pakketje?", _LOGO, attach_as_file(parcel, "application/octet-stream"))
        yield _settled("no-prefix-and-a-logo", mail, parcel, PHISHING, FELIX, Verdict.IMPERSONATION)

    def _without_one_original(self) -> Iterator[SampleReport]:
        lure, parcel = self._original("shared-document-lure"), self._original("parcel-customs-fee-nl")
        two = (ItemAttachment("a.eml", lure), ItemAttachment("b.eml", parcel))
        yield _skipped("two-originals", self._attached(FELIX, "3|two more", *two), SkipReason.MULTIPLE_ORIGINALS)
        forward = self._attached(CARLA, "FW: Your parcel", _LOGO)
        yield _skipped("forwarded-without-original", forward, SkipReason.NO_ORIGINAL)
        link = ReferenceAttachment("strange mail.eml", "https://files.contoso.example/carla/strange-mail.eml")
        by_link = self._attached(CARLA, "Phishing: strange mail", link)
        yield _skipped("original-behind-a-link", by_link, SkipReason.REFERENCE_ATTACHMENT)

    def _unreadable(self) -> Iterator[SampleReport]:
        stump = cut_in_headers(self._original("calendar-spam"))
        outlook = FileAttachment("Original.msg", "application/vnd.ms-outlook", OUTLOOK_MSG)
        for name, attachment in (
            ("cut-in-its-headers", attach_as_file(stump)),
            ("undecodable", attach_as_file(UNDECODABLE)),
            ("empty-attachment", attach_as_file(b"")),
            ("outlook-msg", outlook),
        ):
            mail = self._attached(BEN, f"3|{name}", attachment)
            yield _skipped(name, mail, SkipReason.UNREADABLE_ORIGINAL)

    def _refused_unread(self) -> Iterator[SampleReport]:
        lure = attach_as_file(self._original("shared-document-lure"))
        stranger = self._attached("m.weber@partner-firm.test", "3|please check", lure)
        yield _skipped("reporter-from-outside", stranger, SkipReason.UNTRUSTED_REPORTER)
        look_alike = self._attached("it.desk@notcontoso.example", "3|please check", lure)
        yield _skipped("reporter-from-look-alike-domain", look_alike, SkipReason.UNTRUSTED_REPORTER)
        long_ago = self._now - timedelta(days=31)
        old_lure = attach_as_file(read_original("shared-document-lure", long_ago))
        late = replace(self._attached(GRACE, "3|please check", old_lure), received_at=long_ago)
        yield _skipped("reported-31-days-ago", late, SkipReason.TOO_OLD)
        album = attach_as_file(grow(self._original("payroll-account-change"), size_bytes=TOO_MANY_BYTES))
        yield _skipped("thirty-megabytes", self._attached(GRACE, "3|album", album), SkipReason.TOO_LARGE)


def _settled(
    name: str, mail: MailItem, original: bytes, category: Category, recipient: str, verdict: Verdict
) -> SampleReport:
    return SampleReport(
        name=name,
        mail=mail,
        expected_state=State.SETTLED,
        expected_category=category,
        expected_recipient=recipient,
        expected_network_message_id=read_facts(original).network_message_id,
        expected_verdict=verdict,
    )


def _skipped(name: str, mail: MailItem, reason: SkipReason) -> SampleReport:
    return SampleReport(name=name, mail=mail, expected_state=State.SKIPPED, expected_reason=reason)
