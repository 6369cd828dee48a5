"""A Defender alert as a test describes it: what a person would see in the portal, without ids and links.

Plain frozen values that travel over the control connection. Property names and types of the evidence follow the pages
of submissionMailEvidence, analyzedMessageEvidence, userEvidence and urlEvidence (v1.0). Assumed: that `reportType` is
phish, junk, malware or notJunk (so documented for the Sentinel entity of the same name), and that `submissionId` is
the id of the emailThreats row.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import ConfigDict

from local.graph_simulator.submission import Submission

_STRICT = ConfigDict(extra="forbid")

_REPORT_TYPES = {"phishing": "phish", "malware": "malware", "spam": "junk", "notJunk": "notJunk"}
_TITLES = {
    "phishing": "Email reported by user as malware or phish",
    "malware": "Email reported by user as malware or phish",
    "spam": "Email reported by user as junk",
    "notJunk": "Email reported by user as not junk",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionMailEvidence:
    """What a user reported; None for `submitted_at` shows null."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    network_message_id: str
    recipient: str
    submission_id: str = ""
    submitter: str = ""
    report_type: str = "phish"
    sender: str = ""
    sender_ip: str = ""
    subject: str = ""
    submitted_at: datetime | None = None
    kind: Literal["submission_mail"] = "submission_mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzedMessageEvidence:
    """A mail that Defender looked at; `p1_sender` is the envelope's, `p2_sender` the one people see."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    network_message_id: str
    recipient: str
    internet_message_id: str = ""
    p1_sender: str = ""
    p2_sender: str = ""
    sender_ip: str = ""
    subject: str = ""
    received_at: datetime | None = None
    delivery_action: str = "delivered"
    delivery_location: str = "inbox"
    threats: tuple[str, ...] = ()
    kind: Literal["analyzed_message"] = "analyzed_message"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvidence:
    """A person concerned; no report."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    user_principal_name: str
    kind: Literal["user"] = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlEvidence:
    """A link; no report."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    url: str
    kind: Literal["url"] = "url"


Evidence = SubmissionMailEvidence | AnalyzedMessageEvidence | UserEvidence | UrlEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert; `at` is the instant Defender created it (None: now), `updated_at` its last change (None: the same)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    evidence: tuple[Evidence, ...] = ()
    title: str = _TITLES["phishing"]
    category: str = "InitialAccess"
    severity: str = "low"
    status: str = "new"
    service_source: str = "microsoftDefenderForOffice365"
    at: datetime | None = None
    updated_at: datetime | None = None


def describe_report(submission: Submission) -> Alert:
    """Return the alert that the default policies raise for a user's report: mail, analysis, person."""
    request, user = submission.request, submission.created_by.email
    reported = SubmissionMailEvidence(
        network_message_id=request.network_message_id,
        recipient=request.recipient,
        submission_id=submission.id,
        submitter=user,
        report_type=_REPORT_TYPES[request.category],
        sender=request.sender,
        sender_ip=request.sender_ip,
        subject=request.subject,
        submitted_at=submission.created_at,
    )
    analyzed = AnalyzedMessageEvidence(
        network_message_id=request.network_message_id,
        recipient=request.recipient,
        internet_message_id=request.internet_message_id,
        p1_sender=request.sender,
        p2_sender=request.sender,
        sender_ip=request.sender_ip,
        subject=request.subject,
        received_at=request.received_at,
    )
    evidence = (reported, analyzed, UserEvidence(user_principal_name=user))
    return Alert(evidence=evidence, title=_TITLES[request.category], at=submission.created_at)
