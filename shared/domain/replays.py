"""Which rows may be taken up again, and how: the one way out of `failed` and `rejected`.

Every reason that is written to such a row stands in one table here, with what taking it up again means. The invariant:
a row whose POST may have had an effect is looked up at Microsoft before anything of it is sent again.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import NoReturn

from .erasure import ERASED
from .errors import DefenderSubmissionsError
from .model import Outcome, State
from .submissions import OLDEST_REPORT

REPLAYED = "replayed"
"""The `StateReason` of a row that was taken up again."""
_REFUSED = "Replay refused: "


class Way(enum.StrEnum):
    """How a row is taken up again."""

    SUBMIT = "submit"
    """Nothing of it is at Microsoft: it waits for a new slot as it is."""
    LOOK_UP = "look_up"
    """Its POST may have arrived: it is `uncertain` again, and Microsoft's list is asked first."""
    TAKE_IN = "take_in"
    """Its request's kept body, or its report in the mailbox, is read again."""


class CannotReplay(DefenderSubmissionsError):
    """The row cannot be taken up again. `reason` is a code, the text one sentence that says what to do instead."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


_BAD_MESSAGE = "bad_message", "The message itself breaks a rule: correct it and send it again."
_AGAIN = "Ask for the item anew."

_WAYS: dict[str, Way | tuple[str, str]] = {
    "never_reconciled": Way.LOOK_UP,
    "refused_by_microsoft": Way.SUBMIT,
    "not_sent": Way.SUBMIT,
    "metadata_not_ready": Way.SUBMIT,
    "no_effect": Way.SUBMIT,
    "processing_failed": Way.SUBMIT,
    "evidence_gone": Way.SUBMIT,
    "poison_message": Way.TAKE_IN,
    "report_unavailable": Way.TAKE_IN,
    "report_unreadable": Way.TAKE_IN,
    "message_not_found": Way.TAKE_IN,
    "mailbox_not_found": Way.TAKE_IN,
    "mailbox_not_readable": Way.TAKE_IN,
    "content_not_found": Way.TAKE_IN,
    "content_empty": Way.TAKE_IN,
    "unreadable_content": Way.TAKE_IN,
    "submission_not_found": Way.TAKE_IN,
    "not_reviewable": ("not_reviewable", "It names no mail that a user submitted to Microsoft: name one that is."),
    ERASED: ("erased", f"Its person was erased. {_AGAIN}"),
    "submission_unreadable": ("at_microsoft", "Microsoft has it: look for it on Defender's page of submissions."),
    "material_gone": ("material_gone", f"What was to be submitted is gone. {_AGAIN}"),
    "request_id_conflict": ("request_id_conflict", "Its requestId stands for another request: send it with its own."),
    "too_long": _BAD_MESSAGE,
    "not_json": _BAD_MESSAGE,
    "not_an_object": _BAD_MESSAGE,
    "duplicate_field": _BAD_MESSAGE,
    "reserved_field": _BAD_MESSAGE,
    "unsupported_version": _BAD_MESSAGE,
    "missing_field": _BAD_MESSAGE,
    "unknown_field": _BAD_MESSAGE,
    "invalid_field": _BAD_MESSAGE,
}
"""Each `StateReason` of a failed or rejected row: its way, or the code and sentence of why there is none. What is read
again here was never dispatched; a row that was, is known well enough to be submitted as it is."""
KNOWN_REASONS = frozenset(_WAYS)


def way_of(outcome: Outcome, now: datetime) -> Way:
    """How the row is taken up again, judged by itself alone: its kept material may be gone all the same.

    Raises `CannotReplay`.
    """
    if outcome.state not in (State.FAILED, State.REJECTED):
        _refuse("not_ended", f"It is {outcome.state}: only failed and rejected rows are taken up again.")
    if now - outcome.received_at > OLDEST_REPORT:
        _refuse("too_old", f"It came in more than {OLDEST_REPORT.days} days ago, and Microsoft takes nothing that old.")
    if outcome.allow_or_block_expires_at is not None and outcome.allow_or_block_expires_at <= now:
        _refuse("entry_expired", f"The allow or block entry that it asks for has expired. {_AGAIN}")
    way = _WAYS.get(outcome.state_reason or "")
    if way is None:
        _refuse("unknown_reason", f"Nothing is known of how it ended. {_AGAIN}")
    if isinstance(way, tuple):
        _refuse(*way)
    return Way.SUBMIT if way is Way.TAKE_IN and outcome.dispatched_at is not None else way


def refused_detail(detail: str | None, refusal: CannotReplay) -> str:
    """The `StateDetail` that tells of a refused replay behind what it told before; an older refusal is left out."""
    before = (detail or "").partition(_REFUSED)[0].strip()
    return f"{before} {_REFUSED}{refusal}".strip()


def _refuse(reason: str, sentence: str) -> NoReturn:
    raise CannotReplay(reason, sentence)
