"""Outcome rows and their feed: every change stands in both, once, whatever else is written beside it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.memory_storage import MemoryTable
from shared.codecs.rows import log_entity, outcome_entity
from shared.domain import keys
from shared.domain.lifecycle import IllegalTransition, born, changed, move
from shared.domain.model import Outcome, OutcomeKey, State, Verdict
from shared.ports import Entity, Insert
from shared.stores.outcomes import APPEND_WITHIN_S, Change, OutcomeStore, Stored
from tests.support.outcomes import NOW, make_outcome, submission_id
from tests.support.stage import StageClock
from tests.support.tables import StoppingTable, StuckTable


class FrozenClock(StageClock):
    """Time that stands still until it is moved: several things happen in one millisecond."""

    def now(self) -> Any:
        """The same time, however often it is asked for."""
        return self.time


@pytest.fixture
def clock() -> StageClock:
    """Return a clock that stands still."""
    return FrozenClock(NOW)


@pytest.fixture
def log() -> StoppingTable:
    """Return the table behind the feed."""
    return StoppingTable()


@pytest.fixture
def store(log: StoppingTable, clock: StageClock) -> OutcomeStore:
    """Return an empty store."""
    return OutcomeStore(MemoryTable(), log, clock)


def events(log: MemoryTable, number: int = 1) -> list[tuple[str, str | None]]:
    """Return the events of a row as (state, previous state), in the feed's order."""
    rows = sorted(log.rows(), key=lambda row: (str(row["PartitionKey"]), str(row["RowKey"])))
    return [
        (str(row["Event"]), str(row["PreviousState"]) if "PreviousState" in row else None)
        for row in rows
        if row["SubmissionId"] == submission_id(number)
    ]


async def created(store: OutcomeStore, *outcomes: Outcome) -> list[Stored]:
    """Create rows that are all new."""
    stored = await store.create(outcomes)
    assert None not in stored
    return [one for one in stored if one is not None]


def step(stored: Stored, to: State, **facts: Any) -> Change:
    """Return the change of a row to its next state."""
    return Change(stored.outcome, move(stored.outcome, to, **facts), stored.etag)


async def test_a_new_row_has_its_first_event(store: OutcomeStore, log: MemoryTable) -> None:
    """The row can be read back with the ETag it was given; its event has no previous state."""
    (stored,) = await created(store, make_outcome())
    assert await store.get(stored.outcome.key) == stored
    assert await store.get(OutcomeKey("20261123", "none")) is None
    assert events(log) == [("pending", None)]


async def test_one_known_row_holds_up_no_other(store: OutcomeStore, log: MemoryTable) -> None:
    """Among many new rows the known one answers None, keeps what it was, and gets no second event."""
    await created(store, make_outcome(5))
    again = [make_outcome(number, subject="again") for number in range(120)]
    stored = await store.create(again)
    assert [place for place, one in enumerate(stored) if one is None] == [5]
    known = await store.get(make_outcome(5).key)
    assert known is not None
    assert known.outcome.subject == "Invoice 5"
    assert all(events(log, number) == [("pending", None)] for number in range(120))


async def test_rows_of_several_days_go_together(store: OutcomeStore) -> None:
    """The answer is in the order of the rows, whatever partition each stands in."""
    days = ["20261123", "20261101", "20261122", "20261101"]
    outcomes = [make_outcome(number, key=OutcomeKey(day, submission_id(number))) for number, day in enumerate(days)]
    stored = await created(store, *outcomes)
    assert [one.outcome for one in stored] == [born(one, NOW) for one in outcomes]
    assert [await store.get(one.key) for one in outcomes] == stored


async def test_a_change_is_written_with_its_event(store: OutcomeStore, log: MemoryTable, clock: StageClock) -> None:
    """The event tells where the row came from; the old ETag admits no second change."""
    (stored,) = await created(store, make_outcome())
    clock.advance(seconds=1)
    change = step(stored, State.DISPATCHED, dispatched_at=NOW)
    (done,) = await store.advance([change])
    assert done is not None
    assert done == await store.get(stored.outcome.key)
    assert done.outcome == changed(stored.outcome, change.after, clock.now())
    assert (done.outcome.revision, done.outcome.changed_at) == (2, clock.now())
    assert await store.advance([change]) == [None]
    assert events(log) == [("pending", None), ("dispatched", "pending")]


async def test_one_changed_row_holds_up_no_other(store: OutcomeStore, log: MemoryTable, clock: StageClock) -> None:
    """Among many changes the row that somebody changed first, and one that is not there, answer None."""
    stored = await created(store, *(make_outcome(number) for number in range(110)))
    clock.advance(seconds=1)
    await store.advance([step(stored[7], State.SKIPPED)])
    missing = Stored(born(make_outcome(999), NOW), stored[0].etag)
    clock.advance(seconds=1)
    done = await store.advance([step(one, State.DISPATCHED) for one in [*stored, missing]])
    assert [place for place, one in enumerate(done) if one is None] == [7, 110]
    assert events(log, 7) == [("pending", None), ("skipped", "pending")]
    assert events(log, 8) == [("pending", None), ("dispatched", "pending")]
    assert events(log, 999) == []


