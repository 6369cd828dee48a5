"""The quota in the table `worklist`: what was sent of late, which slots are handed out, and whether anything may go.

    0-quota                      the quota state; its ETag admits one dispatcher at a time
    0-slot-<epoch ms>-<id>       a slot handed out: when, for which row, when its POST really was, and what came of it
    0-restored                   that the tables come from a backup (`domain.restoration`)
    0-turn-<item key>            the turn on an item (`domain.turns`)

A slot that was stamped may have been used at any time since; one that was not, and was taken back, surely never is.
What came of a slot's POST is written with it, so the last ones tell whether Microsoft takes anything at all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ..domain import keys, planner
from ..domain.errors import AlreadyExists, Changed, Missing
from ..domain.planner import DayCount, Slot
from ..domain.restoration import Restored
from ..domain.turns import LONGEST_INVOCATION, Turn
from ..ports import Clock, Delete, Entity, Insert, Merge, Replace, Row, Table, Write
from .batches import TRANSACTION_ROWS
from .worklist import PARTITION, WorkItem, moved, read_time

QUOTA_ROW = "0-quota"
RESTORED_ROW = "0-restored"
_TURN = "0-turn-"
_BEHIND_TURNS = "0-turn."
ROWS_PER_RESERVATION = 19
"""Five writes a row and one for the quota fit one transaction of 100."""
STRIKES_COUNT_FOR = timedelta(hours=1)
POISON_STOPS_AT = 3
POISON_COUNTS_FOR = timedelta(minutes=10)
"""So many poison messages in so short a time are no row's fault: what would follow waits, and one row is tried."""
PROBED_AFTER = frozenset({"not_allowed", "poison_message", "not_sent", "answer_lost", "refused_by_microsoft"})
ACCEPTED = "accepted"
NOT_SENT = "not_sent"
THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class StoredSlot:
    """A slot with the row that names it; `result` is what came of its POST, None while that is not known.

    `left_at` is when a POST that was accepted began, which its stamp may tell late.
    """

    name: str
    etag: str
    slot: Slot
    result: str | None = None
    left_at: datetime | None = None

    @property
    def counts(self) -> bool:
        """Whether Microsoft may have counted a POST under it, or may yet."""
        return self.result != NOT_SENT

    @property
    def is_open(self) -> bool:
        """Whether its POST is still to come, if any."""
        return self.slot.sent_at is None and self.result is None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A waiting entry, its entry in flight (which names its slot), and the slot."""

    before: WorkItem
    after: WorkItem
    slot: Slot


@dataclass(frozen=True, slots=True)
class Reserved:
    """The quota with the slots that were given, for which rows, and which rows have to wait for their item."""

    quota: Quota
    given: tuple[Reservation, ...]
    held_up: tuple[tuple[WorkItem, datetime], ...] = ()
    immovable: tuple[WorkItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """What is known of the tenant's quota: the slots of the last minutes, the day's count, and whether it is closed.

    `strikes` counts refusals in a row, so that a closed window grows; `accepted_at` is the last accepted POST whose
    slot is gone, `outage_at` the last pause for what no row is to blame for; `poisoned_at` are the last poison
    messages; `etag` is None before the first dispatch ever.
    """

    etag: str | None
    slots: tuple[StoredSlot, ...] = ()
    sent_today: DayCount = field(default_factory=DayCount)
    closed_until: datetime | None = None
    closed_reason: str | None = None
    strikes: int = 0
    accepted_at: datetime | None = None
    outage_at: datetime | None = None
    poisoned_at: tuple[datetime, ...] = ()
    restored: Restored | None = None

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

    @property
    def counted(self) -> list[StoredSlot]:
        """The slots under which a POST was made, or may be."""
        return [one for one in self.slots if one.counts]

    def last_accepted_at(self) -> datetime | None:
        """When Microsoft last accepted a POST, as far as is known."""
        told = [one.left_at or one.slot.earliest for one in self.slots if one.result == ACCEPTED]
        return max((at for at in (*told, self.accepted_at) if at is not None), default=None)

    def blames(self, refused_at: datetime | None) -> bool:
        """Whether a refusal was about the row: no outage began behind it."""
        return refused_at is not None and (self.outage_at is None or self.outage_at < refused_at)

    def accepted_since(self, at: datetime) -> bool:
        """Whether Microsoft has accepted another row's POST since then, as far as is known."""
        accepted_at = self.last_accepted_at()
        return accepted_at is not None and accepted_at > at

    def failing_rows(self, *, throttled: bool = False) -> set[str]:
        """The rows whose POSTs failed since one was last accepted: those that were throttled, or the others."""
        told = [
            (one.slot.earliest, one.result, slot_owner(one.name))
            for one in self.slots
            if one.result and (self.accepted_at is None or one.slot.earliest > self.accepted_at)
        ]
        failing: set[str] = set()
        for _, result, owner in sorted(told):
            if result == ACCEPTED:
                failing = set()
            elif (result == THROTTLED) is throttled:
                failing.add(owner)
        return failing


