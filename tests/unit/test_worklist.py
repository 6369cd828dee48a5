"""The worklist: its order, its transactions, and the quota it keeps."""

import asyncio
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.memory_storage import MemoryTable
from shared.domain.model import Outcome, OutcomeKey, Priority, State
from shared.domain.planner import CLOCK_MARGIN, SLOT_LIFETIME, WINDOW, DayCount, Slot
from shared.domain.submissions import Material
from shared.stores.worklist import (
    PARTITION,
    Quota,
    WorkItem,
    Worklist,
    slot_name,
    slot_owner,
    slot_time,
)
from tests.support.outcomes import NOW, make_outcome, outcomes, submission_id
from tests.support.stage import StageClock
from tests.support.tables import YieldingTable

A_SECOND = timedelta(seconds=1)


@pytest.fixture
def table() -> MemoryTable:
    """Return the empty table behind the worklist."""
    return YieldingTable()


@pytest.fixture
def clock() -> StageClock:
    """Return the clock of the worklist."""
    return StageClock(NOW)


@pytest.fixture
def worklist(table: MemoryTable, clock: StageClock) -> Worklist:
    """Return an empty worklist."""
    return Worklist(table, clock)


def item(number: int = 1, due_at: datetime = NOW, state: State = State.PENDING, **facts: Any) -> WorkItem:
    """Return an entry of the row with that number; what `Outcome` knows goes there."""
    of_outcome = {name: facts.pop(name) for name in list(facts) if name in Outcome.__slots__}
    outcome = make_outcome(number, state=state, **of_outcome)
    return WorkItem(outcome=outcome, etag=f"etag-{number}", due_at=due_at, **facts)


def in_flight(waiting: WorkItem, at: datetime = NOW) -> tuple[WorkItem, WorkItem, Slot]:
    """Return what reserving a slot for a waiting entry takes."""
    slot = Slot(at, urgent=False)
    name = slot_name(slot, waiting.outcome.key.submission_id)
    flying = replace(waiting, outcome=replace(waiting.outcome, state=State.DISPATCHED), slot=name)
    return waiting, flying, slot


async def reserve(worklist: Worklist, *waiting: WorkItem, at: datetime = NOW) -> list[WorkItem]:
    """Give waiting entries their slots; returns them in flight."""
    triples = [in_flight(one, at) for one in waiting]
    assert await worklist.reserve(await worklist.quota(), triples) is not None
    return [flying for _, flying, _ in triples]


def names(table: MemoryTable) -> list[str]:
    """Return every row key, sorted."""
    return sorted(str(row["RowKey"]) for row in table.rows())


def numbers(items: Sequence[WorkItem]) -> list[str]:
    """Return the subjects' numbers, which are the rows'."""
    return [(one.outcome.subject or "").split()[-1] for one in items]


