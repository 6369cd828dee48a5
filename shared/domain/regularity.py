"""Regularly: whether false positives and false negatives are submitted to Microsoft as steadily as they are reported.

It answers test 41117 of Microsoft's Zero Trust Assessment (github.com/microsoft/zerotrustassessment, seen in release
2.6.0), which itself looks for submissions of the last 30 days only. The rule:

FAIL, however little data there is, where one of these holds:
- a day had reports that were due and not one of its reports was submitted. A report is due unless it was rightly left
  out (`skipped`) or another speaks for it (`covered`), so a day of nothing else is in order. A day counts from 24 hours
  after its end: until then its reports may wait;
- a report has waited for over 24 hours;
- over 1 % of the reports ended `failed`: unsubmitted for a cause of ours. `rejected` is none of ours;
- a timer is silent;
- nothing at all was submitted for over 30 days, or on 7 days of data, whatever the reason. Shadow mode ends here.

Else NOT YET under 7 days of data, counted from the first day with a report. Else PASS.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

RECOMMENDATION: Final = (
    'Microsoft Zero Trust Assessment, test 41117: "Admin and user false positives and false negatives are submitted to '
    'Microsoft on a regular cadence"'
)
ENOUGH: Final = timedelta(days=7)
"""So much data a PASS needs."""
PATIENCE: Final = timedelta(hours=24)
"""So long a report may wait, and a day of reports for its first submission."""
LOST_PERCENT: Final = 1
LOOK_BACK: Final = timedelta(days=30)
"""How far back Microsoft's own test looks for a submission."""
_NAMED_DAYS = 3


class Regular(enum.StrEnum):
    """The verdict."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    NOT_YET = "NOT YET"


@dataclass(frozen=True, slots=True)
class ReportedDay:
    """What became of the reports of a UTC day: `submitted` reached Microsoft, `left_out` are skipped or covered."""

    day: date
    received: int
    submitted: int
    left_out: int
    failed: int

    @property
    def is_missed(self) -> bool:
        """Whether something was due and nothing was submitted."""
        return self.submitted == 0 and self.received > self.left_out


@dataclass(frozen=True, slots=True)
class Present:
    """How the app stands now: how long the oldest unsubmitted report has waited, and which timers are silent."""

    waits: timedelta
    silent: Sequence[str]


@dataclass(frozen=True, slots=True)
class Regularity:
    """The verdict, and why in one sentence."""

    verdict: Regular
    reason: str


def judge(
    days: Sequence[ReportedDay], now: datetime, present: Present | None, *, until: datetime | None = None
) -> Regularity:
    """Whether submitting is regular, by days with reports, in their order, of a time up to `until`, else to `now`.

    `present` is None where it cannot be seen or is not asked for; the reason then says so.
    """
    until = min(until or now, now)
    faults = [*_faults_of_days(days, now, until), *(_faults_now(present) if present else ())]
    if faults:
        return Regularity(Regular.FAIL, _sentence("; ".join(faults)))
    if _span(days, until) < ENOUGH:
        return Regularity(Regular.NOT_YET, _sentence(_too_little(days)))
    return Regularity(Regular.PASS, _sentence(_in_order(days, now, present)))


def _faults_of_days(days: Sequence[ReportedDay], now: datetime, until: datetime) -> Iterator[str]:
    missed = [one.day for one in days if one.is_missed and now >= _end(one.day) + PATIENCE]
    if missed:
        more = f" and {len(missed) - _NAMED_DAYS} more" if len(missed) > _NAMED_DAYS else ""
        named = ", ".join(day.isoformat() for day in missed[-_NAMED_DAYS:])
        yield f"on {_count(len(missed), 'day')} reports were due and none was submitted: {named}{more}"
    received, failed = sum(one.received for one in days), sum(one.failed for one in days)
    if failed * 100 > received * LOST_PERCENT:
        yield f"{failed:,} of {_count(received, 'report')} failed and were not submitted, {_percent(failed, received)}"
    yield from _long_silence(days, until)


def _long_silence(days: Sequence[ReportedDay], until: datetime) -> Iterator[str]:
    submitted = [one.day for one in days if one.submitted]
    if submitted and until - _end(submitted[-1]) > LOOK_BACK:
        yield f"nothing of the last {LOOK_BACK.days} days was submitted"
    if not submitted and _span(days, until) >= ENOUGH:
        yield f"none of {_count(sum(one.received for one in days), 'report')} was submitted"


def _faults_now(present: Present) -> Iterator[str]:
    if present.waits > PATIENCE:
        yield f"a report has waited for {present.waits // timedelta(hours=1)} hours"
    if present.silent:
        timers = "the timer" if len(present.silent) == 1 else "the timers"
        yield f"{timers} {', '.join(present.silent)} {'is' if len(present.silent) == 1 else 'are'} silent"


def _too_little(days: Sequence[ReportedDay]) -> str:
    if not days:
        return "no report is known"
    return f"the first report is of {days[0].day.isoformat()}, and {ENOUGH.days} days of data are needed"


def _in_order(days: Sequence[ReportedDay], now: datetime, present: Present | None) -> str:
    judged = [one for one in days if now >= _end(one.day) + PATIENCE]
    received, failed = sum(one.received for one in days), sum(one.failed for one in days)
    said = f"reports were submitted on {sum(bool(one.submitted) for one in judged)} of {_count(len(judged), 'day')}"
    rest = sum(not one.submitted for one in judged)
    said += " that had some" if not rest else f" that had some (none was due on the other {rest})"
    lost = f"{_percent(failed, received)} of {received:,} failed"
    seen = "nothing waits over 24 hours and every timer runs" if present else "waiting and timers were not looked at"
    return f"{said}, {lost}, {seen}"


def _span(days: Sequence[ReportedDay], until: datetime) -> timedelta:
    """How long there has been data: from the beginning of the first day with a report."""
    return until - _begin(days[0].day) if days else timedelta()


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _end(day: date) -> datetime:
    return _begin(day) + timedelta(days=1)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "0 %"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
