"""The headers of a mail, as far as the product reads them.

The email package stops at the first malformed line, behind which Exchange's own headers may stand; here a header is a
name at the start of a line and all up to the next line that does not begin with white space (RFC 5322, 2.2.3). Any
bytes have headers, perhaps none. Names are kept only if somebody reads them and values are counted, so that a mail of
nothing but headers costs no more than its size.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .charsets import decode_unlabelled

MAX_HEADER_BYTES = 256 * 1024
"""How much of a mail is searched for headers. Exchange Online accepts 256 KB of headers (Exchange Online limits)."""
_LONGEST_NAME = 998  # a line has no more characters (RFC 5322 section 2.1.1)
MOST_VALUES = 100
"""How many headers of one name are read; nobody needs more of the names below."""

DELIVERY = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to")
NETWORK_MESSAGE_ID = (
    "x-ms-exchange-organization-network-message-id",
    "x-ms-office365-filtering-correlation-id",
    "x-ms-exchange-crosstenant-network-message-id",
)
ESSENTIAL = frozenset({"from", "date", "message-id", "received", "subject"})
"""Text that has none of them is no mail."""
_READ = frozenset(
    {
        *ESSENTIAL,
        *DELIVERY,
        *NETWORK_MESSAGE_ID,
        "authentication-results",
        "cc",
        "content-transfer-encoding",
        "content-type",
        "list-id",
        "list-post",
        "reply-to",
        "return-path",
        "sender",
        "to",
        "x-forefront-antispam-report",
        "x-ms-exchange-crosstenant-authas",
        "x-ms-exchange-crosstenant-id",
        "x-ms-exchange-organization-authas",
        "x-ms-exchange-organization-authsource",
        "x-sender-ip",
    }
)
_BLANK_LINE = re.compile(rb"\n\r?\n")
FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:(.*+(?:\n[ \t].*+)*+)\n?|.*+\n?")
"""One header after the other: its name and all up to the next line that does not begin with white space; or a line
that is none, without a name."""
_NAME = re.compile(rb"[!-9;-~]{1,997}[ \t]*:")
# What transports and mail stores put before the first header: a byte order mark, blank lines, the line that begins each
# mail of an mbox file (RFC 4155), the number of octets that a store counted.
_BEFORE = re.compile(rb"(?:\xef\xbb\xbf|[\s\0]+|>?From (?![ \t]*:)[^\n]{0,998}\n|\d{1,10}[ \t]*\r?\n){0,20}")
_BANNER_LINE = re.compile(rb"(?!--|__|==|\*\*|>)[^\n]{0,998}\n")
_MOST_BANNER_LINES = 10


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers by lower-case name, unfolded, each name's values from the top down.

    Cut off where the mail ends before the blank line that has to follow them; empty where there was nothing at all.
    """

    fields: Mapping[str, Sequence[str]]
    is_cut_off: bool = False
    is_empty: bool = False

    def values(self, *names: str) -> Iterator[str]:
        """Every value of these names: those of the first name first, each from the top down."""
        return (value for name in names for value in self.fields.get(name, ()))

    def only(self, name: str) -> str | None:
        """The value of a header that stands exactly once; None where it is absent or somebody wrote a second one."""
        values = self.fields.get(name, ())
        return values[0] if len(values) == 1 else None


def read_headers(mime: bytes, also: frozenset[str] = frozenset()) -> Headers:
    """The headers of a mail; `also` names further ones to keep, in lower case.

    Only the first `MAX_HEADER_BYTES` up to the blank line are looked at.
    """
    block, is_cut_off = _header_block(mime)
    found: dict[str, list[str]] = {}
    read = _names(also)
    for field in FIELD.finditer(block):
        name = read.get(field[1].lower()) if field[1] else None
        if name is None:
            continue
        values = found.setdefault(name, [])
        if len(values) < MOST_VALUES:
            values.append(decode_unlabelled(field[2].translate(None, b"\r\n").strip()))
    return Headers(found, is_cut_off, is_empty=not block)


def headers_of(pairs: Iterable[tuple[str, str]], also: frozenset[str] = frozenset()) -> Headers:
    """The headers that Graph tells of a mail, as far as anybody reads them; `also` as above."""
    found: dict[str, list[str]] = {}
    is_empty = True
    for told, value in pairs:
        is_empty = False
        if len(told) > _LONGEST_NAME:
            continue
        name = told.strip().lower()
        if name not in _READ and name not in also:
            continue
        values = found.setdefault(name, [])
        if len(values) < MOST_VALUES:
            values.append(value[:MAX_HEADER_BYTES].replace("\r", "").replace("\n", "").strip())
    return Headers(found, is_empty=is_empty)


def begins_like_mail(content: bytes) -> bool:
    """Whether text begins with the headers of a mail: at least two of those that every mail has."""
    return _NAME.match(content, _behind_marks(content)) is not None and _essentials(content) >= 2


def start_of_mail(mime: bytes) -> int:
    """Where the first header stands, which is where the mail begins (RFC 5322 section 2.1).

    Mail stores and gateways put lines of their own before it. A banner of a few lines of text is passed over too, but
    only where headers of a mail follow, and no line that divides a forwarded mail from what somebody wrote above it.
    """
    start = _behind_marks(mime)
    if _NAME.match(mime, start):
        return start
    place = start
    for _ in range(_MOST_BANNER_LINES):
        line = _BANNER_LINE.match(mime, place)
        if line is None:
            break
        place = _behind_marks(mime, line.end())
        if _NAME.match(mime, place):
            return place if _essentials(mime[place : place + MAX_HEADER_BYTES]) >= 2 else start
    return start


def _behind_marks(mime: bytes, start: int = 0) -> int:
    before = _BEFORE.match(mime, start)
    return before.end() if before else start


def _essentials(mime: bytes) -> int:
    return len(ESSENTIAL & read_headers(mime).fields.keys())


def _header_block(mime: bytes) -> tuple[bytes, bool]:
    """The headers as they stand, and whether the mail ends within them.

    Without a blank line behind them they are whole if their last line is: a body is optional (RFC 5322 section 3.5).
    """
    start = start_of_mail(mime)
    blank_line = _BLANK_LINE.search(mime, start, start + MAX_HEADER_BYTES)
    if blank_line:
        return mime[start : blank_line.start()], False
    head = mime[start : start + MAX_HEADER_BYTES]
    return head, len(mime) - start <= MAX_HEADER_BYTES and not head.endswith(b"\n")


@functools.lru_cache(maxsize=8)
def _names(also: frozenset[str]) -> Mapping[bytes, str]:
    """The names that are read, by how they stand in a mail, in lower case."""
    return {name.encode("ascii", "ignore"): name for name in _READ | also}
