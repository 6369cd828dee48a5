"""Three workers on one storage: every call that leaves a worker pauses before and after its effect.

A worker is a process of the product: its own `build`, its own clock, which is up to a second off. It may stall at any
call for minutes, and end at any call; then another process begins in its place. Storage may fail before or after the
effect, and where the library repeats a write whose answer it lost, the second write meets what the first one made.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from local.memory_storage import MemoryTable
from shared.bootstrap import App, build
from shared.ports import Insert, Place, Ports, Row, SourcePorts, Write
from shared.settings import Settings
from tests.histories.virtual_time import VirtualTimeLoop

LONGEST_INVOCATION_S = 600.0
"""`functionTimeout` in host.json: then the host ends the process."""


POST = "graph submissions.submit"
POST_ARRIVES_WITHIN_S = 0.5
"""No window can be exact if a POST may be on its way for long after its stamp: this much is left to travel."""
LONGEST_TRAVEL_S = 4.0


class ProcessEndedError(BaseException):
    """The process ended here; no `except Exception` of the product may go on after it."""


class StorageTroubleError(Exception):
    """What a storage library raises once it has given up: nothing that the product has a name for."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How likely each trouble is, for one call."""

    stall: float = 0.0
    storage_fails: float = 0.0
    answer_lost: float = 0.0
    is_slow: float = 0.1


@dataclass
class Pace:
    """The draws that decide how long each call takes and what befalls it, in the order of the calls."""

    loop: VirtualTimeLoop
    chance: random.Random
    weather: Weather
    trace: list[str] = field(default_factory=list)
    tells: bool = False
    calls: int = 0
    tables_down_until_s: float = 0.0

    def tell(self, line: str) -> None:
        """Keep a line of the trace, if anybody wants it."""
        if self.tells:
            self.trace.append(f"{self.loop.now():%d %H:%M:%S.%f} {line}")

    async def before(self, most_s: float) -> None:
        """Let the call take its time to arrive."""
        self.calls += 1
        await asyncio.sleep(min(most_s, self._travel_s()))

    async def after(self) -> None:
        """Let the answer take its time, or the worker stall with it in hand."""
        if self.weather.stall and self.chance.random() < self.weather.stall:
            await asyncio.sleep(self.chance.uniform(20.0, 400.0))
        else:
            await asyncio.sleep(self._travel_s())

    def _travel_s(self) -> float:
        draw = self.chance.random()
        if draw < self.weather.is_slow:
            return self.chance.uniform(0.05, LONGEST_TRAVEL_S)
        return draw * 0.03

    def befalls(self, likelihood: float) -> bool:
        """Whether something of that likelihood befalls a call."""
        return likelihood > 0 and self.chance.random() < likelihood


@dataclass
class SkewedClock:
    """The `Clock` of one worker."""

    loop: VirtualTimeLoop
    skew: timedelta

    def now(self) -> datetime:
        """The time as this worker has it."""
        return self.loop.now() + self.skew

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Process:
    """One life of a worker."""

    def __init__(self, name: str, pace: Pace) -> None:
        self.name = name
        self.pace = pace
        self.has_ended = False
        self._thaws_at_s = 0.0

    def freeze(self, span_s: float) -> None:
        """Stand still: nobody here sees an answer before it is over. What was sent has its effect all the same."""
        self.pace.tell(f"{self.name} FREEZES for {span_s:.0f} s")
        self._thaws_at_s = self.pace.loop.time() + span_s

    async def after(self) -> None:
        """Let the answer come."""
        await self.pace.after()
        left_s = self._thaws_at_s - self.pace.loop.time()
        if left_s > 0:
            await asyncio.sleep(left_s)
        self.check()

    async def take(self, what: str, call: Callable[[], Awaitable[Any]], *, is_repeatable: bool) -> Any:
        """Make one call that leaves the process; `is_repeatable` says that it is a write to storage."""
        pace = self.pace
        await pace.before(POST_ARRIVES_WITHIN_S if what == POST else LONGEST_TRAVEL_S)
        self.check()
        weather = pace.weather
        is_down = what[0] == "t" and pace.loop.time() < pace.tables_down_until_s
        if is_down or (what[0] != "g" and pace.befalls(weather.storage_fails)):
            pace.tell(f"{self.name} {what}: fails, no effect")
            raise StorageTroubleError(what)
        try:
            answer = await call()
        except Exception as error:
            pace.tell(f"{self.name} {what}: {type(error).__name__}")
            await self.after()
            raise
        pace.tell(f"{self.name} {what}: done")
        if is_repeatable and pace.befalls(weather.answer_lost):
            answer = await self._lose(what, call)
        await self.after()
        return answer

    async def _lose(self, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Lose the answer: the library gives up, or sends the same again after its time limit."""
        pace = self.pace
        await asyncio.sleep(pace.chance.choice((0.5, 5.0, 30.0, 60.0, 90.0)))
        self.check()
        if pace.befalls(0.3):
            pace.tell(f"{self.name} {what}: answer lost, the library gives up")
            raise StorageTroubleError(what)
        try:
            answer = await call()
        except Exception as error:
            pace.tell(f"{self.name} {what}: sent again by the library: {type(error).__name__}")
            raise
        pace.tell(f"{self.name} {what}: sent again by the library: done")
        return answer

    def check(self) -> None:
        """End here if the process has ended."""
        if self.has_ended:
            raise ProcessEndedError

    def ports(self, ports: Ports) -> Ports:
        """The same ports, every call of which is this process's."""
        return replace(
            ports,
            tables={name: PacedTable(name, port, self) for name, port in ports.tables.items()},
            queues={name: PacedPort(f"queue {name}", port, self, writes=True) for name, port in ports.queues.items()},
            containers={
                name: PacedPort(f"container {name}", port, self, writes=True) for name, port in ports.containers.items()
            },
            mail=PacedPort("graph mail", ports.mail, self),
            submissions=PacedPort("graph submissions", ports.submissions, self),
            sources=self._sources(ports.sources) if ports.sources else None,
            answers=PacedPort("graph answers", ports.answers, self) if ports.answers else None,
        )

    def _sources(self, sources: SourcePorts) -> SourcePorts:
        return SourcePorts(
            user_submissions=PacedPort("graph user submissions", sources.user_submissions, self),
            defender_alerts=PacedPort("graph alerts", sources.defender_alerts, self),
            hunting=PacedPort("graph hunting", sources.hunting, self),
        )


class PacedPort:
    """A port whose awaited methods are calls of a process."""

    def __init__(self, name: str, port: Any, process: Process, *, writes: bool = False) -> None:
        self._name = name
        self._port = port
        self._process = process
        self._writes = writes

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)

        async def paced(*args: Any, **kwargs: Any) -> Any:
            is_repeatable = self._writes and method != "get"
            return await self._process.take(
                f"{self._name}.{method}", lambda: call(*args, **kwargs), is_repeatable=is_repeatable
            )

        return paced


