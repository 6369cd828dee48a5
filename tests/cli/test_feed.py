"""`submissions feed` as a process, on its output, its files and its exit code, against rows in Azurite."""

import csv
import io
import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import pytest

from local.azurite import Azurite
from shared.cli.columns import FEED_COLUMNS
from shared.domain.model import State
from tests.cli.feed_rows import append, event, events, history, let_second_pass
from tests.support.command_line import COMMAND, Done, environment, run

HOSTILE = '=HYPERLINK("https://evil.example","pay")'
CHAIN = (State.PENDING, State.DISPATCHED, State.SUBMITTING, State.SUBMITTED, State.SETTLED)


def ago(**span: float) -> datetime:
    """Return the time so long ago: of the row that a test is about to append."""
    return datetime.now(UTC) - timedelta(**span)


def feed(connection: str, *arguments: str | Path) -> Done:
    """Run it to its end."""
    return run(connection, "--local", "feed", *map(str, arguments))


def keys(text: str) -> list[str]:
    """Return the row keys of JSON lines, in their order."""
    return [json.loads(line)["RowKey"] for line in text.splitlines()]


def wait_for_lines(file: Path, count: int) -> None:
    """Wait until a file of another process has that many lines."""
    deadline_s = monotonic() + 100
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        assert monotonic() < deadline_s
        sleep(0.02)


