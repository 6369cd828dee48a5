"""The host: indexes an app, listens for its functions, starts and stops in the recorded order.

It owns the listeners and the one worker, and nothing of the app. The invariant: after `stop` or `kill` returns no
function runs and no request is made.
"""

import asyncio
import logging
import random as random_module
import uuid
from collections.abc import Mapping
from datetime import timedelta

import azure.functions as func

from local.functions_host.clock import Clock, Random, SystemClock
from local.functions_host.config import HostConfig
from local.functions_host.events import HostEvent, Observer, ignore_event
from local.functions_host.index import Index, QueueFunction, TimerFunction, index_app
from local.functions_host.lease import VISIBILITY_TIMEOUT_S
from local.functions_host.observed_queue import ObservedQueueService
from local.functions_host.queue_listener import QueueListener
from local.functions_host.queue_service import DEFAULT_TIME_TO_LIVE_S, QueueService, ReceivedMessage
from local.functions_host.runner import FunctionRunner
from local.functions_host.status_store import StatusStore
from local.functions_host.timer_listener import TimerListener
from local.functions_host.worker import Worker

_logger = logging.getLogger(__name__)


class FunctionsHost:
    """Runs one app. Start it once; to start again after `stop` or `kill`, make a new one over the same stores.

    `queue_service` serves every queue trigger, whatever its `connection`. Functions that cannot be indexed, for a
    missing `%SETTING%` for example, are left out with an error in the log; those with the setting
    `AzureWebJobs.<name>.Disabled` are not listened for.
    """

    def __init__(
        self,
        app: func.FunctionApp,
        host_config: HostConfig,
        settings: Mapping[str, str],
        queue_service: QueueService,
        status_store: StatusStore,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        observer: Observer = ignore_event,
    ) -> None:
        self._clock = clock or SystemClock()
        self._observer = observer
        self._worker = Worker(self._clock, host_config.function_timeout, observer)
        self._runner = FunctionRunner(self._clock, self._worker, observer)
        self.index: Index = index_app(app, settings)
        service = ObservedQueueService(queue_service, self._clock, observer)
        jitter = random or random_module.Random()
        active = [function for function in self.index.functions if function.name not in self.index.disabled]
        self._queues = [
            QueueListener(function, host_config.queues, service, self._runner, self._clock, jitter)
            for function in active
            if isinstance(function, QueueFunction)
        ]
        self._timers = [
            TimerListener(function, status_store, self._runner, self._clock)
            for function in active
            if isinstance(function, TimerFunction)
        ]

    async def start(self) -> None:
        """Begin to listen; return after the timer runs that are past due or wanted at start-up."""
        for name, reason in self.index.errors.items():
            _logger.error("function %s is left out: %s", name, reason)
            self._observer(HostEvent(self._clock.now(), "function:leftOut", function=name))
        for listener in self._queues:
            listener.start()
        await asyncio.gather(*(timer.start() for timer in self._timers))
        self._report("host:started")

    async def stop(self) -> None:
        """Stop as on SIGTERM: timers are cut off, nothing more is fetched, running queue functions are waited for."""
        self._report("host:stopping")
        await asyncio.gather(*(timer.stop() for timer in self._timers), *(queue.stop() for queue in self._queues))
        self._report("host:stopped")

    async def kill(self) -> None:
        """Stop as on SIGKILL: running functions end where they are, their messages stay hidden for 10 minutes."""
        await asyncio.gather(*(timer.stop() for timer in self._timers), *(queue.kill() for queue in self._queues))
        self._report("host:killed")

    def kill_worker(self) -> None:
        """Lose the worker process: everything that runs fails, the host goes on with a new one after 5 s."""
        self._worker.lose()

    async def run_until(self, stop_event: asyncio.Event) -> None:
        """Start, run until `stop_event` is set, stop."""
        starting = asyncio.create_task(self.start())
        try:
            await stop_event.wait()
        finally:
            await self.stop()
            await starting

    async def invoke(self, name: str, body: str | bytes | None = None) -> None:
        """Run one function once, as if its timer were due or `body` had just been fetched for the first time.

        No queue is touched. Raises `LookupError` for a name that is not indexed and `InvocationFailedError`, with the
        function's own exception as its cause, when the run fails.
        """
        function = next((function for function in self.index.functions if function.name == name), None)
        if function is None:
            raise LookupError(f"no function {name!r}; there are {sorted(f.name for f in self.index.functions)}")
        if isinstance(function, TimerFunction):
            await self._runner.run_timer(function, past_due=False, status=None)
            return
        raw = (body or "").encode() if not isinstance(body, bytes) else body
        await self._runner.run_message(function, self._first_fetch(), raw)

    def _first_fetch(self) -> ReceivedMessage:
        now = self._clock.now().replace(microsecond=0)
        return ReceivedMessage(
            id=str(uuid.uuid4()),
            text="",
            pop_receipt=uuid.uuid4().hex,
            dequeue_count=1,
            inserted_at=now,
            expires_at=now + timedelta(seconds=DEFAULT_TIME_TO_LIVE_S),
            next_visible_at=now + timedelta(seconds=VISIBILITY_TIMEOUT_S),
        )

    def _report(self, name: str) -> None:
        self._observer(HostEvent(self._clock.now(), name))
