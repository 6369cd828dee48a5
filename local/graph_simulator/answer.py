"""What the simulator answers: a finished answer, or a refusal that becomes one.

An answer is plain data, so that a fault can still cut, delay, empty or replace it. Nothing here knows HTTP.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

JSON_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `effect` is the id of the submission or the mail it created, `throttle` the limit that refused it."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    effect: str | None = None
    throttle: str | None = None


class RefusedError(Exception):
    """The simulator refuses a request as Graph would: status, Graph's error code, a message, and what throttled it."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: str | None = None, throttle: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.throttle = throttle


def answer_json(payload: Mapping[str, object], status: int = 200, *, effect: str | None = None) -> Answer:
    """Return `payload` as a JSON answer."""
    return Answer(status, json.dumps(payload).encode(), effect=effect)


def answer_refusal(refusal: RefusedError, *, at: datetime, request_id: str, client_request_id: str) -> Answer:
    """Return Graph's error body for a refusal (learn.microsoft.com/graph/errors)."""
    inner = {"date": f"{at:%Y-%m-%dT%H:%M:%S}", "request-id": request_id, "client-request-id": client_request_id}
    error = {"code": refusal.code, "message": refusal.message, "innerError": inner}
    headers = {} if refusal.retry_after is None else {"Retry-After": refusal.retry_after}
    body = json.dumps({"error": error}).encode()
    return Answer(refusal.status, body, headers=headers, throttle=refusal.throttle)


def bad_request(message: str, code: str = "BadRequest") -> RefusedError:
    """Return a 400 refusal."""
    return RefusedError(400, code, message)


def unknown_segment(segment: str) -> RefusedError:
    """Return Graph's refusal of a path it does not know."""
    return bad_request(f"Resource not found for the segment '{segment}'.")


def method_not_allowed(method: str) -> RefusedError:
    """Return the refusal of a method that a path does not take."""
    return RefusedError(405, "Request_BadRequest", f"Specified HTTP method {method} is not allowed for this path.")


def not_simulated(what: str) -> RefusedError:
    """Return a 501 for what Graph may know and this stand-in does not, so that nobody mistakes it for Graph's word."""
    return RefusedError(501, "NotSimulated", f"The simulator does not know {what}.")