@settings(max_examples=30)
@given(
    st.builds(
        WorkItem,
        outcome=outcomes(st.text("aZ0é日'\"\\", max_size=10)).map(lambda row: replace(row, state=State.DISPATCHED)),
        etag=st.text(max_size=10),
        material=st.builds(Material, **{field.name: st.none() | st.text(max_size=5) for field in fields(Material)}),
        due_at=st.integers(0, 10**6).map(lambda number: NOW + timedelta(microseconds=number)),
        failures=st.integers(0, 9),
        throttled=st.integers(0, 9),
        slot=st.none() | st.text(max_size=5),
        sent_at=st.none() | st.just(NOW),
        waits_for=st.lists(st.builds(OutcomeKey, st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple),
        is_probe=st.booleans(),
    )
)
async def test_an_entry_comes_back_as_it_was_put(entry: WorkItem) -> None:
    """Every field of it."""
    worklist = Worklist(MemoryTable(), StageClock(NOW))
    await worklist.add([entry])
    assert await worklist.in_flight(entry.outcome.key.submission_id) == entry


@pytest.mark.parametrize(
    ("entry", "row_key"),
    [
        (item(priority=Priority.URGENT), f"1-0-1795435200000-{submission_id(1)}"),
        (item(), f"1-1-1795435200000-{submission_id(1)}"),
        (item(priority=None), f"1-1-1795435200000-{submission_id(1)}"),
        (item(priority=Priority.LOW, due_at=NOW + A_SECOND), f"1-2-1795435201000-{submission_id(1)}"),
        (item(state=State.DISPATCHED), f"2-{submission_id(1)}"),
        (item(state=State.SUBMITTING), f"2-{submission_id(1)}"),
        (item(state=State.SUBMITTED), f"3-{submission_id(1)}"),
        (item(state=State.UNCERTAIN), f"3-{submission_id(1)}"),
        (item(state=State.COVERED, covered_by=submission_id(2)), f"4-{submission_id(2)}-{submission_id(1)}"),
        (item(state=State.FAILED), f"9-{submission_id(1)}"),
    ],
)
def test_an_entry_stands_where_its_state_lane_and_time_put_it(entry: WorkItem, row_key: str) -> None:
    """The row key is the order in which entries are acted on."""
    assert entry.row_key == row_key


async def test_what_is_due_comes_longest_due_first(worklist: Worklist) -> None:
    """Per lane, up to the limit; what is due later is left, to the millisecond."""
    millisecond = timedelta(milliseconds=1)
    await worklist.add([item(1, NOW), item(2, NOW - A_SECOND), item(3, NOW + millisecond), item(4, NOW - 2 * A_SECOND)])
    await worklist.add([item(5, NOW - A_SECOND, priority=Priority.URGENT), item(6, NOW, priority=Priority.LOW)])
    assert numbers(await worklist.due(Priority.NORMAL, NOW, 10)) == ["4", "2", "1"]
    assert numbers(await worklist.due(Priority.NORMAL, NOW, 2)) == ["4", "2"]
    assert numbers(await worklist.due(Priority.NORMAL, NOW + millisecond, 10)) == ["4", "2", "1", "3"]
    assert numbers(await worklist.due(Priority.URGENT, NOW, 10)) == ["5"]
    assert numbers(await worklist.due(Priority.LOW, NOW, 10)) == ["6"]


async def test_sections_do_not_mix(worklist: Worklist) -> None:
    """In flight, at Microsoft, covered: each list has its own."""
    states = [State.PENDING, State.DISPATCHED, State.SUBMITTING, State.SUBMITTED, State.UNCERTAIN, State.FAILED]
    await worklist.add([item(number, state=state) for number, state in enumerate(states)])
    await worklist.add([item(7, state=State.COVERED, covered_by=submission_id(1))])
    assert sorted(numbers(await worklist.all_in_flight())) == ["1", "2"]
    assert sorted(numbers(await worklist.at_microsoft())) == ["3", "4"]
    assert numbers([one async for one in worklist.covered()]) == ["7"]


async def test_more_than_a_transaction_can_be_added_and_removed(worklist: Worklist, table: MemoryTable) -> None:
    """Entries that are gone already do not hold up the others."""
    items = [item(number) for number in range(230)]
    await worklist.add(items)
    assert len(table.rows()) == 230
    await worklist.remove(items[50:60])
    await worklist.remove(items)
    assert table.rows() == []


async def test_a_moved_entry_stands_once(worklist: Worklist, table: MemoryTable) -> None:
    """The old place is left and the new one taken in one step."""
    flying = item(state=State.DISPATCHED)
    await worklist.add([flying])
    after = replace(flying, outcome=replace(flying.outcome, state=State.SUBMITTED))
    assert await worklist.move(flying, after)
    assert names(table) == [after.row_key]


async def test_an_entry_that_has_moved_on_is_not_moved(worklist: Worklist, table: MemoryTable) -> None:
    """Then nothing is written, neither here nor there."""
    flying = item(state=State.DISPATCHED)
    assert not await worklist.move(flying, replace(flying, outcome=replace(flying.outcome, state=State.SUBMITTED)))
    assert table.rows() == []


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"due_at": NOW + timedelta(hours=1)},
        {"outcome": make_outcome(priority=Priority.URGENT)},
        {"outcome": make_outcome(state=State.DISPATCHED)},
    ],
    ids=["as-admitted", "put-off", "expedited", "in-flight"],
)
async def test_an_entry_is_found_wherever_its_row_waits(worklist: Worklist, change: dict[str, Any]) -> None:
    """A row that was put off, expedited or dispatched since it was admitted is still held."""
    admitted = item()
    assert not await worklist.holds(admitted)
    await worklist.add([item(2), item(3, NOW + A_SECOND), replace(admitted, **change)])
    assert await worklist.holds(admitted)


async def test_a_row_gets_its_slot_in_one_step(worklist: Worklist, table: MemoryTable) -> None:
    """It leaves its lane, stands in flight and has its slot; the quota knows it."""
    waiting = item()
    await worklist.add([waiting])
    (flying,) = await reserve(worklist, waiting)
    assert names(table) == ["0-quota", flying.slot, f"2-{submission_id(1)}"]
    (stored,) = (await worklist.quota()).slots
    assert (stored.name, stored.slot) == (flying.slot, Slot(NOW, urgent=False))
    assert (slot_time(stored.name), slot_owner(stored.name)) == (NOW, submission_id(1))


