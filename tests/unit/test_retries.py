"""What becomes of a row after each kind of failure, and how delays grow."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.domain.errors import AnswerLost, Gone, GraphError, NotAllowed, NotReady, NotSent, Refused, Throttled
from shared.domain.model import State
from shared.domain.planner import WINDOW
from shared.domain.retries import (
    FAILURES_BEFORE_GIVING_UP,
    LOST_POSTS_BEFORE_GIVING_UP,
    ROWS_MAKE_AN_OUTAGE,
    Circumstances,
    Decision,
    after_nothing_found,
    decide,
)

DECISIONS = [
    (Throttled("x", status=429, retry_after_s=7.0), State.PENDING, "throttled", 7, False, True),
    (Throttled("x", status=429), State.PENDING, "throttled", 60, False, True),
    (NotAllowed("x", status=401), State.PENDING, "not_allowed", 300, False, True),
    (NotAllowed("x", status=403), State.PENDING, "not_allowed", 300, False, True),
    (NotSent("x"), State.PENDING, "not_sent", 0, False, False),
    (NotReady("x", status=400), State.PENDING, "metadata_not_ready", 3600, True, False),
    (AnswerLost("x", status=503), State.UNCERTAIN, "answer_lost", 0, False, False),
    (AnswerLost("x"), State.UNCERTAIN, "answer_lost", 0, False, False),
    (Refused("x", status=400), State.PENDING, "refused_by_microsoft", 900, False, False),
    (Refused("x", status=404), State.PENDING, "refused_by_microsoft", 900, False, False),
    (Gone("x", status=410), State.PENDING, "refused_by_microsoft", 900, False, False),
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
    assert decide(error, Circumstances()) == expected


@pytest.mark.parametrize(
    ("error", "minutes"),
    [
        (lambda: NotReady("x"), [60, 120, 240, 480, 480, 480, 480]),
    ],
    ids=["not_ready"],
)
def test_a_rows_own_failures_grow_its_delay_until_it_is_given_up(
    error: Callable[[], GraphError], minutes: list[int]
) -> None:
    """Doubling up to a most, then `failed`, which an operator can replay."""
    decisions = [decide(error(), Circumstances(failures=failures)) for failures in range(FAILURES_BEFORE_GIVING_UP)]
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
    decisions = [decide(error(), Circumstances(failures=100, strikes=strikes)) for strikes in range(len(minutes))]
    assert [one.delay for one in decisions] == [timedelta(minutes=one) for one in minutes]
    assert {(one.state, one.counts) for one in decisions} == {(State.PENDING, False)}
    assert decide(error(), Circumstances(strikes=10**6)).delay == decisions[-1].delay


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
    decision = decide(Throttled("x", retry_after_s=retry_after_s), Circumstances(strikes=strikes))
    assert decision.delay == timedelta(seconds=delay_s)


def test_a_post_that_came_to_nothing_is_repeated_twice() -> None:
    """Microsoft takes an item three times in 24 hours; after the third the row failed."""
    decisions = [after_nothing_found(count, others_accepted=True) for count in range(LOST_POSTS_BEFORE_GIVING_UP)]
    assert [one.state for one in decisions] == [State.PENDING, State.PENDING, State.FAILED]
    assert [one.counts for one in decisions] == [True, True, False]


def test_a_post_that_came_to_nothing_like_all_others_counts_against_nobody() -> None:
    """While no other row's POST is accepted either it is an outage, however long that takes."""
    decisions = [after_nothing_found(count, others_accepted=False) for count in range(100)]
    assert {(one.state, one.counts) for one in decisions} == {(State.PENDING, False)}


@pytest.mark.parametrize(
    ("error", "state"),
    [(NotSent("x"), State.PENDING), (AnswerLost("x", status=503), State.UNCERTAIN), (Refused("x"), State.PENDING)],
    ids=["not_sent", "answer_lost", "refused"],
)
def test_what_several_rows_in_a_row_meet_pauses_all(error: GraphError, state: State) -> None:
    """Two may be unlucky, three are an outage: a pause that grows from a minute to ten, and costs no row."""
    for rows in (1, ROWS_MAKE_AN_OUTAGE - 1):
        assert not decide(error, Circumstances(failing_rows=rows)).closes_window
    outages = [decide(error, Circumstances(failing_rows=ROWS_MAKE_AN_OUTAGE, strikes=one)) for one in range(6)]
    assert [one.delay for one in outages] == [timedelta(minutes=one) for one in (1, 2, 4, 8, 10, 10)]
    assert {(one.state, one.counts, one.closes_window) for one in outages} == {(state, False, True)}


@pytest.mark.parametrize("others_accepted", [False, True])
def test_a_refusal_is_for_good_once_others_succeed_or_a_day_is_over(*, others_accepted: bool) -> None:
    """The first one never is: what refuses one row may refuse all. Three POSTs in a day are what Microsoft admits."""
    error, since = Refused("x", status=404), timedelta()
    assert decide(error, Circumstances(others_accepted=others_accepted)).state is State.PENDING
    posts = 1
    while True:
        known = Circumstances(refused_for=since if posts > 1 else None, others_accepted=others_accepted and posts > 1)
        decision = decide(error, known)
        if decision.state is not State.PENDING:
            break
        since, posts = since + decision.delay, posts + 1
    assert decision.state is State.REJECTED
    assert (posts, since) == ((2, WINDOW) if others_accepted else (4, timedelta(hours=24)))


def test_a_refusal_of_everything_rejects_nobody() -> None:
    """The path of a beta API may move: a row that is tried now and then is not to blame, however long it takes."""
    known = Circumstances(refused_for=timedelta(days=6), others_accepted=True, failing_rows=ROWS_MAKE_AN_OUTAGE)
    assert decide(Refused("x"), known).state is State.PENDING


def test_a_429_that_can_be_the_items_own_makes_nobody_else_wait() -> None:
    """Unless several rows in a row meet it: then it is the tenant's."""
    error = Throttled("x", retry_after_s=840.0)
    alone = decide(error, Circumstances(is_items_own=True))
    assert (alone.closes_window, alone.delay) == (False, timedelta(minutes=14))
    assert decide(error, Circumstances(is_items_own=True, failing_rows=ROWS_MAKE_AN_OUTAGE)).closes_window
    assert decide(error, Circumstances()).closes_window