async def test_an_amendment_leaves_the_feed_alone(store: OutcomeStore, log: MemoryTable) -> None:
    """A change of facts is no change of state; an old ETag is refused all the same."""
    (stored,) = await created(store, make_outcome())
    amended = Change(stored.outcome, replace(stored.outcome, graph_status="running"), stored.etag)
    done = (await store.amend([amended]))[0]
    assert done is not None
    assert done == await store.get(stored.outcome.key)
    assert await store.amend([amended]) == [None]
    assert events(log) == [("pending", None)]


async def test_changes_of_one_millisecond_keep_their_order(store: OutcomeStore, log: MemoryTable) -> None:
    """Each is a millisecond behind the one before, and its sequence is the row's revision."""
    (stored,) = await created(store, make_outcome())
    for state in (State.DISPATCHED, State.SUBMITTING, State.SUBMITTED, State.SETTLED):
        (done,) = await store.advance([step(stored, state)])
        assert done is not None
        stored = done
    chain = ["pending", "dispatched", "submitting", "submitted", "settled"]
    assert events(log) == list(zip(chain, [None, *chain[:-1]], strict=True))
    assert [str(row["RowKey"])[-3:] for row in log.rows()] == ["001", "002", "003", "004", "005"]
    first = keys.epoch_ms(NOW)
    assert [int(str(row["RowKey"])[:13]) - first for row in log.rows()] == [0, 1, 2, 3, 4]


async def test_a_worker_whose_clock_is_behind_writes_no_earlier_time(clock: StageClock, log: StoppingTable) -> None:
    """The chain stands in its order, whoever's clock wrote it, and whoever makes an event good writes the same key."""
    table, behind = MemoryTable(), FrozenClock(NOW - timedelta(seconds=2))
    ahead_store, behind_store = OutcomeStore(table, log, clock), OutcomeStore(table, log, behind)
    (stored,) = await created(ahead_store, make_outcome())
    for state in (State.DISPATCHED, State.SUBMITTING, State.UNCERTAIN):
        (done,) = await behind_store.advance([step(stored, state)])
        assert done is not None
        stored = done
    for store in (ahead_store, behind_store):
        clock.advance(minutes=16)
        await store.ensure_logged(stored.outcome)
    chain = ["pending", "dispatched", "submitting", "uncertain"]
    assert events(log) == list(zip(chain, [None, *chain[:-1]], strict=True))


async def test_a_stale_reading_adds_no_event(store: OutcomeStore, log: MemoryTable) -> None:
    """Who read a row before others moved it on, and makes its event good then, tells no change that never was."""
    (read,) = await created(store, make_outcome())
    (done,) = await store.advance([step(read, State.DISPATCHED)])
    assert done is not None
    await store.ensure_logged(read.outcome)
    assert events(log) == [("pending", None), ("dispatched", "pending")]


async def test_the_store_refuses_what_the_table_of_transitions_lacks(store: OutcomeStore, log: MemoryTable) -> None:
    """No row begins as settled, none goes back, and no amendment changes what the feed would have to tell."""
    with pytest.raises(IllegalTransition):
        await store.create([make_outcome(state=State.SETTLED)])
    (stored,) = await created(store, make_outcome())
    for after in (State.SUBMITTED, State.PENDING):
        with pytest.raises(IllegalTransition):
            await store.advance([Change(stored.outcome, replace(stored.outcome, state=after), stored.etag)])
    for facts in ({"state": State.FAILED}, {"verdict": Verdict.CLEAN}, {"key": OutcomeKey("20261122", "other")}):
        with pytest.raises(IllegalTransition):
            await store.amend([Change(stored.outcome, replace(stored.outcome, **facts), stored.etag)])
    assert await store.get(stored.outcome.key) == stored
    assert events(log) == [("pending", None)]


async def test_a_row_from_before_revisions_goes_on(clock: StageClock, log: StoppingTable) -> None:
    """Its last event has the key of then; the next one follows it, and none is told twice."""
    table = MemoryTable()
    store = OutcomeStore(table, log, clock)
    old = make_outcome(collected_at=NOW)
    etag = await table.write(Insert(outcome_entity(old)))
    await log.write(Insert(log_entity(old, None, NOW, 0)))
    await store.ensure_logged(old)
    clock.advance(minutes=1)
    (done,) = await store.advance([step(Stored(old, etag), State.DISPATCHED)])
    assert done is not None
    assert done.outcome.revision == 2
    assert events(log) == [("pending", None), ("dispatched", "pending")]


