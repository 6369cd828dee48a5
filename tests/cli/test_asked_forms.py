"""What is asked for is written in that form, or refused: never another form with exit code 0."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.tenant_rows import open_rows, row
from tests.support.command_line import run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "--output", "json"], "--output is for screens; rows are written with --format csv"),
        (["feed", "--output", "tsv"], "--output is for screens; rows are written with --format jsonl"),
        (["export", "--to", "o.xlsx"], "say which with --format"),
        (["export", "--to", "outcomes"], "say which with --format"),
    ],
)
def test_a_form_that_is_not_written_is_refused(arguments: list[str], told: str, tmp_path: Path) -> None:
    """It is wrong use, and no file is left."""
    done = run(None, "--local", *arguments, folder=tmp_path)
    assert (done.code, done.out, list(tmp_path.iterdir())) == (2, "", [])
    assert told in done.err


@pytest.mark.parametrize("command", ["export", "feed"])
def test_a_dash_is_standard_output(command: str, storage_connection: str, tmp_path: Path) -> None:
    """No file of that name is made, and what would be in it is printed."""

    async def fill() -> None:
        async with open_rows(storage_connection) as rows:
            await rows.write(row(1, datetime.now(UTC)))

    asyncio.run(fill())
    done = run(storage_connection, "--local", command, "--to", "-", folder=tmp_path)
    assert (done.code, list(tmp_path.iterdir())) == (0, [])
    assert "PartitionKey" in done.out or command == "feed", "the feed leaves the last second to the next read"