async def test_a_reservation_is_all_or_none(worklist: Worklist, table: MemoryTable) -> None:
    """One waiting entry that is gone, and nobody has a slot."""
    waiting = [item(number) for number in range(3)]
    await worklist.add(waiting[:2])
    before = names(table)
    assert await worklist.reserve(await worklist.quota(), [in_flight(one) for one in waiting]) is None
    assert names(table) == before


async def test_the_slower_of_two_dispatchers_gets_nothing(worklist: Worklist) -> None:
    """Both read the same quota; the second has to read again, also for other rows."""
    await worklist.add([item(1), item(2)])
    quota = await worklist.quota()
    assert await worklist.reserve(quota, [in_flight(item(1))]) is not None
    assert await worklist.reserve(quota, [in_flight(item(2))]) is None


async def test_one_dispatcher_can_reserve_on_and_on(worklist: Worklist) -> None:
    """The quota that comes back admits the next reservation of the same run."""
    await worklist.add([item(1), item(2)])
    quota = await worklist.reserve(await worklist.quota(), [in_flight(item(1))])
    assert quota is not None
    again = await worklist.reserve(quota, [in_flight(item(2))])
    assert again is not None
    assert [one.slot for one in again.slots] == [Slot(NOW, urgent=False)] * 2


@pytest.mark.parametrize("dispatchers", [2, 5])
async def test_dispatchers_side_by_side_give_every_row_one_slot(
    worklist: Worklist, table: MemoryTable, dispatchers: int
) -> None:
    """Interleaved at every call: exactly one wins each round, and no row is given twice."""
    await worklist.add([item(number) for number in range(6)])

    async def dispatch() -> int:
        given = 0
        while True:
            quota = await worklist.quota()
            waiting = await worklist.due(Priority.NORMAL, NOW, 2)
            if not waiting:
                return given
            given += 2 * (await worklist.reserve(quota, [in_flight(one) for one in waiting]) is not None)

    counts = await asyncio.gather(*(dispatch() for _ in range(dispatchers)))
    assert sum(counts) == 6
    assert sum(name.startswith("0-slot-") for name in names(table)) == 6


async def test_a_row_that_waits_and_flies_fails_one_reservation_and_no_more(
    worklist: Worklist, table: MemoryTable
) -> None:
    """Its double is taken off the lane, the others stay, and the next reservation succeeds."""
    await worklist.add([item(1), item(2)])
    await reserve(worklist, item(1))
    await worklist.add([item(1)])
    both = [in_flight(item(1)), in_flight(item(2))]
    assert await worklist.reserve(await worklist.quota(), both) is None
    assert [name for name in names(table) if not name.startswith("0")] == [item(2).row_key, f"2-{submission_id(1)}"]
    await reserve(worklist, item(2))


async def test_a_stamp_is_the_slots_true_time(worklist: Worklist) -> None:
    """It may be written again; a slot that was taken back admits none."""
    await worklist.add([item()])
    (flying,) = await reserve(worklist, item())
    slot = flying.slot or ""
    assert await worklist.stamp(slot, NOW)
    assert await worklist.stamp(slot, NOW + A_SECOND)
    stored = await worklist.slot(slot)
    assert stored is not None
    assert stored.slot == Slot(NOW, urgent=False, sent_at=NOW + A_SECOND)
    await worklist.release(slot)
    await worklist.release(slot)
    assert not await worklist.stamp(slot, NOW)
    assert await worklist.slot(slot) is None


async def test_a_slot_can_be_taken_back_until_it_is_stamped(worklist: Worklist) -> None:
    """Whoever read it before the stamp fails, and so does whoever comes second."""
    await worklist.add([item(1), item(2)])
    stamped, unused = await reserve(worklist, item(1), item(2))
    slots = {one.name: one for one in (await worklist.quota()).slots}
    await worklist.stamp(stamped.slot or "", NOW)
    assert not await worklist.drop_unused(slots[stamped.slot or ""])
    assert await worklist.drop_unused(slots[unused.slot or ""])
    assert not await worklist.drop_unused(slots[unused.slot or ""])


async def test_closing_takes_back_what_was_not_sent(worklist: Worklist, clock: StageClock) -> None:
    """Unused slots go, stamped ones stay, and the quota says until when and why."""
    await worklist.add([item(1), item(2)])
    stamped, _ = await reserve(worklist, item(1), item(2))
    await worklist.stamp(stamped.slot or "", NOW)
    until = clock.now() + timedelta(minutes=5)
    closed = await worklist.close(until, "throttled")
    assert [one.name for one in closed.slots] == [stamped.slot]
    assert closed == await worklist.quota()
    assert (closed.closed_until, closed.closed_reason, closed.strikes) == (until, "throttled", 1)


