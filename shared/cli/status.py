"""`submissions status`: how the app does, on one screen: the backlog, the quota, pauses, the timers, and what is wrong.

The invariant: it reads the tables `worklist` and `runstate` and a month of `statistics`, and changes nothing, so it may
be asked as often as wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from ..stores.heartbeats import Heartbeat
from ..usecases.outcomes.backlog import Lane
from .condition import KEPT, REGULARITY_DAYS, Condition, Pause, QuotaState, Trouble, age, has_failed, read_condition
from .errors import ExitCode
from .output import Column, Output, shown, table, tell, tsv_line, write
from .replay_choice import count_replayable
from .statistics_days import read_days, reported

if TYPE_CHECKING:
    from rich.console import Console

    from .__main__ import Session

_LANES: Final = {
    "urgent": "wait, urgent",
    "normal": "wait, normal",
    "low": "wait, low",
    "in_flight": "being submitted",
    "at_microsoft": "at Microsoft, verdict to come",
    "uncertain": "uncertain, looked up at Microsoft",
    "covered": "covered by another row",
    KEPT: "failed or rejected, can be replayed",
}
_REST: Final = Column(field="", heading="", share=1)
"""What is left of a wide screen: figures stand beside their words, not at its other end."""
_BACKLOG_COLUMNS: Final = (
    Column(field="Lane", heading="ROWS", size=36),
    Column(field="Count", heading="COUNT", size=8, is_right_aligned=True),
    Column(field="Oldest", heading="OLDEST", size=12, is_right_aligned=True),
    _REST,
)
_QUOTA_COLUMNS: Final = (
    Column(field="Limit", heading="QUOTA", size=36),
    Column(field="Used", heading="USED", size=8, is_right_aligned=True),
    Column(field="Of", heading="OF", size=12, is_right_aligned=True),
    _REST,
)
_TIMER_COLUMNS: Final = (
    Column(field="Function", heading="TIMER", size=16),
    Column(field="Ended", heading="LAST RUN", size=12, is_right_aligned=True),
    Column(field="Took", heading="TOOK", size=7, is_right_aligned=True),
    Column(field="Count", heading="DID", size=7, is_right_aligned=True),
    Column(field="Failed", heading="LAST FAILURE", share=1),
)


@click.command("status")
@click.option("--check", "is_check", is_flag=True, help="End with 1 where something is wrong; each is told on stderr.")
@click.pass_obj
def show_status(session: Session, /, is_check: bool) -> None:
    """Show how the app does: backlog, quota, pauses and timers.

    What is wrong is told as well: what an alert of the deployment would tell, under its name. JSON has all figures in
    seconds; TSV is a line for each, its section first. You need the rights of an administrator.

    \b
    Examples:
      submissions status
      submissions status --check >/dev/null || echo "look at it"
      submissions status --output json
    """  # noqa: D301 - \b keeps click from joining the lines
    condition = asyncio.run(_read(session))
    show(session.output, condition)
    if is_check and condition.troubles():
        for trouble in condition.troubles():
            tell(f"{trouble.alert}: {trouble.told}")
        click.get_current_context().exit(ExitCode.PARTLY_DONE)


async def _read(session: Session) -> Condition:
    from ..adapters.system_clock import SystemClock  # noqa: PLC0415 - `--help` does without

    clock = SystemClock()
    last = clock.now().date()
    async with session.connect() as connection:
        days = await read_days(connection.table("statistics"), last - timedelta(days=REGULARITY_DAYS), last)
        tables = connection.table("worklist"), connection.table("runstate")
        replayable = await count_replayable(connection.table("outcomes"), clock.now())
        return await read_condition(*tables, clock, reported(days), replayable)


def show(output: Output, condition: Condition) -> None:
    """Show it as a screen for people, a JSON object, or TSV lines."""
    if output.form == "table":
        _show_screen(output, condition)
    elif output.form == "json":
        output.show_record(_record(condition))
    else:
        for line in _lines(condition):
            write(tsv_line([Column(field=str(place), heading="") for place in range(len(line))], _numbered(line)))


def _show_screen(output: Output, condition: Condition) -> None:
    console = output.console()
    console.print(table(_BACKLOG_COLUMNS, map(_lane_row, condition.lanes), is_fixed=True))
    write("")
    console.print(table(_QUOTA_COLUMNS, _quota_rows(condition.quota), is_fixed=True))
    for line in _moments(condition):
        console.print(shown(line))
    write("")
    console.print(_timer_table(condition))
    write("")
    console.print(shown(f"Submitting regularly: {condition.regularity.verdict}. {condition.regularity.reason}"))
    _show_troubles(console, condition.troubles())


def _show_troubles(console: Console, troubles: Sequence[Trouble]) -> None:
    from rich.padding import Padding  # noqa: PLC0415 - `--help` does without

    if not troubles:
        console.print("Nothing is wrong.", style="green")
        return
    console.print("Look at (docs/monitoring.md tells what to do):", style="bold red")
    for trouble in troubles:
        console.print(Padding(shown(f"{trouble.alert}: {trouble.told}"), (0, 0, 0, 2), expand=False))


def _lane_row(lane: Lane) -> Mapping[str, object]:
    oldest = age(timedelta(seconds=lane.oldest_s)) if lane.count else "-"
    return {"Lane": _LANES[lane.name], "Count": f"{lane.count:,}", "Oldest": oldest}


def _quota_rows(quota: QuotaState) -> Iterator[Mapping[str, object]]:
    limits = quota.limits
    yield {"Limit": "15 minutes", "Used": f"{quota.used.window:,}", "Of": f"{limits.for_anyone:,}" if limits else "?"}
    yield {"Limit": "24 hours", "Used": f"{quota.used.today:,}", "Of": f"{limits.per_day:,}" if limits else "?"}


def _moments(condition: Condition) -> Iterator[str]:
    """When the next rows may go, and whether anything keeps them all back."""
    quota, pause = condition.quota, condition.pause
    if pause is not None:
        yield f"Submissions pause {_until(pause, condition.at)}: {pause.told}."
    if quota.limits is None:
        yield "The limits are not known: no timer of the app has run yet."
        return
    normal, urgent = _in(quota.next_at, condition.at), _in(quota.next_urgent_at, condition.at)
    yield f"Next slot: {normal}." if normal == urgent else f"Next slot: {normal}; for an urgent row: {urgent}."


def _until(pause: Pause, now: datetime) -> str:
    if pause.until > now:
        return f"until {pause.until:%H:%M:%S} UTC, in {age(pause.until - now)}"
    return "but for one row at a time, to see whether they work again"


def _in(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "not known"
    return "now" if at <= now else f"at {at:%H:%M:%S} UTC, in {age(at - now)}"


def _timer_table(condition: Condition) -> Any:
    """The timers' runs: red is one that is silent, yellow one whose last run failed."""
    found = table(_TIMER_COLUMNS, [_timer_row(timer, condition.at) for timer in condition.timers], is_fixed=True)
    for row, timer in zip(found.rows, condition.timers, strict=True):
        row.style = "red" if condition.is_silent(timer) else "yellow" if has_failed(timer) else None
    return found


