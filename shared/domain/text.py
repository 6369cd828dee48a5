r"""Text from strangers, made safe to store, to log and to show; and the mail addresses in it.

Every function here is total: any string has an answer, in time proportional to its length. Nothing that leaves
`clean` can break a line, hide in a table, turn the reading direction or fail to be encoded as UTF-8.
"""

from __future__ import annotations

import binascii
import ipaddress
import itertools
import re
import unicodedata
from collections.abc import Iterator

from shared.domain.charsets import codec_of, decode_word

LIMIT = 1_000
"""Characters (Unicode code points) of a text column (contract, section 4)."""

MAX_ADDRESS = 320
"""Characters of a mail address: 64, the @ sign and 255 (RFC 3696, erratum 1690)."""

_BREAKS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]")
# Control characters; format marks that are invisible or reorder text (Unicode "Default_Ignorable_Code_Point", among
# them soft hyphen, bidi controls, zero-width space, byte order mark, tags); lone surrogates; noncharacters. Kept are
# the joiners U+200C and U+200D and the variation selectors U+FE00 to U+FE0F: Persian, Indic scripts and emoji are
# misspelt without them, and they neither reorder nor hide anything longer than themselves.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\ufdd0-\ufdef\ud800-\udfff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINER = "\u200d"
_LONGEST_CLUSTER = 32

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_HEADER_PIECE = re.compile(r'(?:\\.|[^\\"()])++|[\\"()]', re.DOTALL)
_LIST_PART = re.compile(r"[^,;]++")
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([BbQq])\?([^?]*)\?=")
_QUOTED_OCTET = re.compile(rb"=([0-9A-Fa-f]{2})")
_LITERAL = ""
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def clean(text: str, limit: int = LIMIT) -> str:
    """The text on one line without anything invisible, at most `limit` code points long.

    Line breaks and tabs become a space each; nothing is collapsed or stripped. A cut falls before a letter, never
    between a letter and its accents (or inside a joined emoji).
    """
    return _cut(_INVISIBLE.sub("", _BREAKS.sub(" ", text)), limit)


def address(text: str) -> str | None:
    """The first mail address in a header value such as `"Bob" <bob@Contoso.com>`, as `bob@contoso.com`; or None.

    Quoted strings and comments are not looked into: a display name may hold somebody else's address.
    """
    return next(addresses(text), None)


def addresses(text: str) -> Iterator[str]:
    """Every mail address in a header value, in order; what is none is passed over.

    Only plain ASCII addresses count (dot-atom and host name, RFC 5322 section 3.4.1); the domain is in lower case.
    """
    for found in _LIST_PART.finditer(_outside_quotes(text)):
        part = found[0]
        candidate = _candidate(part) if "@" in part else ""
        if candidate and is_address(candidate):
            local, _, domain = candidate.rpartition("@")
            yield f"{local}@{domain.lower()}"


def is_address(text: str) -> bool:
    """Whether the whole text is one plain mail address."""
    local, _, domain = text.rpartition("@")
    return len(text) <= MAX_ADDRESS and _LOCAL.fullmatch(local) is not None and is_domain(domain)


def is_domain(text: str) -> bool:
    """Whether the whole text is a host name, of one label or more."""
    return len(text) <= 255 and _DOMAIN.fullmatch(text) is not None


def domain_of(mail_address: str) -> str:
    """What follows the last @, in lower case; empty where there is none."""
    return mail_address.rpartition("@")[2].lower() if "@" in mail_address else ""


def guid(text: str) -> str | None:
    """The GUID in lower case, or None where the text is none."""
    return text.strip().lower() if _GUID.fullmatch(text.strip()) else None


def ip_address(text: str) -> str | None:
    """The IP address in its usual form, or None where the text is none."""
    try:
        return str(ipaddress.ip_address(text.strip().strip("[]")))
    except ValueError:
        return None


def decode_words(text: str) -> str:
    """The text with its encoded words (RFC 2047) decoded; what cannot be decoded stays as it stands.

    Neighbouring words of one charset are joined before they are decoded: mailers split inside a character.
    """
    runs = itertools.groupby(_segments(text), key=lambda segment: segment[0])
    return "".join(_decode(b"".join(octets for _, octets in run), charset) for charset, run in runs)


def _cut(text: str, limit: int) -> str:
    end = limit
    while end > max(limit - _LONGEST_CLUSTER, 0) and _is_inside_cluster(text, end):
        end -= 1
    return text[: limit if _is_inside_cluster(text, end) else end]


def _is_inside_cluster(text: str, index: int) -> bool:
    if not 0 < index < len(text):
        return False
    return text[index] == _JOINER or text[index - 1] == _JOINER or unicodedata.category(text[index]).startswith("M")


def _outside_quotes(text: str) -> str:
    """The text without quoted strings and comments; unchanged if one of them never ends."""
    kept: list[str] = []
    is_quoted, depth = False, 0
    for found in _HEADER_PIECE.finditer(text):
        piece = found[0]
        if piece == '"' and not depth:
            is_quoted = not is_quoted
        elif piece == "(" and not is_quoted:
            depth += 1
        elif piece == ")" and depth:
            depth -= 1
        elif not is_quoted and not depth:
            kept.append(piece)
    return text if is_quoted or depth else "".join(kept)


def _candidate(part: str) -> str:
    start = part.rfind("<")
    if start >= 0:
        return part[start + 1 :].partition(">")[0].strip()
    words = {word for word in part.replace(":", " ").split() if "@" in word}
    return words.pop() if len(words) == 1 else ""


def _segments(text: str) -> Iterator[tuple[str, bytes]]:
    """The text as (charset, octets), without the white space that separates two encoded words."""
    end = 0
    for word in _ENCODED_WORD.finditer(text):
        charset = word[1].lower().partition("*")[0]  # RFC 2231 allows `utf-8*en`
        octets = _octets(word[2], word[3])
        if octets is None or (codec_of(charset) is None and decode_word(octets, charset) is None):
            continue
        between = text[end : word.start()]
        if end == 0 or not between.isspace():
            yield _LITERAL, between.encode("utf-8", "surrogatepass")
        yield charset, octets
        end = word.end()
    yield _LITERAL, text[end:].encode("utf-8", "surrogatepass")


def _octets(encoding: str, payload: str) -> bytes | None:
    octets = payload.encode("utf-8", "surrogatepass")
    if encoding in "Qq":
        return _QUOTED_OCTET.sub(lambda octet: bytes.fromhex(octet[1].decode("ascii")), octets.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(octets + b"==")  # surplus padding is ignored, missing padding is common
    except binascii.Error:
        return None


def _decode(octets: bytes, charset: str) -> str:
    if charset == _LITERAL:
        return octets.decode("utf-8", "surrogatepass")
    return decode_word(octets, charset) or ""
