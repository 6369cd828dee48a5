"""The command line: how soon it starts, and what reading costs when 100,000 rows stand outside the asked range.

Each command runs as a process, in turn on an account with the long history and on one that holds the asked range
alone; both have the same backlog. The invariant: both runs print the same number of lines, or nothing is told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.data.tables.aio import TableClient, TableServiceClient

from local.azurite import Azurite
from local.bench.command_processes import Spent, count_requests, run_command, start_python
from local.bench.figures import Figure, Target, paired
from local.bench.long_history import History, fill, sender, wait
from shared.adapters.storage import AzureTable
from shared.cli.__main__ import COMMANDS

DAY = timedelta(days=1)
DAYS = 100
START_S = Target("<=", 0.4)
NO_MORE = Target("<=", 1.2)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is filled in, and how often each is measured."""

    rows: int = 100_000
    events: int = 20_000
    waiting: int = 300
    long_backlog: int = 5_000
    starts: int = 9
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Accounts:
    """Connection strings: of the long history, and of its last day alone; `since` is that day's beginning."""

    full: str
    small: str
    since: datetime
    filled_s: float


async def measure(size: Size | None = None) -> list[Figure]:
    """Start-up, each reading command on both accounts, and what grows with what is asked for."""
    size = size or Size()
    figures = await measure_starts(size)
    async with _filled(size) as accounts:
        figures += await _measure_reading(accounts, size)
        figures += await _measure_all(accounts, size)
        figures += await _measure_backlog(accounts, size)
    return figures


async def measure_starts(size: Size) -> list[Figure]:
    """`--help`, and that of the slowest command, with what the interpreter and click take of it."""
    bare, click, ours = [], [], []
    for _ in range(size.starts + 1):  # the first writes what byte code is missing
        bare.append((await start_python("-c", "pass")).seconds)
        click.append((await start_python("-c", "import click")).seconds)
        ours.append((await run_command(None, "--help")).seconds)
    told = f"best of {size.starts}, median {statistics.median(ours[1:]):.2f} s"
    parts = f"bare interpreter {min(bare[1:]):.3f} s, with click {min(click[1:]):.3f} s"
    starts = {name: await _help_s(name, size) for name in COMMANDS}
    slowest = max(starts, key=lambda name: starts[name])
    return [
        Figure(name="--help", value=min(ours[1:]), unit="s", target=START_S, note=f"{told}; {parts}"),
        Figure(
            name=f"{slowest} --help, the slowest of {len(starts)} commands",
            value=starts[slowest],
            unit="s",
            target=START_S,
            note=f"best of {size.starts // 3 + 1}",
        ),
    ]


