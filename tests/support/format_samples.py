"""One sample of each format that reports arrive in: the report mail, and what its original says of itself.

docs/formats.md names every function below that is a `@sample`, and `tests/flow/test_formats.py` sends each through the
whole app. Nearly all are about one original, so that only the wrapping differs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from local.graph_simulator.mail_item import Attachment, FileAttachment, ItemAttachment, MailItem, ReferenceAttachment
from local.sample_tenant import (
    REPORTING_MAILBOX,
    MailFacts,
    attach_as_file,
    read_facts,
    read_original,
    wrap_as_report_button,
    wrap_as_third_party,
    write_report,
)
from local.sample_tenant.directory import ACCOUNTS, BEN, ELIF
from local.sample_tenant.oddities import cut_in_headers, grow
from shared.domain.model import Category
from shared.formats.outlook_message import OutlookMessage, Property
from tests.support import report_formats as formats
from tests.support.outlook_writer import write_msg
from tests.support.stage import START

RECEIVED_AT = START - timedelta(minutes=5)
ORIGINAL = read_original("voicemail-html-attachment", START)
OTHER = read_original("mailbox-quota-credentials", START)
SHARED = read_original("bank-details-change-invoice", START)
LOGO = FileAttachment("logo.gif", "image/gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", is_inline=True)
_AUTHENTICATION = re.compile(rb"Authentication-Results:[^\r\n]*(\r?\n[ \t][^\r\n]*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A report mail; `recipient` and `facts` are what is true of its original, whatever can be read of it."""

    mail: MailItem
    recipient: str = BEN
    facts: MailFacts = field(default_factory=lambda: read_facts(ORIGINAL))
    category: Category = Category.PHISHING


SAMPLES: dict[str, Callable[[], Sample]] = {}


def sample(build: Callable[[], Sample]) -> Callable[[], Sample]:
    """Register a sample under the name of its function."""
    SAMPLES[build.__name__] = build
    return build


def report(*attachments: Attachment, subject: str = "3|look at this", reporter: str = BEN, body: str = "") -> MailItem:
    """A report of one of the tenant's people, as Exchange delivered it."""
    return write_report(
        subject, attachments, reporter=reporter, received_at=RECEIVED_AT, mailbox=REPORTING_MAILBOX, body=body
    )


def item(content: bytes) -> ItemAttachment:
    """A mail as the built-in button attaches it."""
    return ItemAttachment("Original", content)


# --- Buttons that attach the mail itself ------------------------------------------------------------------------------


@sample
def report_button() -> Sample:
    """The built-in button as it is now."""
    mail = wrap_as_report_button(
        ORIGINAL, reporter=BEN, category=Category.SPAM, received_at=RECEIVED_AT, mailbox=REPORTING_MAILBOX
    )
    return Sample(mail=mail, category=Category.SPAM)


@sample
def old_add_in() -> Sample:
    """The Report Message add-in: type, id, sender and subject with a date."""
    told = read_facts(ORIGINAL)
    subject = f"Not junk:{told.network_message_id}|{told.sender}|({told.subject}) 11/23/2026 9:00:00 AM"
    return Sample(mail=report(item(ORIGINAL), subject=subject), category=Category.NOT_JUNK)


@sample
def worded_prefix() -> Sample:
    """The prefixes in words."""
    mail = wrap_as_third_party(
        ORIGINAL, reporter=BEN, category=Category.SPAM, received_at=RECEIVED_AT, mailbox=REPORTING_MAILBOX, worded=True
    )
    return Sample(mail=mail, category=Category.SPAM)


@sample
def third_party_eml() -> Sample:
    """Another maker's button."""
    return Sample(mail=report(attach_as_file(ORIGINAL)))


@sample
def octet_stream() -> Sample:
    """A button that tells neither type nor name of what it attaches."""
    return Sample(mail=report(LOGO, FileAttachment("original", "application/octet-stream", ORIGINAL)))


@sample
def outlook_msg() -> Sample:
    """A button that attaches what Outlook saved."""
    return Sample(mail=report(msg(formats.as_msg(ORIGINAL))))


@sample
def dragged_msg() -> Sample:
    """A mail that was dragged out of Outlook and kept no headers."""
    return Sample(mail=report(msg(formats.as_dragged_msg(ORIGINAL))))


@sample
def winmail_item() -> Sample:
    """A report that Outlook sent as rich text: the original is embedded in winmail.dat."""
    return Sample(mail=report(winmail(formats.as_winmail_item(ORIGINAL))))


@sample
def winmail_eml() -> Sample:
    """The same with the original as a file in it."""
    return Sample(mail=report(winmail(formats.as_winmail_eml(ORIGINAL))))


@sample
def winmail_with_footer() -> Sample:
    """A winmail.dat to which a relay added a footer."""
    return Sample(mail=report(winmail(formats.as_winmail_item(ORIGINAL) + b"\r\n-- \r\nScanned by a relay\r\n")))


