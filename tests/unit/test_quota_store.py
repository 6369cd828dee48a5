"""The quota: slots given in one transaction, what their POSTs came to, whose turn an item is, and who may not go."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.memory_storage import MemoryTable
from shared.domain.model import Outcome, Priority, State
from shared.domain.planner import CLOCK_MARGIN, DAY, SLOT_LIFETIME, WINDOW, DayCount, Slot
from shared.domain.turns import LOOK_AGAIN_AFTER, WORKER_SURELY_GONE
from shared.stores.quota import NOT_SENT, Quota, QuotaStore, Reservation, Reserved, slot_name, slot_owner, slot_time
from shared.stores.worklist import PARTITION, WorkItem, Worklist
from tests.support.outcomes import NOW, make_outcome, submission_id
from tests.support.stage import StageClock
from tests.support.tables import YieldingTable

A_SECOND = timedelta(seconds=1)


@pytest.fixture
def table() -> MemoryTable:
    """Return the empty table behind worklist and quota."""
    return YieldingTable()


@pytest.fixture
def clock() -> StageClock:
    """Return the clock of the quota."""
    return StageClock(NOW)


@pytest.fixture
def worklist(table: MemoryTable) -> Worklist:
    """Return an empty worklist."""
    return Worklist(table)


@pytest.fixture
def store(table: MemoryTable, clock: StageClock) -> QuotaStore:
    """Return the quota in the same table."""
    return QuotaStore(table, clock)


def item(number: int = 1, **facts: Any) -> WorkItem:
    """Return an entry of the row with that number; what `Outcome` knows goes there."""
    of_outcome = {name: facts.pop(name) for name in list(facts) if name in Outcome.__slots__}
    return WorkItem(outcome=make_outcome(number, **of_outcome), etag=f"etag-{number}", due_at=NOW, **facts)


async def waiting(worklist: Worklist, *entries: WorkItem) -> list[WorkItem]:
    """Put entries into their lane; returns them as they are read, in the order given."""
    await worklist.add(entries)
    found = {one.outcome.key: one for one in await worklist.due(Priority.NORMAL, NOW, 1000)}
    return [found[one.outcome.key] for one in entries]


def wanted(entry: WorkItem, at: datetime = NOW) -> Reservation:
    """Return what reserving a slot for a waiting entry takes."""
    slot = Slot(at, urgent=False)
    name = slot_name(slot, entry.outcome.key.submission_id)
    return Reservation(entry, replace(entry, outcome=replace(entry.outcome, state=State.DISPATCHED), slot=name), slot)


async def reserve(store: QuotaStore, *entries: WorkItem, at: datetime = NOW) -> list[WorkItem]:
    """Give waiting entries their slots; returns them in flight."""
    reserved = await store.reserve(await store.quota(), [wanted(one, at) for one in entries])
    assert reserved is not None
    assert len(reserved.given) == len(entries)
    return [one.after for one in reserved.given]


def names(table: MemoryTable) -> list[str]:
    """Return every row key but those of pointers and turns, sorted."""
    found = sorted(str(row["RowKey"]) for row in table.rows())
    return [name for name in found if not name.startswith(("0-entry-", "0-turn-"))]


def given(reserved: Reserved | None) -> list[str]:
    """Return the submission ids of the rows that got a slot."""
    assert reserved is not None
    return [one.after.outcome.key.submission_id for one in reserved.given]


async def test_a_row_gets_its_slot_in_one_step(worklist: Worklist, store: QuotaStore, table: MemoryTable) -> None:
    """It leaves its lane, stands in flight and has its slot; the quota knows it."""
    (flying,) = await reserve(store, *await waiting(worklist, item()))
    assert names(table) == ["0-quota", flying.slot, f"2-{submission_id(1)}"]
    (stored,) = (await store.quota()).slots
    assert (stored.name, stored.slot) == (flying.slot, Slot(NOW, urgent=False))
    assert (slot_time(stored.name), slot_owner(stored.name)) == (NOW, submission_id(1))


async def test_an_entry_that_has_moved_on_holds_up_no_other(worklist: Worklist, store: QuotaStore) -> None:
    """The others get their slots; it comes back as one that cannot be moved."""
    entries = await waiting(worklist, *(item(number) for number in range(3)))
    await worklist.remove(entries[2:])
    reserved = await store.reserve(await store.quota(), [wanted(one) for one in entries])
    assert given(reserved) == [submission_id(0), submission_id(1)]
    assert reserved is not None
    assert reserved.immovable == (entries[2],)


async def test_a_double_of_a_row_in_flight_holds_up_no_other(
    worklist: Worklist, store: QuotaStore, table: MemoryTable
) -> None:
    """It cannot move, and goes."""
    first, other = await waiting(worklist, item(1), item(2))
    await reserve(store, first)
    (double,) = await waiting(worklist, item(1))
    reserved = await store.reserve(await store.quota(), [wanted(double, NOW + A_SECOND), wanted(other)])
    assert given(reserved) == [submission_id(2)]
    await worklist.drop_double(double)
    assert [name for name in names(table) if name.startswith(("1", "2"))] == sorted(
        f"2-{submission_id(number)}" for number in (1, 2)
    )


async def test_the_slower_of_two_dispatchers_gets_nothing(worklist: Worklist, store: QuotaStore) -> None:
    """Both read the same quota; the second has to read again, also for other rows."""
    one, other = await waiting(worklist, item(1), item(2))
    quota = await store.quota()
    assert await store.reserve(quota, [wanted(one)]) is not None
    assert await store.reserve(quota, [wanted(other)]) is None


async def test_one_dispatcher_can_reserve_on_and_on(worklist: Worklist, store: QuotaStore) -> None:
    """The quota that comes back admits the next reservation of the same run."""
    one, other = await waiting(worklist, item(1), item(2))
    reserved = await store.reserve(await store.quota(), [wanted(one)])
    assert reserved is not None
    again = await store.reserve(reserved.quota, [wanted(other)])
    assert again is not None
    assert [one.slot for one in again.quota.slots] == [Slot(NOW, urgent=False)] * 2


@pytest.mark.parametrize("dispatchers", [2, 5])
async def test_dispatchers_side_by_side_give_every_row_one_slot(
    worklist: Worklist, store: QuotaStore, table: MemoryTable, dispatchers: int
) -> None:
    """Interleaved at every call: no row is given twice, and none is left."""
    await worklist.add([item(number) for number in range(6)])

    async def dispatch() -> int:
        count = 0
        while True:
            quota = await store.quota()
            due = await worklist.due(Priority.NORMAL, NOW, 2)
            if not due:
                return count
            reserved = await store.reserve(quota, [wanted(one) for one in due])
            count += 0 if reserved is None else len(reserved.given)

    counts = await asyncio.gather(*(dispatch() for _ in range(dispatchers)))
    assert sum(counts) == 6
    assert sum(name.startswith("0-slot-") for name in names(table)) == 6


# Turns.


def twin(number: int, **facts: Any) -> WorkItem:
    """Return an entry of another row on the same item."""
    return item(number, item_key="ab" * 16, **facts)


async def test_an_item_is_one_rows_turn_at_a_time(worklist: Worklist, store: QuotaStore, clock: StageClock) -> None:
    """The next row waits while the first has its slot, then a window from the end of its POST; others do not wait."""
    first, second, other = await waiting(worklist, twin(1), twin(2), item(3))
    (flying,) = await reserve(store, first)
    reserved = await store.reserve(await store.quota(), [wanted(second), wanted(other)])
    assert given(reserved) == [submission_id(3)]
    assert reserved is not None
    (held_up,) = reserved.held_up
    assert held_up[0] == second
    assert NOW + LOOK_AGAIN_AFTER <= held_up[1] <= NOW + LOOK_AGAIN_AFTER + A_SECOND
    await store.stamp(flying, NOW)
    await store.stamp(flying, NOW + timedelta(seconds=40))
    reserved = await store.reserve(await store.quota(), [wanted(second)])
    assert reserved is not None
    assert reserved.held_up == ((second, NOW + timedelta(seconds=40) + WINDOW + CLOCK_MARGIN),)
    clock.time = reserved.held_up[0][1]
    assert given(await store.reserve(await store.quota(), [wanted(second, clock.time)])) == [submission_id(2)]


async def test_an_item_is_sent_three_times_a_day(worklist: Worklist, store: QuotaStore, clock: StageClock) -> None:
    """The fourth row waits until the first POST is a day old."""
    entries = await waiting(worklist, *(twin(number) for number in range(4)))
    for entry in entries[:3]:
        (flying,) = await reserve(store, entry, at=clock.time)
        await store.stamp(flying, clock.time)
        clock.advance(hours=1)
    reserved = await store.reserve(await store.quota(), [wanted(entries[3], clock.time)])
    assert reserved is not None
    assert reserved.held_up == ((entries[3], NOW + DAY + CLOCK_MARGIN),)


async def test_a_turn_that_came_to_no_post_is_over(worklist: Worklist, store: QuotaStore, table: MemoryTable) -> None:
    """Nothing of it is remembered; the end of another row's turn changes nothing."""
    first, second = await waiting(worklist, twin(1), twin(2))
    (flying,) = await reserve(store, first)
    await store.end_turn(replace(flying, slot="another"))
    assert (await store.turn_of(flying.outcome.item_key)).slot == flying.slot
    await store.end_turn(flying)
    assert not [row for row in table.rows() if str(row["RowKey"]).startswith("0-turn-")]
    await reserve(store, second, at=NOW + A_SECOND)


