"""A report on a terminal, 80 characters wide or more: the verdict, the figures with their curve, and a bar a line.

The invariant: what carries the meaning stands as text beside each bar and curve. A terminal that lacks block characters
gets `#` and no curve.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..domain.regularity import RECOMMENDATION, Regular
from .condition import age_of
from .output import Column, Output, shown, table, width, write
from .report_counts import PERIODS, By, right_percent
from .report_reading import Figures
from .report_records import Line, hint_text, lines, period_lines, seconds_of_days, total

if TYPE_CHECKING:
    from rich.console import Console

MOST_LINES: Final = 24
"""Groups on a screen; the other forms have all. Periods are all shown."""
_STYLES: Final = {Regular.PASS: "bold green", Regular.FAIL: "bold red", Regular.NOT_YET: "bold yellow"}
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_CURVE_POINTS: Final = 20


def show_screen(output: Output, figures: Figures, by: By, names: Mapping[str, str]) -> None:
    """Show the whole report."""
    console = output.console()
    _show_verdict(console, figures)
    write("")
    console.print(_fact_table(figures, by))
    write("")
    found = lines(figures, by, names)
    shown_lines = found if by in PERIODS else found[:MOST_LINES]
    console.print(table(_line_columns(by), _with_bars(shown_lines)))
    if len(found) > len(shown_lines):
        write(f"and {len(found) - len(shown_lines):,} more: --output csv has all")
    _show_hints(console, figures, names)


def _show_verdict(console: Console, figures: Figures) -> None:
    from rich.text import Text  # noqa: PLC0415 - dear, and only screens need it

    verdict = figures.regularity.verdict
    console.print(Text.assemble("Do we submit regularly? ", (verdict.value, _STYLES[verdict])))
    console.print(shown(figures.regularity.reason))
    console.print(shown(RECOMMENDATION), style="dim")


def _show_hints(console: Console, figures: Figures, names: Mapping[str, str]) -> None:
    from rich.padding import Padding  # noqa: PLC0415 - as above

    if figures.hints:
        write("")
        console.print("Look at", style="bold")
    for hint in figures.hints:
        console.print(Padding(shown(hint_text(hint, names)), (0, 0, 0, 2), expand=False))


# --- figures --------------------------------------------------------------------------------------------------------


def _fact_table(figures: Figures, by: By) -> Any:
    from rich.table import Table  # noqa: PLC0415 - as above

    found = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    found.add_column(no_wrap=True)
    found.add_column(no_wrap=True, justify="right")
    found.add_column(no_wrap=True)
    found.add_column(ratio=1)
    for name, figure, curve, told in _facts(figures, by):
        found.add_row(name, figure, curve, told)
    return found


def _facts(figures: Figures, by: By) -> Iterator[tuple[str, str, str, str]]:
    """What, how many, its curve over the time, and what else is to be said of it."""
    counts = total(figures)
    over_time = period_lines(figures, by if by in PERIODS else "week")

    def fact(name: str, column: str, told: str = "") -> tuple[str, str, str, str]:
        return name, f"{counts[column]:,}", curve([line[column] for line in over_time]), told

    yield fact("received", "Received", f"{figures.first.isoformat()} to {figures.last.isoformat()}, UTC")
    yield fact("  missed threats", "FalseNegatives", "claimed as false negatives")
    yield fact("  wrongly caught", "FalsePositives", "claimed as false positives")
    yield fact("submitted", "Submitted", f"{counts['Covered']:,} more are covered by these")
    yield fact("skipped", "Skipped", "rightly left out")
    yield fact("failed", "Failed", f"and {counts['Rejected']:,} rejected")
    yield fact("confirmed", "Confirmed", _agreement(right_percent(counts)))
    yield fact("refuted", "Refuted", "Microsoft says otherwise")
    yield fact("undecided", "Undecided", f"{counts['Expired']:,} more had no verdict in time")
    for name, column in (("to submit", "SecondsToSubmit"), ("to verdict", "SecondsToVerdict")):
        yield name, "", *_times(figures, column)


def _agreement(percent: float | None) -> str:
    return "nothing is decided yet" if percent is None else f"{percent} % of decided claims right"


def _times(figures: Figures, column: str) -> tuple[str, str]:
    """The curve of the days' medians, and between which they are, with the longest 95th percentile."""
    medians = [seconds for _, seconds in seconds_of_days(figures, f"{column}Median")]
    longest = [seconds for _, seconds in seconds_of_days(figures, f"{column}P95")]
    if not medians or not longest:
        return "", "no figures yet"
    low, high = age_of(min(medians)), age_of(max(medians))
    told = f"median {low} to {high} a day, p95 up to {age_of(max(longest))}"
    return curve(medians, is_sum=False), told


# --- lines ----------------------------------------------------------------------------------------------------------


def _line_columns(by: By) -> tuple[Column, ...]:
    is_period = by in PERIODS
    bar = Column(field="Bar", heading="", size=_bar_characters(is_period=is_period))
    return (
        Column(field="Name", heading=by.upper(), size=10 if is_period else 0, share=0 if is_period else 1),
        Column(field="Received", heading="RECEIVED", is_right_aligned=True),
        bar,
        Column(field="Submitted", heading="SUBMITTED", is_right_aligned=True),
        Column(field="Confirmed", heading="CONFIRMED", is_right_aligned=True),
        Column(field="Refuted", heading="REFUTED", is_right_aligned=True),
        Column(field="Undecided", heading="UNDECIDED", is_right_aligned=True, from_width=100),
        Column(field="Right", heading="RIGHT", is_right_aligned=True),
    )


def _bar_characters(*, is_period: bool) -> int:
    if not is_period:
        return 8 if width() < 100 else 24
    return min(max(width() - (66 if width() < 100 else 78), 4), 48)


def _with_bars(found: Sequence[Line]) -> Iterator[Line]:
    most = max((line["Received"] for line in found), default=0)
    for line in found:
        counts = {name: f"{value:,}" for name, value in line.items() if isinstance(value, int)}
        percent = line["RightPercent"]
        right = "" if percent is None else f"{percent:.0f} %"
        size = _bar_characters(is_period="-" in line["Name"])
        yield {**line, **counts, "Right": right, "Bar": bar(line["Received"], most, size)}


# --- pictures of characters -----------------------------------------------------------------------------------------


def bar(value: int, most: int, characters: int) -> str:
    """A bar of at most so many characters, to an eighth of one; something is never shown as nothing."""
    eighths = max(round(8 * characters * value / most), 1) if value else 0
    if not _has_blocks():
        return "#" * (-(-eighths // 8))
    return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def curve(values: Sequence[int], *, is_sum: bool = True) -> str:
    """A sparkline of at most 20 characters; of more values, some of a kind are one character: their sum, or their most.

    A gap is a value of nothing. Empty where the terminal lacks the characters.
    """
    share = -(-len(values) // _CURVE_POINTS) or 1
    taken = [values[first : first + share] for first in range(0, len(values), share)]
    points = [sum(some) if is_sum else max(some) for some in taken]
    most = max(points, default=0)
    if not most or not _has_blocks():
        return ""
    return "".join(_HEIGHTS[(8 * point - 1) // most if point else 0] if point else " " for point in points)


def _has_blocks() -> bool:
    try:
        _HEIGHTS.encode(sys.stdout.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
