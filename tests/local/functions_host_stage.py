"""A stage for the host loop: in-memory queues, simulated time, and a log of everything the host did.

Each entry of the log is the seconds since the stage was set up and a step in the words of `host_traces.json`, so that
a replay and a recording can be laid side by side.
"""

import asyncio
import inspect
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func

from local.functions_host import (
    FunctionsHost,
    HostEvent,
    InMemoryQueueService,
    InMemoryStatusStore,
    SimulatedClock,
    read_host_config,
)

WORK = "work"
POISON = "work-poison"
RECORDINGS: dict[str, Any] = json.loads(Path(__file__).with_name("host_traces.json").read_text(encoding="utf-8"))

Step = tuple[float, str]
QueueCall = Callable[[str], Awaitable[None]]
TimerCall = Callable[[func.TimerRequest], Awaitable[None]]


def queue_app(call: Callable[..., Any], queue: str = WORK, data_type: func.DataType | None = None) -> func.FunctionApp:
    """An app with one queue-triggered function `worker`, taking the message."""
    app = func.FunctionApp()
    add_queue_function(app, "worker", call, queue, data_type)
    return app


def add_queue_function(
    app: func.FunctionApp,
    name: str,
    call: Callable[..., Any],
    queue: str = WORK,
    data_type: func.DataType | None = None,
) -> None:
    """Add a queue-triggered function under a name of its own."""
    triggered = app.queue_trigger(
        arg_name=_parameter(call), queue_name=queue, connection="Storage", data_type=data_type
    )(call)
    app.function_name(name)(triggered)


def timer_app(
    call: TimerCall, schedule: str, *, run_on_startup: bool = False, use_monitor: bool = True
) -> func.FunctionApp:
    """An app with one timer function `ticker`, taking the timer."""
    app = func.FunctionApp()
    triggered = app.timer_trigger(
        arg_name=_parameter(call), schedule=schedule, run_on_startup=run_on_startup, use_monitor=use_monitor
    )(call)
    app.function_name("ticker")(triggered)
    return app


def _parameter(call: Callable[..., Any]) -> str:
    return next(iter(inspect.signature(call).parameters))


class RecordedStatusStore(InMemoryStatusStore):
    """A status store that logs what is written."""

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__()
        self._log = log

    async def write(self, function: str, text: str) -> None:
        """Keep and log the text."""
        await super().write(function, text)
        status = json.loads(text)
        self._log(f"status last={_time_of_day(status['Last'])} next={_time_of_day(status['Next'])}")


@dataclass
class Stage:
    """Where hosts run, one after another, over the same queues and statuses."""

    start: datetime = datetime(2026, 11, 23, 15, 48, 52, 580_000, tzinfo=UTC)
    settings: dict[str, str] = field(default_factory=dict)
    queue_options: dict[str, Any] = field(default_factory=dict)
    host_json: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = SimulatedClock(self.start)
        self.queues = InMemoryQueueService(self.clock)
        self.statuses = RecordedStatusStore(self.log)
        self.events: list[HostEvent] = []
        self.steps: list[Step] = []
        self.random = random.Random(7)  # noqa: S311 - jitter, the same each time

    @property
    def elapsed_s(self) -> float:
        """Simulated seconds since the stage was set up."""
        return (self.clock.now() - self.start).total_seconds()

    def log(self, step: str) -> None:
        """Add a step, now."""
        self.steps.append((self.elapsed_s, step))

    def host(self, app: func.FunctionApp) -> FunctionsHost:
        """A host for `app`, not started."""
        options = {"newBatchThreshold": 16, **self.queue_options}
        config = read_host_config({"extensions": {"queues": options}, **self.host_json}, self.settings)
        return FunctionsHost(
            app,
            config,
            self.settings,
            self.queues,
            self.statuses,
            clock=self.clock,
            random=self.random,
            observer=self._observe,
        )

    async def started(self, app: func.FunctionApp) -> FunctionsHost:
        """A host that has begun to start; a run at start-up may still be going on."""
        host = self.host(app)
        self._starting = asyncio.create_task(host.start())
        await self.clock.settle()
        return host

    async def put(self, *texts: str, queue: str = WORK, **options: int) -> None:
        """Create the queue if need be and store the texts."""
        await self.queues.create(queue)
        for text in texts:
            await self.queues.put(queue, text, **options)

    async def advance_to(self, elapsed_s: float) -> None:
        """Move the clock to so many seconds after the stage was set up."""
        await self.clock.advance(elapsed_s - self.elapsed_s)

    def named(self, name: str) -> list[HostEvent]:
        """The events of that name so far."""
        return [event for event in self.events if event.name == name]

    def most_running(self) -> int:
        """The largest number of functions that ran at the same time."""
        running = most = 0
        for event in self.events:
            running += {"function:start": 1, "function:end": -1}.get(event.name, 0)
            most = max(most, running)
        return most

    def _observe(self, event: HostEvent) -> None:
        self.events.append(event)
        step = rendered(event)
        if step is not None:
            self.log(step)


def rendered(event: HostEvent) -> str | None:
    """The event in the words of the recordings; None for an empty poll."""
    words: Mapping[str, str] = {
        "function:start": f"start dequeued={_joined(event.dequeue_counts)}",
        "function:end": f"end {event.outcome}",
        "function:timer": "timer past_due" if event.past_due else "timer",
        "function:timerEnd": "timerEnd",
    }
    if event.name.startswith("host:"):
        return event.name.removeprefix("host:")
    if event.name in words:
        return words[event.name]
    if event.name == "GetMessages" and not event.dequeue_counts and event.status == 200:
        return None
    return _wire_step(event)


def _wire_step(event: HostEvent) -> str:
    parts = [event.name, "poison" if event.queue == POISON else "work"]
    if event.count is not None:
        parts.append(f"n={event.count}")
    if event.visibility_timeout_s is not None:
        parts.append(f"hide={event.visibility_timeout_s}")
    if event.dequeue_counts:
        parts.append(f"dequeued={_joined(event.dequeue_counts)}")
    return " ".join([*parts, str(event.status)])


def _joined(counts: tuple[int, ...]) -> str:
    return ",".join(map(str, counts))


def _time_of_day(text: str) -> str:
    return "never" if text.startswith("0001") else text[11:19]


def assert_alike(replayed: list[Step], recorded: list[list[Any]], tolerance_s: float) -> None:
    """Fail unless both have the same steps in the same order, each at the same time within the tolerance."""
    assert [step for _, step in replayed] == [step for _, step in recorded]
    for (replayed_s, step), (recorded_s, _) in zip(replayed, recorded, strict=True):
        assert abs(replayed_s - recorded_s) <= tolerance_s, f"{step}: {replayed_s} s, recorded at {recorded_s} s"
