"""Consumers that are killed before any of their lines while rows arrive, on Azurite, across midnight.

Rows arrive between the runs and during them; two consumers are held to it, each in its own process.
"""

import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import pytest
from azure.data.tables import TableClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from local.azurite import Azurite
from shared.codecs.rows import log_entity
from shared.domain.model import State
from tests.cli.feed_rows import append, events
from tests.support.outcomes import make_outcome

ROOT = Path(__file__).resolve().parents[2]
BEFORE_MIDNIGHT_S = 12
STATES = (State.PENDING, State.DISPATCHED, State.SUBMITTING, State.SUBMITTED, State.SETTLED)
SHIFTED = """
const Real = Date, by = {by_ms};
globalThis.Date = class extends Real {{
  constructor(...given) {{ given.length ? super(...given) : super(Real.now() + by) }}
  static now() {{ return Real.now() + by }}
}}
"""
"""Gives Node.js, and so Azurite, another time of day."""


@dataclass(frozen=True, slots=True)
class Service:
    """An Azurite whose clock is `ahead` of this machine's, and a process that runs mortal consumers."""

    azurite: Azurite
    ahead: timedelta
    consumers: subprocess.Popen[str]

    def now(self) -> datetime:
        """The service's time."""
        return datetime.now(UTC) + self.ahead

    def run(self, **asked: Any) -> bool:
        """Run a consumer; whether it lived to its end."""
        assert self.consumers.stdin is not None
        assert self.consumers.stdout is not None
        self.consumers.stdin.write(json.dumps(asked) + "\n")
        self.consumers.stdin.flush()
        lived: bool = json.loads(self.consumers.stdout.readline())
        return lived


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Start both; the service's clock is a few seconds before midnight."""
    now = datetime.now(UTC)
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    ahead = midnight - now - timedelta(seconds=BEFORE_MIDNIGHT_S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "NODE_OPTIONS",
            f"--import=data:text/javascript,{quote(SHIFTED.format(by_ms=int(ahead.total_seconds() * 1000)))}",
        )
        with (
            Azurite() as azurite,
            subprocess.Popen(
                [sys.executable, "-m", "tests.cli.mortal_consumers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            ) as consumers,
        ):
            yield Service(azurite, ahead, consumers)


@dataclass(slots=True)
class Writers:
    """Several writers of one feed. A submission's next change is appended after the one before it, as the app does."""

    feed: TableClient
    now: Callable[[], datetime]
    appended: list[str] = field(default_factory=list)
    steps: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def append(self, number: int, clock_s: float, late_s: float) -> None:
        """Append the submission's next change by a clock that is so much ahead, so long after it was looked at."""
        step = self.steps[number]
        self.steps[number] += 1
        previous = STATES[(step - 1) % len(STATES)] if step else None
        at = self.now() + timedelta(seconds=clock_s - late_s)
        outcome = make_outcome(number, state=STATES[step % len(STATES)], attempts=step)
        entity = log_entity(outcome, previous, at, step)
        self.feed.create_entity(entity)
        self.appended.append(str(entity["RowKey"]))


@contextmanager
def writing(service: Service) -> Iterator[tuple[str, Writers]]:
    """Yield an account with an empty feed, and its writers."""
    connection = service.azurite.new_account()
    with TableClient.from_connection_string(connection, "outcomelog") as feed:
        feed.create_table()
        yield connection, Writers(feed, service.now)


def kept_by_command(folder: Path) -> list[str]:
    """Return the row keys in the command's file, in the order of its lines."""
    return [json.loads(line)["RowKey"] for line in (folder / "changes.jsonl").read_text().splitlines()]


def kept_by_example(folder: Path) -> list[str]:
    """Return the row keys in the example's database, in the order in which they came."""
    with closing(sqlite3.connect(folder / "changes.sqlite")) as database:
        return [key for (key,) in database.execute("SELECT row_key FROM changes ORDER BY position")]


@dataclass(frozen=True, slots=True)
class Run:
    """A consumer that dies before its line of that number, while these changes are appended."""

    dies_at: int
    meanwhile: Sequence[tuple[int, float, float]]


appends = st.tuples(
    st.integers(1, 4), st.sampled_from([-3.0, 0.0, 4.0]), st.sampled_from([0.0, 0.0, 1.0, 400.0, 800.0])
)
runs = st.builds(Run, st.integers(1, 400), st.lists(appends, max_size=8))
plans = st.lists(st.one_of(appends, appends, runs), min_size=3, max_size=25)
pages = st.lists(st.integers(1, 60_000), min_size=2, max_size=5)


CONSUMERS = pytest.mark.parametrize(("consumer", "kept"), [("command", kept_by_command), ("example", kept_by_example)])
IN_A_PROCESS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.generate],  # what fails is told as it is: to look for a smaller plan takes minutes
)
Kept = Callable[[Path], list[str]]


