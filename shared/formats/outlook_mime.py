"""Writes an Outlook message as the mail (RFC 5322, MIME) that it was when it was received.

The transport headers stand first, verbatim and in order: facts and trust are read from those that Exchange wrote. Only
the headers of the body's structure are new, since the structure itself is. No property can bring a header line of its
own. The same message gives the same octets.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from ..domain.headers import Headers, read_headers
from ..domain.text import address
from .code_pages import charset_of
from .outlook_message import (
    OutlookAttachment,
    OutlookMessage,
    Property,
    RecipientKind,
    mail_address,
    octets_of,
    text_of,
)
from .rtf import decompress_rtf, html_of_rtf, text_of_rtf

_STRUCTURE = rb"(?:mime-version|content-(?:type|transfer-encoding|disposition|id|location|base|description|md5|length))"
_STRUCTURE_FIELD = re.compile(rb"^(" + _STRUCTURE + rb")[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.MULTILINE | re.IGNORECASE)
# A header of the structure, or a line that is no header (such as a mail store's own first), and what continues it.
_NOT_KEPT = re.compile(
    rb"^(?:" + _STRUCTURE + rb"[ \t]*:|(?![ \t]|[!-9;-~]+[ \t]*:))[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.MULTILINE | re.IGNORECASE,
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_OUTSIDE_ADDRESS = re.compile(r"[\x00-\x20\x7f-\xa0<>()\[\]\\,;:\"\u2028\u2029\ud800-\udfff]")
_MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_OCTETS_PER_WORD = 39  # a line with an encoded word holds at most 76 characters (RFC 2047 section 2)
_PIECE_BYTES = 57 * 1024  # whole lines of base64, 57 octets each
_HEAD_LIMIT_BYTES = 64 * 1024
_LONGEST_PLAIN = 200
_LONGEST_TEXT = 1_000  # Exchange holds subjects of 255 characters
_LONGEST_NAME = 256
_MOST_IDS = 100
_LONGEST_ID = 320
_ID_HEADERS = {
    Property.INTERNET_MESSAGE_ID: "Message-ID",
    Property.IN_REPLY_TO: "In-Reply-To",
    Property.REFERENCES: "References",
}
_SENDERS = {
    Property.SENT_REPRESENTING_SMTP_ADDRESS: Property.SENT_REPRESENTING_NAME,
    Property.SENT_REPRESENTING_ADDRESS: Property.SENT_REPRESENTING_NAME,
    Property.SENDER_SMTP_ADDRESS: Property.SENDER_NAME,
    Property.SENDER_ADDRESS: Property.SENDER_NAME,
}
_NOBODY = "undisclosed:;"  # an empty group is a From without an address (RFC 6854)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


MAX_RTF_BYTES = 1024 * 1024
"""How much RTF is read for one mail, embedded ones included, since reading it is slow; a longer body is cut off."""


def write_mime(message: OutlookMessage) -> bytes:
    """The message as a mail. Total; its length is that of the contents in base64 plus the headers.

    What the transport headers lack of From, To, Cc, Date, Subject and Message-ID comes from the properties: then no
    header of Exchange vouches for it. Outlook keeps such fragments of what was never sent, or sent by itself.
    """
    writer = _Writer(_boundary_stem(message))
    writer.write_message(message)
    return writer.written.getvalue()


class _Writer:
    """Writes front to back into one buffer."""

    def __init__(self, boundary_stem: str) -> None:
        self.written = io.BytesIO()
        self._left_rtf_bytes = MAX_RTF_BYTES
        self._boundaries = (f"{boundary_stem}_{number:06d}" for number in itertools.count())

    def write_message(self, message: OutlookMessage) -> None:
        self.written.write(_headers(message))
        self._write_line("MIME-Version: 1.0")
        signed = _signed_part(message)
        if signed is None:
            self._write_mixed(message)
        else:
            self._write_signed(signed)

    def _write_mixed(self, message: OutlookMessage) -> None:
        html, html_type, text = self._bodies(message)
        inline = [one for one in message.attachments if one.is_inline and html]
        others = [one for one in message.attachments if not (one.is_inline and html)]
        if not others:
            self._write_related(html, html_type, text, inline)
            return
        boundary = self._start_multipart("mixed")
        self._start_part(boundary)
        self._write_related(html, html_type, text, inline)
        self._write_attachments(boundary, others)

    def _bodies(self, message: OutlookMessage) -> tuple[bytes, str, bytes]:
        """HTML, its media type, and text; each empty where the message has none."""
        properties = message.properties
        text = text_of(properties, Property.BODY).encode("utf-8", "replace")
        html = octets_of(properties, Property.HTML)
        if html:
            charset = charset_of(properties.get(Property.INTERNET_CODE_PAGE))
            return html, f"text/html; charset={charset}" if charset else "text/html", text
        html = text_of(properties, Property.HTML).encode("utf-8", "replace")
        if not html:
            rtf = decompress_rtf(octets_of(properties, Property.COMPRESSED_RTF), self._left_rtf_bytes)
            self._left_rtf_bytes -= len(rtf)
            html = html_of_rtf(rtf) or b""
            text = text or (b"" if html else text_of_rtf(rtf))
        return html, "text/html; charset=utf-8", text

    def _write_related(self, html: bytes, html_type: str, text: bytes, inline: Sequence[OutlookAttachment]) -> None:
        if not inline:
            self._write_alternative(html, html_type, text)
            return
        boundary = self._start_multipart("related")
        self._start_part(boundary)
        self._write_alternative(html, html_type, text)
        self._write_attachments(boundary, inline)

    def _write_alternative(self, html: bytes, html_type: str, text: bytes) -> None:
        leaves = [("text/plain; charset=utf-8", text)] if text or not html else []
        leaves += [(html_type, html)] if html else []
        if len(leaves) == 1:
            self._write_leaf(*leaves[0])
            return
        boundary = self._start_multipart("alternative")
        for media_type, octets in leaves:
            self._start_part(boundary)
            self._write_leaf(media_type, octets)
        self._end_multipart(boundary)

    def _write_attachments(self, boundary: str, attachments: Sequence[OutlookAttachment]) -> None:
        for attachment in attachments:
            self._start_part(boundary)
            self._write_attachment(attachment)
        self._end_multipart(boundary)

    def _write_attachment(self, attachment: OutlookAttachment) -> None:
        for line in _attachment_headers(attachment):
            self._write_line(line)
        if isinstance(attachment.content, OutlookMessage):
            self._write_line("Content-Type: message/rfc822")
            self._write_line("")
            self.write_message(attachment.content)
        elif _media_type(attachment) == "message/rfc822":  # which base64 must not hide (RFC 2046 section 5.2.1)
            self._write_line("Content-Type: message/rfc822")
            self._write_line("Content-Transfer-Encoding: 8bit")
            self._write_line("")
            self.written.write(attachment.content)
        else:
            self._write_leaf(_media_type(attachment), attachment.content)

    def _write_leaf(self, media_type: str, octets: bytes) -> None:
        self._write_line(f"Content-Type: {media_type}")
        self._write_line("Content-Transfer-Encoding: base64")
        self._write_line("")
        for place in range(0, len(octets), _PIECE_BYTES):
            encoded = base64.encodebytes(memoryview(octets)[place : place + _PIECE_BYTES])
            self.written.write(encoded.replace(b"\n", b"\r\n"))

    def _write_signed(self, entity: bytes) -> None:
        """The entity as it was signed, with the headers of its structure; the bare container of an opaque one."""
        head, body = _split_entity(entity)
        structure = list(_STRUCTURE_FIELD.finditer(head))
        if not any(field[1].lower() == b"content-type" for field in structure):
            self._write_leaf('application/pkcs7-mime; name="smime.p7m"', entity)
            return
        for field in structure:
            if field[1].lower() != b"mime-version":
                self.written.write(field[0].replace(b"\n", b"\r\n") + b"\r\n")
        self._write_line("")
        self.written.write(body)

    def _start_multipart(self, kind: str) -> str:
        boundary = next(self._boundaries)
        self._write_line(f'Content-Type: multipart/{kind}; boundary="{boundary}"')
        self._write_line("")
        return boundary

    def _start_part(self, boundary: str) -> None:
        self._write_line(f"\r\n--{boundary}")

    def _end_multipart(self, boundary: str) -> None:
        self._write_line(f"\r\n--{boundary}--")

    def _write_line(self, line: str) -> None:
        self.written.write(line.encode("utf-8", "replace") + b"\r\n")


def transport_headers(message: OutlookMessage) -> bytes:
    """The headers that came with the message, less those of the body's structure, each line with CRLF; maybe empty.

    A carriage return alone, or a NUL, ends a line for some readers and not for others, so each becomes a space.
    """
    text = text_of(message.properties, Property.TRANSPORT_HEADERS).replace("\r\n", "\n").lstrip("\n\t ")
    head = text.partition("\n\n")[0].rstrip("\n").replace("\r", " ").replace("\0", " ") + "\n"
    return _NOT_KEPT.sub(b"", head.encode("utf-8", "replace")).replace(b"\n", b"\r\n")


def _boundary_stem(message: OutlookMessage) -> str:
    """What every boundary of the mail begins with.

    It holds an underscore, so base64 never contains it; of everything else that is written at the start of a line it
    is a hash, and is checked not to be in it.
    """
    verbatim = list(_verbatim(message))
    digest = hashlib.sha256()
    while True:
        for octets in verbatim:
            digest.update(octets)
        stem = f"=_{digest.hexdigest()[:32]}"
        if not any(stem.encode() in octets for octets in verbatim):
            return stem


def _verbatim(message: OutlookMessage) -> Iterator[bytes]:
    """What is written as it stands, in this message and those embedded in it."""
    yield transport_headers(message)
    yield _signed_part(message) or b""
    for attachment in message.attachments:
        if isinstance(attachment.content, OutlookMessage):
            yield from _verbatim(attachment.content)
        elif _media_type(attachment) == "message/rfc822":
            yield attachment.content


def _signed_part(message: OutlookMessage) -> bytes | None:
    """What the one attachment of a signed or encrypted message holds ([MS-OXOSMIME] section 2.1.3), else None."""
    is_smime = text_of(message.properties, Property.MESSAGE_CLASS).lower().startswith("ipm.note.smime")
    contents = [attachment.content for attachment in message.attachments]
    return contents[0] if is_smime and len(contents) == 1 and isinstance(contents[0], bytes) else None


def _split_entity(entity: bytes) -> tuple[bytes, bytes]:
    r"""Head, lines ending with `\n`, and body; the head is empty where no empty line ends it early enough."""
    end = re.search(rb"\r?\n\r?\n", memoryview(entity)[:_HEAD_LIMIT_BYTES])
    if end is None:
        return b"", entity
    return entity[: end.start()].replace(b"\r\n", b"\n").replace(b"\r", b" "), entity[end.end() :]


def _media_type(attachment: OutlookAttachment) -> str:
    """The attachment's own type; one that would need a structure which its octets may lack is not believed."""
    named = attachment.mime_type.strip().lower()
    is_composite = named.startswith(("multipart/", "message/")) and named != "message/rfc822"
    return named if _MIME_TYPE.fullmatch(named) and not is_composite else "application/octet-stream"


