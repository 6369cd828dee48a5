"""The ledger: the one writer of rows, their events and their entries.

A change is written in this order, and each step may be repeated:

    1   the row's own event, where the entry lags behind the row: a stopped process may have left it out
    2   the row, guarded by its ETag
    3   its event, under a key that follows from the row
    4   its entry, as it was read, to where the row belongs now, or its answer in its entry's place

So an event is in the feed before the row moves on, and an entry is never ahead of its row but for a slot just given.
Whoever stops in between leaves an entry that lags; whoever meets it next files it anew. Use cases decide, the ledger
writes: no other module changes a row or an entry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from ..domain.lifecycle import is_final
from ..domain.model import Outcome, OutcomeKey, Priority, State
from ..ports import Entity, Place, Row, Write
from ..telemetry import Event, emit
from .batches import TRANSACTION_ROWS
from .outcomes import Change, OutcomeStore, Stored
from .worklist import KEPT, LANES, Holder, Standing, WorkItem, Worklist

__all__ = [
    "KEPT",
    "LANES",
    "TRANSACTION_ROWS",
    "Change",
    "Holder",
    "Ledger",
    "Standing",
    "Step",
    "Stored",
    "WorkItem",
]

_BORN_WITH_AN_ENTRY = frozenset({State.PENDING, State.COVERED, State.SUBMITTED, State.FAILED})
_IN_FLIGHT = frozenset({State.DISPATCHED, State.SUBMITTING})
_NOT_SENT = frozenset({State.PENDING, State.COVERED, *_IN_FLIGHT})
"""Whatever was sent before had no effect; a POST that leaves now is told by its slot."""


Filed = Mapping[str, Any]
"""Fields of an entry that are set when it is filed."""
_AS_IT_IS: Filed = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Step:
    """A row's next state, and what becomes of its entry.

    `row` is the row as it was read anew; without it the step starts from the row as the entry knows it, and does
    nothing where that is not how it stands. `filed` are fields of the entry to be set with it.
    """

    item: WorkItem
    after: Outcome
    row: Stored | None = None
    filed: Filed = field(default_factory=dict)

    @property
    def before(self) -> Stored:
        """The row that the step starts from."""
        return self.row or Stored(self.item.outcome, self.item.etag)


class Ledger:
    """Reads rows and entries, and writes every change of them."""

    def __init__(self, outcomes: OutcomeStore, worklist: Worklist) -> None:
        self._outcomes = outcomes
        self._worklist = worklist

    # Reading.

    async def get(self, key: OutcomeKey) -> Stored | None:
        """The row as it stands, or None."""
        return await self._outcomes.get(key)

    async def find(self, outcome: Outcome) -> WorkItem | None:
        """The row's entry, wherever it stands, or None."""
        return await self._worklist.find(outcome)

    async def due(self, lane: Priority, now: datetime, limit: int) -> list[WorkItem]:
        """Up to `limit` waiting rows of a lane that may go now, longest due first."""
        return await self._worklist.due(lane, now, limit)

    def refused(self) -> AsyncIterator[WorkItem]:
        """Every waiting entry whose row Microsoft has refused."""
        return self._worklist.refused()

    async def in_flight(self, submission_id: str) -> WorkItem | None:
        """The entry of a row that is dispatched or being submitted, or None."""
        return await self._worklist.in_flight(submission_id)

    async def all_in_flight(self) -> list[WorkItem]:
        """Every entry that is dispatched or being submitted."""
        return await self._worklist.all_in_flight()

    async def at_microsoft(self) -> list[WorkItem]:
        """Every entry that waits for a verdict or is uncertain."""
        return await self._worklist.at_microsoft()

    def holders(self) -> AsyncIterator[Holder]:
        """Every row that covers others."""
        return self._worklist.holders()

    def followers(self, holder_id: str) -> AsyncIterator[WorkItem]:
        """Every entry of the rows that a holder covers, one by one."""
        return self._worklist.followers(holder_id)

    async def open_ids(self) -> set[str]:
        """The rows that are neither final nor covered. One that is moved meanwhile may be missing."""
        return await self._worklist.open_ids()

    async def kept(self, submission_id: str) -> WorkItem | None:
        """The entry of a row that failed or was rejected, with what was to be submitted; or None."""
        return await self._worklist.kept(submission_id)

    def all_kept(self) -> AsyncIterator[WorkItem]:
        """Every entry that is kept for replay."""
        return self._worklist.all_kept()

    def due_for_a_second_chance(self) -> AsyncIterator[WorkItem]:
        """Every kept entry whose row failed for its message alone, and was not taken up again for that before."""
        return self._worklist.due_for_a_second_chance()

    def standing(self, counted: int) -> AsyncIterator[Standing]:
        """How every row stands that is not final, without its entry being read whole.

        Covered rows come together, those of one holder; beyond `counted` of them their number is an estimate.
        """
        return self._worklist.standing(counted)

    def originals(self, start: str, limit: int) -> AsyncIterator[tuple[str | None, str]]:
        """The blob that each row needs which is not final, or None; from `start` on, "" being before all of them.

        At most `limit` rows, and with each where to go on behind it.
        """
        return self._worklist.originals(start, limit)

    async def owners_since(self, since: datetime) -> dict[str, str]:
        """The rows that the feed shows as submitted since then, by their submissions' ids at Microsoft."""
        return await self._outcomes.owners_since(since)

    async def submitted_since(self, since: datetime) -> set[str]:
        """Microsoft's ids of what the app itself has submitted since then, as far as the feed shows it."""
        return await self._outcomes.submitted_since(since)

    async def days_changed(self, since: datetime, limit: int) -> tuple[set[str], datetime, bool]:
        """The days whose rows have changed since then, by up to `limit` events of the feed.

        With them how far the feed was read, and whether that is its end.
        """
        return await self._outcomes.days_changed(since, limit)

    # Rows whose time is over.

    async def old(self, place: Place, below_day: str, limit: int) -> list[Stored]:
        """Rows received before that day, in the order of their keys, behind `place`."""
        return await self._outcomes.old(place, below_day, limit)

    async def forget(self, rows: Sequence[Stored]) -> int:
        """Delete rows that nobody needs, as they were read; returns how many are gone."""
        return await self._outcomes.delete(rows)

    async def old_events(self, place: Place, below_day: str, limit: int) -> list[Row]:
        """Events from before that day, in the order of their keys, behind `place`."""
        return await self._outcomes.old_events(place, below_day, limit)

    async def rewrite_event(self, before: Row, after: Entity) -> bool:
        """Take what is erased out of an event; False where it is gone or somebody else was faster."""
        return await self._outcomes.rewrite_event(before, after)

    async def forget_events(self, places: Sequence[Place]) -> int:
        """Delete events; returns how many were there."""
        return await self._outcomes.delete_events(places)

    # Rows that come in.

    async def create(self, items: Sequence[WorkItem]) -> list[Stored | None]:
        """Write new rows, their events and, for those that are not final for good, their entries.

        None in the place of each row that was there already: whoever wrote it may have stopped behind it (`make_good`).
        """
        created = await self._outcomes.create([item.outcome for item in items])
        fresh = [_filed(item, stored) for item, stored in zip(items, created, strict=True) if stored is not None]
        await self._worklist.add([item for item in fresh if item.outcome.state in _BORN_WITH_AN_ENTRY])
        await self._worklist.announce([item.outcome for item in fresh if item.outcome.state not in _BORN_WITH_AN_ENTRY])
        return created

    async def add(self, item: WorkItem, stored: Stored) -> None:
        """Give a row the entry that it lacks, its event made good first; one that has an entry keeps that."""
        await self._outcomes.ensure_logged(stored.outcome)
        if _is_listed(stored.outcome):
            await self._worklist.add([_filed(item, stored)])
        else:
            await self._worklist.announce([stored.outcome])

    async def is_whole(self, stored: Stored) -> bool:
        """Whether a row has gone on since it came in, or has its entry or what it owes. Its event is made good."""
        await self._outcomes.ensure_logged(stored.outcome)
        if stored.outcome.state not in _BORN_WITH_AN_ENTRY:
            return await self._worklist.is_announced(stored.outcome)
        return await self._worklist.find(stored.outcome) is not None

    async def ensure_logged(self, outcome: Outcome) -> None:
        """Append the event of the row's present state if a stopped process left it out. Safe to call at any time."""
        await self._outcomes.ensure_logged(outcome)

    # Changes.

    async def apply(self, steps: Sequence[Step]) -> list[Stored | None]:
        """Take every step; None in the place of each whose row somebody else changed first: its entry is filed anew."""
        return await self._in_transactions(steps, self._apply)

    async def step(self, step: Step) -> Stored | None:
        """Take one step; see `apply`."""
        return (await self.apply([step]))[0]

    async def advance(self, before: Stored, after: Outcome) -> Stored | None:
        """Write a row and its event alone: its entry follows (`file`). None where somebody else changed the row."""
        return (await self._outcomes.advance([Change(before.outcome, after, before.etag)]))[0]

    async def advance_all(self, changes: Sequence[Change]) -> list[Stored | None]:
        """Write rows and their events alone: their entries are where they belong already. None as above."""
        return await self._outcomes.advance(changes)

    async def amend(self, before: Stored, after: Outcome) -> Stored | None:
        """Write facts of a row that are no change of state or verdict. None where somebody else changed the row."""
        return (await self._outcomes.amend([Change(before.outcome, after, before.etag)]))[0]

    async def amend_filed(self, steps: Sequence[Step]) -> list[Stored | None]:
        """Write facts of rows that their entries know, and file the entries; None as in `apply`."""
        return await self._in_transactions(steps, self._amend)

    async def file(
        self, item: WorkItem, stored: Stored, filed: Filed = _AS_IT_IS, *, also: Sequence[Write] = ()
    ) -> bool:
        """Move an entry to where its row, as just written or read, belongs; whether it was as it was read.

        `also` is written in the same transaction, where that can be: what came of a slot.
        """
        after = _filed(item, stored, filed)
        if not _is_listed(stored.outcome):
            await self._worklist.end([(item, stored.outcome)])
            return True
        is_moved = await self._worklist.move(item, after, also)
        if not is_moved:
            await self._worklist.drop_double(item)
        return is_moved

    async def refile(self, item: WorkItem, filed: Filed = _AS_IT_IS) -> Stored | None:
        """The row as it stands, its event made good and its entry where it belongs; None where there is no row.

        An entry whose row was deleted, as an administrator may do with old days, is taken off. One in flight whose row
        is uncertain stays until somebody says when its POST left (`sent_at`): the sweeper reads that from its slot.
        """
        stored = await self._outcomes.get(item.outcome.key)
        if stored is None:
            emit(Event.ROW_GONE, submission_id=item.outcome.key.submission_id)
            await self._worklist.remove([item])
            return None
        if item.lags_behind(stored.outcome, stored.etag):
            await self._outcomes.ensure_logged(stored.outcome)
        if stored.outcome.state is not State.UNCERTAIN or item.slot is None or "sent_at" in filed:
            await self.file(item, stored, filed)
        return stored

    async def put_off(self, item: WorkItem, due_at: datetime) -> None:
        """Let a waiting row wait until then; its row stays as it is."""
        if not await self._worklist.move(item, replace(item, due_at=due_at)):
            await self._worklist.drop_double(item)

    async def remove(self, items: Sequence[WorkItem]) -> None:
        """Take entries off the list for good."""
        await self._worklist.remove(items)

    async def drop_double(self, item: WorkItem) -> None:
        """Take off an entry that could not be moved because its row has another one."""
        await self._worklist.drop_double(item)

    async def _apply(self, steps: Sequence[Step]) -> list[Stored | None]:
        for step in steps:
            if step.row is not None and step.item.lags_behind(step.row.outcome, step.row.etag):
                await self._outcomes.ensure_logged(step.row.outcome)
        stored = await self._outcomes.advance([_change(step) for step in steps])
        await self._file_all(steps, stored)
        return stored

    async def _amend(self, steps: Sequence[Step]) -> list[Stored | None]:
        stored = await self._outcomes.amend([_change(step) for step in steps])
        await self._file_all(steps, stored)
        return stored

    async def _in_transactions(self, steps: Sequence[Step], take: _Take) -> list[Stored | None]:
        """Take steps a transaction's worth at a time, rows of one day together; the answers are in the steps' order."""
        done: list[Stored | None] = [None] * len(steps)
        by_day = sorted(range(len(steps)), key=lambda place: steps[place].before.outcome.key.partition)
        for start in range(0, len(by_day), TRANSACTION_ROWS):
            places = by_day[start : start + TRANSACTION_ROWS]
            for place, stored in zip(places, await take([steps[place] for place in places]), strict=True):
                done[place] = stored
        return done

    async def _file_all(self, steps: Sequence[Step], stored: Sequence[Stored | None]) -> None:
        moves, ended = [], []
        for step, done in zip(steps, stored, strict=True):
            if done is None:
                continue
            if _is_listed(done.outcome):
                moves.append((step.item, _filed(step.item, done, step.filed)))
            else:
                ended.append((step.item, done.outcome))
        await self._worklist.move_all(moves)
        await self._worklist.end(ended)
        for step, done in zip(steps, stored, strict=True):
            if done is None:
                await self.refile(step.item)


