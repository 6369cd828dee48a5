"""What a mail that an app sends is made of: its MIME form taken apart, or its JSON form put together.

Text is what Exchange keeps: with an HTML part the text is made from it, as a mailbox stores one body only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from html import unescape

from local.graph_simulator.answer import RefusedError, bad_request
from local.graph_simulator.mail_item import MailItem

INVALID_RECIPIENTS = "ErrorInvalidRecipients"

_ADDRESS = re.compile(r"[^@\s<>]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_TAG = re.compile(r"<(style|head)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_RECIPIENT_HEADERS = ("To", "Cc", "Bcc")


@dataclass(frozen=True, slots=True)
class OutboundMail:
    """A mail on its way: its MIME form as it was given, who gets it, and who it says that it is from."""

    mime: bytes
    parsed: EmailMessage
    recipients: tuple[str, ...]
    from_address: str | None

    @property
    def suppressed(self) -> frozenset[str]:
        """The automatic answers that it asks not to get, in lower case ([MS-OXCMAIL] X-Auto-Response-Suppress)."""
        told = str(self.parsed.get("X-Auto-Response-Suppress", ""))
        return frozenset(word.strip().lower() for word in told.split(","))


def read_mime(mime: bytes) -> OutboundMail:
    """Return the mail written in `mime`. Raises RefusedError (400) where nobody, or no address, is to get it."""
    parsed = BytesParser(EmailMessage, policy=default).parsebytes(mime)
    recipients = [
        one for name in _RECIPIENT_HEADERS for header in parsed.get_all(name, []) for one in _addresses(header)
    ]
    senders = [one for header in parsed.get_all("From", []) for one in _addresses(header)]
    require_recipients(recipients)
    return OutboundMail(mime, parsed, tuple(recipients), senders[0] if senders else None)


def _addresses(header: object) -> list[str]:
    assert isinstance(header, AddressHeader)
    return [one.addr_spec for one in header.addresses]


def require_recipients(recipients: Sequence[str]) -> None:
    """Refuse a mail without recipients, and one whose recipient is no address (400)."""
    if not recipients or not all(map(_ADDRESS.fullmatch, recipients)):
        raise bad_request("At least one recipient is not valid.", INVALID_RECIPIENTS)


def make_item(mail: OutboundMail, sender: str, message_id: str, at: datetime, *, transported: bool) -> MailItem:
    """Return the mail as a mailbox holds it; only transport writes headers that a client is shown."""
    html = _content(mail.parsed, "html")
    headers = tuple((name, str(value)) for name, value in mail.parsed.items()) if transported else ()
    return MailItem(
        from_address=sender,
        subject=str(mail.parsed.get("Subject", "")),
        received_at=at,
        internet_message_id=message_id,
        to_addresses=mail.recipients,
        body=_text(html) if html else _content(mail.parsed, "plain"),
        body_html=html,
        headers=(*headers, ("X-MS-Exchange-Organization-AuthAs", "Internal")) if transported else (),
        mime=mail.mime,
    )


def _content(parsed: EmailMessage, kind: str) -> str:
    part = parsed.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except LookupError as error:
        raise RefusedError(400, "ErrorMimeContentInvalid", "The MIME content is not valid.") from error


def _text(html: str) -> str:
    return unescape(_TAG.sub(" ", html))
