"""What a settle run costs: as much as has changed, in transactions; never more for what merely waits."""

import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log, log10
from types import FrameType
from typing import Any, Self

import pytest

from local.memory_storage import MemoryBlobs, MemoryQueue
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, App, build
from shared.domain.lifecycle import move
from shared.domain.model import CoverReason, Kind, Outcome, Source, State
from shared.domain.submissions import ThreatSubmission
from shared.ports import Ports
from shared.settings import Settings
from shared.stores.ledger import Step, WorkItem
from tests.support.ledgers import new_ledger
from tests.support.outcomes import NOW, make_listed, make_outcome
from tests.support.stage import StageClock, settings_for
from tests.support.tables import MeteredTable

FEW, MANY = 100, 1_000
AN_HOUR_AGO = NOW - timedelta(hours=1)
HOLDERS = 3
RUNS_UNTIL_ORIGINALS_ARE_RENEWED = 4


class Microsoft:
    """A list of submissions, and nothing else."""

    def __init__(self) -> None:
        self.listed_mails: list[ThreatSubmission] = []

    async def listed(self, kind: Kind, _: datetime) -> list[ThreatSubmission]:
        """What is listed of that kind."""
        return self.listed_mails if kind is Kind.EMAIL else []

    async def reports_reach_microsoft(self) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Cost:
    """What a run has cost."""

    calls: int
    rows_read: int
    characters_read: int


class Tenant:
    """Tables that are metered, and the use cases over them."""

    def __init__(self) -> None:
        self.clock = StageClock(NOW)
        self.tables = {name: MeteredTable() for name in TABLES}
        self.microsoft = Microsoft()
        self.ledger = new_ledger(
            self.clock,
            outcomes=self.tables["outcomes"],
            log=self.tables["outcomelog"],
            worklist=self.tables["worklist"],
        )
        ports = Ports(
            tables=dict(self.tables),
            queues={name: MemoryQueue(self.clock) for name in QUEUES},
            containers={name: MemoryBlobs(self.clock) for name in CONTAINERS},
            mail=None,  # type: ignore[arg-type]
            submissions=self.microsoft,  # type: ignore[arg-type]
            clock=self.clock,
        )
        self.app: App = build(Settings.load(settings_for("http://127.0.0.1:9", None)), ports)

    async def put(self, rows: Sequence[Outcome]) -> None:
        """Let rows come in, with their events and entries."""
        for start in range(0, len(rows), 100):
            items = [WorkItem(outcome=row, etag="", due_at=row.received_at) for row in rows[start : start + 100]]
            assert None not in await self.ledger.create(items)

    async def put_at_microsoft(self, count: int, *, received_at: datetime = AN_HOUR_AGO) -> None:
        """Let that many rows be at Microsoft."""
        await self.put([at_microsoft(number, received_at) for number in range(count)])

    async def put_campaign(self, count: int, *, holders: int = HOLDERS) -> None:
        """Let that many reports be covered by a few that are at Microsoft."""
        await self.put_at_microsoft(holders)
        speaking = [at_microsoft(number) for number in range(holders)]
        await self.put([covered_by(10**6 + number, speaking[number % holders]) for number in range(count)])

    def list_all(self, count: int, **facts: Any) -> None:
        """Let Microsoft list that many submissions."""
        self.microsoft.listed_mails = [make_listed(number, created_at=AN_HOUR_AGO, **facts) for number in range(count)]

    async def settle(self) -> Cost:
        """Run the timer; returns what it has cost."""
        return await self.cost_of(self.app.settle_outcomes.run)

    async def cost_of(self, run: Callable[[], Awaitable[object]]) -> Cost:
        """Run something; returns what it has cost."""
        before = self._cost()
        await run()
        after = self._cost()
        return Cost(
            after.calls - before.calls,
            after.rows_read - before.rows_read,
            after.characters_read - before.characters_read,
        )

    async def states(self) -> set[str]:
        """The states of all rows."""
        return {str(row["State"]) for row in self.tables["outcomes"].rows()}

    def _cost(self) -> Cost:
        tables = self.tables.values()
        return Cost(
            sum(one.calls for one in tables),
            sum(one.rows_read for one in tables),
            sum(one.characters_read for one in tables),
        )


