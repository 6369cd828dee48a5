"""What a process remembers of the reports that it has seen durable, and what it forgets."""

from datetime import timedelta

from shared.ports import ReportHead
from shared.usecases.arrivals.seen import MOST_SEEN, SeenReports
from tests.support.outcomes import NOW

RECENT = timedelta(hours=3)


def head(name: str, age: timedelta = timedelta(0)) -> ReportHead:
    """A report."""
    return ReportHead(name, NOW - age, "3|look", "anna.berg@contoso.example")


def test_what_was_seen_is_left_out() -> None:
    """And nothing else, in the order in which it is told."""
    seen = SeenReports()
    seen.add([head("b")], NOW - RECENT)
    assert seen.without([head("c"), head("b"), head("a")]) == [head("c"), head("a")]


def test_what_no_list_tells_any_more_is_forgotten() -> None:
    """It costs no memory, and should it be told all the same, it is looked for in storage."""
    seen = SeenReports()
    seen.add([head("old", RECENT + timedelta(minutes=1)), head("young")], NOW - RECENT)
    assert seen.without([head("old"), head("young")]) == [head("old")]
    seen.add([], NOW + timedelta(minutes=1))
    assert seen.without([head("young")]) == [head("young")]


def test_a_storm_costs_no_more_than_a_few_megabytes() -> None:
    """What is over is not remembered; what was before stays known."""
    seen = SeenReports()
    storm = [head(str(number)) for number in range(MOST_SEEN + 500)]
    for start in range(0, len(storm), 1_000):
        seen.add(storm[start : start + 1_000], NOW - RECENT)
    assert seen.without(storm) == storm[MOST_SEEN:]
