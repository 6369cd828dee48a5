"""Erasing a person: which texts hold an address, and what is left of a row that was about somebody.

What is left keeps its key, its states and their times, and Microsoft's answer: so the same report is still known when
it is seen again, the feed's chain is unbroken, and counts stay right. All that tells of the person or of the mail is
gone.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from .item import speaks
from .lifecycle import is_final
from .model import Outcome, State
from .submissions import OLDEST_REPORT

ERASED = "erased"
"""What stands in place of an address, the `StateDetail` of an erased row, and the `StateReason` of one to replay."""
TELLING_FIELDS = (
    *("reporter", "requested_by", "recipient", "sender", "sender_ip", "subject"),
    *("internet_message_id", "network_message_id", "url", "file_name", "file_sha256"),
    *("mailbox", "report_message_id", "request_id", "item_key", "campaign_id"),
    *("error_message", "error_request_id", "allow_or_block_status"),
)
"""Fields of a row that tell of a person or of a mail."""


class Role(enum.StrEnum):
    """What the person is in the rows that are erased; in all other rows only the address is taken out."""

    REPORTER = "reporter"
    RECIPIENT = "recipient"


class Mentions:
    """Finds an address in texts: in any case, with `@` as URLs write it, and not as a part of another address."""

    def __init__(self, address: str) -> None:
        local, _, domain = address.rpartition("@")
        at = "(?:@|%40)"
        self._pattern = re.compile(
            rf"(?<![\w.+%-]){re.escape(local)}{at}{re.escape(domain)}(?![\w-]|\.\w)", re.IGNORECASE | re.ASCII
        )

    def are_in(self, text: str) -> bool:
        """Whether the text holds the address."""
        return self._pattern.search(text) is not None

    def are_in_any(self, values: Mapping[str, object]) -> bool:
        """Whether any text among the values holds it."""
        return any(self.are_in(value) for value in values.values() if isinstance(value, str))

    def without(self, text: str) -> str:
        """The text with `erased` in place of the address."""
        return self._pattern.sub(ERASED, text)


def is_of(outcome: Outcome, address: str, role: Role) -> bool:
    """Whether the person is that in the row."""
    told = outcome.reporter if role is Role.REPORTER else outcome.recipient
    return (told or "").lower() == address.lower()


def has_to_wait(outcome: Outcome, now: datetime) -> bool:
    """Whether the row cannot be erased yet: it is open, or speaks for others.

    One that may be at Microsoft unseen is found there by what would be erased, for as long as Microsoft takes its mail.
    """
    if not is_final(outcome.state):
        return True
    return speaks(outcome, now) and now - outcome.received_at <= OLDEST_REPORT


def emptied(outcome: Outcome) -> Outcome:
    """What is left of a row that was about the person."""
    nothing: dict[str, Any] = dict.fromkeys(TELLING_FIELDS)
    rest = replace(outcome, **nothing, state_detail=ERASED)
    return replace(rest, state_reason=ERASED) if outcome.state in (State.FAILED, State.REJECTED) else rest


def keyed_hash(key: bytes, address: str) -> str:
    """What stands for an address in the record of its erasure: 64 hex digits that nobody can make without the key."""
    return hmac.new(key, address.lower().encode(), hashlib.sha256).hexdigest()
