"""Advanced hunting: `POST /security/runHuntingQuery` answers canned rows for each query text.

Nothing here understands Kusto. A query is answered with the rows that were set for its text (white space aside) or for
`*`; 501 says that none were set. What is plainly no query (open quotes or brackets, an empty step) is answered 400.

Documented: body and answer, the forms of `Timespan`, 100,000 rows, 45 calls a minute and tenant, 429 beyond (the
Graph page of runHuntingQuery, learn.microsoft.com/defender-xdr/api-advanced-hunting).
The metadata writes `query` and `timespan`, the page `Query` and `Timespan`; both are taken. Assumed: that more rows
are cut in silence, `Retry-After` on 429, error codes, and that rows do not depend on `Timespan`.
"""

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from local.graph_simulator.answer import Answer, RefusedError, answer_json, bad_request, not_simulated
from local.graph_simulator.call import GraphCall, require_json, require_method
from local.graph_simulator.instants import parse_instant
from local.graph_simulator.submission_intake import Body, parse_body

HuntingRow = Mapping[str, object]

_MINUTE = timedelta(minutes=1)
_DURATION = re.compile(r"P(?=\d|T\d)(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?")
_QUIET = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*')
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class HuntingLimits:
    """How many queries the service runs in any minute for the tenant, and how many rows it returns."""

    calls_per_minute: int = 45
    rows: int = 100_000


@dataclass(frozen=True, slots=True)
class HuntingQuery:
    """One query that was run; `timespan` is empty where none was given."""

    at: datetime
    query: str
    timespan: str = ""


class HuntingApi:
    """Answers `/security/runHuntingQuery`."""

    def __init__(self) -> None:
        self.limits = HuntingLimits()
        self._rows: dict[str, tuple[HuntingRow, ...]] = {}
        self._calls: deque[datetime] = deque()
        self._queries: list[HuntingQuery] = []

    @property
    def queries(self) -> tuple[HuntingQuery, ...]:
        """The queries that were answered with rows, oldest first."""
        return tuple(self._queries)

    def set_rows(self, query: str, rows: Sequence[HuntingRow]) -> None:
        """Answer this query text (`*`: every other) with these rows."""
        self._rows[_fold(query)] = tuple(rows)

    def clear(self) -> None:
        """Forget rows, queries and calls."""
        self._rows.clear()
        self._calls.clear()
        self._queries.clear()

    def answer(self, call: GraphCall) -> Answer:
        """Return the answer to a query. Raises RefusedError: 400, 405, 415, 429, or 501 for a text without rows."""
        require_method(call, "POST")
        require_json(call)
        if call.target.query:
            raise bad_request("Query options are not supported here.")
        self._count_call(call.at)
        asked = _read_query(parse_body(call.body), call.at)
        rows = self._rows.get(_fold(asked.query), self._rows.get("*"))
        if rows is None:
            raise not_simulated("rows for this query")
        self._queries.append(asked)
        return answer_json(_render_rows(rows[: self.limits.rows], call))

    def _count_call(self, at: datetime) -> None:
        while self._calls and self._calls[0] <= at - _MINUTE:
            self._calls.popleft()
        if len(self._calls) >= self.limits.calls_per_minute:
            free_in = self._calls[0] + _MINUTE - at if self._calls else _MINUTE
            wait = str(math.ceil(free_in.total_seconds()))
            raise RefusedError(
                429, "TooManyRequests", "The call quota is used up.", retry_after=wait, throttle="hunting_1_min"
            )
        self._calls.append(at)


def _fold(query: str) -> str:
    return " ".join(query.split())


def _read_query(body: Body, at: datetime) -> HuntingQuery:
    values = {name[:1].lower() + name[1:]: value for name, value in body.items()}
    if len(values) != len(body) or values.keys() - {"query", "timespan"}:
        raise bad_request("The action takes 'Query' and 'Timespan' and nothing else.")
    query, timespan = values.get("query"), values.get("timespan")
    if not isinstance(query, str) or _is_malformed(query):
        raise bad_request("Syntax error: the query is missing or is no query.")
    if timespan is not None and not (isinstance(timespan, str) and _is_timespan(timespan)):
        raise bad_request("The value of 'Timespan' is no ISO 8601 duration, instant or interval.")
    return HuntingQuery(at, query, timespan or "")


def _is_malformed(query: str) -> bool:
    code = _QUIET.sub(" x ", query)
    steps = code.split("|")
    return "'" in code or '"' in code or not all(step.strip() for step in steps) or not _is_balanced(code)


def _is_balanced(code: str) -> bool:
    opened: list[str] = []
    for mark in code:
        if mark in "([{":
            opened.append(mark)
        elif mark in _PAIRS and (not opened or opened.pop() != _PAIRS[mark]):
            return False
    return not opened


def _is_timespan(text: str) -> bool:
    """Return whether `text` is one of the five forms: duration, instant, and an interval of two of them."""
    kinds = [_name_time(part) for part in text.split("/")]
    return kinds in (
        ["duration"],
        ["instant"],
        ["instant", "instant"],
        ["instant", "duration"],
        ["duration", "instant"],
    )


def _name_time(text: str) -> str:
    if _DURATION.fullmatch(text):
        return "duration"
    try:
        parse_instant(text)
    except ValueError:
        return ""
    return "instant"


def _render_rows(rows: Sequence[HuntingRow], call: GraphCall) -> dict[str, object]:
    columns = {name: value for row in reversed(rows) for name, value in row.items() if value is not None}
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    context = f"{call.base_url}/{call.target.version}/$metadata#microsoft.graph.security.huntingQueryResults"
    return {
        "@odata.context": context,
        "schema": [{"name": name, "type": _name_type(columns.get(name))} for name in names],
        "results": [{name: row.get(name) for name in names} for row in rows],
    }


def _name_type(value: object) -> str:
    """Return the type name of a column, judged by its first value as far as JSON shows it."""
    match value:
        case bool():
            return "SByte"
        case int():
            return "Int64"
        case float():
            return "Double"
        case str():
            return "DateTime" if _name_time(value) == "instant" else "String"
    return "Object"