def _attachment_headers(attachment: OutlookAttachment) -> Iterator[str]:
    disposition = "inline" if attachment.is_inline else "attachment"
    yield f"Content-Disposition: {disposition}" + _file_name(_printable(attachment.name[-_LONGEST_NAME:]))
    content_id = _OUTSIDE_ADDRESS.sub("", attachment.content_id)[:_LONGEST_ID]
    if content_id:
        yield f"Content-ID: <{content_id}>"


def _file_name(name: str) -> str:
    """The parameter `filename`, in pieces of a line each where the name is long or not ASCII (RFC 2231)."""
    if not name:
        return ""
    if name.isascii() and len(name) <= _LONGEST_PLAIN:
        return f";\r\n filename={_quoted(name)}"
    octets = name.encode("utf-8", "replace")
    pieces = ["%" + octets[place : place + 20].hex("%") for place in range(0, len(octets), 20)]
    pieces[0] = f"utf-8''{pieces[0]}"
    if len(pieces) == 1:
        return f";\r\n filename*={pieces[0]}"
    return "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))


def _headers(message: OutlookMessage) -> bytes:
    """The transport headers, and behind them of the properties what they lack."""
    told = transport_headers(message)
    known = dict(_headers_of_properties(message))
    if not told:
        return _written({"From": _NOBODY, **known})
    lacking = list(_lacking(read_headers(told), known))
    replaced = "|".join(lacking).encode()
    kept = re.sub(rb"(?mi)^(?:" + replaced + rb")[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", b"", told) if lacking else told
    return kept + _written({name: known[name] for name in lacking})


