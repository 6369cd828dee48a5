"""What a sender draws anew for each copy: numbers, tokens, dates, words.

Every value follows from a seed and the purpose it is drawn for, so the same set of mails comes out on every machine
and on every version of Python, and an added value leaves the others as they were.
"""

import hashlib
import string
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

FIRST_DAY = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
BASE62 = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Chance:
    """The draws of one mail."""

    seed: str

    def number(self, purpose: str, limit: int) -> int:
        """Return a number from 0 to below `limit`."""
        digest = hashlib.sha256(f"{self.seed}\n{purpose}".encode()).digest()
        return int.from_bytes(digest[:8]) % limit

    def pick(self, purpose: str, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.number(purpose, len(options))]

    def characters(self, purpose: str, count: int, alphabet: str = BASE62) -> str:
        """Return that many characters of the alphabet."""
        return "".join(self.pick(f"{purpose} {position}", alphabet) for position in range(count))

    def words(self, purpose: str, count: int, vocabulary: Sequence[str]) -> str:
        """Return that many words with spaces between them."""
        return " ".join(self.pick(f"{purpose} {position}", vocabulary) for position in range(count))

    def guid(self, purpose: str) -> str:
        """Return a GUID in the form of a network message id."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.seed}\n{purpose}"))

    def moment(self, purpose: str) -> datetime:
        """Return a moment within three days."""
        return FIRST_DAY + timedelta(seconds=self.number(purpose, 3 * 24 * 3600))
