"""The timer trigger: wait for the next occurrence, run, remember.

After `TimerListener` and `ScheduleMonitor` of the WebJobs extensions and the recorded traces. The invariant: runs of
one timer never overlap, and the stored status speaks only of runs that ended.
"""

import asyncio
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from local.functions_host.clock import Clock
from local.functions_host.index import TimerFunction
from local.functions_host.runner import FunctionRunner
from local.functions_host.schedule import Schedule
from local.functions_host.status_store import StatusStore, StatusStoreError
from local.functions_host.worker import InvocationFailedError

_NEVER = datetime.min.replace(tzinfo=UTC)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """What the monitor remembers: start of the last run that ended, the occurrence due next, time of writing."""

    last: datetime
    next: datetime
    last_updated: datetime

    def as_dict(self) -> dict[str, str]:
        """The three fields as the host stores and sends them."""
        return {"Last": _text(self.last), "Next": _text(self.next), "LastUpdated": _text(self.last_updated)}

    @classmethod
    def parse(cls, text: str) -> "ScheduleStatus | None":
        """Read a stored status; None if it is not one."""
        try:
            stored = json.loads(text)
            return cls(*(_moment(stored[name]) for name in ("Last", "Next", "LastUpdated")))
        except (ValueError, KeyError, TypeError):
            return None


class TimerListener:
    """Runs one timer function on its schedule."""

    def __init__(self, function: TimerFunction, store: StatusStore, runner: FunctionRunner, clock: Clock) -> None:
        self._function = function
        self._store = store
        self._runner = runner
        self._clock = clock
        # The real host switches the monitor off for a timer that fires more often than once a minute.
        self._monitored = function.use_monitor and not function.schedule.fires_within_a_minute(clock.now())
        self._status: ScheduleStatus | None = None
        self._started = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; return after the run that is past due or wanted at start-up, if any."""
        self._listening = asyncio.create_task(self._listen())
        started = asyncio.ensure_future(self._started.wait())
        await asyncio.wait({self._listening, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        self._raise_bug()

    async def stop(self) -> None:
        """Stop at once: a running function is cut off and its run is not recorded, unlike with queues."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
            self._raise_bug()

    def _raise_bug(self) -> None:
        if self._listening is not None and self._listening.done() and not self._listening.cancelled():
            self._listening.result()

    async def _listen(self) -> None:
        start = self._clock.now()
        past_due = self._monitored and await self._is_past_due(start)
        if past_due or self._function.run_on_startup:
            await self._run(start, past_due=past_due)
        self._started.set()
        due = self._function.schedule.next_after(start)
        while True:
            await self._clock.sleep((due - self._clock.now()).total_seconds())
            # A sleep may end a little early; the occurrence it was for must not come twice.
            start = max(self._clock.now(), due)
            await self._run(start, past_due=False)
            due = self._function.schedule.next_after(start)

    async def _run(self, start: datetime, *, past_due: bool) -> None:
        try:
            status = self._status.as_dict() if self._status else None
            await self._runner.run_timer(self._function, past_due=past_due, status=status)
        except InvocationFailedError:
            pass  # Reported by the runner; the schedule goes on and nothing is retried.
        if self._monitored:
            await self._remember(ScheduleStatus(start, self._function.schedule.next_after(start), start))

    async def _is_past_due(self, now: datetime) -> bool:
        stored = await self._recall()
        self._status = stored
        expected = _expected(stored, self._function.schedule, now)
        if stored is None or stored.next != expected.next:
            await self._remember(expected)
        return now > expected.next

    async def _recall(self) -> ScheduleStatus | None:
        try:
            text = await self._store.read(self._function.name)
        except StatusStoreError:
            _logger.warning("the status of %s could not be read", self._function.name)
            return None
        return None if text is None else ScheduleStatus.parse(text)

    async def _remember(self, status: ScheduleStatus) -> None:
        self._status = status
        try:
            await self._store.write(self._function.name, json.dumps(status.as_dict()))
        except StatusStoreError:
            _logger.warning("the status of %s could not be written", self._function.name)


def _expected(stored: ScheduleStatus | None, schedule: Schedule, now: datetime) -> ScheduleStatus:
    """The status as it should be; one whose schedule has changed since is never past due."""
    if stored is None:
        return ScheduleStatus(_NEVER, schedule.next_after(now), now)
    since = stored.last_updated if stored.last == _NEVER else stored.last
    due = schedule.next_after(since)
    if due != stored.next and due < now:
        return ScheduleStatus(stored.last, schedule.next_after(now), now)
    return ScheduleStatus(stored.last, due, since)


def _text(moment: datetime) -> str:
    return "0001-01-01T00:00:00" if moment == _NEVER else moment.isoformat()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
