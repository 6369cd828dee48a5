"""Keep the feed in a SQLite database: every change once, in the order in which the changes were appended.

    python -m docs.examples.consume_feed https://<account>.table.core.windows.net changes.sqlite

Run it as often as you like, by cron for example, with an identity that has Storage Table Data Reader on `outcomelog`.
Rows and cursor are stored in one transaction, so it may be killed at any moment. It needs azure-data-tables,
azure-identity and this clone, of which it uses the one file `shared/cli/changes.py`.
"""
# ruff: noqa: INP001 - a program, no package

import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from azure.data.tables import TableClient, TableEntity
from azure.identity import DefaultAzureCredential

from shared.cli.changes import Change, Cursor, Pass, first_query, queries, read_cursor, write_cursor

TABLES = """
CREATE TABLE IF NOT EXISTS changes (position INTEGER PRIMARY KEY, row_key TEXT UNIQUE, submission_id TEXT, row TEXT);
CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT);
"""


def consume(feed: TableClient, database: sqlite3.Connection) -> None:
    """Store what was appended since the last call."""
    database.executescript(TABLES)
    saved = database.execute("SELECT text FROM cursor").fetchone()
    cursor = read_cursor(saved[0]) if saved else Cursor(0)
    first_day, began_at = begin(feed, cursor)
    reading = Pass(cursor, began_at)
    for query in queries(cursor, first_day, began_at) if first_day else ():
        for page in feed.query_entities(query).by_page():
            store(database, [change for row in page for change in reading.take(as_change(row))], reading)
    store(database, reading.finish(), reading)


def begin(feed: TableClient, cursor: Cursor) -> tuple[str | None, datetime]:
    """Return the partition of the first row from the cursor's day on, and when the service said so."""
    dates: list[str] = []
    found: Iterator[TableEntity] = feed.query_entities(
        first_query(cursor),
        select=["PartitionKey"],
        results_per_page=1,
        raw_response_hook=lambda answer: dates.append(answer.http_response.headers["Date"]),
    )
    first = next(found, None)
    return None if first is None else first["PartitionKey"], parsedate_to_datetime(dates[-1])


def as_change(row: TableEntity) -> Change:
    """Return the row with the service's own time of its append."""
    metadata: Any = row.metadata
    return Change(metadata["timestamp"], row["RowKey"], row)


def store(database: sqlite3.Connection, changes: Iterable[Change], reading: Pass) -> None:
    """Add the changes, and the cursor that covers them, in one transaction."""
    rows = [(one.key, one.row["SubmissionId"], json.dumps(one.row, default=str)) for one in changes]
    with database:
        database.executemany("INSERT INTO changes (row_key, submission_id, row) VALUES (?, ?, ?)", rows)
        database.execute("REPLACE INTO cursor VALUES (1, ?)", [write_cursor(reading.cursor())])


if __name__ == "__main__":
    service, path = sys.argv[1:]
    with (
        closing(sqlite3.connect(path)) as opened,
        DefaultAzureCredential() as credential,
        TableClient(service, "outcomelog", credential=credential) as table,
    ):
        consume(table, opened)
