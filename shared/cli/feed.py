"""`submissions feed`: what changed since the last time, from the table `outcomelog`.

The invariant: the cursor is saved only after the rows it covers were written and flushed. A stop in between gives rows
again on standard output, and never fewer; with `--to` not even that, because the file is cut back to its cursor. The
requests are in proportion to the changes: two, one more for each day passed, and one for each thousand rows.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from .changes import Change, Cursor, Pass, epoch_ms, first_query, queries
from .columns import FEED_COLUMNS
from .cursor_file import Place, cut_unsaved, load_place, save_place
from .moments import MOMENT
from .row_files import TEXT_FORMS, RowWriter, TextForm, open_writer

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

    from .__main__ import Session

SAVE_ROWS = 1_000
"""After how many rows at most the cursor is saved."""

_FILE: Final = click.Path(dir_okay=False, path_type=Path)


class Consumer:
    """Writes changes and keeps the place."""

    def __init__(self, rows: BinaryIO, writer: RowWriter, cursor_file: Path | None, rows_file: str | None) -> None:
        self._rows = rows
        self._writer = writer
        self._cursor_file = cursor_file
        self._rows_file = rows_file
        self._unsaved = 0

    def write(self, changes: list[Change], reading: Pass) -> None:
        """Write the changes; save the place after many."""
        for change in changes:
            self._writer.write(change.row)
        self._unsaved += len(changes)
        if self._unsaved >= SAVE_ROWS:
            self.save(reading.cursor())

    def save(self, cursor: Cursor) -> None:
        """Flush what was written, then save the place behind it."""
        self._rows.flush()
        self._unsaved = 0
        if self._cursor_file is None:
            return
        rows_bytes = 0
        if self._rows_file is not None:
            os.fsync(self._rows.fileno())
            rows_bytes = self._rows.tell()
        save_place(self._cursor_file, Place(cursor, self._rows_file, rows_bytes))


async def read_changes(feed: TableClient, cursor: Cursor, consumer: Consumer) -> Cursor:
    """One pass: what was appended since the cursor and before now goes to the consumer; returns the new cursor."""
    first_day, began_at = await _begin(feed, cursor)
    consumer.save(cursor)  # how long the file of rows was, before anything is added to it
    reading = Pass(cursor, began_at)
    if first_day is not None:
        for query in queries(cursor, first_day, began_at):
            async for change in _changes(feed, query):
                consumer.write(reading.take(change), reading)
    consumer.write(reading.finish(), reading)
    consumer.save(reading.cursor())
    return reading.cursor()


async def _begin(feed: TableClient, cursor: Cursor) -> tuple[str | None, datetime]:
    """The partition of the first row from the cursor's day on, if any, and the service's time before that answer."""
    dates: list[str] = []
    found = feed.query_entities(
        first_query(cursor),
        select=["PartitionKey"],
        results_per_page=1,
        raw_response_hook=lambda answer: dates.append(answer.http_response.headers["Date"]),
    )
    async for row in found:
        return str(row["PartitionKey"]), parsedate_to_datetime(dates[-1])
    return None, parsedate_to_datetime(dates[-1])


async def _changes(feed: TableClient, query: str) -> AsyncIterator[Change]:
    async for entity in feed.query_entities(query):
        metadata: Any = entity.metadata
        yield Change(metadata["timestamp"], str(entity["RowKey"]), entity)


@click.command()
@click.option("--cursor", "cursor_file", type=_FILE, metavar="FILE", help="Where to go on, and where to note how far.")
@click.option(
    "--from",
    "since",
    type=MOMENT,
    help="Where no cursor is there yet: begin with the changes since 24h, 7d or a day (UTC). Else with the first one.",
)
@click.option("--follow", is_flag=True, help="Go on looking until Ctrl-C.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long --follow waits between two looks.",
)
@click.option("--format", "file_form", type=click.Choice(TEXT_FORMS), default="jsonl", show_default=True)
@click.option("--to", "target", type=_FILE, metavar="FILE", help="Append to a file instead of standard output.")
@click.option("--raw", "is_raw", is_flag=True, help="In CSV and TSV, leave text that a spreadsheet takes for formulas.")
@click.pass_obj
def feed(
    session: Session,
    *,
    cursor_file: Path | None,
    since: datetime | None,
    follow: bool,
    every_s: float,
    file_form: TextForm,
    target: Path | None,
    is_raw: bool,
) -> None:
    """Print what has changed since the last time.

    Each change of a report or request is one row, with its columns at that moment; rows come in the order in which they
    were written. With --cursor the next call goes on where this one ended, even if it was killed.

    \b
    Examples:
      submissions feed --from 2026-11-23
      submissions feed --cursor feed.cursor --to changes.jsonl
      submissions feed --cursor feed.cursor --to changes.jsonl --follow --every 30
    """  # noqa: D301 - \b keeps click from joining the lines
    session.refuse_output("--format jsonl, csv or tsv")
    target = None if target == Path("-") else target
    if target is not None and cursor_file is not None and target.resolve() == cursor_file.resolve():
        raise click.UsageError("--to and --cursor name one file: rows and cursor need one each")
    path = None if target is None else str(target.resolve())
    place = None if cursor_file is None else load_place(cursor_file)
    cursor = place.cursor if place is not None else _beginning(since)
    with _rows(target) as rows:
        if target is not None:
            cut_unsaved(rows, str(path), place)
        writer = open_writer(rows, file_form, FEED_COLUMNS, is_raw=is_raw, has_head=_has_head(rows, target, place))
        consumer = Consumer(rows, writer, cursor_file, path)
        asyncio.run(_run(session, cursor, consumer, every_s if follow else None))


async def _run(session: Session, cursor: Cursor, consumer: Consumer, every_s: float | None) -> None:
    async with session.connect() as connection:
        table = connection.table_client("outcomelog")
        cursor = await read_changes(table, cursor, consumer)
        while every_s is not None:
            await asyncio.sleep(every_s)
            cursor = await read_changes(table, cursor, consumer)


def _beginning(since: datetime | None) -> Cursor:
    return Cursor(0 if since is None else epoch_ms(since))


def _has_head(rows: BinaryIO, target: Path | None, place: Place | None) -> bool:
    """Whether the columns' names come first: in an empty file, and on standard output where nothing went before."""
    return place is None if target is None else rows.tell() == 0


@contextmanager
def _rows(target: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or the file, open for appending."""
    if target is None:
        yield sys.stdout.buffer
        return
    with target.open("ab") as file:
        yield file
