"""Sweeping: moving rows on whose worker or queue message is gone.

A slot that was never stamped proves that nothing was sent, and taking it back makes sure that nothing will be: whoever
still has the row finds the slot gone. So such a row simply waits anew. A row whose slot was stamped, or whose slot is
not known any more, may be at Microsoft: it becomes `uncertain` once no worker can be alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...domain.lifecycle import move
from ...domain.model import State
from ...domain.turns import WORKER_SURELY_GONE
from ...ports import Clock
from ...stores.ledger import Ledger, Step, WorkItem
from ...stores.quota import QuotaStore, StoredSlot, slot_owner, slot_time
from ...telemetry import Event, emit
from ..trouble import Trouble


class Sweeper:
    """Moves on what stopped processes left behind; each step may be repeated."""

    def __init__(self, ledger: Ledger, quota: QuotaStore, trouble: Trouble, clock: Clock) -> None:
        self._ledger = ledger
        self._quota = quota
        self._trouble = trouble
        self._clock = clock

    async def take_back(self, slot: StoredSlot) -> None:
        """Take back a slot that no worker can use any more, and let its row wait anew."""
        if not await self._quota.drop_unused(slot):
            return
        item = await self._ledger.in_flight(slot_owner(slot.name))
        if item is not None and item.slot == slot.name:
            await self._trouble.each([item], self._unsent)

    async def left_behind(self, stop_at: datetime) -> None:
        """Move on every row in flight whose worker is gone for sure, until then."""
        now = self._clock.now()
        for item in await self._ledger.all_in_flight():
            if now >= slot_time(item.slot or "") + WORKER_SURELY_GONE:
                await self._trouble.each([item], self._sweep)
            if self._clock.now() >= stop_at:
                return

    async def _sweep(self, items: Sequence[WorkItem]) -> int:
        for item in items:
            slot = await self._quota.slot(item.slot or "")
            if slot is not None and slot.is_open:
                await self.take_back(slot)
            elif slot is not None and slot.slot.sent_at is None:
                await self._unsent([item])
            else:
                await self._maybe_sent(item, await self._sent_at(item) if slot is None else slot.slot.sent_at)
        return len(items)

    async def _sent_at(self, item: WorkItem) -> datetime:
        """When the POST under a slot that is gone left, or may have: its item's turn remembers it for a day."""
        slot_at = slot_time(item.slot or "")
        sent = (await self._quota.turn_of(item.outcome.item_key)).sent
        return next((at for at in sent if slot_at <= at < slot_at + WORKER_SURELY_GONE), slot_at)

    async def _maybe_sent(self, item: WorkItem, sent_at: datetime | None) -> None:
        """Move on a row whose slot was stamped, or is not known any more: its POST may have arrived."""
        stored = await self._ledger.get(item.outcome.key)
        is_in_flight = stored is not None and stored.outcome.state in (State.DISPATCHED, State.SUBMITTING)
        if stored is not None and is_in_flight and not item.tells_of(stored.outcome):
            await self._ledger.refile(item)  # in flight anew: what is known is about an earlier slot
        elif stored is not None and stored.outcome.state is State.DISPATCHED:
            await self._unsent([item])
        elif stored is not None and stored.outcome.state is State.SUBMITTING:
            emit(Event.ANSWER_LOST, submission_id=item.outcome.key.submission_id, reason="worker_stopped")
            uncertain = move(stored.outcome, State.UNCERTAIN, reason="worker_stopped")
            await self._ledger.step(Step(item, uncertain, stored, {"sent_at": sent_at}))
        else:
            await self._ledger.refile(item, {"sent_at": sent_at})

    async def _unsent(self, items: Sequence[WorkItem]) -> int:
        """Let rows wait anew under whose slot nothing was sent and nothing will be."""
        for item in items:
            stored = await self._ledger.get(item.outcome.key)
            is_in_flight = stored is not None and stored.outcome.state in (State.DISPATCHED, State.SUBMITTING)
            if stored is None or not is_in_flight or not item.tells_of(stored.outcome):
                await self._ledger.refile(item)
                continue
            emit(Event.SLOT_MISSED, submission_id=item.outcome.key.submission_id)
            waiting = move(
                stored.outcome,
                State.PENDING,
                reason="slot_missed",
                dispatched_at=None,
                attempts=item.outcome.attempts,
            )
            if await self._ledger.step(Step(item, waiting, stored)) is not None:
                await self._quota.end_turn(item)
        return len(items)
