"""What a report says: its subject, which of its attachments is the original, and what the original's headers tell.

All of it was written by strangers, so every function is total and takes time proportional to what it reads: any
string and any bytes give an answer or a named reason. The body of a mail is never parsed here. Formats: Microsoft
Learn, "User reported settings" (May 2024, reporting tools) and its 2021 predecessor (the Report button's subject).
"""

from __future__ import annotations

import email.utils
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

from shared.domain.model import Category, SkipReason
from shared.domain.text import MAX_ADDRESS, address, addresses, clean, decode_words, domain_of

MAX_HEADER_BYTES = 256 * 1024
"""How much of a mail is searched for headers. Exchange Online accepts 256 KB of headers (Exchange Online limits)."""
MAX_SNIFFED = 3
"""How many untyped attachments are fetched to see whether one is a mail."""

_MAX_ENCODED = 4_096
"""Characters of a header that are decoded: more than `clean` keeps, few enough to be quick."""
_MAX_DATE = 100
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSubject:
    """What a report's subject says. Everything in it is the sender's word: the original's headers come first.

    `form` is `built_in` for the Report button's full form, `prefix` where only the choice was recognised and
    `unrecognised` otherwise, which counts as phishing like at Microsoft.
    """

    category: Category
    form: Literal["built_in", "prefix", "unrecognised"]
    network_message_id: str | None = None
    sender_ip: str | None = None
    sender: str | None = None
    original_subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One attachment of a report as Graph lists it, without its content."""

    id: str
    name: str
    content_type: str | None
    size_bytes: int
    is_inline: bool
    kind: Literal["item", "file", "reference"]


@dataclass(frozen=True, slots=True)
class OriginalChoice:
    """Which attachment is the original. Exactly one of the three fields is filled.

    With `sniff_ids`: fetch these, keep those whose bytes `looks_like_mail`, and ask `choose_sniffed`.
    """

    attachment_id: str | None = None
    sniff_ids: tuple[str, ...] = ()
    reason: SkipReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalFacts:
    """What the headers of an original say, as far as they could be read. `sent_at` is aware UTC."""

    recipient: str
    internet_message_id: str | None
    network_message_id: str | None
    sender: str | None
    sender_ip: str | None
    subject: str | None
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The original cannot be read; `detail` says why, in words for the operator."""

    detail: str


# --- The report's subject -------------------------------------------------------------------------------------------

_NUMBERED = {"1": Category.SPAM, "2": Category.NOT_JUNK, "3": Category.PHISHING}
_NAMED = {"junk": Category.SPAM, "not junk": Category.NOT_JUNK, "phishing": Category.PHISHING}


def read_subject(subject: str) -> ReportSubject:
    """What the report's subject says; any string has an answer.

    Recognised are `3|<network message id>|<sender ip>|<sender>|(<subject>)` of the Report button, whose subject may
    be cut off and may itself hold `|`; the prefixes `1|`, `2|`, `3|` and `Junk:`, `Not junk:`, `Phishing:`; and the
    add-in's `<Type>:<id>|<sender>|(<subject>) <date>`. Case and surrounding white space do not matter.
    """
    text = clean(subject).strip()
    number, bar, rest = text.partition("|")
    if bar and number.strip() in _NUMBERED:
        return _read_numbered(_NUMBERED[number.strip()], rest)
    name, colon, rest = text.partition(":")
    category = _NAMED.get(" ".join(name.lower().split()))
    if colon and category:
        return _read_named(category, rest)
    return ReportSubject(category=Category.PHISHING, form="unrecognised")


def _read_numbered(category: Category, rest: str) -> ReportSubject:
    network_message_id, *others = (part.strip() for part in rest.split("|", 3))
    if not _GUID.fullmatch(network_message_id):
        return ReportSubject(category=category, form="prefix", original_subject=rest.strip() or None)
    sender_ip, sender, original_subject = [*others, "", "", ""][:3]
    return ReportSubject(
        category=category,
        form="built_in",
        network_message_id=network_message_id.lower(),
        sender_ip=_ip(sender_ip),
        sender=address(sender),
        original_subject=original_subject.removeprefix("(").removesuffix(")") or None,
    )


def _read_named(category: Category, rest: str) -> ReportSubject:
    message_id, sender, dated_subject = [*(part.strip() for part in rest.split("|", 2)), "", ""][:3]
    if not dated_subject.startswith("("):
        return ReportSubject(category=category, form="prefix", original_subject=rest.strip() or None)
    original_subject, _, _ = dated_subject[1:].rpartition(")")
    return ReportSubject(
        category=category,
        form="prefix",
        network_message_id=_guid(message_id),
        sender=address(sender),
        original_subject=original_subject or dated_subject[1:] or None,
    )