_Take = Callable[[Sequence[Step]], Awaitable[list[Stored | None]]]


def _change(step: Step) -> Change:
    return Change(step.before.outcome, step.after, step.before.etag)


def _is_listed(outcome: Outcome) -> bool:
    """Whether a row has an entry: it is not final, or it may be replayed."""
    return not is_final(outcome.state) or outcome.state in KEPT


def _filed(item: WorkItem, stored: Stored, filed: Filed = _AS_IT_IS) -> WorkItem:
    """The entry as it belongs to the row: a slot is for a row in flight, a holder for one that is covered.

    The time of a POST is for a row that is, or may be, at Microsoft: an entry that is filed anew by whoever lost the
    answer to a write must not keep an earlier one.
    """
    outcome = stored.outcome
    after = replace(item, outcome=outcome, etag=stored.etag, logged=outcome.revision, **filed)
    if outcome.state not in _IN_FLIGHT:
        after = replace(after, slot=None, is_probe=False)
    if outcome.state in _NOT_SENT:
        after = replace(after, sent_at=None)
    if outcome.state is not State.COVERED:
        return replace(after, holder=None)
    if after.holder is None or after.holder.submission_id != outcome.covered_by:
        # Its day is known to who covered the row. Without it the item is asked who has its claim, an hour later.
        return replace(after, holder=OutcomeKey(outcome.key.partition, outcome.covered_by or ""))
    return after
