"""User submissions as Graph's JSON: rows of the list of mail submissions, and the evidence of Defender's alerts.

Total: anything that JSON can hold is read, or told to be unusable. Known slips of the documentation are met here:
`createdBy` flat or with a `user` inside, `emailSubject` for `subject`, message ids without their angle brackets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..domain.text import address, clean, guid, ip_address
from ..domain.user_submissions import UserSubmission

_REPORTED = "submissionmailevidence"
_ANALYZED = "analyzedmessageevidence"
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Microsoft writes the year 1 where it has no time: .NET's empty one, which tables and calendars cannot hold."""
_ABOUT_ADMINS = "admin submission"
"""How the title begins of alerts about submissions that no user made (Defender alert policies, 2025-03)."""

Json = Mapping[str, Any]


def is_user_submission(found: Json) -> bool | None:
    """Whether a row of the list is a user's and at Microsoft; None where it does not say whose it is.

    Microsoft has a word for reports that went to the reporting mailbox only: those are not at Microsoft.
    """
    source, result = found.get("source"), found.get("result")
    if isinstance(result, dict) and result.get("category") == "notSubmittedToMicrosoft":
        return False
    return source == "user" if isinstance(source, str) else None


def read_listed(found: Json) -> UserSubmission | None:
    """The user submission that a row of the list shows; None where it has no id or no time."""
    submission_id, created_at = _text(found, "id"), _time(found, "createdDateTime")
    if submission_id is None or created_at is None:
        return None
    return UserSubmission(
        submission_id=submission_id,
        created_at=created_at,
        word=_text(found, "category"),
        reporter=_reporter(found),
        recipient=_address(found, "recipientEmailAddress"),
        sender=_address(found, "sender"),
        sender_ip=_ip(found, "senderIP"),
        subject=_text(found, "subject") or _text(found, "emailSubject"),
        internet_message_id=_internet_message_id(found),
        is_simulation=found.get("attackSimulationInfo") is not None,
    )


def read_alert(found: Json) -> list[UserSubmission | None]:
    """The user submissions that an alert tells of, None in the place of each that cannot be used.

    Raises ValueError where its evidence is no list of objects.
    """
    evidence = found.get("evidence") or []
    if not isinstance(evidence, list) or not all(isinstance(one, dict) for one in evidence):
        raise ValueError("evidence is no list of objects")
    if (_text(found, "title") or "").lower().startswith(_ABOUT_ADMINS):
        return []
    analyzed = {_guid(one, "networkMessageId"): one for one in _of_type(evidence, _ANALYZED)}
    return [
        _reported(found, one, analyzed.get(_guid(one, "networkMessageId") or "", {}))
        for one in _of_type(evidence, _REPORTED)
    ]


def _reported(alert: Json, told: Json, analyzed: Json) -> UserSubmission | None:
    """One reported mail; what its evidence leaves out is taken from the analysis of the same mail.

    Without a person's address it is not known to be a user's: an app has none.
    """
    submission_id, reporter = _guid(told, "submissionId") or _text(told, "submissionId"), _address(told, "submitter")
    created_at = _time(told, "submissionDateTime") or _time(told, "createdDateTime") or _time(alert, "createdDateTime")
    if submission_id is None or created_at is None or reporter is None:
        return None
    sender = analyzed.get("p2Sender")
    return UserSubmission(
        submission_id=submission_id,
        created_at=created_at,
        word=_text(told, "reportType"),
        reporter=reporter,
        recipient=_address(told, "recipient") or _address(analyzed, "recipientEmailAddress"),
        sender=_address(told, "sender") or (_address(sender, "emailAddress") if isinstance(sender, dict) else None),
        sender_ip=_ip(told, "senderIp") or _ip(analyzed, "senderIp"),
        subject=_text(told, "subject") or _text(analyzed, "subject"),
        internet_message_id=_internet_message_id(analyzed),
        network_message_id=_guid(told, "networkMessageId"),
    )


def _of_type(evidence: list[Json], name: str) -> Iterator[Json]:
    return (one for one in evidence if str(one.get("@odata.type")).lower().endswith(f".{name}"))


def _reporter(found: Json) -> str | None:
    created_by = found.get("createdBy")
    if not isinstance(created_by, dict):
        return None
    user = created_by.get("user")
    return _address(created_by, "email") or (_address(user, "email") if isinstance(user, dict) else None)


def _internet_message_id(found: Json) -> str | None:
    """The id with its angle brackets, as it stands in the header."""
    text = clean(_text(found, "internetMessageId") or "").strip()
    return (text if text.startswith("<") else f"<{text}>") if text else None


def _address(found: Json, name: str) -> str | None:
    return address(_text(found, name) or "")


def _ip(found: Json, name: str) -> str | None:
    return ip_address(_text(found, name) or "")


def _guid(found: Json, name: str) -> str | None:
    return guid(_text(found, name) or "")


def _text(found: Json, name: str) -> str | None:
    value = found.get(name)
    return value if isinstance(value, str) and value else None


def _time(found: Json, name: str) -> datetime | None:
    try:
        told = datetime.fromisoformat(_text(found, name) or "")
        at = told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if at >= _EARLIEST else None
