"""A Log Analytics workspace in memory: rows as the Functions host writes them, and the answers to the deployed queries.

DuckDB holds the rows, duckdb-kql translates the queries; what it does not know is an error, never a wrong answer. Both
are other people's reading of Kusto: the service itself was never asked. The rows in `recorded_rows` came from the real
host 4.1037 in classic mode, with the levels of host.json; the stacks of exceptions are left out.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import duckdb_kql
from duckdb_kql import TranslationResult

from shared.telemetry import Event
from tests.infra.kusto import PRELUDE, TABLES, query_files
from tests.support.events import line_of

NOW = datetime(2026, 11, 30, 16, 40, tzinfo=UTC)
"""Some minutes after the recorded rows."""
RECORDED = {path.stem: path for path in Path(__file__).with_name("recorded_rows").glob("*.jsonl")}
WORKER = "Worker.LanguageWorkerChannel.python.0fdc6097-618f-476e-b72a-fb290b237863"
DRAINED = "Worker channel is shutting down. Aborting function."
"""What a drained instance says of an invocation that it cuts off (azure-functions-host, issue 12007)."""
EXITED_143 = "python exited with code 143 (0x8F)"
"""What a drained instance says of its worker (azure-functions-host, issues 12007 and 10479)."""
_TYPES = {"datetime": "TIMESTAMP", "string": "VARCHAR", "dynamic": "JSON", "int": "INTEGER", "real": "DOUBLE"}
_TYPES["bool"] = "BOOLEAN"
_LEVELS = {20: (1, "Information"), 30: (2, "Warning"), 40: (3, "Error")}

Row = dict[str, Any]


def _columns(table: str) -> dict[str, str]:
    return dict(column.split(": ") for column in TABLES[table].split(", "))


def recorded(name: str) -> list[Row]:
    """Return the rows of a recorded run, as they stand in the workspace."""
    return [json.loads(line) for line in RECORDED[name].read_text().splitlines()]


def ask(query: str, rows: Iterable[Row], *, window: timedelta = timedelta(days=2), is_whole: bool = False) -> list[Row]:
    """Return what a query answers about the rows that are at most `window` old.

    The events' query is put before it, unless it is whole. Bags and lists come as Python's, times in UTC.
    """
    seen = [row for row in rows if _at(row) >= NOW - window]
    workspace = _workspace()
    for table in TABLES:
        _fill(workspace, table, [row for row in seen if row["Type"] == table])
    translated = _translate(query if is_whole else PRELUDE + query)
    found = workspace.sql(translated, params=translated.parameters or None)
    types = [str(one) for one in found.types]
    return [
        {name: _value(value, kind) for name, value, kind in zip(found.columns, values, types, strict=True)}
        for values in found.fetchall()
    ]


def ask_file(name: str, rows: Iterable[Row], *, window: timedelta = timedelta(days=2)) -> list[Row]:
    """Return the answer to one of infra/queries, named without its ending."""
    return ask(query_files()[f"{name}.kql"], [*rows], window=window)


@cache
def _translate(query: str) -> TranslationResult:
    return duckdb_kql.to_sql(query, schema={table: [*_columns(table)] for table in TABLES}, query_now=NOW)


@cache
def _workspace() -> duckdb.DuckDBPyConnection:
    """Open one for all questions, as opening takes longer than most answers; its threads would only wait for us."""
    workspace = duckdb_kql.connect(config={"threads": 1})
    for table in TABLES:
        declared = ", ".join(f"{name} {_TYPES[kind]}" for name, kind in _columns(table).items())
        workspace.sql(f"create table {table} ({declared})")
    return workspace


def _fill(workspace: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    """Let a table hold these rows and no others."""
    workspace.sql(f"delete from {table}")  # noqa: S608 - names of our own
    if not rows:
        return
    columns = _columns(table)
    marks = f"({', '.join('?' * len(columns))})"
    values = [_kept(row.get(name), kind) for row in rows for name, kind in columns.items()]
    workspace.execute(f"insert into {table} values {', '.join([marks] * len(rows))}", values)  # noqa: S608


def _kept(value: Any, kind: str) -> Any:
    if kind == "datetime":
        return value.removesuffix("Z")
    if kind == "dynamic":
        return json.dumps(value)
    return "" if value is None and kind == "string" else value  # Kusto's texts are never null


def _value(value: Any, kind: str) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return json.loads(value) if kind == "JSON" and value is not None else value


def _at(row: Row) -> datetime:
    return datetime.fromisoformat(row["TimeGenerated"][:26].removesuffix("Z")).replace(tzinfo=UTC)


def _row(table: str, minutes_ago: float, category: str, invocation: str, columns: Row) -> Row:
    at = (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    properties = {"Category": category} | ({"InvocationId": invocation} if invocation else {})
    return {"Type": table, "TimeGenerated": at, "Properties": properties, **columns}


def trace(message: str, minutes_ago: float = 1, *, category: str = "Function.submit.User", level: int = 2) -> Row:
    """Return a line of whoever it is."""
    return _row("AppTraces", minutes_ago, category, uuid.uuid4().hex, {"Message": message, "SeverityLevel": level})


def told(event: Event, minutes_ago: float = 1, *, by: str = "submit", **fields: str | float | None) -> Row:
    """Return an event of the app, as its line arrives."""
    severity, _ = _LEVELS[event.level]
    return trace(line_of(event, **fields), minutes_ago, category=f"Function.{by}.User", level=severity)


def invoked(function: str, minutes_ago: float = 1, *, error: str | None = None) -> list[Row]:
    """Return the rows of one invocation: its request and, of one that failed, its exceptions, which are two."""
    invocation = str(uuid.uuid4())
    end: Row = {"Name": function, "Success": error is None}
    request = _row("AppRequests", minutes_ago, "Host.Results", invocation, end)
    if error is None:
        return [request]
    failure: Row = {
        "ExceptionType": "Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
        "OuterMessage": f"Exception while executing function: Functions.{function}",
        "InnermostMessage": error,
        "OperationName": function,
        "SeverityLevel": 3,
    }
    categories = (f"Function.{function}", "Host.Results")
    return [request, *(_row("AppExceptions", minutes_ago, one, invocation, failure) for one in categories)]


def raised(error: str) -> str:
    """Return what the host says of an error that a function raised."""
    return f"Result: Failure\nException: RunFailed: {error}\nStack: (left out)"


def failed_start(error: str, minutes_ago: float = 1, *, category: str = WORKER) -> list[Row]:
    """Return the rows of a start that ends without functions."""
    said = f"Result: Failure\nException: {error}\nStack: (left out)"
    facts: Row = {"ExceptionType": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException", "SeverityLevel": 3}
    return [
        no_functions(minutes_ago + 0.2),
        _row("AppExceptions", minutes_ago, category, "", facts | {"OuterMessage": said, "InnermostMessage": said}),
        trace("Worker failed to index functions", minutes_ago, category=category, level=3),
    ]


def no_functions(minutes_ago: float = 1) -> Row:
    """Return what the host says when it found no function."""
    return trace("No job functions found. Try making your job classes public.", minutes_ago, category="Host.Startup")


def worker_exit(
    message: str, minutes_ago: float = 1, *, category: str = "Worker.rpcWorkerProcess.python.0fdc6097"
) -> Row:
    """Return what the host says, outside of any invocation, of a worker process that has ended."""
    facts: Row = {"ExceptionType": "Microsoft.Azure.WebJobs.Script.Workers.WorkerProcessExitException"}
    return _row(
        "AppExceptions", minutes_ago, category, "", facts | {"OuterMessage": message, "InnermostMessage": message}
    )
