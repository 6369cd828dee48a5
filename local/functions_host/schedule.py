"""NCRONTAB schedules: when a timer fires next.

Six fields (second, minute, hour, day, month, day of week), or the five without seconds; names for months and days;
lists, ranges and steps. Unlike Unix cron, day and day of week must both match, as in the NCrontab library that the
host uses. Everything is UTC, as on Flex Consumption. The invariant: `next_after(t)` is later than `t`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Self

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

# The same day of the week falls on 29 February at most 40 years apart.
_SEARCH_DAYS = 41 * 366


class ScheduleError(ValueError):
    """The expression is not NCRONTAB, or never fires; the text says which field."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed NCRONTAB expression."""

    expression: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Return the schedule; `ScheduleError` for anything but five or six valid fields, or for 30 February."""
        fields = expression.split()
        if len(fields) == 5:
            fields = ["0", *fields]
        if len(fields) != 6:
            raise ScheduleError(f"a schedule has six fields (or five without seconds): {expression!r}")
        schedule = cls(
            expression,
            _values(fields[0], 0, 59),
            _values(fields[1], 0, 59),
            _values(fields[2], 0, 23),
            frozenset(_values(fields[3], 1, 31)),
            frozenset(_values(fields[4], 1, 12, _MONTHS)),
            frozenset(_values(fields[5], 0, 6, _DAYS)),
        )
        schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC))
        return schedule

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence later than `moment`, aware UTC; `ScheduleError` if there is none in 41 years."""
        after = moment.astimezone(UTC)
        for offset in range(_SEARCH_DAYS):
            day = after.date() + timedelta(days=offset)
            if day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays:
                found = self._first_in_day(datetime.combine(day, time(tzinfo=UTC)), after)
                if found is not None:
                    return found
        raise ScheduleError(f"never fires: {self.expression!r}")

    def fires_within_a_minute(self, moment: datetime) -> bool:
        """Whether two occurrences after `moment` are less than a minute apart; such a timer has no monitor."""
        first = self.next_after(moment)
        return self.next_after(first) - first < timedelta(minutes=1)

    def _first_in_day(self, midnight: datetime, after: datetime) -> datetime | None:
        for hour in self.hours:
            if midnight + timedelta(hours=hour + 1) <= after:
                continue
            for minute in self.minutes:
                for second in self.seconds:
                    candidate = midnight + timedelta(hours=hour, minutes=minute, seconds=second)
                    if candidate > after:
                        return candidate
        return None


def _values(field: str, least: int, most: int, names: tuple[str, ...] = ()) -> tuple[int, ...]:
    found: set[int] = set()
    for part in field.split(","):
        found.update(_range(part, least, most, names))
    return tuple(sorted(found))


def _range(part: str, least: int, most: int, names: tuple[str, ...]) -> range:
    span, has_step, step_text = part.partition("/")
    first_text, has_end, last_text = span.partition("-")
    if first_text == "*":
        first, last = least, most
    else:
        first = _number(first_text, least, names)
        last = _number(last_text, least, names) if has_end else most if has_step else first
    step = _number(step_text, least, ()) if has_step else 1
    if not least <= first <= last <= most or step < 1 or (first_text == "*" and has_end):
        raise ScheduleError(f"not between {least} and {most}: {part!r}")
    return range(first, last + 1, step)


def _number(text: str, least: int, names: tuple[str, ...]) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    if text.casefold()[:3] in names:
        return names.index(text.casefold()[:3]) + least
    raise ScheduleError(f"not a number or a name: {text!r}")
