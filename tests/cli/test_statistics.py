"""`submissions statistics rebuild` as a process: what it shows, what it writes, and what it leaves alone."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.codecs.statistics import COLUMNS
from shared.domain.model import State
from shared.ports import Delete
from tests.cli.tenant_rows import row
from tests.cli.test_replay import tables
from tests.support.command_line import Done, run, screen, without_colour

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
NOON_OF = [NOW - timedelta(days=number) for number in range(3)]
ALL = ("--since", f"{NOON_OF[2]:%Y-%m-%d}", "--until", f"{NOON_OF[0]:%Y-%m-%d}")
YESTERDAY = ("--since", f"{NOON_OF[1]:%Y-%m-%d}", "--until", f"{NOON_OF[1]:%Y-%m-%d}")


@pytest.fixture
def account(storage_connection: str) -> str:
    """Return an account with a row of today, two of yesterday, and three of the day before."""

    async def fill() -> None:
        async with tables(storage_connection) as on:
            for days, noon in enumerate(NOON_OF):
                await on.outcomes.create(
                    [row(days * 10 + number, noon, state=State.SKIPPED) for number in range(days + 1)]
                )

    asyncio.run(fill())
    return storage_connection


def rebuild(connection: str, *arguments: str) -> Done:
    """Run the command to its end."""
    return run(connection, "--local", "statistics", "rebuild", *arguments)


def test_what_is_previewed_is_written_and_then_done(account: str) -> None:
    """A dry run writes nothing, the run itself does, and another one finds nothing to do."""
    previewed = rebuild(account, *ALL, "--dry-run", "--output", "json")
    days = json.loads(previewed.out)
    assert previewed.code == 0
    assert [(one["Day"], one["Told"], one["Received"], one["Skipped"]) for one in days] == [
        (f"{noon:%Y-%m-%d}", "new", number + 1, number + 1) for number, noon in reversed([*enumerate(NOON_OF)])
    ]
    assert set(days[0]) == {"Day", "Told", *COLUMNS.values()}
    written = rebuild(account, *ALL, "--yes", "--output", "json")
    assert (written.code, json.loads(written.out)) == (0, days)
    again = rebuild(account, *ALL, "--dry-run")
    assert (again.code, again.out) == (0, "")
    assert "0 of 3 days differ" in again.err


def test_nothing_is_written_unasked(account: str) -> None:
    """In a pipe nobody can be asked."""
    done = rebuild(account, *ALL)
    assert (done.code, len(done.lines)) == (2, 3)
    assert "give --yes" in done.err
    assert len(rebuild(account, *ALL, "--dry-run").lines) == 3


def test_a_day_keeps_what_was_deleted(account: str) -> None:
    """Of two rows one is gone: the day is named, and stays."""
    assert rebuild(account, *YESTERDAY, "--yes").code == 0

    async def delete() -> None:
        async with tables(account) as on:
            key = row(10, NOON_OF[1]).key
            await on.outcomes._outcomes.write(Delete(key.partition, key.submission_id))

    asyncio.run(delete())
    (told,) = json.loads(rebuild(account, *YESTERDAY, "--yes", "--output", "json").out)
    assert (told["Told"], told["Received"]) == ("rows were deleted: stays", 2)


def test_the_preview_fits_the_screen(account: str) -> None:
    """A day is a line of at most 80 characters; whoever watches is told how many differ."""
    written = without_colour(screen(account, "--local", "statistics", "rebuild", *ALL, "--dry-run", columns=80))
    days = [line.rstrip() for line in written.splitlines() if " new " in line]
    assert len(days) == 3
    assert max(map(len, days)) <= 80
    assert "3 of 3 days differ" in written


def test_an_account_without_the_table_says_what_to_do(storage_connection: str) -> None:
    """An app from before the table: nothing of it is made here."""
    done = rebuild(storage_connection, *YESTERDAY, "--yes")
    assert done.code == 4
    assert "there is no table" in done.err


def test_days_that_end_before_they_begin_are_wrong_use(account: str) -> None:
    """Nothing is asked of the account."""
    done = rebuild(account, "--since", "2026-11-02", "--until", "2026-11-01")
    assert done.code == 2
    assert "--since" in done.err