def run_while(service: Service, writers: Writers, run: Run, asked: dict[str, Any]) -> None:
    """Run a consumer, and append while it runs."""
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(service.run, **asked, dies_at=run.dies_at)
        for append in run.meanwhile:
            writers.append(*append)
        running.result()


def run_to_the_end(service: Service, writers: Writers, kept: Kept, asked: dict[str, Any]) -> None:
    """Run a consumer until it has as many changes as there are."""
    deadline_s = monotonic() + 60
    while service.run(**asked, dies_at=None) and len(kept(Path(asked["folder"]))) < len(writers.appended):
        assert monotonic() < deadline_s
        sleep(0.1)  # what was appended within the service's present second waits for the next one


@CONSUMERS
@settings(IN_A_PROCESS, max_examples=10)
@given(plan=plans)
def test_killed_before_any_line(
    service: Service, consumer: str, kept: Kept, plan: list[tuple[int, float, float] | Run]
) -> None:
    """However often it is killed, it ends with exactly the changes, each submission's in the order of their append."""
    with TemporaryDirectory() as folder, writing(service) as (connection, writers):
        asked = {"consumer": consumer, "connection": connection, "folder": folder}
        for step in plan:
            if isinstance(step, Run):
                run_while(service, writers, step, asked)
            else:
                writers.append(*step)
        run_to_the_end(service, writers, kept, asked)
        assert sorted(kept(Path(folder))) == sorted(writers.appended)
        for number in writers.steps:
            mine = [key for key in writers.appended if make_outcome(number).key.submission_id in key]
            assert [key for key in kept(Path(folder)) if key in mine] == mine


@CONSUMERS
def test_killed_before_each_line(service: Service, consumer: str, kept: Kept, tmp_path: Path) -> None:
    """Of a short run every line that finds other files than the one before it: the next run ends with the change, once.

    A death before any other line leaves what the one before it leaves.
    """
    folder, notes = tmp_path / "lives", tmp_path / "lines"
    folder.mkdir()
    with writing(service) as (connection, writers):
        writers.append(1, 0.0, 1.0)
        sleep(1.02)  # the service's present second is over
        asked = {"consumer": consumer, "connection": connection}
        assert service.run(**asked, folder=str(folder), notes_to=str(notes))
        lines = [int(line) for line in notes.read_text().splitlines()]
        assert len(lines) >= 5
        assert lines[-1] > 50
        for line in lines:
            folder = tmp_path / f"died at {line}"
            folder.mkdir()
            assert not service.run(**asked, folder=str(folder), dies_at=line)
            assert service.run(**asked, folder=str(folder))
            assert kept(folder) == writers.appended, f"killed before line {line}"


@CONSUMERS
@settings(IN_A_PROCESS, max_examples=2)
@given(deaths=pages)
def test_killed_between_pages(service: Service, consumer: str, kept: Kept, deaths: list[int]) -> None:
    """With more rows than a page and a saved place hold: each once, wherever in the middle it was killed."""
    with TemporaryDirectory() as folder, writing(service) as (connection, writers):
        asked = {"consumer": consumer, "connection": connection, "folder": folder}
        writers.appended += append(connection, events(service.now() - timedelta(hours=2), 2_300))
        for dies_at in deaths:
            run_while(service, writers, Run(dies_at, [(1, 0.0, 0.0), (2, 0.0, 0.0)]), asked)
        run_to_the_end(service, writers, kept, asked)
        assert sorted(kept(Path(folder))) == sorted(writers.appended)
