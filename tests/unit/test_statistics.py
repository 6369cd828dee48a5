from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.statistics import COLUMNS, read_statistics, statistics_entity
from shared.domain.model import Agreement, Direction, Outcome, OutcomeKey, Source, State
from shared.domain.statistics import DayStatistics, day_statistics, percentile
from shared.ports import Entity

DAY = date(2026, 11, 30)
AT = datetime(2026, 11, 30, 9, tzinfo=UTC)


def row(state: State = State.PENDING, **facts: Any) -> Outcome:
    """A row of the day."""
    key = OutcomeKey("20261130", "a" * 32)
    return Outcome(key=key, state=state, source=Source.MAILBOX, received_at=AT, collected_at=AT, **facts)


def figures(*rows: Outcome) -> dict[str, int]:
    """What is not nothing."""
    counted = day_statistics(DAY, rows)
    found = {field.name: getattr(counted, field.name) for field in fields(counted) if field.name != "day"}
    return {name: value for name, value in found.items() if value}


def test_a_day_without_rows_counts_nothing() -> None:
    """A day of no rows is all zeros, and has no times."""
    assert day_statistics(DAY, []) == DayStatistics(day=DAY)


@pytest.mark.parametrize("state", [State.SKIPPED, State.REJECTED, State.FAILED, State.EXPIRED, State.SETTLED])
def test_a_final_state_is_counted_under_its_name(state: State) -> None:
    """Each final state has its count."""
    assert figures(row(state)) == {"received": 1, state.value: 1}


def test_what_reached_microsoft_is_submitted_and_not_covered() -> None:
    """A covered row that was submitted itself later is submitted."""
    assert figures(row(State.SUBMITTED, submitted_at=AT, covered_by="b" * 32)) == {"received": 1, "submitted": 1}


@pytest.mark.parametrize(
    ("state", "covered"),
    [(State.COVERED, 1), (State.SETTLED, 1), (State.EXPIRED, 1), (State.SKIPPED, 0), (State.FAILED, 0)],
)
def test_a_row_is_covered_for_as_long_as_another_speaks_for_it(state: State, covered: int) -> None:
    """A covered row stays one when it takes its holder's end, and only then."""
    assert day_statistics(DAY, [row(state, covered_by="b" * 32)]).covered == covered


def test_verdicts_and_claims_are_counted() -> None:
    """Agreement, direction and disputes are counted each by its own column."""
    won = row(
        State.SETTLED,
        agreement=Agreement.CONFIRMED,
        direction=Direction.FALSE_POSITIVE,
        disputes="b" * 32,
        submitted_at=AT,
    )
    lost = replace(won, agreement=Agreement.REFUTED, direction=Direction.FALSE_NEGATIVE)
    open_yet = row(State.SUBMITTED, disputes="c" * 32, submitted_at=AT)
    plain = row(State.SETTLED, agreement=Agreement.UNDECIDED)
    assert figures(won, lost, open_yet, plain) == {
        "received": 4,
        "submitted": 3,
        "settled": 3,
        "confirmed": 1,
        "refuted": 1,
        "undecided": 1,
        "false_negatives": 1,
        "false_positives": 1,
        "disputed": 3,
        "disputes_won": 1,
    }


def test_reporters_and_campaigns_are_counted_once_each() -> None:
    """One address in two spellings is one reporter; who requests is none."""
    rows = [
        row(reporter="Alice@contoso.com", campaign_id="one"),
        row(reporter="alice@contoso.com", campaign_id="two"),
        row(reporter="bob@contoso.com", campaign_id="two"),
        row(requested_by="carol@contoso.com"),
    ]
    counted = day_statistics(DAY, rows)
    assert (counted.reporters, counted.campaigns) == (2, 2)


def test_times_are_of_the_rows_that_have_them() -> None:
    """A row without the column is in no percentile, and nought seconds are a time."""
    rows = [row(seconds_to_submit=seconds) for seconds in range(1, 21)]
    counted = day_statistics(DAY, [*rows, row(), row(seconds_to_verdict=0)])
    assert (counted.seconds_to_submit_median, counted.seconds_to_submit_p95) == (10, 19)
    assert (counted.seconds_to_verdict_median, counted.seconds_to_verdict_p95) == (0, 0)


@given(st.lists(st.integers(0, 50), min_size=1), st.sampled_from([50, 95]))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    """The docstring's definition, taken at its word."""
    found = percentile(values, percent)
    assert found in values

    def share(of: int) -> int:
        return 100 * sum(value <= of for value in values)

    assert share(found) >= percent * len(values)
    assert all(share(value) < percent * len(values) for value in values if value < found)


def test_no_word_of_a_row_stands_in_its_day() -> None:
    """Of text, only the keys stand in the table."""
    entity = statistics_entity(day_statistics(DAY, [row(reporter="alice@contoso.com", campaign_id="c", disputes="d")]))
    assert {name for name, value in entity.items() if isinstance(value, str)} == {"PartitionKey", "RowKey"}


def test_a_row_of_the_table_has_the_contract_s_columns() -> None:
    """Every count stands there, noughts too; a time that none has is absent."""
    entity = statistics_entity(day_statistics(DAY, [row()]))
    assert (entity["PartitionKey"], entity["RowKey"], entity["SchemaVersion"]) == ("202611", "20261130", 1)
    absent = {name for name in COLUMNS.values() if name.startswith("SecondsTo")}
    assert entity.keys() == {"PartitionKey", "RowKey", "SchemaVersion", *COLUMNS.values()} - absent


NUMBERS = st.integers(0, 2**31 - 1)
STATISTICS = st.builds(
    DayStatistics,
    day=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    **{name: NUMBERS | st.none() if name.startswith("seconds_to") else NUMBERS for name in COLUMNS},
)


@given(STATISTICS)
def test_a_row_is_read_as_it_was_written(statistics: DayStatistics) -> None:
    """Reading is the inverse of writing."""
    assert read_statistics(statistics_entity(statistics)) == statistics


def test_an_older_row_is_read_with_what_it_has() -> None:
    """A row that lacks columns, or has others, is read all the same."""
    entity: Entity = {"PartitionKey": "202611", "RowKey": "20261130", "SchemaVersion": 1, "Received": 3, "Else": "x"}
    assert read_statistics(entity) == DayStatistics(day=DAY, received=3)