def at_microsoft(number: int, at: datetime = AN_HOUR_AGO) -> Outcome:
    """Return the row with that number as it waits for its verdict since then."""
    return make_outcome(
        number,
        state=State.SUBMITTED,
        source=Source.MICROSOFT,
        received_at=at,
        submitted_at=at,
        graph_submission_id=f"graph-{number}",
        graph_status="notStarted",
    )


def covered_by(number: int, holder: Outcome) -> Outcome:
    """Return the row with that number as one that waits for another's verdict."""
    reason = CoverReason.SAME_CAMPAIGN
    return make_outcome(number, state=State.COVERED, state_reason=reason, covered_by=holder.key.submission_id)


def exponent(few: float, many: float) -> float:
    """How a cost grows from `FEW` rows to `MANY`: 1 where ten times as many cost ten times as much."""
    return log(many / few) / log(MANY / FEW)


async def new_words(count: int) -> Cost:
    """What a run costs in which Microsoft says something new of that many rows."""
    tenant = Tenant()
    await tenant.put_at_microsoft(count)
    tenant.list_all(count, status="running")
    await tenant.settle()
    tenant.list_all(count, status="pending")
    return await tenant.settle()


async def overdue(count: int) -> Cost:
    """What a run costs in which that many rows expire."""
    tenant = Tenant()
    await tenant.put_at_microsoft(count, received_at=NOW - timedelta(days=5))
    cost = await tenant.settle()
    assert await tenant.states() == {"expired"}
    return cost


async def verdict_for_many(count: int) -> Cost:
    """What a run costs in which the verdict comes that so many covered rows wait for."""
    tenant = Tenant()
    await tenant.put_campaign(count)
    await tenant.settle()
    tenant.list_all(HOLDERS, status="succeeded", result_category="phishing")
    cost = await tenant.settle()
    assert await tenant.states() == {"settled"}
    return cost


@pytest.mark.parametrize(("case", "calls_a_hundred"), [(new_words, 2.6), (overdue, 3.4), (verdict_for_many, 3.8)])
async def test_what_is_new_is_written_in_transactions(
    case: Callable[[int], Awaitable[Cost]], calls_a_hundred: float
) -> None:
    """A hundred rows of a day are one call for the rows, one for their events and one or two for their entries."""
    few, many = await case(FEW), await case(MANY)
    assert (many.calls - few.calls) / (MANY - FEW) * 100 <= calls_a_hundred
    assert exponent(few.calls, many.calls) <= 1.1
    assert exponent(few.characters_read, many.characters_read) <= 1.1


async def test_covered_rows_cost_nothing_until_there_is_news() -> None:
    """A run looks at their holders, and at a page of what stands behind each."""

    async def no_news(count: int) -> Cost:
        tenant = Tenant()
        await tenant.put_campaign(count, holders=1)
        for _ in range(RUNS_UNTIL_ORIGINALS_ARE_RENEWED):
            cost = await tenant.settle()
        return cost

    few, many, more = await no_news(FEW), await no_news(11 * FEW), await no_news(33 * FEW)
    assert few.calls <= 12
    assert more.calls - many.calls <= 1
    assert more.rows_read == many.rows_read
    assert more.characters_read == many.characters_read


async def test_many_holders_are_not_read_one_by_one() -> None:
    """As many holders as covered rows: their keys are compared with those of all open rows, a page at a time."""

    async def no_news(count: int) -> Cost:
        tenant = Tenant()
        holders = [make_outcome(number) for number in range(count)]
        await tenant.put(holders)
        await tenant.put([covered_by(10**6 + number, holder) for number, holder in enumerate(holders)])
        for _ in range(RUNS_UNTIL_ORIGINALS_ARE_RENEWED):
            cost = await tenant.settle()
        return cost

    few, many = await no_news(2 * FEW), await no_news(2 * MANY)
    assert many.calls <= few.calls + 6 * 2 * MANY / 1_000
    assert exponent(few.characters_read, many.characters_read) <= 1.1


