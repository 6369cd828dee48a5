"""Reads `winmail.dat`, the form in which Exchange and Outlook wrap a message for the internet ([MS-OXTNEF], "TNEF").

It is a row of attributes, some holding property lists; an embedded message is an attachment whose data is another such
row. Total: whatever the octets, there is a message or UnreadableOutlook, in time and memory proportional to the file.
Every octet belongs to one value alone, so nothing can be counted twice. What is whole counts: mail systems cut off the
last checksum, or add line breaks and footers behind the last attribute.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .code_pages import DEFAULT_CHARSET, charset_of, decode
from .outlook_message import (
    KEPT,
    Allowance,
    OutlookAttachment,
    OutlookMessage,
    Property,
    RawProperty,
    Type,
    UnreadableOutlook,
    attachment_of,
    charset_of_texts,
    decode_properties,
    recipient_of,
)

SIGNATURE = 0x223E9F78
MESSAGE_INTERFACE = struct.pack("<IHH8s", 0x00020307, 0, 0, b"\xc0\0\0\0\0\0\0\x46")  # IID_IMessage

ATTRIBUTE_OEM_CODE_PAGE = 0x00069007
ATTRIBUTE_MESSAGE_CLASS = 0x00078008
ATTRIBUTE_SUBJECT = 0x00018004
ATTRIBUTE_FROM = 0x00008000
ATTRIBUTE_DATE_SENT = 0x00038005
ATTRIBUTE_BODY = 0x0002800C
ATTRIBUTE_MESSAGE_PROPERTIES = 0x00069003
ATTRIBUTE_RECIPIENTS = 0x00069004
ATTRIBUTE_ATTACHMENT_START = 0x00069002
ATTRIBUTE_ATTACHMENT_DATA = 0x0006800F
ATTRIBUTE_ATTACHMENT_TITLE = 0x00018010
ATTRIBUTE_ATTACHMENT_FILE_NAME = 0x00069001
ATTRIBUTE_ATTACHMENT_PROPERTIES = 0x00069005

_HEADER = struct.Struct("<IH")
_ATTRIBUTE = struct.Struct("<BII")
_LEVELS = frozenset({1, 2})  # of the message, of an attachment; whatever begins otherwise is no attribute
_CHECKSUM_BYTES = 2  # a sum of the value's octets, which is not looked at: a wrong one spoils nothing
_MULTIPLE = 0x1000
_NAMED = 0x8000
_SIZES_BYTES = {
    **dict.fromkeys((0x0000, 0x0001), 0),  # unspecified, null
    **dict.fromkeys((0x0002, 0x0003, 0x0004, 0x000A, 0x000B), 4),  # what is shorter than four octets is padded
    **dict.fromkeys((0x0005, 0x0006, 0x0007, 0x0014, 0x0040), 8),
    0x0048: 16,  # GUID
}
_VARIABLE = {Type.OBJECT, Type.STRING_8, Type.STRING, Type.BINARY}
_SMTP = re.compile(r"\Asmtp:", re.IGNORECASE)
_OLD_CLASSES = {"IPM.Microsoft Mail.Note": "IPM.Note"}  # [MS-OXTNEF] section 2.1.3.3.1


def read_winmail(content: bytes) -> OutlookMessage:
    """The message that a `winmail.dat` holds; UnreadableOutlook, and nothing else, for any other octets.

    Its transport headers are usually those of the mail that it came with; embedded messages have their own.
    """
    try:
        return _read_stream(memoryview(content), Allowance(len(content)), depth=1)
    except UnreadableOutlook as error:
        raise UnreadableOutlook(f"the winmail.dat cannot be read: {error}") from error


@dataclass(slots=True)
class _AttachmentDraft:
    """What the attributes since one `attAttachRenddata` told."""

    names: dict[int, memoryview] = field(default_factory=dict)
    raw: dict[int, RawProperty] = field(default_factory=dict)
    content: bytes | OutlookMessage = b""

    def attachment(self, charset: str, old_charset: str) -> OutlookAttachment:
        """What it became. A property outranks the attribute of older times that tells the same."""
        names = {number: _text(octets, old_charset) for number, octets in self.names.items()}
        return attachment_of(names | decode_properties(self.raw, charset), self.content)


class _Cursor:
    """Takes fields off the front of octets; UnreadableOutlook where they end too early."""

    def __init__(self, octets: memoryview) -> None:
        self._octets = octets
        self._place = 0

    def left_bytes(self) -> int:
        return len(self._octets) - self._place

    def peek(self, size_bytes: int) -> memoryview | None:
        return self._octets[self._place : self._place + size_bytes] if size_bytes <= self.left_bytes() else None

    def take(self, size_bytes: int) -> memoryview:
        end = self._place + size_bytes
        if end > len(self._octets):
            raise UnreadableOutlook("it ends inside a value")
        taken = self._octets[self._place : end]
        self._place = end
        return taken

    def take_padded(self, size_bytes: int) -> memoryview:
        """Values are padded to a multiple of four octets."""
        taken = self.take(size_bytes)
        self.take(-size_bytes % 4)
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little")


class _Stream:
    """One TNEF stream on its way to being a message."""

    def __init__(self, allowance: Allowance, depth: int) -> None:
        self._allowance = allowance
        self._depth = depth
        self._oem_charset: str | None = None
        self._is_cut_off = False
        self._old_texts: dict[int, memoryview] = {}
        self._old: dict[int, object] = {}
        self._raw: dict[int, RawProperty] = {}
        self._recipients: list[dict[int, RawProperty]] = []
        self._attachments: list[_AttachmentDraft] = []
        self._readers: dict[int, Callable[[memoryview], None]] = {
            ATTRIBUTE_OEM_CODE_PAGE: self._read_code_page,
            ATTRIBUTE_MESSAGE_CLASS: lambda octets: self._read_text(Property.MESSAGE_CLASS, octets),
            ATTRIBUTE_SUBJECT: lambda octets: self._read_text(Property.SUBJECT, octets),
            ATTRIBUTE_FROM: self._read_from,
            ATTRIBUTE_DATE_SENT: self._read_date_sent,
            ATTRIBUTE_BODY: lambda octets: self._read_text(Property.BODY, octets),
            ATTRIBUTE_MESSAGE_PROPERTIES: self._read_message_properties,
            ATTRIBUTE_RECIPIENTS: self._read_recipients,
            ATTRIBUTE_ATTACHMENT_START: self._start_attachment,
            ATTRIBUTE_ATTACHMENT_DATA: self._read_attachment_data,
            ATTRIBUTE_ATTACHMENT_TITLE: lambda octets: self._read_name(Property.ATTACHMENT_SHORT_NAME, octets),
            ATTRIBUTE_ATTACHMENT_FILE_NAME: lambda octets: self._read_name(Property.ATTACHMENT_LONG_NAME, octets),
            ATTRIBUTE_ATTACHMENT_PROPERTIES: self._read_attachment_properties,
        }

    def read(self, attribute: int, octets: memoryview) -> None:
        reader = self._readers.get(attribute)
        if reader is not None:
            reader(octets)

    def cut_off(self) -> None:
        """Note that the file ends within an attribute; an attachment whose data did not come is left out."""
        self._is_cut_off = True
        if self._attachments and not self._attachments[-1].content:
            self._attachments.pop()

    def message(self) -> OutlookMessage:
        """The message so far. A property outranks the attribute of older times that tells the same.

        Texts are decoded now, when all that tells of their code page is known, which may come behind them.
        """
        charset = charset_of_texts(self._raw, self._oem_charset) or DEFAULT_CHARSET
        old_charset = self._oem_charset or charset
        return OutlookMessage(
            properties=self._old_properties(old_charset) | decode_properties(self._raw, charset),
            recipients=tuple(recipient_of(decode_properties(row, charset)) for row in self._recipients),
            attachments=tuple(draft.attachment(charset, old_charset) for draft in self._attachments),
            is_cut_off=self._is_cut_off,
        )

    def _old_properties(self, charset: str) -> dict[int, object]:
        found: dict[int, object] = {number: _text(octets, charset) for number, octets in self._old_texts.items()}
        if Property.MESSAGE_CLASS in found:
            name = str(found[Property.MESSAGE_CLASS])
            found[Property.MESSAGE_CLASS] = _OLD_CLASSES.get(name, name)
        if Property.SENDER_ADDRESS in found:
            found[Property.SENDER_ADDRESS] = _SMTP.sub("", str(found[Property.SENDER_ADDRESS]), count=1)
        return found | self._old

    def _read_code_page(self, octets: memoryview) -> None:
        self._oem_charset = charset_of(int.from_bytes(octets[:4], "little")) or self._oem_charset

    def _read_text(self, number: Property, octets: memoryview) -> None:
        self._old_texts[number] = octets

    def _read_from(self, octets: memoryview) -> None:
        """Name and address, after four numbers of which the last two are their lengths ([MS-OXTNEF] 2.1.3.3.2)."""
        cursor = _Cursor(octets)
        cursor.take(4)
        name_bytes, address_bytes = struct.unpack("<HH", cursor.take(4))
        self._read_text(Property.SENDER_NAME, cursor.take(name_bytes))
        self._read_text(Property.SENDER_ADDRESS, cursor.take(address_bytes))

    def _read_date_sent(self, octets: memoryview) -> None:
        try:
            year, month, day, hour, minute, second = struct.unpack_from("<6H", octets)
            self._old[Property.CLIENT_SUBMIT_TIME] = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except (struct.error, ValueError):
            self._old.pop(Property.CLIENT_SUBMIT_TIME, None)

    def _read_message_properties(self, octets: memoryview) -> None:
        self._raw |= self._property_list(_Cursor(octets))

    def _read_recipients(self, octets: memoryview) -> None:
        cursor = _Cursor(octets)
        for _ in range(cursor.number()):
            self._allowance.spend_part()
            self._recipients.append(self._property_list(cursor))

    def _start_attachment(self, _: memoryview) -> None:
        self._allowance.spend_part()
        self._attachments.append(_AttachmentDraft())

    def _attachment(self) -> _AttachmentDraft:
        if not self._attachments:
            raise UnreadableOutlook("an attachment's data comes before the attachment")
        return self._attachments[-1]

    def _read_attachment_data(self, octets: memoryview) -> None:
        self._attachment().content = bytes(octets)

    def _read_name(self, number: Property, octets: memoryview) -> None:
        self._attachment().names[number] = octets

    def _read_attachment_properties(self, octets: memoryview) -> None:
        draft = self._attachment()
        raw = self._property_list(_Cursor(octets))
        draft.raw |= raw
        if Property.ATTACHMENT_DATA in raw:
            draft.content = self._content(raw[Property.ATTACHMENT_DATA])

    def _property_list(self, cursor: _Cursor) -> dict[int, RawProperty]:
        """The properties that are kept, by number; of one with many values none is ([MS-OXTNEF] section 2.1.3.4)."""
        count = cursor.number()
        self._allowance.spend_values(count)
        raw: dict[int, RawProperty] = {}
        for _ in range(count):
            type_, number = struct.unpack("<HH", cursor.take(4))
            if number >= _NAMED:
                _skip_name(cursor)
            if type_ & _MULTIPLE:
                self._skip_values(cursor, type_ & ~_MULTIPLE)
                continue
            octets = _value(cursor, type_)
            if number in KEPT:
                raw[number] = RawProperty(type_, octets)
        return raw

    def _skip_values(self, cursor: _Cursor, type_: int) -> None:
        count = cursor.number()
        if type_ not in _VARIABLE:
            cursor.take_padded(count * _fixed_size_bytes(type_))
            return
        self._allowance.spend_values(count)
        for _ in range(count):
            cursor.take_padded(cursor.number())

    def _content(self, piece: RawProperty) -> bytes | OutlookMessage:
        octets = memoryview(piece.octets)
        if piece.type == Type.OBJECT and octets[:16] == MESSAGE_INTERFACE:
            return _read_stream(octets[16:], self._allowance, self._depth + 1)
        return b"" if piece.type == Type.OBJECT else bytes(octets)  # an OLE object is nothing that a mail can carry


def _read_stream(octets: memoryview, allowance: Allowance, depth: int) -> OutlookMessage:
    allowance.check_depth(depth)
    cursor = _Cursor(octets)
    signature, _ = _HEADER.unpack(cursor.take(_HEADER.size))
    if signature != SIGNATURE:
        raise UnreadableOutlook("it does not begin as TNEF does")
    stream = _Stream(allowance, depth)
    while (header := cursor.peek(_ATTRIBUTE.size)) is not None:
        level, attribute, size_bytes = _ATTRIBUTE.unpack(header)
        if level not in _LEVELS:
            break
        allowance.spend_values(1)
        if size_bytes > cursor.left_bytes() - _ATTRIBUTE.size:
            stream.cut_off()
            break
        cursor.take(_ATTRIBUTE.size)
        stream.read(attribute, cursor.take(size_bytes))
        cursor.take(min(_CHECKSUM_BYTES, cursor.left_bytes()))
    return stream.message()


def _text(octets: memoryview, charset: str) -> str:
    return decode(bytes(octets), charset).partition("\0")[0]


def _skip_name(cursor: _Cursor) -> None:
    """A named property has the GUID of its set, then a number or a text for a name."""
    cursor.take(16)
    is_text = cursor.number() == 1
    number_or_size_bytes = cursor.number()
    if is_text:
        cursor.take_padded(number_or_size_bytes)


def _value(cursor: _Cursor, type_: int) -> memoryview:
    if type_ not in _VARIABLE:
        return cursor.take(_fixed_size_bytes(type_))
    if cursor.number() != 1:
        raise UnreadableOutlook("a property has several values where one belongs")
    return cursor.take_padded(cursor.number())


def _fixed_size_bytes(type_: int) -> int:
    if type_ not in _SIZES_BYTES:
        raise UnreadableOutlook("a property has an unknown type")
    return _SIZES_BYTES[type_]
