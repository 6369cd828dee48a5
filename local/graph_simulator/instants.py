"""Instants as Graph reads and writes them.

Every instant inside the simulator is an aware UTC datetime and comes from an injected clock; text without an offset is
refused on the way in.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?(Z|[+-]\d\d:\d\d)")


def read_system_clock() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def parse_instant(text: str) -> datetime:
    """Return the instant written in `text` (Edm.DateTimeOffset). Raises ValueError if it is none or has no offset."""
    if not _INSTANT.fullmatch(text):
        raise ValueError("not a date with time and offset")
    return datetime.fromisoformat(text).astimezone(UTC)


def format_submission_instant(at: datetime) -> str:
    """Return `at` with the seven fractional digits of threat submissions, one more than Python can read back."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def format_mail_instant(at: datetime) -> str:
    """Return `at` to the second, as Outlook writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
