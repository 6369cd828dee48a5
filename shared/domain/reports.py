"""What a report says: what its subject tells, and which of its attachments is the original.

All of it was written by strangers, so every function is total and takes time proportional to what it reads: any
string and any bytes give an answer or a named reason. Formats: Microsoft Learn, "User reported settings" (May 2024,
reporting tools) and its 2021 predecessor (the Report button's subject).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .headers import begins_like_mail, headers_of
from .model import Category, SkipReason
from .originals import OriginalFacts
from .text import GUID, address, clean, guid, ip_address

MAX_SUBJECT = 4_096
"""Characters of a report's subject that are looked at; Exchange keeps 255."""
MAX_TEXT = 100_000
"""Characters of a report's own text that are looked at."""
MAX_SNIFFED = 3
"""How many untyped attachments are fetched to see whether one is a mail."""


_SUBMITTED = "auto-submitted"
_ANSWERED = ("in-reply-to", "references")
_MACHINES = re.compile(r"(?i)(postmaster|mailer-daemon|microsoftexchange[0-9a-f]{32})@")
_TELLS_OF_MAIL = re.compile(
    r"(?i)\s*multipart/report\s*;.{0,200}report-type\s*=\s*\"?(delivery-status|disposition-notification)"
)
_OUR_MARK = re.compile(r"<answer-[0-9a-f]{40}@")


def may_be_automatic(sender: str | None) -> bool:
    """Whether a mail's sender is one that mail systems use for what they say of mail that was sent."""
    return sender is not None and _MACHINES.match(sender) is not None


