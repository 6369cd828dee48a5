"""What a benchmark says of a figure: its ratio, whether its target is met, and what follows for the exit code."""

import pytest

from local.bench.__main__ import main, run
from local.bench.figures import Figure, Target, median_ratio, paired, write_line


@pytest.mark.parametrize(
    ("target", "value", "is_met"),
    [
        (Target("<=", 2), 2.0, True),
        (Target("<=", 2), 2.1, False),
        (Target(">=", 0.5), 0.5, True),
        (Target(">=", 0.5), 0.4, False),
    ],
)
def test_a_bound_may_be_reached(target: Target, value: float, *, is_met: bool) -> None:
    """A target holds its own bound and nothing beyond it."""
    assert target.is_met_by(value) is is_met


def test_the_ratio_is_judged_where_there_is_a_baseline() -> None:
    """With a baseline the bound is on the ratio, without one on the value."""
    assert Figure(name="a", value=10, unit="s", baseline=9, target=Target("<=", 1.3)).is_met
    assert not Figure(name="a", value=10, unit="s", target=Target("<=", 1.3)).is_met


def test_a_figure_without_a_target_is_never_missed() -> None:
    """What is only told is not judged."""
    assert Figure(name="a", value=10, unit="s").is_met


def test_neighbours_are_compared() -> None:
    """The ratio is the median over pairs: a disturbed pair, slow on both sides, does not count for more."""
    assert median_ratio([1, 9, 3], [2, 9, 2]) == 1


def test_a_paired_figure_says_its_median_and_its_ratio() -> None:
    """Value, baseline and ratio of a line belong together."""
    figure = paired("rate", "reports/s", [4, 6, 5], [8, 12, 10], Target(">=", 0.5))
    assert (figure.value, figure.baseline, figure.ratio) == (5, 10, 0.5)


def test_a_line_says_everything() -> None:
    """Name, value, unit, baseline, ratio, target and whether it is met stand on one line."""
    figure = Figure(name="rate", value=4, unit="reports/s", baseline=10, target=Target(">=", 0.5), note="median of 3")
    assert write_line(figure) == ("  rate: 4 reports/s; baseline 10, ratio 0.400; target >= 0.5 MISSED  (median of 3)")


async def _met() -> list[Figure]:
    return [Figure(name="a", value=1, unit="s", target=Target("<=", 1))]


async def _missed() -> list[Figure]:
    return [*await _met(), Figure(name="b", value=2, unit="s", target=Target("<=", 1))]


async def _broken() -> list[Figure]:
    raise RuntimeError("no Azurite")


async def test_what_was_missed_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    """A run prints every figure and returns the lines of the missed ones; what cannot be measured is one of them."""
    assert await run("first", _met) == []
    assert await run("second", _missed) == ["  b: 2 s; target <= 1 MISSED"]
    assert await run("third", _broken) == ["  third: not measured, MISSED: RuntimeError: no Azurite"]
    assert capsys.readouterr().out.count("OK") == 2


def test_an_unknown_name_is_refused() -> None:
    """A misspelt name measures nothing and says so."""
    with pytest.raises(SystemExit, match="2"):
        main(["storm"])


def test_a_target_beyond_a_measured_limit_is_missed_and_explained() -> None:
    """A limit that keeps the target explains nothing."""
    target = Target("<=", 0.5)
    missed = Figure(name="calls", value=104, unit="calls", baseline=100, target=target, limit=100)
    assert missed.is_explained
    assert not missed.is_met
    assert "ratio 1.040; target <= 0.5 MISSED, as the limit of 100 does" in write_line(missed)
    lower = Figure(name="calls", value=104, unit="calls", baseline=100, target=target, limit=50)
    assert not lower.is_explained
    by_value = Figure(name="calls", value=9, unit="calls", baseline=10, target=Target("<=", 5, of_value=True), limit=6)
    assert by_value.is_explained
