"""The parts of a mail (RFC 2045, 2046), found in one pass over its bytes.

A part is where it stands in the mail, not a copy, and is decoded when somebody asks. Every line that begins with two
hyphens is compared once with the boundaries that are open at that place, so the time does not grow with the depth;
depth, number of parts and the headers of each part are bounded. Any bytes have parts: what is no multipart is one.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote_to_bytes

from shared.domain.charsets import decode_labelled
from shared.domain.headers import MAX_HEADER_BYTES
from shared.domain.text import clean, decode_words

MAX_DEPTH = 20
"""How deep multiparts are opened; a deeper one is a part like any other."""
MAX_PARTS = 1_000
"""How many entities of a mail are looked at, multiparts among them."""
MAX_PART_HEADER_BYTES = 64 * 1024

_MAX_FIELD = 4_096
_MAX_BOUNDARY = 256  # RFC 2046 says 70; mailers in the wild exceed it
_MAX_PADDING = 64
_MAX_NAME = 255
_ENCODED = frozenset({"base64", "quoted-printable"})
_DIGEST = "multipart/digest"
_FIELD = re.compile(
    rb"^content-(type|transfer-encoding|disposition|id)[ \t]*:(.*+(?:\n[ \t].*+)*+)", re.MULTILINE | re.IGNORECASE
)
_BLANK_LINE = re.compile(rb"\n\r?\n")
_LEADING = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*")
_MEDIA_TYPE = re.compile(r"\s*([\w!#$&^.+-]+/[\w!#$&^.+-]+)")
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^;]*))', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NO_BASE64 = bytes(range(256)).translate(None, _BASE64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a mail and where it stands.

    `content_type`, `disposition` and `encoding` are in lower case; `name` is decoded and empty where there is none;
    `content_id` is without angle brackets. The part's body is `mime[body_start:end]`. `within` is the content type of
    the multipart that it stands in, empty where there is none.
    """

    content_type: str
    name: str
    charset: str | None
    disposition: str
    content_id: str | None
    encoding: str
    boundary: bytes | None
    body_start: int
    end: int
    mime: bytes = field(repr=False, compare=False)
    within: str = ""

    @property
    def is_mail(self) -> bool:
        """Whether the part says that it is a mail."""
        return self.content_type in {"message/rfc822", "message/global"}

    @property
    def is_multipart(self) -> bool:
        """Whether the part says that it is made of parts."""
        return self.content_type.startswith("multipart/")

    def content(self) -> bytes:
        """The body without its transfer encoding; what cannot be decoded is left out or stays as it stands."""
        body = self.mime[self.body_start : self.end]
        if self.encoding == "base64":
            return decode_base64(body)
        return binascii.a2b_qp(body) if self.encoding == "quoted-printable" else body

    def text(self, most_bytes: int) -> str:
        """The beginning of the content as text, in its charset as far as that can be."""
        return decode_labelled(self.content()[:most_bytes], self.charset)


def root(mime: bytes) -> Part:
    """The mail itself as a part."""
    leading = _LEADING.match(mime)
    start = leading.end() if leading else 0
    return _read_part(mime, start, _header_end(mime, start, MAX_HEADER_BYTES), "text/plain")


def walk(mime: bytes) -> Iterator[Part]:
    """The parts that are no opened multipart, in their order; an attached mail is one part, whatever it is made of.

    A part ends at the next delimiter of a multipart that it stands in, at the end of the mail where there is none.
    """
    nest = _Nest(mime)
    part: Part | None = root(mime)
    open_part: Part | None = None
    outside, position, count = 0, 0, 1
    while True:
        if part is not None:
            if open_part is None and not nest.can_open(part):
                open_part, outside = part, len(nest.levels)
            position = nest.enter(part)
        delimiter = nest.find(position)
        if open_part is not None and (delimiter is None or delimiter.level < outside):
            end = len(mime) if delimiter is None else max(delimiter.start, open_part.body_start)
            yield replace(open_part, end=end, within=nest.levels[outside - 1].content_type if outside else "")
            open_part = None
        if delimiter is None or (count >= MAX_PARTS and open_part is None):
            return
        nest.leave(outside if count >= MAX_PARTS else delimiter.level + (not delimiter.is_last))
        part, position = None, delimiter.end
        if not delimiter.is_last and count < MAX_PARTS:
            part = nest.read_part(position)
            count += 1


