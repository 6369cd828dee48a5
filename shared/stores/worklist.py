"""The table `worklist`: every row that is not final, in the order in which it is acted on; its entries.

All entries stand in one partition together with the quota's slots (`quota`), so that giving a row its slot is one
transaction. The row key's first digit is the section:

    0-entry-<id>                 the pointer: where the row's one entry stands
    0-quota, 0-slot-…, 0-turn-…  the quota state, its slots, and when items were last sent (`quota`)
    1-<lane>-<due ms>-<id>       waiting, best first
    2-<id>                       in flight: dispatched or submitting
    3-<id>                       at Microsoft, or uncertain
    4-<holder>-<id>              covered by another row
    6-…, 7-…, 8-answers          answers to reporters, where they are switched on (`answers`)
    9-<id>                       failed or rejected, kept for replay

The invariants: an entry is only moved or removed as it was read (If-Match), and from its first move on the row has a
pointer, moved with it in one transaction. An answer is put there by the step that makes it due. An entry that nothing
points at can only move where its row has no pointer, so one that comes back, because a library repeats a write whose
answer was lost, goes nowhere and is dropped. What a row *is* stands in `outcomes`; an entry that lags behind it is
filed anew by whoever meets it. Only `ledger` and `quota` use this module.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from ..codecs.rows import read_snapshot, snapshot
from ..domain import keys
from ..domain.errors import AlreadyExists, Changed, Missing
from ..domain.model import Outcome, OutcomeKey, Priority, State
from ..domain.retries import POISONED
from ..domain.submissions import Material
from ..ports import Delete, Entity, Insert, Merge, Replace, Row, Table, Write
from ..telemetry import Event, emit, raised_at
from .batches import write_groups

LANES = {Priority.URGENT: "0", Priority.NORMAL: "1", Priority.LOW: "2"}
PARTITION = "live"
_SECTIONS = {
    State.PENDING: "1",
    State.DISPATCHED: "2",
    State.SUBMITTING: "2",
    State.UNCERTAIN: "3",
    State.SUBMITTED: "3",
    State.COVERED: "4",
    State.REJECTED: "9",
    State.FAILED: "9",
}
_STANDING = ("Since", "State")
"""Columns that tell how a row stands; an entry from before they were written is read whole."""
_REFUSED = ("Refused", "yes")
_SECOND_CHANCE = ("SecondChance", "due")
PARTY_ROWS = 1_000
"""Rows of one party that are always counted: a page of the service, which gives no fewer for the asking."""
KEPT = frozenset({State.REJECTED, State.FAILED})
"""Final states whose rows may be taken up again: their entries are kept, with what was to be submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """A row's entry in the worklist.

    `outcome` is the row as last handed on and `etag` its version then; both may lag behind while a worker has the row.
    `logged` is the revision whose event surely stands in the feed; None for an entry from before revisions.
    `entry_etag` guards the entry's next move; None for one that was not read from the table. `due_at` is when a waiting
    row may go; `holder` is the row that covers this one. `failures` counts POSTs that came to nothing, `throttled`
    those that Microsoft put off, `tries` runs in which the row raised; `refused_at` is when Microsoft first refused it.
    `slot` names the quota slot of a row in flight, `sent_at` is when the POST of an uncertain row left. A probe is the
    one row let out to see whether a closed window is open again.
    """

    outcome: Outcome
    etag: str
    logged: int | None = None
    entry_etag: str | None = field(default=None, compare=False)
    is_pointed_at: bool = field(default=False, compare=False)
    material: Material = field(default_factory=Material)
    due_at: datetime
    failures: int = 0
    throttled: int = 0
    tries: int = 0
    had_second_chance: bool = False
    refused_at: datetime | None = None
    slot: str | None = None
    sent_at: datetime | None = None
    holder: OutcomeKey | None = None
    is_probe: bool = False

    @property
    def row_key(self) -> str:
        """Where the entry stands, from its state, lane, due time or holder."""
        section, own_id = _SECTIONS[self.outcome.state], self.outcome.key.submission_id
        if self.outcome.state is State.PENDING:
            lane = LANES[self.outcome.priority or Priority.NORMAL]
            return f"{section}-{lane}-{keys.epoch_ms(self.due_at):013d}-{own_id}"
        if self.outcome.state is State.COVERED:
            return f"{section}-{self.outcome.covered_by}-{own_id}"
        return f"{section}-{own_id}"

    @property
    def sent_before(self) -> datetime:
        """When the row's POST left: recorded for a submitted row, stamped for an uncertain one."""
        return self.outcome.submitted_at or self.sent_at or self.due_at

    @property
    def since(self) -> datetime:
        """Since when the row waits: when it was received, or when the POST of an uncertain one left, or may have."""
        return self.sent_before if self.outcome.state is State.UNCERTAIN else self.outcome.received_at

    @property
    def is_due_for_a_second_chance(self) -> bool:
        """Whether the row failed for its message alone, and was not taken up again for that before."""
        is_poisoned = self.outcome.state is State.FAILED and self.outcome.state_reason == POISONED
        return is_poisoned and not self.had_second_chance

    def tells_of(self, outcome: Outcome) -> bool:
        """Whether the row is in the try that this entry was filed for: its state may be that of a later one.

        A worker that takes a row in flight writes `submitting` to the row alone.
        """
        steps = outcome.revision - self.outcome.revision
        return steps == 0 or (steps == 1 and outcome.state is State.SUBMITTING)

    def lags_behind(self, outcome: Outcome, etag: str) -> bool:
        """Whether the row as it stands now may lack its event: it has moved on since this entry was written."""
        return self.etag != etag if self.logged is None else self.logged < outcome.revision


