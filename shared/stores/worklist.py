"""The table `worklist`: every row that is not final, in the order in which it is acted on, and the quota's slots.

All rows stand in one partition, so that giving a row its slot is one transaction: the row leaves the lane, enters the
rows in flight, its slot is written, and the quota row that serialises dispatchers is touched. The row key's first
digit is the section:

    0-quota                      the quota state; its ETag admits one dispatcher at a time
    0-slot-<epoch ms>-<id>       a slot handed out: when, for which row, and when its POST really was
    1-<lane>-<due ms>-<id>       waiting, best first
    2-<id>                       in flight: dispatched or submitting
    3-<id>                       at Microsoft, or uncertain
    4-<holder>-<id>              covered by another row
    9-<id>                       failed or rejected, kept for replay

The worklist is an index: what a row *is* stands in `outcomes`, and every act is guarded there by ETag. An entry that
lags behind, or stands twice after a crash, costs one look and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shared.codecs.rows import read_snapshot, snapshot
from shared.domain import keys, planner
from shared.domain.errors import AlreadyExists, Changed, Missing
from shared.domain.model import Outcome, OutcomeKey, Priority, State
from shared.domain.planner import DayCount, Slot
from shared.domain.submissions import Material
from shared.ports import Clock, Delete, Entity, Insert, Merge, Replace, Row, Table, Write
from shared.stores.batches import TRANSACTION_ROWS

LANES = {Priority.URGENT: "0", Priority.NORMAL: "1", Priority.LOW: "2"}
PARTITION = "live"
QUOTA_ROW = "0-quota"
ROWS_PER_RESERVATION = 32
"""Three writes a row and one for the quota fit one transaction of 100."""
STRIKES_COUNT_FOR = timedelta(hours=1)
POISON_STOPS_AT = 3
POISON_COUNTS_FOR = timedelta(minutes=10)
"""So many poison messages in so short a time are no row's fault: what would follow waits, and one row is tried."""
PROBED_AFTER = frozenset({"not_allowed", "poison_message"})
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
KEPT = frozenset({State.REJECTED, State.FAILED})
"""Final states whose rows may be taken up again: their entries are kept, with what was to be submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """A row's entry in the worklist.

    `outcome` is the row as last handed on and `etag` its version then; both may lag behind while a worker has the row.
    `due_at` is when a waiting row may go, `waits_for` are rows on the same item that go first. `failures` counts
    attempts that came to nothing, `throttled` those that Microsoft put off. `slot` names the quota slot of a row in
    flight, `sent_at` is when the POST of an uncertain row left. A probe is the one row let out to see whether a closed
    window is open again.
    """

    outcome: Outcome
    etag: str
    material: Material = field(default_factory=Material)
    due_at: datetime
    failures: int = 0
    throttled: int = 0
    slot: str | None = None
    sent_at: datetime | None = None
    waits_for: tuple[OutcomeKey, ...] = ()
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


@dataclass(frozen=True, slots=True)
class StoredSlot:
    """A slot with the row that names it."""

    name: str
    etag: str
    slot: Slot


@dataclass(frozen=True, slots=True)
class Quota:
    """What is known of the tenant's quota: the slots of the last minutes, the day's count, and whether it is closed.

    `strikes` counts refusals in a row, so that a closed window grows; `poisoned_at` are the last poison messages;
    `etag` is None before the first dispatch ever.
    """

    etag: str | None
    slots: tuple[StoredSlot, ...] = ()
    sent_today: DayCount = field(default_factory=DayCount)
    closed_until: datetime | None = None
    closed_reason: str | None = None
    strikes: int = 0
    poisoned_at: tuple[datetime, ...] = ()

    def strikes_at(self, now: datetime) -> int:
        """Refusals in a row that still count: an hour after the window reopened they are forgotten."""
        is_fresh = self.closed_until is not None and now - self.closed_until < STRIKES_COUNT_FOR
        return self.strikes if is_fresh else 0

    def strikes_before(self, now: datetime) -> int:
        """Refusals in a row before the burst that is going on: a window that is closed now counts that one already."""
        is_closed = self.closed_until is not None and self.closed_until > now
        return max(0, self.strikes_at(now) - is_closed)

    def is_probing(self, now: datetime) -> bool:
        """Whether only one row at a time may go, to see if submissions work again."""
        return self.closed_reason in PROBED_AFTER and self.strikes_at(now) > 0


class Worklist:
    """Reads and writes the worklist; every method that moves an entry does so in one transaction."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def add(self, items: Sequence[WorkItem]) -> None:
        """Put entries on the list; one that stands there already is written again as given."""
        for start in range(0, len(items), TRANSACTION_ROWS):
            entities = [_entity(item) for item in items[start : start + TRANSACTION_ROWS]]
            try:
                await self._table.write_all([Insert(entity) for entity in entities])
            except AlreadyExists:
                await self._table.write_all([Replace(entity) for entity in entities])

    async def holds(self, item: WorkItem) -> bool:
        """Whether the row has its entry: where `item` would be put, waiting for another time, or in flight."""
        if await self.in_flight(item.outcome.key.submission_id) is not None:
            return True
        return await self.waiting(item) is not None

    async def due(self, lane: Priority, now: datetime, limit: int) -> list[WorkItem]:
        """Up to `limit` waiting rows of a lane that may go now, longest due first."""
        prefix = f"1-{LANES[lane]}-"
        found = self._table.scan(PARTITION, prefix, f"{prefix}{keys.epoch_ms(now) + 1:013d}", limit)
        return [_item(row) async for row in found]

    async def waiting(self, item: WorkItem) -> WorkItem | None:
        """The entry of a row that waits: where `item` would be put, or, after a delay, for another time; or None.

        No other table knows a moved due time, so in that rare case everything that waits is looked through.
        """
        row = await self._table.get(PARTITION, item.row_key)
        if row is not None:
            return _item(row)
        async for other in self._table.scan(PARTITION, "1", "2"):
            if str(other.entity["RowKey"]).endswith(item.outcome.key.submission_id):
                return _item(other)
        return None

    async def in_flight(self, submission_id: str) -> WorkItem | None:
        """The entry of a row that is dispatched or being submitted, or None."""
        row = await self._table.get(PARTITION, f"2-{submission_id}")
        return None if row is None else _item(row)

    async def is_under_way(self, submission_id: str) -> bool:
        """Whether the row has an entry as one in flight, uncertain or submitted."""
        rows = [await self._table.get(PARTITION, f"{section}-{submission_id}") for section in ("2", "3")]
        return any(row is not None for row in rows)

    async def kept(self, submission_id: str) -> WorkItem | None:
        """The entry of a row that failed or was rejected, with what was to be submitted; or None."""
        row = await self._table.get(PARTITION, f"9-{submission_id}")
        return None if row is None else _item(row)

    def all_kept(self) -> AsyncIterator[WorkItem]:
        """Every entry that is kept for replay."""
        return self._section("9")

    async def all_in_flight(self) -> list[WorkItem]:
        """Every entry that is dispatched or being submitted."""
        return [item async for item in self._section("2")]

    async def at_microsoft(self) -> list[WorkItem]:
        """Every entry that waits for a verdict or is uncertain."""
        return [item async for item in self._section("3")]

    def covered(self) -> AsyncIterator[WorkItem]:
        """Every covered entry, those of one holder together."""
        return self._section("4")

    def entries(self) -> AsyncIterator[WorkItem]:
        """Every entry whose row is not final, one by one: a scan that holds no more than a page at once."""
        return self._between("1", "5")

    async def move(self, before: WorkItem, after: WorkItem) -> bool:
        """Move an entry on; False when it was not there any more, then nothing was written."""
        return await self._all_or_none(_step(before, after))

    async def move_all(self, steps: Sequence[tuple[WorkItem, WorkItem]]) -> None:
        """Move many entries on; those that are not there any more stay away."""
        for start in range(0, len(steps), TRANSACTION_ROWS // 2):
            batch = steps[start : start + TRANSACTION_ROWS // 2]
            if not await self._all_or_none([write for before, after in batch for write in _step(before, after)]):
                for before, after in batch:
                    await self.move(before, after)

    async def remove(self, items: Sequence[WorkItem]) -> None:
        """Take entries off the list; those that are gone already do not matter."""
        for start in range(0, len(items), TRANSACTION_ROWS):
            batch = items[start : start + TRANSACTION_ROWS]
            if not await self._all_or_none([Delete(PARTITION, item.row_key) for item in batch]):
                for item in batch:
                    await self._all_or_none([Delete(PARTITION, item.row_key)])

    async def quota(self) -> Quota:
        """The quota as it stands, with every slot that may still matter."""
        quota = Quota(None)
        slots: list[StoredSlot] = []
        async for row in self._table.scan(PARTITION, "0", "1"):
            if row.entity["RowKey"] == QUOTA_ROW:
                quota = _quota(row)
            else:
                slots.append(_slot(row))
        return replace(quota, slots=tuple(slots))

    async def tidy(self, quota: Quota) -> Quota | None:
        """Count the submissions that left the window into the day, and forget those that left the day.

        Returns the quota as it is then, or None if another dispatcher was faster.
        """
        now = self._clock.now()
        sent_today = quota.sent_today.since_yesterday(now)
        leaving = [one for one in quota.slots if planner.has_left_the_window(one.slot, now)][: TRANSACTION_ROWS - 1]
        if not leaving:
            return replace(quota, sent_today=sent_today)
        for one in leaving:
            if one.slot.sent_at is not None:
                sent_today = sent_today.with_sent(one.slot.sent_at, urgent=one.slot.urgent)
        kept = tuple(one for one in quota.slots if one not in leaving)
        tidied = replace(quota, slots=kept, sent_today=sent_today)
        return await self._write_quota(tidied, [Delete(PARTITION, one.name, one.etag) for one in leaving])

    async def reserve(self, quota: Quota, given: Sequence[tuple[WorkItem, WorkItem, Slot]]) -> Quota | None:
        """Give up to `ROWS_PER_RESERVATION` waiting rows their slots, all or none.

        Each triple is the waiting entry, its entry in flight (which names its slot) and the slot. Returns the quota
        with them, or None when another dispatcher was faster: read the quota again.
        """
        writes: list[Write] = []
        for before, after, slot in given:
            writes += [Delete(PARTITION, before.row_key), Insert(_entity(after)), Insert(_slot_entity(after, slot))]
        fresh = tuple(StoredSlot(after.slot or "", "", slot) for _, after, slot in given)
        reserved = await self._write_quota(replace(quota, slots=(*quota.slots, *fresh)), writes)
        if reserved is None:
            await self._drop_doubles([before for before, _, _ in given])
        return reserved

    async def _drop_doubles(self, waiting: Sequence[WorkItem]) -> None:
        """Take entries off their lanes whose rows are in flight as well: a double would fail every reservation."""
        for item in waiting:
            is_flying = Merge({"PartitionKey": PARTITION, "RowKey": f"2-{item.outcome.key.submission_id}"})
            await self._all_or_none([is_flying, Delete(PARTITION, item.row_key)])

    async def stamp(self, slot: str, at: datetime) -> bool:
        """Write the time of the POST into its slot; False when the slot was taken back, then nothing may be sent."""
        try:
            await self._table.write(Merge({"PartitionKey": PARTITION, "RowKey": slot, "SentAt": at}))
        except Missing:
            return False
        return True

    async def slot(self, name: str) -> StoredSlot | None:
        """A slot as it stands, or None when it was taken back or has left the window."""
        row = await self._table.get(PARTITION, name)
        return None if row is None else _slot(row)

    async def drop_unused(self, slot: StoredSlot) -> bool:
        """Take back a slot as it was read; False when it was stamped or taken back in the meantime."""
        try:
            await self._table.write(Delete(PARTITION, slot.name, slot.etag))
        except (Changed, Missing):
            return False
        return True

    async def release(self, slot: str) -> None:
        """Give back a slot under which nothing was sent."""
        await self._all_or_none([Delete(PARTITION, slot)])

    async def close(self, until: datetime, reason: str) -> Quota:
        """Let nothing more out before `until` and take back every slot that was not used yet.

        Safe to call by several workers at once: the latest end wins and one burst of refusals is one strike.
        """
        while True:
            quota = await self.quota()
            was_open = quota.closed_until is None or quota.closed_until <= self._clock.now()
            unused = [one for one in quota.slots if one.slot.sent_at is None][: TRANSACTION_ROWS - 1]
            closed = replace(
                quota,
                slots=tuple(one for one in quota.slots if one not in unused),
                closed_until=until if was_open else max(until, quota.closed_until or until),
                closed_reason=reason,
                strikes=quota.strikes_at(self._clock.now()) + was_open,
            )
            written = await self._write_quota(closed, [Delete(PARTITION, one.name, one.etag) for one in unused])
            if written is not None and len(unused) < TRANSACTION_ROWS - 1:
                return written

    async def count_poison(self) -> None:
        """Count a message that failed every attempt, and let rows go one by one when there were several of late."""
        now = self._clock.now()
        written = None
        while written is None:
            quota = await self.quota()
            recent = tuple(at for at in quota.poisoned_at if now - at < POISON_COUNTS_FOR)
            written = await self._write_quota(replace(quota, poisoned_at=(*recent, now)[-POISON_STOPS_AT:]), [])
        if len(written.poisoned_at) >= POISON_STOPS_AT:
            await self.close(now, "poison_message")

    async def reopen(self) -> None:
        """Forget earlier refusals: Microsoft accepted a submission."""
        quota = await self.quota()
        if quota.strikes:
            await self._write_quota(replace(quota, strikes=0, closed_reason=None, poisoned_at=()), [])

    def _section(self, section: str) -> AsyncIterator[WorkItem]:
        return self._between(section, chr(ord(section) + 1))

    async def _between(self, from_row: str, below_row: str) -> AsyncIterator[WorkItem]:
        async for row in self._table.scan(PARTITION, from_row, below_row):
            yield _item(row)

    async def _write_quota(self, quota: Quota, writes: list[Write]) -> Quota | None:
        entity = _quota_entity(quota)
        own: Write = Insert(entity) if quota.etag is None else Replace(entity, quota.etag)
        try:
            etags = await self._table.write_all([own, *writes])
        except (AlreadyExists, Changed, Missing):
            return None
        return replace(quota, etag=etags[0])

    async def _all_or_none(self, writes: Sequence[Write]) -> bool:
        try:
            await self._table.write_all(writes)
        except Missing:
            return False
        return True


def slot_name(slot: Slot, submission_id: str) -> str:
    """The row key of a slot."""
    return f"0-slot-{keys.epoch_ms(slot.at):013d}-{submission_id}"


def slot_time(name: str) -> datetime:
    """The moment of a slot, read from its row key."""
    return datetime.fromtimestamp(int(name.split("-")[2]) / 1000, UTC)


def slot_owner(name: str) -> str:
    """The submission id of the row that a slot was given to."""
    return name.split("-")[3]


def _step(before: WorkItem, after: WorkItem) -> list[Write]:
    """What moves an entry; one that stays in its place is written once, as a transaction demands."""
    written = Replace(_entity(after))
    return [written] if before.row_key == after.row_key else [Delete(PARTITION, before.row_key), written]


def _entity(item: WorkItem) -> Entity:
    entity: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": item.row_key,
        "Outcome": snapshot(item.outcome),
        "OutcomeEtag": item.etag,
        "Material": json.dumps({name: value for name, value in asdict(item.material).items() if value is not None}),
        "DueAt": item.due_at,
        "Failures": item.failures,
        "Throttled": item.throttled,
        "IsProbe": item.is_probe,
        "WaitsFor": json.dumps([[key.partition, key.submission_id] for key in item.waits_for]),
    }
    if item.slot is not None:
        entity["Slot"] = item.slot
    if item.sent_at is not None:
        entity["SentAt"] = item.sent_at
    return entity


def _item(row: Row) -> WorkItem:
    entity = row.entity
    return WorkItem(
        outcome=read_snapshot(str(entity["Outcome"])),
        etag=str(entity["OutcomeEtag"]),
        material=Material(**json.loads(str(entity["Material"]))),
        due_at=_time(entity["DueAt"]),
        failures=int(str(entity["Failures"])),
        throttled=int(str(entity["Throttled"])),
        slot=str(entity["Slot"]) if "Slot" in entity else None,
        sent_at=_time(entity["SentAt"]) if "SentAt" in entity else None,
        is_probe=bool(entity["IsProbe"]),
        waits_for=tuple(OutcomeKey(*pair) for pair in json.loads(str(entity["WaitsFor"]))),
    )


def _slot_entity(item: WorkItem, slot: Slot) -> Entity:
    return {"PartitionKey": PARTITION, "RowKey": item.slot or "", "At": slot.at, "Urgent": slot.urgent}


def _slot(row: Row) -> StoredSlot:
    entity = row.entity
    sent_at = _time(entity["SentAt"]) if "SentAt" in entity else None
    return StoredSlot(str(entity["RowKey"]), row.etag, Slot(_time(entity["At"]), bool(entity["Urgent"]), sent_at))


def _quota_entity(quota: Quota) -> Entity:
    entity: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": QUOTA_ROW,
        "Strikes": quota.strikes,
        "SentToday": json.dumps(quota.sent_today.minutes, separators=(",", ":")),
        "UrgentToday": json.dumps(quota.sent_today.urgent_minutes, separators=(",", ":")),
        "PoisonedAt": json.dumps([at.isoformat() for at in quota.poisoned_at]),
    }
    if quota.closed_until is not None:
        entity["ClosedUntil"] = quota.closed_until
    if quota.closed_reason is not None:
        entity["ClosedReason"] = quota.closed_reason
    return entity


def _quota(row: Row) -> Quota:
    entity = row.entity
    sent_today = DayCount(_minutes(entity["SentToday"]), _minutes(entity.get("UrgentToday", "{}")))
    return Quota(
        etag=row.etag,
        sent_today=sent_today,
        closed_until=_time(entity["ClosedUntil"]) if "ClosedUntil" in entity else None,
        closed_reason=str(entity["ClosedReason"]) if "ClosedReason" in entity else None,
        strikes=int(str(entity["Strikes"])),
        poisoned_at=tuple(datetime.fromisoformat(at) for at in json.loads(str(entity["PoisonedAt"]))),
    )


def _minutes(text: object) -> dict[int, int]:
    return {int(minute): int(count) for minute, count in json.loads(str(text)).items()}


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a time, found {type(value).__name__}")
    return value.astimezone(UTC)