async def test_a_post_that_never_arrived_is_forgotten(worklist: Worklist, store: QuotaStore) -> None:
    """Also where the end of it is remembered; another POST of the item is not."""
    first, second = await waiting(worklist, twin(1), twin(2))
    (flying,) = await reserve(store, first)
    await store.stamp(flying, NOW + timedelta(seconds=30))
    await store.forget_post(flying.outcome.item_key, NOW + timedelta(hours=1))
    assert (await store.turn_of(flying.outcome.item_key)).sent == (NOW + timedelta(seconds=30),)
    await store.forget_post(flying.outcome.item_key, NOW)
    await reserve(store, second, at=NOW + A_SECOND)


async def test_a_turn_whose_slot_was_lost_ends_by_itself(
    worklist: Worklist, store: QuotaStore, clock: StageClock
) -> None:
    """When no worker can have the slot any more: nothing waits for ever behind a bug."""
    first, second = await waiting(worklist, twin(1), twin(2))
    await reserve(store, first)
    clock.advance(seconds=WORKER_SURELY_GONE.total_seconds())
    await reserve(store, second, at=clock.time)


async def test_what_a_day_has_passed_over_is_forgotten(
    worklist: Worklist, store: QuotaStore, table: MemoryTable, clock: StageClock
) -> None:
    """A turn is kept for the day in which it matters, and no longer."""
    (flying,) = await reserve(store, *await waiting(worklist, twin(1)))
    await store.stamp(flying, NOW)
    clock.time = NOW + DAY
    await store.forget_old_turns()
    assert (await store.turn_of(flying.outcome.item_key)).sent == (NOW,)
    clock.advance(minutes=1)
    await store.forget_old_turns()
    assert not [row for row in table.rows() if str(row["RowKey"]).startswith("0-turn-")]