def _lacking(told: Headers, known: Mapping[str, str]) -> Iterator[str]:
    """The headers that are absent; From, and To with Cc, also where they hold names alone and properties addresses."""
    for names in (("From",), ("To", "Cc")):
        written = list(told.values(*(name.lower() for name in names)))
        is_known = any(address(known.get(name, "")) for name in names)
        if not written or (is_known and not any("@" in value for value in written)):
            yield from (name for name in names if name in known)
    yield from (name for name in ("Date", "Subject", "Message-ID") if name in known and name.lower() not in told.fields)


def _written(fields: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("utf-8", "replace")


def _headers_of_properties(message: OutlookMessage) -> Iterator[tuple[str, str]]:
    """Header and value, folded, of what the properties know."""
    properties = message.properties
    sender = _sender(properties)
    if sender:
        yield "From", sender
    for kind, name in ((RecipientKind.TO, "To"), (RecipientKind.CC, "Cc")):
        people = [_mailbox(one.name, mail_address(one.address)) for one in message.recipients if one.kind is kind]
        if people:
            yield name, ",\r\n ".join(people)
    times = (properties.get(number) for number in (Property.CLIENT_SUBMIT_TIME, Property.DELIVERY_TIME))
    yield from itertools.islice((("Date", _date(time)) for time in times if isinstance(time, datetime)), 1)
    if Property.SUBJECT in properties:
        yield "Subject", _unstructured(text_of(properties, Property.SUBJECT))
    for number, name in _ID_HEADERS.items():
        ids = _ids(text_of(properties, number))
        if ids:
            yield name, "\r\n ".join(ids)


def _sender(properties: Mapping[int, object]) -> str:
    """Whom the message says it is from, else who sent it; the name alone where no address is known, else empty."""
    for number, name in _SENDERS.items():
        found = mail_address(text_of(properties, number))
        if found:
            return _mailbox(text_of(properties, name), found)
    alone = next(filter(None, (text_of(properties, number) for number in _SENDERS.values())), "")
    return _mailbox(alone, "") if alone else ""


def _mailbox(name: str, mailbox: str) -> str:
    """`"Name" <address>`; without an address an empty group of that name (RFC 5322 section 3.4)."""
    printable = _printable(name[:_LONGEST_NAME])
    is_plain = printable.isascii() and "=?" not in printable and len(printable) <= _LONGEST_PLAIN
    phrase = _quoted(printable) if is_plain else _encoded_words(printable)
    if not mailbox:
        return f"{phrase}:;"
    return f"{phrase} <{mailbox}>" if printable else f"<{mailbox}>"


def _unstructured(text: str) -> str:
    printable = _printable(text)
    is_plain = printable.isascii() and "=?" not in printable and len(printable) <= _LONGEST_PLAIN
    return printable if is_plain else _encoded_words(printable)


def _encoded_words(text: str) -> str:
    """The text as encoded words (RFC 2047), one a line, none of which splits a character."""
    words, start, size_bytes = [], 0, 0
    for place, character in enumerate(text):
        character_bytes = len(character.encode("utf-8", "replace"))
        if size_bytes + character_bytes > _OCTETS_PER_WORD:
            words.append(text[start:place])
            start, size_bytes = place, 0
        size_bytes += character_bytes
    words.append(text[start:])
    encoded = (binascii.b2a_base64(word.encode("utf-8", "replace"), newline=False).decode() for word in words)
    return "\r\n ".join(f"=?utf-8?B?{word}?=" for word in encoded)


def _ids(text: str) -> list[str]:
    """The message ids in a text, in angle brackets; what a strict reader would not take for one is cut out of it."""
    cut = (_OUTSIDE_ADDRESS.sub("", word)[:_LONGEST_ID] for word in text.split(maxsplit=_MOST_IDS)[:_MOST_IDS])
    return [f"<{one}>" for one in cut if one]


def _date(time: datetime) -> str:
    day, month = _DAYS[time.weekday()], _MONTHS[time.month - 1]
    return f"{day}, {time.day:02} {month} {time.year:04} {time:%H:%M:%S} +0000"


def _printable(text: str) -> str:
    """The text on one line, cut where nobody reads on: nothing in it can end a header or begin one."""
    return _UNPRINTABLE.sub(" ", text[:_LONGEST_TEXT]).strip()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
