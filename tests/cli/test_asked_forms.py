"""What is asked for is written in that form, or refused: never another form with exit code 0."""

from pathlib import Path

import pytest

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
    """No file of that name is made, whether or not there are rows to write."""
    run(storage_connection, "--local", command, "--to", "-", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
