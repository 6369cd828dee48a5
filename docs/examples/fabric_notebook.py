"""Keep the feed in a Delta table of a Fabric lakehouse: every change once, however often the notebook is run.

One cell of a PySpark notebook with a default lakehouse. Its environment has azure-data-tables, and the wheel that
`pip wheel --no-deps .` builds of this clone. Rows are merged by their keys before the cursor is saved, so a stop in
between gives rows again, which the merge leaves out.
"""
# ruff: noqa: INP001 - a cell, no package

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken
from azure.data.tables import TableClient

from shared.cli.changes import Change, Cursor, Pass, first_query, queries, read_cursor, write_cursor
from shared.cli.columns import FEED_COLUMNS

SERVICE = "https://<account>.table.core.windows.net"
CURSOR = Path("/lakehouse/default/Files/submission_changes.cursor")
TYPES: dict[type, str] = {str: "STRING", int: "INT", datetime: "TIMESTAMP"}
SCHEMA = ", ".join(f"{name} {TYPES[kind]}" for name, kind in {**FEED_COLUMNS, "AppendedAt": datetime}.items())
MERGE = """
MERGE INTO submission_changes AS kept USING new_changes AS new
ON kept.PartitionKey = new.PartitionKey AND kept.RowKey = new.RowKey
WHEN NOT MATCHED THEN INSERT *
"""


class NotebookIdentity:
    """Whoever the notebook runs as: the person at the keyboard, the schedule's owner, or a service principal."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return a token for Azure Storage; it is asked for anew every five minutes."""
        return AccessToken(self._credentials.getToken("storage"), int(time.time()) + 300)


def consume(feed: TableClient, spark: Any, cursor_file: Path) -> None:
    """Merge what was appended since the last call."""
    spark.sql(f"CREATE TABLE IF NOT EXISTS submission_changes ({SCHEMA}) USING DELTA")
    cursor = read_cursor(cursor_file.read_text()) if cursor_file.exists() else Cursor(0)
    first_day, began_at = begin(feed, cursor)
    reading = Pass(cursor, began_at)
    for query in queries(cursor, first_day, began_at) if first_day else ():
        merge(spark, [one for row in feed.query_entities(query) for one in reading.take(as_change(row))])
        save(cursor_file, reading.cursor())
    merge(spark, reading.finish())
    save(cursor_file, reading.cursor())


def begin(feed: TableClient, cursor: Cursor) -> tuple[str | None, datetime]:
    """Return the partition of the first row from the cursor's day on, and when the service said so."""
    dates: list[str] = []
    found = feed.query_entities(
        first_query(cursor),
        select=["PartitionKey"],
        results_per_page=1,
        raw_response_hook=lambda answer: dates.append(answer.http_response.headers["Date"]),
    )
    first = next(iter(found), None)
    return None if first is None else first["PartitionKey"], parsedate_to_datetime(dates[-1])


def as_change(row: Any) -> Change:
    """Return the row with the service's own time of its append."""
    return Change(row.metadata["timestamp"], row["RowKey"], row)


def merge(spark: Any, changes: list[Change]) -> None:
    """Add those of the changes that the table does not have."""
    if changes:
        rows = [(*(plain(one.row.get(name)) for name in FEED_COLUMNS), plain(one.appended_at)) for one in changes]
        spark.createDataFrame(rows, SCHEMA).createOrReplaceTempView("new_changes")
        spark.sql(MERGE)


def plain(value: Any) -> Any:
    """Return a time as the class that Spark takes, which is not the library's subclass of it."""
    return datetime.fromtimestamp(value.timestamp(), UTC) if isinstance(value, datetime) else value


def save(cursor_file: Path, cursor: Cursor) -> None:
    """Replace the cursor in one step."""
    part = cursor_file.with_name(f"{cursor_file.name}.part")
    part.write_text(write_cursor(cursor))
    part.replace(cursor_file)


if __name__ == "__main__":
    import notebookutils  # type: ignore[import-not-found] # Fabric has it
    from pyspark.sql import SparkSession  # type: ignore[import-not-found] # likewise

    with TableClient(SERVICE, "outcomelog", credential=NotebookIdentity(notebookutils.credentials)) as table:
        consume(table, SparkSession.builder.getOrCreate(), CURSOR)