def follow(connection: str, *arguments: str | Path) -> "subprocess.Popen[bytes]":
    """Start it; it goes on looking."""
    return subprocess.Popen(
        [*COMMAND, "--local", "feed", "--follow", "--every", "0.2", *map(str, arguments)],
        env=environment(connection),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def one_life(azurite: Azurite) -> tuple[str, list[str]]:
    """Return an account whose feed has one report's way, across a midnight, and its row keys; no test changes it."""
    connection = azurite.new_account()
    midnight = ago(days=1).replace(hour=0, minute=0, second=0, microsecond=0)
    written = append(connection, history(1, midnight - timedelta(seconds=2), *CHAIN))
    let_second_pass()
    return connection, written


# --- What comes out -------------------------------------------------------------------------------------------------


def test_each_change_is_a_line_with_its_columns(one_life: tuple[str, list[str]]) -> None:
    """Across two days, in order, under the contract's names; times are UTC; what does not apply is left out."""
    connection, written = one_life
    done = feed(connection)
    rows = [json.loads(line) for line in done.lines]
    assert (done.code, done.err) == (0, "")
    assert [row["RowKey"] for row in rows] == written
    assert [row["Event"] for row in rows] == list(CHAIN)
    assert [row.get("PreviousState") for row in rows] == [None, *CHAIN[:-1]]
    assert rows[0]["ReceivedAt"] == "2026-11-23T12:00:00Z"
    assert set(rows[0]) <= set(FEED_COLUMNS)
    assert "Verdict" not in rows[0]


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables_have_every_column(one_life: tuple[str, list[str]], form: str, delimiter: str) -> None:
    """The names first, then a row for each change; what does not apply is empty."""
    connection, written = one_life
    rows = list(csv.DictReader(io.StringIO(feed(connection, "--format", form).out), delimiter=delimiter))
    assert list(rows[0]) == list(FEED_COLUMNS)
    assert [row["RowKey"] for row in rows] == written
    assert (rows[0]["ReceivedAt"], rows[0]["Verdict"], rows[0]["Attempts"]) == ("2026-11-23T12:00:00Z", "", "0")


def test_from_begins_with_the_changes_since_then(one_life: tuple[str, list[str]]) -> None:
    """A day is its first moment in UTC: of the report's way, what came after midnight."""
    connection, written = one_life
    day = json.loads(feed(connection).lines[-1])["PartitionKey"]
    assert keys(feed(connection, "--from", f"{day[:4]}-{day[4:6]}-{day[6:]}").out) == written[2:]
    assert keys(feed(connection, "--from", "1s").out) == []


def test_an_empty_feed_gives_nothing(storage_connection: str, tmp_path: Path) -> None:
    """No row is no error: nothing, or the columns' names; a table that is not there is."""
    missing = feed(storage_connection)
    assert (missing.code, missing.out) == (4, "")
    assert "outcomelog" in missing.err
    append(storage_connection)
    done = feed(storage_connection, "--cursor", tmp_path / "cursor")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert feed(storage_connection, "--format", "csv").lines == [",".join(FEED_COLUMNS)]


def test_strangers_text_is_defused(storage_connection: str) -> None:
    """No line break, formula or control character leaves a cell; `--raw` leaves formulas; JSON loses nothing."""
    texts = [HOSTILE, "\tx\t=1", " +1", "@SUM(1)", "\uff1dcmd", 'say "a,b"\r\n', "\u202ecod.exe", "plain"]
    append(storage_connection, [event(one, ago(hours=1), state_detail=text) for one, text in enumerate(texts)])
    let_second_pass()

    def details(*arguments: str, delimiter: str = ",") -> set[str]:
        out = feed(storage_connection, *arguments).out
        assert "\u202e" not in out
        assert "\r" not in out
        return {row["StateDetail"] for row in csv.DictReader(io.StringIO(out), delimiter=delimiter)}

    plain = {" x =1", 'say "a,b"  ', "cod.exe", "plain"}
    formulas = {HOSTILE, " +1", "@SUM(1)", "\uff1dcmd"}
    defused = {"'" + text for text in formulas}
    assert details("--format", "csv") == plain | defused
    assert details("--format", "tsv", delimiter="\t") == plain | defused
    assert details("--format", "csv", "--raw") == plain | formulas
    assert {json.loads(line)["StateDetail"] for line in feed(storage_connection).lines} >= {HOSTILE, "cod.exe"}
    assert feed(storage_connection).out.isascii()


# --- Where it goes on -----------------------------------------------------------------------------------------------


def test_a_cursor_goes_on_where_it_ended(storage_connection: str, tmp_path: Path) -> None:
    """Each change once over many calls, also one that is appended behind newer ones; `--from` no longer counts."""
    cursor = tmp_path / "feed.cursor"
    first = append(storage_connection, events(ago(hours=1), 3))
    let_second_pass()
    assert keys(feed(storage_connection, "--cursor", cursor, "--from", "2h").out) == first
    assert keys(feed(storage_connection, "--cursor", cursor).out) == []
    newer = append(storage_connection, [event(10, ago(seconds=1))])
    let_second_pass()
    assert keys(feed(storage_connection, "--cursor", cursor, "--from", "1s").out) == newer
    late = append(storage_connection, [event(11, ago(minutes=4))])
    let_second_pass()
    assert keys(feed(storage_connection, "--cursor", cursor).out) == late


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_grows_by_what_is_new(storage_connection: str, tmp_path: Path, form: str) -> None:
    """The names stand in it once; what a killed call had written behind its cursor is cut off, and comes again."""
    cursor, target = tmp_path / "feed.cursor", tmp_path / f"changes.{form}"
    written = append(storage_connection, events(ago(hours=1), 2))
    let_second_pass()
    arguments = ("--cursor", cursor, "--to", target, "--format", form)
    assert feed(storage_connection, *arguments).out == ""
    once = target.read_bytes()
    with target.open("ab") as file:
        file.write(b'{"RowKey": "half a li')
    assert feed(storage_connection, *arguments).code == 0
    assert target.read_bytes() == once
    written += append(storage_connection, [event(10, ago(seconds=1))])
    let_second_pass()
    assert feed(storage_connection, *arguments).code == 0
    text = target.read_text()
    assert text.startswith(once.decode())
    assert text.count("PartitionKey,RowKey") == int(form == "csv")
    assert all(text.count(key) == 1 for key in written)


def test_a_file_that_was_put_away_is_begun_anew(storage_connection: str, tmp_path: Path) -> None:
    """Its owner moved it: the new one has the columns' names and what came since, and nothing of it is cut."""
    cursor, target = tmp_path / "feed.cursor", tmp_path / "changes.csv"
    arguments = ("--cursor", cursor, "--to", target, "--format", "csv")
    append(storage_connection, events(ago(hours=1), 2))
    let_second_pass()
    feed(storage_connection, *arguments)
    target.rename(tmp_path / "yesterday.csv")
    newer = append(storage_connection, [event(10, ago(seconds=1))])
    let_second_pass()
    assert feed(storage_connection, *arguments).code == 0
    assert [row["RowKey"] for row in csv.DictReader(target.read_text().splitlines())] == newer


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[1]",
        b"null",
        b"\xff\xfe",
        b'{"sinceMs": 1, "deliv',
        b'{"sinceMs": "1", "delivered": []}',
        b'{"sinceMs": 1e999, "delivered": []}',
        b'{"sinceMs": -1, "delivered": []}',
        b'{"sinceMs": 99999999999999, "delivered": []}',
        b'{"sinceMs": 1, "delivered": ["abc"]}',
        b'{"sinceMs": 1, "delivered": "abc"}',
        b'{"sinceMs": 1, "delivered": [], "rowsFile": "/x", "rowsBytes": -1}',
        b'{"sinceMs": 1, "delivered": [], "rowsFile": 3, "rowsBytes": 1}',
    ],
)
def test_a_damaged_cursor_stops_everything(one_life: tuple[str, list[str]], tmp_path: Path, text: bytes) -> None:
    """Ends with 2 and one line that says what to do; neither the cursor nor the file of rows is touched."""
    cursor, target = tmp_path / "feed.cursor", tmp_path / "changes.jsonl"
    cursor.write_bytes(text)
    target.write_bytes(b"kept\n")
    done = feed(one_life[0], "--cursor", cursor, "--to", target)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "holds no cursor" in done.err
    assert (cursor.read_bytes(), target.read_bytes()) == (text, b"kept\n")