@dataclass(frozen=True, slots=True)
class Standing:
    """Where rows stand, how many, and since when the oldest of them waits there.

    As much as entries tell without being read whole: one row, or all that one row covers.
    """

    state: State
    priority: Priority
    since: datetime
    count: int = 1


@dataclass(frozen=True, slots=True)
class Holder:
    """A row that covers others; `key` is None where an entry does not say on which day it was received."""

    submission_id: str
    key: OutcomeKey | None


class AnswersDue(Protocol):
    """What rows owe their reporters."""

    def due(self, outcome: Outcome) -> list[Write]:
        """What puts the answer in its place that a row, as it stands, owes; nothing where it owes none."""

    def row_keys(self, outcome: Outcome) -> tuple[str, ...]:
        """Where the answer of a row stands that owes one: first, or later."""


class Worklist:
    """Reads and writes entries; each entry is moved with its pointer, in one transaction.

    `answers` is None where reporters are not answered.
    """

    def __init__(self, table: Table, answers: AnswersDue | None = None) -> None:
        self._table = table
        self._answers = answers

    async def add(self, items: Sequence[WorkItem]) -> None:
        """Put new entries on the list; one that stands there already stays as it is."""
        groups = [[Insert(_entity(item)), *self._answer(item.outcome)] for item in items]
        await write_groups(groups, self._written)

    async def announce(self, outcomes: Sequence[Outcome]) -> None:
        """Put the answers on the list that rows without an entry owe; one that stands there stays as it is."""
        groups = [answer for outcome in outcomes if (answer := self._answer(outcome))]
        await write_groups(groups, self._written)

    async def is_announced(self, outcome: Outcome) -> bool:
        """Whether a row without an entry owes no answer, or has it on the list."""
        places = self._answers.row_keys(outcome) if self._answers else ()
        found = [await self._table.get(PARTITION, place) for place in places]
        return not places or any(found)

    def _answer(self, outcome: Outcome) -> list[Write]:
        return self._answers.due(outcome) if self._answers else []

    async def find(self, outcome: Outcome) -> WorkItem | None:
        """The row's entry, wherever it stands.

        None where it has none, or one from an earlier version that waits for another time than it came in.
        """
        pointer = await self._table.get(PARTITION, _pointer_key(outcome.key.submission_id))
        born = WorkItem(outcome=outcome, etag="", due_at=outcome.received_at).row_key
        row = await self._table.get(PARTITION, str(pointer.entity["Entry"]) if pointer else born)
        return None if row is None else read_item(row)

    async def due(self, lane: Priority, now: datetime, limit: int) -> list[WorkItem]:
        """Up to `limit` waiting rows of a lane that may go now, longest due first."""
        prefix = f"1-{LANES[lane]}-"
        return [item async for item in self._between(prefix, f"{prefix}{keys.epoch_ms(now) + 1:013d}", limit)]

    async def in_flight(self, submission_id: str) -> WorkItem | None:
        """The entry of a row that is dispatched or being submitted, or None."""
        row = await self._table.get(PARTITION, f"2-{submission_id}")
        return None if row is None else read_item(row)

    async def kept(self, submission_id: str) -> WorkItem | None:
        """The entry of a row that failed or was rejected, with what was to be submitted; or None."""
        row = await self._table.get(PARTITION, f"9-{submission_id}")
        return None if row is None else read_item(row)

    def all_kept(self) -> AsyncIterator[WorkItem]:
        """Every entry that is kept for replay."""
        return self._section("9")

    async def all_in_flight(self) -> list[WorkItem]:
        """Every entry that is dispatched or being submitted."""
        return [item async for item in self._section("2")]

    async def at_microsoft(self) -> list[WorkItem]:
        """Every entry that waits for a verdict or is uncertain."""
        return [item async for item in self._section("3")]

    def refused(self) -> AsyncIterator[WorkItem]:
        """Every waiting entry whose row Microsoft has refused; the others are not sent over the network."""
        return self._between("1", "2", only=_REFUSED)

    def due_for_a_second_chance(self) -> AsyncIterator[WorkItem]:
        """Every kept entry that is; the others are not sent over the network."""
        return self._between("9", ":", only=_SECOND_CHANCE)

    def followers(self, holder_id: str) -> AsyncIterator[WorkItem]:
        """Every entry of the rows that a holder covers."""
        return self._between(f"4-{holder_id}-", _behind(holder_id))

    async def standing(self, counted: int) -> AsyncIterator[Standing]:
        """How every row stands that is not final; covered rows come together, those of one holder.

        Of them, `counted` in all and `PARTY_ROWS` of each holder are counted one by one. What a party has beyond them
        is told from how close together they stand: ids are hashes, so those of a party are spread evenly over all ids.
        With 1,000 counted the estimate is 3 % off as a rule, with 10,000 it is 1 %.
        """
        from_row: str | None = "1"
        while from_row is not None:
            party = _Party()
            async for row in self._light(from_row, "5"):
                if not _is_covered(row):
                    yield _read_standing(row)
                    continue
                if party.count and _holder_id(row) != party.holder_id:
                    yield party.whole()
                    party = _Party()
                if party.count >= PARTY_ROWS and counted <= 0:
                    yield party.estimated(_own_id(row))
                    from_row = _behind(party.holder_id)
                    break
                party.add(row)
                counted -= 1
            else:
                from_row = None
                if party.count:
                    yield party.whole()

    async def originals(self, start: str, limit: int) -> AsyncIterator[tuple[str | None, str]]:
        """The blob that each of `limit` rows needs which are not final, or None, and where to go on behind it."""
        async for row in self._table.scan(PARTITION, max("1", start), "5", limit, select=("Material",)):
            yield _original(row), f"{row.entity['RowKey']}!"

    async def open_ids(self) -> set[str]:
        """The rows that are neither final nor covered. One that is moved meanwhile may be missing."""
        scan = self._table.scan(PARTITION, "1", "4", select=())
        return {_own_id(row) async for row in scan}

    async def holders(self) -> AsyncIterator[Holder]:
        """Every row that covers others, by id; what follows one beyond a page is passed over unread."""
        from_row: str | None = "4"
        while from_row is not None:
            holder_id, seen = "", 0
            async for row in self._table.scan(PARTITION, from_row, "5", select=("WaitsFor",)):
                if _holder_id(row) != holder_id:
                    holder_id, seen = _holder_id(row), 0
                    yield Holder(holder_id, _holder(row))
                seen += 1
                if seen > PARTY_ROWS:
                    from_row = _behind(holder_id)
                    break
            else:
                from_row = None

    async def move(self, before: WorkItem, after: WorkItem, also: Sequence[Write] = ()) -> bool:
        """Move an entry on; False when it is not as it was read any more, then nothing was written.

        `also` is written with it, where that can be.
        """
        writes = moved(before, after)
        return (bool(also) and await self._written([*writes, *also])) or await self._written(writes)

    async def move_all(self, steps: Sequence[tuple[WorkItem, WorkItem]]) -> None:
        """Move many entries on; those that are not as they were read any more stay as they are, doubles go."""
        for place in await write_groups([moved(before, after) for before, after in steps], self._written):
            await self.drop_double(steps[place][0])

    async def end(self, ended: Sequence[tuple[WorkItem, Outcome]]) -> None:
        """Take entries off whose rows are final, their answers in their places; those not as they were read stay."""
        refused = await write_groups(
            [[*removed(item), *self._answer(outcome)] for item, outcome in ended], self._written
        )
        for item, outcome in (ended[place] for place in refused):
            if self._answer(outcome) and await self.is_announced(outcome):
                await self._written(removed(item))

    async def remove(self, items: Sequence[WorkItem]) -> None:
        """Take entries off the list; those that are not as they were read any more stay."""
        await write_groups([removed(item) for item in items], self._written)

    async def drop_double(self, item: WorkItem) -> None:
        """Take off an entry that could not be moved because its row has another one: that one is pointed at."""
        if not item.is_pointed_at:
            pointer: Entity = {"PartitionKey": PARTITION, "RowKey": _pointer_key(item.outcome.key.submission_id)}
            await self._written([Merge(pointer), Delete(PARTITION, item.row_key, item.entry_etag)])

    def _section(self, section: str) -> AsyncIterator[WorkItem]:
        return self._between(section, chr(ord(section) + 1))

    async def _between(
        self, from_row: str, below_row: str, limit: int | None = None, *, only: tuple[str, str] | None = None
    ) -> AsyncIterator[WorkItem]:
        """The entries of a range; one that cannot be read is told, and stops no other."""
        async for row in self._table.scan(PARTITION, from_row, below_row, limit, only=only):
            item = _read_or_told(row)
            if item is not None:
                yield item

    async def _light(self, from_row: str, below_row: str) -> AsyncIterator[Row]:
        """The rows of a range with the columns alone that tell how a row stands.

        From the first one on that an earlier version wrote, they are read whole and given what they lack.
        """
        async for row in self._table.scan(PARTITION, from_row, below_row, select=_STANDING):
            if "Since" not in row.entity:
                from_row = str(row.entity["RowKey"])
                break
            yield row
        else:
            return
        async for row in self._table.scan(PARTITION, from_row, below_row):
            if "Since" in row.entity:
                yield row
            elif (item := _read_or_told(row)) is not None:
                yield Row(row.entity | _told_lightly(item), row.etag)

    async def _written(self, writes: Sequence[Write]) -> bool:
        """Whether all of the writes were done; none was where one of them was refused."""
        try:
            await self._table.write_all(writes)
        except (AlreadyExists, Changed, Missing):
            return False
        return True


