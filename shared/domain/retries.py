"""What becomes of a row when its submission did not simply succeed: one ordered list of rules.

    failure                                   owner       what happens
    429                                       dispatcher  window closed until Retry-After, row waits, costs it nothing
    429 that can be the item's own            the row     waits until Retry-After; nobody else does
    401, 403, 402, no token                   operator    submissions pause, row waits, costs it nothing
    nothing was sent                          the row     waits, costs it nothing; its slot is free again
    no metadata of that mail yet              the row     waits for hours, attempt counted
    400, 404, 413, 422 and other 4xx          the row     waits; rejected once another one is accepted, or after a day
    anything after sending                    reconcile   uncertain

What several rows in a row meet is no row's fault: submissions pause, one row is tried now and then, and all go on when
it succeeds. So an outage, or a refusal of everything, costs time and no row.

Pure: takes the error and what the row has been through, returns a decision as data. Only `submit` and `settle` act.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from .errors import AnswerLost, GraphError, NotAllowed, NotReady, NotSent, Throttled
from .model import State
from .planner import WINDOW

THROTTLED = "throttled"
REFUSED = "refused_by_microsoft"
POISONED = "poison_message"
FAILURES_BEFORE_GIVING_UP = 8
LOST_POSTS_BEFORE_GIVING_UP = 3
"""POSTs that came to nothing: Microsoft takes an item three times in 24 hours (Graph throttling limits)."""
ROWS_MAKE_AN_OUTAGE = 3
"""So many rows that failed since one was last accepted: it is not the rows."""
NOT_READY_FIRST = timedelta(hours=1)
NOT_READY_MOST = timedelta(hours=8)
THROTTLED_FIRST = timedelta(minutes=1)
THROTTLED_LEAST_S = 1.0
THROTTLED_MOST_S = 24 * 3600.0
PAUSE_FIRST = timedelta(minutes=5)
PAUSE_MOST = timedelta(minutes=30)
OUTAGE_FIRST = timedelta(minutes=1)
OUTAGE_MOST = timedelta(minutes=10)
"""How long nothing is sent before one row is tried again: long enough to cost no quota, short beside any outage."""
REFUSED_AGAIN = (WINDOW, timedelta(hours=2), timedelta(hours=24))
"""How long after its first refusal a row is sent again: three times in 24 hours, which Microsoft admits."""
REFUSED_FOR_GOOD_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the row: its next state, and for one that waits, how long and whether it counts as a failure."""

    state: State
    reason: str
    delay: timedelta = timedelta()
    counts: bool = False
    closes_window: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a row and the tenant have been through.

    `failures` are the row's own POSTs that came to nothing, `strikes` the pauses of the whole tenant in a row,
    `failing_rows` how many rows failed since one was last accepted, this one included. `refused_for` is how long ago
    Microsoft first refused the row, None where it never did or an outage is to blame; `others_accepted` whether another
    row was accepted since.
    `is_items_own` says whether a 429 can be about the item alone.
    """

    failures: int = 0
    strikes: int = 0
    failing_rows: int = 1
    refused_for: timedelta | None = None
    others_accepted: bool = False
    is_items_own: bool = False

    @property
    def is_outage(self) -> bool:
        """Whether what fails is not the row."""
        return self.failing_rows >= ROWS_MAKE_AN_OUTAGE


def decide(error: GraphError, known: Circumstances) -> Decision:
    """What follows from a submission that raised `error`."""
    if isinstance(error, Throttled):
        closes = not known.is_items_own or known.is_outage
        return Decision(State.PENDING, THROTTLED, _throttled_for(error, known.strikes), closes_window=closes)
    if isinstance(error, NotAllowed):
        return Decision(
            State.PENDING, "not_allowed", _grown(PAUSE_FIRST, PAUSE_MOST, known.strikes), closes_window=True
        )
    if isinstance(error, NotReady):
        return _not_ready(known)
    if isinstance(error, NotSent):
        return _in_outage(Decision(State.PENDING, "not_sent"), known)
    if isinstance(error, AnswerLost):
        return _in_outage(Decision(State.UNCERTAIN, "answer_lost"), known)
    return _refused(known)


def after_nothing_found(failures: int, *, others_accepted: bool) -> Decision:
    """What follows when an uncertain row's POST is not at Microsoft: it had no effect, and the item's rule is over.

    It counts against the row only where another row's POST was accepted since: else nobody's would have been.
    """
    if others_accepted and failures + 1 >= LOST_POSTS_BEFORE_GIVING_UP:
        return Decision(State.FAILED, "no_effect")
    return Decision(State.PENDING, "no_effect", counts=others_accepted)


def _in_outage(decision: Decision, known: Circumstances) -> Decision:
    """The decision, and a pause for all where several rows fail alike."""
    if not known.is_outage:
        return decision
    return replace(decision, delay=_grown(OUTAGE_FIRST, OUTAGE_MOST, known.strikes), closes_window=True)


def _refused(known: Circumstances) -> Decision:
    """A refusal of everything is an outage. A row is rejected where another one was accepted since, or after a day."""
    since = known.refused_for
    if known.is_outage:
        return _in_outage(Decision(State.PENDING, REFUSED), known)
    if since is not None and is_for_good(since, others_accepted=known.others_accepted):
        return Decision(State.REJECTED, REFUSED)
    waited = since or timedelta()
    again = next((at for at in REFUSED_AGAIN if at > waited), REFUSED_AGAIN[-1])
    return Decision(State.PENDING, REFUSED, max(again - waited, WINDOW))


def is_for_good(refused_for: timedelta, *, others_accepted: bool) -> bool:
    """Whether a row that was refused so long ago, and not in an outage, is rejected."""
    return others_accepted or refused_for >= REFUSED_FOR_GOOD_AFTER


def _not_ready(known: Circumstances) -> Decision:
    reason = "metadata_not_ready"
    if known.failures + 1 >= FAILURES_BEFORE_GIVING_UP:
        return Decision(State.FAILED, reason)
    return Decision(State.PENDING, reason, _grown(NOT_READY_FIRST, NOT_READY_MOST, known.failures), counts=True)


def _throttled_for(error: Throttled, strikes: int) -> timedelta:
    """Retry-After as given, from a second to a day; where Graph is silent a minute, doubling up to the window."""
    if error.retry_after_s is None:
        return _grown(THROTTLED_FIRST, WINDOW, strikes)
    return timedelta(seconds=min(max(error.retry_after_s, THROTTLED_LEAST_S), THROTTLED_MOST_S))


def _grown(first: timedelta, most: timedelta, times: int) -> timedelta:
    doubled: int = 2 ** min(times, 16)
    return min(first * doubled, most)
