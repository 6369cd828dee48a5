"""Whatever becomes of rows, and whenever: what the app keeps, a rebuild counts and DuckDB counts is the same."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.memory_storage import MemoryTable
from shared.cli.columns import OUTCOME_COLUMNS
from shared.cli.row_files import open_writer
from shared.codecs.statistics import COLUMNS, day_key, read_statistics
from shared.domain.lifecycle import FIRST_STATES, TRANSITIONS
from shared.domain.model import Agreement, Direction, Outcome, OutcomeKey, Source, State
from shared.domain.statistics import DayStatistics
from shared.stores.ledger import Ledger
from shared.stores.outcomes import Change, OutcomeStore
from shared.stores.statistics import StatisticsStore, UpkeepStore
from shared.stores.worklist import Worklist
from shared.usecases.outcomes.statistics import KeepStatistics
from tests.support.stage import START, StageClock

QUERY = (Path(__file__).resolve().parents[2] / "docs" / "examples" / "days.sql").read_text()
SECONDS = st.integers(0, 400_000)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next: hours go by, and a row (by number) moves, a new one where there is none of that number."""

    hours: float
    number: int
    choice: int
    facts: dict[str, Any]
    is_kept: bool


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "reporter": st.sampled_from(["ann@contoso.com", "Ann@contoso.com", "ben@contoso.com"]),
        "campaign_id": st.sampled_from(["a" * 32, "b" * 32]),
        "direction": st.sampled_from(Direction),
        "disputes": st.just("d" * 32),
        "covered_by": st.just("c" * 32),
        "seconds_to_submit": SECONDS,
        "seconds_to_verdict": SECONDS,
    },
)
STEPS = st.lists(
    st.builds(
        Step,
        hours=st.floats(0, 40),
        number=st.integers(0, 12),
        choice=st.integers(0, 9),
        facts=FACTS,
        is_kept=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@dataclass
class World:
    """Tables, their clock and the app's upkeep."""

    clock: StageClock = field(default_factory=StageClock)
    outcomes: MemoryTable = field(default_factory=MemoryTable)
    log: MemoryTable = field(default_factory=MemoryTable)
    statistics: MemoryTable = field(default_factory=MemoryTable)
    runstate: MemoryTable = field(default_factory=MemoryTable)
    keys: dict[int, OutcomeKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = OutcomeStore(self.outcomes, self.log, self.clock)
        self.days = StatisticsStore(self.statistics, self.outcomes)
        self.upkeep = KeepStatistics(
            ledger=Ledger(self.store, Worklist(MemoryTable())),
            statistics=self.days,
            upkeep=UpkeepStore(self.runstate),
            clock=self.clock,
        )

    async def take(self, step: Step) -> None:
        """Let the step happen."""
        self.clock.advance(hours=step.hours)
        if step.is_kept:
            await self.upkeep.run()
        if step.number not in self.keys:
            await self.receive(step)
        else:
            await self.move(step)

    async def receive(self, step: Step) -> None:
        """A new row in one of the first states."""
        now = self.clock.now()
        key = OutcomeKey(day_key(now.date()), f"{step.number:032x}")
        state = sorted(FIRST_STATES)[step.choice % len(FIRST_STATES)]
        first = Outcome(key=key, state=state, source=Source.MAILBOX, received_at=now, collected_at=now, **step.facts)
        await self.store.create([first])
        self.keys[step.number] = key

    async def move(self, step: Step) -> None:
        """The row's next state, one that may follow; nothing where it is final for good."""
        stored = await self.store.get(self.keys[step.number])
        assert stored is not None
        before = stored.outcome
        following = sorted(TRANSITIONS[before.state])
        if not following:
            return
        state, facts = following[step.choice % len(following)], dict(step.facts)
        if state is State.SUBMITTED:
            facts["submitted_at"] = self.clock.now()
        if state is State.SETTLED:
            facts["agreement"] = list(Agreement)[step.choice % len(Agreement)]
        await self.store.advance([Change(before, replace(before, state=state, **facts), stored.etag)])

    def kept(self) -> dict[str, DayStatistics]:
        """What the table holds, by day."""
        return {str(row["RowKey"]): read_statistics(row) for row in self.statistics.rows()}


async def live(steps: list[Step]) -> World:
    """Let it all happen, and the last hour go round."""
    world = World()
    for step in steps:
        await world.take(step)
    world.clock.advance(hours=1)
    await world.upkeep.run()
    return world


async def rebuilt(world: World) -> dict[str, DayStatistics]:
    """What a rebuild of every day makes of an empty table."""
    world.statistics = MemoryTable()
    days = StatisticsStore(world.statistics, world.outcomes)
    span = (world.clock.time.date() - START.date()).days
    for number in range(span + 1):
        await days.rebuild_alone(START.date() + timedelta(days=number))
    return world.kept()


def by_duckdb(world: World, folder: Path) -> dict[str, DayStatistics]:
    """What the query of docs/examples counts in an export of the rows."""
    path = folder / "outcomes.parquet"
    with path.open("wb") as file:
        writer = open_writer(file, "parquet", OUTCOME_COLUMNS)
        for row in world.outcomes.rows():
            writer.write(row)
        writer.close()
    found = duckdb.connect().execute(QUERY.replace("outcomes.parquet", str(path)))
    names = [name for name, *_ in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {day_key(row["Day"]): _figures(row) for row in rows}


def _figures(row: dict[str, Any]) -> DayStatistics:
    day = row["Day"]
    assert isinstance(day, date)
    return DayStatistics(day=day, **{name: row[column] for name, column in COLUMNS.items()})


@given(steps=STEPS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_kept_and_rebuilt_and_counted_by_others_are_one(steps: list[Step], tmp_path: Path) -> None:
    """Rows that change days later included."""
    world = asyncio.run(live(steps))
    kept = world.kept()
    assert kept == by_duckdb(world, tmp_path)
    assert kept == asyncio.run(rebuilt(world))
