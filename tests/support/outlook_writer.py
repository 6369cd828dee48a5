"""Writes `.msg` and `winmail.dat`, and builds what Outlook holds of a mail that was received.

Both writers are minimal but valid: a compound file of version 3 with mini stream and balanced directory ([MS-CFB]),
and TNEF with its checksums ([MS-OXTNEF]). What the readers' tests compare with comes from here or by hand.
"""

from __future__ import annotations

import email
import email.message
import email.policy
import email.utils
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from shared.formats.outlook_message import (
    OutlookAttachment,
    OutlookMessage,
    OutlookRecipient,
    Property,
    RecipientKind,
)

TYPES = {str: 0x001F, bytes: 0x0102, bool: 0x000B, int: 0x0003, datetime: 0x0040}
FREE, END, FAT_SECTOR, DIFAT_SECTOR, NO_ENTRY = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC, 0xFFFFFFFF
SECTOR, MINI_SECTOR, CUTOFF = 512, 64, 4096
IID_IMESSAGE = bytes.fromhex("0703020000000000c000000000000046")

Storage = dict[str, "bytes | Storage"]


# --- .msg -------------------------------------------------------------------------------------------------------------


def write_msg(message: OutlookMessage) -> bytes:
    """A `.msg` file that holds the message, its 16-bit texts in UTF-16."""
    return write_compound_file(message_storage(message, is_root=True))


def message_storage(message: OutlookMessage, *, is_root: bool) -> Storage:
    """The storage of a message, as [MS-OXMSG] section 2 lays it out."""
    counts = struct.pack("<8x4I", len(message.recipients), len(message.attachments), *map(len, parts_of(message)))
    storage = properties_storage(message.properties, counts + bytes(8 if is_root else 0))
    for number, recipient in enumerate(message.recipients):
        storage[f"__recip_version1.0_#{number:08X}"] = properties_storage(recipient_properties(recipient), bytes(8))
    for number, attachment in enumerate(message.attachments):
        part = properties_storage(attachment_properties(attachment), bytes(8))
        if isinstance(attachment.content, OutlookMessage):
            part["__substg1.0_3701000D"] = message_storage(attachment.content, is_root=False)
        storage[f"__attach_version1.0_#{number:08X}"] = part
    if is_root:
        storage["__nameid_version1.0"] = dict.fromkeys([f"__substg1.0_000{number}0102" for number in (2, 3, 4)], b"")
    return storage


def parts_of(message: OutlookMessage) -> tuple[tuple[OutlookRecipient, ...], tuple[OutlookAttachment, ...]]:
    """The recipients and the attachments, whose numbers the header tells twice."""
    return message.recipients, message.attachments


def properties_storage(properties: Mapping[int, object], header: bytes) -> Storage:
    """A storage with one stream for all numbers and one for each text or binary."""
    storage: Storage = {}
    table = header
    for number, value in properties.items():
        octets = encoded(value)
        kind = TYPES[type(value)]
        if isinstance(value, str | bytes):
            storage[f"__substg1.0_{number:04X}{kind:04X}"] = octets
            octets = struct.pack("<I4x", len(octets) + (2 if isinstance(value, str) else 0))
        table += struct.pack("<HHI8s", kind, number, 6, octets)
    return {"__properties_version1.0": table, **storage}


def encoded(value: object) -> bytes:
    """A value's octets, the same in both formats."""
    match value:
        case str():
            return value.encode("utf-16-le")
        case bytes():
            return value
        case bool() | int():
            return int(value).to_bytes(4, "little", signed=True)
        case datetime():
            micros = (value - datetime(1601, 1, 1, tzinfo=UTC)) // (datetime.resolution)
            return (micros * 10).to_bytes(8, "little")
    raise TypeError(type(value))


def recipient_properties(recipient: OutlookRecipient) -> dict[int, object]:
    """The properties of a recipient."""
    return {
        Property.RECIPIENT_TYPE: int(recipient.kind),
        Property.DISPLAY_NAME: recipient.name,
        Property.SMTP_ADDRESS: recipient.address,
    }


