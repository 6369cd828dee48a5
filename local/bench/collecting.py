"""What reading reports takes: of storage, of Graph, and of the processor; and what an idle tenant costs in a day."""

from __future__ import annotations

import re
from datetime import timedelta

from local.bench import scenes
from local.bench.builds import TIMERS, Build, DrivenApp
from local.bench.figures import Figure, Target
from local.bench.scenes import FEED, with_verdicts
from local.bench.side_by_side import (
    MOST_RUNS,
    NO_SETTINGS,
    SideBySide,
    calls,
    grow,
    least_of_pairs,
    rows_read,
    start_cold,
    summed,
)
from local.bench.starting_state import without_entities
from local.bench.wire_stage import FIRST_NUMBER, Spent, WireStage
from local.graph_simulator import Scope
from local.graph_simulator.faults import answer_status

REPORTS = 50
"""A page of a mailbox's feed."""
STORAGE_LATENCY_S = 0.01
_ONE_MAIL = re.compile(r"^GET /v1\.0/users/[^/]+/messages/")
_NONE = Target("<=", 0, of_value=True)


async def measure_after_stop(
    benches: SideBySide, sizes: tuple[int, ...] = (100, 1_000, 10_000), reports: int = REPORTS
) -> list[Figure]:
    """A process stopped between the rows of some reports and their worklist entries; so many others wait."""

    async def run(build: Build, size: int) -> Spent:
        kind = await benches.kind(scenes.waiting, build)
        stage = benches.stage
        async with stage.app(build, scenes.ONE_AT_A_TIME) as app:
            stage.set(kind.times(size, without=FEED))
            await app.run_timer("collect_reports")
            before = stage.storage.state.tables["runstate"].copy()
            _deliver(stage, reports)
            await app.run_timer("collect_reports")
            lost = [stage.names_of(number) for number in _numbers(reports)]
            without_entities(stage.storage.state, lost, "worklist")
            stage.storage.state.tables["runstate"] = before
            spent = await stage.spent(app, "collect_reports")
            _require_entries(stage, size + reports)
        return spent

    grown = await grow(benches, sizes, run)
    name = f"collect {reports} after a stop between rows and entries, waiting"
    return [
        grown.figure(name, "rows read", rows_read, Target("<=", 200, of_value=True)),
        grown.figure(name, "storage calls", calls),
        grown.exponents(name),
    ]


def _require_entries(stage: WireStage, waiting: int) -> None:
    found = sum('"DueAt"' in entity.text for entity in stage.storage.state.tables["worklist"])
    if found < waiting:
        raise RuntimeError(f"{found} of {waiting} waiting rows have their entries")


async def measure_hourly_list(benches: SideBySide, reports: int = REPORTS) -> list[Figure]:
    """Reports that the feed has just told, in a run in which the hourly list is due and tells them again."""

    async def run(build: Build) -> tuple[Spent, Spent]:
        return await after(build, timedelta(minutes=10)), await after(build, timedelta(hours=3))

    async def after(build: Build, age: timedelta) -> Spent:
        stage = benches.stage
        async with stage.app(build) as app:
            stage.age(age)
            _deliver(stage, reports)
            return await stage.spent(app, "collect_reports")

    today, base = await benches.both(run)
    reads = [[_mail_reads(one) for one in pair] for pair in (today, base)]
    stored = [[one.storage.calls for one in pair] for pair in (today, base)]
    note = f"{reports} reports; storage calls with the list due {stored[0][1]}, else {stored[0][0]}"
    return [
        Figure(
            name="hourly list after its reports were admitted: mails read a second time",
            value=reads[0][1] - reads[0][0],
            unit="requests",
            baseline=reads[1][1] - reads[1][0],
            target=_NONE,
            note=f"{note}; before {stored[1][1]} and {stored[1][0]}",
        ),
        Figure(
            name="hourly list after its reports were admitted: storage calls more",
            value=stored[0][1] - stored[0][0],
            unit="storage calls",
            baseline=stored[1][1] - stored[1][0],
        ),
    ]


def _mail_reads(spent: Spent) -> int:
    return sum(_ONE_MAIL.match(one) is not None for one in spent.graph_requests)


