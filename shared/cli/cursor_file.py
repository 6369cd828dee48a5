"""The file in which a reader of the feed keeps its place, and the file of rows that the place belongs to.

The invariant: a place is saved after the rows that it covers, and replaces the one before it in a single step. It also
tells how long the file of rows was, so that rows behind a place, written by a process that was killed before it could
save the next one, are cut off when reading goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .changes import Cursor, read_cursor, write_cursor
from .errors import CommandError, ExitCode


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor and, where rows go into a file, that file's path and its length in bytes up to there."""

    cursor: Cursor
    rows_file: str | None = None
    rows_bytes: int = 0


def load_place(file: Path) -> Place | None:
    """The place that was saved, or None where there is no file. Raises `CommandError` where the file holds none."""
    try:
        return _read_place(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise CommandError(
            f"{file} holds no cursor: restore it, or name another file to read the feed anew", ExitCode.WRONG_USE
        ) from None


def _read_place(text: str) -> Place:
    cursor = read_cursor(text)
    match json.loads(text):
        case {"rowsFile": str(rows_file), "rowsBytes": int(rows_bytes)} if rows_bytes >= 0:
            return Place(cursor, rows_file, rows_bytes)
        case {"rowsFile": _} | {"rowsBytes": _}:
            raise ValueError("not a place")
    return Place(cursor)


def save_place(file: Path, place: Place) -> None:
    """Replace what was saved."""
    fields = json.loads(write_cursor(place.cursor))
    if place.rows_file is not None:
        fields |= {"rowsFile": place.rows_file, "rowsBytes": place.rows_bytes}
    with replacing(file) as part:
        part.write(json.dumps(fields).encode())


def cut_unsaved(rows: BinaryIO, path: str, place: Place | None) -> None:
    """Cut off what was written to this file of rows after the place was saved, and go to its end.

    A file that is shorter than the place says was put away and begun anew by its owner: nothing is cut.
    """
    size_bytes = rows.seek(0, os.SEEK_END)
    if place is not None and place.rows_file == path and place.rows_bytes < size_bytes:
        rows.truncate(place.rows_bytes)
        rows.seek(0, os.SEEK_END)


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `file` when the block ends well, and is removed when it does not."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
