"""Every command of the pages for people and programs is run, as a shell would run it, before an app that runs."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.graph_simulator import SimulatedTenant
from local.sample_tenant import DOMAINS, TENANT_ID, populate
from shared.cli.__main__ import COMMANDS
from shared.cli.errors import ExitCode
from shared.domain import keys
from shared.domain.model import CoverReason, Kind, Outcome, SkipReason, Source, State, Verdict
from shared.domain.planner import Limits
from shared.domain.replays import KNOWN_REASONS, CannotReplay, way_of
from shared.stores.heartbeats import TIMERS, Heartbeats
from tests.cli.submitting import OPERATOR
from tests.cli.tenant_rows import row
from tests.cli.test_replay import tables
from tests.support.command_line import COMMAND, ROOT, Done, environment
from tests.support.stage import Stage, stage

PAGES = ("docs/operators.md", "docs/pipelines.md", "README.md")
NOT_RUN = ("az ", "python3 -m venv ", "~/submissions/bin/pip ", "export PATH=", "export SUBMISSIONS_ACCOUNT=")
"""How the lines begin that need Azure or a package index, or that only they make true."""
COLUMNS = 130
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shown:
    """A command as a page shows it, the exit code that the page states, and the output that it shows."""

    text: str
    code: int
    output: tuple[str, ...] = ()


# --- Pages ----------------------------------------------------------------------------------------------------------


def commands(block: str) -> Iterator[str]:
    """Yield the commands of a block, each with its continuation lines and the file that it holds."""
    taken, end = "", None
    for line in block.splitlines(keepends=True):
        taken += line
        if end is None and (opened := re.search(r"<<'(\w+)'", line)):
            end = opened[1]
        elif line.strip() == end:
            end = None
        if end is None and not line.endswith("\\\n"):
            yield taken
            taken = ""
    assert not taken, taken


def shown(page: str) -> list[Shown]:
    """Return the commands of a page: of blocks with a `submissions` command; on the operators' page, of all."""
    text, found = (ROOT / page).read_text(), list[Shown]()
    end_of_last = -1
    for block in _BLOCK.finditer(text):
        if block[1] == "sh" and (page == PAGES[0] or re.search(r"^submissions ", block[2], flags=re.MULTILINE)):
            found += [Shown(one, stated_code(one)) for one in commands(block[2]) if one.strip()]
            end_of_last = block.end()
        elif block[1] == "text" and end_of_last >= 0 and not text[end_of_last : block.start()].strip():
            found[-1] = Shown(found[-1].text, found[-1].code, tuple(block[2].splitlines()))
    return found


def stated_code(command: str) -> int:
    """Return the exit code that a comment states, else 0."""
    stated = re.search(r"# ends with (\d+)$", command.strip())
    return int(stated[1]) if stated else 0


def likeness(line: str) -> "re.Pattern[str]":
    """Return what a line of output looks like: words without a digit stay, others and all widths vary."""
    words = (r"\S+" if re.search(r"\d", word) else re.escape(word) for word in line.split())
    return re.compile(r"\s*" + r"\s+".join(words) + r"\s*")


