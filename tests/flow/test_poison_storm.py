"""A bug in our own code must not drain everything that waits into the poison queue."""

import json

from local.memory_storage import MemoryQueue
from shared.domain.model import State
from tests.support.reports import ask, url_request
from tests.support.stage import Stage, stage

MESSAGES = 6


async def poison_next(on: Stage) -> None:
    """Let the host give up on one message of the queue `submissions`, as it does after five failures."""
    queue = on.ports.queues["submissions"]
    assert isinstance(queue, MemoryQueue)
    message = queue.receive()
    assert message is not None
    await on.app.record_poison_submission.run(message.body)
    queue.delete(message)


async def test_after_three_poison_messages_one_row_is_tried_at_a_time() -> None:
    """Two poison messages are rows' own fault; the third stops the others until one submission has succeeded."""
    async with stage() as on:
        for number in range(MESSAGES):
            await ask(on, url_request(f"case-{number}"))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        await on.app.dispatch.run()
        for _ in range(3):
            await poison_next(on)
        assert await states(on) == {State.FAILED: 3, State.DISPATCHED: 3}
        await on.deliver_submissions()
        assert await states(on) == {State.FAILED: 3, State.PENDING: 3}
        assert await on.app.dispatch.run() == 1
        assert await on.app.dispatch.run() == 0
        await on.deliver_submissions()
        assert await on.app.dispatch.run() == 2


async def test_single_poison_messages_stop_nobody() -> None:
    """Poison messages that lie further apart leave the others as they were."""
    async with stage() as on:
        for number in range(MESSAGES):
            await ask(on, url_request(f"case-{number}"))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        await on.app.dispatch.run()
        await poison_next(on)
        await poison_next(on)
        await on.deliver_submissions()
        assert await states(on) == {State.FAILED: 2, State.SUBMITTED: 4}


async def test_a_poisoned_conflict_has_a_row_of_its_own() -> None:
    """A message that fails every attempt, and whose requestId stands for other content, is told apart all the same."""
    async with stage() as on:
        await ask(on, url_request("first", requestId="case-1"))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        await on.app.record_poison_manual.run(json.dumps(url_request("second", requestId="case-1")))
        reasons = sorted(outcome.state_reason or "" for outcome in await on.outcomes())
    assert reasons == ["", "request_id_conflict"]


async def states(on: Stage) -> dict[State, int]:
    """How many rows are in each state."""
    found: dict[State, int] = {}
    for outcome in await on.outcomes():
        found[outcome.state] = found.get(outcome.state, 0) + 1
    return found


async def test_what_a_message_failed_is_tried_once_more_by_itself() -> None:
    """Ten minutes later, as what failed it may have been storage; what fails again waits for somebody who asks."""
    async with stage() as on:
        await ask(on, url_request("tide", requestId="row"))
        await on.deliver("manual-submissions", on.app.intake_manual.run)
        await on.app.record_poison_manual.run(json.dumps(url_request("moor", requestId="message")))
        for rows_failed, minutes in ((2, 5), (0, 6)):
            await on.app.dispatch.run()
            if rows_failed:
                await poison_next(on)
            assert (await states(on)).get(State.FAILED, 0) == 2
            await on.app.settle_outcomes.run()
            on.clock.advance(minutes=minutes)
        await on.app.settle_outcomes.run()
        await on.app.settle_outcomes.run()
        assert State.FAILED not in await states(on)
        await on.app.dispatch.run()
        await poison_next(on)
        for _ in range(4):
            on.clock.advance(minutes=11)
            await on.round()
        assert await states(on) == {State.FAILED: 1, State.SETTLED: 1}
