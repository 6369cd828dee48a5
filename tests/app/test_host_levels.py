"""The levels in `host.json`: events and requests pass, a start that failed is told, and nothing else is said."""

import json
from typing import Any

import pytest

from local.setup import ROOT
from tests.app.test_function_app import ANSWERS, QUEUES, TIMERS
from tests.infra.workspace import RECORDED, Row, recorded

LOGGING: dict[str, Any] = json.loads((ROOT / "host.json").read_text())["logging"]
LEVELS: dict[str, str] = LOGGING["logLevel"]
ORDER = ("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None")


def passes(category: str, level: str) -> bool:
    """Return whether a line goes out, by the longest category that its own begins with, as .NET decides it."""
    matching = [one for one in LEVELS if category.startswith(one)]
    least = LEVELS[max(matching, key=len, default="default")]
    return ORDER.index(level) >= ORDER.index(least)


def test_each_function_is_heard_and_nothing_else_is_named() -> None:
    """One level for the events of each indexed function; a name that is none would silence the one it was meant for."""
    users = {name: level for name, level in LEVELS.items() if name.endswith(".User")}
    assert users == {f"Function.{name}.User": "Information" for name in (*QUEUES, *ANSWERS, *TIMERS)}
    assert set(LEVELS) - set(users) == {"default", "Azure.Core", "Function", "Host.Aggregator", "Host.Results"}


@pytest.mark.parametrize("run", RECORDED)
def test_what_the_real_host_told_passes(run: str) -> None:
    """The recorded rows that queries need, all of them; the warning of the Azure library at each run does not."""
    rows = recorded(run)
    told = {passes(*category_and_level(row)) for row in rows if row["Properties"]["Category"] != "Azure.Core"}
    assert told == {True}
    assert not any(passes(*category_and_level(row)) for row in rows if row["Properties"]["Category"] == "Azure.Core")


def category_and_level(row: Row) -> tuple[str, str]:
    """Return what a row was logged as."""
    return row["Properties"]["Category"], row["Properties"]["LogLevel"]


@pytest.mark.parametrize(
    ("category", "level"),
    [
        ("Function.dispatch", "Information"),  # "Executing", "Executed": the request tells it
        ("Host.Aggregator", "Information"),  # metrics
        ("Host.Triggers.Timer", "Information"),
        ("Azure.Core", "Warning"),
        ("Microsoft.Azure.WebJobs.Host.Queues.Listeners.QueueListener", "Debug"),
        ("Host.Startup", "Information"),
    ],
)
def test_an_idle_app_says_little(category: str, level: str) -> None:
    """What the host says of each poll, run and start."""
    assert not passes(category, level)


def test_nothing_is_left_out_or_added() -> None:
    """No sampling, and none of what counts or traces beside the lines; nor OpenTelemetry, where levels do not hold."""
    assert LOGGING["applicationInsights"] == {
        "samplingSettings": {"isEnabled": False},
        "enableDependencyTracking": False,
        "enablePerformanceCountersCollection": False,
    }
    assert "telemetryMode" not in json.loads((ROOT / "host.json").read_text())
