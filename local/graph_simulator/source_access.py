"""Which sources the app may read: a grant or a licence can be missing for each of them, and for no other.

The sources share no fate: closing one leaves the answers of the others as they are. Only THREAT_SUBMISSIONS is more
than a source: closing it closes all of the beta API, user submissions and report policy too. Documented: the permission
names, and 401 and 403 for a missing token, role or licence (learn.microsoft.com/graph/errors). Assumed: the wording,
the code of the licence error, and 404 for an endpoint that a cloud does not have.
"""

from enum import StrEnum

from local.graph_simulator.answer import RefusedError
from local.graph_simulator.call import GraphCall


class Source(StrEnum):
    """Where reports come from, or what tells where they go."""

    MAILBOX = "mailbox"  # everything under /users
    THREAT_SUBMISSIONS = "threat_submissions"  # everything under threatSubmission: the app's role, or the beta itself
    USER_SUBMISSIONS = "user_submissions"  # lists of emailThreats whose filter asks for `source eq 'user'`
    REPORT_POLICY = "report_policy"  # emailThreatSubmissionPolicies
    ALERTS = "alerts"  # alerts_v2
    HUNTING = "hunting"  # runHuntingQuery


class Access(StrEnum):
    """What a source answers."""

    GRANTED = "granted"
    UNAUTHENTICATED = "unauthenticated"  # 401
    NOT_GRANTED = "not_granted"  # 403: the app role is missing
    NOT_LICENSED = "not_licensed"  # 403: the tenant lacks the plan
    UNKNOWN_ENDPOINT = "unknown_endpoint"  # 404


_ROLES = {
    Source.MAILBOX: "Mail.Read,Mail.ReadWrite",
    Source.THREAT_SUBMISSIONS: "ThreatSubmission.ReadWrite.All",
    Source.USER_SUBMISSIONS: "ThreatSubmission.Read.All,ThreatSubmission.ReadWrite.All",
    Source.REPORT_POLICY: "ThreatSubmission.Read.All,ThreatSubmissionPolicy.ReadWrite.All",
    Source.ALERTS: "SecurityAlert.Read.All,SecurityAlert.ReadWrite.All",
    Source.HUNTING: "ThreatHunting.Read.All",
}


class SourceAccess:
    """What the app may read now."""

    def __init__(self) -> None:
        self._closed: dict[Source, Access] = {}

    def set(self, source: Source, access: Access) -> None:
        """Let a source answer so from now on."""
        self._closed[source] = access

    def clear(self) -> None:
        """Grant everything."""
        self._closed.clear()

    def require(self, call: GraphCall) -> None:
        """Refuse a call to a source that is closed. Raises RefusedError."""
        if not self._closed:
            return
        for source in _find_sources(call):
            refusal = _refuse(source, self._closed.get(source, Access.GRANTED))
            if refusal is not None:
                raise refusal


def _find_sources(call: GraphCall) -> tuple[Source, ...]:
    match call.target.names:
        case ("users", *_):
            return (Source.MAILBOX,)
        case ("security", "threatsubmission", *rest):
            return (Source.THREAT_SUBMISSIONS, *_find_beta_source(call, rest))
        case ("security", "alerts_v2", *_):
            return (Source.ALERTS,)
        case ("security", "runhuntingquery" | "microsoft.graph.security.runhuntingquery"):
            return (Source.HUNTING,)
    return ()


def _find_beta_source(call: GraphCall, rest: list[str]) -> tuple[Source, ...]:
    if rest == ["emailthreats"] and call.method == "GET" and "'user'" in call.target.query.get("$filter", ""):
        return (Source.USER_SUBMISSIONS,)
    return (Source.REPORT_POLICY,) if rest[:1] == ["emailthreatsubmissionpolicies"] else ()


def _refuse(source: Source, access: Access) -> RefusedError | None:
    match access:
        case Access.UNAUTHENTICATED:
            return RefusedError(401, "InvalidAuthenticationToken", "Access token validation failure.")
        case Access.NOT_GRANTED if source is Source.MAILBOX:
            return RefusedError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        case Access.NOT_GRANTED:
            roles = f"API required roles: {_ROLES[source]}, application roles: ."
            return RefusedError(403, "Forbidden", f"Missing application roles. {roles}")
        case Access.NOT_LICENSED:
            return RefusedError(403, "Forbidden_LicensingError", "The tenant does not have a license for this.")
        case Access.UNKNOWN_ENDPOINT:
            return RefusedError(404, "UnknownError", "Resource not found.")
    return None
