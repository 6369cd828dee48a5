"""The mails and files that an operator uploads, and whom a mail names as its recipient.

Mail is hostile: it is read with the product's own bounded parsers, nothing in it is followed, and its recipient is only
taken from it where all of it names one address and no other. A blob is named by the hash of its content, so that the
same content is uploaded once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shared.domain.headers import DELIVERY, ESSENTIAL, read_headers
from shared.domain.originals import Closed
from shared.domain.tenant import Tenant
from shared.domain.text import addresses, clean
from shared.formats.mime_parts import walk
from shared.formats.original import open_original

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


def recipient_named_in(content: bytes) -> str:
    """The one address to which a mail says it went; raises `UnusableContent` where it names none or several.

    Also where another mail lies in it: then it may be a report, whose recipient is not the original's.
    """
    opened = open_original(content, _NO_TENANT)
    if isinstance(opened, Closed):
        detail = clean(opened.detail or opened.reason, 100)
        raise UnusableContent("unreadable_content", f"path: holds no readable mail: {detail}")
    headers = read_headers(opened.mime)
    if not ESSENTIAL & headers.fields.keys():
        raise UnusableContent("unreadable_content", "path: holds no readable mail: it has no headers")
    if any(part.is_mail for part in walk(opened.mime)):
        raise UnusableContent("missing_field", "recipient: is required, as the mail carries another mail")
    named = {one for value in headers.values(*DELIVERY, "to", "cc") for one in addresses(value)}
    if len({one.lower() for one in named}) != 1:
        raise UnusableContent("missing_field", f"recipient: is required, as the mail names {len(named)} recipients")
    return min(named)
