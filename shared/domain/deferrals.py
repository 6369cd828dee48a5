"""When a report that could not be read is tried again, and when that has no hope left.

Pure rules. What failed says how long it is worth trying: a mail may answer "not found" for minutes after it arrived
(seen in public reports; no documentation says how long), an outage of Graph passes within hours, an error of our own
stays until the next deployment, and a report whose reading ended the whole process must not do so for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta

FIRST_WAIT = timedelta(minutes=2)
LONGEST_WAIT = timedelta(minutes=15)


class Trouble(enum.Enum):
    """Why a report could not be read."""

    REFUSED = "Graph says that there is no such mail, or refuses to give it"
    UNAVAILABLE = "Graph did not give it this time"
    ERROR = "our own code or storage failed on it"
    STOPPED = "the process ended while it was read"


_WORTH_TRYING: Mapping[Trouble, tuple[timedelta, int]] = {
    Trouble.REFUSED: (timedelta(hours=1), 1),
    Trouble.UNAVAILABLE: (timedelta(hours=24), 1),
    Trouble.ERROR: (timedelta(hours=6), 5),
    Trouble.STOPPED: (timedelta(0), 5),
}
"""How long since the first failure, and how many failures at least."""


def tried_again_at(failures: int, now: datetime) -> datetime:
    """When a report is tried again that has failed so often: two minutes after the first failure, then ever later."""
    doublings = min(max(failures, 1) - 1, 10)
    return now + min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def is_given_up(trouble: Trouble, failures: int, first_failed_at: datetime, now: datetime) -> bool:
    """Whether a report that has failed once more, for this reason, is not tried again."""
    at_least, times = _WORTH_TRYING[trouble]
    return failures >= times and now - first_failed_at >= at_least
