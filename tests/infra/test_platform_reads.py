"""Nothing that the platform reads is deployed unless a test runs under it; needs no Python 3.13 and no compiler.

The snapshots are looked at for what a deployment would set, and the text of the templates as well: where no compiler
is installed nobody makes the snapshots anew.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from local.setup import ROOT
from shared.settings import setting_names
from tests.infra.predicted import INFRA, Prediction
from tests.support.platform_reads import (
    HOST_JSON,
    REFUSED_IN_HOST_JSON,
    REFUSED_SETTINGS,
    SETTINGS,
    leaves,
    missing_tests,
    problems_of_host_json,
    problems_of_settings,
)

SOURCES = sorted([*INFRA.rglob("*.bicep"), *INFRA.glob("*.bicepparam")])
OWN = set(setting_names())
COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)


def assert_none(problems: Iterable[str]) -> None:
    """Fail with every problem told in full."""
    found = list(problems)
    assert not found, "\n".join(found)


def platform_settings_in_the_text() -> set[str]:
    """Return the names in app.bicep's `platformSettings`, but for those that our own parser reads."""
    text = COMMENT.sub("", (INFRA / "modules" / "app.bicep").read_text())
    block = re.search(r"^var platformSettings = \{\n(.+?)^\}", text, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    return set(re.findall(r"^  (\w+):", block[1], flags=re.MULTILINE)) - OWN


def test_each_deployed_setting_runs_in_a_test(prediction: Prediction) -> None:
    """Whatever the examples would set beside our own settings was run, and did no harm."""
    assert_none(problems_of_settings(sorted(set(prediction.app_settings()) - OWN)))


def test_each_setting_in_the_text_runs_in_a_test() -> None:
    """The same of the template's text, which says more than a snapshot that was not made anew, and no less."""
    found = platform_settings_in_the_text()
    assert_none(problems_of_settings(sorted(found)))
    assert found == set(SETTINGS)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_no_template_names_a_refused_setting(file: Path) -> None:
    """However a template would set it."""
    text = COMMENT.sub("", file.read_text())
    assert_none(problems_of_settings(name for name in REFUSED_SETTINGS if name in text))


def test_each_value_of_host_json_was_run() -> None:
    """By a test against the stand-in for the host, or by hand with the host itself, and it did no harm."""
    paths = [path for path, _ in leaves(json.loads((ROOT / "host.json").read_text()))]
    assert_none(problems_of_host_json(paths))
    assert set(HOST_JSON) <= set(paths)


def test_the_tests_that_are_named_exist() -> None:
    """A test that was renamed or taken away is missed here."""
    assert list(missing_tests()) == []


@pytest.mark.parametrize("name", REFUSED_SETTINGS)
def test_a_refused_setting_says_why(name: str) -> None:
    """Whoever puts it back reads what it did."""
    assert list(problems_of_settings([name])) == [f"{name} must not be deployed: {REFUSED_SETTINGS[name]}"]


def test_an_unknown_setting_asks_for_its_test() -> None:
    """A setting of the platform's that nobody ran is no better than one that fails."""
    (problem,) = problems_of_settings(["PYTHON_ISOLATE_WORKER_DEPENDENCIES", *SETTINGS])
    assert problem.startswith("PYTHON_ISOLATE_WORKER_DEPENDENCIES is read by the platform, and no test runs the app")


def test_values_of_host_json_are_asked_alike() -> None:
    """A value that is refused, and one that nobody ran, are told apart from the known."""
    known = [*HOST_JSON, "logging.logLevel.default"]
    found = list(problems_of_host_json(["telemetryMode", "concurrency.dynamicConcurrencyEnabled", *known]))
    assert found[0] == f"telemetryMode must not be deployed: {REFUSED_IN_HOST_JSON['telemetryMode']}"
    assert [problem.split()[0] for problem in found] == ["telemetryMode", "concurrency.dynamicConcurrencyEnabled"]
