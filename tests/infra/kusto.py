"""The queries in infra/queries, and what Microsoft's own parser of the Kusto language makes of them.

The parser comes with the npm packages of `make setup` and runs in Node.js; no query is evaluated. What is known of the
workspace is the columns of the tables that the queries use. Invariant: a parser that cannot run is an error, so that
no query passes unread.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.setup import AZURITE_FOLDER, ROOT, find_node

QUERIES = ROOT / "infra" / "queries"
PRELUDE = (QUERIES / "_events.kql").read_text()
_SCRIPT = Path(__file__).with_name("kusto.cjs")
_EVERYWHERE = (
    "TimeGenerated: datetime, AppRoleInstance: string, AppRoleName: string, AppVersion: string, ItemCount: int, "
    "Measurements: dynamic, OperationId: string, OperationName: string, ParentId: string, Properties: dynamic, "
    "ResourceGUID: string, SDKVersion: string, Type: string, _ResourceId: string, "
)
TABLES = {
    "AppTraces": _EVERYWHERE + "Message: string, SeverityLevel: int",
    "AppRequests": _EVERYWHERE
    + "DurationMs: real, Id: string, Name: string, ResultCode: string, Source: string, Success: bool, Url: string",
    "AppExceptions": _EVERYWHERE
    + "Details: dynamic, ExceptionType: string, HandledAt: string, InnermostMessage: string, InnermostType: string, "
    "OuterMessage: string, OuterType: string, ProblemId: string, SeverityLevel: int",
}
"""Columns as Microsoft lists them (learn.microsoft.com, Azure Monitor Logs reference), without those of browsers."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One query as the parser sees it: its faults, its result's columns with their types, what it asks of events."""

    problems: tuple[str, ...]
    columns: Mapping[str, str]
    events: frozenset[str]
    fields: frozenset[str]


def query_files() -> dict[str, str]:
    """Every question by its file's name, as it stands in the file."""
    return {path.name: path.read_text() for path in sorted(QUERIES.glob("*.kql")) if path.name[0] != "_"}


def read_queries(queries: Mapping[str, str], tables: Mapping[str, str] = TABLES) -> dict[str, Reading]:
    """What the parser says of each query. Raises AssertionError where set-up did not install it."""
    packages, node = AZURITE_FOLDER / "node_modules", find_node()
    assert node is not None, "run `make setup`: it installs Node.js"
    assert (packages / "@kusto").is_dir(), "run `make setup`: it installs the parser of Kusto queries"
    told = {"packages": str(packages), "tables": dict(tables), "queries": dict(queries)}
    done = subprocess.run([node, _SCRIPT], input=json.dumps(told), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: _reading(reading) for name, reading in json.loads(done.stdout).items()}


def _reading(told: Mapping[str, object]) -> Reading:
    problems, columns, events, fields = (told[name] for name in ("problems", "columns", "events", "fields"))
    assert isinstance(problems, list)
    assert isinstance(columns, dict)
    assert isinstance(events, list)
    assert isinstance(fields, list)
    return Reading(tuple(problems), columns, frozenset(events), frozenset(fields))
