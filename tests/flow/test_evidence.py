"""Originals: kept while a row needs them, whatever EVIDENCE_DAYS and the account's own rule say; deleted after that."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest

from local.graph_simulator.faults import Scope, answer_status
from local.memory_storage import MemoryBlobs
from shared.domain.model import State
from shared.ports import BlobStore
from tests.support.format_samples import msg
from tests.support.report_formats import as_msg
from tests.support.reports import original, pass_time, report, report_with, submissions
from tests.support.stage import Stage, Steps, stage

slow_stage = partial(stage, QUOTA_PER_15_MIN="4", QUOTA_RESERVED_FOR_PEOPLE="1", QUOTA_RESERVED_FOR_URGENT="1")
POSTS = Scope(method="POST")


def evidence(on: Stage) -> MemoryBlobs:
    """The container of originals."""
    found = on.ports.containers["evidence"]
    assert isinstance(found, MemoryBlobs)
    return found


async def states(on: Stage) -> Counter[State]:
    """How many rows are in each state."""
    return Counter([one.state for one in await on.outcomes()])


async def days_pass(on: Stage, days: float, *, each: timedelta = timedelta(hours=6)) -> None:
    """Let the time go by, everything running as ever; the account's rule has its turn with every look."""
    kept_for = timedelta(days=on.settings.evidence_days)
    for _ in range(int(timedelta(days=days) / each)):
        await on.round()
        evidence(on).drop_not_written_since(on.clock.time - kept_for)
        on.clock.advance(seconds=each.total_seconds())


async def test_originals_older_than_their_days_are_kept_while_their_rows_wait() -> None:
    """Reports of last week, originals for three days, a quota for two at a time: all are submitted, then deleted."""
    async with slow_stage(EVIDENCE_DAYS="3") as on:
        for number in range(14):
            report(on, original(f"mail-{number}"), age=timedelta(days=8))
        await pass_time(on, timedelta(minutes=140), step=timedelta(minutes=5))
        assert await states(on) == {State.SETTLED: 14}
        assert len(submissions(on)) == 14
        assert len(evidence(on).blobs) == 14
        await days_pass(on, 3.5)
        assert evidence(on).blobs == {}


@pytest.mark.parametrize(("days", "renewals_a_day"), [("1", 2), ("5", 1), ("12", 1)])
async def test_the_accounts_rule_deletes_nothing_that_a_row_needs(days: str, renewals_a_day: int) -> None:
    """Three weeks without permission: what waits is written anew each day of its last week, and no more often."""
    async with stage(EVIDENCE_DAYS=days) as on:
        for number in range(3):
            report(on, original(f"mail-{number}"))
        handle = on.graph.control.add_fault(answer_status(401, POSTS))
        renewed = counted_renewals(on)
        await days_pass(on, 21)
        begins_on_day = max(0, int(days) - 8)
        assert 3 * 2 * renewals_a_day * (20 - begins_on_day) <= len(renewed)
        assert len(renewed) <= 3 * 2 * renewals_a_day * (22 - begins_on_day)
        on.graph.control.remove_fault(handle)
        await pass_time(on, timedelta(hours=8), step=timedelta(minutes=20))
        assert await states(on) == {State.SETTLED: 3}


def counted_renewals(on: Stage, *, takes: timedelta = timedelta()) -> list[str]:
    """The names of the blobs that are renewed from the next process on; each renewal takes so long."""
    renewed: list[str] = []

    @dataclass
    class Counted:
        port: Any = field(default_factory=lambda: evidence(on))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.port, name)

        async def renew(self, name: str) -> None:
            renewed.append(name)
            on.clock.advance(seconds=takes.total_seconds())
            await self.port.renew(name)

    true_ports = on.ports
    on.ports = replace(on.ports, containers={**on.ports.containers, "evidence": cast(BlobStore, Counted())})
    on.start_process()
    on.ports = true_ports
    return renewed


async def test_what_was_attached_is_kept_with_its_mail() -> None:
    """A mail that came in another format has two blobs: both live and go together."""
    async with stage(EVIDENCE_DAYS="1") as on:
        report_with(on, msg(as_msg(original("converted"))))
        handle = on.graph.control.add_fault(answer_status(401, POSTS))
        await days_pass(on, 3)
        assert sorted(name.rpartition(".")[2] for name in evidence(on).blobs) == ["attached", "eml"]
        on.graph.control.remove_fault(handle)
        await pass_time(on, timedelta(hours=12), step=timedelta(minutes=20))
        assert await states(on) == {State.SETTLED: 1}
        await days_pass(on, 2)
        assert evidence(on).blobs == {}


async def test_renewing_much_is_spread_over_runs() -> None:
    """A run that has no time for all ends in its time; the next one goes on, in another process, and repeats none."""
    async with stage(EVIDENCE_DAYS="1") as on:
        on.graph.control.add_fault(answer_status(401, POSTS))
        for number in range(25):
            report(on, original(f"mail-{number}"))
        await on.app.collect_reports.run()
        done: list[str] = []
        for _ in range(4):
            renewed = counted_renewals(on, takes=timedelta(seconds=1))
            began_at = on.clock.time
            await on.app.settle_outcomes.run()
            assert on.clock.time - began_at <= timedelta(seconds=60)
            done += renewed
        assert sorted(name for name in done if name.endswith(".eml")) == sorted(evidence(on).blobs)


async def test_a_day_without_old_rows_costs_one_read_a_run() -> None:
    """No original is looked for where the day's pass is done."""
    async with stage() as on:
        report(on, original("young"))
        await on.round()
        steps = Steps()
        on.start_process(steps)
        await on.app.settle_outcomes.run()
        assert [step for step in steps.taken if "container" in step] == []


async def test_what_was_kept_for_replay_is_forgotten_with_its_original() -> None:
    """A refused row can be replayed for EVIDENCE_DAYS; then its entry goes too, whatever else is open."""
    async with stage(EVIDENCE_DAYS="2", is_busy=True) as on:
        on.graph.control.add_fault(answer_status(400, Scope(method="POST", times=1)))
        report(on, original("refused"))
        await on.finish(rows=1)
        assert len([row for row in await on.rows("worklist") if row["RowKey"].startswith("9-")]) == 1
        await days_pass(on, 4)
        assert [row for row in await on.rows("worklist") if row["RowKey"].startswith("9-")] == []
