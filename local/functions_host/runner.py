"""One invocation, from trigger to outcome: bind the value, run the function in the worker, report both ends.

The invariant: what went wrong is logged as a type and a place in the code, never with the exception's text, which may
quote a hostile message.
"""

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace

from local.functions_host.binding import bind_message, bind_timer
from local.functions_host.clock import Clock
from local.functions_host.events import HostEvent, Observer
from local.functions_host.index import QueueFunction, TimerFunction
from local.functions_host.queue_service import ReceivedMessage
from local.functions_host.worker import InvocationFailedError, Worker

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FunctionRunner:
    """Runs indexed functions; every method returns when the function succeeded."""

    clock: Clock
    worker: Worker
    observer: Observer

    async def run_message(self, function: QueueFunction, message: ReceivedMessage, body: bytes) -> None:
        """Run a queue function; `InvocationFailedError` if it failed, or its value could not be bound."""
        event = HostEvent(
            self.clock.now(),
            "function:notCalled",
            queue=function.queue,
            function=function.name,
            message_id=message.id,
            dequeue_counts=(message.dequeue_count,),
        )
        try:
            value = bind_message(function, message, body)
        except Exception as error:
            self.observer(event)
            _log_failure(function.name, error)
            raise InvocationFailedError("the trigger value could not be bound") from error
        await self._run(function, value, event, ("function:start", "function:end"))

    async def run_timer(self, function: TimerFunction, *, past_due: bool, status: Mapping[str, str] | None) -> None:
        """Run a timer function; `InvocationFailedError` if it failed."""
        event = HostEvent(self.clock.now(), "", function=function.name, past_due=past_due)
        value = bind_timer(past_due=past_due, status=status)
        await self._run(function, value, event, ("function:timer", "function:timerEnd"))

    async def _run(
        self, function: QueueFunction | TimerFunction, value: object, event: HostEvent, names: tuple[str, str]
    ) -> None:
        await self.worker.wait_until_ready()
        self._report(event, names[0])
        try:
            await self.worker.run(function.call, value)
        except InvocationFailedError as error:
            self._report(event, names[1], "failed")
            _log_failure(function.name, error.__cause__ or error)
            raise
        self._report(event, names[1], "ok")

    def _report(self, event: HostEvent, name: str, outcome: str | None = None) -> None:
        self.observer(replace(event, at=self.clock.now(), name=name, outcome=outcome))


def _log_failure(name: str, error: BaseException) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "the host"
    _logger.error("function %s failed: %s at %s", name, type(error).__name__, place)