def _guid(text: str) -> str | None:
    return text.strip().lower() if _GUID.fullmatch(text.strip()) else None


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip().strip("[]")))
    except ValueError:
        return None


# --- Which attachment is the original -------------------------------------------------------------------------------

_MAIL_TYPES = frozenset({"message/rfc822", "message/global", "application/vnd.ms-outlook"})
_MAIL_EXTENSIONS = frozenset({"eml", "msg"})
_UNTYPED = frozenset({"", "application/octet-stream"})
_OTHER_EXTENSION = re.compile(
    "7z|avi|bat|bmp|cmd|csv|dat|doc|docm|docx|dotm|exe|gif|gz|hta|htm|html|ics|img|iso|"
    "jar|jpeg|jpg|js|json|lnk|mov|mp3|mp4|ods|odt|one|p7m|p7s|pdf|png|ppt|pptm|pptx|ps1|"
    "rar|rtf|svg|tar|tif|tiff|tnef|txt|url|vbs|vcf|wav|webp|wsf|xls|xlsb|xlsm|xlsx|xml|zip"
)
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OTHER_ITEM = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,9}BEGIN:V(?:CARD|CALENDAR)\s", re.IGNORECASE)
_OUTLOOK_STREAM = "__substg1.0_".encode("utf-16-le")


def choose_original(attachments: Sequence[Attachment]) -> OriginalChoice:
    """Which attachment is the original: the only item, or the only file that is a mail by type or name.

    Where nothing claims to be a mail, files without a telling type or name are to be looked into, `MAX_SNIFFED` at
    most. Several originals are refused: Microsoft discards such reports, and a guess would submit the wrong mail.
    """
    candidates = [one.id for one in attachments if _is_mail(one)]
    if candidates:
        return choose_sniffed(candidates)
    sniff_ids = tuple(one.id for one in attachments if _is_untold(one))[:MAX_SNIFFED]
    if sniff_ids:
        return OriginalChoice(sniff_ids=sniff_ids)
    if any(one.kind == "reference" for one in attachments):
        return OriginalChoice(reason=SkipReason.REFERENCE_ATTACHMENT)
    return OriginalChoice(reason=SkipReason.NO_ORIGINAL)


def choose_sniffed(mail_ids: Sequence[str]) -> OriginalChoice:
    """The choice among attachments that are mails: the only one, or the reason why there is none."""
    if len(mail_ids) == 1:
        return OriginalChoice(attachment_id=mail_ids[0])
    return OriginalChoice(reason=SkipReason.MULTIPLE_ORIGINALS if mail_ids else SkipReason.NO_ORIGINAL)


def looks_like_mail(content: bytes) -> bool:
    """Whether the bytes are a mail: an Outlook .msg, or text that begins with the headers of one (two at least)."""
    if content.startswith(_OLE_MAGIC):
        return _OUTLOOK_STREAM in content
    block = _header_block(content).content
    return _FIRST_LINE.match(block) is not None and len(_ESSENTIAL & _fields(block).keys()) >= 2


def is_other_item(content: bytes) -> bool:
    """Whether the bytes are a contact or a meeting: what Graph gives of such Outlook items is vCard or iCalendar.

    Source: Graph documentation, "Get attachment", raw contents of an item attachment.
    """
    return _OTHER_ITEM.match(content) is not None


def _is_mail(attachment: Attachment) -> bool:
    if attachment.kind != "file":
        return attachment.kind == "item"
    return _media_type(attachment) in _MAIL_TYPES or _extension(attachment) in _MAIL_EXTENSIONS


def _is_untold(attachment: Attachment) -> bool:
    if attachment.kind != "file" or attachment.is_inline:
        return False
    return _media_type(attachment) in _UNTYPED and not _OTHER_EXTENSION.fullmatch(_extension(attachment))


def _media_type(attachment: Attachment) -> str:
    return (attachment.content_type or "").partition(";")[0].strip().lower()


def _extension(attachment: Attachment) -> str:
    stem, dot, extension = clean(attachment.name).strip(" .").lower().rpartition(".")
    return extension if stem and dot else ""


# --- The original's headers -----------------------------------------------------------------------------------------

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FIRST_LINE = re.compile(rb"[!-9;-~]+[ \t]*:|From ")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ESSENTIAL = frozenset({"from", "date", "message-id", "received", "subject"})
_DELIVERY = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to")
_NETWORK_MESSAGE_ID = (
    "x-ms-exchange-organization-network-message-id",
    "x-ms-office365-filtering-correlation-id",
    "x-ms-exchange-crosstenant-network-message-id",
)
_ANTISPAM_REPORT = "x-forefront-antispam-report"
_SENDER_IP = "x-sender-ip"
_READ = (*_ESSENTIAL, *_DELIVERY, *_NETWORK_MESSAGE_ID, _ANTISPAM_REPORT, _SENDER_IP, "to", "cc")
# The email package stops at the first malformed line, behind which Exchange's own headers may stand. Here a header is
# a name at the start of a line and all up to the next line that does not begin with white space (RFC 5322, 2.2.3).
_FIELD = re.compile(
    rb"^(" + "|".join(_READ).encode("ascii") + rb")[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE | re.IGNORECASE
)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")
_CONNECTING_IP = re.compile(r"(?:^|;)\s*CIP:([^;]{1,60})", re.IGNORECASE)


