"""The headers of a submitted mail, as far as a submission shows them.

The mail is hostile: any header may be missing, repeated, undecodable or huge. Reading never fails; what cannot be read
is empty.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import parseaddr, parsedate_to_datetime

_HEADER_LIMIT_BYTES = 256 * 1024
_HEADER_LINE = re.compile(rb"[!-9;-~]+[ \t]*:")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_CONNECTING_IP = re.compile(r"(?:CIP:|sender IP is |^)([0-9A-Fa-f]*[.:][0-9A-Fa-f.:]+)")
_CONNECTING_IP_HEADERS = ("X-Sender-IP", "X-Forefront-Antispam-Report", "Authentication-Results")
_NETWORK_ID_HEADERS = (
    "X-MS-Exchange-Organization-Network-Message-Id",
    "X-MS-Exchange-CrossTenant-Network-Message-Id",
    "X-MS-Office365-Filtering-Correlation-Id",
)


@dataclass(frozen=True, slots=True)
class MailHeaders:
    """What a submission shows of a mail; absent values are empty."""

    network_message_id: str
    internet_message_id: str
    subject: str
    sender: str
    sender_ip: str
    received_at: datetime | None
    verdict_marker: str
    verdict_delay_s: float | None


def begins_like_mail(content: bytes) -> bool:
    """Return whether the first line of `content` is a header field (RFC 5322), as in any .eml and in no .msg."""
    return _HEADER_LINE.match(content) is not None


def read_mail_headers(content: bytes) -> MailHeaders:
    """Return the headers of a whole mail."""
    end = _END_OF_HEADERS.search(content, 0, _HEADER_LIMIT_BYTES)
    head = content[: end.end() if end else _HEADER_LIMIT_BYTES]
    return _read(BytesHeaderParser(policy=compat32).parsebytes(head))


def read_header_pairs(pairs: Iterable[tuple[str, str]]) -> MailHeaders:
    """Return the headers of a mail of which only names and values are known."""
    message: Message = Message()
    for name, value in pairs:
        message[name] = value
    return _read(message)


def _read(message: Message) -> MailHeaders:
    addresses = (_CONNECTING_IP.search(_read_text(message, name)) for name in _CONNECTING_IP_HEADERS)
    network_ids = (_read_text(message, name) for name in _NETWORK_ID_HEADERS)
    return MailHeaders(
        network_message_id=next(filter(None, network_ids), "").lower(),
        internet_message_id=_read_text(message, "Message-ID"),
        subject=_decode(_read_text(message, "Subject")),
        sender=parseaddr(_read_text(message, "From"))[1],
        sender_ip=next((found[1] for found in addresses if found), ""),
        received_at=_read_date(_read_text(message, "Date")),
        verdict_marker=_read_text(message, "X-Sample-Verdict"),
        verdict_delay_s=_read_seconds(_read_text(message, "X-Sample-Verdict-Delay-S")),
    )


def _read_text(message: Message, name: str) -> str:
    return str(message.get(name, "")).encode("utf-8", "replace").decode().strip()


def _decode(text: str) -> str:
    try:
        decoded = str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text
    return decoded.encode("utf-8", "replace").decode()


def _read_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _read_seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 7 * 86400 else None
