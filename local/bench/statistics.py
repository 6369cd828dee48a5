"""What keeping the table `statistics` costs, of a day's storage calls at 1,000 reports a day, in simulated time.

Verdicts come at any time within three days, so that four days change all the time: the most that there can be before a
row expires. Calls are counted at the tables' ports, a page of a thousand rows as one. What the app asks of the queues
and containers, what collecting costs and what the host does is left out, so the true share is smaller.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from local.bench.figures import Figure, Target
from local.bench.limited_microsoft import LimitedMicrosoft
from local.bench.simulated_day import SimulatedDay, simulated_day
from shared.adapters.storage import PAGE_ROWS
from shared.domain.model import Kind
from shared.domain.submissions import ThreatSubmission
from shared.ports import Row, Table

REPORTS_A_DAY = 1_000
VERDICT_WITHIN = timedelta(days=3)
START = datetime(2026, 11, 23, tzinfo=UTC)
LOOK_EVERY = timedelta(minutes=5)
SEED = 21


@dataclass(slots=True)
class Calls:
    """How many there were."""

    count: int = 0


class CountedTable:
    """A table that counts what is asked of it."""

    def __init__(self, port: Table, calls: Calls) -> None:
        self._port = port
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        self._calls.count += 1
        return getattr(self._port, name)

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[Row]:
        """The rows, a call for each page of them."""
        number = 0
        self._calls.count += 1
        async for row in self._port.scan(*args, **kwargs):
            if number and number % PAGE_ROWS == 0:
                self._calls.count += 1
            number += 1
            yield row


class LateMicrosoft(LimitedMicrosoft):
    """Microsoft, which takes up to three days for a verdict."""

    async def listed(self, kind: Kind, since: datetime) -> list[ThreatSubmission]:
        """Every submission since then; most of them wait."""
        now = self.clock.now()
        return [self._as_it_is(one, now) for one in await super().listed(kind, since)]

    def _as_it_is(self, submission: ThreatSubmission, now: datetime) -> ThreatSubmission:
        share = int(submission.submission_id.rpartition("-")[2]) * 37 % 100 / 100
        if now - (submission.created_at or now) >= VERDICT_WITHIN * share:
            return submission
        return replace(submission, status="running", result_category=None)


async def measure() -> list[Figure]:
    """The share of the calls of the last of four days."""
    calls = Calls()

    def counted(table: Table) -> Table:
        return cast(Table, CountedTable(table, calls))

    async with simulated_day(START, SEED, microsoft_of=LateMicrosoft, seen_through=counted) as day:
        for _ in range(3):
            await _live_a_day(day, calls)
        before = calls.count
        spent = await _live_a_day(day, calls)
        whole = calls.count - before
    told = f"{spent:,} of {whole:,} calls of tables, verdicts within {VERDICT_WITHIN.days} days"
    share = 100 * spent / whole
    return [
        Figure(
            name=f"keeping statistics, {REPORTS_A_DAY:,} reports a day",
            value=share,
            unit="percent of the storage calls",
            target=Target("<=", 2),
            note=told,
        )
    ]


async def _live_a_day(day: SimulatedDay, calls: Calls) -> int:
    """Let a day go by; returns the calls of keeping the statistics."""
    looks = timedelta(days=1) // LOOK_EVERY
    spent = 0
    for number in range(looks):
        count = (number + 1) * REPORTS_A_DAY // looks - number * REPORTS_A_DAY // looks
        await day.collect(count)
        await day.clock.advance(LOOK_EVERY.total_seconds())
        before = calls.count
        await day.use_cases.keep_statistics.run()
        spent += calls.count - before
    return spent
