"""How fast a mailbox is read: Graph's refusals, and nothing else, slow it down.

Pure; the times come from the caller. A refusal lets the mailbox rest and begins slowly then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .errors import GraphError, Throttled

CONCURRENT_READS = 4
"""Outlook serves four requests at a time per app and mailbox (Graph throttling limits)."""
SERVED_BEFORE_MORE = 10
REST_UNTOLD = timedelta(minutes=1)
LONGEST_REST = timedelta(days=1)
"""How long a mailbox rests that was refused without a Retry-After or failed, and the longest that Graph may ask for."""


@dataclass(slots=True)
class Pace:
    """How fast a mailbox may be read: one report at a time after a refusal, one more with every ten that are read."""

    at_once: int = CONCURRENT_READS
    served_since: int = 0
    rests_until: datetime | None = None
    refusals: int = 0
    """In a row; how often a rest is waited for within a run hangs on it."""

    def refused(self, error: GraphError, now: datetime) -> None:
        """Rest as long as Graph asks for, and begin slowly then."""
        asked_s = error.retry_after_s if isinstance(error, Throttled) else None
        if asked_s is None:
            self.rest(now)
            return
        self._rest_for(timedelta(seconds=min(max(asked_s, 1), LONGEST_REST.total_seconds())), now)

    def rest(self, now: datetime) -> None:
        """Rest as after a refusal that does not say how long."""
        self._rest_for(REST_UNTOLD, now)

    def served(self) -> None:
        """A report was read without a refusal."""
        self.refusals = 0
        self.served_since += 1
        if self.served_since >= SERVED_BEFORE_MORE:
            self.at_once, self.served_since = min(self.at_once + 1, CONCURRENT_READS), 0

    def _rest_for(self, span: timedelta, now: datetime) -> None:
        self.rests_until = max(self.rests_until or now, now + span)
        self.at_once, self.served_since = 1, 0
        self.refusals += 1

    def is_resting(self, now: datetime) -> bool:
        """Whether nothing may be asked for now."""
        return self.rests_until is not None and now < self.rests_until
