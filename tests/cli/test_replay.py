"""`submissions replay` as a process: what it shows, what it asks the app for, and what the app then does."""

import asyncio
import json
import os
import pty
import re
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.adapters.storage import AzureTable
from shared.adapters.system_clock import SystemClock
from shared.bootstrap import TABLES, open_storage
from shared.domain import keys
from shared.domain.model import Kind, Outcome, Source, State
from shared.domain.submissions import Material
from shared.settings import StorageAccess
from shared.stores.outcomes import OutcomeStore
from shared.stores.replays import Replays
from shared.stores.worklist import WorkItem, Worklist
from tests.cli.tenant_rows import HOSTILE, row
from tests.doctor.refusing_proxy import Refusal, refusing_proxy
from tests.flow.test_heartbeats import run as run_timers
from tests.support.command_line import COMMAND, Done, environment, run, screen, without_colour

URL = "https://evil.example/login"


@dataclass(frozen=True, slots=True)
class Tables:
    """The app's stores on an account."""

    outcomes: OutcomeStore
    worklist: Worklist
    replays: Replays

    async def end(self, *outcomes: Outcome) -> None:
        """Write rows that ended as they say, each with what was to be submitted."""
        for stored in await self.outcomes.create(outcomes):
            assert stored is not None
            one = stored.outcome
            entry = WorkItem(outcome=one, etag=stored.etag, material=Material(url=one.url), due_at=one.received_at)
            await self.worklist.add([entry])


@asynccontextmanager
async def tables(connection: str) -> AsyncIterator[Tables]:
    """Yield the stores, their tables made."""
    async with AsyncExitStack() as resources:
        clients = await open_storage(StorageAccess(connection_string=connection), None, resources)
        for name in TABLES:
            await clients.tables.create_table_if_not_exists(name)
        table = {name: AzureTable(clients.tables.get_table_client(name)) for name in TABLES}
        clock = SystemClock()
        yield Tables(
            OutcomeStore(table["outcomes"], table["outcomelog"], clock),
            Worklist(table["worklist"]),
            Replays(table["runstate"], clock),
        )


def ended(number: int, state: State, reason: str, now: datetime, **facts: Any) -> Outcome:
    """Return a request for a URL that ended so."""
    url = f"{URL}/{number}"
    known: dict[str, Any] = {"kind": Kind.URL, "source": Source.MANUAL, "url": url, "item_key": keys.url_item(url)}
    first = row(number, now - timedelta(hours=number), state=state, state_reason=reason, **(known | facts))
    return replace(first, dispatched_at=first.received_at, attempts=1)


def ends(now: datetime) -> list[Outcome]:
    """Return rows of each way: sent again, looked up, refused for good, hostile, and one that did not fail."""
    return [
        ended(1, State.FAILED, "not_sent", now),
        ended(2, State.FAILED, "never_reconciled", now),
        ended(3, State.REJECTED, "request_id_conflict", now),
        ended(4, State.REJECTED, "refused_by_microsoft", now, subject=HOSTILE),
        ended(5, State.SKIPPED, "too_old", now),
    ]


async def _fill(connection: str, outcomes: Sequence[Outcome]) -> None:
    async with tables(connection) as on:
        await on.end(*[one for one in outcomes if one.state is not State.SKIPPED])
        await on.outcomes.create([one for one in outcomes if one.state is State.SKIPPED])


@pytest.fixture
def rows(storage_connection: str) -> list[Outcome]:
    """Return the rows of the account."""
    found = ends(datetime.now(UTC))
    asyncio.run(_fill(storage_connection, found))
    return found


def asked(connection: str) -> set[str]:
    """Return the ids for which the app is asked."""

    async def read() -> set[str]:
        async with tables(connection) as on:
            return await on.replays.waiting_ids()

    return asyncio.run(read())


async def until_asked(connection: str) -> None:
    """Wait until a request stands."""
    async with tables(connection) as on:
        for _ in range(200):
            if await on.replays.waiting_ids():
                return
            await asyncio.sleep(0.1)
    raise AssertionError("nothing was asked for")


def ids(rows: Sequence[Outcome], *numbers: int) -> set[str]:
    """Return the ids of rows by number."""
    return {rows[number - 1].key.submission_id for number in numbers}


