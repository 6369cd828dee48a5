"""Alerts and workbook of the predicted deployments: whole questions, told to somebody, explained on a page."""

import json
import re
from collections import Counter
from datetime import timedelta

import pytest

from local.setup import ROOT
from shared.telemetry import Event
from shared.usecases.outcomes.backlog import LANES
from tests.infra.alert_rules import DURATIONS, RULES, chosen, condition, predicted
from tests.infra.kusto import PRELUDE, Reading, query_files, read_queries

PAGE = (ROOT / "docs" / "monitoring.md").read_text()
NUMBERS = {"int", "long", "real", "decimal"}
WARNING = 30

FILE_OF_QUERY = {PRELUDE + text: name for name, text in query_files().items()}


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    """Return what the parser says of each predicted rule's query."""
    return read_queries({name: condition(rule)["query"] for name, rule in RULES.items()})


def rows_under(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading of the page, without the head and with no back quotes."""
    lines = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_asks_one_of_the_queries_whole(name: str) -> None:
    """What is deployed is the events' query and one file, nothing more: it can be read and run by hand."""
    assert condition(RULES[name])["query"] in FILE_OF_QUERY


@pytest.mark.parametrize("name", RULES)
def test_a_rule_compares_a_number_that_its_query_tells(readings: dict[str, Reading], name: str) -> None:
    """The measure is a column of numbers; what tells alerts apart is a column of text."""
    asked, columns = condition(RULES[name]), readings[name].columns
    assert columns[asked["metricMeasureColumn"]] in NUMBERS
    assert all(columns[one["name"]] == "string" for one in asked["dimensions"])
    assert (asked["timeAggregation"], asked["operator"]) == ("Maximum", "GreaterThan")
    assert "TimeGenerated" not in columns  # else the numbers would be taken apart by time once more


@pytest.mark.parametrize("name", RULES)
def test_a_rule_narrows_its_query_to_values_that_exist(readings: dict[str, Reading], name: str) -> None:
    """A lane or an event that nobody writes would be an alert that never fires."""
    known = {"lane": set(LANES), "event": set(readings[name].events)}
    assert [
        (column, value) for column, values in chosen(RULES[name]).items() for value in {*values} - known[column]
    ] == []


@pytest.mark.parametrize("name", RULES)
def test_a_rule_tells_somebody_what_to_do(name: str) -> None:
    """Severity, action groups, and a text that says what happened, what to do first and where to read on."""
    rule = RULES[name]
    assert rule["severity"] in range(4)
    assert rule["actions"]["actionGroups"]
    assert " First: " in rule["description"]
    assert rule["description"].endswith(f"More: docs/monitoring.md, {name}.")
    assert rule["enabled"] is True
    assert rule["skipQueryValidation"] is True  # the tables may be younger than the rule


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_times_that_azure_takes(name: str) -> None:
    """A window as long as the time between two looks or longer; a mute only where nothing resolves, and long enough.

    Azure refuses a mute together with resolving, and one shorter than the time between two looks (Azure/azure-cli,
    issue 26581; Azure/azure-powershell, issue 22583).
    """
    rule = RULES[name]
    every, window, mute = (rule[key] for key in ("evaluationFrequency", "windowSize", "muteActionsDuration"))
    assert DURATIONS[every] <= DURATIONS[window]
    assert (mute is None) == rule["autoMitigate"]
    assert mute is None or DURATIONS[mute] >= DURATIONS[every]


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule["autoMitigate"]])
def test_what_happened_once_is_not_missed(name: str) -> None:
    """What happens while an alert keeps quiet is still in sight at the first look after it."""
    every, window, mute = (
        DURATIONS[RULES[name][k]] for k in ("evaluationFrequency", "windowSize", "muteActionsDuration")
    )
    assert window >= mute + every


def test_silence_is_measured_within_the_window() -> None:
    """A limit beyond the window would make each timer that ran before it silent for a day, or none."""
    silent = RULES["silent"]
    assert timedelta(minutes=condition(silent)["threshold"]) < DURATIONS[silent["windowSize"]]


def test_every_alert_has_its_row_on_the_page() -> None:
    """By name, severity and query; no row is left of an alert that is gone."""
    rules = {(name, str(rule["severity"]), FILE_OF_QUERY[condition(rule)["query"]]) for name, rule in RULES.items()}
    rows = rows_under("Alerts")
    assert {tuple(row[:3]) for row in rows} == rules
    assert len(rows) == len(rules)
    assert all(len(row) == 5 and min(map(len, row)) > 0 for row in rows)


def test_the_page_counts_the_rules_as_they_are_billed() -> None:
    """By how often they are asked."""
    counted = Counter(rule["evaluationFrequency"] for rule in RULES.values())
    words = {"PT5M": "5 minutes", "PT15M": "15 minutes", "PT1H": "hour"}
    assert rows_under("What it costs") == [[words[every], str(counted[every])] for every in words]
    assert sum(counted.values()) == len(RULES)


def test_every_warning_raises_an_alert_or_the_page_says_why_not(readings: dict[str, Reading]) -> None:
    """A rule that is narrowed to some events counts for those only."""
    alerted = {
        event for name, rule in RULES.items() for event in chosen(rule).get("event", sorted(readings[name].events))
    }
    warnings = {event.label for event in Event if event.level >= WARNING}
    explained = {row[0] for row in rows_under("Warnings without an alert")}
    assert warnings - alerted == explained
    assert warnings & alerted


@pytest.mark.parametrize("deployment", ["trial", "production"])
def test_both_deployments_are_watched_alike(deployment: str) -> None:
    """A trial has the same alerts, so that they are known when it counts; but none for answers where there are none."""
    rules = predicted(deployment, "Microsoft.Insights/scheduledQueryRules")
    spared = {"untold", "answers-rest"} if deployment == "trial" else set()
    assert {one["name"].partition("-")[2] for one in rules} == set(RULES) - spared


@pytest.mark.parametrize("deployment", ["trial", "production"])
def test_the_workbook_asks_the_queries_of_its_workspace(deployment: str) -> None:
    """Each part is one query, whole, over a time that is chosen above, in the workspace that the app logs to."""
    (workbook,) = predicted(deployment, "Microsoft.Insights/workbooks")
    (workspace,) = predicted(deployment, "Microsoft.OperationalInsights/workspaces")
    page = json.loads(workbook["properties"]["serializedData"])
    choice, *parts = page["items"]
    ranges = {parameter["name"]: False for parameter in choice["content"]["parameters"]}
    for part in parts:
        assert part["content"]["query"] in FILE_OF_QUERY
        assert part["content"]["timeContextFromParameter"] in ranges
        ranges[part["content"]["timeContextFromParameter"]] = True
        assert part["content"]["crossComponentResources"] == [workspace["id"]]
    assert all(ranges.values())
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", workbook["name"])
    assert len({part["name"] for part in parts}) == len(parts) > 10


def test_no_query_is_left_unasked() -> None:
    """Each file is an alert's or a part of the workbook."""
    (workbook,) = predicted("production", "Microsoft.Insights/workbooks")
    parts = json.loads(workbook["properties"]["serializedData"])["items"][1:]
    asked = {part["content"]["query"] for part in parts} | {condition(rule)["query"] for rule in RULES.values()}
    assert {FILE_OF_QUERY[query] for query in asked} == set(query_files())