async def test_a_holder_among_many_that_came_to_its_end_is_followed() -> None:
    """However many others are open: nobody behind it waits for the next run."""
    tenant = Tenant()
    holders = [make_outcome(number) for number in range(2 * FEW)]
    await tenant.put(holders)
    await tenant.put([at_microsoft(10**5)])
    await tenant.put([covered_by(10**6 + number, one) for number, one in enumerate([*holders, at_microsoft(10**5)])])
    tenant.microsoft.listed_mails = [
        make_listed(10**5, created_at=AN_HOUR_AGO, status="succeeded", result_category="phishing")
    ]
    assert await tenant.app.settle_outcomes.run() == 2
    assert await tenant.states() == {"pending", "covered", "settled"}


@pytest.mark.parametrize("is_found", [True, False])
async def test_lost_posts_are_decided_from_one_list_and_one_look_at_the_feed(is_found: bool) -> None:
    """What is looked at for each does not grow with how many there are, nor with how much Microsoft lists."""

    async def decided(count: int) -> tuple[Cost, int]:
        tenant = Tenant()
        await put_uncertain(tenant, count)
        first = 0 if is_found else count
        tenant.microsoft.listed_mails = [
            make_listed(number, created_at=AN_HOUR_AGO) for number in range(first, 10 * count)
        ]
        with counted_python_calls() as python:
            cost = await tenant.settle()
        assert await tenant.states() == {"submitted" if is_found else "pending"}
        return cost, python.count

    (few, few_steps), (many, many_steps) = await decided(20), await decided(200)
    assert log10(many.calls / few.calls) <= 1.1
    assert log10(many.characters_read / few.characters_read) <= 1.1
    assert log10(many_steps / few_steps) <= 1.1


async def put_uncertain(tenant: Tenant, count: int) -> None:
    """Let the POSTs of that many rows be lost an hour ago."""
    rows = [make_outcome(number, received_at=AN_HOUR_AGO) for number in range(count)]
    await tenant.put(rows)
    for row in rows:
        stored, item = await tenant.ledger.get(row.key), await tenant.ledger.find(row)
        for state in (State.DISPATCHED, State.SUBMITTING, State.UNCERTAIN):
            assert stored is not None
            assert item is not None
            stored = await tenant.ledger.step(Step(item, move(stored.outcome, state), stored, {"sent_at": AN_HOUR_AGO}))
            item = await tenant.ledger.find(row)


class counted_python_calls:  # noqa: N801 - used as a statement
    """Counts the functions that are called within it: what a processor does, however busy it is."""

    count = 0

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _count(self, _: FrameType, event: str, __: object) -> None:
        self.count += event == "call"


async def test_the_backlog_reads_a_fraction_of_what_waits(caplog: pytest.LogCaptureFixture) -> None:
    """Keys and two columns of each entry; the same lanes as from all of it."""
    caplog.set_level(logging.INFO)
    tenant = Tenant()
    await tenant.put([make_outcome(number) for number in range(FEW)])
    whole = await tenant.cost_of(lambda: drained(tenant))
    lightly = await tenant.cost_of(tenant.app.backlog.run)
    assert lightly.characters_read <= whole.characters_read / 8
    assert f"lane=normal count={FEW}" in caplog.text


async def drained(tenant: Tenant) -> None:
    """Read every entry whole."""
    async for _ in tenant.tables["worklist"].scan("live", "1", "5"):
        pass


async def test_what_failed_long_ago_costs_nothing() -> None:
    """Entries that are kept for replay are read by nobody who has no use for them."""

    async def run_with_kept(count: int) -> Cost:
        tenant = Tenant()
        rows = [make_outcome(number, state=State.FAILED, state_reason="no_effect") for number in range(count)]
        await tenant.put(rows)
        for _ in range(3):
            await tenant.settle()
            tenant.clock.advance(minutes=6)
        return await tenant.settle()

    assert await run_with_kept(MANY) == await run_with_kept(0)


async def test_an_idle_run_makes_few_calls() -> None:
    """Nothing waits, nothing is new: what a tenant pays all night."""
    tenant = Tenant()
    await tenant.put_at_microsoft(0)
    await tenant.settle()
    idle = await tenant.settle()
    told = await tenant.cost_of(tenant.app.backlog.run)
    assert (idle.calls, told.calls) == (8, 2)
