"""Dispatch: give waiting rows the quota slots that fall due before the next run, best first.

Reserving is one transaction, so two dispatchers never give one slot twice and a stop leaves either nothing or a row in
flight with its slot. What comes after it (state, feed, queue message) may be cut off at any point: a slot that is not
used in its lifetime is taken back at a later run, and its row waits anew.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from ...codecs.submission_message import SubmissionMessage, write_message
from ...domain.lifecycle import changed, move
from ...domain.model import Priority, SkipReason, State
from ...domain.planner import LeftToday, Limits, Planner, Slot, is_unusable
from ...domain.restoration import RESTORED, Restored
from ...domain.submissions import OLDEST_REPORT
from ...domain.turns import LOOK_AGAIN_AFTER
from ...ports import Clock, WorkQueue
from ...stores.ledger import LANES, Change, Ledger, Step, Stored, WorkItem
from ...stores.quota import ROWS_PER_RESERVATION, Quota, QuotaStore, Reservation, slot_name
from ...telemetry import Event, emit
from ..trouble import Trouble
from .sweep import Sweeper

HORIZON = timedelta(seconds=75)
"""Slots are given this far ahead: the next run is a minute away. Longer invisible messages would make the platform
start instances for nothing."""
ROUNDS = 8
"""How often one run tries again when another dispatcher was faster."""


class Dispatch:
    """The use case behind `dispatch`, also run by collect and intake so that a lone report leaves in seconds."""

    def __init__(
        self,
        limits: Limits,
        *,
        ledger: Ledger,
        quota: QuotaStore,
        sweeper: Sweeper,
        trouble: Trouble,
        queue: WorkQueue,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._quota = quota
        self._sweeper = sweeper
        self._trouble = trouble
        self._queue = queue
        self._clock = clock

    async def run(self) -> int:
        """Dispatch what the quota admits now; returns how many rows got a slot."""
        given = 0
        for _ in range(ROUNDS):
            quota = await self._with_slots_taken_back(await self._quota.quota())
            tidied = await self._quota.tidy(quota)
            if tidied is None:
                continue
            done, count = await self._reserve_and_send(tidied)
            given += count
            if done:
                break
        return given

    async def _with_slots_taken_back(self, quota: Quota) -> Quota:
        """The quota without the slots that nobody used and nobody can use any more."""
        now = self._clock.now()
        unusable = [one for one in quota.slots if one.is_open and is_unusable(one.slot, now)]
        for one in unusable:
            await self._sweeper.take_back(one)
        return replace(quota, slots=tuple(one for one in quota.slots if one not in unusable))

    async def _reserve_and_send(self, quota: Quota) -> tuple[bool, int]:
        """Whether nothing is left to do, and how many rows were dispatched."""
        given, is_done = 0, True
        wanted = await self._assign(quota)
        for start in range(0, len(wanted), ROWS_PER_RESERVATION):
            reserved = await self._quota.reserve(quota, wanted[start : start + ROWS_PER_RESERVATION])
            if reserved is None:
                return False, given
            quota = reserved.quota
            given += await self._send_each(reserved.given)
            for item, due_at in reserved.held_up:
                await self._ledger.put_off(item, due_at)
            for item in reserved.immovable:
                await self._ledger.drop_double(item)
            is_done = is_done and len(reserved.given) == len(wanted[start : start + ROWS_PER_RESERVATION])
        if wanted:
            emit(Event.SLOTS_GIVEN, count=given, left_today=self._left_today(quota).anyone)
        return is_done, given

    async def _assign(self, quota: Quota) -> list[Reservation]:
        now = self._clock.now()
        if quota.restored is not None and not quota.restored.is_whole:
            return []
        planner = Planner.of(
            self._limits,
            [stored.slot for stored in quota.counted],
            now=now,
            horizon=now + HORIZON,
            left_today=self._admissible(quota, now),
            closed_until=quota.closed_until,
        )
        wanted: list[Reservation] = []
        items: set[str] = set()
        for lane in LANES:
            wanted += await self._assign_lane(quota, planner, lane, now, items)
        return wanted

    def _admissible(self, quota: Quota, now: datetime) -> LeftToday:
        """How many rows may go: what is left of the day, or one probe at a time while permission is in doubt."""
        left = self._left_today(quota)
        if not quota.is_probing(now):
            return left
        is_probe_out = any(one.is_open for one in quota.slots)
        return LeftToday(0 if is_probe_out else min(left.anyone, 1), left.others)

    def _left_today(self, quota: Quota) -> LeftToday:
        sent = quota.sent_today.since_yesterday(self._clock.now())
        return sent.left(self._limits, [one.slot for one in quota.counted])

    async def _assign_lane(
        self, quota: Quota, planner: Planner, lane: Priority, now: datetime, items: set[str]
    ) -> list[Reservation]:
        """Slots for rows of a lane that may go now; `items` are those that have one in this run already."""
        wanted: list[Reservation] = []
        for item in await self._ledger.due(lane, now, self._limits.for_anyone):
            if now - item.outcome.received_at > OLDEST_REPORT:
                await self._trouble.each([item], self._skip_too_old)
                continue
            if quota.restored is not None and quota.restored.must_be_looked_up(item.outcome):
                await self._trouble.each([item], partial(self._look_up, quota.restored))
                continue
            if item.outcome.item_key in items:
                await self._ledger.put_off(item, now + LOOK_AGAIN_AFTER)
                continue
            slot = planner.take(urgent=lane is Priority.URGENT)
            if slot is None:
                break
            if item.outcome.item_key is not None:
                items.add(item.outcome.item_key)
            wanted.append(_reservation(item, slot, now, is_probe=quota.is_probing(now)))
        return wanted

    async def _look_up(self, restored: Restored, items: Sequence[WorkItem]) -> int:
        """Let rows be looked up at Microsoft that may have been sent after the backup from which the tables are."""
        for item in items:
            stored = await self._ledger.get(item.outcome.key)
            if stored is not None and stored.outcome.state is State.PENDING:
                uncertain = move(stored.outcome, State.UNCERTAIN, reason=RESTORED)
                await self._ledger.step(Step(item, uncertain, stored, {"sent_at": restored.sent_after(stored.outcome)}))
            else:
                await self._ledger.refile(item)
        return len(items)

    async def _skip_too_old(self, items: Sequence[WorkItem]) -> int:
        for item in items:
            stored = await self._ledger.get(item.outcome.key)
            if stored is not None and stored.outcome.state is State.PENDING:
                skipped = move(stored.outcome, State.SKIPPED, reason=SkipReason.TOO_OLD)
                await self._ledger.step(Step(item, skipped, stored))
            else:
                await self._ledger.refile(item)
        return len(items)

    async def _send_each(self, given: Sequence[Reservation]) -> int:
        by_key = {one.after.outcome.key: one for one in given}
        return await self._trouble.each(
            [one.after for one in given], lambda items: self._send([by_key[item.outcome.key] for item in items])
        )

    async def _send(self, given: Sequence[Reservation]) -> int:
        """Write `dispatched` to every row that still waits and put it on the queue; returns how many."""
        changes = [Change(one.before.outcome, one.after.outcome, one.before.etag) for one in given]
        stored = await self._ledger.advance_all(changes)
        ready = [(one, done or await self._dispatched_after_all(one)) for one, done in zip(given, stored, strict=True)]
        sent = [(one, done) for one, done in ready if done is not None]
        await asyncio.gather(*(self._put(one, done) for one, done in sent))
        return len(sent)

    async def _dispatched_after_all(self, one: Reservation) -> Stored | None:
        """Dispatch a row whose version on the worklist was old; None when it has moved on and needs no slot."""
        stored = await self._ledger.get(one.before.outcome.key)
        if stored is not None and _is_as_announced(stored, one):
            await self._ledger.ensure_logged(stored.outcome)  # this very run wrote it, and storage's answer was lost
            return stored
        if stored is not None and stored.outcome.revision > one.after.outcome.revision:
            return None  # it was written, and somebody has moved the row on since: perhaps it is at Microsoft by now
        slot = await self._quota.slot(one.after.slot or "")
        if slot is not None and slot.is_open:
            await self._sweeper.take_back(slot)
        return None

    async def _put(self, one: Reservation, stored: Stored) -> None:
        message = SubmissionMessage(stored.outcome.key, one.after.slot or "", stored.etag)
        delay = one.slot.at - self._clock.now()
        await self._queue.send(write_message(message), max(0, math.ceil(delay.total_seconds())))


def _reservation(item: WorkItem, slot: Slot, now: datetime, *, is_probe: bool) -> Reservation:
    """The row with its slot. Its entry tells the row as it will be written, whose event is not in the feed yet."""
    outcome = changed(item.outcome, move(item.outcome, State.DISPATCHED, dispatched_at=now), now)
    name = slot_name(slot, outcome.key.submission_id)
    logged = item.logged or item.outcome.revision
    return Reservation(item, replace(item, outcome=outcome, slot=name, is_probe=is_probe, logged=logged), slot)


def _is_as_announced(stored: Stored, one: Reservation) -> bool:
    announced = one.after.outcome
    return (stored.outcome.state, stored.outcome.revision, stored.outcome.changed_at) == (
        announced.state,
        announced.revision,
        announced.changed_at,
    )
