"""After two hours of standstill: thousands of reports wait, and what the app does about them in simulated time.

Every request to the mailbox and every call to storage takes its time on the simulated clock, so that what is measured
is how the reading is arranged: how many requests a report needs, what waits for what, and where a run stops. Storage is
in memory; the mailbox serves four requests at a time, as Outlook does, and 10,000 in ten minutes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from local.bench.figures import Figure, Target
from local.bench.one_campaign import CampaignMailbox, EasyMicrosoft
from local.bench.simulated_day import SCHEDULES
from local.functions_host import SimulatedClock
from local.memory_storage import MemoryBlobs, MemoryQueue, MemoryTable
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, App, build
from shared.domain.errors import Throttled
from shared.ports import MailSource, Ports, ReportHead, ReportPage
from shared.settings import Settings
from shared.stores.checkpoints import Checkpoint, CheckpointStore

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STANDSTILL = timedelta(hours=2)
REPORTS = 8_000
SECOND_MAILBOX = "abuse@contoso.example"
MAIL_S, STORAGE_S = 0.2, 0.01
AT_ONCE = 4
REQUESTS, REQUESTS_IN = 10_000, timedelta(minutes=10)
"""Outlook's limits for one app and mailbox (Graph throttling limits)."""
EVERY_S = 120.0
"""The schedule as it is deployed by now."""
MOST_RUNS = 60
PAGE, LIST_PAGE = 50, 200
SIZE_BYTES = 2_000
"""Small, since reading a mail takes no simulated time."""
WITHIN_MIN = Target("<=", 30)
LONGEST_RUN_S = Target("<=", 300)


@dataclass
class BusyMailbox:
    """The `MailSource` port over two mailboxes: one with all the reports, one with a single one that came last."""

    clock: SimulatedClock
    reports: int
    _mails: CampaignMailbox = field(init=False)
    _under_way: int = 0
    _asked: deque[datetime] = field(default_factory=deque)
    refusals: int = 0

    def __post_init__(self) -> None:
        self._mails = CampaignMailbox(self.reports + 1, PAGE, START - STANDSTILL, SIZE_BYTES)

    async def changes(self, mailbox: str, folder: str, resume: str | None) -> ReportPage:
        """A page of the feed."""
        del folder
        if mailbox == SECOND_MAILBOX:
            await self._served(mailbox)
            heads = () if resume else (self._head(self.reports),)
            return ReportPage(heads, "read", is_last=True)
        await self._served(mailbox)
        start = int(resume or 0)
        end = min(start + PAGE, self.reports)
        return ReportPage(tuple(self._heads(start, end)), str(end), end == self.reports)

    async def listed(self, mailbox: str, folder: str, since: datetime, resume: str | None) -> ReportPage:
        """A page of what was received since then, the newest first."""
        del folder
        await self._served(mailbox)
        first = self.reports if mailbox == SECOND_MAILBOX else 0
        last = self.reports + 1 if mailbox == SECOND_MAILBOX else self.reports
        found = [head for head in self._heads(first, last) if head.received_at >= since][::-1]
        end = int(resume or 0) + LIST_PAGE
        return ReportPage(tuple(found[int(resume or 0) : end]), str(end) if end < len(found) else "", end >= len(found))

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of a mail."""

        async def ask(mailbox: str, *args: Any) -> Any:
            await self._served(mailbox)
            return await getattr(self._mails, name)(mailbox, *args)

        return ask

    def _heads(self, start: int, end: int) -> Iterator[ReportHead]:
        return (self._head(number) for number in range(start, end))

    def _head(self, number: int) -> ReportHead:
        return replace(self._mails.head_of(number), received_at=START - STANDSTILL * (1 - number / self.reports))

    async def _served(self, mailbox: str) -> None:
        """Take a request's time, or refuse it: four at a time and so many in ten minutes, of the busy mailbox."""
        if mailbox == SECOND_MAILBOX:
            await self.clock.sleep(MAIL_S)
            return
        now = self.clock.now()
        while self._asked and now - self._asked[0] >= REQUESTS_IN:
            self._asked.popleft()
        if self._under_way >= AT_ONCE or len(self._asked) >= REQUESTS:
            self.refusals += 1
            wait = REQUESTS_IN - (now - self._asked[0]) if len(self._asked) >= REQUESTS else timedelta(seconds=1)
            raise Throttled("read a mail", status=429, retry_after_s=wait.total_seconds())
        self._asked.append(now)
        self._under_way += 1
        try:
            await self.clock.sleep(MAIL_S)
        finally:
            self._under_way -= 1


