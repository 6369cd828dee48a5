"""Erasure: a person who must be forgotten is taken out of every row, event and blob, because an administrator asked.

    rows      of the person: all that tells of them or of the mail goes, key, states and Microsoft's answer stay;
              rows that only name them: the address goes
    events    likewise
    items     of rows of the person: deleted, as they speak for nobody any more
    blobs     that hold the address, decoded, and those of the person's rows: deleted whole

Open rows are finished first, and so are rows that speak for others: nothing is submitted twice for an erasure. Until
then the request stands, and everything is gone through again. It is done when a pass has met nothing that had to wait,
an hour at least after it was asked for: what was on a queue then has become a row. Each step may be repeated; a row is
emptied last of all that belongs to it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from ...codecs.rows import COLUMNS
from ...domain.erasure import ERASED, TELLING_FIELDS, Mentions, emptied, has_to_wait, is_of
from ...domain.item import speaks
from ...domain.model import Outcome, OutcomeKey, State
from ...ports import BlobStore, Clock, Entity, Place, Row, Table
from ...stores.erasures import PARTITION, Erasure, ErasureKey, Erasures
from ...stores.ledger import KEPT, Ledger, Stored
from ...stores.old_items import OldItems
from ...telemetry import Event, emit

RUN_TIME = timedelta(seconds=45)
"""A run begins no further page after this: verdicts wait for it."""
QUEUES_ARE_EMPTY_AFTER = timedelta(hours=1)
PASS_EVERY = timedelta(hours=6)
"""How often everything is gone through while a row has to wait."""
MAX_BLOB_BYTES = 64_000_000
ROWS_AT_ONCE = 1_000
_ALL = "~"
_TELLING = frozenset(COLUMNS[name] for name in TELLING_FIELDS)
_REFUSED = "It is a reporting mailbox: every report would be erased."


class PrivateTable:
    """A table in which an address may stand only as long as something is under way."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def behind(self, behind: str) -> list[Row]:
        """A page of its rows."""
        return await self._table.behind(_place(behind), _ALL, ROWS_AT_ONCE)