def decode_base64(body: bytes) -> bytes:
    """The octets that base64 stands for; foreign characters are passed over and a cut-off end is left out."""
    try:
        return binascii.a2b_base64(body + b"==")  # surplus padding is ignored, missing padding is common
    except binascii.Error:
        letters = body.translate(None, _NO_BASE64)
        return binascii.a2b_base64(letters[: len(letters) // 4 * 4])


# --- Delimiters -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Delimiter:
    """A line that ends a part: where the part ends, where the line ends, which multipart it belongs to."""

    start: int
    end: int
    level: int
    is_last: bool


class _Nest:
    """The multiparts that are open, outermost first."""

    def __init__(self, mime: bytes) -> None:
        self._mime = mime
        self.levels: list[Part] = []
        self._by_boundary: Mapping[bytes, int] = {}
        self._shortest = 0
        self._beginnings: frozenset[bytes] = frozenset()

    def can_open(self, part: Part) -> bool:
        return part.boundary is not None and len(self.levels) < MAX_DEPTH

    def enter(self, part: Part) -> int:
        """Open what the part is made of, if anything; returns where the search for delimiters goes on.

        An attached mail is followed too, so that a boundary that is used again in it does not end it.
        """
        for _ in range(MAX_DEPTH):
            if not part.is_mail or part.encoding in _ENCODED:
                break
            part = self._read(part.body_start, "text/plain")
        if self.can_open(part):
            self.levels.append(part)
            self._number()
        return part.body_start

    def leave(self, level: int) -> None:
        """Close the multipart of that level, if it is open, and all within."""
        del self.levels[level:]
        self._number()

    def _number(self) -> None:
        # Where a boundary is used again further in, a delimiter belongs to the innermost: so it nests as intended.
        self._by_boundary = {one.boundary or b"": level for level, one in enumerate(self.levels)}
        self._shortest = min(map(len, self._by_boundary), default=0)
        self._beginnings = frozenset(boundary[: self._shortest] for boundary in self._by_boundary)

    def find(self, position: int, end: int | None = None) -> _Delimiter | None:
        """The next delimiter at a line that begins at `position` or later."""
        if not self._by_boundary:
            return None
        start = self._mime.find(b"\n--", max(position - 1, 0), end)
        while start >= 0:
            text = start + 3
            if self._mime[text : text + self._shortest] in self._beginnings:
                delimiter = self._delimiter(start)
                if delimiter is not None:
                    return delimiter
            start = self._mime.find(b"\n--", text, end)
        return None

    def _delimiter(self, start: int) -> _Delimiter | None:
        limit = start + 3 + _MAX_BOUNDARY + _MAX_PADDING
        end = self._mime.find(b"\n", start + 3, limit)
        text = self._mime[start + 3 : limit if end < 0 else end].rstrip()
        level, is_last = self._by_boundary.get(text), False
        if level is None and text.endswith(b"--"):
            level, is_last = self._by_boundary.get(text[:-2]), True
        if level is None:
            return None
        part_end = start - 1 if self._mime.startswith(b"\r", start - 1) else start
        return _Delimiter(part_end, min(limit, len(self._mime)) if end < 0 else end + 1, level, is_last)

    def read_part(self, start: int) -> Part:
        """The part whose headers begin here."""
        return self._read(start, "message/rfc822" if self.levels[-1].content_type == _DIGEST else "text/plain")

    def _read(self, start: int, default_type: str) -> Part:
        end = _header_end(self._mime, start, MAX_PART_HEADER_BYTES)
        delimiter = self.find(start, end)
        return _read_part(self._mime, start, end if delimiter is None else max(delimiter.start, start), default_type)


# --- Headers --------------------------------------------------------------------------------------------------------


def _header_end(mime: bytes, start: int, limit_bytes: int) -> int:
    """Where the body begins: behind the blank line, or where the search for it was given up."""
    limit = min(start + limit_bytes, len(mime))
    if mime.startswith((b"\n", b"\r\n"), start):
        return mime.index(b"\n", start) + 1
    blank_line = _BLANK_LINE.search(mime, start, limit)
    return blank_line.end() if blank_line else limit


def _read_part(mime: bytes, start: int, body_start: int, default_type: str) -> Part:
    fields: dict[bytes, str] = {}
    for one in _FIELD.finditer(mime[start:body_start]):
        fields.setdefault(one[1].lower(), _unfold(one[2]))
    content_type, type_parameters = _read_type(fields.get(b"type", ""), default_type)
    disposition, _, _ = fields.get(b"disposition", "").partition(";")
    return Part(
        content_type=content_type,
        name=_name(_parameters(fields.get(b"disposition", "")), type_parameters),
        charset=type_parameters.get("charset"),
        disposition=disposition.strip().lower(),
        content_id=fields.get(b"id", "").strip(" <>") or None,
        encoding=fields.get(b"transfer-encoding", "").strip().lower(),
        boundary=_boundary(content_type, type_parameters),
        body_start=body_start,
        end=len(mime),
        mime=mime,
    )


def _unfold(octets: bytes) -> str:
    text = octets[:_MAX_FIELD].decode("utf-8", "surrogateescape")
    return text.replace("\r", "").replace("\n", "").strip()


def _read_type(value: str, default_type: str) -> tuple[str, Mapping[str, str]]:
    found = _MEDIA_TYPE.match(value)
    return (found[1].lower() if found else default_type), _parameters(value)


def _boundary(content_type: str, parameters: Mapping[str, str]) -> bytes | None:
    text = parameters.get("boundary", "").rstrip()
    if not text or not content_type.startswith("multipart/"):
        return None
    return text.encode("utf-8", "surrogateescape")[:_MAX_BOUNDARY]


def _parameters(value: str) -> dict[str, str]:
    """The parameters behind the first semicolon, those of RFC 2231 as they stand; the first of a name counts."""
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value) if ";" in value else ():
        found.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) if quoted else plain.strip())
    return found


