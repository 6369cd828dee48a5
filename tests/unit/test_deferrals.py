"""How long a report that cannot be read is tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.deferrals import FIRST_WAIT, LONGEST_WAIT, Trouble, is_given_up, tried_again_at
from tests.support.outcomes import NOW

HOUR = timedelta(hours=1)


@given(st.integers(0, 10_000))
def test_each_wait_is_no_shorter_than_the_one_before(failures: int) -> None:
    """From two minutes to a quarter of an hour, so that what comes back is read soon and costs little until then."""
    waits = [tried_again_at(count, NOW) - NOW for count in (failures, failures + 1)]
    assert FIRST_WAIT <= waits[0] <= waits[1] <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("trouble", "failures", "age", "is_over"),
    [
        (Trouble.REFUSED, 20, timedelta(minutes=59), False),
        (Trouble.REFUSED, 1, HOUR, True),
        (Trouble.UNAVAILABLE, 200, 23 * HOUR, False),
        (Trouble.UNAVAILABLE, 1, 24 * HOUR, True),
        (Trouble.ERROR, 200, 5 * HOUR, False),
        (Trouble.ERROR, 4, 6 * HOUR, False),
        (Trouble.ERROR, 5, 6 * HOUR, True),
        (Trouble.STOPPED, 4, 100 * HOUR, False),
        (Trouble.STOPPED, 5, timedelta(0), True),
    ],
)
def test_what_failed_says_how_long_it_is_tried(trouble: Trouble, failures: int, age: timedelta, is_over: bool) -> None:
    """A refusal for an hour, an outage for a day, our own error for six hours, what ends the process five times."""
    assert is_given_up(trouble, failures, NOW - age, NOW) is is_over


def test_a_refused_mail_is_asked_for_at_the_end_of_its_hour() -> None:
    """The waits add up to an hour and little more: nobody waits a second one for the last try."""
    at, failures = NOW, 1
    while not is_given_up(Trouble.REFUSED, failures, NOW, at):
        at, failures = tried_again_at(failures, at), failures + 1
    assert at - NOW <= timedelta(minutes=75)
    assert failures >= 6
