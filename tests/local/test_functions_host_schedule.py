"""NCRONTAB: when a timer fires next."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.functions_host.schedule import Schedule, ScheduleError

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 */2 * * * *", "2026-11-23T12:00:00", "2026-11-23T12:02:00"),
        ("0 * * * * *", "2026-11-23T12:00:00.5", "2026-11-23T12:01:00"),
        ("*/10 * * * * *", "2026-11-23T12:00:55", "2026-11-23T12:01:00"),
        ("*/5 * * * *", "2026-11-23T12:01:00", "2026-11-23T12:05:00"),
        ("0 30 9 * * 1-5", "2026-11-27T10:00:00", "2026-11-30T09:30:00"),
        ("0 30 9 * * Mon-Fri", "2026-11-27T10:00:00", "2026-11-30T09:30:00"),
        ("0 0 0 1 JAN,jul *", "2026-11-23T12:00:00", "2027-01-01T00:00:00"),
        ("0 0 0 29 2 *", "2026-11-23T12:00:00", "2028-02-29T00:00:00"),
        ("0 5/20 * * * *", "2026-11-23T12:06:00", "2026-11-23T12:25:00"),
        ("0 0 22-23 31 12 *", "2026-12-31T22:00:00", "2026-12-31T23:00:00"),
        ("0 0 0 13 * 5", "2026-11-23T12:00:00", "2027-08-13T00:00:00"),
    ],
)
def test_next_occurrence(expression: str, after: str, expected: str) -> None:
    """The next occurrence is the first later moment in which every field matches, day and weekday both."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert Schedule.parse(expression).next_after(moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@given(MOMENTS, st.integers(1, 59))
def test_next_is_later_and_on_the_grid(moment: datetime, step: int) -> None:
    """The next occurrence is later than the moment, within the hour, and on a multiple of the step."""
    found = Schedule.parse(f"0 */{step} * * * *").next_after(moment)
    assert moment < found <= moment + timedelta(hours=1)
    assert (found.second, found.microsecond, found.minute % step) == (0, 0, 0)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * *",
        "60 * * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * * 13 *",
        "* * * * * 7",
        "5-1 * * * * *",
        "*/0 * * * * *",
        "x * * * * *",
        "*-5 * * * * *",
        "1.5 * * * * *",
        "0 0 0 30 2 *",
        "00:05:00",
    ],
)
def test_refused_expressions(expression: str) -> None:
    """What is not NCRONTAB, or never fires, is refused when it is read; so are TimeSpans, which Flex does not take."""
    with pytest.raises(ScheduleError):
        Schedule.parse(expression)


@pytest.mark.parametrize(
    ("expression", "often"),
    [("*/10 * * * * *", True), ("0,30 * * * * *", True), ("0 * * * * *", False), ("0 */2 * * * *", False)],
)
def test_timers_too_frequent_for_a_monitor(expression: str, *, often: bool) -> None:
    """Two occurrences less than a minute apart mean more often than once a minute."""
    assert Schedule.parse(expression).fires_within_a_minute(datetime(2026, 11, 23, tzinfo=UTC)) is often
