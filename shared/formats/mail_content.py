"""What a mail says to the person who reads it, and where it leads: visible text, links, attachments.

It serves to recognise the same mail in many mailboxes. What people do not see (comments, hidden elements, zero-width
characters) is no part of the text, since senders of campaigns vary it for each recipient; but mail programs differ in
what they show, so where it leads counts wherever it stands. Any bytes have content, perhaps none; every amount is
bounded, and what was not read or not understood to the end is told in `gaps`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ..domain.charsets import codec_of
from .link_hosts import links_in, read_link
from .mime_parts import Part, walk
from .visible_html import read_html

MAX_TEXT = 60_000
"""Characters of visible text that are kept."""
MAX_LINKS = 2_000
"""Different hosts of links, and as many links that only the whole link tells apart."""
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_BODIES = 50

_SLICE = 8_192
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ud800-\udfff\U000e0000-\U000e0fff]"
)
_PLAIN_WORDS = re.compile(r"(?<!\S)(?:[^\W\d_]{1,24}[,.;:!?]?+(?!\S)\s*+)++")
_PAGE_IN_TEXT = re.compile(r"<(?:a|area|body|div|form|html|iframe|img|p|span|table)(?=[\s>/])", re.IGNORECASE)
_PACKED_IN_TEXT = re.compile(
    r"^(?:begin(?:-base64)? [0-7]{3,4} |=ybegin |\(This file must be converted with)", re.MULTILINE
)
_ENCODED_TEXT = re.compile(r"(?<![!-~])(?:(?![!-~]*?://)[!-~]{50,} ){2}")
_ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/ \t\r\n"
_PADDING = frozenset({b"", b"=", b"=="})
_LOST_IN_QUOTED_PRINTABLE = re.compile(rb"=[ \t]*\r(?!\n)|=[ \t]+\r?\n")
_DELIMITER_AND_HEADERS = re.compile(
    rb"^--[^\n]*--[ \t\r]*+$|^--[^\n]*+\n?+(?:[\w-]++[ \t]*+:(?!//)[^\n]*+\n?+(?:[ \t]++[^\n]*+\n?+)*+)*+", re.MULTILINE
)
_LINKS_IN_HEADERS = re.compile(  # mail programs show a button for the first, and read links by the others
    rb"\n(?:[Ll][Ii][Ss][Tt]-[Uu][Nn][Ss][Uu][Bb][Ss][Cc][Rr][Ii][Bb][Ee]|[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-"
    rb"(?:[Ll][Oo][Cc][Aa][Tt][Ii][Oo][Nn]|[Bb][Aa][Ss][Ee]))[ \t]*+:(.*+(?:\n[ \t].*+)*+)"
)
_ELSEWHERE = "message/external-body"
_LEADING = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*+(?=[^\r\n])")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_LAST_DELIMITER = re.compile(rb"^--[^\n]*--[ \t\r]*$", re.MULTILINE)
_MOST_HEADER_BYTES = 256 * 1024
_MOST_BESIDE_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MailContent:
    """What a mail shows, and where it leads.

    `text` is on one line; `links` are hosts in lower case; `attachments` SHA-256 in hex. `exactly` is what else it
    leads to, each to be the same to the letter. `unseen` is text that counts only for the addresses, hosts and numbers
    in it, `unseen_links` the hosts of the links in it. `gaps` says why the mail was not understood to the end, in
    words; empty where it was.
    """

    text: str
    links: tuple[str, ...]
    attachments: tuple[str, ...]
    exactly: tuple[str, ...] = ()
    unseen: str = ""
    unseen_links: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


def read_content(mime: bytes) -> MailContent:
    """The content of a mail. Of text, the HTML counts where there is any, as in a mail program.

    Text beside the HTML counts too where it is no alternative to it. An attachment is every other part, pictures that
    the HTML shows among them: one may be a QR code and all there is to the mail. An attached mail counts by its bytes.
    """
    parts = list(walk(mime))
    reading = _Reading(parts)
    reading.read_heads(mime)
    text = reading.read_bodies()
    reading.miss("text that looks encoded", is_so=_ENCODED_TEXT.search(text) is not None)
    unseen = reading.one_line(_PLAIN_WORDS.sub("| ", " ".join(reading.unseen))) if reading.unseen else ""
    links = reading.follow([*reading.references, *((link, False) for link in links_in(text))])
    unseen_links = reading.follow((link, False) for link in links_in(unseen))
    attachments = tuple(map(reading.digest, (part for part in parts if not _is_body(part))))
    return MailContent(
        text=text[:MAX_TEXT].rstrip(),
        links=links,
        attachments=attachments,
        exactly=tuple(reading.exactly),
        unseen=" ".join([unseen, *reading.addresses]).strip(),
        unseen_links=unseen_links,
        gaps=tuple(reading.gaps),
    )


def _first_header(mime: bytes) -> int:
    leading = _LEADING.match(mime)
    return leading.end() if leading else 0


def _is_body(part: Part) -> bool:
    return part.content_type in {"text/html", "text/plain"} and part.disposition != "attachment" and not part.name


class _Reading:
    """What was found so far. Mappings stand for sets that keep their order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._heads: list[bytes] = []
        self.references: list[tuple[str, bool]] = []
        self.unseen: list[str] = []
        self.exactly: dict[str, None] = {}
        self.addresses: dict[str, None] = {}
        self.gaps: dict[str, None] = {}

    def miss(self, gap: str, *, is_so: bool) -> None:
        if is_so:
            self.gaps.setdefault(gap)

    # --- Parts ------------------------------------------------------------------------------------------------------

    def read_heads(self, mime: bytes) -> None:
        """Read what stands before, between and behind the parts: their headers, and what no mail program shows."""
        self.miss("a multipart that was not opened", is_so=any(part.is_multipart for part in self._parts))
        self.miss("a body that is kept elsewhere", is_so=any(part.content_type == _ELSEWHERE for part in self._parts))
        blank_line = _BLANK_LINE.search(mime, _first_header(mime))
        start, end = 0, blank_line.end() if blank_line else len(mime)
        for part in self._parts:
            self._heads.append(mime[start : part.body_start])
            for found in _LINKS_IN_HEADERS.finditer(self._heads[-1]):
                self.references += ((link, True) for link in links_in(found[1].decode("latin-1")))
            self._read_beside(mime[end : part.body_start])
            start = end = part.end
        self._read_beside(mime[end:])

    def _read_beside(self, octets: bytes) -> None:
        if not octets or octets.isspace():
            return
        if len(octets) > _MOST_HEADER_BYTES:
            self.miss("much outside of all parts", is_so=True)
            return
        beside = _DELIMITER_AND_HEADERS.sub(b"", octets).strip()
        self.miss(
            "much outside of all parts", is_so=len(beside) > _MOST_BESIDE_BYTES or bool(beside and not self._parts)
        )
        if beside:
            self.unseen.append(beside.decode("latin-1"))

    def read_bodies(self) -> str:
        """The text that is shown, on one line; of more than `MAX_TEXT` characters the beginning."""
        bodies = [place for place, part in enumerate(self._parts) if _is_body(part)]
        pages = {place for place in bodies if self._parts[place].content_type == "text/html"}
        self.miss("too many bodies", is_so=len(bodies) > MAX_BODIES)
        shown: list[str] = []
        for place in bodies[:MAX_BODIES]:
            part = self._parts[place]
            if place in pages:
                shown.append(self._read_page(self._text_of(part)))
            elif self._has_alternative(place, pages):
                self.unseen += (" ", self._read_plain(part))
            else:
                shown.append(self._read_plain(part))
        return self.one_line(" ".join(shown))

    def _has_alternative(self, place: int, pages: AbstractSet[int]) -> bool:
        """Whether a page follows in the same multipart/alternative, so that nobody sees this text beside it."""
        if self._parts[place].within != "multipart/alternative":
            return False
        for later in range(place + 1, len(self._parts)):
            if _LAST_DELIMITER.search(self._heads[later]):
                return False
            if later in pages:
                return True
        return False

    def digest(self, part: Part) -> str:
        """The SHA-256 of an attachment; what does not decode to the end has to be the same as it stands, too."""
        if not _decodes(part):
            raw = part.mime[part.body_start : part.end]
            self.exactly.setdefault(f"{part.encoding} {hashlib.sha256(raw).hexdigest()}")
        return hashlib.sha256(part.content()).hexdigest()

    # --- Text -------------------------------------------------------------------------------------------------------

    def _text_of(self, part: Part) -> str:
        text = part.text(MAX_BODY_BYTES)
        self.miss("a transfer encoding that does not decode to the end", is_so=not _decodes(part))
        self.miss("a body of too many bytes", is_so=part.end - part.body_start > MAX_BODY_BYTES)
        is_unknown = part.charset is not None and codec_of(part.charset) is None
        is_plain = text.isascii() and "\x1b" not in text
        self.miss("a charset that is not known", is_so=is_unknown and not is_plain)
        self.miss("text that does not decode", is_so="\ufffd" in text)
        return text

    def _read_page(self, html: str) -> str:
        page = read_html(html)
        self.miss("too much in a page", is_so=not page.is_whole)
        self.references += page.references
        if page.unseen:
            self.unseen += (" ", page.unseen)
        return page.text

    def _read_plain(self, part: Part) -> str:
        text = self._text_of(part)
        self.miss("a file packed into the text", is_so=_PACKED_IN_TEXT.search(text) is not None)
        if _PAGE_IN_TEXT.search(text):
            self.unseen += (" ", self._read_page(text))
        return text

    def one_line(self, text: str) -> str:
        """What people see of a text; by slices, since a list of all words is many times the size of the text."""
        line = " "
        for start in range(0, len(text), _SLICE):
            piece = _INVISIBLE.sub("", text[start : start + _SLICE])
            if not piece:
                continue
            if piece[0].isspace() and not line.endswith(" "):
                line += " "
            line += " ".join(piece.split())
            if piece[-1].isspace() and not line.endswith(" "):
                line += " "
            if len(line) > MAX_TEXT:
                self.miss("too much text", is_so=True)
                break
        return line[1 : MAX_TEXT + 1].rstrip()

    # --- Links ------------------------------------------------------------------------------------------------------

    def follow(self, links: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
        """The hosts that links lead to, each once, given with whether each is a picture; the rest is kept."""
        wanted: dict[str, bool] = {}
        for link, is_picture in links:
            wanted[link] = is_picture and wanted.get(link, True)
        hosts: dict[str, None] = {}
        for link, is_picture in wanted.items():
            lead = read_link(link, is_picture=is_picture)
            if lead.host:
                hosts.setdefault(lead.host)
            if lead.exactly:
                self.exactly.setdefault(lead.exactly)
            if lead.addresses:
                self.addresses.setdefault(lead.addresses)
            if max(len(hosts), len(self.exactly), len(self.addresses)) > MAX_LINKS:
                self.miss("too many links", is_so=True)
                break
        return tuple(hosts)[:MAX_LINKS]


def _decodes(part: Part) -> bool:
    """Whether the transfer encoding is known and was read to the end."""
    if part.encoding not in _ENCODINGS:
        return False
    if part.encoding == "base64":
        body = part.mime[part.body_start : part.end].rstrip()
        padding = body.translate(None, _BASE64)
        return padding in _PADDING and body.endswith(padding)
    if part.encoding == "quoted-printable":
        return _LOST_IN_QUOTED_PRINTABLE.search(part.mime, part.body_start, part.end) is None
    return True
