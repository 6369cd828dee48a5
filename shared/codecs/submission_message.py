"""The message on the queue `submissions`: which row has which slot.

It carries references only. No top-level name may be one that the Functions host takes for message metadata (`id`,
`dequeueCount`, ...): the host would override the metadata with it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..domain.errors import DefenderSubmissionsError
from ..domain.model import OutcomeKey

VERSION = 1
_ID = "[0-9a-f]{32}"
_FORMS = {"outcomePartition": "[0-9]{8}", "submissionId": _ID, "slot": f"0-slot-[0-9]{{13}}-{_ID}", "etag": ".+"}
"""What each part looks like. A key of another form is one that storage refuses, at every attempt anew."""


class UnreadableMessage(DefenderSubmissionsError):
    """Not a message of ours: let it go to poison, where it is recorded. A row it may have meant is swept up."""


@dataclass(frozen=True, slots=True)
class SubmissionMessage:
    """`slot` names the quota slot, `etag` the version of the outcome row that was dispatched."""

    key: OutcomeKey
    slot: str
    etag: str


def write_message(message: SubmissionMessage) -> str:
    """The message as JSON text, about 250 bytes."""
    body = {
        "schemaVersion": VERSION,
        "outcomePartition": message.key.partition,
        "submissionId": message.key.submission_id,
        "slot": message.slot,
        "etag": message.etag,
    }
    return json.dumps(body, separators=(",", ":"))


def read_message(body: str) -> SubmissionMessage:
    """The message; raises `UnreadableMessage` when it is none of ours."""
    try:
        found: Any = json.loads(body)
        partition, submission_id, slot, etag = (_text(found, name, form) for name, form in _FORMS.items())
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableMessage(f"{type(error).__name__} in a message of {len(body)} characters") from None
    return SubmissionMessage(OutcomeKey(partition, submission_id), slot, etag)


def _text(found: Any, name: str, form: str) -> str:
    value = found[name]
    if not isinstance(value, str) or not re.fullmatch(form, value):
        raise TypeError(name)
    return value
