"""Two hundred random histories, and that their judge sees what it is there to see.

`make histories N=20000` runs more, `make histories SEED=n` one again with every call told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from local.memory_storage import MemoryTable
from shared.ports import Delete, Entity, Replace
from tests.histories.character import MAILBOX, calm
from tests.histories.history import History
from tests.histories.host import Failure, Message
from tests.histories.judge import findings_of
from tests.histories.microsoft import Effect
from tests.histories.trial import DEFAULT_HISTORIES, PORTION, silence, trial
from tests.histories.virtual_time import NobodyComesError, VirtualTimeLoop, run

CALM = 3
"""The seed of a history with several rows, one of them covered, in which nothing goes wrong."""


@pytest.mark.skip(reason="the delivery core does not keep these promises yet: see `make histories`")
@pytest.mark.parametrize("first", range(0, DEFAULT_HISTORIES, PORTION))
def test_every_promise_holds_in_every_history(first: int) -> None:
    """One final row for each source, one submission for each claim, an exact feed, no quota broken, nothing left."""
    broken = [result for result in map(trial, range(first, first + PORTION)) if result.findings]
    told = [
        f"make histories SEED={one.seed}: {'; '.join(f'{found.kind}: {found.what}' for found in one.findings)}"
        for one in broken
    ]
    assert not told, "\n".join(told)


def test_a_seed_replays_its_history() -> None:
    """To the last row, event and millisecond."""
    assert trial(4) == trial(4)


def test_a_history_that_waits_for_nobody_is_told() -> None:
    """A deadlock is an error, not a history that never ends."""
    loop = VirtualTimeLoop()
    with pytest.raises(NobodyComesError):
        run(_wait_for_nobody(loop), loop)


async def _wait_for_nobody(loop: VirtualTimeLoop) -> None:
    await loop.create_future()


def calm_history() -> History:
    """Return a history in which nothing went wrong, at its end."""
    history = History(CALM, given=calm({"REPORTING_MAILBOXES": MAILBOX}, arrivals=8))
    with silence():
        history.live()
    return history


# What the judge must see: a history in which nothing is wrong is broken by hand, in one place.


def lose_an_event(history: History) -> None:
    """The feed lacks a change."""
    _drop(history, "outcomelog", _last_event(history))


def tell_an_event_twice(history: History) -> None:
    """The feed has a change once more, a little later, as a worker with another clock writes it."""
    event = _last_event(history)
    key = str(event["RowKey"])
    later = f"{int(key[:13]) + 2_000:013d}{key[13:]}"
    _put(history, "outcomelog", {**event, "RowKey": later, "PreviousState": str(event["Event"])})


def tell_a_wrong_previous_state(history: History) -> None:
    """An event names another state before it."""
    _put(history, "outcomelog", {**_last_event(history), "PreviousState": "uncertain"})


def lose_a_row(history: History) -> None:
    """A report has no row any more."""
    _drop(history, "outcomes", _settled(history))


def leave_a_row_open(history: History) -> None:
    """A row never ends."""
    _put(history, "outcomes", {**_settled(history), "State": "submitted"})


def take_another_verdict(history: History) -> None:
    """A row has a verdict that is not its item's."""
    row = _settled(history)
    _put(history, "outcomes", {**row, "Verdict": "clean" if row["Verdict"] != "clean" else "spam"})


def submit_twice(history: History) -> None:
    """Microsoft has an item again, twenty minutes later."""
    effect = _effect(history)
    history.microsoft.effects.append(replace(effect, at=effect.at + timedelta(minutes=20)))


def lose_a_submission(history: History) -> None:
    """Microsoft has something that no row owns."""
    row = next(row for row in history.outcomes.rows() if row["State"] == "settled" and "CoveredBy" not in row)
    _put(history, "outcomes", {name: value for name, value in row.items() if name != "GraphSubmissionId"})


def post_too_much(history: History) -> None:
    """More POSTs than a window holds."""
    history.microsoft.posts.extend([history.microsoft.posts[0]] * history.settings.quota_per_15_min)


def leave_a_message(history: History) -> None:
    """A message is never handled."""
    history.queues["submissions"].messages.append(Message("left behind", 0.0))


def leave_an_entry(history: History) -> None:
    """The worklist knows a row that has ended."""
    _put(history, "worklist", {"PartitionKey": "0", "RowKey": f"3-{_settled(history)['RowKey']}"})


def fail_in_the_quiet(history: History) -> None:
    """A function fails when nothing is wrong any more, again and again."""
    history.failures_in_quiet = [Failure("settle_outcomes", IndexError(), 0.0)] * 5


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [
        (lose_an_event, "missing event"),
        (tell_an_event_twice, "false event"),
        (tell_a_wrong_previous_state, "wrong PreviousState"),
        (lose_a_row, "no row for a re"),
        (leave_a_row_open, "never final: submitted"),
        (take_another_verdict, "wrong verdict"),
        (submit_twice, "second POST"),
        (lose_a_submission, "submission that no row owns"),
        (post_too_much, "window over quota"),
        (leave_a_message, "message left on submissions"),
        (leave_an_entry, "worklist entry left over"),
        (fail_in_the_quiet, "settle_outcomes is dead for good"),
    ],
)
def test_the_judge_sees_what_is_wrong(break_it: Callable[[History], None], kind: str) -> None:
    """A history in which nothing is wrong has no finding; broken by hand, it has that one."""
    history = calm_history()
    assert findings_of(history) == []
    break_it(history)
    kinds = {finding.kind for finding in findings_of(history)}
    assert any(found.startswith(kind) for found in kinds), kinds


def _last_event(history: History) -> Entity:
    settled = str(_settled(history)["RowKey"])
    events = [row for row in history.log.rows() if row["SubmissionId"] == settled]
    return max(events, key=lambda row: str(row["RowKey"]))


def _settled(history: History) -> Entity:
    return next(row for row in history.outcomes.rows() if row["State"] == "settled" and "CoveredBy" not in row)


def _effect(history: History) -> Effect:
    return next(one for one in history.microsoft.effects if one.row is not None)


def _put(history: History, table: str, entity: Entity) -> None:
    asyncio.run(MemoryTable.write_all(history.tables[table], [Replace(entity)]))


def _drop(history: History, table: str, entity: Entity) -> None:
    removed = Delete(str(entity["PartitionKey"]), str(entity["RowKey"]))
    asyncio.run(MemoryTable.write_all(history.tables[table], [removed]))
