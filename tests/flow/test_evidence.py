"""Originals: kept while a row needs them, whatever EVIDENCE_DAYS and the account's own rule say; deleted after that."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from local.graph_simulator.faults import Scope, answer_status
from local.memory_storage import MemoryBlobs
from shared.domain.model import State
from shared.ports import BlobStore
from tests.support.format_samples import msg
from tests.support.report_formats import as_msg
from tests.support.reports import original, pass_time, report, report_with, submissions
from tests.support.stage import Stage, stage

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


async def test_originals_older_than_their_days_are_kept_while_their_rows_wait() -> None:
    """Reports of last week, originals for three days, a quota for two at a time: all are submitted, then deleted."""
    async with slow_stage(EVIDENCE_DAYS="3") as on:
        for number in range(14):
            report(on, original(f"mail-{number}"), age=timedelta(days=8))
        await pass_time(on, timedelta(minutes=140), step=timedelta(minutes=5))
        assert await states(on) == {State.SETTLED: 14}
        assert len(submissions(on)) == 14
        await pass_time(on, timedelta(hours=2), step=timedelta(minutes=30))
        assert evidence(on).blobs == {}


async def test_the_accounts_own_rule_deletes_nothing_that_a_row_needs() -> None:
    """Originals for a day, and three weeks without permission: what waits is written anew each day, in time."""
    async with stage(EVIDENCE_DAYS="1") as on:
        for number in range(3):
            report(on, original(f"mail-{number}"))
        handle = on.graph.control.add_fault(answer_status(401, POSTS))
        renewed = counted_renewals(on)
        for _ in range(21 * 4):
            await on.round()
            on.clock.advance(hours=6)
            evidence(on).drop_not_written_since(on.clock.time - timedelta(days=1 + 7))
        assert 3 * 18 <= len(renewed) <= 3 * 21
        on.graph.control.remove_fault(handle)
        await pass_time(on, timedelta(hours=8), step=timedelta(minutes=20))
        assert await states(on) == {State.SETTLED: 3}


def counted_renewals(on: Stage) -> list[str]:
    """The names of the blobs that are renewed from the next process on."""
    renewed: list[str] = []

    @dataclass
    class Counted:
        port: Any = field(default_factory=lambda: evidence(on))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.port, name)

        async def renew(self, name: str) -> None:
            renewed.append(name)
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
        await pass_time(on, timedelta(days=3), step=timedelta(hours=3))
        assert sorted(name.rpartition(".")[2] for name in evidence(on).blobs) == ["attached", "eml"]
        on.graph.control.remove_fault(handle)
        await pass_time(on, timedelta(hours=12), step=timedelta(minutes=20))
        assert await states(on) == {State.SETTLED: 1}
        assert evidence(on).blobs == {}


async def test_an_original_that_was_just_written_is_not_deleted() -> None:
    """Its row may be on its way: a worker writes the original first. Without a row it goes an hour later."""
    async with stage(EVIDENCE_DAYS="1") as on:
        await evidence(on).put("20261101/0123.eml", b"x")
        await on.app.settle_outcomes.run()
        assert len(evidence(on).blobs) == 1
        on.clock.advance(minutes=61)
        await on.app.settle_outcomes.run()
        assert evidence(on).blobs == {}


async def test_deleting_much_is_spread_over_runs() -> None:
    """A run that finds a month of originals ends in its time, with what it has deleted; the next ones do the rest."""
    async with stage(EVIDENCE_DAYS="1") as on:
        for number in range(100):
            await evidence(on).put(f"20261101/{number:04d}.eml", b"x")
        on.clock.advance(hours=2)

        @dataclass
        class Slow:
            port: Any = field(default_factory=lambda: evidence(on))

            def __getattr__(self, name: str) -> Any:
                return getattr(self.port, name)

            async def drop(self, name: str) -> None:
                on.clock.advance(seconds=1)
                await self.port.drop(name)

        true_ports = on.ports
        on.ports = replace(on.ports, containers={**on.ports.containers, "evidence": cast(BlobStore, Slow())})
        on.start_process()
        on.ports = true_ports
        left = []
        while evidence(on).blobs:
            began_at: datetime = on.clock.time
            await on.app.settle_outcomes.run()
            assert on.clock.time - began_at <= timedelta(seconds=60)
            left.append(len(evidence(on).blobs))
        assert left == [60, 20, 0]