def is_automatic_answer(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether a mail with these headers is no person's: a bounce, or an automatic reply to an answer of ours.

    `auto-replied` is an answer to some mail, whatever it is (RFC 3834, section 5), and so is what a mail system writes
    of a mail's delivery (RFC 6522). `auto-generated` alone is no reason: reports that a program passes on may say so.
    """
    found = headers_of(pairs, frozenset({_SUBMITTED, *_ANSWERED}))
    submitted = {re.split(r"[\s;(]", value.lower().strip(), maxsplit=1)[0] for value in found.values(_SUBMITTED)}
    submitted -= {"no", ""}
    if "auto-replied" in submitted or any(_TELLS_OF_MAIL.match(value) for value in found.values("content-type")):
        return True
    return bool(submitted) and any(_OUR_MARK.search(value) for value in found.values(*_ANSWERED))


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
    left_out: int = 0
    """How many more untyped files there are than are looked into."""


# --- The report's subject -------------------------------------------------------------------------------------------

_NUMBERED = {"1": Category.SPAM, "2": Category.NOT_JUNK, "3": Category.PHISHING}
_NAMED = {"junk": Category.SPAM, "not junk": Category.NOT_JUNK, "phishing": Category.PHISHING}
# What mail flow rules put before a subject: a few words in brackets or stars, or a word of warning with a colon.
_TAGS = re.compile(
    r"(?:\s*+(?:\[[^\[\]|]{1,40}\]|\([^()|]{1,40}\)|\{[^{}|]{1,40}\}|<[^<>|]{1,40}>|\*{1,3}[^*|]{1,40}\*{1,3}"
    r"|(?:ext(?:ern(?:al)?)?|caution|warning)\s?[:|-]))++\s*+",
    re.IGNORECASE,
)
_FULL_FORM = re.compile(rf"[^|]{{0,60}}?(?<![^\W_])(?=[123]\s*\|\s*{GUID.pattern}\s*(?:\||\Z))", re.IGNORECASE)
_FORWARDED = re.compile(r"\s*[^\W\d_]{1,8}\s?:")


def read_subject(subject: str) -> ReportSubject:
    """What the report's subject says; any string has an answer.

    Recognised are `3|<network message id>|<sender ip>|<sender>|(<subject>)` of the Report button, whose subject may
    be cut off and may itself hold `|`; the prefixes `1|`, `2|`, `3|` and `Junk:`, `Not junk:`, `Phishing:`; and the
    add-in's `<Type>:<id>|<sender>|(<subject>) <date>`. Case and surrounding white space do not matter. All may stand
    behind tags of mail flow rules (`[EXTERNAL]`), the button's full form behind other words too. Nothing counts behind
    `FW:` or `Re:`: whoever forwards by hand has a subject that the mail's sender wrote.
    """
    text = clean(subject[:MAX_SUBJECT]).strip()
    return _told(text) or _told(_untagged(text)) or ReportSubject(category=Category.PHISHING, form="unrecognised")


def _untagged(text: str) -> str:
    """The subject without what a mail flow rule put before it."""
    tags = _TAGS.match(text)
    rest = text[tags.end() :] if tags else text
    full_form = None if _FORWARDED.match(rest) else _FULL_FORM.match(rest)
    return rest[full_form.end() :] if full_form else rest


def _told(text: str) -> ReportSubject | None:
    number, bar, rest = text.partition("|")
    if bar and number.strip() in _NUMBERED:
        return _read_numbered(_NUMBERED[number.strip()], rest)
    name, colon, rest = text.partition(":")
    category = _NAMED.get(" ".join(name.lower().split()))
    return _read_named(category, rest) if colon and category else None


def _read_numbered(category: Category, rest: str) -> ReportSubject:
    network_message_id, *others = (part.strip() for part in rest.split("|", 3))
    if guid(network_message_id) is None:
        return ReportSubject(category=category, form="prefix", original_subject=rest.strip() or None)
    sender_ip, sender, original_subject = [*others, "", "", ""][:3]
    return ReportSubject(
        category=category,
        form="built_in",
        network_message_id=network_message_id.lower(),
        sender_ip=ip_address(sender_ip),
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
        network_message_id=guid(message_id),
        sender=address(sender),
        original_subject=original_subject or dated_subject[1:] or None,
    )


# --- Which attachment is the original -------------------------------------------------------------------------------

_MAIL_TYPES = frozenset({"message/rfc822", "message/global", "application/vnd.ms-outlook"})
_MAIL_EXTENSIONS = frozenset({"eml", "msg"})
_WRAPPED_TYPES = frozenset(
    {
        "application/ms-tnef",
        "application/pkcs7-mime",
        "application/vnd.ms-tnef",
        "application/x-microsoft-rpmsg-message",
        "application/x-pkcs7-mime",
        "multipart/signed",
    }
)
_WRAPPED_EXTENSIONS = frozenset({"p7m", "p7z", "rpmsg"})
_UNTYPED = frozenset({"", "application/octet-stream"})
_OTHER_EXTENSION = re.compile(
    "7z|avi|bat|bmp|cmd|csv|dat|doc|docm|docx|dotm|exe|gif|gz|hta|htm|html|ics|img|iso|"
    "jar|jpeg|jpg|js|json|lnk|mov|mp3|mp4|ods|odt|one|p7m|p7s|pdf|png|ppt|pptm|pptx|ps1|"
    "rar|rtf|svg|tar|tif|tiff|tnef|txt|url|vbs|vcf|wav|webp|wsf|xls|xlsb|xlsm|xlsx|xml|zip"
)
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TEAMS_MESSAGE = re.compile(r"https://teams\.(?:microsoft|live)\.com/l/message/", re.IGNORECASE)
# What mail programs write above a mail that they forward: a line that names its sender, and one for its subject soon.
_FORWARDED_MAIL = re.compile(
    r"^[\s>*]{0,9}(?:from|von|van|de|da|fra|fr\u00e5n|od|\u043e\u0442|\u53d1\u4ef6\u4eba|\u5dee\u51fa\u4eba)[\s*]{0,3}[:\uff1a]"
    r"(?:[^\n]{0,500}\n){1,6}?[\s>*]{0,9}(?:subject|betreff|onderwerp|objet|asunto|assunto|oggetto|emne|\u00e4mne|temat|"
    r"\u0442\u0435\u043c\u0430|\u4e3b\u9898|\u4ef6\u540d)[\s*]{0,3}[:\uff1a]",
    re.IGNORECASE | re.MULTILINE,
)
_OTHER_ITEM = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,9}BEGIN:V(?:CARD|CALENDAR)\s", re.IGNORECASE)
_OUTLOOK_STREAM = "__substg1.0_".encode("utf-16-le")


def choose_original(attachments: Sequence[Attachment]) -> OriginalChoice:
    """Which attachment is the original: the only item, or the only file that is a mail by type or name.

    Where nothing claims to be a mail, it is in the report's own body if that came wrapped up (signed, or as Outlook's
    winmail.dat); else files without a telling type or name are to be looked into, `MAX_SNIFFED` at most. Several
    originals are refused: Microsoft discards such reports, and a guess would submit the wrong mail.
    """
    for is_candidate in (_is_mail, _is_wrapped_body):
        candidates = [one.id for one in attachments if is_candidate(one)]
        if candidates:
            return choose_sniffed(candidates)
    untold = tuple(one.id for one in attachments if _is_untold(one))
    if untold:
        return OriginalChoice(sniff_ids=untold[:MAX_SNIFFED], left_out=len(untold[MAX_SNIFFED:]))
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
    return begins_like_mail(content)


def tells_of_teams(subject: str, text: str) -> bool:
    """Whether a report without a mail is about a Teams message. Nobody documents its form: a link to one tells.

    Not in a mail that somebody forwarded: invitations and notices of Teams, and lures like them, hold such links too.
    """
    told = read_subject(subject)
    is_forward = _FORWARDED.match(told.original_subject or "" if told.form != "unrecognised" else subject) is not None
    read = text[:MAX_TEXT]
    return not is_forward and _TEAMS_MESSAGE.search(read) is not None and _FORWARDED_MAIL.search(read) is None


def disagreements(subject: ReportSubject, facts: OriginalFacts) -> list[str]:
    """What the report's subject tells otherwise than the original's headers, in words; the headers count."""
    pairs = (
        ("network message id", subject.network_message_id, facts.network_message_id),
        ("sender", subject.sender, facts.sender),
        ("sender IP", subject.sender_ip, facts.sender_ip),
    )
    return [name for name, told, read in pairs if told and read and told.lower() != read.lower()]


def is_other_item(content: bytes) -> bool:
    """Whether the bytes are a contact or a meeting: what Graph gives of such Outlook items is vCard or iCalendar.

    Source: Graph documentation, "Get attachment", raw contents of an item attachment.
    """
    return _OTHER_ITEM.match(content) is not None


def _is_mail(attachment: Attachment) -> bool:
    if attachment.kind != "file":
        return attachment.kind == "item"
    return _media_type(attachment) in _MAIL_TYPES or _extension(attachment) in _MAIL_EXTENSIONS


def _is_wrapped_body(attachment: Attachment) -> bool:
    if attachment.kind != "file":
        return False
    return (
        _media_type(attachment) in _WRAPPED_TYPES
        or _extension(attachment) in _WRAPPED_EXTENSIONS
        or (clean(attachment.name).strip().lower() == "winmail.dat")
    )


def _is_untold(attachment: Attachment) -> bool:
    if attachment.kind != "file" or attachment.is_inline:
        return False
    return _media_type(attachment) in _UNTYPED and not _OTHER_EXTENSION.fullmatch(_extension(attachment))


def _media_type(attachment: Attachment) -> str:
    return (attachment.content_type or "").partition(";")[0].strip().lower()


def _extension(attachment: Attachment) -> str:
    stem, dot, extension = clean(attachment.name).strip(" .").lower().rpartition(".")
    return extension if stem and dot else ""
