"""A row that stands on the worklist twice, after a stop or a race, holds up nobody and is sent once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.memory_storage import MemoryQueue, MemoryTable
from shared.domain.model import Priority, State
from shared.domain.planner import Limits
from shared.stores.outcomes import OutcomeStore
from shared.stores.worklist import WorkItem, Worklist
from shared.usecases.dispatch import Dispatch
from shared.usecases.sweep import Sweeper
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
