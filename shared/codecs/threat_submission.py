"""A threat submission as Graph's JSON: the bodies we POST, and the answers and list rows we read.

Written by hand from the beta documentation, because the generated models cost seconds and lose words they do not
know. Known slips of the documentation are met here: `emailSubject` for `subject`, results that are absent.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from ..domain.model import Category, Kind
from ..domain.submissions import AllowOrBlock, SubmissionOrder, ThreatSubmission
from ..domain.text import clean
from ..domain.urls import encoded

PIECE_BYTES = 3 * 16 * 1024
"""A multiple of three: base64 of such pieces needs no padding, so that they can follow one another."""
_REVIEW_WORDS = {Category.SPAM: "junk", Category.NOT_JUNK: "notSpam"}
"""The review action has words of its own (Graph documentation, "emailThreatSubmission: review")."""
_TYPE = "#microsoft.graph.security."


def write_order(order: SubmissionOrder) -> bytes:
    """The body of the POST, as UTF-8 JSON.

    Content is spliced in as base64, piece by piece, instead of going through the JSON writer: that would hold a 3 MB
    original in memory four times over.
    """
    fields: dict[str, Any] = {"@odata.type": _type(order), "category": order.category.value}
    if order.kind is Kind.EMAIL:
        fields["recipientEmailAddress"] = order.recipient
    if order.message_url is not None:
        fields["messageUrl"] = order.message_url
    if order.kind is Kind.URL:
        fields["webUrl"] = None if order.url is None else encoded(order.url)
    if order.kind is Kind.FILE:
        fields["fileName"] = order.file_name
    if order.allow_or_block is not None:
        fields["tenantAllowOrBlockListAction"] = _action(order.allow_or_block)
    head = json.dumps(fields).encode("ascii")
    if order.content is None:
        return head
    body = BytesIO()
    body.write(head[:-1] + b', "fileContent": "')
    for start in range(0, len(order.content), PIECE_BYTES):
        body.write(base64.b64encode(order.content[start : start + PIECE_BYTES]))
    body.write(b'"}')
    return body.getvalue()


def write_review(category: Category) -> bytes:
    """The body of the review action, as UTF-8 JSON."""
    return json.dumps({"category": _REVIEW_WORDS.get(category, category.value)}).encode("ascii")


def read_submission(found: Any, kind: Kind) -> ThreatSubmission:
    """The submission that Graph shows; raises ValueError when it is none (no object, or no id)."""
    if not isinstance(found, dict) or not isinstance(found.get("id"), str) or not found["id"]:
        raise ValueError("no threat submission with an id")
    told = found.get("result")
    result: dict[str, Any] = told if isinstance(told, dict) else {}
    return ThreatSubmission(
        submission_id=found["id"],
        created_at=_time(found.get("createdDateTime")),
        category=_text(found.get("category")),
        status=_text(found.get("status")),
        result_category=_text(result.get("category")),
        result_detail=_text(result.get("detail")),
        recipient=_text(found.get("recipientEmailAddress")),
        sender=_text(found.get("sender")),
        subject=_subject(found),
        internet_message_id=_text(found.get("internetMessageId")),
        url=_text(found.get("webUrl")) if kind is Kind.URL else None,
        file_name=_text(found.get("fileName")) if kind is Kind.FILE else None,
        allow_or_block_status=_action_status(found.get("tenantAllowOrBlockListAction")),
        is_users=found.get("source") == "user",
    )


def _type(order: SubmissionOrder) -> str:
    if order.kind is Kind.URL:
        return f"{_TYPE}urlThreatSubmission"
    if order.kind is Kind.FILE:
        return f"{_TYPE}fileContentThreatSubmission"
    return f"{_TYPE}emailUrlThreatSubmission" if order.message_url else f"{_TYPE}emailContentThreatSubmission"


def _action(wanted: AllowOrBlock) -> dict[str, str]:
    expires_at = wanted.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    action = {"action": wanted.action, "expirationDateTime": expires_at}
    return action if wanted.note is None else {**action, "note": wanted.note}


def _action_status(action: Any) -> str | None:
    """What came of the wanted list entries: Microsoft's status words, each once, joined by commas."""
    results = action.get("results") if isinstance(action, dict) else None
    words = [one.get("status") for one in results or [] if isinstance(one, dict)]
    return ",".join(sorted({word for word in words if isinstance(word, str)})) or None


def _subject(found: dict[str, Any]) -> str | None:
    subject = _text(found.get("subject")) or _text(found.get("emailSubject"))
    return None if subject is None else clean(subject)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
