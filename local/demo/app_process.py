"""The real app in a process of its own: `function_app.py` and `host.json` as they are deployed.

Its settings are those of `local.settings.example.json`, except the few that are given here. The invariant: the process
is gone when the `with` block is, and its output goes to files without a name, so that nothing stays behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO

from local.setup import ROOT

SETTINGS_FILE = ROOT / "local.settings.example.json"
QUICK_SCHEDULES = {
    "COLLECT_SCHEDULE": "*/5 * * * * *",
    "DISPATCH_SCHEDULE": "*/5 * * * * *",
    "SETTLE_SCHEDULE": "*/3 * * * * *",
}
"""For those who watch: the deployed app collects every 30 s, dispatches every minute and settles every five."""
_HOST_SETTINGS = ("AzureWebJobs", "AzureFunctionsJobHost", "AzureFunctionsWebHost", "SubmissionsStorage")
_STARTED = b"host:started"
_POLL_S = 0.05
_STOP_WITHIN_S = 15
_TAIL_LINES = 15


class AppEndedError(Exception):
    """The app's process ended by itself, or did not end when asked to; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class AppProcess:
    """The running app."""

    process: subprocess.Popen[bytes]
    modules: IO[bytes]
    log: IO[bytes]

    def require_running(self) -> None:
        """Return if the app runs. Raises AppEndedError if it does not."""
        if self.process.poll() is not None:
            raise AppEndedError(f"the app ended with exit code {self.process.returncode}:\n{self._log_tail()}")

    async def stop(self) -> tuple[str, ...]:
        """Stop the app as its platform does, by SIGTERM; return the names of all modules that it had imported.

        Raises AppEndedError if it does not end well.
        """
        self.require_running()
        self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                while self.process.poll() is None:  # noqa: ASYNC110 - another process cannot set an Event of ours
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise AppEndedError(f"the app did not stop in {_STOP_WITHIN_S} s:\n{self._log_tail()}") from None
        if self.process.returncode:
            self.require_running()
        return tuple(_text_of(self.modules).split())

    async def wait_until_started(self) -> None:
        """Return when the host listens. Raises AppEndedError if it ends first."""
        while _STARTED not in _bytes_of(self.log):
            self.require_running()
            await asyncio.sleep(_POLL_S)

    def _log_tail(self) -> str:
        return "\n".join(f"  | {line}" for line in _text_of(self.log).splitlines()[-_TAIL_LINES:])


@asynccontextmanager
async def run_app(settings: Mapping[str, str]) -> AsyncIterator[AppProcess]:
    """Yield the app, listening to its queues and timers; kill it at the end, unless it was stopped before.

    `settings` win over the settings file; what the user's environment says of any setting is left out. Raises
    AppEndedError if the app does not start.
    """
    with (
        tempfile.TemporaryFile() as modules,
        tempfile.TemporaryFile() as log,
        _start(settings, modules, log) as process,
    ):
        app = AppProcess(process, modules, log)
        try:
            await app.wait_until_started()
            yield app
        finally:
            process.kill()  # nothing to save: all it has written is in memory that ends with the demo


def _start(settings: Mapping[str, str], modules: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "local.demo.hosted_app", "--settings", SETTINGS_FILE.name]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=modules,
        stderr=log,
        cwd=ROOT,
        env={**_foreign_environment(), **settings},
        start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends the app in its own order
    )


def _foreign_environment() -> dict[str, str]:
    ours = set(json.loads(SETTINGS_FILE.read_text(encoding="utf-8"))["Values"])
    return {name: value for name, value in os.environ.items() if name not in ours and not _is_host_setting(name)}


def _is_host_setting(name: str) -> bool:
    return name.startswith(_HOST_SETTINGS)


def _bytes_of(file: IO[bytes]) -> bytes:
    # Reads at a place of its own: the file's position is shared with the process that writes.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def _text_of(file: IO[bytes]) -> str:
    return _bytes_of(file).decode(errors="replace")
