"""A terminal that a command runs on: what a person would see of it, by a terminal emulator.

The invariant: the emulator gets every byte that the command wrote, in order, and nothing else; so a sequence that moves
the cursor shows as what it did to the screen.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import MappingProxyType

import pyte
from pyte.screens import Char

from tests.support.command_line import COMMAND, ENDS_WITHIN_S, ROOT, environment

ROWS = 60
NONE: Mapping[str, str] = MappingProxyType({})
_LOOK_S = 0.05


class Terminal:
    """A screen of 60 lines with a command on it; made by `on_terminal`."""

    def __init__(self, master: int, process: "subprocess.Popen[bytes]", columns: int) -> None:
        self.written = b""
        self._master = master
        self._process = process
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """What is to be read, without blanks at the ends."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    @property
    def is_cursor_hidden(self) -> bool:
        """Whether whoever types next would not see where."""
        return bool(self._screen.cursor.hidden)

    @property
    def column(self) -> int:
        """Where the cursor stands, from 0 on."""
        return int(self._screen.cursor.x)

    def cell(self, line: int, column: int) -> Char:
        """One character with its style."""
        return self._screen.buffer[line][column]

    def wait_for(self, is_there: Callable[[list[str]], bool]) -> None:
        """Return when the screen shows it; fails where it does not in time."""
        deadline_s = monotonic() + ENDS_WITHIN_S
        while not is_there(self.lines):
            assert monotonic() < deadline_s, self.lines
            assert self._take() or self._process.poll() is None, self.lines

    def interrupt(self) -> None:
        """Type Ctrl-C."""
        os.write(self._master, b"\x03")

    def resize(self, columns: int) -> None:
        """Give the window another width."""
        set_size(self._master, columns)
        self._screen.resize(ROWS, columns)
        os.killpg(self._process.pid, signal.SIGWINCH)

    def end(self) -> int:
        """Wait for the command's end; returns its exit code."""
        deadline_s = monotonic() + ENDS_WITHIN_S
        while self._take() or self._process.poll() is None:
            assert monotonic() < deadline_s, self.lines
        return self._process.wait()

    def _take(self) -> bool:
        """Whether anything was written."""
        with suppress(OSError):  # Linux's way to say that the other end is closed
            if select.select([self._master], [], [], _LOOK_S)[0] and (chunk := os.read(self._master, 65_536)):
                self.written += chunk
                self._stream.feed(chunk)
                return True
        return False


def set_size(descriptor: int, columns: int) -> None:
    """Tell a terminal how large it is."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))


@contextmanager
def on_terminal(
    connection: str,
    *arguments: str,
    columns: int,
    folder: Path = ROOT,
    out: int | None = None,
    variables: Mapping[str, str] = NONE,
) -> Iterator[Terminal]:
    """Run the command on a terminal of its own, its standard output into `out` where given."""
    master, slave = pty.openpty()
    set_size(slave, columns)

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches the command

    process = subprocess.Popen(
        [*COMMAND, "--local", *arguments],
        env=environment(connection, **dict(variables)),
        cwd=folder,
        stdin=slave,
        stdout=slave if out is None else out,
        stderr=slave,
        preexec_fn=take_terminal,  # noqa: PLW1509 - no thread of ours runs here
    )
    os.close(slave)
    try:
        yield Terminal(master, process, columns)
    finally:
        process.kill()
        process.wait()
        os.close(master)