async def measure_deferred(benches: SideBySide, sizes: tuple[int, ...] = (25, 50, 100)) -> list[Figure]:
    """Graph serves no mail for a while, so that every report is deferred; then it does. Storage takes its time."""

    async def run(build: Build, size: int) -> Spent:
        stage = benches.stage
        async with stage.app(build) as app:
            handle = stage.graph.control.add_fault(answer_status(503, Scope("GET", r"/messages/")))
            _deliver(stage, size)
            await app.run_timer("collect_reports")
            stage.graph.control.remove_fault(handle)
            stage.age(timedelta(hours=1))
            stage.storage.latency_s = STORAGE_LATENCY_S
            try:
                spent = [await stage.spent(app, "collect_reports")]
                while sum(stage.states().values()) < size and len(spent) < MOST_RUNS:
                    stage.age(timedelta(minutes=5))
                    spent.append(await stage.spent(app, "collect_reports"))
            finally:
                stage.storage.latency_s = 0.0
            if (found := sum(stage.states().values())) != size:
                raise RuntimeError(f"{build.name} has read {found} of {size} deferred reports")
        return summed(spent)

    grown = await grow(benches, sizes, run)
    name = "collect deferred reports after an outage of Graph"
    latency = f"{1000 * STORAGE_LATENCY_S:.0f} ms a storage call"
    return [
        grown.figure(name, "storage calls", calls, Target("<=", 0.5)),
        grown.figure(f"{name}: waits for storage", "rounds", _rounds, Target("<=", 0.25)),
        grown.figure(f"{name}, {latency}", "s", lambda spent: spent.took.seconds),
        grown.exponents(name),
    ]


def _rounds(spent: Spent) -> float:
    """How often storage was waited for, one after the other."""
    return spent.storage.rounds


async def measure_graph_requests(benches: SideBySide, reports: int = REPORTS) -> list[Figure]:
    """Everything that is asked of Graph until a report is a row."""

    async def run(build: Build) -> Spent:
        stage = benches.stage
        async with stage.app(build) as app:
            _deliver(stage, reports)
            spent = await stage.spent(app, "collect_reports")
            if sum(stage.states().values()) != reports:
                raise RuntimeError(f"{build.name} has not collected every report: {stage.states()}")
            return spent

    today, base = await benches.both(run)
    return [
        Figure(
            name="Graph requests to collect a report",
            value=today.graph_count() / reports,
            unit="requests",
            baseline=base.graph_count() / reports,
            target=Target("<=", 2.1, of_value=True),
            note=f"{reports} reports that come together; its POST is one more",
        )
    ]


async def measure_old_originals(benches: SideBySide, reports: int = 20) -> list[Figure]:
    """A day is older than originals are kept; every row of it has its verdict."""

    async def run(build: Build) -> Spent:
        stage = benches.stage
        async with stage.app(build) as app:
            _deliver(stage, reports)
            for timer in ("collect_reports", "dispatch"):
                await app.run_timer(timer)
            await stage.submit_all(app)
            stage.change(with_verdicts)
            await app.run_timer("settle_outcomes")
            if stage.states() != {"settled": reports}:
                raise RuntimeError(f"{build.name} has not settled every report: {stage.states()}")
            stage.age(timedelta(days=40))
            return await stage.spent(app, "settle_outcomes")

    today, base = await benches.both(run)
    return [
        Figure(
            name=f"originals of a past day, {reports}: deleted by the app",
            value=today.storage.by_kind["blob DELETE"],
            unit="requests",
            baseline=base.storage.by_kind["blob DELETE"],
            target=_NONE,
        )
    ]


async def measure_processor(benches: SideBySide, reports: int = 100, rounds: int = 4) -> list[Figure]:
    """The app's processor time for a report, over HTTP: collect (with its dispatch), and submit."""

    async def run(build: Build) -> tuple[float, float]:
        async with benches.stage.app(build) as app:
            await live(app, 1)  # imports what only a report needs
            return await live(app, reports)

    async def live(app: DrivenApp, count: int) -> tuple[float, float]:
        stage, before = benches.stage, sum(benches.stage.states().values())
        _deliver(stage, count, after=before)
        collected = await app.run_timer("collect_reports")
        await app.run_timer("dispatch")
        submitted = await stage.submit_all(app)
        if submitted is None or stage.states() != {"submitted": before + count}:
            raise RuntimeError(f"{app.build.name} has not submitted every report: {stage.states()}")
        return 1000 * collected.processor_s / count, 1000 * submitted.processor_s / count

    pairs = [await benches.both(run) for _ in range(rounds)]
    note = f"{reports} reports of 20 KB"
    collect = [(today[0], base[0]) for today, base in pairs]
    submit = [(today[1], base[1]) for today, base in pairs]
    return [
        least_of_pairs("collect and dispatch a report, processor time", "ms", collect, Target("<=", 0.7), note),
        least_of_pairs("submit a row, processor time", "ms", submit, Target("<=", 0.75), note),
    ]


