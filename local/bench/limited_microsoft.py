"""Microsoft's side of a storm in simulated time: strict about its limits, and it remembers when each POST arrived.

The limits are the Graph simulator's own (`Quota`); only HTTP is left out, so that a day passes in seconds.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime

from local.functions_host import SimulatedClock
from local.graph_simulator.quota import Quota
from shared.domain.errors import Throttled
from shared.domain.model import Kind
from shared.domain.submissions import ReviewOrder, SubmissionOrder, ThreatSubmission

LEAST_S, MOST_S = 0.5, 3.0
"""How long a POST takes; it arrives at any moment of that time."""


@dataclass
class LimitedMicrosoft:
    """The `ThreatSubmissions` port over Microsoft's documented limits."""

    clock: SimulatedClock
    random: random.Random
    quota: Quota = field(default_factory=Quota)
    arrivals: list[datetime] = field(default_factory=list)
    arrival_of: dict[str, datetime] = field(default_factory=dict)
    refusals: int = 0
    _submissions: list[ThreatSubmission] = field(default_factory=list)

    async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
        """Take a submission, or refuse it with 429 and the exact time to wait."""
        takes_s = self.random.uniform(LEAST_S, MOST_S)
        until_arrival_s = self.random.uniform(0, takes_s)
        await self.clock.sleep(until_arrival_s)
        submission = self._take(order, self.clock.now())
        await self.clock.sleep(takes_s - until_arrival_s)
        return submission

    async def review(self, order: ReviewOrder) -> None:
        """Nothing is reviewed here."""
        raise NotImplementedError

    async def listed(self, kind: Kind, since: datetime) -> list[ThreatSubmission]:
        """Everything since then, settled; a storm holds mail only."""
        if kind is not Kind.EMAIL:
            return []
        return self._submissions[bisect_left(self.arrivals, since) :]

    async def reports_reach_microsoft(self) -> bool:
        """Reports go to the reporting mailbox only."""
        return False

    def _take(self, order: SubmissionOrder, at: datetime) -> ThreatSubmission:
        item = order.recipient or ""
        exhaustion = self.quota.find_exhaustion(item, at)
        if exhaustion is not None:
            self.refusals += 1
            raise Throttled("submit", 429, "TooManyRequests", retry_after_s=exhaustion.free_in.total_seconds())
        self.quota.use(item, at)
        self.arrivals.append(at)
        self.arrival_of[order.attempt_id.partition("-")[0]] = at
        submission = ThreatSubmission(
            submission_id=f"at-microsoft-{len(self.arrivals)}",
            created_at=at,
            category=order.category.value,
            status="succeeded",
            result_category="phishing",
            recipient=order.recipient,
        )
        self._submissions.append(submission)
        return submission
