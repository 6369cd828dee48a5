"""`submissions report`: whether submitting is regular, and what comes of it, by time or by what rows have in common.

The invariant: by day, week or month it reads the table `statistics` alone; rows are read for the other ways to group,
and for the page that --to writes. Reporters are numbered unless --names is given.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import click

from ..domain.regularity import Regular
from .cursor_file import replacing
from .errors import ExitCode
from .moments import MOMENT
from .output import FORMS, tell
from .report_counts import GROUPINGS, PERIODS, By, Grouping
from .report_reading import Figures, read_figures
from .report_records import LINE_COLUMNS, Line, as_record, lines, name_reporters
from .report_screen import show_screen
from .row_files import open_writer

if TYPE_CHECKING:
    from .__main__ import Session

ReportForm = Literal["table", "json", "tsv", "csv"]
REPORT_FORMS: Final[tuple[ReportForm, ...]] = (*FORMS, "csv")


@click.command()
@click.option("--since", type=MOMENT, default="90d", show_default=True, help="From that day on: 30d, 12w or a day.")
@click.option("--until", type=MOMENT, help="Up to but not including that day. Else up to now.")
@click.option(
    "--by", type=click.Choice([*PERIODS, *GROUPINGS]), default="week", show_default=True, help="What a line stands for."
)
@click.option("--names", "is_named", is_flag=True, help="Name reporters, who are numbered otherwise.")
@click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="As a page.")
@click.option("--output", "form", type=click.Choice(REPORT_FORMS), help="Else table on a terminal, tsv in a pipe.")
@click.pass_obj
def report(
    session: Session,
    /,
    *,
    since: datetime,
    until: datetime | None,
    by: By,
    is_named: bool,
    target: Path | None,
    form: ReportForm | None,
) -> None:
    """Tell whether we submit regularly, and what comes of it.

    Whole UTC days. PASS, FAIL or NOT YET by the rule in docs/report.md; FAIL ends with 1. By day, week or month it
    reads one small row a day; by anything else it reads the reports of these days, as it does for the page.

    \b
    Examples:
      submissions report
      submissions report --since 365d --by month
      submissions report --since 30d --by reporter --names
      submissions report --since 90d --to report.html
    """  # noqa: D301 - \b keeps click from joining the lines
    if target is not None and target.suffix.lower() not in {".html", ".htm"}:
        raise click.UsageError("--to writes a page: name it FILE.html; for a table redirect --output csv")
    now = datetime.now(UTC)
    last = (min(until, now) - timedelta(microseconds=1)).date() if until else now.date()
    if since.date() > last:
        raise click.UsageError("--since must be before --until: no day is both")
    groupings = _groupings(by, is_page=target is not None)
    figures = asyncio.run(_read(session, since.date(), last, now, groupings))
    names = name_reporters(figures, is_named=is_named)
    if target is None:
        _show(session, form, figures, by, names)
    else:
        _write_page(target, figures, by, now, names)
    if figures.regularity.verdict is Regular.FAIL:
        click.get_current_context().exit(ExitCode.PARTLY_DONE)


def _groupings(by: By, *, is_page: bool) -> tuple[Grouping, ...]:
    """What rows are grouped by; none are read where it is nothing."""
    if is_page:
        return GROUPINGS
    return () if by in PERIODS else (cast("Grouping", by),)


async def _read(session: Session, first: date, last: date, now: datetime, groupings: tuple[Grouping, ...]) -> Figures:
    is_coloured = session.output.is_coloured
    async with session.connect() as connection:
        return await read_figures(connection, first, last, now=now, groupings=groupings, is_coloured=is_coloured)


def _show(session: Session, form: ReportForm | None, figures: Figures, by: By, names: Mapping[str, str]) -> None:
    output = session.output
    form = form or output.form
    if form == "json":
        output = replace(output, form="json")
        output.show_record(as_record(figures, by, names))
    elif form == "table":
        show_screen(output, figures, by, names)
    else:
        _write_lines(form, lines(figures, by, names))
        tell(f"{figures.regularity.verdict}: {figures.regularity.reason}")


def _write_lines(form: Literal["tsv", "csv"], found: Sequence[Line]) -> None:
    """Write them as the other commands do: a head in CSV alone."""
    writer = open_writer(sys.stdout.buffer, form, LINE_COLUMNS, has_head=form == "csv")
    for line in found:
        writer.write({name: value for name, value in line.items() if value is not None})
    writer.close()
    sys.stdout.flush()


def _write_page(target: Path, figures: Figures, by: By, now: datetime, names: Mapping[str, str]) -> None:
    from .report_page import page  # noqa: PLC0415 - the screen does without

    period = by if by in PERIODS else "week"
    with replacing(target) as file:
        file.write(page(figures, period, names, now).encode())
    tell(f"{target}: {figures.regularity.verdict}: {figures.regularity.reason}")