# What POSTs came to.


async def test_the_last_results_tell_an_outage(worklist: Worklist, store: QuotaStore, clock: StageClock) -> None:
    """Rows count once, from the last accepted one on; those that were throttled say nothing of the others."""
    entries = await waiting(worklist, *(item(number) for number in range(6)))
    flying = await reserve(store, *entries)
    for number, (entry, result) in enumerate(
        zip(flying, ["not_allowed", "accepted", "answer_lost", "throttled", "refused_by_microsoft", None], strict=True)
    ):
        await store.stamp(entry, NOW + number * A_SECOND)
        if result is not None:
            await store.tell(entry, result)
    quota = await store.quota()
    assert quota.failing_rows() == {submission_id(2), submission_id(4)}
    assert quota.failing_rows(throttled=True) == {submission_id(3)}
    assert quota.last_accepted_at() == NOW + A_SECOND
    clock.time = NOW + timedelta(hours=1)
    assert await store.tidy(quota) is not None
    quota = await store.quota()
    assert (quota.slots, quota.last_accepted_at()) == ((), NOW + A_SECOND)


async def test_a_slot_under_which_nothing_was_sent_is_free(worklist: Worklist, store: QuotaStore) -> None:
    """It counts for no limit and is nobody's any more, but still tells of the failure."""
    (flying,) = await reserve(store, *await waiting(worklist, item()))
    await store.stamp(flying, NOW)
    await store.tell(flying, NOT_SENT)
    quota = await store.quota()
    assert (quota.counted, quota.failing_rows()) == ([], {submission_id(1)})
    assert not any(one.is_open for one in quota.slots)
    assert (await store.close(NOW, "not_sent")).failing_rows() == {submission_id(1)}


