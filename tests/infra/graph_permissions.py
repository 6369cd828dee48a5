"""Graph requests with the application permissions that Microsoft documents for them.

From the pages of each method (learn.microsoft.com/graph/api, section "Permissions", row "Application"). Mailboxes are
apart: their permission is given in Exchange, by RBAC for Applications, where it can be limited to single mailboxes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local.graph_simulator import RequestRecord

EXCHANGE_ROLES = ("Application Mail.Read", "Application Mail.Send")
_THREATS = "/beta/security/threatSubmission"
_USER = "/v1.0/users/[^/]+"


@dataclass(frozen=True, slots=True)
class Method:
    """A method of Graph by the shape of its requests, and the permissions any one of which suffices for it."""

    verb: str
    path: str
    permissions: frozenset[str]
    source: str


_READ_THREATS = frozenset({"ThreatSubmission.Read.All", "ThreatSubmission.ReadWrite.All"})
_WRITE_THREATS = frozenset({"ThreatSubmission.ReadWrite.All"})
_READ_MAIL = frozenset({EXCHANGE_ROLES[0]})
METHODS = (
    Method("GET", f"{_THREATS}/(email|url|file)Threats", _READ_THREATS, "security-list-{email,url,file}threats"),
    Method("POST", f"{_THREATS}/(email|url|file)Threats", _WRITE_THREATS, "security-post-{email,url,file}threats"),
    Method(
        "GET",
        f"{_THREATS}/emailThreatSubmissionPolicies",
        _READ_THREATS | {"ThreatSubmissionPolicy.ReadWrite.All"},
        "security-emailthreatsubmissionpolicy-list",
    ),
    Method(
        "GET",
        "/v1.0/security/alerts_v2",
        frozenset({"SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"}),
        "security-list-alerts_v2",
    ),
    Method(
        "POST",
        "/v1.0/security/runHuntingQuery",
        frozenset({"ThreatHunting.Read.All"}),
        "security-security-runhuntingquery",
    ),
    Method("GET", rf"{_USER}/mailFolders(/[^/]+/childFolders)?", _READ_MAIL, "user-list-mailfolders"),
    Method("GET", rf"{_USER}/mailFolders/[^/]+/messages", _READ_MAIL, "mailfolder-list-messages"),
    Method("GET", rf"{_USER}/mailFolders(/[^/]+/|\('[^']+'\)/)messages/delta", _READ_MAIL, "message-delta"),
    Method("GET", rf"{_USER}/messages(/[^/]+)?", _READ_MAIL, "user-list-messages, message-get"),
    Method("GET", rf"{_USER}/messages/[^/]+/attachments", _READ_MAIL, "message-list-attachments"),
    Method("GET", rf"{_USER}/messages/[^/]+/attachments/[^/]+/\$value", _READ_MAIL, "attachment-get"),
    Method("POST", f"{_USER}/sendMail", frozenset({EXCHANGE_ROLES[1]}), "user-sendmail"),
)
IDS: Mapping[str, str] = {
    "ThreatSubmission.ReadWrite.All": "d72bdbf4-a59b-405c-8b04-5995895819ac",
    "SecurityAlert.Read.All": "472e4a4d-bb4a-4026-98d1-0b0d74cb74a5",
    "ThreatHunting.Read.All": "dd98c7f5-2d42-42d3-a0e4-633161547251",
}
"""App role ids ("Microsoft Graph permissions reference"), alike in every tenant; a wrong one grants other rights."""


def permissions_for(request: RequestRecord) -> frozenset[str]:
    """The permissions any one of which suffices; raises ValueError for a request of no known shape."""
    for method in METHODS:
        if method.verb == request.method and re.fullmatch(method.path, request.path):
            return method.permissions
    raise ValueError(f"no permission is known for {request.method} {request.path}")
