"""`submissions export`: the rows of `outcomes` of some days, for a spreadsheet or a pipeline.

The invariant: a file named by `--to` is there whole or as it was before. Rows go from the service into the file a page
at a time, ordered by day and id, so memory does not grow with their number.
"""

from __future__ import annotations

import asyncio
import codecs
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from .columns import OUTCOME_COLUMNS
from .cursor_file import replacing
from .moments import MOMENT
from .output import tell
from .row_files import FILE_FORMS, FileForm, RowWriter, open_writer
from .selection import Selection, read_filters, received, with_filters

if TYPE_CHECKING:
    from .__main__ import Session

_SUFFIXES: Final[dict[str, FileForm]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


_STANDARD_OUTPUT: Final = Path("-")


def read_columns(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> dict[str, type]:
    """The columns that a comma-separated list names, in its order; all where there is none."""
    if text is None:
        return OUTCOME_COLUMNS
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in OUTCOME_COLUMNS]
    if unknown:
        raise click.BadParameter(f"no column {', '.join(unknown)}; there are {', '.join(OUTCOME_COLUMNS)}")
    return {name: OUTCOME_COLUMNS[name] for name in names}


@click.command()
@with_filters
@click.option("--since", type=MOMENT, default="7d", show_default=True, help="Received since: 30m, 24h, 7d or a day.")
@click.option("--until", type=MOMENT, help="Received before: an age or a day, as above. Else now.")
@click.option("--format", "file_form", type=click.Choice(FILE_FORMS), help="Else by the name given to --to, else csv.")
@click.option("--columns", callback=read_columns, metavar="NAME,NAME", help="These columns only, in this order.")
@click.option(
    "--to", "target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Else standard output."
)
@click.option("--excel", "is_for_excel", is_flag=True, help="Begin CSV with the mark by which Excel knows UTF-8.")
@click.option("--raw", "is_raw", is_flag=True, help="In CSV and TSV, leave text that a spreadsheet takes for formulas.")
@click.pass_obj
def export(
    session: Session,
    /,
    *,
    since: datetime,
    until: datetime | None,
    file_form: FileForm | None,
    columns: dict[str, type],
    target: Path | None,
    is_for_excel: bool,
    is_raw: bool,
    **filters: Any,
) -> None:
    """Write reports and requests to a file: CSV, TSV, JSON lines or Parquet.

    One row each, as it stands now, ordered by the day it was received and by its id. Without --to it is written to
    standard output. A text that begins with = + - or @ gets an apostrophe before it in CSV and TSV, as a stranger may
    have written it for a spreadsheet to run.

    \b
    Examples:
      submissions export --since 30d --to outcomes.csv --excel
      submissions export --since 2026-11-01 --until 2026-12-01 --to nov.parquet
      submissions export --state settled --columns RowKey,Verdict --format jsonl
    """  # noqa: D301 - \b keeps click from joining the lines
    session.refuse_output("--format csv, tsv, jsonl or parquet")
    target = None if target == _STANDARD_OUTPUT else target
    form = file_form or _form_of(target)
    if is_for_excel and form != "csv":
        raise click.UsageError(f"--excel is for CSV, not {form}")
    selection = received(since, until, read_filters(filters))
    with _opened(target) as file:
        if is_for_excel:
            file.write(codecs.BOM_UTF8)
        writer = open_writer(file, form, columns, is_raw=is_raw)
        count = asyncio.run(_export(session, selection, list(columns), writer))
        writer.close()
        file.flush()
    tell(f"{count:,} rows of {len(selection.days())} days")


def _form_of(target: Path | None) -> FileForm:
    """The form that the file's name asks for, else CSV. Raises `click.UsageError` where it names none that is known."""
    suffix = target.suffix.lower() if target else ".csv"
    if suffix not in _SUFFIXES:
        raise click.UsageError(f"--to names no form that is known ({', '.join(_SUFFIXES)}): say which with --format")
    return _SUFFIXES[suffix]


async def _export(session: Session, selection: Selection, columns: list[str], writer: RowWriter) -> int:
    count = 0
    async with session.connect() as connection:
        outcomes = connection.table("outcomes")
        gc.freeze()  # what is imported stays, and need not be looked at after each day
        for day in selection.days():
            async for entity in selection.rows(outcomes, day, columns):
                writer.write(entity)
                count += 1
            gc.collect()  # the library's reader of pages refers to itself: a day's last page would stay
    return count


@contextmanager
def _opened(target: Path | None) -> Iterator[BinaryIO]:
    if target is None:
        yield sys.stdout.buffer
        return
    with replacing(target) as file:
        yield file