@dataclass(slots=True)
class _Party:
    """The rows that one holder covers, counted as they stream by."""

    holder_id: str = ""
    count: int = 0
    since_ms: int = 0

    def add(self, row: Row) -> None:
        since_ms = int(str(row.entity["Since"]))
        self.since_ms = min(self.since_ms, since_ms) if self.count else since_ms
        self.holder_id = _holder_id(row)
        self.count += 1

    def whole(self) -> Standing:
        return Standing(State.COVERED, Priority.NORMAL, _moment(self.since_ms), self.count)

    def estimated(self, next_id: str) -> Standing:
        """The party, so many of which stand below `next_id`."""
        share = int(next_id, 16) / 16 ** len(next_id)
        return replace(self.whole(), count=max(self.count, round(self.count / share)))


def moved(before: WorkItem, after: WorkItem) -> list[Write]:
    """What moves an entry as it was read; one that stays in its place is written once, as a transaction demands."""
    pointer: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": _pointer_key(after.outcome.key.submission_id),
        "Entry": after.row_key,
    }
    point: Write = Replace(pointer) if before.is_pointed_at else Insert(pointer)
    written = _entity(after) | {"IsPointedAt": True}
    if before.row_key != after.row_key:
        return [Delete(PARTITION, before.row_key, before.entry_etag), Insert(written), point]
    in_place = Replace(written, before.entry_etag)
    return [in_place] if before.is_pointed_at else [in_place, point]


