"""The message on the queue `notifications`: whose reporter is to be told of what, and in which turn.

As in `submission_message`, it carries references only, under names that the Functions host leaves alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..domain.answers import Stage
from ..domain.model import OutcomeKey
from .submission_message import UnreadableMessage

VERSION = 1
_FORMS = {"outcomePartition": "[0-9]{8}", "submissionId": "[0-9a-f]{32}", "stage": "[a-z]{1,16}", "turn": "[0-9]{13}"}


@dataclass(frozen=True, slots=True)
class NotificationMessage:
    """`turn` is the moment at which the answer may leave, in epoch milliseconds; at another turn it has another one."""

    key: OutcomeKey
    stage: Stage
    turn: str


def write_notification(message: NotificationMessage) -> str:
    """The message as JSON text."""
    body = {
        "schemaVersion": VERSION,
        "outcomePartition": message.key.partition,
        "submissionId": message.key.submission_id,
        "stage": message.stage.value,
        "turn": message.turn,
    }
    return json.dumps(body, separators=(",", ":"))


def read_notification(body: str) -> NotificationMessage:
    """The message; raises `UnreadableMessage` when it is none of ours."""
    try:
        found: Any = json.loads(body)
        partition, submission_id, stage, turn = (_text(found[name], form) for name, form in _FORMS.items())
        return NotificationMessage(OutcomeKey(partition, submission_id), Stage(stage), turn)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableMessage(f"{type(error).__name__} in a message of {len(body)} characters") from None


def _text(value: object, form: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(form, value, re.ASCII):
        raise TypeError(form)
    return value
