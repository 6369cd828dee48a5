"""An Outlook message as its two file formats hold it: properties by number, recipients and attachments.

`.msg` and `winmail.dat` differ in how they pack these, not in what they are ([MS-OXPROPS] numbers the properties). Kept
is only what a mail is made of (`Property`), so that a file of a million properties costs no more memory than its size.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..domain.text import address
from .code_pages import charset_of, charset_of_family, charset_of_locale, decode

MAX_DEPTH = 8
"""Messages within messages that are read; a file that nests deeper is refused."""

MAX_PARTS = 3_000
"""Recipients and attachments that one file may hold, embedded messages' own included.

Exchange Online lets a mail have 1,000 recipients (Exchange Online limits), and a report of it adds its own.
"""

MAX_VALUES = 200_000
"""Property values and attributes of one TNEF file that are looked at; a message has some hundred."""


class UnreadableOutlook(ValueError):
    """The file is damaged, hostile or not of the format; the text tells an operator which, without mail content."""


class Property(enum.IntEnum):
    """The properties that are read, by their number in [MS-OXPROPS]; every other is passed over."""

    MESSAGE_CLASS = 0x001A
    SUBJECT = 0x0037
    CLIENT_SUBMIT_TIME = 0x0039
    SENT_REPRESENTING_NAME = 0x0042
    SENT_REPRESENTING_ADDRESS = 0x0065
    TRANSPORT_HEADERS = 0x007D
    RECIPIENT_TYPE = 0x0C15
    SENDER_NAME = 0x0C1A
    SENDER_ADDRESS = 0x0C1F
    DELIVERY_TIME = 0x0E06
    BODY = 0x1000
    COMPRESSED_RTF = 0x1009
    HTML = 0x1013
    INTERNET_MESSAGE_ID = 0x1035
    REFERENCES = 0x1039
    IN_REPLY_TO = 0x1042
    DISPLAY_NAME = 0x3001
    EMAIL_ADDRESS = 0x3003
    ATTACHMENT_DATA = 0x3701
    ATTACHMENT_SHORT_NAME = 0x3704
    ATTACHMENT_METHOD = 0x3705
    ATTACHMENT_LONG_NAME = 0x3707
    ATTACHMENT_MIME_TYPE = 0x370E
    ATTACHMENT_CONTENT_ID = 0x3712
    ATTACHMENT_FLAGS = 0x3714
    SMTP_ADDRESS = 0x39FE
    INTERNET_CODE_PAGE = 0x3FDE
    MESSAGE_LOCALE = 0x3FF1
    MESSAGE_CODE_PAGE = 0x3FFD
    SENDER_SMTP_ADDRESS = 0x5D01
    SENT_REPRESENTING_SMTP_ADDRESS = 0x5D02
    ATTACHMENT_HIDDEN = 0x7FFE


KEPT = frozenset(Property)

_NO_MAIL = re.compile(
    r"ipm\.(?:contact|distlist|abchperson|appointment|task|stickynote|activity"
    r"|ole\.class\.\{00061055-0000-0000-c000-000000000046\})(?:\.|\Z)",  # an exception to a recurring appointment
    re.IGNORECASE,
)
_LONGEST_ADDRESS = 2_000
_ADDRESS_TYPE = re.compile(r"\A\s*(?:smtp|ex|mailto):\s*", re.IGNORECASE)
_X500 = re.compile(r"[\s<'\"]*/[a-z]{1,5}=", re.IGNORECASE)
_ENCAPSULATED = re.compile(r"imcea[a-z]*-|/[a-z]{1,5}=", re.IGNORECASE)


class RecipientKind(enum.IntEnum):
    """The line that names a recipient (PidTagRecipientType)."""

    TO = 1
    CC = 2
    BCC = 3


@dataclass(frozen=True, slots=True)
class OutlookRecipient:
    """Somebody whom the message names; `address` is empty where only an Exchange-internal one is held."""

    kind: RecipientKind
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class OutlookAttachment:
    """A file or an embedded message; a link to a file, or an OLE object, has no content of its own (empty bytes).

    `is_inline` tells that the HTML body shows it, under `content_id` (without angle brackets).
    """

    content: bytes | OutlookMessage
    name: str = ""
    mime_type: str = ""
    content_id: str = ""
    is_inline: bool = False


@dataclass(frozen=True, slots=True)
class OutlookMessage:
    """A message: text as `str`, binary as `bytes`, numbers as `int` or `bool`, times as aware UTC `datetime`.

    The keys of `properties` are numbers of [MS-OXPROPS], such as 0x007D for the transport headers; see `Property`.
    `is_cut_off` tells that the file ended within a value, which is left out.
    """

    properties: Mapping[int, object] = field(default_factory=dict)
    recipients: tuple[OutlookRecipient, ...] = ()
    attachments: tuple[OutlookAttachment, ...] = ()
    is_cut_off: bool = False

    @property
    def is_mail(self) -> bool:
        """Whether its class is that of a message, as mails, posts, reports and meeting requests are.

        A contact, group, appointment, task, note or journal entry is none (PidTagMessageClass, 001A; the classes are
        those of [MS-OXOCNTC], [MS-OXOCAL], [MS-OXOTASK], [MS-OXONOTE] and [MS-OXOJRNL]). A class may be refined behind
        a dot ([MS-OXCMSG] section 2.2.1.3).
        """
        return _NO_MAIL.match(text_of(self.properties, Property.MESSAGE_CLASS).strip()) is None


class Type(enum.IntEnum):
    """The types of the properties that are read ([MS-OXCDATA] section 2.11.1)."""

    INTEGER_16 = 0x0002
    INTEGER_32 = 0x0003
    BOOLEAN = 0x000B
    OBJECT = 0x000D
    STRING_8 = 0x001E
    STRING = 0x001F
    TIME = 0x0040
    BINARY = 0x0102


@dataclass(frozen=True, slots=True)
class RawProperty:
    """A property as it stands in the file: its type and its octets."""

    type: int
    octets: bytes | memoryview


class Allowance:
    """What reading one file may still cost; one is shared by all messages of the file."""

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes
        self._left_parts = MAX_PARTS
        self._left_values = MAX_VALUES

    def spend_bytes(self, size_bytes: int) -> None:
        """Count octets that are about to be copied; UnreadableOutlook if the file claims more than its own size."""
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise UnreadableOutlook("its streams claim more than the whole file holds")

    def spend_part(self) -> None:
        """Count a recipient or attachment that is about to be read; UnreadableOutlook beyond MAX_PARTS."""
        self._left_parts -= 1
        if self._left_parts < 0:
            raise UnreadableOutlook(f"it holds more than {MAX_PARTS:,} recipients and attachments")

    def spend_values(self, count: int) -> None:
        """Count values that are about to be looked at; UnreadableOutlook beyond MAX_VALUES."""
        self._left_values -= count
        if self._left_values < 0:
            raise UnreadableOutlook(f"it holds more than {MAX_VALUES:,} values")

    def check_depth(self, depth: int) -> None:
        """Refuse, as UnreadableOutlook, a message that lies deeper than MAX_DEPTH messages."""
        if depth > MAX_DEPTH:
            raise UnreadableOutlook(f"it nests more than {MAX_DEPTH} messages")


def decode_properties(raw: Mapping[int, RawProperty], charset: str) -> dict[int, object]:
    """The values by number, as `OutlookMessage` holds them; what is of another type or out of range is left out.

    8-bit text is in `charset`. An HTML body stays octets: it is in PidTagInternetCodepage, and may name its own charset
    (PidTagHtml, 1013, in [MS-OXPROPS]).
    """
    values = ((number, _value(number, piece, charset)) for number, piece in raw.items())
    return {number: value for number, value in values if value is not None}


def charset_of_texts(raw: Mapping[int, RawProperty], outer: str | None = None) -> str | None:
    """The character set of a message's 8-bit texts, where it tells: `outer` is what surrounds it says of them.

    The message's own code page (PidTagMessageCodepage, 3FFD), else that of its locale (PidTagMessageLocaleId, 3FF1),
    else `outer` (in TNEF, attOemCodepage), else what Windows itself uses where mail goes
    out in PidTagInternetCodepage (3FDE), which is the HTML body's and no more than a hint at the texts'.
    """
    told = (
        charset_of(_integer(raw, Property.MESSAGE_CODE_PAGE)),
        charset_of_locale(_integer(raw, Property.MESSAGE_LOCALE)),
        outer,
        charset_of_family(_integer(raw, Property.INTERNET_CODE_PAGE)),
    )
    return next(filter(None, told), None)


def mail_address(text: str) -> str:
    """The internet address that a property holds, alone or behind a name; empty where there is none.

    An Exchange-internal address is none: an X.500 path, an @ in it or not ([MS-OXOABK]), with or
    without the address type before it, nor its form for the internet (IMCEA, [MS-OXCMAIL]).
    """
    plain = _ADDRESS_TYPE.sub("", text[:_LONGEST_ADDRESS], count=1).strip()
    is_one = "<" in plain or "(" in plain or not re.search(r"\s", plain)
    found = address(plain) if is_one and not _X500.match(plain) else None
    return found if found and not _ENCAPSULATED.match(found) else ""


def recipient_of(properties: Mapping[int, object]) -> OutlookRecipient:
    """The recipient that a row of the recipient table tells of; one of unknown kind counts as To."""
    number = properties.get(Property.RECIPIENT_TYPE)
    kind = RecipientKind(number & 0xF) if isinstance(number, int) and number & 0xF in {1, 2, 3} else RecipientKind.TO
    return OutlookRecipient(kind, text_of(properties, Property.DISPLAY_NAME), smtp_address_of(properties))


def smtp_address_of(properties: Mapping[int, object]) -> str:
    """What a row of the recipient table holds of an internet address, empty where that is none."""
    candidates = [text_of(properties, number) for number in (Property.SMTP_ADDRESS, Property.EMAIL_ADDRESS)]
    internal = next((candidate for candidate in candidates if "@" in candidate), "")
    return next(filter(mail_address, candidates), internal)


def attachment_of(properties: Mapping[int, object], content: bytes | OutlookMessage) -> OutlookAttachment:
    """The attachment that these properties describe.

    Inline is what Exchange marked so: hidden from the list of attachments, or rendered in the body
    (PidTagAttachFlags, attRenderedInBody, [MS-OXCMSG] section 2.2.2.18).
    """
    content_id = text_of(properties, Property.ATTACHMENT_CONTENT_ID).strip("<>")
    flags = properties.get(Property.ATTACHMENT_FLAGS)
    is_rendered = bool(properties.get(Property.ATTACHMENT_HIDDEN)) or (isinstance(flags, int) and bool(flags & 4))
    names = (Property.ATTACHMENT_LONG_NAME, Property.ATTACHMENT_SHORT_NAME, Property.DISPLAY_NAME)
    return OutlookAttachment(
        content=content,
        name=next(filter(None, (text_of(properties, number) for number in names)), ""),
        mime_type=text_of(properties, Property.ATTACHMENT_MIME_TYPE),
        content_id=content_id,
        is_inline=bool(content_id) and is_rendered,
    )


def text_of(properties: Mapping[int, object], number: int) -> str:
    """The text under that number, empty if there is none or it is no text."""
    value = properties.get(number)
    return value if isinstance(value, str) else ""


def octets_of(properties: Mapping[int, object], number: int) -> bytes:
    """The octets under that number, empty if there are none or it is something else."""
    value = properties.get(number)
    return value if isinstance(value, bytes) else b""


def _integer(raw: Mapping[int, RawProperty], number: Property) -> int | None:
    piece = raw.get(number)
    return _number(piece.octets[:4]) if piece is not None and piece.type == Type.INTEGER_32 else None


def _value(number: int, piece: RawProperty, charset: str) -> object:
    if number == Property.HTML and piece.type == Type.STRING_8:
        return bytes(piece.octets).rstrip(b"\0")
    decoder = _DECODERS.get(piece.type)
    return decoder(bytes(piece.octets), charset) if decoder is not None else None


def _number(octets: bytes | memoryview) -> int:
    return int.from_bytes(octets, "little", signed=True)


def _time(ticks_100ns: int) -> datetime | None:
    """The time of a FILETIME, which counts from 1601."""
    try:
        return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks_100ns // 10)
    except OverflowError:
        return None


_DECODERS: Mapping[int, Callable[[bytes, str], object]] = {
    Type.STRING: lambda octets, _: octets.decode("utf-16-le", "replace").rstrip("\0"),
    Type.STRING_8: lambda octets, charset: decode(octets, charset).rstrip("\0"),
    Type.BINARY: lambda octets, _: octets,
    Type.INTEGER_16: lambda octets, _: _number(octets[:2]),
    Type.INTEGER_32: lambda octets, _: _number(octets[:4]),
    Type.BOOLEAN: lambda octets, _: any(octets[:2]),
    Type.TIME: lambda octets, _: _time(_number(octets[:8])),
}
