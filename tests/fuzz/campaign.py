"""A run of many inputs: some that Hypothesis makes, most of them mutations, shared out over the targets.

The numbers of a run decide all: process `n` of a run with seed `s` tries the same inputs each time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.examples import EXAMPLES
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import collect_seeds
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Finding, attempt

MADE_OF_TEN = 1
"""How many of ten inputs Hypothesis makes; its inputs cost more and are small."""
WEIGHED_ONE_IN = 40
MOST_FINDINGS = 5
"""Of each target; more of them are mostly the same again."""
SHARES: Mapping[str, int] = {"report": 5, "mail": 4, "msg": 3, "winmail": 3, "text": 2}
"""How much of the run is for a target; one part for each of the others."""


@dataclass
class Tally:
    """What came of a run so far, by target."""

    tried: dict[str, int] = field(default_factory=dict)
    weighed: dict[str, int] = field(default_factory=dict)
    slowest_s: dict[str, float] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many inputs were tried."""
        return sum(self.tried.values())

    def try_input(self, target: str, content: bytes) -> Finding | None:
        """Try an input, weigh one in some, and take the answer down."""
        number = self.tried.get(target, 0)
        self.tried[target] = number + 1
        answer = attempt(target, content, weigh=number % WEIGHED_ONE_IN == 0)
        if isinstance(answer, Finding):
            return answer
        self.weighed[target] = self.weighed.get(target, 0) + (answer.memory_bytes > 0)
        self.slowest_s[target] = max(self.slowest_s.get(target, 0.0), answer.time_s)
        return None

    def keep(self, finding: Finding) -> None:
        """Keep a finding; of one target a few are enough."""
        if sum(one.target == finding.target for one in self.findings.values()) < MOST_FINDINGS:
            self.findings[finding.name] = finding


def shares_of(inputs: int) -> dict[str, int]:
    """How many inputs each target gets, `inputs` together or a few more."""
    parts = {target: SHARES.get(target, 1) for target in TARGETS}
    return {target: -(-inputs * part // sum(parts.values())) for target, part in parts.items()}


def run(inputs: int, seeds: Mapping[str, Sequence[bytes]], *, run_seed: int) -> Tally:
    """Try that many inputs, or a few more; never raises for what an input does."""
    warm_up(seeds)
    tally = Tally()
    for target, count in shares_of(inputs).items():
        make_examples(target, count * MADE_OF_TEN // 10, run_seed, tally)
        mutate_seeds(target, count - tally.tried.get(target, 0), seeds[target], run_seed, tally)
    return tally


def run_alone(inputs: int, run_seed: int, mails: Sequence[Path]) -> Tally:
    """Run in a process of its own, beginning with these real mails and the sample tenant's."""
    return run(inputs, collect_seeds(mails), run_seed=run_seed)


def warm_up(seeds: Mapping[str, Sequence[bytes]]) -> None:
    """Read every seed once: what is compiled or imported for one costs no later input its time or memory."""
    for target, contents in seeds.items():
        for content in contents:
            attempt(target, content)


def mutate_seeds(target: str, count: int, seeds: Sequence[bytes], run_seed: int, tally: Tally) -> None:
    """Try mutations of the seeds at a target."""
    for number in range(count):
        chance = random.Random(f"{run_seed}/{target}/{number}")  # noqa: S311 - it has to come again, not to be secret
        finding = tally.try_input(target, mutate(chance, seeds))
        if finding is not None:
            tally.keep(finding)


def make_examples(target: str, count: int, run_seed: int, tally: Tally) -> None:
    """Try inputs that Hypothesis makes; of those that fail the smallest is kept."""

    @seed(run_seed)
    @settings(
        max_examples=max(count, 1),
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(EXAMPLES[target])
    def try_example(content: bytes) -> None:
        finding = tally.try_input(target, content)
        if finding is not None:
            raise FoundError(finding)

    try:
        try_example()
    except FoundError as found:
        tally.keep(found.finding)


class FoundError(Exception):
    """An example broke its promise; Hypothesis goes on with smaller ones until it has the smallest."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding
