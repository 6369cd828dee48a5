"""The mails and files that an operator uploads, and whom a mail names as its recipient.

Mail is hostile: it is read with the product's own bounded parsers, nothing in it is followed, and its recipient is only
taken from it where all of it names one address and no other. A blob is named by the hash of its content, so that the
same content is uploaded once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..domain.headers import DELIVERY, Headers
from ..domain.originals import Closed, Unreadable, read_original
from ..domain.tenant import Tenant
from ..domain.text import addresses, clean
from ..formats.mime_parts import walk
from ..formats.original import open_original

MOST_BYTES = 3_000_000
"""The most that the app submits, whatever its setting (contract, section 2, `MAX_SUBMISSION_BYTES`)."""

_NO_TENANT = Tenant("", frozenset())


class UnusableContent(Exception):
    """The file cannot be submitted; the text names the field and says why, `reason` is a code."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Content:
    """A file to upload: the blob it becomes in the container `submission-content`, and where its bytes are."""

    name: str
    path: Path


def read_content(path: Path) -> tuple[Content, bytes]:
    """The file under the name that its content gives it, and its bytes; raises `UnusableContent`."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for whoever writes to it
            raise UnusableContent("content_not_found", "path: cannot be read: Is no file")
        with path.open("rb") as file:
            octets = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else "is no path"
        raise UnusableContent("content_not_found", f"path: cannot be read: {told}") from None
    if not octets:
        raise UnusableContent("content_empty", "path: the file is empty")
    if len(octets) > MOST_BYTES:
        raise UnusableContent("too_large", f"path: the file is over {MOST_BYTES} bytes")
    return Content(f"content/{hashlib.sha256(octets).hexdigest()}", path), octets


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that the intake will be able to read: its octets, out of whatever wrapper, and its headers."""

    mime: bytes
    headers: Headers


def open_mail(content: bytes) -> Mail:
    """The mail in a file's bytes, found as the intake will find it; raises `UnusableContent` where there is none."""
    opened = open_original(content, _NO_TENANT)
    if isinstance(opened, Closed):
        raise _unreadable(opened.detail or opened.reason)
    facts = read_original(opened.mime, tenant=_NO_TENANT, reporter="")
    if isinstance(facts, Unreadable):
        raise _unreadable(facts.detail)
    return Mail(opened.mime, facts.headers)


def recipient_named_in(mail: Mail) -> str:
    """The one address to which a mail says it went; raises `UnusableContent` where it names none or several.

    Also where another mail lies in it: then it may be a report, whose recipient is not the original's.
    """
    if any(part.is_mail for part in walk(mail.mime)):
        raise UnusableContent("missing_field", "recipient: is required, as the mail carries another mail")
    named = {one for value in mail.headers.values(*DELIVERY, "to", "cc") for one in addresses(value)}
    if len({one.lower() for one in named}) != 1:
        raise UnusableContent("missing_field", f"recipient: is required, as the mail names {len(named)} recipients")
    return min(named)


def _unreadable(why: str) -> UnusableContent:
    return UnusableContent("unreadable_content", f"path: holds no readable mail: {clean(why, 100)}")
