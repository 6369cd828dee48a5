"""What the example queries for Sentinel answer: to no rows, to late and doubled ones, and at their limits.

DuckDB answers in Kusto's place (`workspace`). It knows no time of ingestion: that is a column of the rows here.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import duckdb_kql
import pytest

from local.setup import ROOT
from tests.infra.workspace import NOW

SENTINEL = ROOT / "docs" / "examples" / "sentinel"
_SCHEMA = json.loads((SENTINEL / "table.json").read_text())["properties"]["schema"]
COLUMNS = {one["name"]: one["type"].lower() for one in _SCHEMA["columns"]} | {"Ingested": "datetime"}
_TYPES = {"datetime": "TIMESTAMP", "string": "VARCHAR", "int": "INTEGER", "real": "DOUBLE", "long": "BIGINT"}
Row = dict[str, Any]


def ask(file: str, rows: Sequence[Row]) -> list[Row]:
    """Return what a query answers about these rows of the table."""
    query = (SENTINEL / file).read_text().replace("ingestion_time()", "Ingested")
    workspace = duckdb_kql.connect(config={"threads": 1})
    declared = ", ".join(f"{name} {_TYPES[kind]}" for name, kind in COLUMNS.items())
    workspace.sql(f"create table {_SCHEMA['name']} ({declared})")
    for row in rows:
        marks = ", ".join("?" * len(row))
        insert = f"insert into {_SCHEMA['name']} ({', '.join(row)}) values ({marks})"  # noqa: S608 - names of our own
        workspace.execute(insert, [*row.values()])
    translated = duckdb_kql.to_sql(query, schema={_SCHEMA["name"]: [*COLUMNS]}, query_now=NOW)
    found = workspace.sql(translated, params=translated.parameters or None)
    return [dict(zip(found.columns, values, strict=True)) for values in found.fetchall()]


def settled(name: str, *, appended: float, ingested: float | None = None, **facts: Any) -> Row:
    """Return a change that was appended so many minutes ago, and came in so many minutes ago."""
    minutes_ago = (appended, appended if ingested is None else ingested)
    at, came_in = ((NOW - timedelta(minutes=one)).replace(tzinfo=None) for one in minutes_ago)
    told = {"SubmissionId": name, "ChangeId": f"{at}-{name}", "Event": "settled", "Verdict": "malicious"}
    times = {"TimeGenerated": at, "AppendedAt": at, "SettledAt": at, "Ingested": came_in}
    return {**told, **times, "Category": "phishing", **facts}


@pytest.mark.parametrize("file", [one.name for one in sorted(SENTINEL.glob("*.kql"))])
def test_no_rows_no_answer(file: str) -> None:
    """Nothing is made out of nothing."""
    assert ask(file, []) == []


def told_in(rows: Sequence[Row]) -> list[str]:
    """Return what the rule of this hour tells."""
    return [row["SubmissionId"] for row in ask("confirmed.kql", rows)]


def test_a_change_that_came_in_late_is_told_in_the_hour_in_which_it_came() -> None:
    """However long ago it was appended, within the two days that Log Analytics keeps the time."""
    assert told_in([settled("late", appended=47 * 60, ingested=5)]) == ["late"]
    assert told_in([settled("told before", appended=90, ingested=70)]) == []


def test_a_change_that_was_sent_twice_is_told_once() -> None:
    """In the same hour, and where the second came in an hour later."""
    assert told_in([settled("twice", appended=50, ingested=40), settled("twice", appended=50, ingested=20)]) == [
        "twice"
    ]
    assert told_in([settled("again", appended=90, ingested=80), settled("again", appended=90, ingested=10)]) == []


def test_each_hour_has_its_limit() -> None:
    """What came in exactly an hour ago was told by the run before."""
    assert told_in([settled("at the limit", appended=60)]) == []
    assert told_in([settled("just behind it", appended=59.99)]) == ["just behind it"]


def test_only_what_is_malicious_is_told() -> None:
    """Neither another verdict nor a row that is not settled."""
    rows = [settled("clean", appended=5, Verdict="clean"), settled("open", appended=5, Event="submitted")]
    assert told_in(rows) == []


def test_the_share_is_of_what_was_decided_and_of_submissions() -> None:
    """13 right, one wrong, four undecided, one of them sent twice: 92.9 of a hundred, not 68.4."""
    rows = [settled(f"right-{n}", appended=100 + n, Agreement="confirmed") for n in range(13)]
    rows += [
        settled("wrong", appended=50, Agreement="refuted"),
        settled("right-0", appended=100, Agreement="confirmed"),
    ]
    rows += [settled(f"undecided-{n}", appended=60 + n, Agreement="undecided") for n in range(4)]
    (week,) = ask("agreement.kql", rows)
    assert (week["Right"], week["Wrong"], week["Undecided"], week["RightShare"]) == (13, 1, 4, 92.9)


def test_a_week_without_a_decision_has_no_share() -> None:
    """No division by nothing."""
    (week,) = ask("agreement.kql", [settled("one", appended=5, Agreement="undecided")])
    assert (week["Undecided"], week["RightShare"]) == (1, None)


def test_the_last_change_of_each_is_how_it_stands() -> None:
    """Late and doubled rows change nothing."""
    rows = [
        settled("one", appended=10, ingested=1, Event="submitted", State="submitted"),
        settled("one", appended=5, State="settled"),
        settled("one", appended=5, State="settled"),
    ]
    assert [row["State"] for row in ask("latest.kql", rows)] == ["settled"]


def test_the_columns_are_of_kinds_that_the_stand_in_has() -> None:
    """A new kind of column is looked up first."""
    assert set(COLUMNS.values()) <= set(_TYPES)
