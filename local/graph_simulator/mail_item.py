"""The mail a test or a sample tenant puts into a mailbox.

Plain frozen values without ids: a mailbox gives those when it stores the mail. Bytes travel as base64 over the control
connection, which is all that pydantic's settings here are for.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

OVER_CONTROL = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", extra="forbid")
"""How a value with bytes in it goes over the control connection."""


@dataclass(frozen=True, slots=True)
class ItemAttachment:
    """A mail attached as an Outlook item: no content type, no contentBytes, `mime` only through `$value`."""

    __pydantic_config__: ClassVar[ConfigDict] = OVER_CONTROL

    name: str
    mime: bytes


@dataclass(frozen=True, slots=True)
class FileAttachment:
    """An attached file; also an .eml or .msg that a third-party button attached as one."""

    __pydantic_config__: ClassVar[ConfigDict] = OVER_CONTROL

    name: str
    content_type: str
    content: bytes
    is_inline: bool = False


@dataclass(frozen=True, slots=True)
class ReferenceAttachment:
    """A link to a file in the cloud: it has no bytes."""

    __pydantic_config__: ClassVar[ConfigDict] = OVER_CONTROL

    name: str
    url: str


Attachment = ItemAttachment | FileAttachment | ReferenceAttachment


@dataclass(frozen=True, slots=True, kw_only=True)
class MailItem:
    """One mail; `mime` is the whole message, `headers` what `internetMessageHeaders` shows.

    `body` is the text a client gets that prefers text; without `body_html` the other form is made from it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = OVER_CONTROL

    from_address: str
    subject: str
    received_at: datetime
    internet_message_id: str
    from_name: str = ""
    sender_address: str | None = None
    to_addresses: tuple[str, ...] = ()
    body: str = ""
    body_html: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    mime: bytes = b""

    def read_header(self, name: str) -> str | None:
        """Return the first header of this name, compared without case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def measure_attachment(attachment: Attachment) -> int:
    """Return the size in bytes of what `$value` would give; 0 for a reference."""
    if isinstance(attachment, ItemAttachment):
        return len(attachment.mime)
    return len(attachment.content) if isinstance(attachment, FileAttachment) else 0
