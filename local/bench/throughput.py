"""Reports a second, collect to dispatched and submit to submitted, against the raw storage operations they consist of.

Graph is reached over HTTP, as in production; the simulator runs in a process of its own and answers at once. The app
and the baseline take turns, each time on an account of its own, and the baseline repeats what the app was recorded to
ask of storage: the same kinds, the same bytes, as many at once. The host's own get and delete of queue messages belong
to neither.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from azure.storage.queue.aio import QueueServiceClient

from local.bench.figures import Figure, Target, paired
from local.bench.host_delivery import handle_all, most_at_once, take_batch
from local.bench.raw_storage import RawStorage, run_lanes
from local.bench.recording import Lane, Recording, recorded
from local.bench.stand_ins import MOST_AT_ONCE, StandIns, start_stand_ins
from shared.adapters.storage import API_VERSION
from shared.bootstrap import App, build, connect
from shared.domain.model import State
from shared.domain.pace import CONCURRENT_READS
from shared.settings import Settings

HALF = Target(">=", 0.5)
ROUNDS = 3
SIZE_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Size:
    """How many reports a round has and how many rounds there are."""

    reports: int = MOST_AT_ONCE
    rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class Rates:
    """Reports a second in each round."""

    collect: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recordings:
    """What collect (with dispatch) and submit ask of storage."""

    collect: list[Lane]
    submit: list[Lane]


async def measure(size: Size | None = None) -> list[Figure]:
    """Both rates by the raw ones."""
    size = size or Size()
    app, raw = Rates(), Rates()
    async with start_stand_ins() as stand_ins:
        recordings = await _record(stand_ins, size.reports)
        for _ in range(size.rounds):
            await _measure_app(stand_ins, size.reports, app)
            await _measure_raw(stand_ins, size.reports, recordings, raw)
    note = f"{size.reports} reports of {SIZE_BYTES // 1000} KB; Graph over HTTP; baseline: raw storage operations"
    return [
        paired("collect to dispatched", "reports/s", app.collect, raw.collect, HALF, note),
        paired("submit to submitted", "reports/s", app.submit, raw.submit, HALF, note),
    ]


async def _record(stand_ins: StandIns, count: int) -> Recordings:
    """One round, recorded and not timed; it also warms everything up."""
    recording = Recording()
    async with AsyncExitStack() as resources:
        connection = stand_ins.azurite.new_account()
        app = await _app(stand_ins, connection, resources, recording)
        await stand_ins.refill(count, SIZE_BYTES)
        await _collect(app, count)
        collect = recording.take()
        await handle_all(await _bodies(connection), app.submit.run)
        return Recordings(collect, recording.take())


async def _measure_app(stand_ins: StandIns, count: int, rates: Rates) -> None:
    async with AsyncExitStack() as resources:
        connection = stand_ins.azurite.new_account()
        app = await _app(stand_ins, connection, resources)
        await stand_ins.refill(count, SIZE_BYTES)
        rates.collect.append(count / await _seconds(_collect(app, count)))
        bodies = await _bodies(connection)
        rates.submit.append(count / await _seconds(handle_all(bodies, app.submit.run)))
        states = await stand_ins.states(connection)
        if states != {State.SUBMITTED: count}:
            raise RuntimeError(f"not every report was submitted: {dict(states)}")


async def _measure_raw(stand_ins: StandIns, count: int, recordings: Recordings, rates: Rates) -> None:
    async with AsyncExitStack() as resources:
        raw = await RawStorage.open(stand_ins.azurite.new_account(), resources)
        collect, submit = raw.prepare(recordings.collect), raw.prepare(recordings.submit)
        rates.collect.append(count / await _seconds(run_lanes(collect, CONCURRENT_READS + 1)))
        rates.submit.append(count / await _seconds(run_lanes(submit, most_at_once())))


async def _collect(app: App, count: int) -> None:
    """Collect and dispatch, as the trigger does; raises if not every report was dispatched."""
    await app.collect_reports.run()
    dispatched = await app.dispatch.run()
    if dispatched != count:
        raise RuntimeError(f"{dispatched} of {count} reports were dispatched")


async def _app(
    stand_ins: StandIns, connection: str, resources: AsyncExitStack, recording: Recording | None = None
) -> App:
    settings = Settings.load(stand_ins.environment(connection))
    ports = await connect(settings, resources)
    return build(settings, recorded(ports, recording) if recording else ports)


async def _bodies(connection: str) -> list[str]:
    """Every message on the queue `submissions`."""
    async with QueueServiceClient.from_connection_string(connection, api_version=API_VERSION) as service:
        queue, bodies = service.get_queue_client("submissions"), list[str]()
        while batch := await take_batch(queue, 32):
            bodies += [message.content for message in batch]
        return bodies


async def _seconds(work: Awaitable[None]) -> float:
    began_s = time.perf_counter()
    await work
    return time.perf_counter() - began_s
