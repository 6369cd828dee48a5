"""The original in whatever bytes a report carries: a mail, an Outlook file, a signed body, a report of a report.

What the bytes are is told by the bytes, never by a name. A mail that carries another one is only looked into if
Exchange itself wrote that one of the tenant's people sent it as a report; in any other case the outer mail is what was
delivered, and its sender must not choose what is submitted in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..domain.exchange import AUTH_AS, exchange_facts
from ..domain.headers import DELIVERY, ESSENTIAL, Headers, read_headers, start_of_mail
from ..domain.model import Category, SkipReason
from ..domain.originals import Closed, Form, Opened
from ..domain.reports import (
    Attachment,
    choose_original,
    choose_sniffed,
    is_other_item,
    looks_like_mail,
    read_subject,
)
from ..domain.tenant import Tenant
from ..domain.text import address, addresses, decode_words
from ..domain.trust import distrust
from .mime_parts import Part, root, walk

if TYPE_CHECKING:
    from .outlook_message import OutlookAttachment

MAX_DEPTH = 8
"""How many wrappers are taken off before the original is given up."""

_OUTLOOK_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # [MS-CFB] section 2.2
_WINMAIL_MAGIC = b"\x78\x9f\x3e\x22"  # [MS-OXTNEF] section 2.1.1
_RIGHTS_PROTECTED_MAGIC = b"\x76\xe8\x04\x60\xc4\x11\xe3\x86"  # [MS-OXORMMS] section 2.2.2
_MAX_SUBJECT = 4_096
_NOTHING_IN_IT = Closed(SkipReason.NO_ORIGINAL)
_LOST = Closed(SkipReason.NO_ORIGINAL, "a report that lost the headers of Exchange: nothing tells who sent it")


@dataclass(frozen=True, slots=True)
class _Layer:
    """Bytes on the way to the original; `is_body` where they are a report's own body and never a mail themselves."""

    content: bytes
    form: Form
    is_body: bool = False


@dataclass(frozen=True, slots=True)
class _Carried:
    """Something that a mail or a wrapper carries, described as Graph describes the attachments of a report.

    `is_mail` is False for an Outlook item that is none, such as a contact.
    """

    attachment: Attachment
    read: Callable[[], bytes]
    is_mail: bool = True


def open_original(content: bytes, tenant: Tenant) -> Opened | Closed:
    """The innermost mail that was delivered to a person, out of what a report carries; any bytes have an answer."""
    layer = _Layer(content, Form.MIME)
    report: Opened | None = None
    category: Category | None = None
    for _ in range(MAX_DEPTH + 1):
        inner = _look_into(layer, tenant)
        if inner is None:
            return replace(_opened(layer), category=category)
        if isinstance(inner, Closed):
            # A wrapper without a mail in it makes no report: then the mail with the wrapper is what was delivered.
            return report if report and inner == _NOTHING_IN_IT else inner
        if inner.form is Form.REPORT:
            report = replace(_opened(layer), category=category)
            category = category or _chosen(read_headers(layer.content))
        layer = inner
    return Closed(SkipReason.UNREADABLE_ORIGINAL, f"more than {MAX_DEPTH} wrappers lie around the original")


def _opened(layer: _Layer) -> Opened:
    """The mail from its first header on: what a mail store or gateway put before it is no part of it."""
    return Opened(layer.content[start_of_mail(layer.content) :], layer.form)


def _look_into(layer: _Layer, tenant: Tenant) -> _Layer | Closed | None:
    """What lies directly within this layer; None where it is the original itself."""
    content = layer.content
    if not content:
        return Closed(SkipReason.UNREADABLE_ORIGINAL, "the original is empty")
    if layer.is_body:
        return _in_body(layer)  # even where headers were signed with it
    if is_other_item(content):
        return Closed(SkipReason.NOT_EMAIL)
    wrapped = _in_wrapper(content)
    if wrapped is not None:
        return wrapped
    headers = read_headers(content)
    if ESSENTIAL & headers.fields.keys():
        return _in_mail(content, headers, tenant)
    is_body = layer.form is not Form.OUTLOOK_MSG and not root(content).content_type.startswith("text/")
    return _in_body(layer) if is_body else None


# --- Wrappers -------------------------------------------------------------------------------------------------------


def _in_wrapper(content: bytes) -> _Layer | Closed | None:
    """What a wrapper holds that shows in its first octets; None where the bytes begin otherwise."""
    if content.startswith(_OUTLOOK_MAGIC):
        return _in_outlook_msg(content)
    if content.startswith(_WINMAIL_MAGIC):
        return _in_winmail(content)
    if content.startswith(_RIGHTS_PROTECTED_MAGIC):
        return _encrypted("a rights-protected message (message.rpmsg)")
    return _in_cms(content)


def _in_outlook_msg(content: bytes) -> _Layer | Closed:
    from .outlook_message import UnreadableOutlook  # noqa: PLC0415 - rare, as all imports below
    from .outlook_mime import write_mime  # noqa: PLC0415
    from .outlook_msg import read_outlook_msg  # noqa: PLC0415

    try:
        message = read_outlook_msg(content)
    except UnreadableOutlook as error:
        return Closed(SkipReason.UNREADABLE_ORIGINAL, str(error))
    return _Layer(write_mime(message), Form.OUTLOOK_MSG) if message.is_mail else Closed(SkipReason.NOT_EMAIL)


