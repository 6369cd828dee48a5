"""The parts of a mail (RFC 2045, 2046), found in one pass over its bytes.

A part is where it stands in the mail, not a copy, and is decoded when somebody asks. Every line that begins with two
hyphens is compared once with the boundaries that are open at that place, so the time does not grow with the depth;
depth, number of parts and the headers of each part are bounded. Any bytes have parts: what is no multipart is one.
"""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote_to_bytes

from ..domain.charsets import decode_labelled, decode_unlabelled, is_telling
from ..domain.headers import MAX_HEADER_BYTES, start_of_mail
from ..domain.text import clean, decode_words

MAX_DEPTH = 20
"""How deep multiparts are opened; a deeper one is a part like any other."""
MAX_PARTS = 1_000
"""How many entities of a mail are looked at, multiparts among them."""
MAX_PART_HEADER_BYTES = 64 * 1024

_MAX_PADDING = 64
_COMPARED_BYTES = 256  # of a line that may be a delimiter, before it is looked at whole
_MAX_NAME = 255
_MOST_PADS = 10_000
_ENCODINGS = {
    "base64": "base64",
    "quoted-printable": "quoted-printable",
    **dict.fromkeys(("x-uuencode", "uuencode", "x-uue", "uue"), "uuencode"),
}
_ENCODED = frozenset(_ENCODINGS.values())
_DIGEST = "multipart/digest"


def _any_case(letters: str) -> str:
    """A pattern for these letters. A search that ignores case is slow; one that begins with a line break is not."""
    return "".join(f"[{one.upper()}{one}]" if one.isalpha() else one for one in letters)


_READ = "|".join(map(_any_case, ("type", "transfer-encoding", "disposition", "id")))
_FIELD = re.compile(rf"\n{_any_case('content-')}({_READ})[ \t]*+:(.*+(?:\n[ \t].*+)*+)".encode())
_BLANK_LINE = re.compile(rb"\n\r?\n")
# Any token will do for a type (RFC 2045 section 5.1), blanks around its parts included (RFC 822 section 3.1.4).
_ATOM = r"[^\s()<>@,;:\\\"/\[\]?=]+"
_MEDIA_TYPE = re.compile(rf'[\s"]*({_ATOM})\s*/\s*({_ATOM})')
_TOKEN = re.compile(_ATOM)
# A quoted value that never ends runs to the end of the field, as every mail program reads it.
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|([^;]*))', re.DOTALL)
_NAMES = ("name", "filename")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMMENT_PIECE = re.compile(r'(?:\\.|[^\\"()])++|[\\"()]', re.DOTALL)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NO_BASE64 = bytes(range(256)).translate(None, _BASE64)
_NO_BASE64_OR_PAD = bytes(range(256)).translate(None, _BASE64 + b"=")
_PIECE_OF_BASE64 = re.compile(rb"[^=]+")
_STRAY_EQUALS = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)")
_PADDED_SOFT_BREAK = re.compile(rb"=[ \t]++(?=\r?\n|\Z)")
_BEGIN_UU = re.compile(rb"^begin [0-7]{3,4}\b[^\n]*\n", re.MULTILINE)
_PRESCANNED_BYTES = 4_096
_HTML_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META_CHARSET = re.compile(rb"<meta\s[^>]{0,400}?charset\s*=\s*[\"']?\s*([^\s\"'/>;]{1,60})", re.IGNORECASE)
_SOFT_BREAK = re.compile(r"(?<!^--) \r?\n>*+ ?", re.MULTILINE)


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
    is_rejoined: bool = False
    """Its lines were broken with a blank that is no part of the text (format=flowed; delsp=yes, RFC 3676)."""
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
        if self.encoding == "quoted-printable":
            return decode_quoted_printable(body)
        return decode_uuencoded(body) if self.encoding == "uuencode" else body

    def text(self, most_bytes: int) -> str:
        """The beginning of the content as text, in its charset as far as that can be."""
        octets = self.content()[:most_bytes]
        text = decode_labelled(octets, self._label(octets))
        return _SOFT_BREAK.sub("", text) if self.is_rejoined else text

    def _label(self, octets: bytes) -> str | None:
        """The charset that the header names; of HTML that has none there, the one that it names itself."""
        if self.content_type != "text/html" or (self.charset and is_telling(self.charset)):
            return self.charset
        return _charset_of_html(octets) or self.charset


def root(mime: bytes) -> Part:
    """The mail itself as a part."""
    start = start_of_mail(mime)
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
    """The octets that base64 stands for; foreign characters are passed over and a cut-off end is left out.

    A decoder may stop at padding (RFC 2045 section 6.8). This one goes on behind it, as MimeKit does: mailers encode
    piece by piece, and what stands there must not be hidden from whoever looks for links.
    """
    pad = body.find(b"=")
    if pad >= 0 and body[pad:].translate(None, _NO_BASE64):
        return _decode_pieces(body.translate(None, _NO_BASE64_OR_PAD))
    return _decode_piece(body)


def decode_quoted_printable(body: bytes) -> bytes:
    """The octets that quoted-printable stands for (RFC 2045 section 6.7).

    Blanks behind the `=` of a soft line break are of transport (rule 3). An `=` that begins neither an octet nor a soft
    line break stays as it stands, so that nothing of the body is lost.
    """
    if _STRAY_EQUALS.search(body):
        body = _STRAY_EQUALS.sub(b"=3D", _PADDED_SOFT_BREAK.sub(b"=", body))
    return binascii.a2b_qp(body)


def decode_uuencoded(body: bytes) -> bytes:
    """The octets of a uuencoded file (POSIX) from its line `begin` on; the body itself where there is none."""
    begin = _BEGIN_UU.search(body)
    if begin is None:
        return body
    content = bytearray()
    for line in io.BytesIO(memoryview(body)[begin.end() :]):
        letters = line.rstrip(b"\r\n")
        if letters == b"end":
            break
        content += _decode_uu_line(letters)
    return bytes(content)


