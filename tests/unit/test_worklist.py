"""The worklist: its order, and that a row has one entry, moved as it was read."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.memory_storage import MemoryTable
from shared.domain.model import Outcome, Priority, State
from shared.domain.submissions import Material
from shared.ports import Replace
from shared.stores.worklist import Holder, Standing, WorkItem, Worklist
from tests.support.outcomes import NOW, make_outcome, outcomes, submission_id
from tests.support.tables import YieldingTable

A_SECOND = timedelta(seconds=1)


@pytest.fixture
def table() -> MemoryTable:
    """Return the empty table behind the worklist."""
    return YieldingTable()


@pytest.fixture
def worklist(table: MemoryTable) -> Worklist:
    """Return an empty worklist."""
    return Worklist(table)


def item(number: int = 1, due_at: datetime = NOW, state: State = State.PENDING, **facts: Any) -> WorkItem:
    """Return an entry of the row with that number; what `Outcome` knows goes there."""
    of_outcome = {name: facts.pop(name) for name in list(facts) if name in Outcome.__slots__}
    outcome = make_outcome(number, state=state, **of_outcome)
    return WorkItem(outcome=outcome, etag=f"etag-{number}", due_at=due_at, **facts)


async def put(worklist: Worklist, entry: WorkItem) -> WorkItem:
    """Put an entry on the list; returns it as it is read."""
    await worklist.add([entry])
    found = await worklist.find(entry.outcome)
    assert found is not None
    return found


def in_state(entry: WorkItem, state: State, **facts: Any) -> WorkItem:
    """Return the entry of the same row in another state."""
    return replace(entry, outcome=replace(entry.outcome, state=state), **facts)


def pointer(number: int = 1) -> str:
    """Return the key of the row's pointer."""
    return f"0-entry-{submission_id(number)}"


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
        tries=st.integers(0, 9),
        refused_at=st.none() | st.just(NOW),
        logged=st.integers(0, 9),
        is_probe=st.booleans(),
    )
)
async def test_an_entry_comes_back_as_it_was_put(entry: WorkItem) -> None:
    """Every field of it."""
    worklist = Worklist(MemoryTable())
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
    assert numbers([one async for one in worklist.followers(submission_id(1))]) == ["7"]


async def test_more_than_a_transaction_can_be_added_and_removed(worklist: Worklist, table: MemoryTable) -> None:
    """Entries that are gone already do not hold up the others."""
    await worklist.add([item(number) for number in range(230)])
    assert len(table.rows()) == 230
    items = await worklist.due(Priority.NORMAL, NOW, 1000)
    await worklist.remove(items[50:60])
    await worklist.remove(items)
    assert table.rows() == []


async def test_a_moved_entry_stands_once_and_is_pointed_at(worklist: Worklist, table: MemoryTable) -> None:
    """The old place is left, the new one taken and the pointer set in one step; it is found wherever it stands."""
    entry = await put(worklist, item())
    for state in (State.DISPATCHED, State.SUBMITTED, State.PENDING, State.FAILED):
        after = in_state(entry, state, due_at=NOW + A_SECOND)
        assert await worklist.move(entry, after)
        assert names(table) == [pointer(), after.row_key]
        found = await worklist.find(make_outcome())
        assert found == after
        entry = found
    await worklist.remove([entry])
    assert table.rows() == []


async def test_an_entry_is_moved_as_it_was_read_only(worklist: Worklist, table: MemoryTable) -> None:
    """Of two who read it one moves it; who comes later writes nothing, neither there nor elsewhere, nor removes it."""
    read = await put(worklist, item())
    moved = in_state(read, State.DISPATCHED)
    assert await worklist.move(read, moved)
    before = table.rows()
    for after in (in_state(read, State.SUBMITTED), moved, replace(read, failures=3)):
        assert not await worklist.move(read, after)
    await worklist.remove([read])
    assert table.rows() == before


async def test_an_entry_that_stays_in_its_place_is_guarded_too(worklist: Worklist) -> None:
    """Of two movers of one reading, one is told that it was not the first."""
    read = await put(worklist, item(state=State.DISPATCHED))
    results = await asyncio.gather(*(worklist.move(read, replace(read, failures=number)) for number in (1, 2)))
    assert sorted(results) == [False, True]


async def test_a_removed_entry_does_not_come_back(worklist: Worklist, table: MemoryTable) -> None:
    """Who still has it in hand can neither move nor rewrite it."""
    read = await put(worklist, item())
    await worklist.remove([read])
    assert not await worklist.move(read, replace(read, failures=1))
    assert not await worklist.move(read, in_state(read, State.DISPATCHED))
    assert table.rows() == []


