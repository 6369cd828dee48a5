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
from shared.stores.ledger import Ledger, WorkItem
from shared.stores.outcomes import OutcomeStore
from shared.stores.quota import QuotaStore, slot_name
from shared.stores.worklist import Worklist
from shared.usecases.outcomes.covering import Followed, HolderFollower
from shared.usecases.outcomes.poison import RecordPoisonSubmission
from shared.usecases.sending.campaigns import Campaigns
from shared.usecases.sending.dispatch import Dispatch
from shared.usecases.sending.sweep import Sweeper
from shared.usecases.trouble import Trouble
from tests.support.ledgers import new_ledger
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
    clock, table = StageClock(NOW), MemoryTable()
    outcomes, worklist, queue = OutcomeStore(MemoryTable(), MemoryTable(), clock), Worklist(table), MemoryQueue(clock)
    ledger, quota = Ledger(outcomes, worklist), QuotaStore(table, clock)
    trouble = Trouble(ledger)
    dispatch = Dispatch(
        LIMITS,
        ledger=ledger,
        quota=quota,
        sweeper=Sweeper(ledger, quota, trouble, clock),
        trouble=trouble,
        queue=queue,
        clock=clock,
    )
    stored = await outcomes.create([make_outcome(1), make_outcome(2)])
    first, second = (WorkItem(outcome=one.outcome, etag=one.etag, due_at=NOW - AGO, logged=1) for one in stored if one)
    await worklist.add([first])
    if is_flying:
        assert await dispatch.run() == 1
    await worklist.add([second, replace(first, **double)])  # type: ignore[arg-type]
    for _ in range(2):
        await dispatch.run()
        clock.advance(minutes=1.1)
    await dispatch.run()
    assert len(queue.messages) == 2
    rows = [await outcomes.get(one.outcome.key) for one in (first, second)]
    assert [one and one.outcome.state for one in rows] == [State.DISPATCHED] * 2


async def test_a_covered_rows_old_entry_stops_nothing() -> None:
    """A row that went itself and ended may have left its covered entry behind: the entry goes, nothing is raised."""
    clock, table = StageClock(NOW), MemoryTable()
    ledger = new_ledger(clock, worklist=table)
    items = ItemStore(MemoryTable(), clock)
    holder = make_outcome(1, state=State.REJECTED)
    covered = make_outcome(2, state=State.COVERED, covered_by=holder.key.submission_id, item_key=holder.item_key)
    await items.hold([Claim(holder.item_key or "", "phishing", holder.key)])
    await ledger.create([WorkItem(outcome=holder, etag="", due_at=NOW)])
    ended = replace(covered, state=State.SKIPPED, covered_by=None)
    await ledger.create([WorkItem(outcome=ended, etag="", due_at=NOW)])
    await Worklist(table).add([WorkItem(outcome=covered, etag="old", due_at=NOW, holder=holder.key)])
    campaigns = Campaigns(CampaignStore(MemoryTable()), 3, ledger, clock)
    follower = HolderFollower(ledger, items, campaigns, Trouble(ledger), clock)
    for _ in range(2):
        assert await follower.run(NOW + timedelta(hours=1)) == Followed(0, ())
    assert table.rows() == []


async def test_poison_of_a_row_whose_slot_is_gone_keeps_the_time_of_its_post() -> None:
    """Reconcile looks around that time: with the day it was received it would call the POST one without effect."""
    clock, table = StageClock(NOW), MemoryTable()
    ledger = new_ledger(clock, worklist=table)
    slot = slot_name(Slot(NOW, urgent=False), make_outcome(1).key.submission_id)
    received_at = NOW - timedelta(days=3)
    row = make_outcome(1, received_at=received_at)
    (stored,) = await ledger.create([WorkItem(outcome=row, etag="", due_at=received_at)])
    for state in (State.DISPATCHED, State.SUBMITTING):
        assert stored is not None
        clock.advance(seconds=1)
        stored = await ledger.advance(stored, move(stored.outcome, state))
    assert stored is not None
    entry = await ledger.find(row)
    assert entry is not None
    await ledger.file(entry, stored, {"slot": slot})
    poison = RecordPoisonSubmission(ledger, QuotaStore(table, clock), MemoryQueue(clock), clock)
    await poison.run(write_message(SubmissionMessage(stored.outcome.key, slot, stored.etag)))
    (uncertain,) = await ledger.at_microsoft()
    assert (uncertain.outcome.state, uncertain.sent_before) == (State.UNCERTAIN, NOW)