def _decode_uu_line(letters: bytes) -> bytes:
    """The first character tells how many octets there are; mailers add a checksum or cut off blanks behind them."""
    if not letters:
        return b""
    size_bytes = (letters[0] - 32) & 63
    try:
        return binascii.a2b_uu(letters[: 1 + -(-size_bytes // 3) * 4])
    except binascii.Error:
        return b""


def _decode_pieces(letters: bytes) -> bytes:
    content = bytearray()
    for number, piece in enumerate(_PIECE_OF_BASE64.finditer(letters)):
        if number == _MOST_PADS:
            content += _decode_piece(letters[piece.start() :].replace(b"=", b""))
            break
        content += _decode_piece(piece[0])
    return bytes(content)


def _decode_piece(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(body + b"==")  # surplus padding is ignored, missing padding is common
    except binascii.Error:
        letters = body.translate(None, _NO_BASE64)
        return binascii.a2b_base64(letters[: len(letters) // 4 * 4])


def _charset_of_html(octets: bytes) -> str | None:
    """What a `meta` element at the beginning of HTML names (HTML standard, section 13.2.3.2).

    One that has come this far is no UTF-16, whatever it says.
    """
    found = _META_CHARSET.search(_HTML_COMMENT.sub(b"", octets[:_PRESCANNED_BYTES]))
    label = found[1].decode("ascii", "replace") if found else None
    return "utf-8" if label and label.lower().startswith("utf-16") else label


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
        self._shortest = self._longest = 0
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
        self._shortest = min(*map(len, self._by_boundary), _COMPARED_BYTES) if self._by_boundary else 0
        self._longest = max(map(len, self._by_boundary), default=0)
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
        limit = start + 3 + self._longest + _MAX_PADDING
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
    for one in _fields(mime, start, body_start):
        name = one[1].lower()
        if name not in fields:
            fields[name] = _unfold(one[2])
    content_type, parameters = _read_type(fields.get(b"type", ""), default_type)
    return Part(
        content_type=content_type,
        name=_name(_parameters(fields.get(b"disposition", "")), parameters),
        charset=_extended(parameters, "charset").partition(";")[0].strip() or None,
        disposition=_read_token(fields.get(b"disposition", "")),
        content_id=fields.get(b"id", "").strip(" <>") or None,
        encoding=_read_encoding(fields.get(b"transfer-encoding", "")),
        boundary=_boundary(content_type, parameters),
        body_start=body_start,
        end=len(mime),
        is_rejoined=content_type == "text/plain" and _is_rejoined(parameters),
        mime=mime,
    )


def _fields(mime: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
    """The headers of the structure. Where the mail begins with one, no line break stands before it."""
    return _FIELD.finditer(mime, start - 1, end) if start else _FIELD.finditer(b"\n" + mime[:end])


def _is_rejoined(parameters: Mapping[str, str]) -> bool:
    told = (_extended(parameters, name).lower() for name in ("format", "delsp"))
    return tuple(told) == ("flowed", "yes")


def _unfold(octets: bytes) -> str:
    text = octets.decode("utf-8", "surrogateescape")
    return text.replace("\r", "").replace("\n", "").strip()


def _read_type(value: str, default_type: str) -> tuple[str, Mapping[str, str]]:
    found = _MEDIA_TYPE.match(_without_comments(value))
    return (f"{found[1]}/{found[2]}".lower() if found else default_type), _parameters(value)


def _read_encoding(value: str) -> str:
    token = _read_token(value)
    return _ENCODINGS.get(token, token)


def _read_token(value: str) -> str:
    """The token, without comments, quotes and what no standard puts behind it (RFC 2045 section 6.1, RFC 2183)."""
    found = _TOKEN.search(_without_comments(value))
    return found[0].lower() if found else ""


def _boundary(content_type: str, parameters: Mapping[str, str]) -> bytes | None:
    text = _extended(parameters, "boundary").rstrip()
    if not text or not content_type.startswith("multipart/"):
        return None
    return text.encode("utf-8", "surrogateescape")


def _parameters(value: str) -> dict[str, str]:
    """The parameters behind the first semicolon, those of RFC 2231 as they stand; the first of a name counts.

    Comments may stand anywhere (RFC 2045 section 5.1), but what looks like one in a file's name is a part of it: few
    mailers quote `report (1).pdf`.
    """
    if ";" not in value:
        return {}
    found = _read_parameters(_without_comments(value))
    if "(" in value:
        written = _read_parameters(value)
        found |= {
            name: written[name]
            for name, text in found.items()
            if name.startswith(_NAMES) and _without_comments(written.get(name, "")).strip() == text
        }
    return found


def _read_parameters(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        found.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) if quoted else plain.strip())
    return found


def _without_comments(value: str) -> str:
    """The value without comments (RFC 822 section 3.4.3); one that never ends runs to the end."""
    if "(" not in value:
        return value
    kept: list[str] = []
    is_quoted, depth = False, 0
    for found in _COMMENT_PIECE.finditer(value):
        piece = found[0]
        if piece == "(" and not is_quoted:
            depth += 1
        elif piece == ")" and depth:
            depth -= 1
        elif not depth:
            is_quoted ^= piece == '"'
            kept.append(piece)
    return "".join(kept)


def _name(disposition: Mapping[str, str], content_type: Mapping[str, str]) -> str:
    text = _extended(disposition, "filename") or _extended(content_type, "name")
    written = text if text.isascii() else decode_unlabelled(text.encode("utf-8", "surrogateescape"))
    return clean(decode_words(written), _MAX_NAME).strip()


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
