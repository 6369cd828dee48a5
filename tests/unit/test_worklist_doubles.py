"""Entries that a stop or a race left behind, twice or where they no longer belong, stop nobody and mislead nobody."""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.memory_storage import MemoryQueue, MemoryTable
from shared.codecs.submission_message import SubmissionMessage, write_message
from shared.domain.lifecycle import move
from shared.domain.model import Priority, State
from shared.domain.planner import Limits, Slot
from shared.stores.campaigns import CampaignStore
from shared.stores.items import Claim, ItemStore
from shared.stores.outcomes import Change, OutcomeStore
from shared.stores.worklist import WorkItem, Worklist, slot_name
from shared.usecases.campaigns import Campaigns
from shared.usecases.closing import Closer
from shared.usecases.covering import HolderFollower
from shared.usecases.dispatch import Dispatch
from shared.usecases.poison import RecordPoisonSubmission
from shared.usecases.sweep import Sweeper, sent_before
from tests.support.outcomes import NOW, make_outcome
from tests.support.stage import StageClock

LIMITS = Limits(per_window=9, per_day=1000, reserved_for_people=2, reserved_for_urgent=3)
AGO = timedelta(minutes=1)


@pytest.mark.parametrize(
    "double",
    [{"due_at": NOW - 2 * AGO}, {"outcome": make_outcome(1, priority=Priority.URGENT)}],
    ids=["other-time", "other-lane"],
)
@pytest.mark.parametrize("is_flying", [False, True], ids=["both-wait", "one-flies"])
async def test_a_double_is_sent_once_and_holds_up_nobody(double: dict[str, object], is_flying: bool) -> None:
    """Whether its other entry waits too or is in flight: each row is on the queue once, and the next run goes on."""
    clock = StageClock(NOW)
    worklist, queue = Worklist(MemoryTable(), clock), MemoryQueue(clock)
    outcomes = OutcomeStore(MemoryTable(), MemoryTable(), clock)
    dispatch = Dispatch(
        LIMITS,
        outcomes=outcomes,
        worklist=worklist,
        sweeper=Sweeper(outcomes, worklist, clock),
        queue=queue,
        clock=clock,
    )
    stored = await outcomes.create([make_outcome(1), make_outcome(2)])
    first, second = (WorkItem(outcome=one.outcome, etag=one.etag, due_at=NOW - AGO) for one in stored if one)
    await worklist.add([first])
    if is_flying:
        assert await dispatch.run() == 1
    await worklist.add([second, replace(first, **double)])  # type: ignore[arg-type]
    for _ in range(2):
        await dispatch.run()
    assert len(queue.messages) == 2
    rows = [await outcomes.get(one.outcome.key) for one in (first, second)]
    assert [one and one.outcome.state for one in rows] == [State.DISPATCHED] * 2


async def test_a_covered_rows_old_entry_stops_nothing() -> None:
    """A row that went itself and settled may have left its covered entry behind: the entry goes, nothing is raised."""
    clock = StageClock(NOW)
    table = MemoryTable()
    worklist, outcomes = Worklist(table, clock), OutcomeStore(MemoryTable(), MemoryTable(), clock)
    items = ItemStore(MemoryTable())
    holder = make_outcome(1, state=State.FAILED)
    covered = make_outcome(2, state=State.COVERED, covered_by=holder.key.submission_id, item_key=holder.item_key)
    await items.hold([Claim(holder.item_key or "", "phishing", holder.key)])
    await outcomes.create([holder, replace(covered, state=State.SETTLED, covered_by=None)])
    await worklist.add([WorkItem(outcome=covered, etag="old", due_at=NOW, waits_for=(holder.key,))])
    follower = HolderFollower(
        outcomes=outcomes,
        worklist=worklist,
        items=items,
        campaigns=Campaigns(CampaignStore(MemoryTable()), 3, clock),
        closer=Closer(outcomes, worklist),
        clock=clock,
    )
    for _ in range(2):
        assert await follower.run() == 0
    assert table.rows() == []


async def test_poison_of_a_row_whose_slot_is_gone_keeps_the_time_of_its_post() -> None:
    """Reconcile looks around that time: with the day it was received it would call the POST one without effect."""
    clock = StageClock(NOW)
    table = MemoryTable()
    worklist, outcomes = Worklist(table, clock), OutcomeStore(MemoryTable(), MemoryTable(), clock)
    slot = slot_name(Slot(NOW, urgent=False), make_outcome(1).key.submission_id)
    received_at = NOW - timedelta(days=3)
    (stored,) = await outcomes.create([make_outcome(1, state=State.PENDING, received_at=received_at)])
    assert stored is not None
    for state in (State.DISPATCHED, State.SUBMITTING):
        clock.advance(seconds=1)
        (stored,) = await outcomes.advance([Change(stored.outcome, move(stored.outcome, state), stored.etag)])
        assert stored is not None
    await worklist.add([WorkItem(outcome=stored.outcome, etag=stored.etag, due_at=received_at, slot=slot)])
    poison = RecordPoisonSubmission(outcomes, worklist, MemoryQueue(clock))
    await poison.run(write_message(SubmissionMessage(stored.outcome.key, slot, stored.etag)))
    (uncertain,) = await worklist.at_microsoft()
    assert (uncertain.outcome.state, sent_before(uncertain)) == (State.UNCERTAIN, NOW)
