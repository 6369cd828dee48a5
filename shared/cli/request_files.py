"""The file of `--from-file`: CSV whose header names the message's fields, or JSON lines.

Read line by line, so that the memory does not grow with the file. A line that cannot be read is refused by its number
and the rest goes on; a file that is no such file at all is `UnreadableFile` before anything is sent. Which of the two
formats it is, its first character tells.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ..domain.text import clean
from .requests import PATH, Draft, Refused

COLUMNS = (
    "kind",
    "category",
    "requestId",
    "requestedBy",
    "reason",
    "priority",
    "disputes",
    "recipient",
    "message.mailbox",
    "message.messageId",
    "message.internetMessageId",
    "message.content",
    "url",
    "file.name",
    "file.content",
    "allowOrBlock.action",
    "allowOrBlock.expiresAt",
    "allowOrBlock.note",
    PATH,
)
"""What a CSV's header may name: the message's fields, with a dot into objects, and `path` for a file to upload."""
MOST_LINE_BYTES = 512 * 1024
"""A message has at most 48 KiB; JSON may write each of its characters in six."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t"
_HOW_TO_SAVE = 'save it as UTF-8 (in Excel: "CSV UTF-8")'


class UnreadableFile(Exception):
    """The file is none of the two formats; the text says what to do."""


def read_drafts(file: IO[bytes], folder: Path) -> Iterator[Draft | Refused]:
    """The requests in the file, from its beginning; paths in it start at `folder`. Raises `UnreadableFile`."""
    file.seek(0)
    start = file.read(4_096)
    _check_is_text(start)
    file.seek(0)
    text = start.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not text:
        raise UnreadableFile("is empty")
    if text.startswith(b"["):
        raise UnreadableFile("must be CSV or JSON lines, one object on each line; this is a JSON array")
    return _json_lines(file, folder) if text.startswith(b"{") else _csv_rows(file, folder)


def _check_is_text(start: bytes) -> None:
    if start.startswith(_UTF_16):
        raise UnreadableFile(f"is UTF-16: {_HOW_TO_SAVE}")
    if b"\0" in start:
        raise UnreadableFile(f"is no text, or UTF-16: {_HOW_TO_SAVE}")


def _lines(file: IO[bytes]) -> Iterator[str]:
    number = 0
    while line := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise UnreadableFile(f"line {number}: is longer than {MOST_LINE_BYTES} bytes")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise UnreadableFile(f"line {number}: is not UTF-8: {_HOW_TO_SAVE}") from None


# --- JSON lines -----------------------------------------------------------------------------------------------------


def _json_lines(file: IO[bytes], folder: Path) -> Iterator[Draft | Refused]:
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            yield _json_draft(line, f"line {number}", folder)


def _json_draft(line: str, place: str, folder: Path) -> Draft | Refused:
    try:
        fields = json.loads(line, object_pairs_hook=_without_duplicates)
    except ValueError as error:
        return Refused(place, "not_json", f"the line: must be JSON ({clean(str(error), 100)})")
    except RecursionError:
        return Refused(place, "not_json", "the line: nested too deeply")
    if not isinstance(fields, dict):
        return Refused(place, "not_an_object", "the line: must be a JSON object")
    return Draft(place, fields, folder)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is given twice")
    return found


# --- CSV ------------------------------------------------------------------------------------------------------------


def _csv_rows(file: IO[bytes], folder: Path) -> Iterator[Draft | Refused]:
    lines = _lines(file)
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=first.count)
    header = _header(first, delimiter)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begin = rows.line_num + 2
        try:
            cells = [cell.strip() for cell in next(rows)]
        except StopIteration:
            return
        except csv.Error as error:
            why = "a quote is opened and never closed" if "end of data" in str(error) else clean(str(error), 100)
            yield Refused(_place(begin, rows.line_num + 1), "not_csv", f"the line: {why}")
            continue
        if any(cells):
            yield _csv_draft(cells, header, _place(begin, rows.line_num + 1), folder)


def _header(line: str, delimiter: str) -> list[str]:
    try:
        names = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise UnreadableFile(f"line 1: must name columns: {clean(str(error), 100)}") from None
    unknown = sorted({name for name in names if name not in COLUMNS})
    if unknown or not names:
        told = ", ".join(clean(name, 40) or "(empty)" for name in unknown[:5]) or "none"
        raise UnreadableFile(f"line 1: must name columns; unknown: {told}. Known: {', '.join(COLUMNS)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableFile(f"line 1: names a column twice: {', '.join(twice)}")
    return names


def _place(begin: int, end: int) -> str:
    return f"line {begin}" if begin == end else f"lines {begin} to {end}"


def _csv_draft(cells: list[str], header: list[str], place: str, folder: Path) -> Draft | Refused:
    if len(cells) > len(header):
        detail = f"the line: has {len(cells)} cells, the header {len(header)}; quote a cell that holds a delimiter"
        return Refused(place, "not_csv", detail)
    given = {name: cell for name, cell in zip(header, cells, strict=False) if cell}
    return Draft(place, _nested(given), folder)


def _nested(flat: Mapping[str, str]) -> dict[str, Any]:
    """`message.mailbox` as the field `mailbox` of the object `message`."""
    fields: dict[str, Any] = {}
    for name, value in flat.items():
        outer, dot, inner = name.partition(".")
        if dot:
            fields.setdefault(outer, {})[inner] = value
        else:
            fields[name] = value
    return fields
