"""How fast a mailbox is read after a refusal."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import AnswerLost, GraphError, Throttled
from shared.domain.pace import CONCURRENT_READS, LONGEST_REST, REST_UNTOLD, SERVED_BEFORE_MORE, Pace
from tests.support.outcomes import NOW


@pytest.mark.parametrize(
    ("error", "rest"),
    [
        (Throttled("read", status=429, retry_after_s=90.5), timedelta(seconds=90.5)),
        (Throttled("read", status=429, retry_after_s=0), timedelta(seconds=1)),
        (Throttled("read", status=429, retry_after_s=-7), timedelta(seconds=1)),
        (Throttled("read", status=429, retry_after_s=1e11), LONGEST_REST),
        (Throttled("read", status=429), REST_UNTOLD),
        (AnswerLost("read", status=503), REST_UNTOLD),
    ],
    ids=repr,
)
def test_a_mailbox_rests_as_long_as_graph_asks_for(error: GraphError, rest: timedelta) -> None:
    """At least a second, at most a day; a minute where it says nothing."""
    pace = Pace()
    pace.refused(error, NOW)
    assert pace.is_resting(NOW + rest - timedelta(microseconds=1))
    assert not pace.is_resting(NOW + rest)


def test_reading_begins_slowly_after_a_refusal() -> None:
    """One at a time, one more with every ten that are read, and never more than Outlook serves."""
    pace = Pace()
    pace.rest(NOW)
    steps = []
    for _ in range(6 * SERVED_BEFORE_MORE):
        steps.append(pace.at_once)
        pace.served()
    assert steps[::SERVED_BEFORE_MORE] == [1, 2, 3, 4, 4, 4]
    assert CONCURRENT_READS == 4


@given(st.lists(st.none() | st.floats(-10, 1e6), max_size=30))
def test_a_later_refusal_never_shortens_a_rest(refusals: list[float | None]) -> None:
    """The longest that was asked for counts; a report that is read ends the row of refusals."""
    pace, ends = Pace(), [NOW]
    for asked_s in refusals:
        pace.refused(Throttled("read", status=429, retry_after_s=asked_s), NOW)
        ends.append(pace.rests_until or NOW)
    assert ends == sorted(ends)
    assert pace.refusals == len(refusals)
    pace.served()
    assert pace.refusals == 0
