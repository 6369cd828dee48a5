"""What settling takes of what is open: 10,000 rows at Microsoft, 100,000 covered ones, uncertain and waiting ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from local.bench import scenes
from local.bench.builds import Build
from local.bench.figures import Figure, Target
from local.bench.growth import exponent
from local.bench.scenes import FEED, with_new_words, with_verdicts
from local.bench.side_by_side import (
    SideBySide,
    calls,
    grow,
    grown_mb,
    megabytes_read,
    processor_s,
    rows_read,
    settle,
)
from local.bench.wire_stage import Spent
from local.graph_simulator import Submission

THOUSANDS = (100, 1_000, 10_000)
TENS_OF_THOUSANDS = (1_000, 10_000, 100_000)
WRITES_OF_A_TRANSACTION = 100
"""The most that Table Storage takes (Microsoft Learn, "Performing entity group transactions")."""
LISTED_EACH = 10
"""Submissions that Microsoft lists for each uncertain row."""


async def measure_new_words(benches: SideBySide, sizes: tuple[int, ...] = THOUSANDS) -> list[Figure]:
    """Microsoft says something new, and nothing final, of every row that it has."""

    async def run(build: Build, size: int) -> Spent:
        kind = await benches.kind(scenes.at_microsoft, build)
        spent = await settle(benches, build, with_new_words(kind.times(size)))
        _require(benches, build, size, '"ResultCategory":"noThreatsFound"')
        return spent

    grown = await grow(benches, sizes, run)
    name = "settle, new words for all at Microsoft"
    return [
        grown.figure(name, "storage calls", calls, Target("<=", 400, of_value=True)),
        grown.figure(f"{name}: processor time", "s", processor_s),
        grown.exponents(name),
    ]


async def measure_overdue(benches: SideBySide, sizes: tuple[int, ...] = THOUSANDS) -> list[Figure]:
    """The deadline has passed for every row at Microsoft."""

    async def run(build: Build, size: int) -> Spent:
        kind = await benches.kind(scenes.at_microsoft, build)
        spent = await settle(benches, build, kind.times(size), {"VERDICT_DEADLINE_HOURS": "1"})
        _require(benches, build, size, '"State":"expired"')
        return spent

    grown = await grow(benches, sizes, run)
    name = "settle, all overdue"
    return [
        grown.figure(name, "storage calls", calls, Target("<=", 600, of_value=True)),
        grown.figure(f"{name}: processor time", "s", processor_s),
        grown.exponents(name),
    ]


async def measure_covered(benches: SideBySide, sizes: tuple[int, ...] = TENS_OF_THOUSANDS) -> list[Figure]:
    """One row is at Microsoft and covers all the others; nothing is new. Counted is the second such run."""

    async def run(build: Build, size: int) -> Spent:
        kind = await benches.kind(scenes.covered, build)
        return await settle(benches, build, kind.times(size, without=FEED), scenes.ONE_SPEAKS, runs_before=1)

    grown = await grow(benches, sizes, run)
    name = "settle, covered without news"
    return [
        grown.figure(f"{name}: read", "MB", megabytes_read, Target("<=", 0.05)),
        grown.figure(f"{name}: processor time", "s", processor_s, Target("<=", 0.05)),
        grown.figure(name, "storage calls", calls),
        grown.exponents(name),
    ]


async def measure_covered_verdict(benches: SideBySide, sizes: tuple[int, ...] = TENS_OF_THOUSANDS) -> list[Figure]:
    """The verdict arrives of the one row that covers all the others."""

    async def run(build: Build, size: int) -> Spent:
        kind = await benches.kind(scenes.covered, build)
        scene = with_verdicts(kind.times(size, without=FEED))
        return await settle(
            benches, build, scene, scenes.ONE_SPEAKS, is_done=lambda stage: "covered" not in stage.states()
        )

    grown = await grow(benches, sizes, run)
    name = "settle, covered with the verdict"
    at_most_half = Target("<=", 0.5)
    flat = grown.figure(f"{name}: memory grown by", "MB", grown_mb)
    least = grown.today[-1].storage.rows_written / WRITES_OF_A_TRANSACTION
    return [
        replace(
            grown.figure(name, "storage calls", calls, at_most_half),
            limit=least,
            note=f"limit: a row, its event and its entry of each, {WRITES_OF_A_TRANSACTION} writes in a transaction",
        ),
        grown.figure(f"{name}: processor time", "s", processor_s, at_most_half),
        replace(flat, target=Target("<=", max(1.5 * grown_mb(grown.today[-2]), 20), of_value=True)),
        grown.exponents(name),
    ]


async def measure_uncertain(benches: SideBySide, sizes: tuple[int, ...] = (10, 100, 1_000)) -> list[Figure]:
    """Rows whose POST was lost a moment ago, and ten submissions of others for each of them in Microsoft's list."""

    async def run(build: Build, size: int) -> Spent:
        uncertain = (await benches.kind(scenes.uncertain, build)).just_made()
        listed = await _listed(benches, build, size * LISTED_EACH)
        scene = replace(uncertain.times(size), submissions=listed)
        spent = await settle(benches, build, scene)
        _require(benches, build, size, '"State":"uncertain"')
        return spent

    async def list_only(build: Build, size: int) -> Spent:
        uncertain = (await benches.kind(scenes.uncertain, build)).just_made()
        listed = await _listed(benches, build, size * LISTED_EACH)
        return await settle(benches, build, replace(uncertain.scene, submissions=listed))

    grown, reading = await grow(benches, sizes, run), await grow(benches, sizes, list_only)
    today, base = (
        [processor_s(whole) - processor_s(alone) for whole, alone in zip(*pair, strict=True)]
        for pair in ((grown.today, reading.today), (grown.base, reading.base))
    )
    name = f"settle, {sizes[-1]:,} uncertain and {sizes[-1] * LISTED_EACH:,} listed"
    told = ", ".join(f"{value:.2f}" for value in today)
    return [
        Figure(
            name=f"{name}: processor time beyond reading the list",
            value=today[-1],
            unit="s",
            baseline=base[-1],
            target=Target("<=", 0.5, of_value=True),
            note=f"reading the list takes {processor_s(reading.today[-1]):.2f} s",
        ),
        Figure(
            name=f"{name}: growth of that time",
            value=_exponent_of_times(sizes[-2:], today[-2:]),
            unit="exponent",
            target=Target("<=", 1.3, of_value=True),
            note=f"{told} s; before {_exponent_of_times(sizes[-2:], base[-2:]):.2f}; a time, so some noise is allowed",
        ),
        grown.exponents("settle, uncertain"),
    ]


