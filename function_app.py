"""The triggers: decode, run one use case, return None.

Settings are parsed at import, so that a wrong one stops the app before it takes a message: the host then serves no
function and the messages wait in their queues. Everything else is made at the first invocation, on the worker's event
loop. Queue messages are bound as `str` on purpose: bound as `func.QueueMessage`, a body with a key such as
`expirationTime` fails before this code is called. Every function returns None; anything else would fail it. What one
raises reaches the host through `_told`, as a type and a place in our code.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import azure.functions as func

from shared.built_for import require_this_python
from shared.settings import Settings
from shared.telemetry import Event, emit, log_events_only, run_failed

if TYPE_CHECKING:
    from shared.bootstrap import App

P = ParamSpec("P")
STORAGE = "SubmissionsStorage"

log_events_only()
require_this_python(Path(__file__).parent)
app = func.FunctionApp()
settings = Settings.load(os.environ)
_resources = AsyncExitStack()
_making = asyncio.Lock()
_made: App | None = None


async def _use_cases() -> App:
    """The use cases, made once; a failed attempt leaves nothing behind and is repeated by the next invocation."""
    global _made  # noqa: PLW0603 - one per worker process, like the settings
    async with _making:
        if _made is None:
            from shared.bootstrap import build, connect  # noqa: PLC0415 - a cold start imports the triggers only

            _made = build(settings, await connect(settings, _resources))
    return _made


def _told(run: Callable[P, Awaitable[None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """The function, whose failure is told as an event and reaches the host without a word of mail or libraries."""

    @wraps(run)
    async def told(*args: P.args, **named: P.kwargs) -> None:
        try:
            return await run(*args, **named)
        except Exception as error:  # noqa: BLE001 - whatever it is, the host writes it down
            failure = run_failed(run.__name__, error)
        raise failure

    return told


@asynccontextmanager
async def _run(function: str) -> AsyncIterator[App]:
    """The use cases, for one run of a timer; its failure is kept where the status of the app is read."""
    use_cases = await _use_cases()
    try:
        yield use_cases
    except Exception as error:
        await use_cases.heartbeats.failed(function, error)
        raise


async def _heartbeat(use_cases: App, function: str, count: int, began_s: float) -> None:
    """Tell and keep that a timer's run ended well: nothing but the whole run stands before it."""
    seconds = time.monotonic() - began_s
    emit(Event.RUN_FINISHED, function=function, count=count, seconds=round(seconds, 1))
    await use_cases.heartbeats.ended(function, count, seconds)


@app.timer_trigger(arg_name="timer", schedule="%COLLECT_SCHEDULE%", run_on_startup=False, use_monitor=True)
@_told
async def collect_reports(timer: func.TimerRequest) -> None:
    """Read what is new in every reporting mailbox, then dispatch."""
    began_s = time.monotonic()
    async with _run("collect_reports") as use_cases:
        new = await use_cases.collect_reports.run()
        if new:
            await use_cases.dispatch.run()
        await _heartbeat(use_cases, "collect_reports", new, began_s)


@app.queue_trigger(arg_name="message", queue_name="manual-submissions", connection=STORAGE)
@_told
async def intake_manual(message: str) -> None:
    """Turn an operator's message into its row, then dispatch."""
    use_cases = await _use_cases()
    await use_cases.intake_manual.run(message)
    await use_cases.dispatch.run()


@app.timer_trigger(arg_name="timer", schedule="%DISPATCH_SCHEDULE%", run_on_startup=False, use_monitor=True)
@_told
async def dispatch(timer: func.TimerRequest) -> None:
    """Give waiting rows the quota slots that fall due before the next run; then answers to reporters their turns."""
    began_s = time.monotonic()
    async with _run("dispatch") as use_cases:
        await _heartbeat(use_cases, "dispatch", await use_cases.dispatch.run(), began_s)
        if use_cases.answering is not None:
            await use_cases.answering.pace.run()


@app.queue_trigger(arg_name="message", queue_name="submissions", connection=STORAGE)
@_told
async def submit(message: str) -> None:
    """Make one submission to Microsoft, at most once."""
    from shared.codecs.submission_message import read_message  # noqa: PLC0415

    use_cases = await _use_cases()
    await use_cases.submit.run(read_message(message))


@app.timer_trigger(arg_name="timer", schedule="%SETTLE_SCHEDULE%", run_on_startup=False, use_monitor=True)
@_told
async def settle_outcomes(timer: func.TimerRequest) -> None:
    """Fetch verdicts, reconcile uncertain rows, expire overdue ones; then tell what is left."""
    began_s = time.monotonic()
    async with _run("settle_outcomes") as use_cases:
        settled = await use_cases.settle_outcomes.run()
        await use_cases.backlog.run()
        await _heartbeat(use_cases, "settle_outcomes", settled, began_s)
        await use_cases.keep_statistics.run()
        await _examine_if_asked(use_cases)


async def _examine_if_asked(use_cases: App) -> None:
    """Run the doctor where an administrator has asked for it. Settling is done by then, and never fails for it."""
    try:
        request = await use_cases.examinations.begin()
        if request is not None:
            from shared.doctor.in_app import examine_for  # noqa: PLC0415 - hardly any run needs it

            await examine_for(request, settings, use_cases.examinations)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no trouble of the settling
        emit(Event.EXAMINED, count=0, wrong=0, error=type(error).__name__)


@app.queue_trigger(arg_name="message", queue_name="manual-submissions-poison", connection=STORAGE)
@_told
async def record_poison_manual(message: str) -> None:
    """Give a message that failed every attempt its final row; never raises."""
    use_cases = await _use_cases()
    await use_cases.record_poison_manual.run(message)


@app.queue_trigger(arg_name="message", queue_name="submissions-poison", connection=STORAGE)
@_told
async def record_poison_submission(message: str) -> None:
    """Fail the row of a message that failed every attempt, replayable; never raises."""
    use_cases = await _use_cases()
    await use_cases.record_poison_submission.run(message)


if settings.answers_reporters:

    @app.queue_trigger(arg_name="message", queue_name="notifications", connection=STORAGE)
    @_told
    async def notify(message: str) -> None:
        """Tell one reporter, at most once."""
        from shared.codecs.notification_message import read_notification  # noqa: PLC0415

        use_cases = await _use_cases()
        if use_cases.answering is not None:
            await use_cases.answering.notify.run(read_notification(message))

    @app.queue_trigger(arg_name="message", queue_name="notifications-poison", connection=STORAGE)
    @_told
    async def record_poison_notification(message: str) -> None:
        """Give an answer whose message failed every attempt another turn, or say that nobody was told; never raises."""
        use_cases = await _use_cases()
        if use_cases.answering is not None:
            await use_cases.answering.record_poison.run(message)
