"""Looking for a text in a file as a mail program shows it: encodings, encoded words and Outlook's files undone.

What is encrypted is not looked into.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from contextlib import suppress

from ..domain.originals import Opened
from ..domain.tenant import Tenant
from ..domain.text import decode_words
from .mime_parts import walk
from .original import open_original

MAX_LAYERS = 8
"""So deep mails may be attached to one another."""
_NOBODY = Tenant("", frozenset())


def any_text(content: bytes, is_wanted: Callable[[str], bool]) -> bool:
    """Whether a text in the file is wanted: in a mail, an Outlook message, a request as sent, or any other bytes."""
    return any(is_wanted(text) for octets in _layers(content) for text in _texts(octets))


def _texts(octets: bytes) -> Iterator[str]:
    text = octets.decode("utf-8", "replace")
    yield text
    yield decode_words(text.replace("\r\n ", " ").replace("\r\n\t", " "))
    yield text.replace("=\r\n", "").replace("=40", "@")  # quoted-printable where no header says so
    for start in (0, 1):
        yield octets[start:].decode("utf-16-le", "replace")  # as Outlook's files have it


def _layers(content: bytes, depth: int = 0) -> Iterator[bytes]:
    yield content
    if depth >= MAX_LAYERS:
        return
    for inner in _within(content):
        yield from _layers(inner, depth + 1)


def _within(content: bytes) -> Iterator[bytes]:
    """What a file holds that it does not show as it stands."""
    with suppress(binascii.Error, ValueError):
        yield base64.b64decode(content, validate=True)
    opened = open_original(content, _NOBODY)
    if isinstance(opened, Opened) and opened.mime != content and opened.mime not in content:
        yield opened.mime
    for part in walk(content):
        octets = part.content()
        if octets and (part.is_mail or octets not in content) and octets != content:
            yield octets
