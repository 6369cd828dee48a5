"""Dispatch: give waiting rows the quota slots that fall due before the next run, best first.

Reserving is one transaction, so two dispatchers never give one slot twice and a stop leaves either nothing or a row in
flight with its slot. What comes after it (state, feed, queue message) may be cut off at any point: a slot that is not
used in its lifetime is taken back at a later run, and its row waits anew.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.codecs.submission_message import SubmissionMessage, write_message
from shared.domain.lifecycle import is_final, move
from shared.domain.model import Outcome, OutcomeKey, Priority, SkipReason, State
from shared.domain.planner import CLOCK_MARGIN, DAY, WINDOW, LeftToday, Limits, Planner, Slot, is_unusable
from shared.domain.submissions import OLDEST_REPORT
from shared.ports import Clock, WorkQueue
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import LANES, ROWS_PER_RESERVATION, Quota, WorkItem, Worklist, slot_name
from shared.telemetry import Event, emit
from shared.usecases.sweep import Sweeper

HORIZON = timedelta(seconds=75)
"""Slots are given this far ahead: the next run is a minute away. Longer invisible messages would make the platform
start instances for nothing."""
POSTS_PER_ITEM_AND_DAY = 3
"""Microsoft takes the same item once in 15 minutes and three times in 24 hours (Graph throttling limits)."""
_NOT_GOING = frozenset({State.SUBMITTED, State.COVERED})
"""States that may last for days without another POST."""
ROUNDS = 8
"""How often one run tries again when another dispatcher was faster."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A waiting row, the same row in flight, and its slot."""

    waiting: WorkItem
    in_flight: WorkItem
    slot: Slot