class Slow:
    """A port each call of which takes its time on the simulated clock."""

    def __init__(self, port: Any, clock: SimulatedClock) -> None:
        self._port = port
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)

        async def rows(*args: Any, **kwargs: Any) -> Any:
            await self._clock.sleep(STORAGE_S)
            async for row in call(*args, **kwargs):
                yield row

        async def slow(*args: Any, **kwargs: Any) -> Any:
            await self._clock.sleep(STORAGE_S)
            return await call(*args, **kwargs)

        return rows if name == "scan" else slow


@dataclass(frozen=True, slots=True)
class Course:
    """How it went: seconds until every report was durable, each run's length, and the second mailbox's wait."""

    durable_s: float
    second_s: float
    runs_s: list[float]
    rows: int
    refusals: int


async def measure(reports: int = REPORTS) -> list[Figure]:
    """Eight thousand reports in one mailbox, one in another."""
    course = await run_standstill(reports)
    name = f"{reports:,} reports after 2 h of standstill"
    costs = f"{len(course.runs_s)} runs; {MAIL_S} s a request to the mailbox, {STORAGE_S} s a storage call"
    return [
        Figure(
            name=f"{name}: all durable, simulated time",
            value=course.durable_s / 60,
            unit="min",
            target=WITHIN_MIN,
            note=costs,
        ),
        Figure(name=f"{name}: longest run", value=max(course.runs_s), unit="s", target=LONGEST_RUN_S),
        Figure(name=f"{name}: the other mailbox's report is a row after", value=course.second_s, unit="s"),
        Figure(name=f"{name}: rows", value=course.rows, unit="rows", target=Target(">=", reports + 1)),
        Figure(name=f"{name}: requests refused", value=course.refusals, unit="of Outlook's limits"),
    ]


async def run_standstill(reports: int) -> Course:
    """Let the timer collect until every report has its row."""
    clock = SimulatedClock(START)
    mail, tables = BusyMailbox(clock, reports), {name: MemoryTable() for name in TABLES}
    checkpoint = Checkpoint("0", START - STANDSTILL, START - STANDSTILL, START - STANDSTILL)
    await CheckpointStore(tables["runstate"]).put(REPORTING_MAILBOX, "inbox", checkpoint)
    app = _app(clock, mail, tables)
    watch = asyncio.create_task(_watched(clock, tables["outcomes"], reports))
    runs_s: list[float] = []
    while not watch.done() and len(runs_s) < MOST_RUNS:
        run = asyncio.create_task(app.collect_reports.run())
        runs_s.append(await clock.advance_until(run.done, 3_600))
        await run
        since_start_s = (clock.now() - START).total_seconds()
        await clock.advance(EVERY_S - since_start_s % EVERY_S)  # the timer starts no run while one is under way
    durable_s, second_s = await watch
    return Course(durable_s, second_s, runs_s, len(tables["outcomes"].rows()), mail.refusals)


async def _watched(clock: SimulatedClock, outcomes: MemoryTable, reports: int) -> tuple[float, float]:
    """The seconds until every report has its row, and until the second mailbox's has."""
    second_s = 0.0
    while len(rows := outcomes.rows()) <= reports:
        await clock.sleep(5)
        if not second_s and any(row.get("Mailbox") == SECOND_MAILBOX for row in rows):
            second_s = (clock.now() - START).total_seconds()
    return (clock.now() - START).total_seconds(), second_s


def _app(clock: SimulatedClock, mail: BusyMailbox, tables: dict[str, MemoryTable]) -> App:
    ports = Ports(
        tables={name: cast(Any, Slow(table, clock)) for name, table in tables.items()},
        queues={name: cast(Any, Slow(MemoryQueue(clock), clock)) for name in QUEUES},
        containers={name: cast(Any, Slow(MemoryBlobs(clock), clock)) for name in CONTAINERS},
        mail=cast(MailSource, mail),
        submissions=EasyMicrosoft(),
        clock=clock,
    )
    storage = "UseDevelopmentStorage=true"
    settings = {
        "AzureWebJobsStorage": storage,
        "SubmissionsStorage": storage,
        "TENANT_ID": TENANT_ID,
        "REPORTING_MAILBOXES": f"{REPORTING_MAILBOX},{SECOND_MAILBOX}",
        "TENANT_DOMAINS": ",".join(DOMAINS),
        **SCHEDULES,
    }
    return build(Settings.load(settings), ports)
