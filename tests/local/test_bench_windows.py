"""Rolling windows over times of POSTs, and the earliest times that keep them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from local.bench.windows import LONG, SHORT, Allowance, fullest_window, ideal_times, overfull_windows

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(*minutes: float) -> list[datetime]:
    """Return the times so many minutes after the start."""
    return [START + timedelta(minutes=minute) for minute in minutes]


def test_a_window_does_not_hold_what_is_15_minutes_old() -> None:
    """A POST leaves the window exactly when it is 15 minutes old."""
    assert fullest_window(at(0, 14.9), SHORT) == 2
    assert fullest_window(at(0, 15), SHORT) == 1


def test_order_does_not_matter() -> None:
    """Arrivals are counted by their times, in whatever order they were written down."""
    assert fullest_window(at(20, 0, 14, 7), SHORT) == 3


def test_every_post_too_many_is_counted() -> None:
    """Each time that ends a window with more than the limit is one violation."""
    assert overfull_windows(at(0, 1, 2, 3, 30), SHORT, 2) == 2


def test_nothing_sent_fills_nothing() -> None:
    """No times, no window."""
    assert (fullest_window([], SHORT), overfull_windows([], SHORT, 0)) == (0, 0)


def test_the_ideal_goes_in_bursts() -> None:
    """What the window admits goes at once, the rest a window later."""
    assert ideal_times(5, START, Allowance(2, 100)) == at(0, 0, 15, 15, 30)


def test_the_ideal_waits_for_the_day() -> None:
    """What was sent before counts until it is 24 hours old."""
    earlier = at(-60, -30)
    assert ideal_times(3, START, Allowance(2, 3), earlier) == [*at(0), *(time + LONG for time in earlier)]


@given(
    count=st.integers(1, 40),
    allowance=st.builds(Allowance, st.integers(1, 5), st.integers(5, 12)),
    earlier=st.lists(st.integers(-1440, 0), max_size=5),
)
def test_the_ideal_breaks_no_window_and_wastes_none(count: int, allowance: Allowance, earlier: list[int]) -> None:
    """The ideal keeps every window, and no row could go a second earlier than it does, nor than the row before."""
    taken = at(*earlier)
    own = ideal_times(count, START, allowance, taken)
    assert overfull_windows(own, SHORT, allowance.per_15_min) == 0
    assert overfull_windows([*own, *taken], LONG, allowance.per_day) == overfull_windows(taken, LONG, allowance.per_day)
    for number, time in enumerate(own[1:], start=1):
        sooner = [*own[:number], time - timedelta(seconds=1)]
        broken = overfull_windows(sooner, SHORT, allowance.per_15_min)
        broken += overfull_windows([*sooner, *taken], LONG, allowance.per_day)
        assert broken or time in (START, own[number - 1])