def _name(disposition: Mapping[str, str], content_type: Mapping[str, str]) -> str:
    text = _extended(disposition, "filename") or _extended(content_type, "name")
    return clean(decode_words(text), _MAX_NAME).strip()


def _extended(parameters: Mapping[str, str], name: str) -> str:
    """A parameter that may be encoded or in pieces (RFC 2231, 3 and 4); empty where it is absent."""
    if f"{name}*" in parameters:
        return _percent_decoded(parameters[f"{name}*"])
    if name in parameters:
        return parameters[name]
    pieces: list[str] = []
    while len(pieces) < MAX_PARTS:
        piece = parameters.get(f"{name}*{len(pieces)}*", parameters.get(f"{name}*{len(pieces)}"))
        if piece is None:
            break
        pieces.append(piece)
    is_encoded = f"{name}*0*" in parameters
    return _percent_decoded("".join(pieces)) if is_encoded else "".join(pieces)


def _percent_decoded(text: str) -> str:
    charset, quote, rest = text.partition("'")
    _, second_quote, encoded = rest.partition("'")
    is_whole = bool(quote and second_quote)
    octets = unquote_to_bytes((encoded if is_whole else text).encode("utf-8", "surrogateescape"))
    return decode_labelled(octets, charset if is_whole else None)
