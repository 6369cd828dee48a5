"""Hunting: what a row of an advanced hunting query asks for, as an operator's message.

A row names a mail (`InternetMessageId` and `RecipientEmailAddress`) or else a URL (`Url`); everything else in it is
passed over. The same thing asked for again has the same `requestId`, however often the query finds it. Pure and total;
whether the message keeps every rule of its queue is the codec's to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from . import keys
from .model import Category

MESSAGE = dict[str, object]


@dataclass(frozen=True, slots=True)
class HuntingRules:
    """What the settings say: the query, what its rows are claimed to be, and in whose name they are asked for."""

    query: str
    category: Category
    requested_by: str

    @property
    def reason(self) -> str:
        """What tells the rows of one query from those of another, without repeating the query."""
        return f"hunting query {hashlib.sha256(self.query.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def message_of(row: Mapping[str, object], rules: HuntingRules) -> MESSAGE | None:
    """The operator's message that a row stands for; None where it names neither a mail nor a URL."""
    asked = _mail(row) or _url(row)
    if asked is None:
        return None
    item, fields = asked
    category = _text(row, "Category") or rules.category.value
    return {
        "schemaVersion": 1,
        "category": category,
        "requestId": keys.hunting_request_id(item, category),
        "requestedBy": rules.requested_by,
        "reason": rules.reason,
        "priority": "low",
        **fields,
    }


def _mail(row: Mapping[str, object]) -> tuple[str, MESSAGE] | None:
    """What tells the mail from others, and how the message names it."""
    internet_id, recipient = _text(row, "InternetMessageId"), _text(row, "RecipientEmailAddress").lower()
    if not internet_id or not recipient:
        return None
    if not internet_id.startswith("<"):
        internet_id = f"<{internet_id}>"
    item = f"{_text(row, 'NetworkMessageId').lower() or internet_id} {recipient}"
    message = {"mailbox": recipient, "internetMessageId": internet_id}
    return item, {"kind": "email", "recipient": recipient, "message": message}


def _url(row: Mapping[str, object]) -> tuple[str, MESSAGE] | None:
    url = _text(row, "Url")
    # As it is written: the id of a request must not change with a version, or it is asked for again.
    return (keys.url_item_as_written(url), {"kind": "url", "url": url}) if url else None


def _text(row: Mapping[str, object], column: str) -> str:
    value = row.get(column)
    return value.strip() if isinstance(value, str) else ""
