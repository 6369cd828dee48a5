"""The threat submission part of Graph beta: POST, read, list, review, and the policy of user reports.

Lists take the query options their documentation names and refuse those that generated clients offer on top.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from urllib.parse import quote
from uuid import UUID

from local.graph_simulator.answer import (
    Answer,
    RefusedError,
    answer_json,
    bad_request,
    unknown_segment,
)
from local.graph_simulator.call import GraphCall, read_count_option, read_truth_option, require_json, require_method
from local.graph_simulator.odata import Condition, FieldRule, FieldValue, parse_filter
from local.graph_simulator.submission import Kind, Submission
from local.graph_simulator.submission_desk import KIND_OF_COLLECTION, SubmissionDesk
from local.graph_simulator.submission_intake import parse_body
from local.graph_simulator.submission_rendering import Json, render_submission
from local.graph_simulator.tenant import SimulatedTenant
from local.graph_simulator.vocabulary import CATEGORIES, SOURCES, STATUSES

ROOT = "/beta/security/threatSubmission"
POLICY_ID = "DefaultReportSubmissionPolicy"
MAX_TOP = 1000

_EQUAL = frozenset({"eq"})
_FIELDS = {
    "category": FieldRule("text", _EQUAL, CATEGORIES),
    "source": FieldRule("text", _EQUAL, SOURCES),
    "status": FieldRule("text", _EQUAL, STATUSES),
    "createdBy/email": FieldRule("text", _EQUAL),
    "createdDateTime": FieldRule("instant", frozenset({"ge", "gt", "le", "lt"})),
}
_LIST_OPTIONS = frozenset({"$filter", "$top", "$skiptoken", "$count"})


class SubmissionApi:
    """Answers what lies under `/security/threatSubmission`."""

    def __init__(self, desk: SubmissionDesk, tenant: SimulatedTenant) -> None:
        self._desk = desk
        self._tenant = tenant

    def answer(self, call: GraphCall) -> Answer:
        """Return the answer to a call whose first two segments are `security/threatSubmission`. Raises RefusedError."""
        segments, rest = call.target.segments, call.target.names[2:]
        if call.target.version != "beta":
            raise unknown_segment(segments[1])
        if rest and rest[0] == "emailthreatsubmissionpolicies":
            return self._answer_policy(call)
        kind = KIND_OF_COLLECTION.get(rest[0]) if rest else None
        if kind is None:
            raise unknown_segment(segments[-1])
        match rest:
            case (collection,):
                return self._submit(call, collection) if call.method == "POST" else self._list(call, kind)
            case (_, _):
                return self._read(call, kind, segments[3])
            case ("emailthreats", _, "review"):
                return self._review(call, segments[3])
        raise unknown_segment(segments[-1])

    def _submit(self, call: GraphCall, collection: str) -> Answer:
        require_json(call)
        if len(call.body) > self._desk.traps.body_limit_bytes:
            raise RefusedError(413, "RequestEntityTooLarge", "The request body is too large.")
        submission = self._desk.submit(collection, parse_body(call.body), call.at)
        return answer_json(self._render(submission, call), 201, effect=submission.id)

    def _read(self, call: GraphCall, kind: Kind, submission_id: str) -> Answer:
        require_method(call, "GET")
        if call.target.query:
            raise bad_request("Query options are not supported for a single threat submission.")
        return answer_json(self._render(self._desk.find(kind, submission_id), call))

    def _review(self, call: GraphCall, submission_id: str) -> Answer:
        require_method(call, "POST")
        require_json(call)
        body = parse_body(call.body)
        if body.keys() != {"category"}:
            raise bad_request("The review action takes 'category' and nothing else.")
        self._desk.review(submission_id, body["category"], call.at)
        return Answer(204, content_type="")

    def _list(self, call: GraphCall, kind: Kind) -> Answer:
        require_method(call, "GET")
        query = call.target.query
        for name in query.keys() - _LIST_OPTIONS:
            raise bad_request(f"The query option '{name}' is not supported.")
        condition = _parse_list_filter(query.get("$filter", ""))
        top = read_count_option(query, "$top", MAX_TOP) or self._desk.traps.default_page_size
        last_id = _unseal(query.get("$skiptoken"))
        rows = list(islice(self._match(call, kind, last_id, condition), top + 1))
        payload: Json = {"@odata.context": f"{call.base_url}/beta/$metadata#security/threatSubmission"}
        if read_truth_option(query, "$count"):
            payload["@odata.count"] = sum(1 for _ in self._match(call, kind, "", condition))
        payload["value"] = [self._render_row(submission, call) for submission in rows[:top]]
        if len(rows) > top:
            payload["@odata.nextLink"] = _link_next(call, rows[top - 1].id)
        return answer_json(payload)

    def _match(self, call: GraphCall, kind: Kind, last_id: str, condition: Condition | None) -> Iterator[Submission]:
        rows = self._desk.list_after(kind, last_id, call.at)
        return (row for row in rows if condition is None or condition.holds(_read_fields(row, call)))

    def _render(self, submission: Submission, call: GraphCall) -> Json:
        traps = self._desk.traps
        return render_submission(
            submission,
            call.at,
            tenant_id=self._tenant.tenant_id,
            created_by_shape=traps.created_by,
            subject_key=traps.subject_key,
            unknown_members=call.prefer.unknown_enum_members,
        )

    def _render_row(self, submission: Submission, call: GraphCall) -> Json:
        row = self._render(submission, call)
        if submission.request.kind == "email" and self._desk.hides_message_id(submission):
            row["internetMessageId"] = ""
        return row

    def _answer_policy(self, call: GraphCall) -> Answer:
        require_method(call, "GET")
        policy = self._render_policy()
        match call.target.segments[3:]:
            case ():
                return answer_json({"value": [policy]})
            case (policy_id,) if policy_id == POLICY_ID:
                return answer_json(policy)
            case (_,):
                raise RefusedError(404, "ResourceNotFound", "The policy was not found.")
        raise unknown_segment(call.target.segments[-1])

    def _render_policy(self) -> Json:
        destination = self._tenant.destination
        return {
            "@odata.type": "#microsoft.graph.security.emailThreatSubmissionPolicy",
            "id": POLICY_ID,
            "isReportToMicrosoftEnabled": destination.to_microsoft,
            "isReportToCustomizedEmailAddressEnabled": bool(destination.mailbox),
            "customizedReportRecipientEmailAddress": destination.mailbox or None,
            "isReportFromQuarantineEnabled": True,
            "isReviewEmailNotificationEnabled": False,
            "isAskMeEnabledForUsers": True,
            "isAlwaysReportEnabledForUsers": False,
            "isNeverReportEnabledForUsers": False,
            "isCustomizedMessageEnabled": False,
            "isCustomizedMessageEnabledForPhishing": False,
            "isCustomizedNotificationSenderEnabled": False,
            "customizedNotificationSenderEmailAddress": None,
            "isOrganizationBrandingEnabled": False,
        }


@lru_cache(maxsize=64)
def _parse_list_filter(text: str) -> Condition | None:
    return parse_filter(text, _FIELDS) if text else None


def _read_fields(submission: Submission, call: GraphCall) -> Callable[[str], FieldValue]:
    values: dict[str, FieldValue] = {
        "category": submission.request.category,
        "source": submission.source,
        "status": submission.read_status(call.at),
        "createdBy/email": submission.created_by.email,
        "createdDateTime": submission.created_at,
    }
    return values.__getitem__


def _unseal(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return str(UUID(urlsafe_b64decode(token.encode()).decode()))
    except ValueError as error:
        raise bad_request("The skip token is not valid.") from error


def _link_next(call: GraphCall, last_id: str) -> str:
    options = {**call.target.query, "$skiptoken": urlsafe_b64encode(last_id.encode()).decode()}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    return f"{call.base_url}{ROOT}/{call.target.segments[2]}?{query}"