def _in_winmail(content: bytes) -> _Layer | Closed:
    """The mail that a winmail.dat carries, which is itself the body of the report."""
    from .outlook_message import UnreadableOutlook  # noqa: PLC0415
    from .winmail import read_winmail  # noqa: PLC0415

    try:
        message = read_winmail(content)
    except UnreadableOutlook as error:
        return Closed(SkipReason.UNREADABLE_ORIGINAL, str(error))
    found = _only_mail([_attached(one, number) for number, one in enumerate(message.attachments)], Form.WINMAIL)
    if isinstance(found, Closed) and found.reason is SkipReason.NO_ORIGINAL and message.is_cut_off:
        return Closed(SkipReason.UNREADABLE_ORIGINAL, "the winmail.dat cannot be read: it ends inside a value")
    return found


def _attached(one: OutlookAttachment, number: int) -> _Carried:
    from .outlook_mime import write_mime  # noqa: PLC0415

    held = one.content
    if isinstance(held, bytes):
        file = Attachment(
            id=str(number),
            name=one.name,
            content_type=one.mime_type,
            size_bytes=len(held),
            is_inline=one.is_inline,
            kind="file",
        )
        return _Carried(file, lambda: held)
    item = Attachment(id=str(number), name=one.name, content_type=None, size_bytes=0, is_inline=False, kind="item")
    return _Carried(item, lambda: write_mime(held), is_mail=held.is_mail)


def _in_cms(content: bytes) -> _Layer | Closed | None:
    from .signed import content_of_signed, is_cms, is_enveloped  # noqa: PLC0415

    if not is_cms(content):
        return None
    if is_enveloped(content):
        return _encrypted("an S/MIME message (smime.p7m)")
    signed = content_of_signed(content)
    if signed is None:
        return Closed(SkipReason.UNREADABLE_ORIGINAL, "the signed message holds no content")
    return _Layer(signed, Form.SIGNED, is_body=True)


def _encrypted(what: str) -> Closed:
    return Closed(SkipReason.UNREADABLE_ORIGINAL, f"encrypted: {what}")


# --- Mails and bodies that carry a mail -----------------------------------------------------------------------------


def _in_mail(content: bytes, headers: Headers, tenant: Tenant) -> _Layer | Closed | None:
    """The mail that a report carries; None where the mail itself was delivered to a person."""
    if _is_report(headers, tenant):
        return _in_report(content)
    return _LOST if _is_lost_report(headers, tenant) and _in_report(content) is not None else None


def _is_report(headers: Headers, tenant: Tenant) -> bool:
    """Whether one of the tenant's people sent this mail as a report, by what only Exchange can have written."""
    if exchange_facts(headers).auth_as != "internal" or distrust(headers, _sender(headers), tenant) is not None:
        return False
    return _chosen(headers) is not None or _is_addressed_to_us(headers, tenant)


def _chosen(headers: Headers) -> Category | None:
    """The choice of the button that sent a report, or None where its subject tells none."""
    subject = read_subject(decode_words((headers.only("subject") or "")[:_MAX_SUBJECT]))
    return None if subject.form == "unrecognised" else subject.category


def _is_lost_report(headers: Headers, tenant: Tenant) -> bool:
    """Whether this looks like a report of one of the tenant's people, and nothing tells where it came from.

    Copies of journals and mails that were forwarded lack what Exchange wrote. What came from outside has Exchange's
    word on it, or results of the check of its sender (SPF): that is a stranger's mail, whatever it looks like.
    """
    if any(headers.values(AUTH_AS, "x-ms-exchange-crosstenant-authas")):
        return False
    if any("spf=" in value.lower() for value in headers.values("authentication-results")):
        return False
    return tenant.owns(_sender(headers)) and (_chosen(headers) is not None or _is_addressed_to_us(headers, tenant))


def _sender(headers: Headers) -> str | None:
    return address(headers.only("from") or "")


def _is_addressed_to_us(headers: Headers, tenant: Tenant) -> bool:
    named = (one.lower() for value in headers.values("to", "cc", *DELIVERY) for one in addresses(value))
    return any(one in tenant.reporting_mailboxes for one in named)


def _in_report(mime: bytes) -> _Layer | Closed | None:
    inner = _only_mail(_carried_parts(mime), Form.REPORT)
    return None if isinstance(inner, Closed) and inner.reason is SkipReason.NO_ORIGINAL else inner


def _in_body(layer: _Layer) -> _Layer | Closed:
    """The mail in the body of a report without the report's headers, such as Graph gives of a signed one."""
    is_signed = root(layer.content).content_type == "multipart/signed"
    return _only_mail(_carried_parts(layer.content), Form.SIGNED if is_signed else layer.form)


def _carried_parts(mime: bytes) -> list[_Carried]:
    return [_carried_part(part, number) for number, part in enumerate(walk(mime))]


def _carried_part(part: Part, number: int) -> _Carried:
    attachment = Attachment(
        id=str(number),
        name=part.name,
        content_type=part.content_type,
        size_bytes=part.end - part.body_start,
        is_inline=part.disposition == "inline",
        kind="item" if part.is_mail else "file",
    )
    return _Carried(attachment, part.content)


def _only_mail(carried: Sequence[_Carried], form: Form) -> _Layer | Closed:
    """The one mail among these, or the one wrapper around it, chosen as among the attachments of a report."""
    by_id = {one.attachment.id: one for one in carried}
    choice = choose_original([one.attachment for one in carried])
    if choice.sniff_ids:
        choice = choose_sniffed([key for key in choice.sniff_ids if looks_like_mail(by_id[key].read())])
    if choice.attachment_id is None:
        return Closed(choice.reason or SkipReason.NO_ORIGINAL)
    if not by_id[choice.attachment_id].is_mail:
        return Closed(SkipReason.NOT_EMAIL)
    return _Layer(by_id[choice.attachment_id].read(), form)
