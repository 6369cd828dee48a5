"""Alerts and their evidence as the JSON of Graph v1.0.

Documented on the pages of alert, alertEvidence and the evidence types: every name and type here. Left out are
properties no mail alert fills.
"""

from datetime import datetime

from local.graph_simulator.alert import (
    Alert,
    AnalyzedMessageEvidence,
    Evidence,
    SubmissionMailEvidence,
    UrlEvidence,
    UserEvidence,
)
from local.graph_simulator.instants import format_submission_instant

Json = dict[str, object]

_PORTAL = "https://security.microsoft.com"

# What an alert has that nobody has worked on.
_UNTOUCHED: Json = {
    "classification": "unknown",
    "determination": "unknown",
    "assignedTo": None,
    "resolvedDateTime": None,
    "description": "",
    "recommendedActions": "",
    "mitreTechniques": ["T1566"],
    "comments": [],
    "systemTags": [],
}


def render_alert(alert: Alert, alert_id: str, created_at: datetime, tenant_id: str) -> Json:
    """Return the alert as a client sees it."""
    moment = format_submission_instant(created_at)
    return _UNTOUCHED | {
        "@odata.type": "#microsoft.graph.security.alert",
        "id": alert_id,
        "providerAlertId": alert_id,
        "incidentId": str(int(alert_id[-6:], 16)),
        "status": alert.status,
        "severity": alert.severity,
        "serviceSource": alert.service_source,
        "detectionSource": alert.service_source,
        "detectorId": "c8522cbb-9368-4e25-4ee9-08d8d899dfab",
        "tenantId": tenant_id,
        "title": alert.title,
        "category": alert.category,
        "alertWebUrl": f"{_PORTAL}/alerts/{alert_id}?tid={tenant_id}",
        "createdDateTime": moment,
        "lastUpdateDateTime": format_submission_instant(alert.updated_at or created_at),
        "firstActivityDateTime": moment,
        "lastActivityDateTime": moment,
        "evidence": [_render_evidence(one, moment) for one in alert.evidence],
    }


def _render_evidence(evidence: Evidence, moment: str) -> Json:
    shared: Json = {
        "createdDateTime": moment,
        "verdict": "suspicious",
        "remediationStatus": "none",
        "remediationStatusDetails": None,
        "roles": [],
        "detailedRoles": [],
        "tags": [],
    }
    match evidence:
        case SubmissionMailEvidence():
            return _name_type("submissionMailEvidence") | shared | _render_submission(evidence)
        case AnalyzedMessageEvidence():
            return _name_type("analyzedMessageEvidence") | shared | _render_message(evidence)
        case UserEvidence():
            return _name_type("userEvidence") | shared | _render_user(evidence)
        case UrlEvidence():
            return _name_type("urlEvidence") | shared | {"url": evidence.url}


def _name_type(name: str) -> Json:
    return {"@odata.type": f"#microsoft.graph.security.{name}"}


def _render_instant(at: datetime | None) -> str | None:
    return None if at is None else format_submission_instant(at)


def _render_submission(evidence: SubmissionMailEvidence) -> Json:
    return {
        "networkMessageId": evidence.network_message_id,
        "recipient": evidence.recipient,
        "reportType": evidence.report_type,
        "sender": evidence.sender,
        "senderIp": evidence.sender_ip,
        "subject": evidence.subject,
        "submissionDateTime": _render_instant(evidence.submitted_at),
        "submissionId": evidence.submission_id,
        "submitter": evidence.submitter,
    }


def _render_message(evidence: AnalyzedMessageEvidence) -> Json:
    return {
        "antiSpamDirection": "inbound",
        "attachmentsCount": 0,
        "deliveryAction": evidence.delivery_action,
        "deliveryLocation": evidence.delivery_location,
        "internetMessageId": evidence.internet_message_id,
        "language": "en",
        "networkMessageId": evidence.network_message_id,
        "p1Sender": _render_sender(evidence.p1_sender),
        "p2Sender": _render_sender(evidence.p2_sender),
        "receivedDateTime": _render_instant(evidence.received_at),
        "recipientEmailAddress": evidence.recipient,
        "senderIp": evidence.sender_ip,
        "subject": evidence.subject,
        "threatDetectionMethods": [],
        "threats": list(evidence.threats),
        "urlCount": 0,
        "urls": [],
        "urn": f"urn:MailEntity:{evidence.network_message_id}",
    }


def _render_sender(address: str) -> Json:
    return {"emailAddress": address, "displayName": None, "domainName": address.rpartition("@")[2]}


def _render_user(evidence: UserEvidence) -> Json:
    name, _, domain = evidence.user_principal_name.partition("@")
    return {
        "userAccount": {
            "accountName": name,
            "domainName": domain,
            "userSid": None,
            "azureAdUserId": None,
            "userPrincipalName": evidence.user_principal_name,
            "displayName": name,
        }
    }