async def test_a_repeated_write_leads_nowhere(worklist: Worklist, table: MemoryTable) -> None:
    """A library that writes an entry again, its answer lost, makes no second one that can be acted on."""
    read = await put(worklist, item())
    await worklist.move(read, in_state(read, State.DISPATCHED))
    await worklist.add([item()])
    (double,) = await worklist.due(Priority.NORMAL, NOW, 10)
    for after in (in_state(double, State.DISPATCHED), in_state(double, State.SUBMITTED), replace(double, failures=1)):
        assert not await worklist.move(double, after)
    await worklist.drop_double(double)
    assert names(table) == [pointer(), f"2-{submission_id(1)}"]
    for entry in await worklist.all_in_flight():
        await worklist.drop_double(entry)
    assert names(table) == [pointer(), f"2-{submission_id(1)}"]


async def test_an_entry_of_an_earlier_version_goes_on(worklist: Worklist, table: MemoryTable) -> None:
    """It has no pointer and does not say which event is in the feed; a waiting row's neighbours are no holders."""
    read = await put(worklist, item())
    (row,) = table.rows()
    for name in ("Logged", "Tries"):
        del row[name]
    await table.write(Replace({**row, "WaitsFor": json.dumps([["20261123", submission_id(2)]])}))
    (old,) = await worklist.due(Priority.NORMAL, NOW, 10)
    assert (old, old.logged, old.holder) == (replace(read, logged=None), None, None)
    assert (old.lags_behind(old.outcome, old.etag), old.lags_behind(old.outcome, "other")) == (False, True)
    assert await worklist.move(old, in_state(old, State.DISPATCHED))
    assert names(table) == [pointer(), f"2-{submission_id(1)}"]


@pytest.mark.expects_error_log
async def test_an_entry_that_cannot_be_read_stops_no_other(worklist: Worklist, table: MemoryTable) -> None:
    """It is told and passed over."""
    await worklist.add([item(1), item(2)])
    broken = next(row for row in table.rows() if str(row["RowKey"]).endswith(submission_id(1)))
    await table.write(Replace({**broken, "Material": "{"}))
    assert numbers(await worklist.due(Priority.NORMAL, NOW, 10)) == ["2"]
    assert [one.state async for one in worklist.standing(9)] == [State.PENDING, State.PENDING]


# What is read without entries being read whole.


async def standing(worklist: Worklist, counted: int = 10_000) -> list[Standing]:
    """Return how rows stand, as told."""
    return [one async for one in worklist.standing(counted)]


async def test_entries_tell_how_their_rows_stand(worklist: Worklist) -> None:
    """State, lane and since when it waits: from its receipt, an uncertain row from its POST; covered rows together."""
    ago = NOW - timedelta(days=1)
    await worklist.add([item(1, priority=Priority.URGENT), item(2, state=State.SUBMITTED, received_at=ago)])
    await worklist.add([item(3, state=State.UNCERTAIN, received_at=ago, sent_at=NOW - A_SECOND)])
    await worklist.add([covered(4, 1), covered(5, 1, received_at=ago), covered(6, 2), item(7, state=State.FAILED)])
    found = await standing(worklist)
    assert [(one.state, one.since, one.count) for one in found if one.state is not State.COVERED] == [
        (State.PENDING, NOW, 1),
        *sorted([(State.SUBMITTED, ago, 1), (State.UNCERTAIN, NOW - A_SECOND, 1)], key=lambda one: order(one[0])),
    ]
    assert found[0].priority is Priority.URGENT
    parties = [(one.since, one.count) for one in found if one.state is State.COVERED]
    assert sorted(parties) == [(ago, 2), (NOW, 1)]
    assert await worklist.open_ids() == {submission_id(number) for number in (1, 2, 3)}


def order(state: State) -> str:
    """Return where the row of the test above stands that is in this state: by its id."""
    return submission_id(2 if state is State.SUBMITTED else 3)


def covered(number: int, holder: int, **facts: Any) -> WorkItem:
    """Return the entry of a row that another one covers."""
    key = make_outcome(holder).key
    return item(number, state=State.COVERED, covered_by=key.submission_id, holder=key, **facts)


