"""What the demo prints in the end: how the rows ended, some of them in full, what was checked, where to look further.

Column values go out as text, never as markup: some of them were written by the senders of hostile mail. Fits 80
columns; longer values are folded.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.demo.judgement import Check
from local.demo.published_tables import Row
from shared.codecs.rows import COLUMNS
from shared.domain.model import State

SHOWN_PROBLEMS = 5
_KEYS = ("PartitionKey", "RowKey", "SchemaVersion")

_SHOWN: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("A false negative: a lure that was delivered", lambda row: _is_settled(row, "falseNegative", "confirmed")),
    ("A false positive: good mail that was blocked", lambda row: _is_settled(row, "falsePositive", "confirmed")),
    ("A report that was rightly not submitted", lambda row: row.get("StateReason") == "multiple_originals"),
)

SHOWN_ROWS = 8
_FURTHER = """\
make demo KEEP=1      the same stack and app, running until Ctrl-C, to play with
docs/local.md         start each part by hand
docs/host.md          the numbers in host.json, and why
local/sample_tenant   every report of this demo, and how its row must end"""


def print_endings(console: Console, rows: Sequence[Row]) -> None:
    """Print how many rows ended in which state, for which reason and with which verdict."""
    states = Counter((row["State"], row.get("StateReason", "")) for row in rows)
    verdicts = Counter(row["Verdict"] for row in rows if "Verdict" in row)
    left = _counts("state", "reason")
    for (state, reason), count in sorted(states.items(), key=lambda entry: (list(State).index(entry[0][0]), -entry[1])):
        left.add_row(state, reason, str(count))
    right = _counts("verdict")
    for verdict, count in verdicts.most_common():
        right.add_row(verdict, str(count))
    both = Table.grid(padding=(0, 4))
    both.add_row(left, right)
    console.print("\nHow they ended", style="bold")
    console.print(both)


def print_examples(console: Console, rows: Sequence[Row]) -> None:
    """Print one row of each kind with all its columns, as a pipeline finds it."""
    console.print("\nThree rows in full", style="bold")
    console.print("The sample tenant's reports are dated over the last three hours, hence the seconds.", style="dim")
    for title, is_meant in _SHOWN:
        row = next(filter(is_meant, rows), None)
        if row is not None:
            console.print(f"\n{title}", style="bold")
            console.print(_in_full(row))


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print every check with what it was tried on, and the first problems of those that do not hold."""
    table = Table.grid(padding=(0, 2))
    for check in checks:
        word = Text("ok", "green") if check.holds else Text("FAILED", "bold red")
        table.add_row(word, Text(check.rule), Text(check.extent, "dim"))
    console.print("\nChecked", style="bold")
    console.print(table)
    for line in (line for check in checks for line in _problem_lines(check)):
        console.print(Text(line))


async def print_list(console: Console, connection: str) -> None:
    """Print the newest verdicts as an operator sees them: the command itself does."""
    console.print("\nsubmissions list --state settled\n", style="bold")
    what = ("list", "--state", "settled", "--limit", str(SHOWN_ROWS))
    command = (sys.executable, "-m", "shared.cli", "--local", "--output", "table", *what)
    variables = {"SubmissionsStorage": connection, "COLUMNS": str(console.width)}
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # that there are more
    )
    listed, _ = await process.communicate()
    console.print(Text(listed.decode()), end="")


def print_further(console: Console) -> None:
    """Print where a reader goes on."""
    console.print("\nWhere to look further", style="bold")
    console.print(Text(_FURTHER))


def _is_settled(row: Row, direction: str, agreement: str) -> bool:
    told = (row["State"], row.get("Kind"), row.get("Direction"), row.get("Agreement"))
    return told == ("settled", "email", direction, agreement) and "CoveredBy" not in row


def _counts(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name)
    table.add_column("rows", justify="right")
    return table


def _in_full(row: Row) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for column in (*_KEYS, *COLUMNS.values()):
        if column in row:
            table.add_row(column, Text(_text(row[column])))
    return table


def _text(value: object) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _problem_lines(check: Check) -> Iterator[str]:
    if not check.holds:
        yield f"\n{check.rule}: {len(check.problems)} problems"
        yield from (f"  {problem}" for problem in check.problems[:SHOWN_PROBLEMS])
    if len(check.problems) > SHOWN_PROBLEMS:
        yield f"  and {len(check.problems) - SHOWN_PROBLEMS} more"
