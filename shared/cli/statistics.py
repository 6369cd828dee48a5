"""`submissions statistics`: the table that tells what each day came to, rebuilt from the rows of `outcomes`.

The app keeps that table by itself. A rebuild is for days from before it did, or for a table that was lost. It writes
directly, under the guard that the app's own writes have, so both may run at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from ..codecs.statistics import COLUMNS
from ..domain.errors import AlreadyExists, Changed
from ..stores.statistics import Rebuilt, StatisticsStore
from .errors import CommandError, ExitCode
from .gauges import gauge
from .moments import MOMENT
from .output import Column, Output, tell

if TYPE_CHECKING:
    from .__main__ import Session

_ATTEMPTS: Final = 5
_SHOWN: Final = ("Received", "Submitted", "Covered", "Settled", "Confirmed", "Refuted")
_COLUMNS: Final = (
    Column(field="Day", heading="DAY"),
    Column(field="Told", heading="WHAT", size=32),
    *(Column(field=name, heading=name.upper(), is_right_aligned=True) for name in _SHOWN),
)
_TSV: Final = tuple(Column(field=name, heading=name) for name in ("Day", "Told", *COLUMNS.values()))


@click.group("statistics")
def statistics() -> None:
    """Rebuild the table that tells what each day came to.

    \b
    Examples:
      submissions statistics rebuild --since 2026-01-01 --dry-run
    """  # noqa: D301 - \b keeps click from joining the lines


@statistics.command("rebuild")
@click.option("--since", type=MOMENT, required=True, help="From this day on: 90d or 2026-01-01.")
@click.option("--until", type=MOMENT, help="Up to this day and with it; an age or a day. Else today.")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask me.")
@click.pass_obj
def rebuild(session: Session, /, *, since: datetime, until: datetime | None, dry_run: bool, yes: bool) -> None:
    """Count days anew from their rows, as the app does by itself for each day that changes.

    Shows the days whose figures differ, and asks. A day of which rows were deleted keeps its figures: what was received
    was received. Every row of the days is read. You need the rights of an administrator.

    \b
    Examples:
      submissions statistics rebuild --since 2026-01-01
      submissions statistics rebuild --since 90d --yes
      submissions statistics rebuild --since 7d --dry-run --output json
    """  # noqa: D301 - as above
    days = _days(since, until or datetime.now(UTC))
    asyncio.run(_rebuild(session, days, is_dry_run=dry_run, is_agreed=yes))


def _days(since: datetime, until: datetime) -> list[date]:
    span = (until.date() - since.date()).days
    if span < 0:
        raise click.UsageError("--since must not be behind --until")
    return [since.date() + timedelta(days=number) for number in range(span + 1)]


async def _rebuild(session: Session, days: Sequence[date], *, is_dry_run: bool, is_agreed: bool) -> None:
    async with session.connect() as connection:
        store = StatisticsStore(connection.table("statistics"), connection.table("outcomes"))
        if is_dry_run or not is_agreed:
            days = await _preview(store, days, session.output)
        if is_dry_run or not days:
            return
        _agree(len(days), is_agreed=is_agreed)
        done = {day: rebuilt async for day, rebuilt in _rebuilt(store, days, session.output)}
    if is_agreed:
        _show(session.output, done)
    tell(f"{sum(one.is_changed for one in done.values()):,} days were written.")


async def _preview(store: StatisticsStore, days: Sequence[date], output: Output) -> list[date]:
    """Show what a rebuild would change; the days that it would write."""
    with gauge("counting", len(days), is_coloured=output.is_coloured) as step:
        found: dict[date, Rebuilt] = {}
        for day in days:
            found[day] = await store.counted(day)
            step()
    _show(output, found)
    changed = [day for day, one in found.items() if one.is_changed]
    tell(f"{len(changed):,} of {len(days):,} days differ from their rows.")
    return changed


async def _rebuilt(store: StatisticsStore, days: Sequence[date], output: Output) -> AsyncIterator[tuple[date, Rebuilt]]:
    with gauge("rebuilding", len(days), is_coloured=output.is_coloured) as step:
        for day in days:
            yield day, await _rebuilt_day(store, day)
            step()


async def _rebuilt_day(store: StatisticsStore, day: date) -> Rebuilt:
    """Rebuild a day, again where the app has kept it meanwhile."""
    for _ in range(_ATTEMPTS):
        try:
            return await store.rebuild_alone(day)
        except (AlreadyExists, Changed):
            continue
    raise CommandError(f"{day} changes all the time: rebuild it again later")


def _agree(count: int, *, is_agreed: bool) -> None:
    """Go on only where somebody said yes."""
    if is_agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError("nothing was written: give --yes, as nobody can be asked here", ExitCode.WRONG_USE)
    if not click.confirm(f"Write {count:,} days?", err=True):
        raise CommandError("nothing was written")


def _show(output: Output, found: Mapping[date, Rebuilt]) -> None:
    """Show the days that change, and those that do not because rows were deleted."""
    told = [_record(day, one) for day, one in found.items() if one.is_changed or one.has_lost_rows]
    output.show_records(_COLUMNS if output.form == "table" else _TSV, told)


def _record(day: date, one: Rebuilt) -> dict[str, object]:
    told = "rows were deleted: stays" if one.has_lost_rows else "new" if one.before is None else "changed"
    figures = {column: getattr(one.after, name) for name, column in COLUMNS.items()}
    return {"Day": day.isoformat(), "Told": told, **figures}
