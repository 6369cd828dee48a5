"""Sweeping: moving rows on whose worker or queue message is gone.

A slot that was never stamped proves that nothing was sent, and taking it back makes sure that nothing will be: whoever
still has the row finds the slot gone. So such a row simply waits anew. A row whose slot was stamped, or whose slot is
not known any more, may be at Microsoft: it becomes `uncertain` once no worker can be alive.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.errors import Missing
from shared.domain.lifecycle import is_final, move
from shared.domain.model import Outcome, State
from shared.domain.planner import SLOT_LIFETIME
from shared.ports import Clock
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import KEPT, StoredSlot, WorkItem, Worklist, slot_owner, slot_time
from shared.telemetry import Event, emit

LONGEST_INVOCATION = timedelta(minutes=10)
"""`functionTimeout` in host.json: no worker lives longer than this after it took a message."""
WORKER_SURELY_GONE = SLOT_LIFETIME + LONGEST_INVOCATION + timedelta(minutes=1)
"""A worker takes its message before the slot's lifetime is over, so this long after the slot's moment none is left."""


class Sweeper:
    """Moves on what stopped processes left behind; each step may be repeated."""

    def __init__(self, outcomes: OutcomeStore, worklist: Worklist, clock: Clock) -> None:
        self._outcomes = outcomes
        self._worklist = worklist
        self._clock = clock

    async def take_back(self, slot: StoredSlot) -> None:
        """Take back a slot that no worker can use any more, and let its row wait anew."""
        if not await self._worklist.drop_unused(slot):
            return
        item = await self._worklist.in_flight(slot_owner(slot.name))
        if item is not None and item.slot == slot.name:
            await self._unsent(item)

    async def left_behind(self) -> None:
        """Move on every row in flight whose worker is gone for sure."""
        now = self._clock.now()
        for item in await self._worklist.all_in_flight():
            if now >= slot_time(item.slot or "") + WORKER_SURELY_GONE:
                await self._sweep(item)

    async def _sweep(self, item: WorkItem) -> None:
        slot = await self._worklist.slot(item.slot or "")
        if slot is not None and slot.slot.sent_at is None:
            await self.take_back(slot)
            return
        sent_at = slot_time(item.slot or "") if slot is None else slot.slot.sent_at
        stored = await self._outcomes.get(item.outcome.key)
        if stored is None:
            raise Missing(f"the worklist knows {item.outcome.key.submission_id}, the outcomes do not")
        if stored.outcome.state is State.DISPATCHED:
            await self._unsent(item)
        elif stored.outcome.state is State.SUBMITTING:
            emit(Event.ANSWER_LOST, submission_id=item.outcome.key.submission_id, reason="worker_stopped")
            uncertain = move(stored.outcome, State.UNCERTAIN, reason="worker_stopped")
            await self._step(replace(item, sent_at=sent_at), stored, uncertain)
        else:
            await self._place_anew(replace(item, sent_at=sent_at), stored)

    async def _unsent(self, item: WorkItem) -> None:
        """Let a row wait anew under whose slot nothing was sent and nothing will be."""
        stored = await self._outcomes.get(item.outcome.key)
        if stored is None:
            return
        if stored.outcome.state not in (State.DISPATCHED, State.SUBMITTING):
            await self._place_anew(item, stored)
            return
        emit(Event.SLOT_MISSED, submission_id=item.outcome.key.submission_id)
        waiting = move(
            stored.outcome,
            State.PENDING,
            reason="slot_missed",
            dispatched_at=None,
            attempts=item.outcome.attempts,
        )
        await self._step(item, stored, waiting)

    async def _step(self, item: WorkItem, stored: Stored, after: Outcome) -> None:
        await self._outcomes.ensure_logged(stored.outcome)
        done = (await self._outcomes.advance([Change(stored.outcome, after, stored.etag)]))[0]
        if done is not None:
            await self._worklist.move(item, _moved(item, done))

    async def _place_anew(self, item: WorkItem, stored: Stored) -> None:
        """Put an entry where its row's state says it belongs."""
        await self._outcomes.ensure_logged(stored.outcome)
        if is_final(stored.outcome.state) and stored.outcome.state not in KEPT:
            await self._worklist.remove([item])
        else:
            await self._worklist.move(item, _moved(item, stored))


def _moved(item: WorkItem, stored: Stored) -> WorkItem:
    return replace(item, outcome=stored.outcome, etag=stored.etag, slot=None, is_probe=False)


def sent_before(item: WorkItem) -> datetime:
    """When the row's POST left: recorded for a submitted row, stamped for an uncertain one."""
    return item.outcome.submitted_at or item.sent_at or item.due_at
