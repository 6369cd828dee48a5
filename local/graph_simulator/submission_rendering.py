"""Submissions as the JSON of Graph beta, with the shapes that differ between documentation, metadata and the field."""

from datetime import datetime

from local.graph_simulator.instants import format_mail_instant, format_submission_instant
from local.graph_simulator.submission import AllowOrBlock, CreatedByShape, SubjectKey, Submission, Submitter
from local.graph_simulator.vocabulary import LATE_RESULT_CATEGORIES, LATE_RESULT_DETAILS, SENTINEL

Json = dict[str, object]

_TYPE_NAMES = {
    "email": "#microsoft.graph.security.emailContentThreatSubmission",
    "url": "#microsoft.graph.security.urlThreatSubmission",
    "file": "#microsoft.graph.security.fileContentThreatSubmission",
}
_MESSAGE_URL_TYPE = "#microsoft.graph.security.emailUrlThreatSubmission"
# The doc sample of the list shows this abstract type; that it is what users' reports carry is assumed.
_USER_REPORT_TYPE = "#microsoft.graph.security.emailThreatSubmission"


def render_submission(
    submission: Submission,
    at: datetime,
    *,
    tenant_id: str,
    created_by_shape: CreatedByShape,
    subject_key: SubjectKey,
    unknown_members: bool,
) -> Json:
    """Return the submission as a client sees it at this instant; `unknown_members` is what its Prefer header asks."""
    request = submission.request
    shown: Json = {
        "@odata.type": _name_type(submission),
        "id": submission.id,
        "category": request.category,
        "clientSource": "microsoft",
        "contentType": request.kind,
        "createdDateTime": format_submission_instant(submission.created_at),
        "source": submission.source,
        "status": submission.read_status(at),
        "tenantId": tenant_id,
        "createdBy": _render_creator(submission.created_by, submission.shape.created_by or created_by_shape),
        "result": _render_result(submission, at, unknown_members=unknown_members),
        "adminReview": _render_review(submission, unknown_members=unknown_members),
    }
    if request.kind == "email":
        return shown | _render_email(submission, at, submission.shape.subject_key or subject_key)
    return shown | ({"webUrl": request.url} if request.kind == "url" else {"fileName": request.file_name})


def _name_type(submission: Submission) -> str:
    if submission.source == "user":
        return _USER_REPORT_TYPE
    request = submission.request
    return _MESSAGE_URL_TYPE if request.by_message_url else _TYPE_NAMES[request.kind]


def _hide_late(value: str, late: frozenset[str], *, unknown_members: bool) -> str:
    return SENTINEL if value in late and not unknown_members else value


def _render_creator(submitter: Submitter, shape: CreatedByShape) -> Json:
    if shape == "flat":
        return {"id": submitter.id, "displayName": submitter.display_name, "email": submitter.email}
    user = {"identity": submitter.id, "displayName": submitter.display_name, "email": submitter.email}
    return {"user": user}


def _render_result(submission: Submission, at: datetime, *, unknown_members: bool) -> Json:
    if at >= submission.settles_at:
        category, detail = submission.result_category, submission.result_detail
    elif submission.request.kind == "email":
        category, detail = "beingAnalyzed", "underInvestigation"
    else:
        return {"detail": "underInvestigation", "detectedFiles": [], "detectedUrls": []}
    return {
        "category": _hide_late(category, LATE_RESULT_CATEGORIES, unknown_members=unknown_members),
        "detail": _hide_late(detail, LATE_RESULT_DETAILS, unknown_members=unknown_members),
        "detectedFiles": [],
        "detectedUrls": [],
        "userMailboxSetting": "isJunkMailRuleEnabled,senderAuthenticationSucceeded",
    }


def _render_review(submission: Submission, *, unknown_members: bool) -> Json | None:
    review = submission.review
    if review is None:
        return None
    return {
        "reviewBy": review.by,
        "reviewDateTime": format_submission_instant(review.at),
        "reviewResult": _hide_late(review.category, LATE_RESULT_CATEGORIES, unknown_members=unknown_members),
    }


def _render_email(submission: Submission, at: datetime, subject_key: SubjectKey) -> Json:
    request = submission.request
    return {
        "recipientEmailAddress": request.recipient,
        "internetMessageId": "" if submission.shape.message_id == "never" else request.internet_message_id,
        subject_key: request.subject,
        "sender": request.sender,
        "senderIP": request.sender_ip,
        "receivedDateTime": format_mail_instant(request.received_at or submission.created_at),
        "originalCategory": submission.original_category or request.category,
        "attackSimulationInfo": _render_simulation(submission),
        "tenantAllowOrBlockListAction": _render_allow_or_block(request.allow_or_block, submission, at),
    }


def _render_simulation(submission: Submission) -> Json | None:
    if not submission.attack_simulation_id:
        return None
    return {
        "attackSimDateTime": format_submission_instant(submission.request.received_at or submission.created_at),
        "attackSimDurationTime": "P7D",
        "attackSimId": submission.attack_simulation_id,
        "attackSimUserId": submission.created_by.id,
    }


def _render_allow_or_block(asked: AllowOrBlock | None, submission: Submission, at: datetime) -> Json | None:
    if asked is None:
        return None
    expires_at = None if asked.expires_at is None else format_submission_instant(asked.expires_at)
    entry: Json = {
        "identity": submission.id,
        "value": submission.request.sender,
        "entryType": "sender",
        "expirationDateTime": expires_at,
        # Allow entries come into being later, during mail flow, for what the filter judged bad.
        "status": "succeeded" if asked.action == "block" else "skipped",
    }
    results = [entry] if at >= submission.settles_at else None
    return {"action": asked.action, "expirationDateTime": expires_at, "note": asked.note, "results": results}