def removed(item: WorkItem) -> list[Write]:
    """What takes an entry off the list as it was read."""
    entry = Delete(PARTITION, item.row_key, item.entry_etag)
    return [entry, Delete(PARTITION, _pointer_key(item.outcome.key.submission_id))] if item.is_pointed_at else [entry]


def _pointer_key(submission_id: str) -> str:
    """The row that says where a row's entry stands, once that has moved."""
    return f"0-entry-{submission_id}"


def _behind(holder_id: str) -> str:
    """A key behind every entry of a holder's party, and before those of the next one."""
    return f"4-{holder_id}."


def _original(row: Row) -> str | None:
    """The blob that a row needs; None for one that needs none, or that cannot be read, as who acts on it tells."""
    try:
        return Material(**json.loads(str(row.entity["Material"]))).evidence
    except (KeyError, TypeError, ValueError):
        return None


def _is_covered(row: Row) -> bool:
    return str(row.entity["RowKey"]).startswith("4")


def _own_id(row: Row) -> str:
    return str(row.entity["RowKey"]).rpartition("-")[2]


def _holder_id(row: Row) -> str:
    return str(row.entity["RowKey"]).split("-")[1]


def _holder(row: Row) -> OutcomeKey | None:
    """The row that covers an entry's row; None where the entry does not say, or cannot be read."""
    try:
        holders = json.loads(str(row.entity["WaitsFor"]))
        return OutcomeKey(*holders[0]) if holders else None
    except (KeyError, TypeError, ValueError):
        return None


