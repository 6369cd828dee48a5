"""The workbook's weeks and months are the sums of the days that the app tells, whatever is told twice or anew."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from shared.domain.regularity import ReportedDay
from shared.domain.statistics import DayStatistics
from shared.usecases.outcomes.statistics import tell, tell_regularity
from tests.infra.workspace import NOW, Row, ask_file, trace

TODAY = NOW.date()
DAYS = timedelta(days=100)
COUNTS = [field.name for field in fields(DayStatistics) if field.name != "day" and "seconds" not in field.name]


def days() -> list[DayStatistics]:
    """Return a hundred days up to yesterday, some of them without a report, some without a submission."""
    chance = Random(21)  # noqa: S311 - the same days each time
    told = []
    for number in range(100, 0, -1):
        if chance.random() < 0.1:
            continue
        counts = {name: chance.randrange(60) for name in COUNTS}
        times = {f"seconds_to_{what}": chance.randrange(9_000) for what in ("submit_median", "verdict_p95")}
        told.append(DayStatistics(day=TODAY - timedelta(days=number), **counts, **times))
    return told


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[DayStatistics, float], Row]:
    """Return what makes the row of a day's line, told so many minutes ago."""
    caplog.set_level(logging.INFO)

    def line(one: DayStatistics, minutes_ago: float) -> Row:
        caplog.clear()
        tell(one)
        (message,) = caplog.messages
        return trace(message, minutes_ago, category="Function.settle_outcomes.User")

    return line


@pytest.fixture
def rows(lines: Callable[[DayStatistics, float], Row]) -> list[Row]:
    """Return the days' lines, each told with other figures an hour before, and the last one twice."""
    found = [lines(one, 2) for one in days()]
    return [*found, *(lines(replace(one, received=one.received + 1), 62) for one in days()), found[-1]]


def sums(begin: Callable[[date], date], names: list[str]) -> dict[date, dict[str, int]]:
    """Add days up by hand."""
    found: defaultdict[date, dict[str, int]] = defaultdict(lambda: dict.fromkeys(names, 0))
    for one in days():
        for name in names:
            found[begin(one.day)][name] += getattr(one, name)
    return dict(found)


def monday(day: date) -> date:
    """Return the first day of a day's week."""
    return day - timedelta(days=day.weekday())


def answered(name: str, by: str, rows: list[Row]) -> Iterator[tuple[date, Row]]:
    """Return the answer's rows by their day."""
    for row in ask_file(name, rows, window=DAYS):
        at = row.pop(by)
        assert isinstance(at, datetime)
        yield at.astimezone(UTC).date(), row


@pytest.mark.parametrize(
    ("name", "by", "begin"),
    [("weeks", "week", monday), ("months", "month", lambda day: day.replace(day=1)), ("unsubmitted", "week", monday)],
)
def test_a_period_is_the_sum_of_its_days(name: str, by: str, begin: Callable[[date], date], rows: list[Row]) -> None:
    """Each day by its last line, once; in the order of time; agreement of decided rows alone."""
    answer = dict(answered(name, by, rows))
    shares = {at: row.pop("right_percent", None) for at, row in answer.items()}
    assert list(answer) == sorted(answer)
    names = list(next(iter(answer.values())))
    assert answer == sums(begin, names)
    for at, share in shares.items():
        decided = answer[at].get("confirmed", 0) + answer[at].get("refuted", 0)
        assert share is None or share == pytest.approx(100 * answer[at]["confirmed"] / decided, abs=0.05)


def test_a_week_without_a_decision_has_no_share(lines: Callable[[DayStatistics, float], Row]) -> None:
    """Undecided rows are no agreement, and no disagreement."""
    (row,) = ask_file("weeks", [lines(DayStatistics(day=TODAY, received=3, undecided=3), 1)])
    assert (row["undecided"], row["right_percent"]) == (3, None)


def test_days_are_told_in_minutes(rows: list[Row]) -> None:
    """A time that no row of the day had is no time at all, and no nought."""
    for (at, row), one in zip(answered("days", "day", rows), days(), strict=True):
        assert at == one.day
        assert row["submit_median"] == pytest.approx((one.seconds_to_submit_median or 0) / 60)
        assert row["verdict_high"] == pytest.approx((one.seconds_to_verdict_p95 or 0) / 60)
        assert (row["submit_high"], row["verdict_median"]) == (None, None)


@pytest.mark.parametrize(("submitted", "regular", "missed"), [(1, "pass", 0), (0, "fail", 10)])
def test_the_rule_is_told(caplog: pytest.LogCaptureFixture, submitted: int, regular: str, missed: int) -> None:
    """Ten days with reports, of which one is not over for a day: with submissions, and without."""
    caplog.set_level(logging.INFO)
    past = [ReportedDay(TODAY - timedelta(days=n), 3, submitted, 1, 0) for n in range(11, 0, -1)]
    tell_regularity(past, NOW)
    (row,) = ask_file("irregular", [trace(caplog.messages[0], category="Function.settle_outcomes.User")])
    assert (row["regular"], row["irregular"]) == (regular, int(regular == "fail"))
    assert (row["received"], row["submitted"], row["failed"], row["missed"]) == (33, 11 * submitted, 0, missed)