async def measure_cold_start(benches: SideBySide, rounds: int = 7) -> list[Figure]:
    """A new interpreter: everything that is imported, and the first collection."""
    await benches.both(lambda build: start_cold(benches.stage, build))  # writes what byte code is missing
    pairs = [await benches.both(lambda build: start_cold(benches.stage, build)) for _ in range(rounds)]
    name = "cold start, imports and first collection, processor time"
    return [least_of_pairs(name, "s", pairs, Target("<=", 0.85))]


async def measure_idle_day(benches: SideBySide) -> list[Figure]:
    """What a tenant costs in a day in which nobody reports, by the schedules of each build's own template."""

    async def run(build: Build) -> dict[str, Spent]:
        stage = benches.stage
        async with stage.app(build) as app:
            return {timer: await stage.spent(app, timer) for timer in TIMERS}

    today, base = await benches.both(run)
    figures = [_lone_report(benches, today["collect_reports"])]
    for what, count in (("storage calls", calls), ("Graph requests", Spent.graph_count)):
        sums = [
            [count(spent[timer]) * build.runs_a_day(timer) for timer in TIMERS]
            for build, spent in ((benches.today, today), (benches.base, base))
        ]
        told = ", ".join(f"{timer} {part:,.0f}" for timer, part in zip(TIMERS, sums[0], strict=True))
        before = ", ".join(f"{part:,.0f}" for part in sums[1])
        figures.append(
            Figure(
                name=f"an idle day: {what}",
                value=sum(sums[0]),
                unit="a day",
                baseline=sum(sums[1]),
                note=f"{told}; before {before}",
            )
        )
    runs, runs_before = (sum(map(build.runs_a_day, TIMERS)) for build in (benches.today, benches.base))
    return [*figures, Figure(name="an idle day: executions", value=runs, unit="a day", baseline=runs_before)]


def _lone_report(benches: SideBySide, idle: Spent) -> Figure:
    """Half the period of collecting is how long a report waits on average; submitting follows at once."""
    runs = benches.today.runs_a_day("collect_reports")
    waits_s = [86_400 / build.runs_a_day("collect_reports") / 2 for build in (benches.today, benches.base)]
    monthly = 30 * runs
    cost = f"costs {monthly:,} executions and {monthly * idle.storage.calls:,} storage calls in a month of 30 days"
    return Figure(
        name="a lone report, mail to POST, mean wait of the timer",
        value=waits_s[0],
        unit="s",
        baseline=waits_s[1],
        target=Target("<=", 15, of_value=True),
        note=cost,
    )


async def measure_history(benches: SideBySide, sizes: tuple[int, int] = (1_000, 10_000)) -> list[Figure]:
    """A report's whole life, with so many rows in storage whose verdict came long ago."""

    async def run(build: Build, size: int) -> Spent:
        kind = await benches.kind(scenes.settled, build)
        stage = benches.stage
        async with stage.app(build, NO_SETTINGS) as app:
            stage.set(kind.times(size))
            _deliver(stage, 1)
            spent = [await stage.spent(app, timer) for timer in ("collect_reports", "dispatch")]
            stage.begin_counting()
            took = await stage.submit_all(app)
            spent += [] if took is None else [stage.counted(took)]
            return summed([*spent, await stage.spent(app, "settle_outcomes")])

    grown = await grow(benches, sizes, run)
    figures = []
    for what, count in (("storage calls", calls), ("rows read", rows_read)):
        few, many = (count(one) for one in grown.today)
        note = f"baseline: with {sizes[0]:,}; before {count(grown.base[1]):,.0f} and {count(grown.base[0]):,.0f}"
        figures.append(
            Figure(
                name=f"a report's life with {sizes[1]:,} final rows in storage",
                value=many,
                unit=what,
                baseline=few,
                target=Target("<=", 1),
                note=note,
            )
        )
    return figures


def _deliver(stage: WireStage, count: int, *, after: int = 0) -> None:
    for number in _numbers(count, after=after):
        stage.deliver(number)


def _numbers(count: int, *, after: int = 0) -> range:
    """Numbers of mails that no row of a starting state has."""
    first = FIRST_NUMBER + 4_000_000 + after
    return range(first, first + count)
