"""Today's build and an older one in one run: what each asks of storage and Graph, and takes of its process.

Both are driven through `function_app.py` and the wire only, and take turns. Counts decide, since they are the same on
any machine; processor time is judged where it is the matter itself, and as a ratio to the other build's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from local.bench.builds import Build, Took, driven, platform_settings
from local.bench.figures import Figure, Target
from local.bench.growth import exponent
from local.bench.scenes import Kind
from local.bench.wire_stage import Scene, Spent, WireStage

MeasuredT = TypeVar("MeasuredT")
LINEAR = Target("<=", 1.1, of_value=True)
MOST_RUNS = 20
NO_SETTINGS: Mapping[str, str] = {}
Make = Callable[[WireStage, Build], Awaitable[Kind]]


@dataclass
class SideBySide:
    """The stage and the two builds; whoever goes first the one time goes second the next."""

    stage: WireStage
    today: Build
    base: Build
    _kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)
    _turns: int = 0

    async def both(self, measure: Callable[[Build], Awaitable[MeasuredT]]) -> tuple[MeasuredT, MeasuredT]:
        """Measure today's build and the older one."""
        self._turns += 1
        if self._turns % 2:
            today = await measure(self.today)
            return today, await measure(self.base)
        base = await measure(self.base)
        return await measure(self.today), base

    async def kind(self, make: Make, build: Build) -> Kind:
        """A row of a kind as a build makes it; it makes it once."""
        place = (make.__name__, str(build.folder))
        if place not in self._kinds:
            self._kinds[place] = await make(self.stage, build)
        return self._kinds[place]


@dataclass(frozen=True, slots=True)
class Growth:
    """What runs took at ascending sizes, of today's build and of the older one."""

    sizes: Sequence[int]
    today: Sequence[Spent]
    base: Sequence[Spent]

    def figure(self, name: str, unit: str, count: Callable[[Spent], float], target: Target | None = None) -> Figure:
        """A count at the largest size."""
        return Figure(
            name=f"{name}, {self.sizes[-1]:,}",
            value=count(self.today[-1]),
            unit=unit,
            baseline=count(self.base[-1]),
            target=target,
            note="smaller: " + ", ".join(f"{count(one):,.4g}" for one in self.today[:-1])
            if len(self.sizes) > 1
            else "",
        )

    def exponents(self, name: str) -> Figure:
        """The steepest of what calls, rows and bytes grow with; judged is today's build."""
        today, base = (self._exponents(spent) for spent in (self.today, self.base))
        told = ", ".join(f"{what} {value:.2f} (before {base[what]:.2f})" for what, value in today.items())
        sizes = "/".join(f"{size:,}" for size in self.sizes)
        return Figure(
            name=f"{name}, growth over {sizes}",
            value=max(today.values()),
            unit="exponent",
            target=LINEAR,
            note=told,
        )

    def _exponents(self, spent: Sequence[Spent]) -> dict[str, float]:
        counts = {
            "calls": [one.storage.calls for one in spent],
            "rows": [one.storage.rows_read for one in spent],
            "bytes": [one.storage.bytes_in + one.storage.bytes_out for one in spent],
        }
        return {what: exponent(self.sizes, values) for what, values in counts.items()}


async def grow(benches: SideBySide, sizes: Sequence[int], measure: Callable[[Build, int], Awaitable[Spent]]) -> Growth:
    """Measure both builds at each size."""
    pairs = [await benches.both(lambda build, size=size: measure(build, size)) for size in sizes]  # type: ignore[misc]
    today, base = zip(*pairs, strict=True)
    return Growth(sizes, today, base)


def calls(spent: Spent) -> float:
    """Requests to storage."""
    return spent.storage.calls


def rows_read(spent: Spent) -> float:
    """Entities that storage gave."""
    return spent.storage.rows_read


def megabytes_read(spent: Spent) -> float:
    """What storage sent, in MB."""
    return spent.storage.bytes_in / 1e6


def processor_s(spent: Spent) -> float:
    """Processor time of the app's process, in seconds."""
    return spent.took.processor_s


def grown_mb(spent: Spent) -> float:
    """What the app's process grew by at its peak, in MB."""
    return spent.took.grown_bytes / 1e6


def summed(spent: Sequence[Spent]) -> Spent:
    """Runs one after the other as one: everything added, the memory at its highest."""
    first, *others = spent
    if not others:
        return first
    rest = summed(others)
    return Spent(
        first.storage + rest.storage,
        first.graph_requests + rest.graph_requests,
        Took(
            processor_s=first.took.processor_s + rest.took.processor_s,
            seconds=first.took.seconds + rest.took.seconds,
            grown_bytes=max(first.took.grown_bytes, rest.took.grown_bytes),
            modules=rest.took.modules,
        ),
    )


def least_of_pairs(
    name: str, unit: str, pairs: Sequence[tuple[float, float]], target: Target | None, note: str = ""
) -> Figure:
    """The figure of times taken in turn: the least of each build, since others can only make it take longer."""
    today, base = (min(times) for times in zip(*pairs, strict=True))
    told = f"best of {len(pairs)}" + (f"; {note}" if note else "")
    return Figure(name=name, value=today, unit=unit, baseline=base, target=target, note=told)


async def start_cold(stage: WireStage, build: Build) -> float:
    """The processor time of importing the app and of its first collection, of an empty mailbox, in seconds.

    The process has what the build's own template sets for the platform's worker, which decides what is imported.
    """
    stage.clear()
    async with driven(build, stage.environment(platform_settings(build.folder))) as app:
        took = await app.run_timer("collect_reports")
        return app.import_processor_s + took.processor_s


async def settle(
    benches: SideBySide,
    build: Build,
    scene: Scene,
    settings: Mapping[str, str] = NO_SETTINGS,
    *,
    runs_before: int = 0,
    is_done: Callable[[WireStage], bool] = lambda _: True,
) -> Spent:
    """Settle a starting state until it is done; `runs_before` are not counted. Raises where it takes too many runs."""
    async with benches.stage.app(build, settings) as app:
        benches.stage.set(scene)
        for _ in range(runs_before):
            await app.run_timer("settle_outcomes")
        spent = [await benches.stage.spent(app, "settle_outcomes")]
        while not is_done(benches.stage):
            if len(spent) == MOST_RUNS:
                raise RuntimeError(f"{build.name} has not settled after {MOST_RUNS} runs: {benches.stage.states()}")
            spent.append(await benches.stage.spent(app, "settle_outcomes"))
        return summed(spent)
