"""Refusals: a row that Microsoft refused is rejected once that cannot have been an outage.

A refusal of one row looks like the first one of everything. So the row waits until another one was accepted, or a day
has passed. Where an outage began behind the refusal, that is to blame, and the row goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...domain.lifecycle import move
from ...domain.model import State
from ...domain.retries import REFUSED, is_for_good
from ...ports import Clock
from ...stores.ledger import Ledger, Step, WorkItem
from ...stores.quota import Quota, QuotaStore
from ...telemetry import Event, emit
from ..trouble import Trouble


class Refusals:
    """Rejects waiting rows that were refused for what they are."""

    def __init__(self, ledger: Ledger, quota: QuotaStore, trouble: Trouble, clock: Clock) -> None:
        self._ledger = ledger
        self._quota = quota
        self._trouble = trouble
        self._clock = clock

    async def run(self, stop_at: datetime) -> None:
        """Reject them, until then; what is left is done at the next run."""
        now, quota = self._clock.now(), None
        async for item in self._ledger.refused():
            quota = quota or await self._quota.quota()
            if _is_for_good(item, quota, now):
                await self._trouble.each([item], self._reject)
            if self._clock.now() >= stop_at:
                return

    async def _reject(self, items: Sequence[WorkItem]) -> int:
        for item in items:
            stored = await self._ledger.get(item.outcome.key)
            if stored is None or stored.outcome.state is not State.PENDING or not item.tells_of(stored.outcome):
                await self._ledger.refile(item)
                continue
            emit(Event.SUBMISSION_REFUSED, submission_id=item.outcome.key.submission_id, reason=REFUSED)
            filed = {"sent_at": item.refused_at, "refused_at": None}
            await self._ledger.step(Step(item, move(stored.outcome, State.REJECTED, reason=REFUSED), stored, filed))
        return len(items)


def _is_for_good(item: WorkItem, quota: Quota, now: datetime) -> bool:
    if item.refused_at is None or not quota.blames(item.refused_at):
        return False
    return is_for_good(now - item.refused_at, others_accepted=quota.accepted_since(item.refused_at))
