"""What becomes of a row when its submission did not simply succeed: one ordered list of rules.

    failure                                   owner       what happens
    429                                       dispatcher  window closed until Retry-After, row waits, costs it nothing
    401, 403, 402, no token                   operator    submissions pause, row waits, costs it nothing
    nothing was sent                          the row     waits with growing delay, attempt counted
    no metadata of that mail yet              the row     waits for hours, attempt counted
    400, 404, 413, 422 and other 4xx          nobody      rejected with Microsoft's words
    anything after sending                    reconcile   uncertain

Pure: takes the error and what the row has been through, returns a decision as data. Only `submit` and `settle` act.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.errors import AnswerLost, GraphError, NotAllowed, NotReady, NotSent, Throttled
from shared.domain.model import State
from shared.domain.planner import WINDOW

THROTTLED = "throttled"
FAILURES_BEFORE_GIVING_UP = 8
LOST_POSTS_BEFORE_GIVING_UP = 3
"""POSTs that came to nothing: Microsoft takes an item three times in 24 hours (Graph throttling limits)."""
NOT_SENT_FIRST = timedelta(minutes=1)
NOT_SENT_MOST = timedelta(hours=1)
NOT_READY_FIRST = timedelta(hours=1)
NOT_READY_MOST = timedelta(hours=8)
THROTTLED_FIRST = timedelta(minutes=1)
THROTTLED_LEAST_S = 1.0
THROTTLED_MOST_S = 24 * 3600.0
PAUSE_FIRST = timedelta(minutes=5)
PAUSE_MOST = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the row: its next state, and for one that waits, how long and whether it counts as a failure."""

    state: State
    reason: str
    delay: timedelta = timedelta()
    counts: bool = False
    closes_window: bool = False


def decide(error: GraphError, *, failures: int, strikes: int) -> Decision:
    """What follows from a submission that raised `error`.

    `failures` are the row's own earlier ones, `strikes` the refusals of the whole tenant in a row.
    """
    if isinstance(error, Throttled):
        return Decision(State.PENDING, THROTTLED, _throttled_for(error, strikes), closes_window=True)
    if isinstance(error, NotAllowed):
        return Decision(State.PENDING, "not_allowed", _grown(PAUSE_FIRST, PAUSE_MOST, strikes), closes_window=True)
    if isinstance(error, NotSent):
        return _again(failures, "not_sent", NOT_SENT_FIRST, NOT_SENT_MOST)
    if isinstance(error, NotReady):
        return _again(failures, "metadata_not_ready", NOT_READY_FIRST, NOT_READY_MOST)
    if isinstance(error, AnswerLost):
        return Decision(State.UNCERTAIN, "answer_lost")
    return Decision(State.REJECTED, "refused_by_microsoft")


def after_nothing_found(failures: int) -> Decision:
    """What follows when an uncertain row's POST is not at Microsoft: it had no effect, and the item's rule is over."""
    if failures + 1 >= LOST_POSTS_BEFORE_GIVING_UP:
        return Decision(State.FAILED, "no_effect")
    return Decision(State.PENDING, "no_effect", counts=True)


def _again(failures: int, reason: str, first: timedelta, most: timedelta) -> Decision:
    if failures + 1 >= FAILURES_BEFORE_GIVING_UP:
        return Decision(State.FAILED, reason)
    return Decision(State.PENDING, reason, _grown(first, most, failures), counts=True)


def _throttled_for(error: Throttled, strikes: int) -> timedelta:
    """Retry-After as given, from a second to a day; where Graph is silent a minute, doubling up to the window."""
    if error.retry_after_s is None:
        return _grown(THROTTLED_FIRST, WINDOW, strikes)
    return timedelta(seconds=min(max(error.retry_after_s, THROTTLED_LEAST_S), THROTTLED_MOST_S))


def _grown(first: timedelta, most: timedelta, times: int) -> timedelta:
    doubled: int = 2 ** min(times, 16)
    return min(first * doubled, most)
