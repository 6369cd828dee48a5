"""The command line as a process, against an account of Azurite, and as a person sees it on a terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "shared.cli")
ENDS_WITHIN_S = 60
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


def environment(connection: str | None, **variables: str) -> dict[str, str]:
    """Return the environment of a command: this one, without what may name another place or form."""
    ours = ("SUBMISSIONS", "SubmissionsStorage", "AZURE_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    place = {} if connection is None else {"SubmissionsStorage": connection}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm-256color", **place, **variables}


def run(connection: str | None, *arguments: str, folder: Path = ROOT, **variables: str) -> Done:
    """Run a command to its end, its output into pipes."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(connection, **variables),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def screen(connection: str | None, *arguments: str, columns: int, **variables: str) -> str:
    """Run a command on a terminal that many characters wide; returns all that it wrote there, as it wrote it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(connection, **variables),
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        return _read_all(master, process).replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(master)


def without_colour(text: str) -> str:
    """Return the text without what only sets its colour."""
    return _COLOUR.sub("", text)


def _read_all(master: int, process: "subprocess.Popen[bytes]") -> str:
    taken, deadline_s = b"", monotonic() + ENDS_WITHIN_S
    while monotonic() < deadline_s:
        if select.select([master], [], [], 0.05)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
            if not chunk:
                break
            taken += chunk
        elif process.poll() is not None:
            break
    return taken.decode()
