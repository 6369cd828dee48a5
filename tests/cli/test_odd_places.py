"""The command in odd places: streams that are closed, full or speak another encoding; files that are none; slips."""

import asyncio
import os
import re
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.azurite import Azurite
from tests.cli.tenant_rows import open_rows, row
from tests.support.command_line import COMMAND, ROOT, Done, environment, run

WIDE = "请求付款.exe 🧾"


@pytest.fixture(scope="module")
def connection(azurite: Azurite) -> str:
    """Return an account with one row, whose subject only Unicode has."""

    async def fill(account: str) -> None:
        async with open_rows(account) as rows:
            await rows.write(row(1, datetime.now(UTC), subject=WIDE))

    account = azurite.new_account()
    asyncio.run(fill(account))
    return account


def in_shell(connection: str, line: str, **variables: str) -> Done:
    """Run a line of shell, in which `submissions` is the command."""
    script = f'submissions() {{ {" ".join(COMMAND)} --local "$@"; }}\n{line}'
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env=environment(connection, **variables),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("form", ["table", "json", "tsv"])
def test_a_pipe_gets_utf_8_whatever_the_locale(connection: str, form: str, encoding: str) -> None:
    """A cron job has the locale C and Windows its code page: neither may lose a subject, or end the command."""
    done = run(connection, "--local", "--output", form, "list", PYTHONIOENCODING=encoding, LC_ALL="C")
    assert (done.code, done.err) == (0, "")
    assert WIDE in done.out


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("submissions list >&-", 0, ""),
        ("submissions list <&-", 0, ""),
        ("submissions show 1234 2>&-", 4, ""),
        ("submissions list >/dev/full", 1, "Error: No space left on device\n"),
    ],
    ids=["no output", "no input", "no errors", "full"],
)
def test_streams_that_are_closed_or_full(connection: str, line: str, code: int, told: str) -> None:
    """No trace: what cannot be written is said, and what nobody wants to see is left out."""
    done = in_shell(connection, line)
    assert (done.code, done.err) == (code, told)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["lst"], 2, "No such command 'lst'. Did you mean 'list'?"),
        (["submit", "emial"], 2, "Did you mean 'email'?"),
        (["list", "--sinc", "7d"], 2, "Did you mean one of: '--kind', '--since'?"),
        (["list", "--since", "1900-01-01"], 2, "is before 2020-01-01"),
        (["list", "--since", "1d", "--until", "2d"], 2, "--since must be before --until"),
        (["export", "--since", "1d", "--until", "2d"], 2, "--since must be before --until"),
        (["show", "1f"], 4, "the beginning of an id has 4 characters or more"),
        (["submit", "url", "--wait", "https://a.test/"], 2, "put --wait last, or write --wait=60"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_slip_is_answered_with_what_was_meant(connection: str, arguments: list[str], code: int, told: str) -> None:
    """In one line at the end, after click's two about usage where there are any."""
    done = run(connection, "--local", *arguments)
    assert (done.code, done.out) == (code, "")
    assert told in done.err.splitlines()[-1]


def test_what_was_typed_is_repeated_short_and_clean(connection: str) -> None:
    """An id that was pasted may hold anything, of any length."""
    done = run(connection, "--local", "show", "\x1b[31m\u202e" + "x" * 5_000)
    assert done.code == 4
    assert "\x1b" not in done.err
    assert len(done.err) < 200


def test_a_pipe_is_no_file_to_upload(connection: str, tmp_path: Path) -> None:
    """Opening one waits for whoever writes to it, which may be nobody."""
    os.mkfifo(tmp_path / "pipe")
    arguments = ("submit", "file", "pipe", "--category", "malware", "--requested-by", "soc@contoso.example")
    done = run(connection, "--local", *arguments, folder=tmp_path)
    assert done.code == 1
    assert done.err.splitlines()[0] == "pipe (argument 1): path: cannot be read: Is no file"


def test_a_stack_that_is_down_is_told_as_that(connection: str) -> None:
    """Nothing listens on a port that was just closed: the answer is how to start the stack, no word of a library."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = re.sub(r"(TableEndpoint=http://127\.0\.0\.1:)\d+", rf"\g<1>{port}", connection)
    done = run(nowhere, "--local", "list")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: nothing answers at 127.0.0.1:{port}: start the local stack, `python -m local up`\n"
