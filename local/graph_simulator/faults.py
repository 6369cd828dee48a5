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
    RESET = "reset"  # the connection is cut
    HANG = "hang"  # nothing for `delay_s`, then the connection is cut
    WITHOUT_ID = "without_id"  # the true JSON without its `id`
    UNKNOWN_VALUE = "unknown_value"  # the true JSON with enum values from the future in status and result
    DRIP = "drip"  # the true body in ten pieces, `delay_s` apart
    TRUNCATED = "truncated"  # half of the true body, then the connection is cut


# These need the true answer, so they always strike after the effect.
_TRUE_ANSWER_KINDS = frozenset({FaultKind.WITHOUT_ID, FaultKind.UNKNOWN_VALUE, FaultKind.DRIP, FaultKind.TRUNCATED})


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