def replay(connection: str, *arguments: str) -> Done:
    """Run the command to its end."""
    return run(connection, "--local", "replay", *arguments)


def test_a_preview_tells_of_each_row_and_asks_for_none(storage_connection: str, rows: list[Outcome]) -> None:
    """The oldest day first; what cannot be replayed says why, and ends with 1."""
    done = replay(storage_connection, "--all", "--dry-run", "--output", "json")
    told = {one["SubmissionId"]: (one["State"], one["StateReason"], one["Way"]) for one in json.loads(done.out)}
    assert told == {
        rows[0].key.submission_id: ("failed", "not_sent", "submit"),
        rows[1].key.submission_id: ("failed", "never_reconciled", "look_up"),
        rows[2].key.submission_id: ("rejected", "request_id_conflict", None),
        rows[3].key.submission_id: ("rejected", "refused_by_microsoft", "submit"),
    }
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(rows[2].key.submission_id[:12])
    assert "requestId" in line
    assert asked(storage_connection) == set()


@pytest.mark.parametrize("columns", [80, 140])
def test_the_preview_fits_the_screen(storage_connection: str, rows: list[Outcome], columns: int) -> None:
    """A line for each row, none wider than the terminal, nothing hostile in it."""
    written = screen(storage_connection, "--local", "replay", "--all", "--dry-run", columns=columns)
    lines = [line.rstrip() for line in without_colour(written).splitlines()]
    assert max(map(len, lines)) <= columns
    assert lines[0].split()[0] == "ID"
    assert "looked up at Microsoft first" in written
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", without_colour(written)) is None
    assert sum(line.startswith(tuple(one.key.submission_id[:12] for one in rows)) for line in lines) >= 4


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--all"], (1, 2, 4)),
        (["--state", "failed"], (1, 2)),
        (["--reason", "not_sent", "--reason", "refused_by_microsoft"], (1, 4)),
        (["--since", "90m"], (1,)),
        (["--all", "--until", "90m", "--kind", "url"], (2, 4)),
        (["--all", "--limit", "500"], (1, 2, 4)),
    ],
)
def test_what_is_chosen_is_asked_for(
    storage_connection: str, rows: list[Outcome], arguments: list[str], numbers: tuple[int, ...]
) -> None:
    """And nothing else; asking twice is the same as asking once."""
    for _ in range(2):
        done = replay(storage_connection, *arguments, "--yes")
        assert "Traceback" not in done.err
        assert f"asked for {len(numbers)} row" in done.err
    assert asked(storage_connection) == ids(rows, *numbers)


def test_rows_are_named_by_id(storage_connection: str, rows: list[Outcome]) -> None:
    """By the whole id or its beginning, each once; exit code 0 where all can be replayed."""
    whole, beginning = rows[0].key.submission_id, rows[1].key.submission_id[:12]
    done = replay(storage_connection, whole, beginning, whole, "--yes")
    assert (done.code, len(done.lines)) == (0, 2), done.err
    assert asked(storage_connection) == ids(rows, 1, 2)


def test_nothing_is_asked_for_without_a_yes(storage_connection: str, rows: list[Outcome]) -> None:
    """Where nobody can be asked, the preview is shown and the exit code says that more is needed."""
    done = replay(storage_connection, rows[0].key.submission_id)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "--yes" in done.err
    assert asked(storage_connection) == set()


