"""The bill of a month: its arithmetic, and the command as a whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.cost import EXAMPLE_PRICES, LOG_BYTES_A_ROW, RUNS_A_DAY, Measured, Usage, bill

ROOT = Path(__file__).resolve().parents[2]
MEASURED = Measured(
    requests_idle={"collect_reports": 3, "dispatch": 4, "settle_outcomes": 5},
    requests_a_submission=12.0,
    lines_idle={"collect_reports": 2, "dispatch": 1, "settle_outcomes": 9},
    lines_a_submission=4.0,
)


def quantities(reports_a_day: int, instance_gb: float = 2.0) -> dict[str, float]:
    """How much of each line a month has."""
    lines = bill(MEASURED, Usage(reports_a_day, instance_gb, 12), EXAMPLE_PRICES)
    return {line.name: line.quantity for line in lines}


def test_an_idle_tenant_pays_for_the_timers() -> None:
    """Without reports there are the schedules' runs, each billed for a second of the whole instance."""
    runs = (2880 + 1440 + 288) * 30
    assert sum(RUNS_A_DAY.values()) * 30 == runs
    assert quantities(0)["compute"] == runs * 2
    assert quantities(0, 0.5)["compute"] == runs / 2
    assert quantities(0)["storage requests"] == pytest.approx((2880 * 3 + 1440 * 4 + 288 * 5) * 30 / 10_000)


def test_a_submission_adds_its_own() -> None:
    """Each submission adds one execution and its measured requests."""
    more, idle = quantities(100), quantities(0)
    assert more["compute"] - idle["compute"] == 100 * 30 * 2
    assert more["storage requests"] - idle["storage requests"] == pytest.approx(100 * 30 * 12 / 10_000)


def test_every_line_and_every_run_is_a_row() -> None:
    """A request for each invocation, and the app's lines beside it; nothing else comes of an idle app."""
    rows = 2880 * (1 + 2) + 1440 * (1 + 1) + 288 * (1 + 9)
    assert quantities(0)["logs"] == pytest.approx(rows * 30 * LOG_BYTES_A_ROW / 1e9)
    assert quantities(100)["logs"] - quantities(0)["logs"] == pytest.approx(100 * 30 * (1 + 4) * LOG_BYTES_A_ROW / 1e9)


def test_an_idle_hour_comes_near_the_recorded_one() -> None:
    """0.3 GB in 30 days from the real host, which collected every two minutes.

    It still told a warning of `Azure.Core` at each run, which a level ends.
    """
    runs_a_day = RUNS_A_DAY | {"collect_reports": 720}
    rarer = (RUNS_A_DAY["collect_reports"] - 720) * (1 + 2)
    without_warnings = quantities(0)["logs"] - rarer * 30 * LOG_BYTES_A_ROW / 1e9
    warnings = sum(runs_a_day.values()) * 30 * LOG_BYTES_A_ROW / 1e9
    assert without_warnings + warnings == pytest.approx(0.3, abs=0.03)


def test_what_is_free_costs_nothing() -> None:
    """A free amount is taken off, and never gives money back."""
    compute, executions, *_ = bill(MEASURED, Usage(0, 0.5, 0), EXAMPLE_PRICES)
    assert (compute.quantity < compute.free, compute.cost, executions.cost) == (True, 0.0, 0.0)


def test_the_command_measures_and_calculates() -> None:
    """The command prints every line, with the caller's own price."""
    command = [sys.executable, "-m", "local.cost", "--reports-a-day", "10", "--alert-rules", "2", "--price"]
    done = subprocess.run([*command, "ALERT_RULE=7"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "alert rules" in done.stdout
    assert "14.00" in done.stdout


def test_an_unknown_price_is_refused() -> None:
    """A misspelt price is an error that names those there are."""
    command = [sys.executable, "-m", "local.cost", "--price", "PEANUTS=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ALERT_RULE" in done.stderr
