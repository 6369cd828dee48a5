"""The alert rules of the predicted deployments, and when they fire."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from local.setup import ROOT
from tests.infra.workspace import Row, ask

DURATIONS = {f"PT{minutes}M": timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 45)}
DURATIONS |= {f"PT{hours}H": timedelta(hours=hours) for hours in (1, 2, 3, 4, 5, 6)}
DURATIONS |= {"P1D": timedelta(days=1), "P2D": timedelta(days=2)}
"""What Azure Monitor takes as a window or a mute (Azure/azure-rest-api-specs, issue 21258)."""

Resource = dict[str, Any]


def predicted(deployment: str, kind: str) -> list[Resource]:
    """Return the resources of one type that a deployment would make."""
    snapshot = json.loads((ROOT / "infra" / f"{deployment}.snapshot.json").read_text())
    return [one for one in snapshot["predictedResources"] if one["type"] == kind]


RULES: dict[str, Resource] = {
    one["name"].partition("-")[2]: one["properties"]
    for one in predicted("production", "Microsoft.Insights/scheduledQueryRules")
}


def condition(rule: Resource) -> Resource:
    """Return the one condition of a rule."""
    (only,) = rule["criteria"]["allOf"]
    assert isinstance(only, dict)
    return only


def chosen(rule: Resource) -> dict[str, list[str]]:
    """Return the values that a rule narrows its query to, by column."""
    return {one["name"]: one["values"] for one in condition(rule)["dimensions"] if one["values"] != ["*"]}


def fires(name: str, rows: Iterable[Row]) -> set[str]:
    """Return what a rule raises an alert for now, as Azure Monitor documents it: the values of its dimension, or "".

    The query sees the rows of the rule's window; an alert is a row of its answer whose measure is above the limit.
    """
    rule = RULES[name]
    asked = condition(rule)
    answer = ask(asked["query"], rows, window=DURATIONS[rule["windowSize"]], is_whole=True)
    per = [one["name"] for one in asked["dimensions"]]
    wanted = [row for row in answer if all(row[column] in values for column, values in chosen(rule).items())]
    measures = [(row[asked["metricMeasureColumn"]], row) for row in wanted]
    loud = [row for measure, row in measures if measure is not None and measure > asked["threshold"]]
    return {" ".join(str(row[column]) for column in per) for row in loud}
