"""Reading what changed since costs requests for the changes, not for the history: counted before Azurite."""

import runpy
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from local.azurite import Azurite
from tests.cli.feed_rows import append, event, events, let_second_pass
from tests.support.command_line import ROOT, run
from tests.support.counting_proxy import CountingProxy, counting_proxy

LONG_ROWS = 6_000
"""Three pages of a thousand within the day, and three before it."""
DAYS = 20
CONSUME: Callable[[TableClient, sqlite3.Connection], None] = runpy.run_path(
    str(ROOT / "docs" / "examples" / "consume_feed.py")
)["consume"]


@dataclass(frozen=True, slots=True)
class Feed:
    """An account behind a proxy that counts, and when its newest rows were appended."""

    proxy: CountingProxy
    connection: str
    now: datetime


def by_command(feed: Feed, folder: Path, since: datetime) -> None:
    """Read once with the command, from a time where there is no cursor."""
    place = ("--cursor", str(folder / "cursor"), "--to", str(folder / "changes.jsonl"))
    done = run(feed.proxy.connection, "--local", "feed", *place, "--from", since.isoformat())
    assert (done.code, done.err) == (0, "")


def by_example(feed: Feed, folder: Path, since: datetime) -> None:
    """Read once with the example, from a time where there is no cursor."""
    with (
        closing(sqlite3.connect(folder / "changes.sqlite")) as database,
        TableClient.from_connection_string(feed.proxy.connection, "outcomelog") as table,
    ):
        database.execute("CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY, text TEXT)")
        beginning = f'{{"sinceMs": {int(since.timestamp() * 1000)}, "delivered": []}}'
        database.execute("INSERT OR IGNORE INTO cursor VALUES (1, ?)", [beginning])
        database.commit()
        CONSUME(table, database)


@pytest.fixture(scope="module", params=[0, LONG_ROWS], ids=["short history", "long history"])
def feed(request: pytest.FixtureRequest, azurite: Azurite) -> Iterator[Feed]:
    """Yield a feed of five new rows, with a long history before them or without: half of it on their own day."""
    connection, now = azurite.new_account(), datetime.now(UTC)
    half = request.param // 2
    if half:
        append(connection, events(now - timedelta(days=DAYS), half, every=timedelta(days=DAYS - 1) / half))
        append(connection, events(now - timedelta(hours=3), half, every=timedelta(hours=2) / half))
    append(connection, events(now - timedelta(minutes=3), 5))
    let_second_pass()
    with counting_proxy(connection) as proxy:
        yield Feed(proxy, connection, now)


@pytest.mark.parametrize("read", [by_command, by_example])
def test_requests_are_for_the_changes(feed: Feed, tmp_path: Path, read: Callable[[Feed, Path, datetime], None]) -> None:
    """Two requests, one more where a day begins in between: for five rows, for none, for one, whatever came before."""
    since = feed.now - timedelta(minutes=10)
    days = (feed.now + timedelta(minutes=6)).toordinal() - since.toordinal() + 1
    for new in (0, 0, 1):
        if new:
            append(feed.connection, [event(99_000, datetime.now(UTC))])
            let_second_pass()
        feed.proxy.taken()
        read(feed, tmp_path, since)
        assert 1 <= len(feed.proxy.taken()) - 1 <= days


def test_a_thousand_rows_are_one_more_request(feed: Feed, tmp_path: Path) -> None:
    """Many changes cost a request for each thousand."""
    many = append(feed.connection, events(feed.now - timedelta(seconds=100), 2_000, every=timedelta(milliseconds=20)))
    let_second_pass()
    feed.proxy.taken()
    by_command(feed, tmp_path, feed.now - timedelta(minutes=10))
    assert len(many) == 2_000
    assert 3 <= len(feed.proxy.taken()) - 1 <= 5  # a day may begin in between