class Dispatch:
    """The use case behind `dispatch`, also run by collect and intake so that a lone report leaves in seconds."""

    def __init__(
        self,
        limits: Limits,
        *,
        outcomes: OutcomeStore,
        worklist: Worklist,
        sweeper: Sweeper,
        queue: WorkQueue,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._outcomes = outcomes
        self._worklist = worklist
        self._sweeper = sweeper
        self._queue = queue
        self._clock = clock

    async def run(self) -> int:
        """Dispatch what the quota admits now; returns how many rows got a slot."""
        given = 0
        for _ in range(ROUNDS):
            quota = await self._with_slots_taken_back(await self._worklist.quota())
            tidied = await self._worklist.tidy(quota)
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
        unusable = [one for one in quota.slots if is_unusable(one.slot, now)]
        for one in unusable:
            await self._sweeper.take_back(one)
        return replace(quota, slots=tuple(one for one in quota.slots if one not in unusable))

    async def _reserve_and_send(self, quota: Quota) -> tuple[bool, int]:
        """Whether nothing is left to do, and how many rows were dispatched."""
        given = 0
        assignments = await self._assign(quota)
        for start in range(0, len(assignments), ROWS_PER_RESERVATION):
            batch = assignments[start : start + ROWS_PER_RESERVATION]
            reserved = await self._worklist.reserve(quota, [(one.waiting, one.in_flight, one.slot) for one in batch])
            if reserved is None:
                return False, given
            quota = reserved
            given += await self._send(batch)
        if assignments:
            emit(Event.SLOTS_GIVEN, count=given, left_today=self._left_today(quota).anyone)
        return True, given

    async def _assign(self, quota: Quota) -> list[Assignment]:
        now = self._clock.now()
        planner = Planner.of(
            self._limits,
            [stored.slot for stored in quota.slots],
            now=now,
            horizon=now + HORIZON,
            left_today=self._admissible(quota, now),
            closed_until=quota.closed_until,
        )
        assignments: list[Assignment] = []
        held_up: dict[OutcomeKey, WorkItem] = {}
        for lane in LANES:
            assignments += await self._assign_lane(planner, lane, now, held_up)
        assignments = _without_doubles(assignments)
        return [_as_probe(one) for one in assignments] if quota.is_probing(now) else assignments

    def _admissible(self, quota: Quota, now: datetime) -> LeftToday:
        """How many rows may go: what is left of the day, or one probe at a time while permission is in doubt."""
        left = self._left_today(quota)
        if not quota.is_probing(now):
            return left
        is_probe_out = any(one.slot.sent_at is None for one in quota.slots)
        return LeftToday(0 if is_probe_out else min(left.anyone, 1), left.others)

    def _left_today(self, quota: Quota) -> LeftToday:
        sent = quota.sent_today.since_yesterday(self._clock.now())
        return sent.left(self._limits, [one.slot for one in quota.slots])

    async def _assign_lane(
        self, planner: Planner, lane: Priority, now: datetime, held_up: dict[OutcomeKey, WorkItem]
    ) -> list[Assignment]:
        assignments: list[Assignment] = []
        for item in await self._worklist.due(lane, now, self._limits.for_anyone):
            if not await self._may_go(item, now, held_up):
                continue
            slot = planner.take(urgent=lane is Priority.URGENT)
            if slot is None:
                break
            assignments.append(_assignment(item, slot, now))
        return assignments

    async def _may_go(self, item: WorkItem, now: datetime, held_up: dict[OutcomeKey, WorkItem]) -> bool:
        """Whether a due row may take a slot; one that may not is moved out of the way first, and kept in `held_up`."""
        if now - item.outcome.received_at > OLDEST_REPORT:
            await self._skip_too_old(item)
            return False
        if not item.waits_for:
            return True
        due_at = await self._item_is_free_at(item, now, held_up)
        if due_at <= now:
            return True
        held_up[item.outcome.key] = item
        await self._worklist.move(item, replace(item, due_at=due_at))
        return False

    async def _item_is_free_at(self, item: WorkItem, now: datetime, held_up: dict[OutcomeKey, WorkItem]) -> datetime:
        """When Microsoft will take this item again, as far as the rows on it that go first tell.

        One that another row covers does not go, perhaps for days; should it be let go, it waits for this one. A row
        that came back to its claim may wait for one that waits for it: such a ring is left at whoever closes it.
        """
        earlier = [await self._outcomes.get(key) for key in item.waits_for]
        known = [stored.outcome for stored in earlier if stored is not None]
        going = [one.key for one in known if not is_final(one.state) and one.state not in _NOT_GOING]
        if any(not _waits_for(key, item.outcome.key, held_up) for key in going):
            return now + timedelta(minutes=1)
        sent = sorted(one.submitted_at for one in known if one.submitted_at is not None)
        today = [at for at in sent if now - at < DAY + CLOCK_MARGIN]
        if len(today) >= POSTS_PER_ITEM_AND_DAY:
            return today[-POSTS_PER_ITEM_AND_DAY] + DAY + CLOCK_MARGIN
        return max([now, *(at + WINDOW + CLOCK_MARGIN for at in sent)])

    async def _skip_too_old(self, item: WorkItem) -> None:
        stored = await self._outcomes.get(item.outcome.key)
        if stored is not None and stored.outcome.state is State.PENDING:
            skipped = move(stored.outcome, State.SKIPPED, reason=SkipReason.TOO_OLD)
            await self._outcomes.advance([Change(stored.outcome, skipped, stored.etag)])
        await self._worklist.remove([item])

    async def _send(self, batch: Sequence[Assignment]) -> int:
        """Write `dispatched` to every row that still waits and put it on the queue; returns how many."""
        changes = [Change(one.waiting.outcome, one.in_flight.outcome, one.waiting.etag) for one in batch]
        stored = await self._outcomes.advance(changes)
        ready = [(one, done or await self._dispatched_after_all(one)) for one, done in zip(batch, stored, strict=True)]
        sent = [(one, done) for one, done in ready if done is not None]
        await asyncio.gather(*(self._put(one, done) for one, done in sent))
        return len(sent)

    async def _dispatched_after_all(self, one: Assignment) -> Stored | None:
        """Dispatch a row whose version on the worklist was old; None when it has moved on and needs no slot."""
        stored = await self._outcomes.get(one.waiting.outcome.key)
        if stored is not None and _is_the_same_step(stored.outcome, one.in_flight.outcome):
            await self._outcomes.ensure_logged(stored.outcome)
            return stored
        if stored is not None and stored.outcome.state is State.PENDING:
            after = move(stored.outcome, State.DISPATCHED, dispatched_at=one.in_flight.outcome.dispatched_at)
            return (await self._outcomes.advance([Change(stored.outcome, after, stored.etag)]))[0]
        if stored is None or is_final(stored.outcome.state):
            await self._worklist.remove([one.in_flight])
        return None

    async def _put(self, one: Assignment, stored: Stored) -> None:
        message = SubmissionMessage(stored.outcome.key, one.in_flight.slot or "", stored.etag)
        delay = one.slot.at - self._clock.now()
        await self._queue.send(write_message(message), max(0, math.ceil(delay.total_seconds())))


def _assignment(item: WorkItem, slot: Slot, now: datetime) -> Assignment:
    outcome = move(item.outcome, State.DISPATCHED, dispatched_at=now)
    name = slot_name(slot, outcome.key.submission_id)
    return Assignment(item, replace(item, outcome=outcome, slot=name), slot)


def _waits_for(key: OutcomeKey, other: OutcomeKey, held_up: Mapping[OutcomeKey, WorkItem]) -> bool:
    """Whether a row that was held up in this run waits for the other, perhaps behind more that were."""
    front, seen = [key], set[OutcomeKey]()
    while front:
        one = front.pop()
        if one == other:
            return True
        if one in held_up and one not in seen:
            front += held_up[one].waits_for
        seen.add(one)
    return False


def _without_doubles(assignments: Sequence[Assignment]) -> list[Assignment]:
    """The first assignment of each row: one that waits twice must not stop the reservation of all."""
    first: dict[OutcomeKey, Assignment] = {}
    for one in assignments:
        first.setdefault(one.waiting.outcome.key, one)
    return list(first.values())


def _as_probe(one: Assignment) -> Assignment:
    return replace(one, in_flight=replace(one.in_flight, is_probe=True))


def _is_the_same_step(stored: Outcome, dispatched: Outcome) -> bool:
    """Whether the row was dispatched by this very run, whose answer from storage was lost."""
    return stored.state is State.DISPATCHED and stored.dispatched_at == dispatched.dispatched_at
