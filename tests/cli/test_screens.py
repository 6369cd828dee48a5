"""Screens of the commands, as a terminal of 80 and of 140 columns shows them, resized, interrupted and piped.

The screens that a person may want to look at are kept in `screens/`; with KEEP_SCREENS=1 they are written anew.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables.aio import TableServiceClient
from rich.cells import cell_len

from local.azurite import Azurite
from shared.cli.__main__ import COMMANDS
from shared.domain.model import Outcome, State, Verdict
from tests.cli.submitting import OPERATOR, account
from tests.cli.tenant_rows import HOSTILE, REQUEST_ID, open_rows, row, rows, settled
from tests.support.command_line import run
from tests.support.terminal import NONE, Terminal, on_terminal

SCREENS = Path(__file__).parent / "screens"
WIDTHS = (20, 40, 80, 140)
HOSTILES = (
    HOSTILE,
    "\x1b]0;title\x07\x1b[10;10H\x1b[7m\x9b2J moved",
    "请求付款请求付款请求付款请求付款请求付款请求付款请求付款请求付款",
    "👩‍👩‍👧‍👦 🧾 🏴‍☠️ family of emoji 👍🏽" * 5,
    "Zalgo" + "\u0335\u0301\u0322" * 200,
    "\u202efdp.exe\u202c \u2066isolate\u2069",
    "tab\tand\r\nline\x0bbreaks\u2028of\x85all kinds",
    "w" * 900,
    "[bold red]markup[/] :warning:",
    "هذا نص عربي مع English",
)
MOVES = re.compile(r"\x1b(?!\[[01]m)|[\x00-\x08\x0b\x0c\x0e-\x1a\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FIXED = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "0123456789abcdef0123456789abcdef"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "0123456789ab"),
    (re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d"), r"2026-11-24\g<1>12:00:00"),
    (re.compile(r"\b20\d{6}\b"), "20261124"),
    (re.compile(r"\b\d\d-\d\d \d\d:\d\d\b"), "11-24 12:00"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "12:00:00"),
)


@pytest.fixture(scope="module")
def connection(azurite: Azurite) -> str:
    """Return an account whose rows were written by whoever wants to spoil a screen."""
    connection = azurite.new_account()
    asyncio.run(fill(connection))
    return connection


async def fill(connection: str) -> None:
    """Write five plain rows, of which one is settled, and the hostile ones of two months ago."""
    now = datetime.now(UTC)
    plain = rows(now)
    long_ago = now - timedelta(days=60)
    hostile = [row(100 + number, long_ago - timedelta(minutes=number)) for number, _ in enumerate(HOSTILES)]
    async with open_rows(connection) as tenant:
        await tenant.write(*plain, *hostile)
        steps = [replace(plain[0], state=State(name)) for name in ("dispatched", "submitting", "submitted")]
        verdict = settled(plain[0], Verdict.MALICIOUS, now)
        await tenant.advance(plain[0], *steps, verdict, at=now - timedelta(minutes=5))
    await spoil(connection, hostile)


async def spoil(connection: str, spoilt: Sequence[Outcome]) -> None:
    """Put hostile text into rows and their events as no app of ours would: its codec cleans what it writes."""
    async with TableServiceClient.from_connection_string(connection) as service:
        for outcome, text in zip(spoilt, HOSTILES, strict=True):
            row_id, facts = outcome.key.submission_id, {"Subject": text, "Sender": text, "Reporter": text}
            for table, column in (("outcomes", "RowKey"), ("outcomelog", "SubmissionId")):
                client = service.get_table_client(table)
                async for found in client.query_entities(f"{column} eq '{row_id}'"):
                    await client.update_entity({**found, **facts})


def shown(connection: str, *arguments: str, columns: int, variables: Mapping[str, str] = NONE) -> Terminal:
    """Run a command to its end on a terminal; it must leave the cursor seen, and where a prompt belongs."""
    with on_terminal(connection, *arguments, columns=columns, variables=variables) as terminal:
        assert terminal.end() == 0, terminal.lines
    assert not terminal.is_cursor_hidden
    assert terminal.column == 0
    return terminal


# --- Screens to look at ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "list", "--since", "40d"),
        ("show", "show", REQUEST_ID),
        ("watch", "watch", "--since", "1d", "--for", "0"),
        ("submit-url-help", "submit", "url", "--help"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_screens_are_as_kept(connection: str, arguments: tuple[str, ...], columns: int) -> None:
    """What a person sees changes only when somebody has looked at it."""
    name, *command = arguments
    terminal = shown(connection, *command, columns=columns)
    assert max(cell_len(line) for line in terminal.lines) <= columns
    kept = SCREENS / f"{name}-{columns}.txt"
    text = "\n".join(fixed(line) for line in terminal.lines) + "\n"
    if os.environ.get("KEEP_SCREENS"):
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in COMMANDS), *(["submit", kind] for kind in ("email", "url", "file"))],
    ids=" ".join,
)
def test_help_fits_a_narrow_screen(command: list[str]) -> None:
    """Also its examples, which nothing breaks between words."""
    done = run(None, *command, "--help", COLUMNS="80")
    assert done.code == 0
    assert [line for line in done.lines if cell_len(line) > 80] == []


def fixed(line: str) -> str:
    """The line with ids and times of always the same kind."""
    for pattern, instead in FIXED:
        line = pattern.sub(instead, line)
    return line.rstrip()


# --- Whatever the rows hold -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", WIDTHS)
def test_hostile_text_stays_in_its_cell(connection: str, columns: int) -> None:
    """A row is a line, its cells begin below their headings, and no text moves the cursor or sets a colour."""
    terminal = shown(connection, "list", "--since", "80d", "--until", "50d", columns=columns)
    assert len(terminal.lines) == 1 + len(HOSTILES)
    assert MOVES.search(terminal.written.decode()) is None
    if columns < 80:
        return
    for heading, cell in (("STATE", "pending"), ("CLAIM", "phishing")):
        begin = terminal.lines[0].index(heading)
        assert {line[begin : begin + len(cell)] for line in terminal.lines[1:]} == {cell}
    at = terminal.lines[0].index("ITEM")
    assert all(terminal.cell(line, at - 1).data == " " for line in range(1, 1 + len(HOSTILES)))


@pytest.mark.parametrize("columns", WIDTHS)
def test_changes_stand_below_each_other(connection: str, columns: int) -> None:
    """Each change of `watch` is a table of its own, and they share their columns whatever is in them."""
    terminal = shown(connection, "watch", "--since", "80d", "--for", "0", columns=columns)
    assert len(terminal.lines) == 1 + 5 + 4 + len(HOSTILES)
    if columns >= 80:
        begin = terminal.lines[0].index("CHANGE")
        assert {line[begin - 2 : begin].strip() for line in terminal.lines[1:]} == {""}
        assert all(line[begin] != " " for line in terminal.lines[1:])


def test_only_headings_have_a_style(connection: str) -> None:
    """Bold for what names something; a cell has none, so that nothing a stranger wrote stands out."""
    terminal = shown(connection, "list", "--since", "80d", columns=140)
    assert terminal.cell(0, 0).bold
    cells = [terminal.cell(line, column) for line in range(1, 16) for column in range(140)]
    assert {(cell.fg, cell.bg, cell.bold, cell.reverse) for cell in cells} == {("default", "default", False, False)}


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_terminals_that_take_plain_text_get_it(connection: str, variables: dict[str, str]) -> None:
    """Neither colours nor anything else but text."""
    terminal = shown(connection, "list", columns=80, variables=variables)
    assert b"\x1b" not in terminal.written
    assert len(terminal.lines) == 1 + 4


@pytest.mark.parametrize("form", ["table", "json", "tsv"])
@pytest.mark.parametrize("command", [["list"], ["show", REQUEST_ID], ["watch", "--since", "1d", "--for", "0"]], ids=str)
def test_a_pipe_gets_no_escape(connection: str, command: list[str], form: str) -> None:
    """Also where the environment asks for colour."""
    done = run(connection, "--local", "--output", form, *command, FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--state", "faild"],
        ["show", "1f"],
        ["list", "--since", "1s"],
        ["submit", "url", "https://a.test/ b", "--category", "phishing", "--requested-by", OPERATOR],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_errors_are_broken_between_words(connection: str, arguments: list[str], columns: int) -> None:
    """A terminal would break them where its width ends, in the middle of a word."""
    with on_terminal(connection, *arguments, columns=columns) as terminal:
        terminal.end()
    words = run(connection, "--local", *arguments).err.split()
    assert " ".join(terminal.lines).split() == words


# --- While something happens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", WIDTHS)
async def test_watch_ends_with_a_clean_terminal(connection: str, columns: int) -> None:
    """Its line says how it goes, on one line however narrow; after Ctrl-C it is gone, and the changes stay."""
    with on_terminal(connection, "watch", "--since", "10m", "--every", "0.2", columns=columns) as terminal:
        terminal.wait_for(lambda lines: lines[-1].startswith("5 changes"[:columns]) or "changes, last" in lines[-1])
        before = terminal.lines
        terminal.interrupt()
        assert terminal.end() == 130
    assert not terminal.is_cursor_hidden
    assert terminal.lines[: len(before) - 1] == before[:-1]
    assert not any("changes, last" in line or "Abort" in line or "Traceback" in line for line in terminal.lines)


def test_a_resized_terminal_gets_lines_of_its_new_width(storage_connection: str) -> None:
    """While it watches, a window becomes narrow: what comes from then on keeps to it."""
    now = datetime.now(UTC)
    first, second = row(1, now, subject="w" * 200), row(2, now, subject="v" * 200)
    asyncio.run(write(storage_connection, first))
    arguments = ("watch", "--since", "10m", "--every", "0.2")
    with on_terminal(storage_connection, *arguments, columns=140) as terminal:
        terminal.wait_for(lambda lines: "changes, last" in lines[-1])
        terminal.resize(60)
        asyncio.run(write(storage_connection, second))
        terminal.wait_for(lambda lines: any("vvv" in line for line in lines))
        terminal.interrupt()
        assert terminal.end() == 130
    assert sum("vvv" in line for line in terminal.lines) == 1
    assert not any("changes, last" in line for line in terminal.lines)


async def write(connection: str, outcome: Outcome) -> None:
    """Write one row."""
    async with open_rows(connection) as tenant:
        await tenant.write(outcome)


@pytest.mark.parametrize("columns", WIDTHS)
async def test_bar_and_line_vanish(storage_connection: str, tmp_path: Path, columns: int) -> None:
    """Also where standard output goes into a file, whose width is none; Ctrl-C while it waits tells what was sent."""
    (tmp_path / "urls.csv").write_text("url\n" + "".join(f"https://u{number}.test/\n" for number in range(40)))
    arguments = ("submit", "url", "--from-file", "urls.csv", "--category", "phishing", "--requested-by", OPERATOR)
    async with account(storage_connection, tmp_path):
        with (
            (tmp_path / "out").open("wb") as out,
            on_terminal(
                storage_connection, *arguments, "--wait", columns=columns, folder=tmp_path, out=out.fileno()
            ) as terminal,
        ):
            terminal.wait_for(lambda lines: "waiting: 40" in "\n".join(lines))
            assert len(terminal.lines) == 1, terminal.lines
            terminal.interrupt()
            assert terminal.end() == 130
    assert b"sending" in terminal.written
    assert " ".join(terminal.lines) == "40 sent, 0 sent before, 0 repeated, 0 refused"
    assert not terminal.is_cursor_hidden
    written = (tmp_path / "out").read_bytes()
    assert written.count(b"\n") == 40
    assert b"\x1b" not in written
