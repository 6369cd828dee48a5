"""What an error of Graph's means for a line, and what to do about it.

Only an answer that says no is a fault of the tenant: `WRONG`. Where Graph is busy, ill or unreadable nothing follows
for the tenant: `unclear`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.errors import GraphError, NotAllowed, Refused, Throttled
from .findings import Result, unclear, wrong

_NO_LICENCE = "Graph names the licence: the tenant needs Defender for Office 365 for this; then try again."
_NO_IDENTITY = "Graph does not take the token. Is the host's clock right, and TENANT_ID the tenant of the identity?"


@dataclass(frozen=True, slots=True)
class Remedies:
    """What to do where Graph forbids it (403), and where it refuses it as wrong or unknown (400, 404)."""

    forbidden: str
    refused: str


def graph_trouble(error: GraphError, remedies: Remedies) -> Result:
    """The result that an error stands for."""
    found = _told(error)
    if isinstance(error, Throttled):
        wait_s = 60 if error.retry_after_s is None else max(1, round(error.retry_after_s))
        return unclear(found, f"Graph is busy with this tenant. Try again in {wait_s} seconds.")
    if isinstance(error, NotAllowed):
        return wrong(found, _allowing(error, remedies))
    if isinstance(error, Refused):
        return wrong(found, remedies.refused)
    return unclear(found)


def is_role_missing(error: NotAllowed) -> bool:
    """Whether a refusal is about a permission, not about the token or a licence."""
    return error.status == 403 and not _names_licence(error)


def _allowing(error: NotAllowed, remedies: Remedies) -> str:
    if error.status != 403:
        return _NO_IDENTITY
    return _NO_LICENCE if _names_licence(error) else remedies.forbidden


def _names_licence(error: GraphError) -> bool:
    return "licens" in (error.code or "").lower()


def _told(error: GraphError) -> str:
    words = " ".join(str(word) for word in (error.status, error.code) if word)
    return f"{words} (request {error.request_id})" if error.request_id else words or type(error).__name__
