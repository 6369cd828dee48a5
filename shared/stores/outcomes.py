"""The tables `outcomes` and `outcomelog`: how every row stands, and every change it went through.

The invariant: a change is written to `outcomes` first, guarded by the row's ETag, then appended to the feed, and only
then handed to whoever acts next (worklist, queue). So whoever was handed a row may rely on the feed; whoever finds a
row that was never handed on calls `ensure_logged` before going on. The feed is never rewritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.codecs.rows import log_entity, outcome_entity, read_outcome
from shared.domain import keys
from shared.domain.errors import AlreadyExists, Changed
from shared.domain.model import Outcome, OutcomeKey, Source, State
from shared.ports import Clock, Insert, Replace, Row, Table
from shared.stores.batches import write_each

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
    storage. Its repetition finds the row and makes its event good, with the time of then.
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
        writes = [Insert(outcome_entity(outcome)) for outcome in outcomes]
        etags = await write_each(self._outcomes, writes, AlreadyExists)
        created = [None if etag is None else Stored(one, etag) for one, etag in zip(outcomes, etags, strict=True)]
        await self._append([(stored.outcome, None) for stored in created if stored is not None])
        return created

    async def advance(self, changes: Sequence[Change]) -> list[Stored | None]:
        """Write changes and their events; None in the place of each row that somebody else changed first."""
        writes = [Replace(outcome_entity(change.after), change.etag) for change in changes]
        etags = await write_each(self._outcomes, writes, Changed)
        stored = [None if etag is None else Stored(one.after, etag) for one, etag in zip(changes, etags, strict=True)]
        await self._append(
            [(change.after, change.before.state) for change, done in zip(changes, stored, strict=True) if done]
        )
        return stored

    async def amend(self, changes: Sequence[Change]) -> list[Stored | None]:
        """Write changes of facts that are no change of state or verdict, so the feed gets no rows; None as above."""
        writes = [Replace(outcome_entity(change.after), change.etag) for change in changes]
        etags = await write_each(self._outcomes, writes, Changed)
        return [None if etag is None else Stored(one.after, etag) for one, etag in zip(changes, etags, strict=True)]

    async def ensure_logged(self, outcome: Outcome) -> None:
        """Append the event of the row's present state if a stopped process left it out. Safe to call twice.

        The row's last event is looked for since its dispatch, then since it came in. An appended one carries the
        present time, because consumers of the feed have read past the moment of the change.
        """
        last = None
        for since in (outcome.dispatched_at, outcome.collected_at):
            if last is None and since is not None:
                last = await self._last_event(outcome, since - _LOOK_BACK)
        if last is None or last != outcome.state:
            await self._append([(outcome, last)])

    async def owner_of(self, graph_submission_id: str, since: datetime) -> str | None:
        """The row that the feed shows with this submission of Microsoft's since then, or None."""
        async for row in self._log_since(since, only=("GraphSubmissionId", graph_submission_id)):
            return str(row.entity["SubmissionId"])
        return None

    async def submitted_since(self, since: datetime) -> set[str]:
        """Microsoft's ids of what the app itself has submitted since then, as far as the feed shows it."""
        found = self._log_since(since, only=("Event", State.SUBMITTED.value))
        return {
            str(row.entity["GraphSubmissionId"])
            async for row in found
            if row.entity["Source"] != Source.MICROSOFT and "GraphSubmissionId" in row.entity
        }

    async def _last_event(self, outcome: Outcome, since: datetime) -> State | None:
        last = None
        async for row in self._log_since(since, only=("SubmissionId", outcome.key.submission_id)):
            last = State(str(row.entity["Event"]))
        return last

    async def _log_since(self, since: datetime, *, only: tuple[str, str]) -> AsyncIterator[Row]:
        start, today = since, keys.day(self._clock.now())
        while keys.day(start) <= today:
            async for row in self._log.scan(keys.day(start), f"{keys.epoch_ms(start):013d}", "~", only=only):
                yield row
            start = datetime.combine(start.date() + timedelta(days=1), datetime.min.time(), start.tzinfo)

    async def _append(self, events: Sequence[tuple[Outcome, State | None]]) -> None:
        async with asyncio.timeout(self._append_within_s):
            await self._append_at(self._clock.now(), events)

    async def _append_at(self, at: datetime, events: Sequence[tuple[Outcome, State | None]]) -> None:
        writes = [Insert(log_entity(outcome, previous, at, 0)) for outcome, previous in events]
        etags = await write_each(self._log, writes, AlreadyExists)
        for (outcome, previous), etag in zip(events, etags, strict=True):
            if etag is None:
                await self._append_behind(outcome, previous, at)

    async def _append_behind(self, outcome: Outcome, previous: State | None, at: datetime) -> None:
        """Append an event whose key is taken: by itself (an answer was lost), or by one of the same millisecond."""
        for sequence in range(1000):
            entity = log_entity(outcome, previous, at, sequence)
            taken = await self._log.get(str(entity["PartitionKey"]), str(entity["RowKey"]))
            if taken is None:
                await self._log.write(Insert(entity))
                return
            if taken.entity["Event"] == entity["Event"]:
                return
