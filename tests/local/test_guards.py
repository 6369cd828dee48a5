"""The guards of conftest.py hold: nothing reaches the outside, and no error log goes unseen."""

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

OUTSIDE = ("192.0.2.1", 80)  # an address that RFC 5737 reserves for documentation
REFUSED = "refused to reach beyond this machine"

LOGGING_TESTS = """
import logging
import pytest

def test_unexpected():
    logging.getLogger("shared.usecases.arrivals.collect").error("broken")

@pytest.mark.expects_error_log
def test_expected():
    logging.getLogger("defender_submissions").error("broken")

@pytest.mark.expects_error_log
def test_missing():
    logging.getLogger("shared").warning("fine")

def test_of_others():
    logging.getLogger("azure").error("not ours")
"""


def test_a_connection_to_the_outside_is_refused() -> None:
    """Neither TCP nor UDP leaves this machine, and `except Exception` does not hide it."""
    with socket.socket() as tcp, pytest.raises(pytest.fail.Exception, match=REFUSED):
        tcp.connect(OUTSIDE)
    with socket.socket(type=socket.SOCK_DGRAM) as udp, pytest.raises(pytest.fail.Exception, match=REFUSED):
        udp.sendto(b"", OUTSIDE)
    assert not issubclass(pytest.fail.Exception, Exception)


async def test_a_connection_of_the_event_loop_is_refused() -> None:
    """What asyncio's clients open is seen too, by address and by name."""
    for host in ("192.0.2.1", "tracker.example"):
        with pytest.raises(pytest.fail.Exception, match=REFUSED):
            await asyncio.open_connection(host, 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", b"localhost", None])
def test_this_machine_may_be_looked_up(host: str | bytes | None) -> None:
    """Loopback in all its spellings stays open to tests."""
    assert socket.getaddrinfo(host, 0) is not None


def test_error_logs_need_the_mark_and_the_mark_needs_them(tmp_path: Path) -> None:
    """An error log of ours without the mark fails, as does the mark without one; other loggers do not count."""
    (tmp_path / "test_logging.py").write_text(LOGGING_TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = re.findall(r"^ERROR .*::(\w+)", done.stdout, re.MULTILINE)
    assert sorted(failed) == ["test_missing", "test_unexpected"]
    assert "unexpected error log: shared.usecases.arrivals.collect: broken" in done.stdout
