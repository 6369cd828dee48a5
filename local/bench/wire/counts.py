"""What was asked of storage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class StorageCounts:
    """Requests, entities given and written, and the bytes of the bodies: `bytes_in` is what the app read.

    A transaction is one request. `by_kind` counts the requests by service and method, such as `blob DELETE`. `rounds`
    is how often storage was waited for, one after the other: a request that is sent before another is answered belongs
    to the same round.
    """

    calls: int = 0
    rows_read: int = 0
    rows_written: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    rounds: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, *, sent: int, given: int) -> None:
        """Count one request, with the bytes of its body and of its answer's."""
        self.calls += 1
        self.bytes_out += sent
        self.bytes_in += given
        self.by_kind[kind] += 1

    def __add__(self, other: StorageCounts) -> StorageCounts:
        return StorageCounts(
            self.calls + other.calls,
            self.rows_read + other.rows_read,
            self.rows_written + other.rows_written,
            self.bytes_in + other.bytes_in,
            self.bytes_out + other.bytes_out,
            self.rounds + other.rounds,
            self.by_kind + other.by_kind,
        )