def _exponent_of_times(sizes: Sequence[int], times_s: Sequence[float]) -> float:
    """The exponent of processor times, of which less than ten milliseconds are no measurement."""
    return exponent(sizes, [1000 * max(0.01, one) for one in times_s])


async def measure_waiting(benches: SideBySide, sizes: tuple[int, ...] = TENS_OF_THOUSANDS) -> list[Figure]:
    """Rows that wait for their turn; settling has nothing to do with them but to count them."""

    async def run(build: Build, size: int) -> Spent:
        kind = await benches.kind(scenes.waiting, build)
        return await settle(benches, build, kind.times(size, without=FEED), scenes.ONE_AT_A_TIME)

    grown = await grow(benches, sizes, run)
    name = "settle and tell the backlog, waiting"
    return [
        grown.figure(f"{name}: read", "MB", megabytes_read, Target("<=", 0.2)),
        grown.figure(f"{name}: processor time", "s", processor_s),
        grown.figure(name, "storage calls", calls),
        grown.figure(f"{name}: read", "rows", rows_read),
        grown.exponents(name),
    ]


async def _listed(benches: SideBySide, build: Build, count: int) -> tuple[Submission, ...]:
    """Submissions of other people, made now."""
    kind = await benches.kind(scenes.at_microsoft, build)
    return kind.just_made().aged(-scenes.QUIET_FOR).times(count).submissions


def _require(benches: SideBySide, build: Build, size: int, text: str) -> None:
    """Raise unless that many rows hold the text: a run that does not do its work is not measured."""
    found = sum(text in entity.text for entity in benches.stage.storage.state.tables["outcomes"])
    if found != size:
        raise RuntimeError(f"{build.name}: {found} of {size} rows have {text}; {benches.stage.states()}")