def attachment_properties(attachment: OutlookAttachment) -> dict[int, object]:
    """The properties of an attachment, its octets among them; an embedded message is not."""
    properties: dict[int, object] = {
        Property.ATTACHMENT_METHOD: 1 if isinstance(attachment.content, bytes) else 5,
        Property.ATTACHMENT_LONG_NAME: attachment.name,
        Property.ATTACHMENT_MIME_TYPE: attachment.mime_type,
        Property.ATTACHMENT_CONTENT_ID: attachment.content_id,
        Property.ATTACHMENT_FLAGS: 4 if attachment.is_inline else 0,
        Property.ATTACHMENT_HIDDEN: attachment.is_inline,
    }
    if isinstance(attachment.content, bytes):
        properties[Property.ATTACHMENT_DATA] = attachment.content
    return properties


def write_compound_file(root: Storage) -> bytes:
    """A compound file of version 3 with those storages and streams."""
    return _CompoundWriter().write(root)


class _CompoundWriter:
    def __init__(self) -> None:
        self.sectors: list[bytes] = []
        self.fat: list[int] = []
        self.mini_stream = bytearray()
        self.mini_fat: list[int] = []
        self.entries: list[bytes] = []

    def write(self, root: Storage) -> bytes:
        self.entries.append(b"")
        child = self.add_children(root)
        mini_start, mini_size = self.add_chain(bytes(self.mini_stream)), len(self.mini_stream)
        self.entries[0] = directory_entry("Root Entry", 5, child=child, start=mini_start, size=mini_size)
        free = directory_entry("", 0)
        self.entries += [free] * (-len(self.entries) % 4)
        directory = self.add_chain(b"".join(self.entries))
        mini_fat_sectors = -(-len(self.mini_fat) // 128)
        mini_fat = self.add_chain(numbers(self.mini_fat))
        return self.finish(directory, mini_fat, mini_fat_sectors)

    def add_children(self, storage: Storage) -> int:
        """Write what lies in a storage; the number of its topmost entry."""
        names = sorted(storage, key=lambda name: (len(name), name.upper()))
        places = {name: len(self.entries) + place for place, name in enumerate(names)}
        self.entries += [b""] * len(names)
        links = balanced(names)
        for name in names:
            left, right = (places.get(one, NO_ENTRY) for one in links[name])
            content = storage[name]
            if isinstance(content, bytes):
                kind, child, start, size = 2, NO_ENTRY, self.add_stream(content), len(content)
            else:
                kind, child, start, size = 1, self.add_children(content), 0, 0
            self.entries[places[name]] = directory_entry(name, kind, left, right, child, start, size)
        return places[names[len(names) // 2]] if names else NO_ENTRY

    def add_stream(self, content: bytes) -> int:
        if len(content) >= CUTOFF:
            return self.add_chain(content)
        start, count = len(self.mini_fat), -(-len(content) // MINI_SECTOR)
        self.mini_stream += content.ljust(count * MINI_SECTOR, b"\0")
        self.mini_fat += chain(start, count)
        return start if count else END

    def add_chain(self, content: bytes) -> int:
        start, count = len(self.sectors), -(-len(content) // SECTOR)
        filled = content.ljust(count * SECTOR, b"\0")
        self.sectors += [filled[place : place + SECTOR] for place in range(0, len(filled), SECTOR)]
        self.fat += chain(start, count)
        return start if count else END

    def finish(self, directory: int, mini_fat: int, mini_fat_sectors: int) -> bytes:
        """Write the table of sectors, which counts itself, and the header, which tells where it lies."""
        fats, difats = 0, 0
        while fats * 128 < len(self.fat) + fats + difats:
            fats += 1
            difats = max(0, -(-(fats - 109) // 127))
        first_fat = len(self.fat)
        first_difat = first_fat + fats
        self.fat += [FAT_SECTOR] * fats + [DIFAT_SECTOR] * difats
        table = numbers(self.fat)
        places = list(range(first_fat, first_difat))
        header = struct.pack("<8s16xHHHHH10xII4xIIIII", bytes.fromhex("d0cf11e0a1b11ae1"), 0x3E, 3, 0xFFFE, 9, 6, fats,
                             directory, CUTOFF, mini_fat, mini_fat_sectors, first_difat if difats else END,
                             difats)  # fmt: skip
        header += numbers(places[:109], 109)
        more = b""
        for number in range(difats):
            last = END if number == difats - 1 else first_difat + number + 1
            more += numbers(places[109 + number * 127 : 109 + (number + 1) * 127], 127) + struct.pack("<I", last)
        return header + b"".join(self.sectors) + table + more


def numbers(values: list[int], count: int | None = None) -> bytes:
    """Whole sectors (or as many as told) of numbers, filled up with those of free sectors."""
    filled = values + [FREE] * ((-len(values) % 128) if count is None else count - len(values))
    return struct.pack(f"<{len(filled)}I", *filled)


def chain(start: int, count: int) -> list[int]:
    """The table's entries for sectors in a row."""
    return [*range(start + 1, start + count), END] if count else []


def balanced(names: list[str]) -> dict[str, tuple[str, str]]:
    """The left and right child of each name in a balanced tree of sorted names; empty for none."""
    if not names:
        return {}
    middle = len(names) // 2
    left, right = names[:middle], names[middle + 1 :]
    tops = tuple(side[len(side) // 2] if side else "" for side in (left, right))
    return {names[middle]: (tops[0], tops[1]), **balanced(left), **balanced(right)}


def directory_entry(
    name: str,
    kind: int,
    left: int = NO_ENTRY,
    right: int = NO_ENTRY,
    child: int = NO_ENTRY,
    start: int = 0,
    size: int = 0,
) -> bytes:
    """One of 128 octets. The colours of the tree matter to those alone who insert; all are black."""
    octets = name.encode("utf-16-le")
    length = len(octets) + 2 if octets else 0
    return struct.pack("<64sHBBIII16x4x8x8xIQ", octets, length, kind, 1, left, right, child, start, size)


# --- winmail.dat ------------------------------------------------------------------------------------------------------


OLD_CLASSES = {"IPM.Note": "IPM.Microsoft Mail.Note"}


def write_winmail(message: OutlookMessage) -> bytes:
    """A TNEF stream that holds the message; its class, `IPM.Note` if it has none, stands in an attribute of its own."""
    written = struct.pack("<IH", 0x223E9F78, 1)
    written += attribute(1, 0x00089006, struct.pack("<I", 0x00010000))
    written += attribute(1, 0x00069007, struct.pack("<II", 1252, 0))
    name = str(message.properties.get(Property.MESSAGE_CLASS, "IPM.Note"))
    written += attribute(1, 0x00078008, OLD_CLASSES.get(name, name).encode() + b"\0")
    listed = {number: value for number, value in message.properties.items() if number != Property.MESSAGE_CLASS}
    rows = [property_list(recipient_properties(recipient)) for recipient in message.recipients]
    written += attribute(1, 0x00069004, struct.pack("<I", len(rows)) + b"".join(rows))
    written += attribute(1, 0x00069003, property_list(listed))
    return written + b"".join(map(attachment_attributes, message.attachments))


def attachment_attributes(attachment: OutlookAttachment) -> bytes:
    """The attributes of an attachment."""
    properties = attachment_properties(attachment)
    data = properties.pop(Property.ATTACHMENT_DATA, None)
    written = attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0, 0, 0, 0))
    listed = property_list(properties)
    if isinstance(data, bytes):
        written += attribute(2, 0x0006800F, data)
    elif isinstance(attachment.content, OutlookMessage):
        content = IID_IMESSAGE + write_winmail(attachment.content)
        listed = struct.pack("<I", len(properties) + 1) + listed[4:]
        listed += struct.pack("<HHII", 0x000D, 0x3701, 1, len(content)) + padded(content)
    written += attribute(2, 0x00018010, attachment.name.encode("ascii", "replace") + b"\0")
    return written + attribute(2, 0x00069005, listed)


def attribute(level: int, number: int, content: bytes) -> bytes:
    """One attribute with its checksum."""
    return struct.pack("<BII", level, number, len(content)) + content + struct.pack("<H", sum(content) & 0xFFFF)


def property_list(properties: Mapping[int, object]) -> bytes:
    """How many, then each with its type, number and value."""
    return struct.pack("<I", len(properties)) + b"".join(
        struct.pack("<HH", TYPES[type(value)], number) + listed_value(value) for number, value in properties.items()
    )


def listed_value(value: object) -> bytes:
    """The value as it stands in a property list."""
    if not isinstance(value, str | bytes):
        return encoded(value)
    octets = encoded(value) + (b"\0\0" if isinstance(value, str) else b"")
    return struct.pack("<II", 1, len(octets)) + padded(octets)


def padded(octets: bytes) -> bytes:
    """The octets, filled up to a multiple of four."""
    return octets + bytes(-len(octets) % 4)


# --- What Outlook holds of a mail ------------------------------------------------------------------------------------


def message_from_mime(mime: bytes) -> OutlookMessage:
    """What Outlook holds of a mail that Exchange received: its headers verbatim, bodies, attachments."""
    return message_of(email.message_from_bytes(mime, policy=email.policy.compat32), headers_of(mime))


def headers_of(mime: bytes) -> str:
    """The headers as a text with CRLF."""
    lines = mime.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace").split("\n")
    return "\r\n".join(lines) + "\r\n\r\n"


Part: TypeAlias = "email.message.Message[Any, Any]"


def message_of(mail: Part, headers: str) -> OutlookMessage:
    """The message of a parsed mail."""
    properties: dict[int, object] = {
        Property.MESSAGE_CLASS: "IPM.Note",
        Property.TRANSPORT_HEADERS: headers,
        Property.SUBJECT: str(mail.get("Subject", "")),
    }
    attachments: list[OutlookAttachment] = []
    for part in leaves(mail):
        number = body_property(part, properties)
        if number is Property.BODY:
            properties[number] = decoded_text(part)
        elif number is Property.HTML:
            properties[number] = octets_of(part)
            properties[Property.INTERNET_CODE_PAGE] = code_page_of(part)
        else:
            attachments.append(attachment_from(part))
    return OutlookMessage(properties, recipients_of(mail), tuple(attachments))


def leaves(part: Part) -> Iterator[Part]:
    """The parts that are no multipart; an attached mail is one part."""
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        for one in parts_in(part):
            yield from leaves(one)
    else:
        yield part


def parts_in(part: Part) -> list[Part]:
    """The parts of a multipart, or the one mail in an attached one."""
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, email.message.Message)] if isinstance(payload, list) else []


def body_property(part: Part, properties: Mapping[int, object]) -> Property | None:
    """Which body the part is: the first text and the first HTML that are no files."""
    if part.get_filename() or part.get_content_disposition() == "attachment":
        return None
    number = {"text/plain": Property.BODY, "text/html": Property.HTML}.get(part.get_content_type())
    return None if number is None or number in properties else number


def octets_of(part: Part) -> bytes:
    """The content of a leaf."""
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


CODE_PAGES = {"utf-8": 65001, "us-ascii": 20127, "iso-8859-1": 28591, "windows-1252": 1252, "iso-2022-jp": 50220,
              "gb2312": 936, "gbk": 936, "big5": 950, "shift_jis": 932, "koi8-r": 20866, "windows-1251": 1251,
              "iso-8859-2": 28592, "iso-8859-15": 28605, "euc-kr": 51949}  # fmt: skip


def code_page_of(part: Part) -> int:
    """The number of the part's character set, UTF-8's where it has none that Windows numbers."""
    return CODE_PAGES.get(str(part.get_content_charset("utf-8")).lower(), 65001)


def decoded_text(part: Part) -> str:
    """The text of a leaf; UTF-16 can hold no NUL at the end and no lone surrogate, and neither can what reads it."""
    try:
        text = octets_of(part).decode(str(part.get_content_charset("utf-8")), "replace")
    except LookupError:
        text = octets_of(part).decode("latin-1")
    return text.rstrip("\0")


def attachment_from(part: Part) -> OutlookAttachment:
    """The attachment that a leaf is."""
    content_id = str(part.get("Content-ID", "")).strip().strip("<>")
    content: bytes | OutlookMessage = octets_of(part)
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        (inner,) = parts_in(part)
        content = message_of(inner, headers_of(inner.as_bytes()))
    return OutlookAttachment(
        content=content,
        name=email.utils.collapse_rfc2231_value(part.get_filename("")),
        mime_type=part.get_content_type(),
        content_id=content_id,
        is_inline=bool(content_id) and part.get_content_disposition() != "attachment",
    )


def recipients_of(mail: Part) -> tuple[OutlookRecipient, ...]:
    """Whom To and Cc name."""
    kinds = ((RecipientKind.TO, "To"), (RecipientKind.CC, "Cc"))
    return tuple(
        OutlookRecipient(kind, name, address if "@" in address else "")
        for kind, header in kinds
        for name, address in email.utils.getaddresses([str(value) for value in mail.get_all(header, [])])
    )


Writer = Callable[[OutlookMessage], bytes]
"""Either format's."""
