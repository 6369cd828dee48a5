"""The tables `outcomes` and `outcomelog`: how every row stands, and every change it went through.

The invariant: a change is written to `outcomes` first, guarded by the row's ETag, then appended to the feed, and only
then handed to whoever acts next (worklist, queue). An event's key and words follow from the row alone (`ChangedAt`,
`Revision`, its state and the one before), so whoever finds that a stopped process left it out appends the very same
event, and a second attempt finds it there. Only `ledger` uses this module. The feed is rewritten by retention and
erasure alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..codecs.rows import log_entity, outcome_entity, read_outcome
from ..domain import keys
from ..domain.errors import AlreadyExists, Changed
from ..domain.lifecycle import amended, born, changed
from ..domain.model import Outcome, OutcomeKey, Source, State
from ..ports import Clock, Delete, Entity, Insert, Place, Replace, Row, Table
from .batches import write_each

APPEND_WITHIN_S = 120
"""How long after the time in its key an event may still be sent. Consumers look five minutes behind what they have seen
(contract, section 7). The service ends a request after 30 seconds, which leaves two and a half minutes by which two
clocks may differ. The library alone would try for seven minutes and more."""

_LOOK_BACK = timedelta(minutes=5)
"""What the clocks of two workers may differ."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An outcome as it stands in its table, with the ETag that guards its next change."""

    outcome: Outcome
    etag: str


@dataclass(frozen=True, slots=True)
class Change:
    """A step from `before` (as stored under `etag`) to `after`."""

    before: Outcome
    after: Outcome
    etag: str


