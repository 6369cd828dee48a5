"""What becomes of a row after each kind of failure, and how delays grow."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.domain.errors import AnswerLost, Gone, GraphError, NotAllowed, NotReady, NotSent, Refused, Throttled
from shared.domain.model import State
from shared.domain.retries import (
    FAILURES_BEFORE_GIVING_UP,
    LOST_POSTS_BEFORE_GIVING_UP,
    Decision,
    after_nothing_found,
    decide,
)

DECISIONS = [
    (Throttled("x", status=429, retry_after_s=7.0), State.PENDING, "throttled", 7, False, True),
    (Throttled("x", status=429), State.PENDING, "throttled", 60, False, True),
    (NotAllowed("x", status=401), State.PENDING, "not_allowed", 300, False, True),
    (NotAllowed("x", status=403), State.PENDING, "not_allowed", 300, False, True),
    (NotSent("x"), State.PENDING, "not_sent", 60, True, False),
    (NotReady("x", status=400), State.PENDING, "metadata_not_ready", 3600, True, False),
    (AnswerLost("x", status=503), State.UNCERTAIN, "answer_lost", 0, False, False),
    (AnswerLost("x"), State.UNCERTAIN, "answer_lost", 0, False, False),
    (Refused("x", status=400), State.REJECTED, "refused_by_microsoft", 0, False, False),
    (Refused("x", status=404), State.REJECTED, "refused_by_microsoft", 0, False, False),
    (Gone("x", status=410), State.REJECTED, "refused_by_microsoft", 0, False, False),
]


@pytest.mark.parametrize(
    ("error", "state", "reason", "delay_s", "counts", "closes_window"),
    DECISIONS,
    ids=[f"{type(case[0]).__name__}-{case[0].status}" for case in DECISIONS],
)
def test_each_failure_has_one_owner(
    error: GraphError, state: State, reason: str, delay_s: int, counts: bool, closes_window: bool
) -> None:
    """The table of failures: next state, why, how long, whether the row pays for it, whether everybody waits."""
    expected = Decision(state, reason, timedelta(seconds=delay_s), counts=counts, closes_window=closes_window)
    assert decide(error, failures=0, strikes=0) == expected


@pytest.mark.parametrize(
    ("error", "minutes"),
    [
        (lambda: NotSent("x"), [1, 2, 4, 8, 16, 32, 60]),
        (lambda: NotReady("x"), [60, 120, 240, 480, 480, 480, 480]),
    ],
    ids=["not_sent", "not_ready"],
)
def test_a_rows_own_failures_grow_its_delay_until_it_is_given_up(
    error: Callable[[], GraphError], minutes: list[int]
) -> None:
    """Doubling up to a most, then `failed`, which an operator can replay."""
    decisions = [decide(error(), failures=failures, strikes=0) for failures in range(FAILURES_BEFORE_GIVING_UP)]
    assert [one.delay for one in decisions[:-1]] == [timedelta(minutes=one) for one in minutes]
    assert decisions[-1].state is State.FAILED


@pytest.mark.parametrize(
    ("error", "minutes"),
    [
        (lambda: Throttled("x"), [1, 2, 4, 8, 15, 15]),
        (lambda: NotAllowed("x"), [5, 10, 20, 30, 30, 30]),
    ],
    ids=["throttled", "not_allowed"],
)
def test_refusals_of_the_tenant_grow_the_pause_and_cost_the_row_nothing(
    error: Callable[[], GraphError], minutes: list[int]
) -> None:
    """However many there were, and however often this row failed before: it waits, it is never given up."""
    decisions = [decide(error(), failures=100, strikes=strikes) for strikes in range(len(minutes))]
    assert [one.delay for one in decisions] == [timedelta(minutes=one) for one in minutes]
    assert {(one.state, one.counts) for one in decisions} == {(State.PENDING, False)}
    assert decide(error(), failures=0, strikes=10**6).delay == decisions[-1].delay


@pytest.mark.parametrize(
    ("retry_after_s", "delay_s"),
    [
        (0.0, 1),
        (-30.0, 1),
        (0.5, 1),
        (1.5, 1.5),
        (900.0, 900),
        (86_400.0, 86_400),
        (1e9, 86_400),
        (1e300, 86_400),
        (-1e300, 1),
    ],
)
@pytest.mark.parametrize("strikes", [0, 5])
def test_retry_after_is_kept_from_a_second_to_a_day(retry_after_s: float, delay_s: float, strikes: int) -> None:
    """What Graph asks for counts, whatever was before; nonsense does not close the window for ever."""
    decision = decide(Throttled("x", retry_after_s=retry_after_s), failures=0, strikes=strikes)
    assert decision.delay == timedelta(seconds=delay_s)


def test_a_post_that_came_to_nothing_is_repeated_twice() -> None:
    """Microsoft takes an item three times in 24 hours; after the third the row failed."""
    decisions = [after_nothing_found(failures) for failures in range(LOST_POSTS_BEFORE_GIVING_UP)]
    assert [one.state for one in decisions] == [State.PENDING, State.PENDING, State.FAILED]
    assert [one.counts for one in decisions] == [True, True, False]
