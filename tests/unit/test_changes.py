"""The feed read exactly once and in order: any clocks, any delays, any stops."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cli.changes import AHEAD_MS, OVERLAP_MS, Change, Cursor, Pass, queries, read_cursor, write_cursor

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
START = MIDNIGHT - timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Reading:
    """A pass of the consumer: when it begins, how slow it reads, and after how many rows it is stopped."""

    after_s: float
    row_takes_s: float
    stopped_after: int | None


def change(number: int, appended_s: float, late_s: float) -> Change:
    """Return a row whose writer's clock told a time that much before its append; after it, where negative."""
    appended_at = START + timedelta(seconds=appended_s)
    told_ms = int((appended_at - timedelta(seconds=late_s)).timestamp() * 1000)
    return Change(appended_at, f"{told_ms:013d}-{number:032x}-000", {})


@st.composite
def feeds(draw: st.DrawFn) -> list[Change]:
    """Return rows in the order of their append, by clocks up to five minutes ahead, up to fifteen minutes late."""
    late = st.integers(-AHEAD_MS // 1000, OVERLAP_MS // 1000 - 1)
    found, at_s = [], 0.0
    for number in range(draw(st.integers(0, 30))):
        at_s += draw(st.sampled_from([0.001, 0.5, 2, 60, 400]))
        found.append(change(number, at_s, draw(late)))
    return found


def visible(feed: list[Change], cursor: Cursor, began_at: datetime, row_takes_s: float) -> Iterator[Change]:
    """Yield the rows by key, as a slow reader sees them while others append."""
    now, wanted = began_at, f"{cursor.since_ms:013d}"
    for one in sorted(feed, key=lambda each: each.key):
        if one.key >= wanted and one.appended_at <= now:
            yield one
            now += timedelta(seconds=row_takes_s)


def read(feed: list[Change], cursor: Cursor, reading: Reading, began_at: datetime, kept: list[str]) -> Cursor:
    """Read once, adding to what is kept; a stop leaves no more than the last saved cursor covers."""
    one_pass, unsaved = Pass(cursor, began_at), list[str]()
    for number, row in enumerate(visible(feed, cursor, began_at, reading.row_takes_s)):
        if number == reading.stopped_after:
            return cursor
        unsaved += [one.key for one in one_pass.take(row)]
        if number % 3 == 2:
            cursor = one_pass.cursor()
            kept += unsaved
            unsaved = []
    kept += [*unsaved, *(one.key for one in one_pass.finish())]
    return one_pass.cursor()


readings = st.builds(
    Reading,
    after_s=st.sampled_from([0.1, 3, 100, 1000]),
    row_takes_s=st.sampled_from([0.0, 0.2, 30]),
    stopped_after=st.none() | st.integers(0, 20),
)


@given(feeds(), st.lists(readings, max_size=12))
def test_each_change_once_in_the_order_of_its_append(feed: list[Change], plan: list[Reading]) -> None:
    """Whatever the writers' clocks, delays and the reader's stops: each row once, none before an older one."""
    cursor, began_at, kept = Cursor(0), START, list[str]()
    for reading in [*plan, Reading(10_000, 0, None), Reading(10_000, 0, None)]:
        began_at += timedelta(seconds=reading.after_s)
        cursor = read_cursor(write_cursor(read(feed, cursor, reading, began_at, kept)))
    assert kept == [one.key for one in sorted(feed)]
    assert cursor.delivered == frozenset()


def test_a_row_that_is_appended_during_the_pass_waits() -> None:
    """The pass that is under way leaves it to the next one, because an older one may hide behind the reader."""
    old, new = change(1, 0, 0), change(2, 5, 0)
    one_pass = Pass(Cursor(0), START + timedelta(seconds=4))
    assert [*one_pass.take(old), *one_pass.take(new), *one_pass.finish()] == [old]
    again = Pass(one_pass.cursor(), START + timedelta(seconds=6))
    assert [*again.take(old), *again.take(new), *again.finish()] == [new]


def test_the_cursor_stays_small() -> None:
    """It remembers the keys of the overlap, not those of the history."""
    one_pass = Pass(Cursor(0), START + timedelta(days=2))
    for number in range(100):
        one_pass.take(change(number, number * 60, 0))
    one_pass.finish()
    assert one_pass.cursor().delivered == frozenset()
    fresh = Pass(Cursor(0), START + timedelta(minutes=99))
    for number in range(100):
        fresh.take(change(number, number * 60, 0))
    fresh.finish()
    assert len(fresh.cursor().delivered) == OVERLAP_MS // 60_000 + 1


def test_one_query_a_day_from_the_cursor_on() -> None:
    """The days without rows before the first one are left out; the next day is looked at when a clock may be there."""
    noon = Cursor(int((MIDNIGHT - timedelta(hours=12)).timestamp() * 1000))
    late = MIDNIGHT - timedelta(minutes=4)
    wanted = f"RowKey ge '{noon.since_ms:013d}'"
    assert list(queries(noon, "20261123", late)) == [
        f"PartitionKey eq '20261123' and {wanted}",
        f"PartitionKey eq '20261124' and {wanted}",
    ]
    assert list(queries(noon, "20261123", late - timedelta(minutes=2))) == [f"PartitionKey eq '20261123' and {wanted}"]
    assert next(queries(Cursor(0), "20261124", late)).startswith("PartitionKey eq '20261124'")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"sinceMs": "x", "delivered": []}', json.dumps({"sinceMs": None})])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """A damaged cursor never means that everything is read anew."""
    with pytest.raises(ValueError, match=r".*"):
        read_cursor(text)
