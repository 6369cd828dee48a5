"""The worker process that runs the functions: its time limit, its loss and its replacement.

All functions of the app share one worker. The invariant, recorded from the real host: when one invocation passes
`functionTimeout`, or the worker dies, every invocation running in it fails, and the next ones wait for a new worker.
"""

import asyncio
import inspect
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local.functions_host.clock import Clock
from local.functions_host.events import HostEvent, Observer

# "a new worker takes about 5 s", as recorded.
REPLACEMENT_S = 5.0


class InvocationFailedError(Exception):
    """The function did not succeed; `__cause__` is its own exception, if it raised one."""


class Worker:
    """Runs functions one by one or many at once, and can be lost."""

    def __init__(self, clock: Clock, time_limit: timedelta | None, observer: Observer) -> None:
        self._clock = clock
        self._time_limit = time_limit
        self._observer = observer
        self._lost = asyncio.Event()
        self._ready_at: datetime | None = None

    async def wait_until_ready(self) -> None:
        """Return when there is a worker to run functions: at once, or when a lost one has been replaced."""
        while self._ready_at is not None and (now := self._clock.now()) < self._ready_at:
            await self._clock.sleep((self._ready_at - now).total_seconds())

    async def run(self, call: Callable[..., Any], argument: object) -> None:
        """Run `call(argument)` to its end; a coroutine function on this loop, any other in a thread.

        Raises `InvocationFailedError` when it raises, returns something, passes the time limit, or the worker is lost
        meanwhile. A thread cannot be stopped: after a loss it runs on unheard.
        """
        lost = self._lost
        invocation = asyncio.ensure_future(_outcome(call, argument))
        invocation.add_done_callback(_mark_heard)
        guards: set[asyncio.Future[object]] = {asyncio.ensure_future(lost.wait())}
        if self._time_limit is not None:
            guards.add(asyncio.ensure_future(self._watch(lost)))
        try:
            await asyncio.wait({invocation, *guards}, return_when=asyncio.FIRST_COMPLETED)
            if not invocation.done():
                raise InvocationFailedError("the worker was replaced")
            _raise_failure(invocation)
        except asyncio.CancelledError:
            invocation.cancel()
            await asyncio.wait({invocation})
            raise
        finally:
            for task in (invocation, *guards):
                task.cancel()

    def lose(self) -> None:
        """Fail everything that runs now and make new invocations wait until a new worker has started."""
        self._observer(HostEvent(self._clock.now(), "worker:lost"))
        self._ready_at = self._clock.now() + timedelta(seconds=REPLACEMENT_S)
        self._lost.set()
        self._lost = asyncio.Event()

    async def _watch(self, lost: asyncio.Event) -> None:
        assert self._time_limit is not None
        await self._clock.sleep(self._time_limit.total_seconds())
        if not lost.is_set():
            self.lose()


async def _outcome(call: Callable[..., Any], argument: object) -> object:
    if inspect.iscoroutinefunction(call):
        return await call(argument)
    return await asyncio.to_thread(call, argument)


def _raise_failure(invocation: asyncio.Future[object]) -> None:
    if invocation.cancelled():
        raise InvocationFailedError("the function was cancelled")
    cause = invocation.exception()
    if cause is not None:
        raise InvocationFailedError(f"the function raised {type(cause).__name__}") from cause
    if invocation.result() is not None:
        raise InvocationFailedError("the function returned a value, but has no $return binding")


def _mark_heard(invocation: asyncio.Future[object]) -> None:
    # What an abandoned invocation raises in the end interests nobody; asyncio would warn that nobody asked.
    if not invocation.cancelled():
        invocation.exception()