def test_rows_and_cursor_need_a_file_each(one_life: tuple[str, list[str]], tmp_path: Path) -> None:
    """One file for both would lose its rows; a folder that is not there is told."""
    both = feed(one_life[0], "--cursor", tmp_path / "a", "--to", tmp_path / "b" / ".." / "a")
    assert both.code == 2
    assert list(tmp_path.iterdir()) == []
    nowhere = feed(one_life[0], "--cursor", tmp_path / "none" / "a")
    assert (nowhere.code, nowhere.out) == (1, "")
    assert "none" in nowhere.err
    assert "Traceback" not in nowhere.err


# --- How it ends ----------------------------------------------------------------------------------------------------


def test_a_reader_that_has_enough_ends_it(storage_connection: str, tmp_path: Path) -> None:
    """A closed pipe is 141 as for any program, without a word; the cursor covers nothing that was not read."""
    cursor = tmp_path / "feed.cursor"
    written = append(storage_connection, events(ago(hours=1), 1500))
    let_second_pass()
    command = " ".join([*COMMAND, "--local", "feed", "--cursor", str(cursor)])
    done = subprocess.run(
        ["/bin/bash", "-c", f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        env=environment(storage_connection),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, b"")
    # The row that was appended first, which is the first by its key unless the service's clock was set back meanwhile.
    (read,) = keys(done.stdout.decode())
    assert read in written
    assert set(keys(feed(storage_connection, "--cursor", cursor).out)) >= set(written) - {read}


def test_following_gives_what_comes_until_interrupted(storage_connection: str, tmp_path: Path) -> None:
    """A later change comes by itself; Ctrl-C ends it with 130, without a trace, and loses and repeats nothing."""
    cursor, target = tmp_path / "feed.cursor", tmp_path / "changes.jsonl"
    written = append(storage_connection, events(ago(hours=1), 2))
    process = follow(storage_connection, "--cursor", cursor, "--to", target)
    try:
        wait_for_lines(target, 2)
        written += append(storage_connection, [event(10, ago(seconds=1))])
        wait_for_lines(target, 3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (130, b"", b"\n")  # the line that ^C stands in is ended
    assert feed(storage_connection, "--cursor", cursor, "--to", target).code == 0
    assert keys(target.read_text()) == written


def test_a_killed_process_goes_on_where_it_was(storage_connection: str, tmp_path: Path) -> None:
    """SIGKILL in the middle of its work, several times: the file has each change once."""
    cursor, target = tmp_path / "feed.cursor", tmp_path / "changes.jsonl"
    written = append(storage_connection, events(ago(hours=1), 2500, every=timedelta(milliseconds=100)))
    let_second_pass()
    for lines in (1, 1500):
        process = follow(storage_connection, "--cursor", cursor, "--to", target)
        try:
            wait_for_lines(target, lines)
        finally:
            process.kill()
            process.communicate()
    assert feed(storage_connection, "--cursor", cursor, "--to", target).code == 0
    assert sorted(keys(target.read_text())) == written