def _timer_row(timer: Heartbeat, now: datetime) -> Mapping[str, object]:
    return {
        "Function": timer.function,
        "Ended": "never" if timer.ended_at is None else f"{age(now - timer.ended_at)} ago",
        "Took": "" if timer.took_ms is None else f"{timer.took_ms / 1000:.1f}s",
        "Count": timer.count,
        "Failed": "-" if timer.failed_at is None else f"{age(now - timer.failed_at)} ago, {timer.error}",
    }


def _record(condition: Condition) -> dict[str, object]:
    quota, pause = condition.quota, condition.pause
    return {
        "At": condition.at,
        "Backlog": {lane.name: {"Count": lane.count, "OldestSeconds": lane.oldest_s} for lane in condition.lanes},
        "Quota": {
            "WindowUsed": quota.used.window,
            "WindowLimit": quota.limits.for_anyone if quota.limits else None,
            "WindowLimitNotUrgent": quota.limits.for_others if quota.limits else None,
            "DayUsed": quota.used.today,
            "DayLimit": quota.limits.per_day if quota.limits else None,
            "NextAt": quota.next_at,
            "NextUrgentAt": quota.next_urgent_at,
        },
        "Pause": None
        if pause is None
        else {"Until": pause.until, "Reason": pause.reason, "IsProbing": pause.is_probing, "Told": pause.told},
        "Regular": {"Verdict": condition.regularity.verdict.value, "Reason": condition.regularity.reason},
        "Timers": {timer.function: _timer_record(timer, condition.at) for timer in condition.timers},
        "Troubles": [{"Alert": trouble.alert, "Told": trouble.told} for trouble in condition.troubles()],
    }


def _timer_record(timer: Heartbeat, now: datetime) -> dict[str, object]:
    return {
        "EndedAt": timer.ended_at,
        "SecondsSinceEnd": None if timer.ended_at is None else int((now - timer.ended_at).total_seconds()),
        "TookMilliseconds": timer.took_ms,
        "Count": timer.count,
        "FailedAt": timer.failed_at,
        "Error": timer.error,
    }


def _lines(condition: Condition) -> Iterator[tuple[object, ...]]:
    """What TSV has: section, name, and figures; an empty field is not known."""
    quota, pause = condition.quota, condition.pause
    for lane in condition.lanes:
        yield "backlog", lane.name, lane.count, lane.oldest_s
    window, day = (quota.limits.for_anyone, quota.limits.per_day) if quota.limits else (None, None)
    yield "quota", "window", quota.used.window, window, quota.next_at, quota.next_urgent_at
    yield "quota", "day", quota.used.today, day
    if pause is not None:
        yield "pause", pause.reason, pause.until, pause.is_probing
    yield "regular", condition.regularity.verdict.value, condition.regularity.reason
    for timer in condition.timers:
        yield "timer", timer.function, timer.ended_at, timer.took_ms, timer.count, timer.failed_at, timer.error
    for trouble in condition.troubles():
        yield "trouble", trouble.alert, trouble.told


def _numbered(line: tuple[object, ...]) -> dict[str, object]:
    return {str(place): value for place, value in enumerate(line)}
