"""What a command shows: records as a table for people, as JSON or as tab-separated text for programs.

The invariant: no text leaves here as it came from a mail. Control characters and marks that turn the reading direction
are taken out whatever the form, so that a subject can neither move the cursor nor forge a line. Data goes to standard
output, everything else to standard error. Rich is loaded for tables only.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import click

from ..domain.text import clean

if TYPE_CHECKING:
    from rich.console import Console

Form = Literal["table", "json", "tsv"]
Record = Mapping[str, object]
FORMS: Final[tuple[Form, ...]] = ("table", "json", "tsv")
WIDTH_UNKNOWN = 140
"""Characters a line, where a table goes into a file or a pipe and COLUMNS does not say otherwise."""
TYPED = 3
"""Characters left free at the end of a line that lives: a terminal shows `^C` there, and must not begin a new line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: the record's field, and how it is shown.

    `size` is how wide it may be, 0 for as wide as its text; `share`, in place of it, its part of the width that is left
    over. It is left out of tables on screens narrower than `from_width` characters; JSON and TSV always have it.
    """

    field: str
    heading: str
    size: int = 0
    share: int = 0
    from_width: int = 0
    is_right_aligned: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """How and where this run of the command shows what it found."""

    form: Form
    is_coloured: bool

    @property
    def is_live(self) -> bool:
        """Whether a line may be written again: tables on a terminal that takes more than plain text."""
        return self.form == "table" and self.is_coloured

    def show_records(self, columns: Sequence[Column], records: Iterable[Record]) -> None:
        """Show many records: as a table, as a JSON array of whole records, or as TSV lines without a head.

        A table takes all of them into memory, the other forms one at a time.
        """
        if self.form == "json":
            _write_array(records)
        elif self.form == "tsv":
            for record in records:
                write(tsv_line(columns, record))
        else:
            self._show_table(columns, records)

    def show_line(self, columns: Sequence[Column], record: Record) -> None:
        """Show one record of many that come in their own time: a JSON line, or a TSV line for the other forms."""
        write(_json(record, indent=None) if self.form == "json" else tsv_line(columns, record))

    def show_record(self, record: Record) -> None:
        """Show one record: a line for each field, a JSON object, or `field<tab>value` lines."""
        if self.form == "json":
            write(_json(record, indent=2))
        elif self.form == "tsv":
            for field, value in record.items():
                write(f"{field}\t{shown(value)}")
        else:
            self._show_fields(record)

    def console(self) -> Console:
        """Rich's console on standard output, of the terminal's width."""
        from rich.console import Console  # noqa: PLC0415 - dear, and only tables need it

        return Console(
            width=width(),
            force_terminal=self.is_coloured,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=False,
        )

    def _show_table(self, columns: Sequence[Column], records: Iterable[Record]) -> None:
        self.console().print(table(columns, records))

    def _show_fields(self, record: Record) -> None:
        from rich.table import Table  # noqa: PLC0415 - as above
        from rich.text import Text  # noqa: PLC0415

        grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column(overflow="fold")
        for field, value in record.items():
            grid.add_row(Text(field), Text(shown(value)))
        self.console().print(grid)


def table(
    columns: Sequence[Column], records: Iterable[Record], *, is_fixed: bool = False, has_head: bool = True
) -> Any:
    """The records as a Rich table, a line each, cut to the terminal's width.

    `is_fixed` gives columns their whole size, so that tables of single lines stand below each other.
    """
    from rich.table import Table  # noqa: PLC0415 - dear, and only tables need it
    from rich.text import Text  # noqa: PLC0415

    visible = [column for column in columns if column.from_width <= width()]
    found = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=has_head, expand=True
    )
    for column in visible:
        found.add_column(
            column.heading,
            no_wrap=True,
            overflow="ellipsis",
            ratio=column.share or None,
            width=column.size or None if is_fixed else None,
            max_width=column.size or None,
            justify="right" if column.is_right_aligned else "left",
        )
    for record in records:
        found.add_row(*(Text(shown(record.get(column.field)), overflow="ellipsis") for column in visible))
    return found


def width(stream: TextIO | None = None) -> int:
    """Characters a line of a stream, else of standard output: COLUMNS, else its terminal's, else `WIDTH_UNKNOWN`."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns or WIDTH_UNKNOWN
    except (OSError, ValueError):
        return WIDTH_UNKNOWN


def choose_output(form: Form | None, *, is_coloured: bool) -> Output:
    """The form asked for, else a table on a terminal and TSV elsewhere; colour on a terminal only, where wanted."""
    is_terminal = sys.stdout.isatty()
    return Output(form or ("table" if is_terminal else "tsv"), is_coloured and is_terminal)


def shown(value: object) -> str:
    """A value as text on one line, safe for a terminal; empty for none. Times are UTC, to the second."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Mapping | list | tuple):
        return _json(value, indent=None)
    text = str(value)
    return clean(text, len(text))


def tsv_line(columns: Sequence[Column], record: Record) -> str:
    """The record's fields in the columns' order; a tab or line break in one of them has become a space."""
    return "\t".join(shown(record.get(column.field)) for column in columns)


def write(text: str) -> None:
    """Put a line on standard output, at once."""
    click.echo(text, color=True)  # whatever colour is left in it was asked for


def tell(text: str) -> None:
    """Put a line on standard error: progress, what was refused, what to do. A terminal gets it broken between words."""
    line = clean(text, len(text))
    click.echo(_folded(line, width(sys.stderr)) if sys.stderr.isatty() else line, err=True)


def _folded(line: str, columns: int) -> str:
    return textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False)  # ids and paths stay whole


def _write_array(records: Iterable[Record]) -> None:
    before = "["
    for record in records:
        click.echo(f"{before}\n{_json(record, indent=None)}", nl=False)
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _json(value: object, *, indent: int | None) -> str:
    return json.dumps(_cleaned(value), indent=indent, ensure_ascii=False)


def _cleaned(value: object) -> object:
    """The value with clean text, and times to the microsecond, UTC."""
    if isinstance(value, Mapping):
        return {str(name): _cleaned(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part) for part in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool | int | float) or value is None:
        return value
    return shown(value)