async def test_a_stamp_is_the_slots_true_time(worklist: Worklist, store: QuotaStore) -> None:
    """It may be written again; a slot that was taken back admits none."""
    (flying,) = await reserve(store, *await waiting(worklist, item()))
    slot = flying.slot or ""
    assert await store.stamp(flying, NOW)
    assert await store.stamp(flying, NOW + A_SECOND)
    stored = await store.slot(slot)
    assert stored is not None
    assert stored.slot == Slot(NOW, urgent=False, sent_at=NOW + A_SECOND)
    await store.release(slot)
    await store.release(slot)
    assert not await store.stamp(flying, NOW)
    assert await store.slot(slot) is None


async def test_a_slot_can_be_taken_back_until_it_is_stamped(worklist: Worklist, store: QuotaStore) -> None:
    """Whoever read it before the stamp fails, and so does whoever comes second."""
    stamped, unused = await reserve(store, *await waiting(worklist, item(1), item(2)))
    slots = {one.name: one for one in (await store.quota()).slots}
    await store.stamp(stamped, NOW)
    assert not await store.drop_unused(slots[stamped.slot or ""])
    assert await store.drop_unused(slots[unused.slot or ""])
    assert not await store.drop_unused(slots[unused.slot or ""])


async def test_closing_takes_back_what_was_not_sent(worklist: Worklist, store: QuotaStore, clock: StageClock) -> None:
    """Unused slots go, stamped ones stay, and the quota says until when and why."""
    stamped, _ = await reserve(store, *await waiting(worklist, item(1), item(2)))
    await store.stamp(stamped, NOW)
    until = clock.now() + timedelta(minutes=5)
    closed = await store.close(until, "throttled")
    assert [one.name for one in closed.slots] == [stamped.slot]
    assert closed == await store.quota()
    assert (closed.closed_until, closed.closed_reason, closed.strikes) == (until, "throttled", 1)


async def test_closing_takes_back_more_slots_than_fit_one_transaction(worklist: Worklist, store: QuotaStore) -> None:
    """All of them go, however many there are, and it is one strike."""
    for start in range(0, 140, 14):
        await reserve(store, *await waiting(worklist, *(item(number) for number in range(start, start + 14))))
    closed = await store.close(NOW + timedelta(minutes=5), "throttled")
    assert (closed.slots, closed.strikes) == ((), 1)
    assert (await store.quota()).slots == ()


async def test_one_burst_of_refusals_is_one_strike_and_the_latest_end_wins(store: QuotaStore) -> None:
    """Workers that are refused together close together; nobody shortens what another asked for."""
    ends = [NOW + timedelta(minutes=minutes) for minutes in (5, 9, 2)]
    await asyncio.gather(*(store.close(until, "throttled") for until in ends))
    quota = await store.quota()
    assert (quota.closed_until, quota.strikes) == (max(ends), 1)


