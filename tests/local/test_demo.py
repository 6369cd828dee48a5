"""The demo as a user runs it: once to its end, and ended by force at many moments without leaving anything behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.setup import ROOT

CHECK_COUNT = 8


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo, the folder that it may make temporary files in, and the mark of all its processes."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str

    def wait_for(self, text: str) -> None:
        """Read the screen up to this text."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line)
            if text in line:
                return
        pytest.fail(f"{text!r} never came:\n{''.join(seen)}")

    def end(self, ending: signal.Signals) -> int:
        """Send a signal to the demo alone; return its exit code."""
        self.process.send_signal(ending)
        self.process.communicate(timeout=60)
        return self.process.returncode

    def survivors(self) -> list[int]:
        """Return the processes that are left a minute after the end at the latest."""
        deadline_s = time.monotonic() + 60
        while (found := marked_processes(self.mark)) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return found

    def assert_clean(self) -> None:
        """Fail if a process or a file is left."""
        assert self.survivors() == []
        assert list(self.folder.iterdir()) == []


def marked_processes(mark: str) -> list[int]:
    """Return the ids of the running processes that have the mark in their environment."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark.encode() in read(path)]


def read(path: Path) -> bytes:
    """Return the file's content, nothing if it is gone or somebody else's."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


@contextmanager
def running(folder: Path) -> Iterator[Demo]:
    """Yield a demo in a session of its own, without a terminal; kill it, whatever happens."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "DEMO_TEST_MARK": mark, "SUBMISSION_MODE": "shadow"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield Demo(process, folder, mark)
        finally:
            process.kill()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_the_demo_succeeds(tmp_path: Path) -> None:
    """Every check holds, the screen tells what is needed, settings in the user's environment do not disturb it."""
    with running(tmp_path) as demo:
        screen, _ = demo.process.communicate(timeout=280)
        assert demo.process.returncode == 0, screen
        demo.assert_clean()
    lines = screen.splitlines()
    assert sum(line.startswith("ok  ") for line in lines) == CHECK_COUNT
    assert "FAILED" not in screen
    assert any("settled" in line and "skipped" in line and "in 46/46+16/16" in line for line in lines)
    for heading in ("How they ended", "A false negative", "A false positive", "rightly not submitted", "look further"):
        assert heading in screen
    assert max(map(len, lines[lines.index("How they ended") :])) <= 80


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("moment", "ending", "exit_code"),
    [
        ("Azurite and the Graph", signal.SIGINT, 130),
        ("The app starts", signal.SIGINT, 130),
        ("submitted", signal.SIGINT, 130),
        ("submitted", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_is_left_behind(tmp_path: Path, moment: str, ending: signal.Signals, exit_code: int) -> None:
    """Ended at any moment, the demo leaves no process and no file; Ctrl-C is exit code 130."""
    with running(tmp_path) as demo:
        demo.wait_for(moment)
        assert marked_processes(demo.mark) != []
        assert demo.end(ending) == exit_code
        demo.assert_clean()
