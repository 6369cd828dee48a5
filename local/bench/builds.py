"""Two builds of the app: this checkout, and an older one in a folder of its own for as long as it is measured."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.bench import driven_app
from local.bench.stand_ins import ROOT
from local.functions_host import load_host_config
from local.functions_host.schedule import Schedule

_SNAPSHOT = Path("infra", "production.snapshot.json")
TIMERS = {"collect_reports": "COLLECT_SCHEDULE", "dispatch": "DISPATCH_SCHEDULE", "settle_outcomes": "SETTLE_SCHEDULE"}
DAY = timedelta(days=1)
_OF_THE_PLATFORM = ("APPLICATIONINSIGHTS_CONNECTION_STRING", "PYTHON_")
_NOWHERE = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:9/"
_PROGRAM = Path(driven_app.__file__).read_text(encoding="utf-8")
"""Run as text, so that the folder of the build, and not ours, is where modules are found."""


@dataclass(frozen=True, slots=True)
class Build:
    """A checkout's folder, and what it is called."""

    name: str
    folder: Path

    @property
    def packages(self) -> Path:
        """Where the packages are that only this build requires, if it does."""
        return self.folder / ".packages"

    def runs_a_day(self, function: str) -> int:
        """How often a timer's function runs, by the schedule of the checkout's own template."""
        schedule = Schedule.parse(template_settings(self.folder)[TIMERS[function]])
        at = datetime(2026, 11, 23, tzinfo=UTC) - timedelta(microseconds=1)
        until, runs = at + DAY, 0
        while (at := schedule.next_after(at)) <= until:
            runs += 1
        return runs

    def messages_at_once(self) -> int:
        """How many messages of a queue one instance handles at once, by the checkout's own host.json."""
        queues = load_host_config(self.folder / "host.json", {}).queues
        return queues.batch_size + queues.new_batch_threshold


TODAY = Build("today", ROOT)


def template_settings(checkout: Path) -> dict[str, str]:
    """Return the app settings of a checkout's template, as its snapshot has them."""
    told = json.loads((checkout / _SNAPSHOT).read_text(encoding="utf-8"))
    sites = (one for one in told["predictedResources"] if one["type"] == "Microsoft.Web/sites")
    return {one["name"]: one["value"] for site in sites for one in site["properties"]["siteConfig"]["appSettings"]}


def platform_settings(checkout: Path) -> dict[str, str]:
    """Return what a checkout's template sets for the platform's worker; what is sent to Azure goes nowhere."""
    settings = template_settings(checkout)
    found = {name: value for name, value in settings.items() if name.startswith(_OF_THE_PLATFORM)}
    return found | ({"APPLICATIONINSIGHTS_CONNECTION_STRING": _NOWHERE} if found else {})


@asynccontextmanager
async def exported(commit: str) -> AsyncIterator[Build]:
    """Yield the build of a commit, exported into a folder that is gone behind the block.

    What it requires and this checkout does not is installed for it alone. Raises RuntimeError with git's own words
    where it knows no such commit, or with pip's where it finds no such package.
    """
    content = await _output("git", "archive", commit)
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
        build = Build(commit, Path(folder))
        if missing := sorted(_requirements(build.folder) - _requirements(ROOT)):
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
            await _output(*pip, "--target", str(build.packages), *missing)
        yield build


def _requirements(checkout: Path) -> set[str]:
    """What a checkout deploys, each with its version, whatever the markers behind it say."""
    lines = (checkout / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {re.split(r"[\s;]", line)[0] for line in lines if re.match(r"[A-Za-z0-9]", line)}


async def _output(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    content, told = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(told.decode().strip())
    return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one call took of the app's process."""

    processor_s: float
    seconds: float
    grown_bytes: int
    modules: int


class DrivenApp:
    """A build's process."""

    def __init__(self, build: Build, process: asyncio.subprocess.Process) -> None:
        self.build = build
        self._process = process
        self.import_processor_s = 0.0

    async def run_timer(self, function: str) -> Took:
        """Run a timer's function once. Raises RuntimeError where it does."""
        return await self._ask({"function": function})

    async def run_messages(self, function: str, bodies: list[str]) -> Took:
        """Run a queue's function for these messages, as many at once as the host would. Raises as above."""
        return await self._ask({"function": function, "bodies": bodies, "at_once": self.build.messages_at_once()})

    async def wait_for_import(self) -> None:
        """Wait until the app is imported."""
        self.import_processor_s = (await self._answer())["processor_s"]

    async def _ask(self, asked: Mapping[str, Any]) -> Took:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        told = await self._answer()
        if (failed := told.pop("failed")) is not None:
            raise RuntimeError(f"{asked['function']} of {self.build.name} raised {failed}")
        return Took(**told)

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the app of {self.build.name} ended; does {sys.executable} have what it requires?")
        told: dict[str, Any] = json.loads(line)
        return told


@asynccontextmanager
async def driven(build: Build, environment: Mapping[str, str]) -> AsyncIterator[DrivenApp]:
    """Yield a new process of a build, the app imported."""
    async with AsyncExitStack() as ending:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM, str(build.packages)),
            cwd=build.folder,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=64 * 1024 * 1024,
        )
        ending.push_async_callback(_ended, process)
        app = DrivenApp(build, process)
        await app.wait_for_import()
        yield app


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
