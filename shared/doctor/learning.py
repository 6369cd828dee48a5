"""What Microsoft does not document, or documents in two ways, as far as reads can tell it.

Nothing here is right or wrong, and nothing fails: what cannot be learned is said to be so. The app works either way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..adapters.graph.user_submissions import utc
from ..ports import Clock
from .findings import Result, learned
from .graph_checks import LIST
from .ports import NoAnswerError, NoTokenError, Reply, Web

_LIMIT_HEADERS = ("ratelimit", "retry-after", "x-ms-throttle", "x-ms-resource-unit")
_NOTHING = "Graph gave no answer to learn from"


async def filters(web: Web, clock: Clock) -> Result:
    """Whether the list takes `$filter` on its creation time: documented, and yet refused in some tenants."""
    reply = await _asked(web, f"{LIST}&$filter=createdDateTime%20ge%20{utc(clock.now())}")
    if reply is None:
        return learned(_NOTHING)
    if reply.status == 200:
        return learned("taken")
    return learned(f"refused with {reply.status}: the app reads the whole list and leaves out what is old")


async def creators(web: Web) -> Result:
    """Whether `createdBy` is nested as in the documentation's samples, or flat as in the metadata."""
    reply = await _asked(web, LIST)
    rows = [] if reply is None else _rows(reply.body)
    if not rows:
        return learned("nothing yet; ask again after a submission")
    shapes = Counter(_shape(row.get("createdBy")) for row in rows)
    told = ", ".join(f"{shape} in {count}" for shape, count in shapes.most_common())
    without = sum(not row.get("internetMessageId") for row in rows)
    return learned(f"{told} of {len(rows)} submissions; {without} without an internet message id")


async def limits(web: Web) -> Result:
    """Which of its limits Graph tells in headers."""
    reply = await _asked(web, LIST)
    if reply is None:
        return learned(_NOTHING)
    told = _limit_headers(reply.headers)
    return learned(", ".join(told) if told else "none")


def _limit_headers(headers: Mapping[str, str]) -> list[str]:
    return [f"{name}: {value[:60]}" for name, value in sorted(headers.items()) if name.startswith(_LIMIT_HEADERS)]


async def _asked(web: Web, path: str) -> Reply | None:
    try:
        return await web.ask_graph(path)
    except (NoAnswerError, NoTokenError):
        return None


def _rows(body: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return []
    rows = found.get("value") if isinstance(found, dict) else None
    return [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []


def _shape(created_by: Any) -> str:
    if not isinstance(created_by, dict):
        return "absent"
    if isinstance(created_by.get("user"), dict):
        return "nested"
    return "flat" if created_by.keys() & {"id", "displayName", "email"} else "strange"
