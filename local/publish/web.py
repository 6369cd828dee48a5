"""HTTPS requests with a token. Invariant: no token goes over plain HTTP, nor on to where a redirection points."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from local.publish.trouble import excerpt

_ANSWER_WITHIN_S = 100
_UPLOAD_WITHIN_S = 600


class NoAnswer(Exception):
    """Nothing came back: name not found, connection refused or lost, certificate not trusted, time over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered."""

    status: int
    body: bytes

    @property
    def is_busy(self) -> bool:
        """Whether the same request may be answered otherwise in a while."""
        return self.status == 429 or self.status >= 500

    def json(self) -> Any:
        """Return the body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def told(self) -> str:
        """Return status and beginning of the body, for people."""
        return f"{self.status} {excerpt(self.body.decode(errors='replace'))}".strip()


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """No request follows a redirection: its status is the answer."""


_OPENER = urllib.request.build_opener(_NoRedirection())


def send(method: str, url: str, token: str, package: bytes | None = None) -> Answer:
    """Send one request, with a package as its body or with none; return the answer, whatever its status is.

    Raises NoAnswer where none came.
    """
    if not url.startswith("https://"):
        raise ValueError(f"a token goes over HTTPS only, not to {url}")
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    if package is not None:
        headers |= {"Content-Type": "application/zip", "Cache-Control": "no-cache"}
    elif method == "POST":
        headers["Content-Type"] = "application/json"  # else urllib says that a form is coming
    body = b"" if package is None and method == "POST" else package
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - HTTPS, as checked above
    try:
        with _OPENER.open(request, timeout=_ANSWER_WITHIN_S if package is None else _UPLOAD_WITHIN_S) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise NoAnswer(excerpt(f"{type(error).__name__}: {reason}")) from None