def _moment(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def _read_standing(row: Row) -> Standing:
    entity = row.entity
    lane = str(entity["RowKey"])[2]
    waiting = next((priority for priority, digit in LANES.items() if digit == lane), Priority.NORMAL)
    return Standing(State(str(entity["State"])), waiting, _moment(int(str(entity["Since"]))))


def _read_or_told(row: Row) -> WorkItem | None:
    """The entry that a row holds; one that cannot be read is told."""
    try:
        return read_item(row)
    except (KeyError, TypeError, ValueError) as error:
        emit(Event.ROW_RAISED, submission_id=_own_id(row), error=type(error).__name__, where=raised_at(error))
    return None


def _told_lightly(item: WorkItem) -> Entity:
    """What an entry tells of its row without being read whole."""
    return {"State": item.outcome.state.value, "Since": str(keys.epoch_ms(item.since))}


def _entity(item: WorkItem) -> Entity:
    entity: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": item.row_key,
        "Outcome": snapshot(item.outcome),
        "OutcomeEtag": item.etag,
        "Logged": item.logged or 0,
        "Material": json.dumps({name: value for name, value in asdict(item.material).items() if value is not None}),
        "DueAt": item.due_at,
        "Failures": item.failures,
        "Throttled": item.throttled,
        "Tries": item.tries,
        "HadSecondChance": item.had_second_chance,
        "IsProbe": item.is_probe,
        "WaitsFor": json.dumps([[item.holder.partition, item.holder.submission_id]] if item.holder else []),
    }
    entity |= _told_lightly(item)
    if item.refused_at is not None and item.outcome.state is State.PENDING:
        entity[_REFUSED[0]] = _REFUSED[1]
    if item.is_due_for_a_second_chance:
        entity[_SECOND_CHANCE[0]] = _SECOND_CHANCE[1]
    times = {"SentAt": item.sent_at, "RefusedAt": item.refused_at}
    entity |= {name: at for name, at in times.items() if at is not None}
    if item.slot is not None:
        entity["Slot"] = item.slot
    return entity


def read_item(row: Row) -> WorkItem:
    """The entry that a row of the table holds."""
    entity = row.entity
    outcome = read_snapshot(str(entity["Outcome"]))
    holders = [OutcomeKey(*pair) for pair in json.loads(str(entity["WaitsFor"]))]
    return WorkItem(
        outcome=outcome,
        etag=str(entity["OutcomeEtag"]),
        logged=int(str(entity["Logged"])) if "Logged" in entity else None,
        entry_etag=row.etag,
        is_pointed_at=bool(entity.get("IsPointedAt")),
        material=Material(**json.loads(str(entity["Material"]))),
        due_at=read_time(entity["DueAt"]),
        failures=int(str(entity["Failures"])),
        throttled=int(str(entity["Throttled"])),
        tries=int(str(entity.get("Tries", 0))),
        had_second_chance=bool(entity.get("HadSecondChance")),
        refused_at=read_time(entity["RefusedAt"]) if "RefusedAt" in entity else None,
        slot=str(entity["Slot"]) if "Slot" in entity else None,
        sent_at=read_time(entity["SentAt"]) if "SentAt" in entity else None,
        holder=holders[0] if holders and outcome.state is State.COVERED else None,
        is_probe=bool(entity["IsProbe"]),
    )


def read_time(value: object) -> datetime:
    """A time as the table gives it, in UTC."""
    if not isinstance(value, datetime):
        raise TypeError(f"expected a time, found {type(value).__name__}")
    return value.astimezone(UTC)
