"""What an operator asks for, after every rule of the queue `manual-submissions` has been checked.

A `ManualRequest` that exists is valid: the codec `manual_message` is the only place that makes one. How the message
looks on the queue must not show here.
"""

from __future__ import annotations

from dataclasses import dataclass

from .model import Category, Kind, Priority
from .submissions import AllowOrBlock


@dataclass(frozen=True, slots=True)
class MessageById:
    """A mail by its Graph id in one mailbox. The id is case-sensitive."""

    mailbox: str
    message_id: str


@dataclass(frozen=True, slots=True)
class MessageByInternetId:
    """A mail by its Message-ID header, angle brackets included, in one mailbox; none or several may match."""

    mailbox: str
    internet_message_id: str


@dataclass(frozen=True, slots=True)
class ContentBlob:
    """A blob in the container `submission-content`: a mail as .eml or .msg, or a file."""

    name: str


@dataclass(frozen=True, slots=True)
class RequestedFile:
    """A file to submit: what it is sent as, whether that is not what it is called, and where its bytes are."""

    name: str
    content: ContentBlob
    is_renamed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualRequest:
    """One operator's request (contract, section 3).

    A mail has `recipient` and `message`, a URL `url`, a file `file`, a review `reviews`: the submission id of the row
    that a user brought to Microsoft. What belongs to another kind is None.
    `content_digest` is the SHA-256 (64 hex digits) of the canonical JSON: the same content has the same digest,
    whatever its white space, key order, escapes or base64. `disputes` is the submission id of a row whose verdict the
    request disputes.
    """

    kind: Kind
    category: Category
    priority: Priority
    requested_by: str
    content_digest: str
    request_id: str | None = None
    reason: str | None = None
    disputes: str | None = None
    recipient: str | None = None
    message: MessageById | MessageByInternetId | ContentBlob | None = None
    allow_or_block: AllowOrBlock | None = None
    url: str | None = None
    file: RequestedFile | None = None
    reviews: str | None = None
