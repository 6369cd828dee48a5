"""What the Functions host does, for three workers: timers, and queue messages delivered at least once.

Each function is called as `function_app.py` calls it. A message may be handled by two workers at the same time, or
again after it was handled; after five failed attempts it goes to its poison queue. Timers may overlap: two hosts stand
side by side while a platform redeploys. An invocation of over ten minutes ends its process.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.bootstrap import App
from shared.codecs.notification_message import read_notification
from shared.codecs.submission_message import UnreadableMessage, read_message
from tests.histories.virtual_time import VirtualTimeLoop
from tests.histories.workers import (
    LONGEST_INVOCATION_S,
    Pace,
    ProcessEndedError,
    StorageTroubleError,
    Worker,
)

MOST_DELIVERIES = 5
VISIBLE_AGAIN_S = 30.0
TIMERS = {"collect_reports": 120.0, "dispatch": 60.0, "settle_outcomes": 300.0}
"""How often each runs, in seconds."""

Function = Callable[[App], Awaitable[object]]


async def collect_reports(app: App) -> None:
    """As the timer does it."""
    if await app.collect_reports.run():
        await app.dispatch.run()


async def dispatch(app: App) -> None:
    """As the timer does it."""
    await app.dispatch.run()
    if app.answering is not None:
        await app.answering.pace.run()


async def settle_outcomes(app: App) -> None:
    """As the timer does it."""
    await app.settle_outcomes.run()
    await app.backlog.run()


async def intake_manual(app: App, body: str) -> None:
    """As the queue's function does it."""
    await app.intake_manual.run(body)
    await app.dispatch.run()


async def submit(app: App, body: str) -> None:
    """As the queue's function does it."""
    await app.submit.run(read_message(body))


async def notify(app: App, body: str) -> None:
    """As the queue's function does it."""
    if app.answering is not None:
        await app.answering.notify.run(read_notification(body))


async def record_poison_notification(app: App, body: str) -> None:
    """As the queue's function does it."""
    if app.answering is not None:
        await app.answering.record_poison.run(body)


async def record_poison_manual(app: App, body: str) -> None:
    """As the queue's function does it."""
    await app.record_poison_manual.run(body)


async def record_poison_submission(app: App, body: str) -> None:
    """As the queue's function does it."""
    await app.record_poison_submission.run(body)


TIMER_FUNCTIONS: dict[str, Function] = {
    "collect_reports": collect_reports,
    "dispatch": dispatch,
    "settle_outcomes": settle_outcomes,
}
QUEUE_FUNCTIONS: dict[str, Callable[[App, str], Awaitable[object]]] = {
    "manual-submissions": intake_manual,
    "submissions": submit,
    "manual-submissions-poison": record_poison_manual,
    "submissions-poison": record_poison_submission,
    "notifications": notify,
    "notifications-poison": record_poison_notification,
}


@dataclass(eq=False, slots=True)
class Message:
    """A message on a queue."""

    body: str
    visible_at_s: float
    dequeue_count: int = 0
    is_deleted: bool = False


@dataclass
class HostQueue:
    """The `WorkQueue` port, and what stands on the queue."""

    name: str
    loop: VirtualTimeLoop
    messages: list[Message] = field(default_factory=list)
    on_message: Callable[[HostQueue, Message], None] | None = None

    async def send(self, body: str, delay_s: int = 0) -> None:
        """Put a message that becomes visible after `delay_s` seconds."""
        self.put(body, delay_s)

    def put(self, body: str, delay_s: float = 0) -> None:
        """Put a message."""
        if len(body.encode()) > 65_536:
            raise ValueError("a message is at most 64 KiB")
        message = Message(body, self.loop.time() + delay_s)
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(self, message)

    def delete(self, message: Message) -> None:
        """Remove a message; one that is gone does not matter."""
        message.is_deleted = True
        if message in self.messages:
            self.messages.remove(message)


@dataclass(frozen=True, slots=True)
class Habits:
    """How unreliable the host is; likelihoods are for one delivery or one run."""

    delivers_twice: float = 0.15
    forgets_to_delete: float = 0.05
    runs_twice: float = 0.05
    skips: float = 0.05


@dataclass(frozen=True, slots=True)
class Failure:
    """What rose out of a function, and when that run of it had begun."""

    function: str
    error: Exception
    began_s: float


