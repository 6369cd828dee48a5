"""Retention: rows whose days are over are deleted, and never one that somebody still needs."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import cast

import pytest

from local.graph_simulator.faults import Scope, answer_status
from shared.domain.model import State
from shared.ports import Row, Table
from tests.flow.test_reading import Around
from tests.support.reports import BEN, listen, original, pass_time, posts, report
from tests.support.stage import ProcessStoppedError, Stage, Steps
from tests.support.stage import stage as any_stage

stage = partial(any_stage, OUTCOMES_DAYS="40", OUTCOMELOG_DAYS="35", ITEMS_DAYS="30")
KEPT = ("outcomes", "outcomelog", "items")


async def counts(on: Stage) -> tuple[int, ...]:
    """How many rows are in the tables that retention looks after."""
    return tuple([len(await on.rows(table)) for table in KEPT])


async def settled(on: Stage, name: str = "mail") -> None:
    """Have one report submitted and settled."""
    report(on, original(name))
    await pass_time(on, timedelta(minutes=20), step=timedelta(minutes=5))


async def days_pass(on: Stage, days: int) -> None:
    """Let days go by, the app running once in each."""
    for _ in range(days):
        on.clock.advance(days=1)
        await on.round()


async def test_each_table_keeps_its_own_days() -> None:
    """Items go after 30 days, events after 35, rows after 40; nothing is submitted twice for it."""
    async with stage() as on:
        await settled(on)
        before = await counts(on)
        assert before[0] == 1
        await days_pass(on, 30)
        assert (await counts(on))[:2] == before[:2]
        await days_pass(on, 4)
        assert await counts(on) == (*before[:2], 0)
        await days_pass(on, 4)
        assert await counts(on) == (before[0], 0, 0)
        await days_pass(on, 5)
        assert await counts(on) == (0, 0, 0)
        on.start_process()
        await days_pass(on, 2)
        assert await counts(on) == (0, 0, 0)
        assert posts(on) == 1


async def test_without_settings_everything_stays() -> None:
    """No day of retention: rows are kept for ever."""
    async with any_stage() as on:
        await settled(on)
        before = await counts(on)
        await days_pass(on, 60)
        assert await counts(on) == before


async def test_a_row_that_may_be_at_microsoft_stays_with_its_claim() -> None:
    """Given up without having been looked up: it speaks for its item until it is, however old it is."""
    async with stage(VERDICT_DEADLINE_HOURS="1") as on:
        on.graph.control.add_fault(answer_status(503, Scope(method="POST")))
        on.graph.control.add_fault(answer_status(503, Scope(method="GET", path="/beta/security/threatSubmission")))
        await settled(on)
        await days_pass(on, 60)
        (row,) = await on.outcomes()
        assert (row.state, row.state_reason) == (State.FAILED, "never_reconciled")
        assert "item" in {one["PartitionKey"] for one in await on.rows("items")}


async def test_an_open_row_stays_whatever_its_age() -> None:
    """A row that waits is no old row, and neither is the item that it claims."""
    async with stage() as on:
        on.graph.control.add_fault(answer_status(401, Scope(method="POST")))
        report(on, original("mail"))
        report(on, original("mail"), reporter=BEN)
        await on.round()
        first = await counts(on)
        on.clock.advance(days=29)
        await on.round()
        assert await counts(on) >= first


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_stop_anywhere_loses_nothing_but_time(after_effect: bool) -> None:
    """Whatever call a process ends at, the next one deletes the rest, and only what is old."""
    number = 0
    while True:
        async with stage() as on:
            await settled(on)
            on.clock.advance(days=50)
            report(on, original("today"))
            await on.app.collect_reports.run()
            steps = Steps(stop_at=number, after_effect=after_effect)
            on.start_process(steps)
            with suppress(ProcessStoppedError):
                await on.app.settle_outcomes.run()
            on.start_process()
            on.clock.advance(days=1)
            await on.app.settle_outcomes.run()
            assert [one.received_at.date() for one in await on.outcomes()] == [
                (on.clock.time - timedelta(days=1)).date()
            ]
            assert len(await on.feed()) == 1
            if not steps.is_stopped:
                assert number > 10
                return
        number += 1


@pytest.mark.expects_error_log
async def test_rows_that_cannot_be_deleted_hold_up_no_verdict(caplog: pytest.LogCaptureFixture) -> None:
    """One table breaks its pass at every run: that is told, and settling goes on to its end as ever."""
    listen(caplog)
    async with stage() as on:
        true_ports = on.ports

        async def behind(*_: object) -> list[Row]:
            raise RuntimeError("400")

        tables = {**on.ports.tables, "outcomelog": cast(Table, Around(on.ports.tables["outcomelog"], behind=behind))}
        on.ports = replace(on.ports, tables=tables)
        on.start_process()
        on.ports = true_ports
        await settled(on)
        assert [row.state for row in await on.outcomes()] == [State.SETTLED]
        await on.app.settle_outcomes.run()
        assert "event=deletion_failed task=retention error=RuntimeError" in caplog.text
