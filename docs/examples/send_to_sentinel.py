"""Send the feed to Microsoft Sentinel: every change at least once, in the order in which the changes were appended.

    python -m docs.examples.send_to_sentinel https://<account>.table.core.windows.net \
        https://<rule's endpoint>.ingest.monitor.azure.com dcr-<rule's immutable id> sentinel.cursor

Its identity needs Storage Table Data Reader on `outcomelog` and Monitoring Metrics Publisher on the rule. The cursor is
saved after what it covers was taken. It needs azure-data-tables, azure-identity, azure-monitor-ingestion, this clone.
"""
# ruff: noqa: INP001 - a program, no package

import json
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.data.tables import TableClient
from azure.identity import DefaultAzureCredential
from azure.monitor.ingestion import LogsIngestionClient

from docs.examples.consume_feed import as_change, begin
from shared.cli.changes import Change, Cursor, Pass, queries, read_cursor, write_cursor

Record = MutableMapping[str, Any]
STREAM = "Custom-DefenderSubmissions"
BATCH_BYTES = 900_000
"""A call may have 1 MB before it is compressed. The library cuts at 1 MiB and does not count what stands in between."""


def send(feed: TableClient, logs: LogsIngestionClient, rule_id: str, cursor_file: Path) -> None:
    """Send what was appended since the last call; what is refused ends it before the cursor moves."""
    cursor = read_cursor(cursor_file.read_text()) if cursor_file.exists() else Cursor(0)
    first_day, began_at = begin(feed, cursor)
    reading = Pass(cursor, began_at)
    for query in queries(cursor, first_day, began_at) if first_day else ():
        for page in feed.query_entities(query).by_page():
            upload(logs, rule_id, [change for row in page for change in reading.take(as_change(row))])
            save(cursor_file, reading.cursor())
    upload(logs, rule_id, reading.finish())
    save(cursor_file, reading.cursor())


def upload(logs: LogsIngestionClient, rule_id: str, changes: Iterable[Change]) -> None:
    """Send changes; the library repeats what is answered with 500, 503, 504, or with the time to wait for."""
    for batch in batches(map(as_record, changes)):
        logs.upload(rule_id, STREAM, batch)


def batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield the records in lists that are small enough for one call."""
    batch, size_bytes = list[Record](), 0
    for record in records:
        record_bytes = len(json.dumps(record)) + 2
        if batch and size_bytes + record_bytes > BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(record)
        size_bytes += record_bytes
    if batch:
        yield batch


def as_record(change: Change) -> Record:
    """Return the row as the rule's stream declares it."""
    return {name: as_json(value) for name, value in {**change.row, "AppendedAt": change.appended_at}.items()}


def as_json(value: Any) -> Any:
    """Return times as text in UTC, anything else as it is."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def save(cursor_file: Path, cursor: Cursor) -> None:
    """Replace the cursor in one step."""
    part = cursor_file.with_name(f"{cursor_file.name}.part")
    part.write_text(write_cursor(cursor))
    part.replace(cursor_file)


if __name__ == "__main__":
    service, endpoint, rule, file = sys.argv[1:]
    with (
        DefaultAzureCredential() as credential,
        TableClient(service, "outcomelog", credential=credential) as table,
        LogsIngestionClient(endpoint, credential) as client,
    ):
        send(table, client, rule, Path(file))