# --- A shell --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shell:
    """A person's shell in a folder of their own, with the command on its PATH; what it exports stays."""

    connection: str
    folder: Path

    def run(self, command: str) -> Done:
        """Run a command on a terminal, as far as its standard output goes."""
        kept = self.folder / ".exported"
        script = f"[ ! -f {kept} ] || . {kept}\ntrap 'export -p > {kept}' EXIT\nset -eo pipefail\n{command}"
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
        try:
            process = subprocess.Popen(
                ["/bin/bash", "-c", script],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=slave,
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(slave)
        with process, os.fdopen(master, "rb", buffering=0) as screen:
            out = read_screen(screen.fileno())
            err = process.stderr.read() if process.stderr else b""
        return Done(process.returncode, out.decode().replace("\r\n", "\n"), err.decode())

    def environment(self) -> dict[str, str]:
        """What the shell begins with: nothing of Azure, and of programs those of the system and the command."""
        path = f"{self.folder / '.bin'}:/usr/bin:/bin"
        signed_in = {"SUBMISSIONS_REQUESTED_BY": OPERATOR}  # local storage knows no sign-in that would tell it
        return environment(self.connection, PATH=path, NO_COLOR="1", **signed_in)

    def install(self) -> None:
        """Put the command where the shell finds it."""
        programs = self.folder / ".bin"
        programs.mkdir()
        command = programs / "submissions"
        command.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
        command.chmod(0o755)


def read_screen(screen: int) -> bytes:
    """Return all that is written to a terminal until nobody has it open."""
    taken = b""
    with suppress(OSError):  # Linux says so when the other end is closed
        while chunk := os.read(screen, 65536):
            taken += chunk
    return taken


# --- An app that runs -----------------------------------------------------------------------------------------------


def ended(request_id: str, reason: str, now: datetime) -> Outcome:
    """Return a request that failed for this reason."""
    url = f"https://parcel.example/{request_id}"
    facts = {"kind": Kind.URL, "source": Source.MANUAL, "url": url, "item_key": keys.url_item(url), "subject": None}
    return row(1, now, state=State.FAILED, state_reason=reason, request_id=request_id, attempts=1, **facts)


async def prepare(connection: str, now: datetime) -> None:
    """Leave two failed rows and timers that have run."""
    async with tables(connection) as on:
        await on.end(ended("case-4790", "not_sent", now), ended("case-4791", "never_reconciled", now))
    limits = Limits(per_window=150, per_day=10_000, reserved_for_people=10, reserved_for_urgent=20)
    async with stage(connection=connection) as app:
        app.clock.time = now
        for timer in TIMERS:
            await Heartbeats(app.ports.tables["runstate"], app.clock, limits).ended(timer, 1, 1)


async def keep_running(app: Stage, is_over: threading.Event) -> None:
    """Go round at the time of day, until the pages have been read."""
    while not is_over.is_set():
        app.clock.time = datetime.now(UTC)
        await app.round()
        await asyncio.sleep(0.5)  # the commands run in their own time, and want the processor


async def run_app(connection: str, is_ready: threading.Event, is_over: threading.Event) -> None:
    """Run the app on the sample tenant, whose reports have come in before anybody asks."""
    now = datetime.now(UTC)
    tenant = SimulatedTenant(tenant_id=TENANT_ID, domains=DOMAINS)
    populate(tenant, now)
    await prepare(connection, now)
    async with stage(connection=connection, tenant=tenant) as app:
        app.graph.control.set_usual_verdicts(0, 0)
        app.clock.time = now
        await app.round()
        is_ready.set()
        await keep_running(app, is_over)


@pytest.fixture(scope="module")
def account(azurite: Azurite) -> Iterator[str]:
    """Yield the account of an app that runs meanwhile in a thread of its own."""
    connection = azurite.new_account()
    is_ready, is_over = threading.Event(), threading.Event()
    app = threading.Thread(target=lambda: asyncio.run(run_app(connection, is_ready, is_over)))
    app.start()
    try:
        assert is_ready.wait(60)
        yield connection
        assert app.is_alive()
    finally:
        is_over.set()
        app.join(30)


# --- The rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_command_does_what_the_page_says(page: str, account: str, tmp_path: Path) -> None:
    """It ends with the code that is stated, and what is shown behind it is what it writes, ids and times apart."""
    shell = Shell(account, tmp_path)
    shell.install()
    ran = [one for one in shown(page) if not one.text.startswith(NOT_RUN)]
    assert ran
    for one in ran:
        done = shell.run(one.text)
        assert done.code == one.code, f"{one.text}{done.err}"
        assert "Traceback" not in done.err
        if one.output:
            written = [line for line in (*done.lines, *done.err.splitlines()) if line.strip()]
            left = [line for line in written if not any(likeness(like).fullmatch(line) for like in one.output)]
            missing = [like for like in one.output if not any(likeness(like).fullmatch(line) for line in written)]
            assert (left, missing) == ([], []), one.text


def test_what_is_not_run_is_listed() -> None:
    """No command of ours hides behind an exception, and each exception is needed."""
    left_out = [one.text for page in PAGES for one in shown(page) if one.text.startswith(NOT_RUN)]
    assert all(any(text.startswith(start) for text in left_out) for start in NOT_RUN)
    assert not [text for text in left_out if re.search(r"^submissions ", text, flags=re.MULTILINE)]


def test_nothing_is_left_out_for_operators() -> None:
    """Each verdict, command, reason and exit code that a person may meet stands on the page."""
    page = (ROOT / PAGES[0]).read_text()
    named = set(re.findall(r"`([\w ]+)`", page))
    assert named >= set(Verdict)
    assert named >= set(COMMANDS)
    assert named >= {*SkipReason, *CoverReason}
    assert named >= {reason for reason in KNOWN_REASONS if refusal(reason) != "bad_message"}
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", page, flags=re.MULTILINE)} == set(ExitCode)


def refusal(reason: str) -> str | None:
    """Return why a row with this reason cannot be replayed, None where it can."""
    now = datetime.now(UTC)
    try:
        way_of(ended("case-1", reason, now), now)
    except CannotReplay as error:
        return error.reason
    return None
