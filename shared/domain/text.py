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

from .charsets import codec_of, decode_word

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
# What the headers of mail name for an address is wider: letters of any script (RFC 6532 section 3.2), labels that begin
# or end with - or _ . Exchange reads these (`header.from` of its Authentication-Results), and nothing wider.
_WIDE_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_WIDE_LOCAL = re.compile(rf'{_WIDE_ATOM}(?:\.{_WIDE_ATOM})*|"[^"\\\x00-\x1f\x7f]+"')
_WIDE_DOMAIN = re.compile(r"(?=[_-]*[^\W_])[\w-]{1,63}(?:\.(?=[_-]*[^\W_])[\w-]{1,63})*")
_FOLD = re.compile(r"(?<!\s)\s*([.@])\s*")
_FOLDED = re.compile(r"\s[.@]|[.@]\s")
_SPACE = re.compile(r"\s")
_MOST_CANDIDATE = 1_000
# What ends or divides addresses elsewhere, and may stand in a quoted local part (RFC 5322 section 3.4.1).
_SPECIALS = {ord(special): 0xE000 + ord(special) for special in " ,;:<>@()[]"}
_SPECIALS_AGAIN = {private: special for special, private in _SPECIALS.items()}
_HEADER_PIECE = re.compile(r'(?:\\.|[^\\"()])++|[\\"()]', re.DOTALL)
_LIST_PART = re.compile(r"(?:<\s*@[^<>]*+>|[^,;])++")  # a route (RFC 5322 section 4.4) has commas of its own
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([BbQq])\?([^?]*)\?=")
_QUOTED_OCTET = re.compile(rb"=([0-9A-Fa-f]{2})")
_LITERAL = ""
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def clean(text: str, limit: int = LIMIT) -> str:
    """The text on one line without anything invisible, at most `limit` code points long.

    Line breaks and tabs become a space each; nothing is collapsed or stripped. A cut falls before a letter, never
    between a letter and its accents (or inside a joined emoji).
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    return _cut(_INVISIBLE.sub("", _BREAKS.sub(" ", text)), limit)


def address(text: str) -> str | None:
    """The first mail address in a header value such as `"Bob" <bob@Contoso.com>`, as `bob@contoso.com`; or None.

    Quoted strings and comments are not looked into: a display name may hold somebody else's address.
    """
    return next(addresses(text), None)


def addresses(text: str) -> Iterator[str]:
    """Every mail address in a header value, in order; what is none is passed over.

    Folds within an address are taken out, and routes to it (RFC 5322 section 4.4). The domain is in lower case.
    """
    return (found for found, _ in _mailboxes(text))


def author(text: str) -> str | None:
    """The address that a From header names, or None: one in angle brackets, where there is any, as Exchange reads it.

    Text before it may hold somebody else's address and a comma, which RFC 5322 would take for two mailboxes; Exchange
    names the one in brackets (`header.from` of its Authentication-Results). An address that is quoted as a whole,
    `<"a@b.example">`, is none, there as here.
    """
    found = list(_mailboxes(text))
    return next((one for one, is_bracketed in found if is_bracketed), found[0][0] if found else None)


def _mailboxes(text: str) -> Iterator[tuple[str, bool]]:
    """The addresses, each with whether it stands in angle brackets."""
    for found in _LIST_PART.finditer(_outside_quotes(text)):
        part = found[0]
        for candidate in _candidates(part) if "@" in part else ():
            local, _, domain = candidate.rpartition("@")
            if _is_mailbox(local, domain):
                yield f"{local.translate(_SPECIALS_AGAIN)}@{domain.lower()}", "<" in part
                break


def _is_mailbox(local: str, domain: str) -> bool:
    if not local.isascii() or not domain.isascii():
        is_plain = clean(local + domain) == local + domain and unicodedata.is_normalized("NFKC", domain)
        if not is_plain:
            return False
    return (
        len(local) + len(domain) < MAX_ADDRESS
        and _WIDE_LOCAL.fullmatch(local) is not None
        and len(domain) <= 255
        and _WIDE_DOMAIN.fullmatch(domain) is not None
    )


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


def untagged(mail_address: str) -> str:
    """The address of the mailbox that gets the mail: without a tag behind a plus (`bob+shop@contoso.com`)."""
    local, _, domain = mail_address.rpartition("@")
    name = local.partition("+")[0]
    return f"{name}@{domain}" if name and not local.startswith('"') else mail_address


def guid(text: str) -> str | None:
    """The GUID in lower case, or None where the text is none."""
    return text.strip().lower() if GUID.fullmatch(text.strip()) else None


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
    """The text without quoted strings and comments, save a quoted local part; unchanged if one of them never ends."""
    kept: list[str] = []
    is_quoted, depth, start = False, 0, 0
    for found in _HEADER_PIECE.finditer(text):
        piece = found[0]
        if piece == '"' and not depth:
            if is_quoted and text.startswith("@", found.end()):
                kept.append(_local_part(text[start : found.start()]))
            is_quoted, start = not is_quoted, found.end()
        elif piece == "(" and not is_quoted:
            depth += 1
        elif piece == ")" and depth:
            depth -= 1
        elif not is_quoted and not depth:
            kept.append(piece)
    return text if is_quoted or depth else "".join(kept)


def _local_part(quoted: str) -> str:
    """What stood in quotes before an @, in one piece; without quotes that mean nothing (RFC 5321 section 4.1.2)."""
    if _LOCAL.fullmatch(quoted):
        return quoted
    return '"' + quoted.translate(_SPECIALS) + '"' if len(quoted) <= MAX_ADDRESS else ""


def _candidates(part: str) -> Iterator[str]:
    """What may be the address in one part of a list: as it stands, then without folds."""
    start = part.rfind("<")
    if start >= 0:
        bracketed = part[start + 1 : start + 1 + _MOST_CANDIDATE].partition(">")[0].strip()
        plain = bracketed.rpartition(":")[2] if bracketed.startswith("@") else bracketed
        yield plain
        if _SPACE.search(plain):
            yield _unfolded(plain)
        return
    yield from _bare(part)
    if _FOLDED.search(part):
        yield from _bare(_unfolded(part))


def _unfolded(text: str) -> str:
    return _FOLD.sub(lambda fold: fold[1], text)


def _bare(text: str) -> Iterator[str]:
    words = {word for word in text.replace(":", " ").split() if "@" in word}
    if len(words) == 1:
        yield words.pop()


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
