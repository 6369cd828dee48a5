"""The verdict "regularly", on both sides of each edge of its rule."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.domain.regularity import Present, Regular, Regularity, ReportedDay, judge

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
WELL = Present(timedelta(hours=1), ())


def day(days_ago: int, *, received: int = 10, submitted: int = 6, left_out: int = 4, failed: int = 0) -> ReportedDay:
    """Return a day in order, of so long ago."""
    return ReportedDay(TODAY - timedelta(days=days_ago), received, submitted, left_out, failed)


MONTH = [day(days_ago) for days_ago in range(30, -1, -1)]


def with_day(changed: ReportedDay) -> list[ReportedDay]:
    """Return the month with one other day."""
    return [changed if one.day == changed.day else one for one in MONTH]


def verdict(days: list[ReportedDay], now: datetime = NOW, present: Present | None = WELL) -> Regular:
    """Return the verdict alone."""
    return judge(days, now, present).verdict


def test_a_month_in_order_passes() -> None:
    """The reason says what was looked at, in one sentence."""
    assert judge(MONTH, NOW, WELL) == Regularity(
        Regular.PASS,
        "Reports were submitted on 29 of 29 days that had some, 0.00 % of 310 failed, nothing waits over 24 hours and "
        "every timer runs.",
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (day(5, submitted=0, left_out=9), Regular.FAIL),
        (day(5, submitted=1, left_out=9), Regular.PASS),
        (day(5, submitted=0, left_out=10), Regular.PASS),
        (day(5, received=1, submitted=0, left_out=0), Regular.FAIL),
    ],
    ids=["one was due and none submitted", "the one was submitted", "none was due", "a day of one report"],
)
def test_a_day_with_due_reports_has_a_submission(changed: ReportedDay, expected: Regular) -> None:
    """What was rightly left out, or is covered by another, is not due."""
    assert verdict(with_day(changed)) == expected


def test_a_missed_day_is_named() -> None:
    """Three of them at most, the latest."""
    days = [
        day(days_ago, submitted=0, left_out=0) if days_ago in {4, 6, 8, 9} else day(days_ago)
        for days_ago in range(29, 0, -1)
    ]
    assert judge(days, NOW, WELL).reason == (
        "On 4 days reports were due and none was submitted: 2026-11-22, 2026-11-24, 2026-11-26 and 1 more."
    )


@pytest.mark.parametrize(("seconds", "expected"), [(-1, Regular.PASS), (0, Regular.FAIL)])
def test_a_day_counts_from_24_hours_after_its_end(seconds: int, expected: Regular) -> None:
    """Until then its last report may wait; that one has waited too long is another rule."""
    counts_at = datetime(2026, 11, 30, tzinfo=UTC) + timedelta(seconds=seconds)
    days = [one for one in with_day(ReportedDay(date(2026, 11, 28), 1, 0, 0, 0)) if one.day < TODAY]
    assert verdict(days, counts_at) == expected


@pytest.mark.parametrize(("waits", "expected"), [(timedelta(0), Regular.PASS), (timedelta(seconds=1), Regular.FAIL)])
def test_no_report_waits_over_24_hours(waits: timedelta, expected: Regular) -> None:
    """24 hours to the second are in order."""
    found = judge(MONTH, NOW, Present(timedelta(hours=24) + waits, ()))
    assert found.verdict == expected
    assert ("has waited for 24 hours" in found.reason) == (expected is Regular.FAIL)


@pytest.mark.parametrize(("failed", "expected"), [(0, Regular.PASS), (10, Regular.PASS), (11, Regular.FAIL)])
def test_one_percent_may_fail(failed: int, expected: Regular) -> None:
    """10 of 1,000 are in order, 11 are not."""
    days = [day(days_ago, received=100) for days_ago in range(10, 0, -1)]
    days[3] = day(7, received=100, failed=failed)
    assert verdict(days) == expected


def test_a_silent_timer_fails() -> None:
    """It is named."""
    assert judge(MONTH, NOW, Present(timedelta(0), ("dispatch",))) == Regularity(
        Regular.FAIL, "The timer dispatch is silent."
    )


@pytest.mark.parametrize(("seconds", "expected"), [(-1, Regular.NOT_YET), (0, Regular.PASS)])
def test_seven_days_of_data_are_needed(seconds: int, expected: Regular) -> None:
    """Counted from the first day with a report, however many days have one."""
    first = day(7)
    enough_at = datetime(2026, 11, 30, tzinfo=UTC) + timedelta(seconds=seconds)
    assert verdict([first], enough_at) == expected


def test_a_fault_counts_on_the_first_day() -> None:
    """Too little data excuses nothing that is known."""
    assert verdict([day(0)]) == Regular.NOT_YET
    assert verdict([day(0)], present=Present(timedelta(0), ("dispatch", "settle_outcomes"))) == Regular.FAIL
    assert verdict([day(0, failed=1)]) == Regular.FAIL


def test_no_report_at_all_is_too_little() -> None:
    """Nothing can be said of an app that nobody reported to."""
    assert judge([], NOW, WELL) == Regularity(Regular.NOT_YET, "No report is known.")


@pytest.mark.parametrize(("days_ago", "expected"), [(8, Regular.FAIL), (6, Regular.NOT_YET)])
def test_days_of_nothing_but_skipped_reports_are_not_regular(days_ago: int, expected: Regular) -> None:
    """Shadow mode: nothing was due, and after seven days nothing was submitted either."""
    days = [day(ago, submitted=0, left_out=10) for ago in range(days_ago, 0, -1)]
    assert verdict(days) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0, Regular.PASS), (1, Regular.FAIL)])
def test_a_month_without_a_submission_is_not_regular(seconds: int, expected: Regular) -> None:
    """Microsoft's own test looks 30 days back."""
    last = date(2026, 10, 30)
    days = [ReportedDay(last, 10, 6, 4, 0), ReportedDay(TODAY - timedelta(days=3), 1, 0, 1, 0)]
    assert verdict(days, datetime(2026, 11, 30, tzinfo=UTC) + timedelta(seconds=seconds)) == expected


def test_what_was_not_looked_at_is_said() -> None:
    """A reader without the rights of an administrator still gets a verdict, and knows what it leaves out."""
    found = judge(MONTH, NOW, None)
    assert found.verdict == Regular.PASS
    assert found.reason.endswith("waiting and timers were not looked at.")
    rest = judge(with_day(day(5, submitted=0, left_out=10)), NOW, WELL)
    assert "on 28 of 29 days that had some (none was due on the other 1)" in rest.reason


def test_a_time_in_the_past_is_judged_by_its_own_days() -> None:
    """Six of them are too few, whenever that is asked; the last counts, as its reports have waited long enough."""
    days = [day(days_ago) for days_ago in range(20, 14, -1)]
    until = datetime(2026, 11, 16, tzinfo=UTC)
    assert judge(days, NOW, None, until=until).verdict == Regular.NOT_YET
    assert judge([day(21), *days], NOW, None, until=until).verdict == Regular.PASS
    assert judge([day(21), *days[:-1], day(15, submitted=0)], NOW, None, until=until).verdict == Regular.FAIL