class ErasableBlobs:
    """A container whose blobs are deleted whole."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    async def names(self, page: str | None) -> tuple[list[str], str | None]:
        """A page of its names, and where to go on behind them."""
        return await self._store.names("", page)

    async def holds(self, name: str, mentions: Mentions) -> bool:
        """Whether a blob shows the address; one that is gone does not."""
        content = await self._store.get(name, MAX_BLOB_BYTES)
        return content is not None and await asyncio.to_thread(_holds, content, mentions)

    async def delete(self, name: str) -> bool:
        """Delete a blob; whether it was there."""
        return await self._store.delete(name)

    async def delete_all(self, prefix: str) -> int:
        """Delete the blobs of one row; how many there were."""
        names, _ = await self._store.names(prefix, None)
        return sum([await self._store.delete(one) for one in names])


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureParts:
    """What is gone through."""

    ledger: Ledger
    items: OldItems
    worklist: PrivateTable
    runstate: PrivateTable
    containers: Mapping[str, ErasableBlobs]
    never: frozenset[str]
    """Addresses in lower case that are not erased: those of the reporting mailboxes."""


@dataclass(slots=True)
class _Found:
    """What a page came to."""

    behind: str | None
    has_waiting: bool = False
    counts: Counter[str] = field(default_factory=Counter)


class EraseRequested:
    """The use case behind `submissions erase`; runs within `settle_outcomes`."""

    def __init__(self, erasures: Erasures, key: ErasureKey, parts: ErasureParts, clock: Clock) -> None:
        self._erasures = erasures
        self._key = key
        self._parts = parts
        self._clock = clock
        self._stages: list[Callable[[Erasure, Mentions], Awaitable[_Found]]] = [
            self._rows,
            self._events,
            self._entries,
            self._states,
            *(partial(self._blobs, name) for name in sorted(parts.containers)),
        ]

    async def run(self) -> None:
        """Go on with what was asked for, as far as the time lasts."""
        stop_at = self._clock.now() + RUN_TIME
        for request in await self._erasures.all_standing():
            if request.refusal is None:
                await self._go_on(request, stop_at)

    async def _go_on(self, request: Erasure, stop_at: datetime) -> None:
        if request.address.lower() in self._parts.never:
            await self._erasures.put(replace(request, refusal=_REFUSED))
            return
        mentions, one = Mentions(request.address), self._begun(request)
        while one is not None and self._clock.now() < stop_at:
            found = await self._stages[one.stage](one, mentions)
            one = replace(
                one,
                behind=found.behind or "",
                stage=one.stage + (found.behind is None),
                has_waiting=one.has_waiting or found.has_waiting,
                erased=one.counted(found.counts),
            )
            if one.stage == len(self._stages):
                await self._end_pass(one)
                return
            one = await self._erasures.put(one)

    def _begun(self, request: Erasure) -> Erasure | None:
        """The request in the pass that goes on now, None where the next one is not due."""
        now = self._clock.now()
        if request.next_pass_at is None:
            return request if request.began_at is not None else replace(request, began_at=now)
        if now < request.next_pass_at:
            return None
        return replace(request, began_at=now, next_pass_at=None, stage=0, behind="", has_waiting=False)

    async def _end_pass(self, one: Erasure) -> None:
        now = self._clock.now()
        settled_at = one.asked_at + QUEUES_ARE_EMPTY_AFTER
        if self._is_first(one) or one.has_waiting:
            next_pass_at = max(settled_at, now + PASS_EVERY) if one.has_waiting else settled_at
            await self._erasures.put(replace(one, stage=0, behind="", next_pass_at=next_pass_at))
            return
        await self._erasures.done(one, await self._key.hash_of(one.address), now)
        emit(Event.ERASED, count=sum(one.erased.values()))

    @staticmethod
    def _is_first(one: Erasure) -> bool:
        """Whether the pass began while what was asked for before may still have been on a queue."""
        return one.began_at is None or one.began_at < one.asked_at + QUEUES_ARE_EMPTY_AFTER

    # Rows.

    async def _rows(self, request: Erasure, mentions: Mentions) -> _Found:
        rows = await self._parts.ledger.old(_place(request.behind), _ALL, ROWS_AT_ONCE)
        found = _Found(_behind(rows[-1].outcome.key if len(rows) == ROWS_AT_ONCE else None))
        for stored in rows:
            if not mentions.are_in_any(_texts(stored.outcome)):
                continue
            if has_to_wait(stored.outcome, self._clock.now()) or not await self._erase_row(
                request, mentions, stored, found
            ):
                found.has_waiting = True
        return found

    async def _erase_row(self, request: Erasure, mentions: Mentions, stored: Stored, found: _Found) -> bool:
        """Erase a row and what belongs to it; False where somebody changed the row meanwhile."""
        outcome, ledger = stored.outcome, self._parts.ledger
        kept = await ledger.kept(outcome.key.submission_id) if outcome.state in KEPT else None
        if kept is not None:
            await ledger.remove([kept])
        if not is_of(outcome, request.address, request.role):
            after = _without(outcome, mentions)
        else:
            after = emptied(outcome)
            found.counts["items"] += await self._erase_item(outcome)
            found.counts["blobs"] += await self._erase_blobs_of(outcome.key)
        done = await ledger.amend(stored, after)
        found.counts["outcomes"] += done is not None
        return done is not None

    async def _erase_item(self, outcome: Outcome) -> int:
        """Delete the row's item unless somebody else's row speaks for it; how many that were."""
        item = None if outcome.item_key is None else await self._parts.items.of_item(outcome.item_key)
        if item is None:
            return 0
        for key in item.rows:
            holder = await self._parts.ledger.get(key)
            if key != outcome.key and holder is not None and speaks(holder.outcome, self._clock.now()):
                return 0
        return await self._parts.items.delete([item])

    async def _erase_blobs_of(self, key: OutcomeKey) -> int:
        own = f"{key.partition}/{key.submission_id}"
        return sum([await self._parts.containers[name].delete_all(own) for name in ("evidence", "rejected-messages")])

    async def _events(self, request: Erasure, mentions: Mentions) -> _Found:
        rows = await self._parts.ledger.old_events(_place(request.behind), _ALL, ROWS_AT_ONCE)
        found = _Found(_place_of(rows))
        for row in rows:
            if mentions.are_in_any(row.entity):
                await self._erase_event(request, mentions, row, found)
        return found

    async def _erase_event(self, request: Erasure, mentions: Mentions, row: Row, found: _Found) -> None:
        """Erase an event whose row is erased; one whose row waits is the only one that can tell of it."""
        entity = row.entity
        key = OutcomeKey(str(entity["OutcomePartition"]), str(entity["SubmissionId"]))
        stored = await self._parts.ledger.get(key)
        if stored is not None and has_to_wait(stored.outcome, self._clock.now()):
            found.has_waiting = True
            return
        told = str(entity.get("Reporter" if request.role == "reporter" else "Recipient", ""))
        is_theirs = told.lower() == request.address.lower()
        after = _emptied_event(entity) if is_theirs else _event_without(entity, mentions)
        is_done = await self._parts.ledger.rewrite_event(row, after)
        found.has_waiting = found.has_waiting or not is_done
        found.counts["outcomelog"] += is_done

    # What must be gone by itself once the rows are final.

    async def _entries(self, request: Erasure, mentions: Mentions) -> _Found:
        rows = await self._parts.worklist.behind(request.behind)
        return _Found(_place_of(rows), any(mentions.are_in_any(row.entity) for row in rows))

    async def _states(self, request: Erasure, mentions: Mentions) -> _Found:
        rows = await self._parts.runstate.behind(request.behind)
        others = (row for row in rows if row.entity["PartitionKey"] != PARTITION)
        return _Found(_place_of(rows), any(mentions.are_in_any(row.entity) for row in others))

    # Blobs.

    async def _blobs(self, container: str, request: Erasure, mentions: Mentions) -> _Found:
        store = self._parts.containers[container]
        names, page = await store.names(request.behind or None)
        found = _Found(page)
        for name in names:
            if not await store.holds(name, mentions):
                continue
            if await self._is_needed(container, name, request):
                found.has_waiting = True
            else:
                found.counts["blobs"] += await store.delete(name)
        return found

    async def _is_needed(self, container: str, name: str, request: Erasure) -> bool:
        """Whether a row still needs the blob, or, of an upload, whether its request may not have been read yet."""
        if container == "submission-content":
            return self._is_first(request)
        day, _, rest = name.partition("/")
        stored = await self._parts.ledger.get(OutcomeKey(day, rest.partition(".")[0]))
        return stored is not None and has_to_wait(stored.outcome, self._clock.now())


def _holds(content: bytes, mentions: Mentions) -> bool:
    from ...formats.search import any_text  # noqa: PLC0415 - hardly any process needs the parsers for it

    return any_text(content, mentions.are_in)


def _texts(outcome: Outcome) -> dict[str, object]:
    return {one.name: getattr(outcome, one.name) for one in fields(outcome)}


def _without(outcome: Outcome, mentions: Mentions) -> Outcome:
    """The row without the address; what failed or was rejected is not replayed any more."""
    told = {
        name: mentions.without(value)
        for name, value in _texts(outcome).items()
        if isinstance(value, str) and not isinstance(value, StrEnum)
    }
    rest = replace(outcome, **told)  # type: ignore[arg-type]
    return replace(rest, state_reason=ERASED) if outcome.state in (State.FAILED, State.REJECTED) else rest


def _emptied_event(entity: Entity) -> Entity:
    return {name: value for name, value in entity.items() if name not in _TELLING} | {"StateDetail": ERASED}


def _event_without(entity: Entity, mentions: Mentions) -> Entity:
    return {name: mentions.without(value) if isinstance(value, str) else value for name, value in entity.items()}


def _behind(key: OutcomeKey | None) -> str | None:
    return None if key is None else f"{key.partition}/{key.submission_id}"


def _place_of(rows: list[Row]) -> str | None:
    if len(rows) < ROWS_AT_ONCE:
        return None
    return f"{rows[-1].entity['PartitionKey']}/{rows[-1].entity['RowKey']}"


def _place(behind: str) -> Place:
    partition, _, row = behind.partition("/")
    return partition, row