@sample
def line_of_a_mail_store() -> Sample:
    """An .eml with the line that begins each mail of an mbox file."""
    return Sample(mail=report(attach_as_file(b"From MAILER-DAEMON Mon Nov 23 09:00:00 2026\r\n" + ORIGINAL)))


def msg(content: bytes) -> FileAttachment:
    """An Outlook file."""
    return FileAttachment("Original.msg", "application/vnd.ms-outlook", content)


def winmail(content: bytes) -> FileAttachment:
    """A report's body as Outlook wraps it."""
    return FileAttachment("winmail.dat", "application/ms-tnef", content)


# --- Buttons that tell of the mail in words ---------------------------------------------------------------------------


def phish_alarm_text() -> str:
    """What PhishAlarm writes: the headers between lines of dashes."""
    head = ORIGINAL.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode()
    return (
        f"---------- Begin Email Headers ----------\n{head}\n---------- End Email Headers ----------\n"
        "---------- Begin Reported Email ----------\nYou have a new voice message.\n"
        "---------- End Reported Email ----------\n"
    )


def usecure_text() -> str:
    """What usecure writes: a table."""
    told = read_facts(ORIGINAL)
    return (
        f"Recipient: {BEN}\nSender: {told.sender}\nSubject: {told.subject}\nReceived At: 2026-11-22 11:02\n"
        f"Message ID: {told.internet_message_id}\nNetwork Message ID: {told.network_message_id}\n"
    )


@sample
def phish_alarm() -> Sample:
    """PhishAlarm without the mail."""
    return Sample(mail=report(subject="Potential Phish: voice message", body=phish_alarm_text()))


@sample
def phish_alarm_eml() -> Sample:
    """PhishAlarm with it."""
    told = phish_alarm_text()
    return Sample(mail=report(attach_as_file(ORIGINAL), subject="Potential Phish: voice message", body=told))


@sample
def usecure() -> Sample:
    """The table of usecure and SiberMate without the mail."""
    return Sample(mail=report(subject="Reported email", body=usecure_text()))


@sample
def usecure_eml() -> Sample:
    """The table with it."""
    return Sample(mail=report(attach_as_file(ORIGINAL), subject="Reported email", body=usecure_text()))


# --- A mail within a mail ---------------------------------------------------------------------------------------------


@sample
def report_of_report_eml() -> Sample:
    """A colleague reports the report that somebody forwarded to him."""
    return Sample(mail=report(attach_as_file(formats.report_of_report(ORIGINAL))))


@sample
def report_of_report_msg() -> Sample:
    """The same as an Outlook file."""
    return Sample(mail=report(msg(formats.as_msg(formats.report_of_report(ORIGINAL)))))


@sample
def forwarded_report() -> Sample:
    """Somebody forwards a report by hand: what the button in it says counts."""
    carried = formats.delivered_report(formats.report_body(ORIGINAL), subject="2|Your order")
    return Sample(mail=report(attach_as_file(carried), subject="FW: 2|Your order"), category=Category.NOT_JUNK)


@sample
def tagged_report() -> Sample:
    """A mail flow rule put a tag before the button's subject."""
    return Sample(mail=report(item(ORIGINAL), subject="[EXTERNAL] 1|Your order"), category=Category.SPAM)


@sample
def lost_report() -> Sample:
    """A report that was taken from a journal: what Exchange wrote into it is gone."""
    carried = formats.delivered_report(formats.report_body(ORIGINAL), auth_as="")
    return Sample(mail=report(attach_as_file(carried.replace(b"X-MS-Exchange-Organization-AuthAs: \r\n", b""))))


@sample
def hostile_mail_with_a_mail() -> Sample:
    """A stranger's mail that carries another: the outer one was delivered."""
    lure = formats.multipart("mixed", formats.text_part(), formats.mail_part(OTHER))
    outer = ORIGINAL.partition(b"MIME-Version")[0] + b"MIME-Version: 1.0\r\n" + lure
    return Sample(mail=report(attach_as_file(outer)), facts=read_facts(outer))


# --- Signed and encrypted reports -------------------------------------------------------------------------------------


@sample
def clear_signed() -> Sample:
    """A report that the reporter's Outlook signed so that everybody can read it."""
    return Sample(mail=report(p7m(formats.as_clear_signed(ORIGINAL), "multipart/signed")))


@sample
def opaque_signed() -> Sample:
    """A report within its signature."""
    return Sample(mail=report(p7m(formats.as_opaque_signed(ORIGINAL), "application/pkcs7-mime")))


@sample
def compressed() -> Sample:
    """A report that a mail program compressed."""
    return Sample(mail=report(p7m(formats.as_compressed(ORIGINAL), "application/pkcs7-mime")))


@sample
def encrypted() -> Sample:
    """A report that only the reporting mailbox's owner could read."""
    return Sample(mail=report(p7m(formats.as_enveloped(ORIGINAL), "application/pkcs7-mime")))