async def test_closing_takes_back_more_slots_than_fit_one_transaction(worklist: Worklist) -> None:
    """All of them go, however many there are, and it is one strike."""
    for start in range(0, 140, 20):
        waiting = [item(number) for number in range(start, start + 20)]
        await worklist.add(waiting)
        await reserve(worklist, *waiting)
    closed = await worklist.close(NOW + timedelta(minutes=5), "throttled")
    assert (closed.slots, closed.strikes) == ((), 1)
    assert (await worklist.quota()).slots == ()


async def test_one_burst_of_refusals_is_one_strike_and_the_latest_end_wins(worklist: Worklist) -> None:
    """Workers that are refused together close together; nobody shortens what another asked for."""
    ends = [NOW + timedelta(minutes=minutes) for minutes in (5, 9, 2)]
    await asyncio.gather(*(worklist.close(until, "throttled") for until in ends))
    quota = await worklist.quota()
    assert (quota.closed_until, quota.strikes) == (max(ends), 1)


async def test_strikes_in_a_row_count_until_they_are_old_or_forgotten(worklist: Worklist, clock: StageClock) -> None:
    """A refusal after the window reopened is another strike; success or an hour of peace forgets them."""
    await worklist.close(NOW + timedelta(minutes=5), "not_allowed")
    clock.advance(minutes=6)
    quota = await worklist.close(clock.now() + timedelta(minutes=10), "not_allowed")
    assert quota.strikes == 2
    assert quota.is_probing(clock.now())
    end = quota.closed_until or NOW
    assert quota.strikes_at(end + timedelta(minutes=59)) == 2
    assert quota.strikes_at(end + timedelta(hours=1)) == 0
    await worklist.reopen()
    reopened = await worklist.quota()
    assert (reopened.strikes, reopened.is_probing(clock.now())) == (0, False)


@pytest.mark.parametrize(("reason", "is_probing"), [("not_allowed", True), ("throttled", False)])
async def test_only_a_refused_identity_is_probed(worklist: Worklist, reason: str, is_probing: bool) -> None:
    """After a 429 everybody may go again, after a 401 one row at a time."""
    quota = await worklist.close(NOW + timedelta(minutes=5), reason)
    assert quota.is_probing(NOW) is is_probing


async def test_tidying_counts_what_left_the_window_into_the_day(worklist: Worklist, clock: StageClock) -> None:
    """A POST counts once, in its own minute; a slot that was never used counts nothing; a fresh one stays a slot."""
    await worklist.add([item(number) for number in range(3)])
    sent, _, fresh = await reserve(worklist, *(item(number) for number in range(3)))
    await worklist.stamp(sent.slot or "", NOW)
    await worklist.stamp(fresh.slot or "", NOW + timedelta(minutes=7))
    clock.time = NOW + SLOT_LIFETIME + WINDOW + CLOCK_MARGIN + A_SECOND
    tidied = await worklist.tidy(await worklist.quota())
    assert tidied is not None
    assert [one.name for one in tidied.slots] == [fresh.slot]
    assert tidied.sent_today == DayCount().with_sent(NOW)
    stored = await worklist.quota()
    assert (stored.slots, stored.sent_today) == (tidied.slots, tidied.sent_today)


async def test_tidying_loses_to_a_faster_dispatcher(worklist: Worklist, clock: StageClock) -> None:
    """What was read before another one wrote is never counted twice."""
    await worklist.add([item()])
    (flying,) = await reserve(worklist, item())
    await worklist.stamp(flying.slot or "", NOW)
    clock.time = NOW + timedelta(hours=1)
    quota = await worklist.quota()
    assert await worklist.tidy(quota) is not None
    assert await worklist.tidy(quota) is None
    assert (await worklist.quota()).sent_today.total() == 1


async def test_a_full_day_fits_the_quota_row(worklist: Worklist, table: MemoryTable) -> None:
    """One count for each of 1,440 minutes survives the round trip within a property's limit."""
    busy = DayCount()
    for minute in range(1440):
        for _ in range(2):
            busy = busy.with_sent(NOW - timedelta(minutes=minute))
    await worklist.add([item()])
    quota = await worklist.reserve(replace(Quota(None), sent_today=busy), [in_flight(item())])
    assert quota is not None
    assert (await worklist.quota()).sent_today == busy
    (row,) = [row for row in table.rows() if row["RowKey"] == "0-quota"]
    assert row["PartitionKey"] == PARTITION
