"""Runs consumers of the feed, each in a process that is killed before a given line of theirs.

    python -m tests.cli.mortal_consumers <<< '{"consumer": "command", "connection": ..., "folder": ..., "dies_at": 7}'

A line on standard input is one run; its answer is whether the process lived to its end. Forking from one process that
has imported everything makes a run cheap. With `notes_to`, nobody dies: that file gets the numbers
of the lines before which the folder's files are not as they were before the last line.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import azure.data.tables.aio  # noqa: F401 - before the fork
from azure.data.tables import TableClient

import shared.adapters.storage
import shared.cli.feed  # noqa: F401 - likewise
from shared.cli.__main__ import main
from shared.settings import DATA_STORAGE

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "consume_feed.py"
CONSUME: Callable[[TableClient, sqlite3.Connection], None] = runpy.run_path(str(EXAMPLE))["consume"]
MORTAL = {*map(str, (ROOT / "shared" / "cli").glob("*.py")), str(EXAMPLE)}


def serve() -> None:
    """Do what standard input asks for, one run after the other."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            live(**json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(json.dumps(status == 0), flush=True)  # noqa: T201 - the answer


def live(consumer: str, connection: str, folder: str, dies_at: int | None = None, notes_to: str | None = None) -> None:
    """Run the consumer, and die before its line of that number."""
    code = 1
    try:
        if dies_at is not None:
            sys.settrace(before_lines(death_at(dies_at)))
        if notes_to is not None:
            sys.settrace(before_lines(noting(Path(folder), Path(notes_to))))
        code = {"command": run_command, "example": run_example}[consumer](connection, Path(folder))
    finally:
        os._exit(code)


def before_lines(act: Callable[[int], None]) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that acts before each line of the consumers' files, given the line's number."""
    lines = count(1)

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in MORTAL:
            return None
        if event == "line":
            act(next(lines))
        return trace

    return trace


def death_at(last: int) -> Callable[[int], None]:
    """Return what kills this process before that line."""

    def act(line: int) -> None:
        if line == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def noting(folder: Path, notes: Path) -> Callable[[int], None]:
    """Return what notes the lines before which the folder's files have changed."""
    left: dict[str, bytes] | None = None

    def act(line: int) -> None:
        nonlocal left
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        if files != left:
            left = files
            with notes.open("a") as text:
                text.write(f"{line}\n")

    return act


def run_command(connection: str, folder: Path) -> int:
    """Run `submissions feed` into a file."""
    os.environ[DATA_STORAGE] = connection
    asyncio.set_event_loop(None)
    return main(["--local", "feed", "--cursor", str(folder / "cursor"), "--to", str(folder / "changes.jsonl")])


def run_example(connection: str, folder: Path) -> int:
    """Run the page's example into a database."""
    with (
        TableClient.from_connection_string(connection, "outcomelog") as table,
        closing(sqlite3.connect(folder / "changes.sqlite")) as database,
    ):
        CONSUME(table, database)
    return 0


if __name__ == "__main__":
    serve()