@sample
def rights_protected() -> Sample:
    """A report under Microsoft Purview message encryption."""
    content_type = "application/x-microsoft-rpmsg-message"
    return Sample(mail=report(FileAttachment("message.rpmsg", content_type, formats.RIGHTS_PROTECTED)))


def p7m(content: bytes, content_type: str) -> FileAttachment:
    """The one attachment that Graph shows of a signed or encrypted mail."""
    return FileAttachment("smime.p7m", content_type, content)


# --- Without one original ---------------------------------------------------------------------------------------------


@sample
def two_originals() -> Sample:
    """Two mails in one report."""
    return Sample(mail=report(item(ORIGINAL), item(OTHER)))


@sample
def plain_forward() -> Sample:
    """A mail that was forwarded by hand."""
    return Sample(mail=report(subject="FW: voice message", body="I clicked, what now?"))


@sample
def inline_forward() -> Sample:
    """The same with the pictures of the forwarded mail."""
    return Sample(mail=report(LOGO, replace(LOGO, name="photo.gif"), subject="FW: voice message"))


@sample
def teams_report() -> Sample:
    """A message of Teams."""
    link = "https://teams.microsoft.com/l/message/19:abc@thread.v2/1700000000000"
    return Sample(mail=report(subject="3|A message was reported", body=f"Reported message: {link}"))


@sample
def teams_forward() -> Sample:
    """A mail that was forwarded by hand, and holds a link into Teams."""
    link = "https://teams.microsoft.com/l/message/19:abc@thread.v2/1700000000000"
    head = "From: Microsoft Teams <desk@lure.test>\r\nSent: Monday\r\nSubject: You were mentioned"
    body = f"See below.\r\n\r\n{head}\r\n\r\n{link}"
    return Sample(mail=report(subject="3|You were mentioned in Microsoft Teams", body=body))


@sample
def reference_attachment() -> Sample:
    """The original lies in the cloud, and the report has a link to it."""
    link = ReferenceAttachment("strange mail.eml", "https://files.contoso.example/strange-mail.eml")
    return Sample(mail=report(link))


@sample
def outlook_contact() -> Sample:
    """A contact that was dragged out of Outlook."""
    contact = OutlookMessage({Property.MESSAGE_CLASS: "IPM.Contact", Property.SUBJECT: "Parcel desk"})
    return Sample(mail=report(msg(write_msg(contact))))


@sample
def meeting_item() -> Sample:
    """A meeting was attached in place of a mail."""
    return Sample(mail=report(item(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n")))


@sample
def empty_file() -> Sample:
    """A file without content."""
    return Sample(mail=report(attach_as_file(b"")))


@sample
def cut_off() -> Sample:
    """The first octets of a mail."""
    return Sample(mail=report(attach_as_file(cut_in_headers(ORIGINAL))))


@sample
def too_large() -> Sample:
    """A mail over the limit."""
    plain = read_original("payroll-account-change", START)
    return Sample(mail=report(attach_as_file(grow(plain, size_bytes=30_000_000))))


@sample
def too_old() -> Sample:
    """A report that lay in the mailbox for a month."""
    return Sample(mail=replace(report(item(ORIGINAL)), received_at=START - timedelta(days=31)))


# --- Who reported, and what -------------------------------------------------------------------------------------------


@sample
def outside_reporter() -> Sample:
    """A stranger writes to the reporting mailbox."""
    return Sample(mail=report(item(ORIGINAL), reporter="m.weber@partner-firm.test"))


@sample
def spoofed_reporter() -> Sample:
    """A stranger writes there in a colleague's name; Exchange says that nobody inside sent it."""
    mail = report(item(ORIGINAL))
    forged = (("X-MS-Exchange-Organization-AuthAs", "Anonymous"), ("Authentication-Results", "dmarc=fail"))
    return Sample(mail=replace(mail, headers=forged))


@sample
def simulation() -> Sample:
    """An exercise: the vendor's mark, and Exchange vouches for the vendor's servers."""
    origin = (
        b"Authentication-Results: spf=pass (sender IP is 147.160.167.1) smtp.mailfrom=psm.knowbe4.com;"
        b" dkim=pass (signature was verified) header.d=knowbe4.com;dmarc=pass action=none header.from=knowbe4.com"
        b"\nX-PHISHTEST: exercise"
    )
    return Sample(mail=report(item(_AUTHENTICATION.sub(lambda _: origin, ORIGINAL, count=1))))


@sample
def forged_simulation() -> Sample:
    """A lure that only bears the mark."""
    return Sample(mail=report(item(b"X-PHISHTEST: exercise\n" + ORIGINAL)))


@sample
def shared_mailbox() -> Sample:
    """Somebody reports what a shared mailbox got."""
    return Sample(mail=report(item(SHARED), reporter=ELIF), recipient=ACCOUNTS, facts=read_facts(SHARED))
