"""What a benchmark prints: one figure a line, with its unit, baseline, ratio and target, and whether it is met.

Pure. A figure without a target is told and not judged; one without a baseline is judged by its value.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure: on its ratio to the baseline where it has one, else, or if `of_value`, on its value."""

    sense: Literal["<=", ">="]
    bound: float
    of_value: bool = False

    def is_met_by(self, value: float) -> bool:
        """Whether the value keeps the bound."""
        return value <= self.bound if self.sense == "<=" else value >= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value, what it is compared with, and what it has to keep."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    target: Target | None = None
    note: str = ""
    limit: float | None = None
    """Where something outside keeps it from less: the least that was possible in this run, in the figure's unit."""

    @property
    def ratio(self) -> float | None:
        """Value by baseline, or None where there is none to divide by."""
        return self.value / self.baseline if self.baseline else None

    @property
    def is_met(self) -> bool:
        """Whether the target is kept; a figure without a target always is."""
        if self.target is None:
            return True
        return self.target.is_met_by(self._judged(self.value))

    @property
    def is_explained(self) -> bool:
        """Whether the limit alone would miss the target."""
        return (
            self.target is not None and self.limit is not None and not self.target.is_met_by(self._judged(self.limit))
        )

    def _judged(self, value: float) -> float:
        of_value = self.target is not None and self.target.of_value
        return value / self.baseline if self.baseline and not of_value else value


def median_ratio(values: Sequence[float], baselines: Sequence[float]) -> float:
    """The median of the ratios of neighbouring measurements: what disturbs the machine disturbs both of a pair."""
    return statistics.median(value / base for value, base in zip(values, baselines, strict=True))


def paired(
    name: str, unit: str, values: Sequence[float], baselines: Sequence[float], target: Target | None, note: str = ""
) -> Figure:
    """The figure of measurements taken in turn with their baselines: the median, by the median ratio."""
    value = statistics.median(values)
    base = value / median_ratio(values, baselines)
    told = f"median of {len(values)}" + (f"; {note}" if note else "")
    return Figure(name=name, value=value, unit=unit, baseline=base, target=target, note=told)


def write_line(figure: Figure) -> str:
    """The figure on one line."""
    parts = [f"  {figure.name}: {_number(figure.value)} {figure.unit}"]
    if figure.ratio is not None:
        parts.append(f"baseline {_number(figure.baseline or 0)}, ratio {figure.ratio:.3f}")
    if figure.target is not None:
        bound = f"{figure.target.sense} {_number(figure.target.bound)}"
        parts.append(f"target {bound} {figure.unit if figure.target.of_value else ''}".rstrip())
        parts[-1] += " OK" if figure.is_met else " MISSED"
        if figure.is_explained:
            parts[-1] += f", as the limit of {_number(figure.limit or 0)} does"
    return "; ".join(parts) + (f"  ({figure.note})" if figure.note else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.4g}"
