"""What a mail says to the person who reads it: its visible text, the hosts it links to, its attachments.

It serves to recognise the same mail in many mailboxes, so what people do not see (comments, hidden elements,
zero-width characters) is left out, which senders of campaigns vary for each recipient. Any bytes have content,
perhaps none; every amount is bounded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.formats.link_hosts import hosts, links_in
from shared.formats.mime_parts import Part, walk
from shared.formats.visible_html import read_html

MAX_TEXT = 60_000
"""Characters of visible text that are kept."""
MAX_LINKS = 200
MAX_ATTACHMENTS = 100

_MAX_BODIES = 20
_MAX_BODY_BYTES = 1024 * 1024
_SLICE = 8_192
_SPACES = re.compile(r"\s+")
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ud800-\udfff\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailContent:
    """What a mail shows. `text` is on one line; `links` are hosts in lower case; `attachments` SHA-256 in hex."""

    text: str
    links: tuple[str, ...]
    attachments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the bodies show together, and what they refer to."""

    text: str
    links: Sequence[str] = ()


def read_content(mime: bytes) -> MailContent:
    """The content of a mail. Of text, the HTML counts where there is any, as in a mail program.

    An attachment is every other part, pictures that the HTML shows among them: one may be a QR code and all there is
    to the mail. An attached mail counts by its bytes.
    """
    parts = [part for part in walk(mime) if not part.is_multipart]
    pages = [part for part in parts if _is_body(part, "text/html")]
    bodies = pages or [part for part in parts if _is_body(part, "text/plain")]
    shown = _show_html(pages[:_MAX_BODIES]) if pages else _show_plain(bodies[:_MAX_BODIES])
    attached = [part for part in parts if not _is_body(part, "text/html") and not _is_body(part, "text/plain")]
    return MailContent(
        text=shown.text,
        links=hosts((*shown.links, *links_in(shown.text)), MAX_LINKS),
        attachments=tuple(hashlib.sha256(part.content()).hexdigest() for part in attached[:MAX_ATTACHMENTS]),
    )


def _is_body(part: Part, content_type: str) -> bool:
    return part.content_type == content_type and part.disposition != "attachment" and not part.name


def _show_html(pages: Sequence[Part]) -> _Shown:
    read = [read_html(page.text(_MAX_BODY_BYTES)) for page in pages]
    references = [reference for page in read for reference in page.references]
    return _Shown(_on_one_line(" ".join(page.text for page in read)), references)


def _show_plain(bodies: Sequence[Part]) -> _Shown:
    return _Shown(_on_one_line(" ".join(body.text(_MAX_BODY_BYTES) for body in bodies)))


def _on_one_line(text: str) -> str:
    """The beginning of what people see; by slices, since a list of all words is many times the size of the text."""
    line = " "
    for start in range(0, len(text), _SLICE):
        piece = _SPACES.sub(" ", _INVISIBLE.sub("", text[start : start + _SLICE]))
        line += piece.removeprefix(" ") if line.endswith(" ") else piece
        if len(line) > MAX_TEXT:
            break
    return line[1 : MAX_TEXT + 1].rstrip()
