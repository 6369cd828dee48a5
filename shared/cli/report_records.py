"""A report's figures as records: a line for each period or group, the whole for JSON, and hints in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, cast

from ..domain.hints import Hint
from ..domain.regularity import RECOMMENDATION
from .listing import ID_CHARACTERS
from .report_counts import (
    COUNTS,
    NONE,
    OF_A_DAY,
    PERIODS,
    SECONDS,
    By,
    Grouping,
    Groups,
    Period,
    added_up,
    counts_record,
    numbered,
    periods_of,
)
from .report_reading import Figures

LINE_COLUMNS: Final[dict[str, type]] = {
    "Name": str,
    **dict.fromkeys(COUNTS, int),
    "RightPercent": float,
    **dict.fromkeys((*OF_A_DAY, *SECONDS), int),
}
"""Of a line in TSV and CSV; what does not apply is empty."""
_ASKS: Final = {
    "filter": "{about} was wrongly caught {count} times: look at its mail, then change the filter or ask for an allow "
    "entry of a few days.",
    "wanted": "{about}: {count} times people wanted its mail and Microsoft refuted them. Tell them, or, where it is "
    "honest, change the filter or ask for an allow entry.",
    "training": "{about}: {count} of {decided} decided claims were refuted. Show them what to report.",
    "category": "{about}: {count} of {decided} verdicts refuted the claim. Explain when to choose it.",
}
Line = Mapping[str, Any]


def lines(figures: Figures, by: By, names: Mapping[str, str]) -> list[Line]:
    """A record for each period of the time, or for each group, the largest first."""
    if by in PERIODS:
        return period_lines(figures, by)
    grouping = cast("Grouping", by)
    return group_lines(figures.rows.groups[grouping], names if by == "reporter" else {}) if figures.rows else []


def period_lines(figures: Figures, period: Period) -> list[Line]:
    """A record for each period, those without a report too."""
    counts = added_up(figures.days, period)
    return [
        {
            "Name": period_name(first, period),
            **counts_record(counts.get(first, {})),
            **(_not_added_up(figures.days.get(first, {})) if period == "day" else {}),
        }
        for first in periods_of(figures.first, figures.last, period)
    ]


def group_lines(groups: Groups, names: Mapping[str, str]) -> list[Line]:
    """A record for each group, under the name that `names` gives it, else its own; the largest first."""
    return [
        {"Name": names.get(name, name), **counts_record(found), **_not_added_up(found)}
        for name, found in groups.largest()
    ]


def total(figures: Figures) -> Counter[str]:
    """The counts of the whole time."""
    found: Counter[str] = Counter()
    for counts in figures.days.values():
        found.update({name: counts.get(name, 0) for name in COUNTS})
    return found


def period_name(first: date, period: Period) -> str:
    """A day or the first day of a week as `2026-11-23`, a month as `2026-11`."""
    return f"{first:%Y-%m}" if period == "month" else first.isoformat()


def name_reporters(figures: Figures, *, is_named: bool) -> dict[str, str]:
    """What stands for each reporter: their own address, or a number in the order of how much they report."""
    if figures.rows is None:
        return {}
    known = [name for name, _ in figures.rows.groups["reporter"].largest()]
    return {name: name for name in known} if is_named else numbered(known)


def as_record(figures: Figures, by: By, names: Mapping[str, str]) -> dict[str, object]:
    """All of it, for programs."""
    return {
        "FirstDay": figures.first.isoformat(),
        "LastDay": figures.last.isoformat(),
        "By": by,
        "Regular": {
            "Verdict": figures.regularity.verdict.value,
            "Reason": figures.regularity.reason,
            "Recommendation": RECOMMENDATION,
        },
        "Total": counts_record(total(figures)),
        "Lines": lines(figures, by, names),
        "Hints": [_hint_record(hint, names) for hint in figures.hints],
    }


def hint_text(hint: Hint, names: Mapping[str, str]) -> str:
    """What a hint asks, and the rows behind it, in words."""
    return f"{_asked(hint, names)} Rows: {', '.join(row[:ID_CHARACTERS] for row in hint.rows[:3])}{_more(hint)}"


def _more(hint: Hint) -> str:
    return f" and {hint.count - 3} more" if hint.count > 3 else ""


def _asked(hint: Hint, names: Mapping[str, str]) -> str:
    return _ASKS[hint.kind].format(about=_about(hint, names), count=f"{hint.count:,}", decided=f"{hint.decided:,}")


def _about(hint: Hint, names: Mapping[str, str]) -> str:
    return names.get(hint.about, NONE) if hint.kind == "training" else hint.about


def _hint_record(hint: Hint, names: Mapping[str, str]) -> dict[str, object]:
    return {
        "Kind": hint.kind,
        "About": _about(hint, names),
        "Count": hint.count,
        "Decided": hint.decided,
        "Told": _asked(hint, names),
        "Rows": list(hint.rows),
    }


def _not_added_up(found: Mapping[str, int]) -> dict[str, object]:
    return {name: found.get(name) for name in (*OF_A_DAY, *SECONDS)}


def seconds_of_days(figures: Figures, column: str) -> Iterable[tuple[date, int]]:
    """A column of seconds, for each day that has it."""
    return [(day, counts[column]) for day, counts in figures.days.items() if column in counts]