async def test_an_event_that_was_left_out_is_made_good_once(
    store: OutcomeStore, log: StoppingTable, clock: StageClock
) -> None:
    """However often it is asked for; where none is missing nothing is appended."""
    (stored,) = await created(store, make_outcome())
    log.is_down = True
    with pytest.raises(ConnectionError):
        await store.advance([step(stored, State.DISPATCHED)])
    log.is_down = False
    row = await store.get(stored.outcome.key)
    assert row is not None
    assert row.outcome.state is State.DISPATCHED
    for _ in range(2):
        clock.advance(minutes=20)
        await store.ensure_logged(row.outcome)
    assert events(log) == [("pending", None), ("dispatched", "pending")]


async def test_a_first_event_that_was_left_out_is_made_good(
    store: OutcomeStore, log: StoppingTable, clock: StageClock
) -> None:
    """With the time of its change, however many days have passed; others of the same day are not taken for it."""
    await created(store, make_outcome(2))
    log.is_down = True
    with pytest.raises(ConnectionError):
        await store.create([make_outcome(1)])
    log.is_down = False
    clock.advance(days=2)
    row = await store.get(make_outcome(1).key)
    assert row is not None
    for _ in range(2):
        await store.ensure_logged(row.outcome)
    assert events(log) == [("pending", None)]
    (event,) = [row for row in log.rows() if row["SubmissionId"] == submission_id(1)]
    assert event["PartitionKey"] == "20261123"


async def test_an_event_of_a_row_from_before_revisions_is_made_good_once(
    store: OutcomeStore, log: StoppingTable, clock: StageClock
) -> None:
    """Its key does not follow from the row: it is looked for, and appended with the present time."""
    clock.advance(days=2)
    for _ in range(2):
        await store.ensure_logged(make_outcome(1))
    (event,) = log.rows()
    assert (event["Event"], event["PartitionKey"]) == ("pending", "20261125")


async def test_an_event_from_before_midnight_is_found_after_it(
    store: OutcomeStore, log: MemoryTable, clock: StageClock
) -> None:
    """The search goes through every day since the row came in, and no event is appended twice."""
    clock.time = NOW + timedelta(hours=11, minutes=59, seconds=59)
    outcome = make_outcome(collected_at=clock.time)
    (stored,) = await created(store, outcome)
    clock.advance(seconds=2)
    (done,) = await store.advance([step(stored, State.DISPATCHED)])
    assert done is not None
    clock.advance(hours=30)
    await store.ensure_logged(done.outcome)
    assert events(log) == [("pending", None), ("dispatched", "pending")]


async def test_a_submission_of_microsofts_has_one_owner(store: OutcomeStore, clock: StageClock) -> None:
    """The row that the feed shows with it since then, or nobody."""
    (stored,) = await created(store, make_outcome())
    for state in (State.DISPATCHED, State.SUBMITTING):
        (done,) = await store.advance([step(stored, state)])
        assert done is not None
        stored = done
    clock.advance(minutes=1)
    await store.advance([step(stored, State.SUBMITTED, graph_submission_id="graph-1")])
    assert await store.owners_since(NOW) == {"graph-1": submission_id(1)}
    assert await store.owners_since(clock.time + timedelta(minutes=1)) == {}


async def test_an_answer_that_was_lost_does_not_repeat_the_event(
    store: OutcomeStore, log: MemoryTable, clock: StageClock
) -> None:
    """An event that is there already, by a write whose answer never came, is not appended again."""
    outcome = make_outcome()
    await created(store, outcome)
    (event,) = log.rows()
    twin: Entity = {**event, "RowKey": str(event["RowKey"]).replace(submission_id(1), submission_id(2))}
    await log.write(Insert({**twin, "SubmissionId": submission_id(2)}))
    await created(store, make_outcome(2))
    assert clock.now() == NOW
    assert events(log, 2) == [("pending", None)]


async def test_no_event_comes_long_after_the_time_in_its_key(clock: StageClock) -> None:
    """A feed that does not answer ends the step; what makes the event good later gives it the time of its change."""
    log = StuckTable()
    store = OutcomeStore(MemoryTable(), log, clock, append_within_s=0.01)
    (stored,) = await created(store, make_outcome())
    log.is_stuck = True
    clock.advance(seconds=1)
    dispatched = step(stored, State.DISPATCHED, dispatched_at=clock.time)
    changed_at = clock.time
    with pytest.raises(TimeoutError):
        await store.advance([dispatched])
    log.is_stuck = False
    clock.advance(minutes=10)
    row = await store.get(stored.outcome.key)
    assert row is not None
    await store.ensure_logged(row.outcome)
    assert events(log) == [("pending", None), ("dispatched", "pending")]
    assert str(log.rows()[-1]["RowKey"]).startswith(str(keys.epoch_ms(changed_at)))


def test_five_minutes_cover_an_append_its_request_and_two_clocks() -> None:
    """The contract's overlap is kept though the service takes 30 seconds and two clocks differ by two minutes."""
    assert APPEND_WITHIN_S + 30 + 2 * 60 <= 5 * 60
