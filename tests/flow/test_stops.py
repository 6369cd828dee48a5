"""A process may stop before or after any call that leaves it; the next one finds every row and repeats no effect."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from local.azurite import Azurite
from local.sample_tenant import REPORTING_MAILBOX, read_original, wrap_as_report_button
from shared.domain.model import Category, State
from tests.support.stage import START, ProcessStoppedError, Stage, Steps, assert_feed_is_whole, stage

ROWS, ITEMS = 4, 3
CHANGING = {"write", "write_all", "put", "send", "submit"}
"""The calls on a port that change what a later process finds."""
REPORTER = "alice.meyer@contoso.example"
URL_REQUEST = {
    "schemaVersion": 1,
    "kind": "url",
    "category": "phishing",
    "requestedBy": "soc@contoso.example",
    "requestId": "case-1",
    "url": "https://login.contoso-example.test/reset",
}


async def put_the_work(on: Stage) -> None:
    """Two reports of one item, one of another, and an operator's request."""
    for number, name in enumerate(["card-suspended-ja", "card-suspended-ja", "bank-details-change-invoice"]):
        mail = wrap_as_report_button(
            read_original(name, START),
            reporter=REPORTER,
            category=Category.PHISHING,
            received_at=START - timedelta(minutes=number + 1),
            mailbox=REPORTING_MAILBOX,
        )
        on.graph.tenant.deliver(REPORTING_MAILBOX, mail)
    await on.ports.queues["manual-submissions"].send(json.dumps(URL_REQUEST))


@contextmanager
def named(step: str) -> Iterator[None]:
    """Say in a failure at which step the process was stopped."""
    try:
        yield
    except BaseException as error:
        error.add_note(step)
        raise


async def recorded_steps(connection: str | None = None) -> list[str]:
    """The names of all calls that leave the process while that work is done."""
    async with stage(connection=connection) as on:
        await put_the_work(on)
        steps = Steps()
        on.start_process(steps)
        await on.finish(rows=ROWS)
        return steps.taken


async def stop_and_go_on(stop_at: int, *, after_effect: bool, connection: str | None = None) -> None:
    """Stop the process there, begin another, and hold everything to what the contract promises."""
    async with stage(connection=connection) as on:
        await put_the_work(on)
        on.start_process(Steps(stop_at=stop_at, after_effect=after_effect))
        with pytest.raises(ProcessStoppedError):
            await on.finish(rows=ROWS)
        on.start_process()
        on.clock.advance(minutes=11)
        outcomes = await on.finish(rows=ROWS)
        assert len(outcomes) == ROWS
        assert {outcome.state for outcome in outcomes} == {State.SETTLED}
        assert_feed_is_whole(outcomes, await on.feed())
        effects = Counter(one.request.item_key for one in on.graph.control.list_submissions())
        assert set(effects.values()) == {1}
        assert len(effects) == ITEMS
        assert await on.rows("worklist") == [row for row in await on.rows("worklist") if row["RowKey"].startswith("0-")]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_stop_at_any_step_loses_nothing_and_repeats_nothing(after_effect: bool) -> None:
    """Whichever call was the last, every row ends settled, each item has one submission, and the feed is whole."""
    for number, name in enumerate(await recorded_steps()):
        with named(f"stopped at step {number}, {name}"):
            await stop_and_go_on(number, after_effect=after_effect)


def changes_met(steps: list[str]) -> list[int]:
    """Return the numbers of the steps that change something, each once for the changes that stand around it.

    A stop after a read leaves what one after the change before it leaves; the second row's steps are the first's.
    """
    changes = [number for number, name in enumerate(steps) if name.rpartition(".")[2] in CHANGING]
    names = ["", *(steps[number] for number in changes), ""]
    around = list(zip(names, names[1:], names[2:], strict=False))
    return [number for place, number in enumerate(changes) if around.index(around[place]) == place]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("half", [0, 1])
async def test_a_stop_on_azurite_loses_nothing_and_repeats_nothing(azurite: Azurite, half: int) -> None:
    """The same on a real storage service, where answers and refusals are the service's own: after every change."""
    steps = await recorded_steps(azurite.new_account())
    met = changes_met(steps)
    assert len(met) > 30
    for number in met[half::2]:
        with named(f"stopped at step {number}, {steps[number]}"):
            await stop_and_go_on(number, after_effect=True, connection=azurite.new_account())
