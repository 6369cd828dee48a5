"""Queues and blobs in memory, as far as the app asks for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message, as text, and when it becomes visible."""

    body: str
    visible_at: datetime


@dataclass(slots=True)
class StoredQueue:
    """One queue, the oldest message first."""

    messages: list[QueuedMessage] = field(default_factory=list)

    def copy(self) -> StoredQueue:
        """Another queue with the same messages."""
        return StoredQueue(list(self.messages))


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob and when it was last written."""

    content: bytes
    written_at: datetime


@dataclass(slots=True)
class StoredContainer:
    """One container."""

    blobs: dict[str, StoredBlob] = field(default_factory=dict)

    def copy(self) -> StoredContainer:
        """Another container with the same blobs."""
        return StoredContainer(dict(self.blobs))

    def listed(self, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        """The names under a prefix, and what of them ends at the delimiter, once each."""
        names, prefixes = list[str](), dict[str, None]()
        for name in sorted(self.blobs):
            if not name.startswith(prefix):
                continue
            head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            if found:
                prefixes[prefix + head + found] = None
            else:
                names.append(name)
        return names, list(prefixes)