class Host:
    """Runs the functions on the workers."""

    def __init__(
        self,
        loop: VirtualTimeLoop,
        workers: list[Worker],
        queues: dict[str, HostQueue],
        pace: Pace,
        chance: random.Random,
        habits: Habits,
    ) -> None:
        self.loop = loop
        self.workers = workers
        self.queues = queues
        self.habits = habits
        self.failures: list[Failure] = []
        """What rose out of a function that no trouble of storage explains."""
        self.runs: Counter[str] = Counter()
        self._pace = pace
        self._chance = chance
        self._tasks: set[asyncio.Task[object]] = set()
        self._running: Counter[str] = Counter()
        for queue in queues.values():
            queue.on_message = self._on_message

    @property
    def is_idle(self) -> bool:
        """Whether no function runs."""
        return not self._tasks

    async def run_timers(self, span_s: float, *, slower: float = 1.0) -> None:
        """Let the timers run for so long; in days in which nothing can happen so many times more rarely."""
        end_s = self.loop.time() + span_s
        await asyncio.gather(*(self._timer(name, every_s * slower, end_s) for name, every_s in TIMERS.items()))

    async def run_all_once(self) -> None:
        """Run every timer once, each on some worker, and wait for whatever runs."""
        for name in TIMERS:
            await asyncio.wait({self.start(name)})
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def start(self, name: str) -> asyncio.Task[object]:
        """Start a timer's function on some worker."""
        self.runs[name] += 1
        function = TIMER_FUNCTIONS[name]
        return self._begin(self._invoke(name, self._chance.choice(self.workers), function))

    def _begin(self, work: Awaitable[object]) -> asyncio.Task[object]:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _timer(self, name: str, every_s: float, end_s: float) -> None:
        await asyncio.sleep(self._chance.uniform(0, every_s))
        while self.loop.time() < end_s:
            draw = self._chance.random()
            if draw >= self.habits.skips and not self._running[name]:
                self.start(name)
            if draw > 1 - self.habits.runs_twice:
                self.start(name)
            await asyncio.sleep(every_s)

    async def _invoke(self, name: str, worker: Worker, function: Function) -> bool:
        """Run a function; whether it came to its end."""
        process, app, began_s = worker.process, worker.app, self.loop.time()
        self._running[name] += 1
        self._pace.tell(f"{worker.name} {name} BEGINS")
        watch = self.loop.call_later(LONGEST_INVOCATION_S, self._end_if_alive, worker, process)
        try:
            await function(app)
        except ProcessEndedError:
            return False
        except (StorageTroubleError, UnreadableMessage) as error:
            self._pace.tell(f"{worker.name} {name} FAILS: {type(error).__name__}")
            if name.startswith("record_poison"):
                self.failures.append(Failure(name, error, began_s))
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, the host goes on
            self._pace.tell(f"{worker.name} {name} FAILS: {error!r}")
            self.failures.append(Failure(name, error, began_s))
            return False
        finally:
            watch.cancel()
            self._running[name] -= 1
        self._pace.tell(f"{worker.name} {name} ends")
        return True

    def _end_if_alive(self, worker: Worker, process: object) -> None:
        if worker.process is process:
            worker.end()

    def _on_message(self, queue: HostQueue, message: Message) -> None:
        wait_s = max(0.0, message.visible_at_s - self.loop.time()) + self._chance.uniform(0.0, 5.0)
        self.loop.call_later(wait_s, self._receive, queue, message)

    def _receive(self, queue: HostQueue, message: Message) -> None:
        if not message.is_deleted:
            self._begin(self._deliver(queue, message))

    async def _deliver(self, queue: HostQueue, message: Message) -> None:
        """Deliver one message, perhaps to two workers at once."""
        message.dequeue_count += 1
        if self._chance.random() < self.habits.delivers_twice:
            self.loop.call_later(
                self._chance.choice((0.0, 0.01, 1.0, 20.0, 200.0)), self._receive_again, queue, message
            )
        worker = self._chance.choice(self.workers)
        process = worker.process
        function = QUEUE_FUNCTIONS[queue.name]
        name = function.__name__
        is_done = await self._invoke(name, worker, lambda app: function(app, message.body))
        if message.is_deleted:
            return
        if is_done:
            if self._chance.random() < self.habits.forgets_to_delete:
                self._again(queue, message, self._chance.choice((5.0, 60.0, 600.0)))
            else:
                queue.delete(message)
        elif process.has_ended:
            self._again(queue, message, self._chance.uniform(1.0, 600.0))
        elif message.dequeue_count >= MOST_DELIVERIES:
            queue.delete(message)
            self.queues[f"{queue.name}-poison"].put(message.body)
        else:
            self._again(queue, message, VISIBLE_AGAIN_S)

    def _receive_again(self, queue: HostQueue, message: Message) -> None:
        """A second delivery while the first may still run: somebody lost its hold on the message."""
        worker = self._chance.choice(self.workers)
        function = QUEUE_FUNCTIONS[queue.name]
        self._pace.tell(f"{queue.name}: a message is delivered a second time")
        self._begin(self._invoke(function.__name__, worker, lambda app: function(app, message.body)))

    def _again(self, queue: HostQueue, message: Message, after_s: float) -> None:
        message.visible_at_s = self.loop.time() + after_s
        self._on_message(queue, message)
