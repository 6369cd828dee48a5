"""Originals that are too big, too odd or too broken to lie in a file: each is built from one that does.

Every function takes an original's bytes and returns new ones; none reads a clock or draws a random number, so the
same input always gives the same odd mail.
"""

from __future__ import annotations

import itertools
import re
import uuid

OUTLOOK_MSG = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + "__substg1.0_0037001F".encode("utf-16-le")
"""The beginning of an Outlook .msg file (an OLE container, [MS-OXMSG]): not MIME, whatever its attachment is called."""

UNDECODABLE = bytes(itertools.islice(itertools.cycle(range(255, 127, -1)), 4_096))
"""Bytes that are no mail in any encoding: not one of them is ASCII, so there is no header to find."""

HOSTILE_SUBJECT = "Invoice\x00 \u202efdp.exe\u202c \u2066paid\u2069 | due (now)"
"""NUL, bidi overrides and isolates, and the pipe and parenthesis that the Report button's subject uses itself."""

_NETWORK_MESSAGE_ID = re.compile(rb"(?im)^X-MS-Exchange-Organization-Network-Message-Id:\s+([0-9a-f-]{36})")
_TO = re.compile(rb"(?im)^To:.*(\r?\n)")
_SUBJECT = re.compile(rb"(?im)^Subject:.*(?:\r?\n[ \t].*)*")


def readdress(original: bytes, *, sent_to: str, recipient: str) -> bytes:
    """The copy of a mail sent to `sent_to` that another `recipient` got.

    It has a network message id of its own, as Exchange gives each copy; the Message-ID stays.
    """
    found = _NETWORK_MESSAGE_ID.search(original)
    if found is None:
        raise ValueError("the original has no network message id to replace")
    own_id = str(uuid.uuid5(uuid.UUID(found[1].decode()), recipient)).encode()
    return original.replace(sent_to.encode(), recipient.encode()).replace(found[1], own_id)


def address_to_many(original: bytes, *, recipient: str, count: int) -> bytes:
    """The mail with `count` addresses in To: `recipient` in their midst, all others outside the tenant."""
    strangers = [f"member{number:04d}@lantern-friends.test" for number in range(1, count)]
    everybody = [*strangers[: count // 2], recipient, *strangers[count // 2 :]]
    return _TO.sub(lambda line: b"To: " + f",{line[1].decode()} ".join(everybody).encode() + line[1], original, count=1)


def grow(original: bytes, *, size_bytes: int) -> bytes:
    """The mail, padded at the end of its last body part to `size_bytes`. It must be plain text, not multipart."""
    line = b"This line pads the sample to the size that its test needs. ".ljust(76, b".") + b"\n"
    missing_bytes = size_bytes - len(original)
    return original + (line * (missing_bytes // len(line) + 1))[:missing_bytes]


def give_hostile_subject(original: bytes) -> bytes:
    """The mail with `HOSTILE_SUBJECT` raw in its header, as no honest sender would write it."""
    return _SUBJECT.sub(b"Subject: " + HOSTILE_SUBJECT.encode(), original, count=1)


def misstate_charset(original: bytes, *, charset: str) -> bytes:
    """The mail, claiming in every place that names `charset` one that does not exist."""
    return original.replace(charset.encode(), b"x-no-such-charset")


def cut_in_headers(original: bytes) -> bytes:
    """The first 40 bytes: part of a Received line, and nothing that says which mail this was."""
    return original[:40]


def cut_in_body(original: bytes) -> bytes:
    """All headers and half the body: the closing boundary is missing, the last part is incomplete."""
    head, blank, body = original.partition(b"\r\n\r\n" if b"\r\n\r\n" in original else b"\n\n")
    return head + blank + body[: len(body) // 2]
