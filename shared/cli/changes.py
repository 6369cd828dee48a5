"""Each change of the feed once, in the order in which the changes were appended: the consumer without input and output.

Row keys ascend by their writers' clocks, so a row may appear behind newer ones; `Timestamp`, set by the service, tells
the real order. A pass therefore begins `OVERLAP_MS` before the last one's end, leaves out what was delivered, and takes
only what was appended before it began. The invariant: whatever a cursor does not cover is read again. It needs nothing
but the standard library, so that a consumer of yours can copy this file.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

OVERLAP_MS = 30 * 60 * 1000
"""How much later than the time in its key a row is looked for: what a stopped function left is made good within
about twenty minutes (the ten of `functionTimeout` in host.json among them), and clocks differ by less than the rest."""

AHEAD_MS = 5 * 60 * 1000
"""How far a writer's clock may be ahead of the service's."""


_KEY = re.compile(r"[0-9]{13}-[0-9a-f]{32}-[0-9]{3,}")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a consumer is: it has every row before `since_ms`, and of the rows from there on the `delivered` ones.

    `since_ms` counts from 1970-01-01 UTC, as row keys do; `delivered` holds row keys.
    """

    since_ms: int
    delivered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """A row of the feed, with the service's time of its append."""

    appended_at: datetime
    key: str
    row: Mapping[str, Any] = field(compare=False)


def read_cursor(text: str) -> Cursor:
    """The cursor that `write_cursor` wrote. Raises ValueError where the text is none: stop, do not start anew."""
    match json.loads(text):
        case {"sinceMs": int(since_ms), "delivered": [*keys]} if 0 <= since_ms < 10**13 and all(map(_is_key, keys)):
            return Cursor(since_ms, frozenset(keys))
    raise ValueError("not a cursor")


def write_cursor(cursor: Cursor) -> str:
    """The cursor as JSON text."""
    return json.dumps({"sinceMs": cursor.since_ms, "delivered": sorted(cursor.delivered)})


def queries(cursor: Cursor, first_day: str, began_at: datetime) -> Iterator[str]:
    """The OData filters of a pass, one for each day, ascending.

    `first_day` is the partition of the first row from the cursor's own day on, `began_at` the service's time. A day's
    rows are one range of keys, which is what Table Storage reads without looking at others.
    """
    day = max(first_day, _day(cursor.since_ms))
    last = _day(epoch_ms(began_at) + AHEAD_MS)
    while day <= last:
        yield f"PartitionKey eq '{day}' and RowKey ge '{cursor.since_ms:013d}'"
        day = (datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1)).strftime("%Y%m%d")


def first_query(cursor: Cursor) -> str:
    """The filter that finds the first row from the cursor's day on; the answer's `Date` is when the pass began."""
    return f"PartitionKey ge '{_day(cursor.since_ms)}'"


class Pass:
    """One reading of the feed: takes its rows by ascending key, returns those whose turn it is."""

    def __init__(self, cursor: Cursor, began_at: datetime) -> None:
        self._cursor = cursor
        self._began_at = began_at
        self._delivered = set(cursor.delivered)
        self._waiting: list[Change] = []
        self._seen_ms = cursor.since_ms
        self._safe_ms = epoch_ms(began_at) - OVERLAP_MS

    def take(self, change: Change) -> list[Change]:
        """The changes to deliver now that the reading has come to this one; they count as delivered."""
        self._seen_ms = key_ms(change.key)
        if change.appended_at > self._began_at:  # one before it may have been appended behind the reader's back
            self._safe_ms = min(self._safe_ms, self._seen_ms)
        elif change.key not in self._delivered:
            heapq.heappush(self._waiting, change)
        return self._release(self._seen_ms - AHEAD_MS)

    def finish(self) -> list[Change]:
        """The changes that are left at the feed's end."""
        self._seen_ms = self._safe_ms
        return self._release(None)

    def cursor(self) -> Cursor:
        """How far the consumer is once it has kept all that was returned."""
        waiting = (key_ms(change.key) for change in self._waiting)
        since_ms = max(self._cursor.since_ms, min(self._seen_ms, self._safe_ms, *waiting))
        self._delivered = {key for key in self._delivered if key_ms(key) >= since_ms}
        self._cursor = Cursor(since_ms, frozenset(self._delivered))
        return self._cursor

    def _release(self, before_ms: int | None) -> list[Change]:
        """What waits and was appended before that time: no row that is still to be read can be older."""
        released = []
        while self._waiting and (before_ms is None or epoch_ms(self._waiting[0].appended_at) < before_ms):
            released.append(heapq.heappop(self._waiting))
        self._delivered.update(change.key for change in released)
        return released


def key_ms(key: str) -> int:
    """The time in a row key, in milliseconds since 1970-01-01 UTC."""
    return int(key[:13])


def epoch_ms(at: datetime) -> int:
    """Whole milliseconds since 1970-01-01 UTC."""
    return int(at.timestamp() * 1000)


def _is_key(text: object) -> bool:
    return isinstance(text, str) and _KEY.fullmatch(text) is not None


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%d")