class PacedTable:
    """A table whose calls are a process's; a scan is read in pages, between which others write."""

    def __init__(self, name: str, table: Any, process: Process) -> None:
        self._name = f"table {name}"
        self._table: MemoryTable = table
        self._process = process

    async def get(self, partition: str, row: str) -> Row | None:
        """See the port."""
        found: Row | None = await self._process.take(
            f"{self._name}.get {row}", lambda: self._table.get(partition, row), is_repeatable=False
        )
        return found

    async def write(self, write: Write) -> str:
        """See the port."""
        return (await self.write_all([write]))[0]

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """See the port. A lone Delete that is repeated finds nothing, as one in a transaction does."""
        told = f"{self._name}.write {', '.join(map(_told, writes))}" if self._process.pace.tells else self._name
        done: list[str] = await self._process.take(told, lambda: self._table.write_all(writes), is_repeatable=True)
        return done

    async def scan(
        self,
        partition: str,
        from_row: str,
        below_row: str,
        limit: int | None = None,
        *,
        only: tuple[str, str] | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """See the port."""
        chance = self._process.pace.chance
        start, left = from_row, limit
        while True:
            page_rows = chance.choice((1, 2, 5)) if chance.random() < 0.1 else 1_000
            page = await self._page(partition, start, below_row, page_rows, only=only, select=select)
            for row in page if left is None else page[:left]:
                yield row
            left = None if left is None else left - len(page)
            if len(page) < page_rows or (left is not None and left <= 0):
                return
            start = f"{page[-1].entity['RowKey']}\x00"

    async def behind(self, place: Place, below_partition: str, limit: int) -> list[Row]:
        """See the port."""
        found: list[Row] = await self._process.take(
            f"{self._name}.behind {place[1]}",
            lambda: self._table.behind(place, below_partition, limit),
            is_repeatable=False,
        )
        return found

    async def _page(self, partition: str, start: str, below_row: str, rows: int, **narrowed: Any) -> list[Row]:
        async def read() -> list[Row]:
            return [row async for row in self._table.scan(partition, start, below_row, rows, **narrowed)]

        told = f"{self._name}.scan {start.rstrip(chr(0))}"
        page: list[Row] = await self._process.take(told, read, is_repeatable=False)
        return page


class Worker:
    """A place where processes of the product run, one after the other."""

    def __init__(self, name: str, settings: Settings, ports: Ports, pace: Pace, skew: timedelta) -> None:
        self.name = name
        self.skew = skew
        self._settings = settings
        self._ports = replace(ports, clock=SkewedClock(pace.loop, skew))
        self._pace = pace
        self.begin()

    def begin(self) -> None:
        """Begin a process: nothing of an old one's memory is left."""
        self.process = Process(self.name, self._pace)
        self.app: App = build(self._settings, self.process.ports(self._ports))

    def end(self) -> None:
        """End the process wherever it is, and begin another."""
        self._pace.tell(f"{self.name} ENDS")
        self.process.has_ended = True
        self.begin()


def _told(write: Write) -> str:
    if isinstance(write, Insert) or hasattr(write, "entity"):
        entity = write.entity
        return f"{type(write).__name__} {entity['RowKey']} {entity.get('State') or entity.get('Event') or ''}"
    return f"{type(write).__name__} {write.row}"