@pytest.mark.parametrize(("answer", "code", "numbers"), [("y", 0, (1,)), ("n", 1, ()), ("", 1, ())])
def test_a_person_is_asked(
    storage_connection: str, rows: list[Outcome], answer: str, code: int, numbers: tuple[int, ...]
) -> None:
    """On a terminal: yes does it, no and nothing do not."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--local", "replay", rows[0].key.submission_id],
        env=environment(storage_connection),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.write(master, f"{answer}\n".encode())
    process.communicate(timeout=60)
    written = os.read(master, 65536).decode()
    os.close(slave)
    os.close(master)
    assert process.returncode == code
    assert "Replay 1 row?" in written
    assert asked(storage_connection) == ids(rows, *numbers)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "which rows?"),
        (["--state", "settled"], 2, "only failed and rejected rows"),
        (["abcd1234", "--all"], 2, "not both"),
        (["--all", "--since", "1h", "--until", "2h"], 2, "--since must be before --until"),
        (["feedfacefeed"], 4, "feedfacefeed"),
        (["--reason", "no_such_reason"], 4, "no failed or rejected row"),
        (["--all", "--limit", "0"], 2, "--limit"),
    ],
)
def test_wrong_use_is_one_line(
    storage_connection: str, rows: list[Outcome], arguments: list[str], code: int, told: str
) -> None:
    """With the exit code of its kind, and nothing asked for."""
    done = replay(storage_connection, *arguments, "--yes")
    assert done.code == code, done.err
    assert told in done.err
    assert "Traceback" not in done.err
    assert asked(storage_connection) == set()
    assert rows


def test_a_row_that_did_not_fail_is_named(storage_connection: str, rows: list[Outcome]) -> None:
    """By id it can be meant; it is refused with its state."""
    done = replay(storage_connection, rows[4].key.submission_id, "--yes")
    assert done.code == 1
    assert "skipped" in done.err
    assert asked(storage_connection) == set()


def test_a_program_that_waits_gets_one_array(storage_connection: str, rows: list[Outcome]) -> None:
    """Of what was asked for the answers, and where nothing could be asked for, what was found."""
    done = replay(storage_connection, rows[2].key.submission_id, "--yes", "--wait", "1", "--output", "json")
    assert (done.code, [one["Way"] for one in json.loads(done.out)]) == (1, [None])


def test_more_than_the_limit_is_said(storage_connection: str, rows: list[Outcome]) -> None:
    """The first are asked for, and the rest needs another run."""
    done = replay(storage_connection, "--state", "failed", "--limit", "1", "--yes")
    assert "more than 1" in done.err
    assert len(asked(storage_connection)) == 1
    assert rows


@pytest.mark.parametrize(
    ("method", "table", "role"), [("GET", "outcomes", "Data Reader"), ("PUT", "runstate", "Data Contributor")]
)
def test_a_missing_right_is_named(
    storage_connection: str, rows: list[Outcome], method: str, table: str, role: str
) -> None:
    """Reading needs one role, asking another; exit code 3."""

    async def refused() -> Done:
        async with refusing_proxy(storage_connection, Refusal(method, f"/{table}")) as proxy:
            return await asyncio.to_thread(replay, proxy.connection, rows[0].key.submission_id, "--yes")

    done = asyncio.run(refused())
    assert done.code == 3, done.err
    assert f"Storage Table {role}" in done.err


def test_waiting_ends_in_time(storage_connection: str, rows: list[Outcome]) -> None:
    """Without an app nobody answers: exit code 5, and the request stands."""
    done = replay(storage_connection, rows[0].key.submission_id, "--yes", "--wait=0.5")
    assert done.code == 5
    assert "submissions status" in done.err
    assert asked(storage_connection) == ids(rows, 1)


async def test_the_app_takes_up_what_was_asked_for(storage_connection: str) -> None:
    """From the command to the app's own timer and back: the row waits anew, and who waits is told so."""
    found = ends(datetime.now(UTC))
    await _fill(storage_connection, found)
    row_id = found[0].key.submission_id
    command = asyncio.to_thread(replay, storage_connection, row_id, "--yes", "--wait=40", "--output", "json")
    waiting = asyncio.create_task(command)
    await until_asked(storage_connection)
    assert "event=replayed" in await run_timers(storage_connection, "settle_outcomes")
    done = await waiting
    assert done.code == 0, done.err
    (told,) = json.loads(done.out)
    assert (told["SubmissionId"], told["State"], told["StateReason"]) == (row_id, "pending", "replayed")


async def test_what_the_app_refuses_is_told(storage_connection: str) -> None:
    """Nothing was kept of the row: exit code 1, and the detail says what to do."""
    lost = ended(1, State.FAILED, "not_sent", datetime.now(UTC))
    async with tables(storage_connection) as on:
        await on.outcomes.create([lost])
    command = asyncio.to_thread(replay, storage_connection, lost.key.submission_id, "--yes", "--wait=40")
    waiting = asyncio.create_task(command)
    await until_asked(storage_connection)
    await run_timers(storage_connection, "settle_outcomes")
    done = await waiting
    assert done.code == 1
    assert "ask for the item anew" in done.out.lower()
    assert "1 row failed or rejected as before, or again" in done.err
