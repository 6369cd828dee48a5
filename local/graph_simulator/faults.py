"""Faults: what goes wrong on the way, for which requests, and how often.

A fault is plain data, so that a test in another process can set it too. Latencies add up; of all other faults that
match a request, the one set first is played. Whether a fault strikes before or after the effect is part of it: a lost
answer leaves a submission behind, a reset connection does not.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count


class FaultKind(StrEnum):
    """What happens to a request."""

    LATENCY = "latency"  # `delay_s` passes first
    STATUS = "status"  # a Graph error with `status`, `code`, `message`, `retry_after`
    HTML = "html"  # an HTML page with `status`
    EMPTY = "empty"  # an empty body with `status`
    BODY = "body"  # `body` declared as JSON, with `status`
    RESET = "reset"  # the connection is cut
    HANG = "hang"  # nothing for `delay_s`, then the connection is cut
    WITHOUT_ID = "without_id"  # the true JSON without its `id`
    UNKNOWN_VALUE = "unknown_value"  # the true JSON with enum values from the future in status and result
    WITHOUT_ROWS = "without_rows"  # the true JSON without its `value` (hunting: `results`)
    WRONG_TYPES = "wrong_types"  # the true JSON with rows, and values in them, of types they never have
    NEXT_LINK = "next_link"  # the true JSON with `link` as nextLink, or with the request itself for an empty `link`
    ENDLESS = "endless"  # an empty page with a nextLink that no other page had
    DRIP = "drip"  # the true body in ten pieces, `delay_s` apart
    TRUNCATED = "truncated"  # half of the true body, then the connection is cut


# These need the true answer, so they always strike after the effect.
_TRUE_ANSWER_KINDS = frozenset(
    {
        FaultKind.WITHOUT_ID,
        FaultKind.UNKNOWN_VALUE,
        FaultKind.WITHOUT_ROWS,
        FaultKind.WRONG_TYPES,
        FaultKind.NEXT_LINK,
        FaultKind.DRIP,
        FaultKind.TRUNCATED,
    }
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which requests: a method, a pattern found in path and query, every `every`-th of those, at most `times` times."""

    method: str | None = None
    path: str | None = None
    every: int = 1
    times: int | None = None


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `after_effect` lets the request do its work first; `name` is what the request log shows."""

    kind: FaultKind
    scope: Scope = EVERYWHERE
    name: str = ""
    after_effect: bool = False
    status: int = 503
    code: str = "ServiceUnavailable"
    message: str = "The service is temporarily unavailable."
    retry_after: str | None = None
    delay_s: float = 0.0
    body: str = ""
    link: str = ""

    @property
    def shown_name(self) -> str:
        """The name, or the kind where none was given."""
        return self.name or self.kind.value

    @property
    def lets_effect_happen(self) -> bool:
        """Whether the request does its work before the fault strikes."""
        return self.after_effect or self.kind in _TRUE_ANSWER_KINDS


@dataclass(frozen=True, slots=True)
class Misfortune:
    """What befalls one request."""

    latency_s: float = 0.0
    fault: Fault | None = None


NOTHING = Misfortune()


@dataclass(slots=True)
class _Armed:
    fault: Fault
    pattern: re.Pattern[str] = field(init=False)
    seen: int = 0
    played: int = 0

    def __post_init__(self) -> None:
        self.pattern = re.compile(self.fault.scope.path or "")

    def strikes(self, method: str, target: str) -> bool:
        scope = self.fault.scope
        if scope.method not in {None, method} or not self.pattern.search(target):
            return False
        self.seen += 1
        if self.seen % scope.every or (scope.times is not None and self.played >= scope.times):
            return False
        self.played += 1
        return True


class FaultPlan:
    """The faults set now."""

    def __init__(self) -> None:
        self._armed: dict[int, _Armed] = {}
        self._handles = count(1)

    def add(self, fault: Fault) -> int:
        """Set a fault and return a handle to remove it by."""
        handle = next(self._handles)
        self._armed[handle] = _Armed(fault)
        return handle

    def remove(self, handle: int) -> None:
        """Remove a fault; one already gone is no error."""
        self._armed.pop(handle, None)

    def remove_named(self, name: str) -> None:
        """Remove the faults with this name."""
        for handle in [key for key, armed in self._armed.items() if armed.fault.shown_name == name]:
            del self._armed[handle]

    def clear(self) -> None:
        """Remove all faults."""
        self._armed.clear()

    def strike(self, method: str, target: str) -> Misfortune:
        """Return what befalls a request; counts it for every fault asked."""
        if not self._armed:
            return NOTHING
        latency_s, fault = 0.0, None
        for armed in self._armed.values():
            if fault is not None and armed.fault.kind is not FaultKind.LATENCY:
                continue
            if not armed.strikes(method, target):
                continue
            if armed.fault.kind is FaultKind.LATENCY:
                latency_s += armed.fault.delay_s
            else:
                fault = armed.fault
        return Misfortune(latency_s, fault)


def throttle(retry_after: str | None = "10", scope: Scope = EVERYWHERE, code: str = "TooManyRequests") -> Fault:
    """Return a 429 with this Retry-After (seconds, an HTTP-date, or None for none)."""
    return Fault(
        FaultKind.STATUS, scope, "throttle", status=429, code=code, message="Please retry.", retry_after=retry_after
    )


def answer_status(status: int, scope: Scope = EVERYWHERE, *, code: str = "", after_effect: bool = False) -> Fault:
    """Return a Graph error with this status, before or after the effect."""
    name = f"status_{status}{'_after_effect' if after_effect else ''}"
    return Fault(FaultKind.STATUS, scope, name, after_effect=after_effect, status=status, code=code or f"Error{status}")


def answer_html(status: int = 502, scope: Scope = EVERYWHERE, *, after_effect: bool = False) -> Fault:
    """Return an HTML page where JSON is due."""
    return Fault(FaultKind.HTML, scope, after_effect=after_effect, status=status)


def answer_empty(status: int = 200, scope: Scope = EVERYWHERE, *, after_effect: bool = True) -> Fault:
    """Return an answer without a body."""
    return Fault(FaultKind.EMPTY, scope, after_effect=after_effect, status=status)


def answer_body(body: str, scope: Scope = EVERYWHERE, *, status: int = 200, after_effect: bool = True) -> Fault:
    """Return this text, declared as JSON: no object, or no JSON."""
    return Fault(FaultKind.BODY, scope, after_effect=after_effect, status=status, body=body)


def refuse_filter(path: str = "") -> Fault:
    """Return the 400 of a list that takes no `$filter`; the same list without one is answered."""
    where = Scope(method="GET", path=path + r".*[?&](\$|%24)filter=")
    return Fault(FaultKind.STATUS, where, "filter_refused", status=400, code="BadRequest", message="Invalid filter.")


def omit_rows(scope: Scope = EVERYWHERE) -> Fault:
    """Return true answers without `value` (hunting: `results`)."""
    return Fault(FaultKind.WITHOUT_ROWS, scope)


def mistype_rows(scope: Scope = EVERYWHERE) -> Fault:
    """Return true answers whose rows, and the values in them (of a single object: its values), have wrong types."""
    return Fault(FaultKind.WRONG_TYPES, scope)


def link_to(link: str, scope: Scope = EVERYWHERE) -> Fault:
    """Return true answers with this nextLink: a foreign host, or for an empty text the page itself."""
    return Fault(FaultKind.NEXT_LINK, scope, link=link)


def page_endlessly(scope: Scope = EVERYWHERE) -> Fault:
    """Return empty pages, each with a nextLink that no other had."""
    return Fault(FaultKind.ENDLESS, scope)


def lose_answer(scope: Scope = EVERYWHERE) -> Fault:
    """Return a fault that lets the request do its work and cuts the connection instead of answering."""
    return Fault(FaultKind.RESET, scope, "lost_answer", after_effect=True)


def reset_connection(scope: Scope = EVERYWHERE) -> Fault:
    """Return a fault that cuts the connection before the request is read."""
    return Fault(FaultKind.RESET, scope)


def expire_delta(scope: Scope | None = None) -> Fault:
    """Return the 410 of a delta or next link that is gone."""
    where = scope or Scope(path=r"/delta(\(\))?\?.*token=")
    return Fault(
        FaultKind.STATUS, where, "delta_gone", status=410, code="SyncStateNotFound", message="Resync required."
    )


OUTAGE = "outage"


def fail_everything(status: int | None = 503) -> Fault:
    """Return an outage: every request gets this status, or a cut connection for None."""
    if status is None:
        return Fault(FaultKind.RESET, name=OUTAGE)
    return Fault(FaultKind.STATUS, name=OUTAGE, status=status)