class QuotaStore:
    """Reads and writes the quota. Whatever gives or takes slots is one transaction."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def quota(self) -> Quota:
        """The quota as it stands, with every slot that may still matter."""
        quota = Quota(None)
        slots: list[StoredSlot] = []
        restored: Restored | None = None
        async for row in self._table.scan(PARTITION, QUOTA_ROW, _TURN):
            if row.entity["RowKey"] == QUOTA_ROW:
                quota = _quota(row)
            elif row.entity["RowKey"] == RESTORED_ROW:
                restored = _restored(row)
            else:
                slots.append(_slot(row))
        return replace(quota, slots=tuple(slots), restored=restored)

    async def restored(self) -> Restored | None:
        """Whether the tables come from a backup."""
        row = await self._table.get(PARTITION, RESTORED_ROW)
        return None if row is None else _restored(row)

    async def put_restored(self, restored: Restored) -> None:
        """Write down that the tables come from a backup."""
        entity: Entity = {
            "PartitionKey": PARTITION,
            "RowKey": RESTORED_ROW,
            "BackedUpAt": restored.backed_up_at,
            "RestoredAt": restored.restored_at,
            "IsWhole": restored.is_whole,
        }
        await self._table.write(Replace(entity))

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
        accepted_at = replace(quota, slots=tuple(leaving)).last_accepted_at()
        kept = tuple(one for one in quota.slots if one not in leaving)
        tidied = replace(quota, slots=kept, sent_today=sent_today, accepted_at=accepted_at)
        return await self._write_quota(tidied, [Delete(PARTITION, one.name, one.etag) for one in leaving])

    async def reserve(self, quota: Quota, wanted: Sequence[Reservation]) -> Reserved | None:
        """Give up to `ROWS_PER_RESERVATION` waiting rows on different items their slots.

        None when another dispatcher was faster: read the quota again. Rows whose item is not free come back as held up,
        with the time until then. Entries that cannot be moved have moved on, or are doubles.
        """
        written = await self._reserve(quota, [(one, None) for one in wanted])
        if written is not None:
            return Reserved(written, tuple(wanted))
        if (await self.quota()).etag != quota.etag:
            return None
        return await self._reserve_free(quota, wanted)

    async def _reserve_free(self, quota: Quota, wanted: Sequence[Reservation]) -> Reserved | None:
        """Give slots to those whose items are free, together or, where one of them is refused, one by one."""
        now = self._clock.now()
        turns = await asyncio.gather(*(self._turn_row(one.before.outcome.item_key) for one in wanted))
        known = list(zip(wanted, turns, strict=True))
        free = [(one, row) for one, row in known if row is None or _turn(row).free_at(now) <= now]
        busy = tuple(
            (one.before, _turn(row).free_at(now)) for one, row in known if row and _turn(row).free_at(now) > now
        )
        if not free:
            return Reserved(quota, (), busy)
        written = await self._reserve(quota, free)
        if written is not None:
            return Reserved(written, tuple(one for one, _ in free), busy)
        given: list[Reservation] = []
        immovable: list[WorkItem] = []
        for one in free:
            written = await self._reserve(quota, [one])
            if written is not None:
                quota = written
                given.append(one[0])
            elif (await self.quota()).etag != quota.etag:
                return None if not given else Reserved(quota, tuple(given), busy)
            else:
                immovable.append(one[0].before)
        return Reserved(quota, tuple(given), busy, tuple(immovable))

    async def _reserve(self, quota: Quota, wanted: Sequence[tuple[Reservation, Row | None]]) -> Quota | None:
        writes: list[Write] = []
        for one, turn in wanted:
            writes += [*moved(one.before, one.after), Insert(_slot_entity(one.after.slot or "", one.slot))]
            if one.before.outcome.item_key is not None:
                writes.append(_taken(one, turn))
        fresh = tuple(StoredSlot(one.after.slot or "", "", one.slot) for one, _ in wanted)
        return await self._write_quota(replace(quota, slots=(*quota.slots, *fresh)), writes)

    async def stamp(self, item: WorkItem, at: datetime) -> bool:
        """Write the time of the POST into its slot; False when the slot was taken back, then nothing may be sent.

        The item's turn is stamped with it, where it has one: rows from before turns have none.
        """
        slot = Merge({"PartitionKey": PARTITION, "RowKey": item.slot or "", "SentAt": at})
        if item.outcome.item_key is not None:
            turn = Merge({"PartitionKey": PARTITION, "RowKey": _turn_key(item.outcome.item_key), "SentAt": at})
            if await self._written([slot, turn]):
                return True
        return await self._written([slot])

    async def tell(self, item: WorkItem, result: str) -> None:
        """Write what came of the POST under a slot. Where nothing was sent the slot is free again."""
        stored = await self.slot(item.slot or "")
        if stored is not None:
            slot = replace(stored.slot, sent_at=None) if result == NOT_SENT else stored.slot
            await self._written([Replace(_slot_entity(stored.name, slot) | {"Result": result}, stored.etag)])

    def accepted(self, item: WorkItem, sent_at: datetime) -> Write:
        """What writes into a row's slot that Microsoft accepted its POST, which left then."""
        return Merge({"PartitionKey": PARTITION, "RowKey": item.slot or "", "Result": ACCEPTED, "LeftAt": sent_at})

    async def turn_of(self, item_key: str | None) -> Turn:
        """The turn on an item as it stands."""
        row = await self._turn_row(item_key)
        return Turn() if row is None else _turn(row)

    async def end_turn(self, item: WorkItem) -> None:
        """End the turn of a row whose POST under its slot was not made, or surely had no effect."""
        row = await self._turn_row(item.outcome.item_key)
        if row is not None and row.entity.get("Slot") == item.slot:
            await self._put_turn(item.outcome.item_key or "", Turn(sent=_earlier(row)), row)

    async def forget_post(self, item_key: str | None, sent_at: datetime) -> None:
        """Take a POST that never arrived out of what is remembered of the item."""
        row = await self._turn_row(item_key)
        if row is None:
            return
        turn = _turn(row)
        kept = tuple(at for at in turn.sent if not sent_at <= at < sent_at + LONGEST_INVOCATION)
        if kept != turn.sent:
            await self._put_turn(item_key or "", replace(turn, sent=kept), row)

    async def forget_old_turns(self) -> None:
        """Take away what is remembered of items that were last sent more than a day ago."""
        now = self._clock.now()
        old = [row async for row in self._table.scan(PARTITION, _TURN, _BEHIND_TURNS) if _turn(row).is_over(now)]
        for start in range(0, len(old), TRANSACTION_ROWS):
            batch = [
                Delete(PARTITION, entity_key(row.entity), row.etag) for row in old[start : start + TRANSACTION_ROWS]
            ]
            if not await self._written(batch):
                for one in batch:
                    await self._written([one])

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
        await self._written([Delete(PARTITION, slot)])

    async def close(self, until: datetime, reason: str) -> Quota:
        """Let nothing more out before `until` and take back every slot that was not used yet.

        Safe to call by several workers at once: the latest end wins and one burst of refusals is one strike.
        """
        while True:
            quota = await self.quota()
            was_open = quota.closed_until is None or quota.closed_until <= self._clock.now()
            unused = [one for one in quota.slots if one.is_open][: TRANSACTION_ROWS - 1]
            closed = replace(
                quota,
                slots=tuple(one for one in quota.slots if one not in unused),
                closed_until=until if was_open else max(until, quota.closed_until or until),
                closed_reason=reason,
                strikes=quota.strikes_at(self._clock.now()) + was_open,
                outage_at=self._clock.now() if reason in PROBED_AFTER else quota.outage_at,
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

    async def _write_quota(self, quota: Quota, writes: list[Write]) -> Quota | None:
        entity = _quota_entity(quota)
        own: Write = Insert(entity) if quota.etag is None else Replace(entity, quota.etag)
        try:
            etags = await self._table.write_all([own, *writes])
        except (AlreadyExists, Changed, Missing):
            return None
        return replace(quota, etag=etags[0])

    async def _put_turn(self, item_key: str, turn: Turn, row: Row) -> None:
        is_empty = turn.slot is None and not turn.sent
        write = (
            Delete(PARTITION, _turn_key(item_key), row.etag)
            if is_empty
            else Replace(_turn_entity(item_key, turn), row.etag)
        )
        await self._written([write])

    async def _turn_row(self, item_key: str | None) -> Row | None:
        return None if item_key is None else await self._table.get(PARTITION, _turn_key(item_key))

    async def _written(self, writes: Sequence[Write]) -> bool:
        """Whether all of the writes were done; none was where one of them was refused."""
        try:
            await self._table.write_all(writes)
        except (AlreadyExists, Changed, Missing):
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


def entity_key(entity: Entity) -> str:
    """The row key of an entity."""
    return str(entity["RowKey"])


def _slot_entity(name: str, slot: Slot) -> Entity:
    entity: Entity = {"PartitionKey": PARTITION, "RowKey": name, "At": slot.at, "Urgent": slot.urgent}
    return entity if slot.sent_at is None else entity | {"SentAt": slot.sent_at}


def _slot(row: Row) -> StoredSlot:
    entity = row.entity
    sent_at = read_time(entity["SentAt"]) if "SentAt" in entity else None
    slot = Slot(read_time(entity["At"]), bool(entity["Urgent"]), sent_at)
    result = str(entity["Result"]) if "Result" in entity else None
    left_at = read_time(entity["LeftAt"]) if "LeftAt" in entity else None
    return StoredSlot(entity_key(entity), row.etag, slot, result, left_at)


def _turn_key(item_key: str) -> str:
    return f"{_TURN}{item_key}"


def _taken(one: Reservation, turn: Row | None) -> Write:
    """The write that gives the row its item's turn."""
    item_key = one.before.outcome.item_key or ""
    before = Turn() if turn is None else _turn(turn)
    entity = _turn_entity(item_key, before.taken(one.after.slot or "", one.slot.at))
    return Insert(entity) if turn is None else Replace(entity, turn.etag)


def _turn_entity(item_key: str, turn: Turn) -> Entity:
    """What is known of an item; the stamp of the POST to come is merged into it as `SentAt`."""
    earlier = json.dumps([at.isoformat() for at in turn.sent])
    entity: Entity = {"PartitionKey": PARTITION, "RowKey": _turn_key(item_key), "Earlier": earlier}
    if turn.slot is not None and turn.slot_at is not None:
        entity |= {"Slot": turn.slot, "SlotAt": turn.slot_at}
    return entity


def _turn(row: Row) -> Turn:
    entity = row.entity
    if "SentAt" in entity:
        return Turn().posted(*_earlier(row), read_time(entity["SentAt"]))
    if "Slot" not in entity:
        return Turn(sent=_earlier(row))
    return Turn(str(entity["Slot"]), read_time(entity["SlotAt"]), _earlier(row))


def _earlier(row: Row) -> tuple[datetime, ...]:
    return tuple(datetime.fromisoformat(at) for at in json.loads(str(row.entity["Earlier"])))


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
    if quota.accepted_at is not None:
        entity["AcceptedAt"] = quota.accepted_at
    if quota.outage_at is not None:
        entity["OutageAt"] = quota.outage_at
    if quota.closed_reason is not None:
        entity["ClosedReason"] = quota.closed_reason
    return entity


def _restored(row: Row) -> Restored:
    backed_up_at, restored_at = (read_time(row.entity[name]) for name in ("BackedUpAt", "RestoredAt"))
    return Restored(backed_up_at, restored_at, row.entity["IsWhole"] is True)


def _quota(row: Row) -> Quota:
    entity = row.entity
    sent_today = DayCount(_minutes(entity["SentToday"]), _minutes(entity.get("UrgentToday", "{}")))
    return Quota(
        etag=row.etag,
        sent_today=sent_today,
        closed_until=read_time(entity["ClosedUntil"]) if "ClosedUntil" in entity else None,
        closed_reason=str(entity["ClosedReason"]) if "ClosedReason" in entity else None,
        strikes=int(str(entity["Strikes"])),
        accepted_at=read_time(entity["AcceptedAt"]) if "AcceptedAt" in entity else None,
        outage_at=read_time(entity["OutageAt"]) if "OutageAt" in entity else None,
        poisoned_at=tuple(datetime.fromisoformat(at) for at in json.loads(str(entity["PoisonedAt"]))),
    )


def _minutes(text: object) -> dict[int, int]:
    return {int(minute): int(count) for minute, count in json.loads(str(text)).items()}
