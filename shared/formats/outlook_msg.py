"""Reads `.msg`, the file that Outlook saves a message as ([MS-OXMSG] over [MS-CFB]).

A storage is a message; in it lie its properties and a storage for each recipient and attachment. Total: whatever the
octets, there is a message or UnreadableOutlook, in time and memory proportional to the file. Named properties are not
read; no mail header is kept in one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from .code_pages import DEFAULT_CHARSET
from .compound_file import BrokenCompoundFile, CompoundFile, Entry
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

_FIXED_PROPERTIES = "__properties_version1.0"
_VALUE = re.compile(r"__substg1\.0_([0-9A-F]{4})([0-9A-F]{4})", re.IGNORECASE)
_RECIPIENT = "__recip_version1.0_"
_ATTACHMENT = "__attach_version1.0_"
_EMBEDDED = f"__substg1.0_{Property.ATTACHMENT_DATA:04X}{Type.OBJECT:04X}".lower()
_FIXED = struct.Struct("<HHI8s")
_HEADER_BYTES_OF_ROOT, _HEADER_BYTES_OF_EMBEDDED, _HEADER_BYTES_OF_PART = 32, 24, 8


def read_outlook_msg(content: bytes) -> OutlookMessage:
    """The message that a `.msg` file holds; UnreadableOutlook, and nothing else, for any other octets."""
    try:
        return _Reader(content).read()
    except BrokenCompoundFile as error:
        raise UnreadableOutlook(f"the .msg file cannot be read: {error}") from error
    except UnreadableOutlook as error:
        raise UnreadableOutlook(f"the .msg file was refused: {error}") from error


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._file = CompoundFile(content)
        self._allowance = Allowance(len(content))

    def read(self) -> OutlookMessage:
        entries = self._entries(self._file.root)
        if _FIXED_PROPERTIES not in entries:
            raise UnreadableOutlook("it is an Office document, not a message")
        return self._message(entries, _HEADER_BYTES_OF_ROOT, DEFAULT_CHARSET, depth=1)

    def _message(self, entries: dict[str, Entry], header_bytes: int, outer_charset: str, depth: int) -> OutlookMessage:
        self._allowance.check_depth(depth)
        raw = self._raw_properties(entries, header_bytes)
        charset = charset_of_texts(raw) or outer_charset
        recipients = [self._part(storage) for storage in _numbered(entries, _RECIPIENT)]
        attachments = [self._part(storage) for storage in _numbered(entries, _ATTACHMENT)]
        return OutlookMessage(
            properties=decode_properties(raw, charset),
            recipients=tuple(recipient_of(self._properties(part, charset)) for part in recipients),
            attachments=tuple(self._attachment(part, charset, depth) for part in attachments),
        )

    def _attachment(self, part: dict[str, Entry], charset: str, depth: int) -> OutlookAttachment:
        properties = self._properties(part, charset)
        data = properties.get(Property.ATTACHMENT_DATA)
        content: bytes | OutlookMessage = data if isinstance(data, bytes) else b""
        if _EMBEDDED in part and part[_EMBEDDED].is_storage:
            entries = self._entries(part[_EMBEDDED])
            if _FIXED_PROPERTIES in entries:  # else an OLE object, such as a chart, which no mail can carry
                content = self._message(entries, _HEADER_BYTES_OF_EMBEDDED, charset, depth + 1)
        return attachment_of(properties, content)

    def _part(self, storage: Entry) -> dict[str, Entry]:
        self._allowance.spend_part()
        return self._entries(storage)

    def _entries(self, storage: Entry) -> dict[str, Entry]:
        return {entry.name.lower(): entry for entry in self._file.entries(storage)}

    def _properties(self, part: dict[str, Entry], charset: str) -> dict[int, object]:
        return decode_properties(self._raw_properties(part, _HEADER_BYTES_OF_PART), charset)

    def _raw_properties(self, entries: dict[str, Entry], header_bytes: int) -> dict[int, RawProperty]:
        """The properties that are kept, by number. Every text and binary has a stream of its own."""
        raw = dict(self._fixed_properties(entries.get(_FIXED_PROPERTIES), header_bytes))
        for name, entry in entries.items():
            value = _VALUE.fullmatch(name)
            if value and not entry.is_storage and int(value[1], 16) in KEPT:
                raw[int(value[1], 16)] = RawProperty(int(value[2], 16), self._read(entry))
        return raw

    def _fixed_properties(self, table: Entry | None, header_bytes: int) -> Iterator[tuple[int, RawProperty]]:
        """Numbers and times stand in one stream, 16 octets each; so do the lengths of texts and binaries."""
        rows = self._read(table)[header_bytes:] if table is not None else b""
        for type_, number, _, octets in _FIXED.iter_unpack(rows[: len(rows) // _FIXED.size * _FIXED.size]):
            if number in KEPT and type_ not in {Type.STRING, Type.STRING_8, Type.BINARY}:
                yield number, RawProperty(type_, octets)

    def _read(self, stream: Entry) -> bytes:
        self._allowance.spend_bytes(stream.size_bytes)
        return self._file.read(stream)


def _numbered(entries: dict[str, Entry], prefix: str) -> list[Entry]:
    """The storages of recipients or attachments, in their order."""
    names = sorted(name for name, entry in entries.items() if name.startswith(prefix) and entry.is_storage)
    return [entries[name] for name in names]
