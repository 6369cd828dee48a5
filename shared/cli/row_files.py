"""Rows of a table as JSON lines, CSV, TSV or Parquet, one at a time: memory does not grow with their number.

Text in a row was written by strangers. JSON lines are plain ASCII and lose nothing. In CSV and TSV a text is one line
without invisible characters, and one that a spreadsheet would take for a formula gets an apostrophe before it. Parquet
holds text as it is: nothing evaluates it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Literal, Protocol

from ..domain.text import clean
from .errors import CommandError, ExitCode

Row = Mapping[str, Any]
TextForm = Literal["jsonl", "csv", "tsv"]
FileForm = Literal["jsonl", "csv", "tsv", "parquet"]
TEXT_FORMS: Final[tuple[TextForm, ...]] = ("jsonl", "csv", "tsv")
FILE_FORMS: Final[tuple[FileForm, ...]] = (*TEXT_FORMS, "parquet")
ROW_GROUP_ROWS: Final = 5_000
"""Rows that are in memory at a time while Parquet is written."""
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula; the wide forms count where East Asian text is at home."""


class RowWriter(Protocol):
    """Takes rows; nothing is sure to be in the file before `close`."""

    def write(self, row: Row) -> None:
        """Take one more row."""

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


def open_writer(
    file: BinaryIO, form: FileForm, columns: Mapping[str, type], *, is_raw: bool = False, has_head: bool = True
) -> RowWriter:
    """What writes rows of these columns into a file.

    `is_raw` leaves formulas as they are, `has_head` puts the columns' names before the first row of CSV and TSV. Raises
    `CommandError` where Parquet is asked for and its library is not installed.
    """
    if form == "parquet":
        return ParquetRows(file, columns)
    if form == "jsonl":
        return JsonLines(file, list(columns))
    return DelimitedRows(file, list(columns), "," if form == "csv" else "\t", is_raw=is_raw, has_head=has_head)


class JsonLines:
    """One JSON object a line, without the columns that a row does not have."""

    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        self._file = file
        self._columns = columns

    def write(self, row: Row) -> None:
        """Write a row."""
        fields = {column: row[column] for column in self._columns if column in row}
        self._file.write(json.dumps(fields, default=_instant, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Nothing is left to write."""


class DelimitedRows:
    """CSV as RFC 4180 has it, but with line feeds, or the same with tabs; UTF-8."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], delimiter: str, *, is_raw: bool, has_head: bool) -> None:
        self._columns = columns
        self._is_raw = is_raw
        self._text = io.StringIO(newline="")
        self._file = file
        self._csv = csv.writer(self._text, delimiter=delimiter, lineterminator="\n")
        if has_head:
            self._put(columns)

    def write(self, row: Row) -> None:
        """Write a row; a column that it does not have is empty."""
        self._put([_cell(row.get(column), is_raw=self._is_raw) for column in self._columns])

    def close(self) -> None:
        """Nothing is left to write."""

    def _put(self, cells: Sequence[str]) -> None:
        self._csv.writerow(cells)
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


class ParquetRows:
    """A Parquet file, in groups of `ROW_GROUP_ROWS` rows; a column that a row does not have is null."""

    def __init__(self, file: BinaryIO, columns: Mapping[str, type]) -> None:
        try:
            import pyarrow  # noqa: PLC0415 - 100 MB that only this form needs
            import pyarrow.parquet  # noqa: PLC0415
        except ImportError:
            raise CommandError(
                'Parquet needs one more library: pip install "defender-submissions[cli,parquet]"', ExitCode.WRONG_USE
            ) from None
        kinds = {str: pyarrow.string(), int: pyarrow.int32(), datetime: pyarrow.timestamp("us", tz="UTC")}
        schema = pyarrow.schema([(column, kinds[kind]) for column, kind in columns.items()])
        self._columns = list(columns)
        self._group: list[dict[str, Any]] = []
        self._batch: Any = pyarrow.RecordBatch
        self._schema: Any = schema
        self._parquet: Any = pyarrow.parquet.ParquetWriter(file, schema)

    def write(self, row: Row) -> None:
        """Take a row, and write a group when it is full."""
        self._group.append({column: row.get(column) for column in self._columns})
        if len(self._group) == ROW_GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """Write the last group and the file's foot."""
        if self._group:
            self._write_group()
        self._parquet.close()

    def _write_group(self) -> None:
        self._parquet.write_batch(self._batch.from_pylist(self._group, schema=self._schema))
        self._group = []


def _cell(value: object, *, is_raw: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _instant(value)
    if not isinstance(value, str):
        return str(value)
    text = clean(value, len(value))
    is_formula = text.lstrip().startswith(_FORMULA)
    return f"'{text}" if is_formula and not is_raw else text


def _instant(at: datetime) -> str:
    """RFC 3339 in UTC, with as much of the second as there is."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
