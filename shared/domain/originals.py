"""What the headers of an original tell: who got it, who sent it, under which ids Exchange and Microsoft know it.

Pure and total: any bytes give facts or the reason why there are none. Strangers wrote most of it. The recipient is
always an address of the tenant or the reporter; every other fact may be forged and is shown, not believed.
"""

from __future__ import annotations

import email.utils
import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from .headers import ESSENTIAL, NETWORK_MESSAGE_ID, Headers, read_headers
from .model import Category, SkipReason
from .tenant import Tenant
from .text import MAX_ADDRESS, addresses, author, clean, decode_words, guid, ip_address, untagged

_MAX_ENCODED = 4_096
"""Characters of a header that are decoded: more than `clean` keeps, few enough to be quick."""
_MAX_DATE = 100
_HALF_OF_DAY = re.compile(r"(?<=\d)\s?([AaPp])\.?[Mm]\b\.?")
_INTERNAL = re.compile(r"(?:^|[\s<:])/o=[^<>]{1,500}/cn=", re.IGNORECASE)
_GROUP = re.compile(r":[^:;]*;\s*\Z")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")
_CONNECTING_IP = re.compile(r"(?:^|;)\s*CIP:([^;]{1,60})", re.IGNORECASE)

T = TypeVar("T")


class Form(enum.StrEnum):
    """The wrapper that an original was taken from, the innermost of several; `MIME` where there was none."""

    MIME = "mime"
    OUTLOOK_MSG = "outlook_msg"
    WINMAIL = "winmail"
    SIGNED = "signed"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Opened:
    """The original. Its bytes are not checked any further: `read_original` tells whether they are a mail.

    `category` is the choice of the button whose report lay around it within the one that arrived.
    """

    mime: bytes
    form: Form
    category: Category | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """There is no one original; `detail` says why in words for the operator, where `reason` does not."""

    reason: SkipReason
    detail: str | None = None


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
    headers: Headers = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The original cannot be read; `detail` says why, in words for the operator."""

    detail: str


def read_original(
    mime: bytes, *, tenant: Tenant, reporter: str, also: frozenset[str] = frozenset()
) -> OriginalFacts | Unreadable:
    """What the headers of an original say; `also` names further headers to keep, in lower case."""
    headers = read_headers(mime, also)
    if headers.is_empty:
        return Unreadable("the original is empty")
    if not ESSENTIAL & headers.fields.keys():
        return Unreadable("the original has none of the headers From, Date, Message-ID, Received and Subject")
    if headers.is_cut_off:
        return Unreadable("the original ends within its headers")
    return facts_of(headers, tenant=tenant, reporter=reporter)


def facts_of(headers: Headers, *, tenant: Tenant, reporter: str) -> OriginalFacts:
    """The facts that these headers tell."""
    return OriginalFacts(
        recipient=_recipient(headers, tenant, reporter),
        internet_message_id=_internet_message_id(headers),
        network_message_id=_first(map(guid, headers.values(*NETWORK_MESSAGE_ID))),
        sender=_first(map(_sender, headers.values("from"))),
        sender_ip=_first(map(ip_address, _sender_ips(headers))),
        subject=_first(clean(decode_words(value[:_MAX_ENCODED])).strip() for value in headers.values("subject")),
        sent_at=_first(map(_time, headers.values("date"))),
        headers=headers,
    )


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value), None)


def _recipient(headers: Headers, tenant: Tenant, reporter: str) -> str:
    """Who got the mail: the reporter where it names him, else the first of the tenant's whom it names, else he again.

    Exchange authenticated the reporter and nobody else; Exchange Online writes no `Delivered-To` or the like, so these
    are the sender's word and not asked. Microsoft counts recipients as they are once lists are expanded and tags behind
    a plus are taken off ("EmailEvents", RecipientEmailAddress; "Plus addressing in Exchange Online"), and so do we.
    """
    named = [untagged(one) for value in headers.values("to", "cc") for one in addresses(value) if tenant.owns(one)]
    if untagged(reporter).lower() in map(str.lower, named):
        return reporter
    lists = " ".join(headers.values("list-id", "list-post")).lower()
    mailboxes = (one for one in named if one.lower() not in tenant.reporting_mailboxes and not _is_list(one, lists))
    return next(mailboxes, reporter)


def _is_list(mail_address: str, lists: str) -> bool:
    """Whether a list names itself so: as `<mailto:all@a.example>` (RFC 2369) or as `<all.a.example>` (RFC 2919)."""
    told = mail_address.lower()
    return f"<mailto:{told}>" in lists or f"<{told.replace('@', '.')}>" in lists


def _internet_message_id(headers: Headers) -> str | None:
    """The Message-ID with its angle brackets, which Graph's filter needs; some mailers leave them out."""
    for value in headers.values("message-id"):
        bracketed = _MESSAGE_ID.search(value)
        text = clean(bracketed[0] if bracketed else value).strip()
        if text:
            return text
    return None


def _sender(text: str) -> str | None:
    """The address, or, where the header holds none, its text: forgers leave addresses that are none.

    A name alone, an empty group (RFC 6854) and an Exchange-internal path name no address, as in what Outlook keeps of a
    sent mail: then what the report tells of the sender stands in.
    """
    if _INTERNAL.search(text):
        return None
    found = author(text)
    if found or _GROUP.search(text) or not ("@" in text or "<" in text):
        return found
    return clean(decode_words(text[:_MAX_ENCODED]), MAX_ADDRESS).strip()


def _sender_ips(headers: Headers) -> Iterator[str]:
    """The connecting IP address as Exchange noted it; each hop writes above the earlier ones."""
    for report in headers.values("x-forefront-antispam-report"):
        yield from _CONNECTING_IP.findall(report)
    yield from headers.values("x-sender-ip")


def _time(text: str) -> datetime | None:
    """The time of a Date header; a year of three digits counts from 1900 (RFC 5322 section 4.3)."""
    half = _HALF_OF_DAY.search(text[:_MAX_DATE])
    try:
        at = email.utils.parsedate_to_datetime(_HALF_OF_DAY.sub(" ", text[:_MAX_DATE]))
        if at.year < 1000:
            at = at.replace(year=at.year + 1900)
        if half is not None:  # no standard has it; some mailers write their country's clock
            at = at.replace(hour=at.hour % 12 + (12 if half[1] in "Pp" else 0))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