T = TypeVar("T")
_Fields = Mapping[str, Sequence[str]]


def read_original(mime: bytes, *, tenant_domains: frozenset[str], reporter: str) -> OriginalFacts | Unreadable:
    """What the headers of an original say; any bytes give facts or the reason why there are none.

    Only the first `MAX_HEADER_BYTES` up to the blank line are looked at. `tenant_domains` are in lower case; they
    tell the mailbox that got the mail from everybody else it names. All facts but `recipient` may be forged: it is
    always an address of the tenant or the reporter.
    """
    if mime.startswith(_OLE_MAGIC):
        return Unreadable("the original is an Outlook .msg file, not a MIME message: attach it as .eml")
    block = _header_block(mime)
    fields = _fields(block.content)
    if not block.content:
        return Unreadable("the original is empty")
    if not _ESSENTIAL & fields.keys():
        return Unreadable("the original has none of the headers From, Date, Message-ID, Received and Subject")
    if block.is_cut_off:
        return Unreadable("the original ends within its headers")
    return OriginalFacts(
        recipient=_recipient(fields, tenant_domains, reporter),
        internet_message_id=_internet_message_id(fields),
        network_message_id=_first(map(_guid, _values(fields, *_NETWORK_MESSAGE_ID))),
        sender=_first(map(_sender, _values(fields, "from"))),
        sender_ip=_first(map(_ip, _sender_ips(fields))),
        subject=_first(clean(decode_words(value[:_MAX_ENCODED])).strip() for value in _values(fields, "subject")),
        sent_at=_first(map(_time, _values(fields, "date"))),
    )


@dataclass(frozen=True, slots=True)
class _HeaderBlock:
    """A mail's headers; cut off where the mail ends before the blank line that has to follow them."""

    content: bytes
    is_cut_off: bool


def _header_block(mime: bytes) -> _HeaderBlock:
    head = mime[:MAX_HEADER_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n")
    blank_line = _BLANK_LINE.search(head)
    if blank_line:
        return _HeaderBlock(head[: blank_line.start()], is_cut_off=False)
    return _HeaderBlock(head, is_cut_off=len(mime) <= MAX_HEADER_BYTES)


def _fields(block: bytes) -> _Fields:
    """The headers that are read here, unfolded, by lower-case name; each name's values from the top down."""
    found: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(block):
        unfolded = value.replace(b"\r", b"").replace(b"\n", b"").strip()
        found.setdefault(name.decode("ascii").lower(), []).append(_decode(unfolded))
    return found


def _decode(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _values(fields: _Fields, *names: str) -> Iterator[str]:
    return (value for name in names for value in fields.get(name, ()))


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value), None)


def _recipient(fields: _Fields, tenant_domains: frozenset[str], reporter: str) -> str:
    """Who got the mail: where it was delivered, else whom it names, else who reported it."""

    def internal(*names: str) -> list[str]:
        named = (one for value in _values(fields, *names) for one in addresses(value))
        return [one for one in named if domain_of(one) in tenant_domains]

    delivered = internal(*_DELIVERY)
    if delivered:
        return delivered[0]
    named = internal("to", "cc")
    is_reporter_named = reporter.lower() in (one.lower() for one in named)
    return reporter if is_reporter_named or not named else named[0]


def _internet_message_id(fields: _Fields) -> str | None:
    """The Message-ID with its angle brackets, which Graph's filter needs; some mailers leave them out."""
    for value in _values(fields, "message-id"):
        bracketed = _MESSAGE_ID.search(value)
        text = clean(bracketed[0] if bracketed else value).strip()
        if text:
            return text
    return None


def _sender(text: str) -> str | None:
    """The address, or, where the header holds none, its text: forgers leave addresses that are none."""
    return address(text) or clean(decode_words(text[:_MAX_ENCODED]), MAX_ADDRESS).strip()


def _sender_ips(fields: _Fields) -> Iterator[str]:
    """The connecting IP address as Exchange noted it; each hop writes above the earlier ones."""
    for report in _values(fields, _ANTISPAM_REPORT):
        yield from _CONNECTING_IP.findall(report)
    yield from _values(fields, _SENDER_IP)


def _time(text: str) -> datetime | None:
    try:
        at = email.utils.parsedate_to_datetime(text[:_MAX_DATE])
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