async def test_strikes_in_a_row_count_until_they_are_old_or_forgotten(store: QuotaStore, clock: StageClock) -> None:
    """A refusal after the window reopened is another strike; success or an hour of peace forgets them."""
    await store.close(NOW + timedelta(minutes=5), "not_allowed")
    clock.advance(minutes=6)
    quota = await store.close(clock.now() + timedelta(minutes=10), "not_allowed")
    assert quota.strikes == 2
    assert quota.is_probing(clock.now())
    end = quota.closed_until or NOW
    assert quota.strikes_at(end + timedelta(minutes=59)) == 2
    assert quota.strikes_at(end + timedelta(hours=1)) == 0
    await store.reopen()
    reopened = await store.quota()
    assert (reopened.strikes, reopened.is_probing(clock.now())) == (0, False)


@pytest.mark.parametrize(("reason", "is_probing"), [("not_allowed", True), ("not_sent", True), ("throttled", False)])
async def test_whatever_is_not_the_quota_is_probed(store: QuotaStore, reason: str, is_probing: bool) -> None:
    """After a 429 everybody may go again, after a 401 or without a connection one row at a time."""
    quota = await store.close(NOW + timedelta(minutes=5), reason)
    assert quota.is_probing(NOW) is is_probing


async def test_tidying_counts_what_left_the_window_into_the_day(
    worklist: Worklist, store: QuotaStore, clock: StageClock
) -> None:
    """A POST counts once, in its own minute; a slot that was never used counts nothing; a fresh one stays a slot."""
    sent, _, fresh = await reserve(store, *await waiting(worklist, *(item(number) for number in range(3))))
    await store.stamp(sent, NOW)
    await store.stamp(fresh, NOW + timedelta(minutes=7))
    clock.time = NOW + SLOT_LIFETIME + WINDOW + CLOCK_MARGIN + A_SECOND
    tidied = await store.tidy(await store.quota())
    assert tidied is not None
    assert [one.name for one in tidied.slots] == [fresh.slot]
    assert tidied.sent_today == DayCount().with_sent(NOW)
    stored = await store.quota()
    assert (stored.slots, stored.sent_today) == (tidied.slots, tidied.sent_today)


async def test_tidying_loses_to_a_faster_dispatcher(worklist: Worklist, store: QuotaStore, clock: StageClock) -> None:
    """What was read before another one wrote is never counted twice."""
    (flying,) = await reserve(store, *await waiting(worklist, item()))
    await store.stamp(flying, NOW)
    clock.time = NOW + timedelta(hours=1)
    quota = await store.quota()
    assert await store.tidy(quota) is not None
    assert await store.tidy(quota) is None
    assert (await store.quota()).sent_today.total() == 1


async def test_a_full_day_fits_the_quota_row(worklist: Worklist, store: QuotaStore, table: MemoryTable) -> None:
    """One count for each of 1,440 minutes survives the round trip within a property's limit."""
    busy = DayCount()
    for minute in range(1440):
        for _ in range(2):
            busy = busy.with_sent(NOW - timedelta(minutes=minute))
    (entry,) = await waiting(worklist, item())
    assert await store.reserve(replace(Quota(None), sent_today=busy), [wanted(entry)]) is not None
    assert (await store.quota()).sent_today == busy
    (row,) = [row for row in table.rows() if row["RowKey"] == "0-quota"]
    assert row["PartitionKey"] == PARTITION


async def test_a_post_was_accepted_when_it_left(store: QuotaStore, worklist: Worklist, clock: StageClock) -> None:
    """A worker that stood still stamps it late: what was refused meanwhile was not refused before it."""
    (flying,) = await reserve(store, *await waiting(worklist, item()))
    assert await store.stamp(flying, NOW)
    clock.advance(minutes=2)
    assert await store.stamp(flying, clock.time)
    assert await store._written([store.accepted(flying, NOW)])
    quota = await store.quota()
    assert quota.accepted_since(NOW - A_SECOND)
    assert not quota.accepted_since(NOW + A_SECOND)
