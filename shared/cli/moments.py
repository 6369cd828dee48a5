"""Moments as people write them: an age such as `24h`, a day, or a time.

Pure but for the clock that ages are counted from. Every moment is aware UTC; a day is its first moment, UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_AGE = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Before the API existed. Each day of a range is asked for by itself: an age that is a slip would ask for thousands."""
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class TooEarly(ValueError):
    """A moment from before anything could be reported."""


class Moment(click.ParamType[datetime]):
    """`30m`, `24h`, `7d`, `2w`: so long ago; `2026-11-23`, `2026-11-23T14:00` or with an offset: then, else UTC."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment; a value that is none ends the command with wrong use."""
        if isinstance(value, datetime):
            return value
        try:
            return read_moment(str(value), datetime.now(UTC))
        except TooEarly:
            self.fail(f"{value!r} is before {_EARLIEST:%Y-%m-%d}, when there was nothing to report to", param, ctx)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither an age (30m, 24h, 7d) nor a time (2026-11-23T14:00Z)", param, ctx)


MOMENT: Final = Moment()


def read_moment(text: str, now: datetime) -> datetime:
    """The moment that a text names, ages counted back from `now`. Raises ValueError or OverflowError for none."""
    age = _AGE.fullmatch(text)
    at = now - timedelta(**{_UNITS[age[2]]: int(age[1])}) if age else datetime.fromisoformat(text)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at < _EARLIEST:
        raise TooEarly(text)
    return at