class OutcomeStore:
    """Reads and writes outcome rows, each change with its row in the feed.

    What appends to the feed raises TimeoutError after `append_within_s` seconds: end the step, as after any failure of
    storage. Its repetition finds the row and makes its event good.
    """

    def __init__(self, outcomes: Table, log: Table, clock: Clock, *, append_within_s: float = APPEND_WITHIN_S) -> None:
        self._outcomes = outcomes
        self._log = log
        self._clock = clock
        self._append_within_s = append_within_s

    async def get(self, key: OutcomeKey) -> Stored | None:
        """The row as it stands, or None."""
        row = await self._outcomes.get(key.partition, key.submission_id)
        return None if row is None else Stored(read_outcome(row.entity), row.etag)

    async def create(self, outcomes: Sequence[Outcome]) -> list[Stored | None]:
        """Write new rows and their first events; None in the place of each row that was there already."""
        now = self._clock.now()
        first = [born(outcome, now) for outcome in outcomes]
        etags = await write_each(self._outcomes, [Insert(outcome_entity(one)) for one in first], AlreadyExists)
        created = [None if etag is None else Stored(one, etag) for one, etag in zip(first, etags, strict=True)]
        await self._append([stored.outcome for stored in created if stored is not None])
        return created

    async def advance(self, changes: Sequence[Change]) -> list[Stored | None]:
        """Write changes of state and their events; None in the place of each row that somebody else changed first.

        Raises `IllegalTransition` for a step that the table of transitions lacks; then nothing was written.
        """
        now = self._clock.now()
        after = [changed(one.before, one.after, now) for one in changes]
        stored = await self._replaced(after, [one.etag for one in changes])
        await self._append([one.outcome for one in stored if one is not None])
        return stored

    async def amend(self, changes: Sequence[Change]) -> list[Stored | None]:
        """Write changes of facts that are no change of state or verdict, so the feed gets no rows; None as above.

        Raises `IllegalTransition` where state or verdict differ; then nothing was written.
        """
        return await self._replaced([amended(one.before, one.after) for one in changes], [one.etag for one in changes])

    async def ensure_logged(self, outcome: Outcome) -> None:
        """Append the event of the row's present state if a stopped process left it out. Safe to call at any time.

        A row from before events followed from rows is looked for in the feed, since its dispatch or since it came in.
        """
        if outcome.changed_at is not None:
            await self._append([outcome])
        elif (last := await self._last_event(outcome)) != outcome.state:
            now = self._clock.now()
            await self._append([replace(outcome, revision=0, changed_at=now, previous_state=last)])

    async def owners_since(self, since: datetime) -> dict[str, str]:
        """The rows that the feed shows as submitted since then, by their submissions' ids at Microsoft."""
        owners: dict[str, str] = {}
        select = ("GraphSubmissionId", "SubmissionId")
        async for row in self._log_since(since, only=("Event", State.SUBMITTED.value), select=select):
            if "GraphSubmissionId" in row.entity:
                owners.setdefault(str(row.entity["GraphSubmissionId"]), str(row.entity["SubmissionId"]))
        return owners

    async def submitted_since(self, since: datetime) -> set[str]:
        """Microsoft's ids of what the app itself has submitted since then, as far as the feed shows it."""
        found = self._log_since(since, only=("Event", State.SUBMITTED.value), select=("GraphSubmissionId", "Source"))
        return {
            str(row.entity["GraphSubmissionId"])
            async for row in found
            if row.entity["Source"] != Source.MICROSOFT and "GraphSubmissionId" in row.entity
        }

    async def days_changed(self, since: datetime, limit: int) -> tuple[set[str], datetime, bool]:
        """The days of `outcomes` whose rows have events from then on, up to `limit` events.

        With them how far the feed was read, and whether that is its end.
        """
        now, days, count = self._clock.now(), set[str](), 0
        async for row in self._log_since(since, select=("OutcomePartition",)):
            days.add(str(row.entity["OutcomePartition"]))
            count += 1
            if count == limit:
                return days, keys.logged_at(str(row.entity["RowKey"])), False
        return days, now, True

    async def old(self, place: Place, below_day: str, limit: int) -> list[Stored]:
        """Rows received before that day, in the order of their keys, behind `place`."""
        rows = await self._outcomes.behind(place, below_day, limit)
        return [Stored(read_outcome(row.entity), row.etag) for row in rows]

    async def delete(self, rows: Sequence[Stored]) -> int:
        """Delete rows as they were read; one that somebody changed since stays. Returns how many are gone."""
        deletes = [Delete(one.outcome.key.partition, one.outcome.key.submission_id, one.etag) for one in rows]
        return sum(etag is not None for etag in await write_each(self._outcomes, deletes, Changed))

    async def old_events(self, place: Place, below_day: str, limit: int) -> list[Row]:
        """Events from before that day, in the order of their keys, behind `place`."""
        return await self._log.behind(place, below_day, limit)

    async def rewrite_event(self, before: Row, after: Entity) -> bool:
        """Write an event anew, as it was read; False where it is gone or somebody else was faster."""
        return (await write_each(self._log, [Replace(after, before.etag)], Changed))[0] is not None

    async def delete_events(self, places: Sequence[Place]) -> int:
        """Delete events; returns how many were there."""
        deletes = [Delete(day, key) for day, key in places]
        return sum(etag is not None for etag in await write_each(self._log, deletes, Changed))

    async def _last_event(self, outcome: Outcome) -> State | None:
        for since in (outcome.dispatched_at, outcome.collected_at):
            last = None
            if since is not None:
                found = self._log_since(since - _LOOK_BACK, only=("SubmissionId", outcome.key.submission_id))
                async for row in found:
                    last = State(str(row.entity["Event"]))
            if last is not None:
                return last
        return None

    async def _replaced(self, outcomes: Sequence[Outcome], etags: Sequence[str]) -> list[Stored | None]:
        writes = [Replace(outcome_entity(one), etag) for one, etag in zip(outcomes, etags, strict=True)]
        written = await write_each(self._outcomes, writes, Changed)
        return [None if etag is None else Stored(one, etag) for one, etag in zip(outcomes, written, strict=True)]

    async def _log_since(
        self, since: datetime, *, only: tuple[str, str] | None = None, select: Sequence[str] | None = None
    ) -> AsyncIterator[Row]:
        start, today = since, keys.day(self._clock.now())
        while keys.day(start) <= today:
            async for row in self._log.scan(
                keys.day(start), f"{keys.epoch_ms(start):013d}", "~", only=only, select=select
            ):
                yield row
            start = datetime.combine(start.date() + timedelta(days=1), datetime.min.time(), start.tzinfo)

    async def _append(self, outcomes: Sequence[Outcome]) -> None:
        """Append the events of rows; one that stands there already was appended before, by whoever it was."""
        events = [_event(outcome) for outcome in outcomes]
        async with asyncio.timeout(self._append_within_s):
            await write_each(self._log, [Insert(event) for event in events], AlreadyExists)


def _event(outcome: Outcome) -> Entity:
    if outcome.changed_at is None:
        raise ValueError(f"{outcome.key.submission_id}: a row without ChangedAt has no event")
    return log_entity(outcome, outcome.previous_state, outcome.changed_at, outcome.revision)
