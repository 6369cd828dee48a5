"""The alerts of Defender: `GET /security/alerts_v2` and a single alert, in v1.0 and beta.

Documented (List alerts_v2): the newest come first; `$count`, `$filter`, `$skip` and `$top`; a filter on assignedTo,
classification, determination, createdDateTime, lastUpdateDateTime, severity, serviceSource and status;
`@odata.nextLink`. Assumed: page sizes, that nextLink goes on by `$skip` (so a new alert shifts the pages), the
operators of each property, and that all other query options are refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote
from uuid import UUID, uuid5

from local.graph_simulator.alert import Alert
from local.graph_simulator.alert_rendering import Json, render_alert
from local.graph_simulator.answer import Answer, RefusedError, answer_json, bad_request, unknown_segment
from local.graph_simulator.call import GraphCall, read_count_option, read_truth_option, require_method
from local.graph_simulator.odata import Condition, FieldRule, FieldValue, parse_filter
from local.graph_simulator.tenant import SimulatedTenant

MAX_TOP = 1000

_IDS = UUID("9c1b7a52-0f36-4d0e-8f0f-6b8b0c2a7d11")
_EQUAL = frozenset({"eq"})
_ORDERED = frozenset({"eq", "ge", "gt", "le", "lt"})
_SEVERITIES = frozenset({"unknown", "informational", "low", "medium", "high"})
_STATUSES = frozenset({"new", "inProgress", "resolved"})
_FIELDS = {
    "assignedTo": FieldRule("text", _EQUAL),
    "classification": FieldRule("text", _EQUAL),
    "determination": FieldRule("text", _EQUAL),
    "createdDateTime": FieldRule("instant", _ORDERED),
    "lastUpdateDateTime": FieldRule("instant", _ORDERED),
    "severity": FieldRule("text", _EQUAL, _SEVERITIES),
    "serviceSource": FieldRule("text", _EQUAL),
    "status": FieldRule("text", _EQUAL, _STATUSES),
}
_LIST_OPTIONS = frozenset({"$count", "$filter", "$skip", "$top"})


@dataclass(frozen=True, slots=True)
class AlertTraps:
    """What Defender does with alerts.

    `user_submissions_raise`: every report of a user raises an alert by itself, wherever the reports go.
    `default_page_size`: alerts of a page without `$top`.
    """

    user_submissions_raise: bool = False
    default_page_size: int = 100


@dataclass(frozen=True, slots=True)
class _RaisedAlert:
    id: str
    created_at: datetime
    alert: Alert


class AlertApi:
    """Answers what lies under `/security/alerts_v2`."""

    def __init__(self, tenant: SimulatedTenant, traps: AlertTraps) -> None:
        self.traps = traps
        self._tenant = tenant
        self._raised: dict[str, _RaisedAlert] = {}

    def raise_alert(self, alert: Alert, now: datetime) -> str:
        """Keep an alert and return its id."""
        alert_id = f"fa{uuid5(_IDS, f'{self._tenant.tenant_id}/{len(self._raised) + 1}')}"
        self._raised[alert_id] = _RaisedAlert(alert_id, alert.at or now, alert)
        return alert_id

    def clear(self) -> None:
        """Forget all alerts."""
        self._raised.clear()

    def answer(self, call: GraphCall) -> Answer:
        """Return the answer to a call whose first two segments are `security/alerts_v2`. Raises RefusedError."""
        require_method(call, "GET")
        match call.target.segments[2:]:
            case ():
                return self._list(call)
            case (alert_id,):
                return self._read(call, alert_id)
        raise unknown_segment(call.target.segments[-1])

    def _read(self, call: GraphCall, alert_id: str) -> Answer:
        if call.target.query:
            raise bad_request("Query options are not supported for a single alert.")
        if alert_id not in self._raised:
            raise RefusedError(404, "ResourceNotFound", "The alert was not found.")
        return answer_json(self._render(self._raised[alert_id]))

    def _list(self, call: GraphCall) -> Answer:
        query = call.target.query
        for name in query.keys() - _LIST_OPTIONS:
            raise bad_request(f"The query option '{name}' is not supported.")
        top = read_count_option(query, "$top", MAX_TOP) or self.traps.default_page_size
        skip = read_count_option(query, "$skip", 0) or 0
        found = self._match(_parse_list_filter(query.get("$filter", "")))
        payload: Json = {"@odata.context": f"{call.base_url}/{call.target.version}/$metadata#security/alerts_v2"}
        if read_truth_option(query, "$count"):
            payload["@odata.count"] = len(found)
        payload["value"] = [self._render(raised) for raised in found[skip : skip + top]]
        if len(found) > skip + top:
            payload["@odata.nextLink"] = _link_next(call, skip + top)
        return answer_json(payload)

    def _match(self, condition: Condition | None) -> list[_RaisedAlert]:
        rows = [
            raised for raised in self._raised.values() if condition is None or condition.holds(_read_fields(raised))
        ]
        return sorted(rows, key=lambda raised: raised.created_at, reverse=True)

    def _render(self, raised: _RaisedAlert) -> Json:
        return render_alert(raised.alert, raised.id, raised.created_at, self._tenant.tenant_id)


@lru_cache(maxsize=64)
def _parse_list_filter(text: str) -> Condition | None:
    return parse_filter(text, _FIELDS) if text else None


def _read_fields(raised: _RaisedAlert) -> Callable[[str], FieldValue]:
    alert = raised.alert
    values: dict[str, FieldValue] = {
        "assignedTo": "",
        "classification": "unknown",
        "determination": "unknown",
        "createdDateTime": raised.created_at,
        "lastUpdateDateTime": alert.updated_at or raised.created_at,
        "severity": alert.severity,
        "serviceSource": alert.service_source,
        "status": alert.status,
    }
    return values.__getitem__


def _link_next(call: GraphCall, skip: int) -> str:
    options = {**call.target.query, "$skip": str(skip)}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    return f"{call.base_url}/{call.target.version}/security/alerts_v2?{query}"
