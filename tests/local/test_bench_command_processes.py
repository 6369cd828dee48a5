"""What a measured process tells: its own memory, not its starter's, its lines, and why it failed."""

import pytest

from local.bench.command_processes import count_requests, run_command, start_python

LARGE_BYTES = 300_000_000


async def test_memory_is_the_command_s_own() -> None:
    """A benchmark that holds much does not count for the command that it starts; what the command holds does."""
    ballast = b"x" * LARGE_BYTES
    assert (await start_python("-c", "pass")).peak_bytes < LARGE_BYTES / 2
    assert (await start_python("-c", f"b'x' * {len(ballast)}")).peak_bytes > LARGE_BYTES


async def test_lines_and_time_are_told() -> None:
    """Standard output is counted by its lines, and the wait of a process is its time."""
    spent = await start_python("-c", "import sys, time; print('a\\nb'); print('c', file=sys.stderr); time.sleep(0.2)")
    assert (spent.lines, spent.told) == (2, "c\n")
    assert spent.seconds >= 0.2


async def test_a_command_that_fails_is_not_measured() -> None:
    """A wrong exit code raises with the command's last words."""
    with pytest.raises(RuntimeError, match="No such command 'no-such'"):
        await run_command(None, "no-such")


async def test_a_command_without_storage_asks_for_nothing(storage_connection: str) -> None:
    """Requests are counted as they leave; what needs no account sends none."""
    assert await count_requests(storage_connection, "--local", "schema") == 0
