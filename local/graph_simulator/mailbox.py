"""A mailbox: folders, the messages in them, and each folder's journal of changes.

A folder's journal only grows; a delta round reads a fixed stretch of it. So a message that changes while a client
pages through a round is not lost: its new entry lies behind the round's end and opens the next one.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from local.graph_simulator.mail_item import Attachment, MailItem

WELL_KNOWN_FOLDERS = {
    "inbox": "Inbox",
    "junkemail": "Junk Email",
    "deleteditems": "Deleted Items",
    "archive": "Archive",
    "sentitems": "Sent Items",
    "drafts": "Drafts",
}

ChangeKind = Literal["created", "updated", "deleted"]


class UnknownItemError(LookupError):
    """No such mailbox, folder or message in the simulated tenant."""


@dataclass(slots=True, eq=False)
class StoredMessage:
    """A mail in a folder. `immutable_id` stays for good; `regular_id` changes with every move."""

    item: MailItem
    folder: "Folder"
    immutable_id: str
    regular_id: str
    attachment_ids: tuple[str, ...]
    is_read: bool = False
    revision: int = 1

    def find_attachment(self, attachment_id: str) -> Attachment | None:
        """Return the attachment with this id, compared with case."""
        return dict(zip(self.attachment_ids, self.item.attachments, strict=True)).get(attachment_id)


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a folder's journal; `regular_id` is the one the message had in this folder."""

    position: int
    kind: ChangeKind
    message: StoredMessage
    regular_id: str
    moved: bool


@dataclass(slots=True, eq=False)
class Folder:
    """A folder with its messages by immutable id and its journal; positions in the journal count from 1."""

    folder_id: str
    display_name: str
    messages: dict[str, StoredMessage] = field(default_factory=dict)
    journal: list[Change] = field(default_factory=list)
    _latest: dict[str, int] = field(default_factory=dict)
    _entered: dict[str, int] = field(default_factory=dict)

    def record(self, kind: ChangeKind, message: StoredMessage, *, moved: bool = False) -> None:
        """Append what happened to `message`."""
        change = Change(len(self.journal) + 1, kind, message, message.regular_id, moved)
        self.journal.append(change)
        self._latest[message.immutable_id] = change.position
        if kind == "created":
            self._entered[message.immutable_id] = change.position
        elif kind == "deleted":
            self._entered.pop(message.immutable_id, None)

    def read_journal(self, after: int, until: int) -> Iterator[Change]:
        """Yield the changes at positions after `after` up to `until`, oldest first."""
        return (self.journal[index] for index in range(after, min(until, len(self.journal))))

    def is_current(self, change: Change, kind: ChangeKind | None) -> bool:
        """Return whether a client that wants `kind` (None: all) needs this change, or a later one speaks for it."""
        if kind is not None and change.kind != kind:
            return False
        standing = self._entered if kind == "created" else self._latest
        return standing.get(change.message.immutable_id) == change.position


class Mailbox:
    """One user's mailbox. Folders are created on first use by their well-known or display name."""

    def __init__(self, address: str, *, app_may_read: bool = True, app_may_send: bool = False) -> None:
        self.address = address
        self.app_may_read = app_may_read
        self.app_may_send = app_may_send
        self.user_id = str(uuid5(NAMESPACE_URL, f"user/{address.lower()}"))
        self._folders: dict[str, Folder] = {}
        self._by_id: dict[str, StoredMessage] = {}
        self._stored = 0
        self._moves = 0
        for name in WELL_KNOWN_FOLDERS:
            self.open_folder(name)

    @property
    def folders(self) -> tuple[Folder, ...]:
        """The folders, oldest first."""
        return tuple({folder.folder_id: folder for folder in self._folders.values()}.values())

    @property
    def messages(self) -> list[StoredMessage]:
        """The messages of all folders."""
        return [message for folder in self.folders for message in folder.messages.values()]

    def open_folder(self, name: str) -> Folder:
        """Return the folder of this well-known or display name, creating it if need be."""
        folder = self._folders.get(name.lower())
        if folder is None:
            folder_id = _make_id("AQMkAG-", self.user_id, name.lower())
            folder = Folder(folder_id, WELL_KNOWN_FOLDERS.get(name.lower(), name))
            self._folders[name.lower()] = self._folders[folder_id] = folder
        return folder

    def find_folder(self, reference: str) -> Folder | None:
        """Return the folder a URL means: by id, or by well-known name. A display name is not enough for Graph."""
        if reference.lower() in WELL_KNOWN_FOLDERS:
            return self._folders[reference.lower()]
        folder = self._folders.get(reference)
        return folder if folder is not None and folder.folder_id == reference else None

    def find_message(self, message_id: str) -> StoredMessage | None:
        """Return the message with this regular or immutable id, compared with case."""
        return self._by_id.get(message_id)

    def store(self, item: MailItem, folder_name: str) -> StoredMessage:
        """Put `item` into a folder and return it with its ids."""
        folder, number = self.open_folder(folder_name), self._stored
        self._stored += 1
        message = StoredMessage(
            item=item,
            folder=folder,
            immutable_id=_make_twin_id("AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A", number, self.user_id, "immutable"),
            regular_id=_make_twin_id("AAMkAGI_", number, self.user_id, "regular"),
            attachment_ids=tuple(
                _make_twin_id("AAMkAGI_BGAA", place, self.user_id, number) for place in range(len(item.attachments))
            ),
        )
        self._by_id[message.immutable_id] = message
        self._enter(message, folder, moved=False)
        return message

    def move(self, message: StoredMessage, folder_name: str) -> None:
        """Move a message: its regular id becomes another one and the old one is gone."""
        self._leave(message)
        self._moves += 1
        message.regular_id = _make_id("AAMkAGI_", message.immutable_id, f"move {self._moves}")
        self._enter(message, self.open_folder(folder_name), moved=True)

    def mark_read(self, message: StoredMessage, *, is_read: bool) -> None:
        """Change a message, so that it appears in delta again."""
        message.is_read = is_read
        message.revision += 1
        message.folder.record("updated", message)

    def remove(self, message: StoredMessage) -> None:
        """Delete a message for good."""
        self._leave(message)
        del self._by_id[message.immutable_id]

    def _enter(self, message: StoredMessage, folder: Folder, *, moved: bool) -> None:
        message.folder = folder
        folder.messages[message.immutable_id] = message
        self._by_id[message.regular_id] = message
        folder.record("created", message, moved=moved)

    def _leave(self, message: StoredMessage) -> None:
        del message.folder.messages[message.immutable_id]
        del self._by_id[message.regular_id]
        message.folder.record("deleted", message)


def _make_id(prefix: str, *parts: object) -> str:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return prefix + urlsafe_b64encode(digest).decode()


def _make_twin_id(prefix: str, number: int, *parts: object) -> str:
    """Return an id; those of numbers 2n and 2n+1 differ in the case of one letter only, as seen in the field."""
    letter = "aA"[number % 2]
    return _make_id(f"{prefix}{letter}", *parts, number // 2)
