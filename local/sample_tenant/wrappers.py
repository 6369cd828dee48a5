"""Report mails: what lands in the reporting mailbox when somebody reports an original.

Microsoft's own button attaches the original as an Outlook item and writes what it knows into the subject,
`3|<network message id>|<ip>|<from>|(<subject>)`; older versions wrote `Phishing: <subject>`. Other makers' buttons
attach an `.eml` file and start the subject with one of the prefixes that Microsoft asks for (Defender documentation,
"User reported settings", section on third-party reporting tools). The original is attached byte for byte.
"""

from __future__ import annotations

import email.parser
import email.utils
import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Final

from local.graph_simulator.mail_item import Attachment, FileAttachment, ItemAttachment, MailItem
from local.sample_tenant.directory import DOMAINS, TENANT_ID
from shared.domain.model import Category

PIPED_PREFIX: Final = {Category.SPAM: "1|", Category.NOT_JUNK: "2|", Category.PHISHING: "3|"}
WORDED_PREFIX: Final = {Category.SPAM: "Junk: ", Category.NOT_JUNK: "Not junk: ", Category.PHISHING: "Phishing: "}
"""The two ways to say what is claimed. No button claims malware."""

_SUBJECT_LIMIT = 255
"""Exchange keeps no longer subject; the closing parenthesis of the button's form is lost with the rest."""


@dataclass(frozen=True, slots=True)
class MailFacts:
    """What a mail's own headers say of it; empty where they say nothing."""

    network_message_id: str
    internet_message_id: str
    sender_ip: str
    sender: str
    subject: str
    headers: tuple[tuple[str, str], ...]


def wrap_as_report_button(
    original: bytes, *, reporter: str, category: Category, received_at: datetime, mailbox: str, worded: bool = False
) -> MailItem:
    """The mail that the built-in Report button sends: the original as an attached item.

    With `worded` the subject has the older form. A fact that the original does not show is left empty between its
    pipes. Raises KeyError for `Category.MALWARE`, which no button offers.
    """
    facts = read_facts(original)
    about = f"{facts.network_message_id}|{facts.sender_ip}|{facts.sender}|({facts.subject})"
    subject = WORDED_PREFIX[category] + facts.subject if worded else PIPED_PREFIX[category] + about
    attached = ItemAttachment(name=facts.subject or "(no subject)", mime=original)
    return write_report(subject, (attached,), reporter=reporter, received_at=received_at, mailbox=mailbox)


def wrap_as_third_party(
    original: bytes, *, reporter: str, category: Category, received_at: datetime, mailbox: str, worded: bool = False
) -> MailItem:
    """The mail that another maker's button sends: the original as an `.eml` file, the claim as a subject prefix.

    Raises KeyError for `Category.MALWARE`, which no prefix stands for.
    """
    subject = (WORDED_PREFIX if worded else PIPED_PREFIX)[category] + read_facts(original).subject
    attached = attach_as_file(original)
    return write_report(subject, (attached,), reporter=reporter, received_at=received_at, mailbox=mailbox)


def attach_as_file(original: bytes, content_type: str = "message/rfc822") -> FileAttachment:
    """The original as an attached `.eml` file."""
    return FileAttachment(name="original.eml", content_type=content_type, content=original)


def write_report(
    subject: str,
    attachments: tuple[Attachment, ...],
    *,
    reporter: str,
    received_at: datetime,
    mailbox: str,
    body: str = "",
) -> MailItem:
    """A mail from `reporter` to the reporting mailbox, authenticated by Exchange if it comes from the tenant itself.

    Its Message-ID is derived from all that tells one report from another, so that the same call gives the same mail.
    """
    domain = reporter.rpartition("@")[2]
    told_apart = repr((reporter, mailbox, subject, received_at)).encode("utf-8", "surrogatepass")
    return MailItem(
        from_address=reporter,
        subject=subject[:_SUBJECT_LIMIT],
        received_at=received_at,
        internet_message_id=f"<{hashlib.sha256(told_apart).hexdigest()[:32]}@{domain}>",
        to_addresses=(mailbox,),
        body=body,
        headers=_headers_of_internal(domain) if domain in DOMAINS else _headers_of_external(domain),
        attachments=attachments,
    )


def read_facts(original: bytes) -> MailFacts:
    """What the mail's headers say; never raises, whatever the bytes are."""
    parsed = email.parser.BytesParser().parsebytes(original, headersonly=True)
    headers = tuple((name, _as_text(raw)) for name, raw in parsed.raw_items())
    first: dict[str, str] = {}
    for name, value in headers:
        first.setdefault(name.lower(), value.strip())
    return MailFacts(
        network_message_id=first.get("x-ms-exchange-organization-network-message-id")
        or first.get("x-ms-office365-filtering-correlation-id", ""),
        internet_message_id=first.get("message-id", ""),
        sender_ip=first.get("x-sender-ip", ""),
        sender=email.utils.parseaddr(first.get("from", ""))[1],
        subject=_decode(first.get("subject", "")),
        headers=headers,
    )


def _as_text(raw: str) -> str:
    """The header as UTF-8: the parser keeps bytes that are not ASCII as surrogates."""
    return raw.encode("ascii", "surrogateescape").decode("utf-8", "replace")


def _decode(header: str) -> str:
    unfolded = header.replace("\r", "").replace("\n", "")
    try:
        return str(make_header(decode_header(unfolded)))
    except (HeaderParseError, LookupError, ValueError):
        return unfolded


def _headers_of_internal(domain: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Authentication-Results", f"dkim=none header.d=none;dmarc=none action=none header.from={domain};"),
        ("X-MS-Exchange-Organization-AuthAs", "Internal"),
        ("X-MS-Exchange-CrossTenant-AuthAs", "Internal"),
        ("X-MS-Exchange-CrossTenant-Id", TENANT_ID),
    )


def _headers_of_external(domain: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Authentication-Results", f"spf=pass smtp.mailfrom={domain}; dkim=pass header.d={domain};dmarc=pass"),
        ("X-MS-Exchange-Organization-AuthAs", "Anonymous"),
        ("X-MS-Exchange-CrossTenant-AuthAs", "Anonymous"),
        ("X-MS-Exchange-CrossTenant-Id", TENANT_ID),
    )