async def test_entries_of_an_earlier_version_tell_it_too(worklist: Worklist, table: MemoryTable) -> None:
    """They lack the columns for it and are read whole, with all that stand behind them; none is told twice."""
    entries = [item(number, due_at=NOW + number * A_SECOND) for number in range(4)]
    await worklist.add([*entries, item(4, state=State.UNCERTAIN, sent_at=NOW), covered(5, 1), covered(6, 1)])
    expected = await standing(worklist)
    for row in table.rows():
        if str(row["RowKey"]).endswith((submission_id(1), submission_id(4), submission_id(6))):
            await table.write(Replace({name: row[name] for name in row if name not in ("Since", "State")}))
    assert await standing(worklist) == expected
    assert sum(one.count for one in expected) == 7


async def test_a_large_party_is_counted_in_part(worklist: Worklist) -> None:
    """Up to a page of each holder, and to a number of them all, it is exact; beyond that ids tell about how many."""
    await worklist.add([covered(number, 1) for number in range(2_000)])
    await worklist.add([covered(10_000 + number, 2) for number in range(1_000)])
    await worklist.add([covered(20_000 + number, 3) for number in range(10)])
    assert sorted(one.count for one in await standing(worklist)) == [10, 1_000, 2_000]
    small, page, large = sorted(one.count for one in await standing(worklist, counted=0))
    assert (small, page) == (10, 1_000)
    assert large != 2_000
    assert 1_800 < large < 2_200


async def test_holders_are_found_past_those_who_follow_them(worklist: Worklist) -> None:
    """Each once, however many it covers."""
    await worklist.add([covered(number, 1) for number in range(2_500)])
    await worklist.add([covered(10_000, 2), covered(10_001, 3), covered(10_002, 3)])
    found = [one async for one in worklist.holders()]
    assert found == sorted(
        [Holder(submission_id(number), make_outcome(number).key) for number in (1, 2, 3)],
        key=lambda one: one.submission_id,
    )


@pytest.mark.expects_error_log
async def test_a_holder_that_cannot_be_read_hides_no_other(worklist: Worklist, table: MemoryTable) -> None:
    """It is found without its day; who reads what follows it is told of the entry."""
    await worklist.add([covered(1, 1), covered(2, 2)])
    broken = next(row for row in table.rows() if str(row["RowKey"]).endswith(submission_id(1)))
    await table.write(Replace({**broken, "WaitsFor": "{"}))
    found = {one.submission_id: one.key async for one in worklist.holders()}
    assert found == {submission_id(1): None, submission_id(2): make_outcome(2).key}
    assert [one async for one in worklist.followers(submission_id(1))] == []


async def test_what_asks_for_a_look_is_picked_by_the_service(worklist: Worklist) -> None:
    """Waiting rows that were refused, and rows that only their message has failed."""
    poisoned: dict[str, Any] = {"state": State.FAILED, "state_reason": "poison_message"}
    await worklist.add([item(1), item(2, refused_at=NOW), item(3, state=State.REJECTED, refused_at=NOW)])
    await worklist.add([item(4, **poisoned), item(5, **poisoned, had_second_chance=True)])
    await worklist.add([item(6, state=State.FAILED, state_reason="no_effect")])
    assert numbers([one async for one in worklist.refused()]) == ["2"]
    assert numbers([one async for one in worklist.due_for_a_second_chance()]) == ["4"]


async def test_one_refused_entry_of_many_is_found(worklist: Worklist, table: MemoryTable) -> None:
    """The others of its transaction are moved with few calls more."""
    await worklist.add([item(number) for number in range(100)])
    entries = await worklist.due(Priority.NORMAL, NOW, 100)
    await worklist.move(entries[37], in_state(entries[37], State.DISPATCHED))
    await worklist.move_all([(one, in_state(one, State.SUBMITTED)) for one in entries])
    assert len(await worklist.at_microsoft()) == 99
    assert numbers(await worklist.all_in_flight()) == numbers([entries[37]])
    assert len([name for name in names(table) if name.startswith("0-entry-")]) == 100


@pytest.mark.parametrize(
    ("state", "steps", "is_told"),
    [
        (State.UNCERTAIN, 0, True),
        (State.UNCERTAIN, 4, False),
        (State.SUBMITTING, 0, True),
        (State.SUBMITTING, 1, True),
        (State.SUBMITTING, 5, False),
        (State.PENDING, 1, False),
    ],
)
def test_an_entry_tells_of_the_try_that_it_was_filed_for(state: State, steps: int, *, is_told: bool) -> None:
    """A row that is uncertain, or in flight, anew is none that the entry can decide."""
    entry = item(state=state)
    assert entry.tells_of(replace(entry.outcome, revision=entry.outcome.revision + steps)) is is_told