async def _help_s(name: str, size: Size) -> float:
    return min([(await run_command(None, name, "--help")).seconds for _ in range(size.starts // 3 + 1)])


@asynccontextmanager
async def _filled(size: Size) -> AsyncIterator[Accounts]:
    """Azurite with both accounts; the row on the border of the asked range is in it."""
    every = DAYS * DAY / size.rows
    history = History(datetime.now(UTC), every, size.rows, size.events, size.waiting)
    async with Azurite() as azurite:
        full, small = azurite.new_account(), azurite.new_account()
        began_s = time.monotonic()
        await fill(full, history)
        filled_s = time.monotonic() - began_s
        await fill(small, history.last(DAY))
        yield Accounts(full, small, history.until - DAY, filled_s)


async def _measure_reading(accounts: Accounts, size: Size) -> list[Figure]:
    since = accounts.since.isoformat()
    commands = {
        "list": ("list", "--since", since),
        "list, filtered": ("list", "--since", since, "--state", "settled", "--sender", sender(0)),
        "export": ("export", "--since", since),
        "feed": ("feed", "--from", since),
        "status": ("status",),
    }
    filled = f"{size.rows:,} rows of {DAYS} days, {size.events:,} events, filled in {accounts.filled_s:.0f} s"
    figures = [Figure(name="outcome rows in the long history", value=size.rows, unit="rows", note=filled)]
    for name, arguments in commands.items():
        figures += await _compare(name, ("--local", *arguments), accounts, size)
    return [*figures, await _measure_azurite(accounts, size)]


async def _compare(name: str, arguments: Sequence[str], accounts: Accounts, size: Size) -> list[Figure]:
    """Time, memory and requests of a command, by those of the same one on the small account."""
    full, small = [], []
    for _ in range(size.rounds):
        full.append(await run_command(accounts.full, *arguments))
        small.append(await run_command(accounts.small, *arguments))
    lines = {one.lines for one in (*full, *small)}
    if len(lines) != 1:
        raise RuntimeError(f"{name} printed {sorted(lines)} lines: the accounts do not hold the same range")
    requests = await count_requests(accounts.full, *arguments)
    fewest = await count_requests(accounts.small, *arguments)
    return [
        paired(f"{name}, time", "s", _seconds(full), _seconds(small), NO_MORE, f"{lines.pop():,} lines"),
        paired(f"{name}, peak memory", "MB", _peaks(full), _peaks(small), NO_MORE),
        Figure(name=f"{name}, requests", value=requests, unit="requests", baseline=fewest, target=Target("<=", 1)),
    ]


async def _measure_azurite(accounts: Accounts, size: Size) -> Figure:
    """What the emulator itself takes longer to find the last day's rows, asked by the plain SDK."""
    async with (
        TableClient.from_connection_string(accounts.full, "outcomes") as full,
        TableClient.from_connection_string(accounts.small, "outcomes") as small,
    ):
        times = [
            (await _read_s(full, accounts.since), await _read_s(small, accounts.since)) for _ in range(size.rounds)
        ]
    name, (full_s, small_s) = "of that, Azurite's own time for the rows of the day", zip(*times, strict=True)
    return paired(name, "s", full_s, small_s, None, "plain SDK; not judged")


async def _read_s(table: TableClient, since: datetime) -> float:
    began_s = time.perf_counter()
    days = (f"{since:%Y%m%d}", f"{since + DAY:%Y%m%d}")
    for day in days:
        query = "PartitionKey eq @day and ReceivedAt ge @since"
        async for _ in table.query_entities(query, parameters={"day": day, "since": since}):
            pass
    return time.perf_counter() - began_s


async def _measure_all(accounts: Accounts, size: Size) -> list[Figure]:
    """An export of all rows, by the memory of an export of one day."""
    day = await run_command(accounts.full, "--local", "export", "--since", accounts.since.isoformat())
    beginning = (accounts.since - (DAYS + 1) * DAY).isoformat()
    whole = await run_command(accounts.full, "--local", "export", "--since", beginning)
    if whole.lines != size.rows + 1:
        raise RuntimeError(f"an export of {size.rows:,} rows has {whole.lines:,} lines")
    return [
        Figure(
            name=f"export of all {size.rows:,} rows, peak memory",
            value=whole.peak_bytes / 1e6,
            unit="MB",
            baseline=day.peak_bytes / 1e6,
            target=NO_MORE,
            note=f"baseline: export of one day, {day.lines - 1:,} rows; took {whole.seconds:.0f} s",
        )
    ]


async def _measure_backlog(accounts: Accounts, size: Size) -> list[Figure]:
    """`status` with a long backlog, by itself with a usual one; it has to read all of either."""
    usual = await run_command(accounts.full, "--local", "status")
    history = History(datetime.now(UTC), timedelta(seconds=1), 0, 0, size.long_backlog)
    async with TableServiceClient.from_connection_string(accounts.full) as service:
        await wait(AzureTable(service.get_table_client("worklist")), history)
    long = await run_command(accounts.full, "--local", "status")
    name, note = f"status, {size.long_backlog:,} rows waiting more", f"baseline: {size.waiting:,} waiting"
    return [
        Figure(name=f"{name}, time", value=long.seconds, unit="s", baseline=usual.seconds, note=f"{note}; not judged"),
        Figure(
            name=f"{name}, peak memory",
            value=long.peak_bytes / 1e6,
            unit="MB",
            baseline=usual.peak_bytes / 1e6,
            target=NO_MORE,
            note=note,
        ),
    ]


def _seconds(runs: Sequence[Spent]) -> list[float]:
    return [one.seconds for one in runs]


def _peaks(runs: Sequence[Spent]) -> list[float]:
    return [one.peak_bytes / 1e6 for one in runs]
