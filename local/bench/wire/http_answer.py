"""An answer of the storage services, before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and what headers are its own; `rows` is how many entities it gives, `written` how many it wrote."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to one service: the path behind the account, without its first slash."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class NotKnownError(Exception):
    """The request is none that the app makes: it is answered 501, so that it is seen."""
