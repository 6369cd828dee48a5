"""The queue listener, laid next to recordings of the real one."""

import asyncio
import base64
import itertools
from typing import Any

import azure.functions as func
import pytest

from tests.local.functions_host_stage import POISON, RECORDINGS, WORK, Stage, assert_alike, queue_app

STEPS: dict[str, dict[str, Any]] = RECORDINGS["steps"]
HOST_STEPS = {"started", "stopping", "stopped", "killed"}


def assert_recorded(stage: Stage, name: str) -> None:
    """Compare all that happened on the stage, but for starts and stops of the host, with the recording."""
    recorded = STEPS[name]
    replayed = [entry for entry in stage.steps if entry[1] not in HOST_STEPS]
    assert_alike(replayed, recorded["steps"], recorded["tolerance_s"])


def encoded(text: str) -> str:
    """The text as the recorded hosts found it on the queue."""
    return base64.b64encode(text.encode()).decode()


async def fail(_msg: str) -> None:
    """Raise, as a broken function does."""
    raise RuntimeError


async def succeed(msg: str) -> None:
    """Return, as a good function does."""


async def test_success_is_get_run_delete() -> None:
    """One message that succeeds is fetched for 600 s, run and deleted; polling goes on meanwhile."""
    stage = Stage()

    async def run(msg: str) -> None:
        assert msg == "hello wörld"
        await stage.clock.sleep(0.24)

    await stage.put(encoded("hello wörld"))
    await stage.started(queue_app(run))
    await stage.clock.advance(1)
    assert_recorded(stage, "success")
    assert len(stage.named("GetMessages")) > 3
    assert stage.queues.texts(WORK) == []


async def test_failure_waits_for_the_visibility_timeout_and_ends_in_poison() -> None:
    """Below the maximum a failure is an update without a body; at the maximum put poison, then delete."""
    stage = Stage(queue_options={"maxDequeueCount": 3, "visibilityTimeout": "00:00:05"})
    await stage.put(encoded("boom é"))
    await stage.started(queue_app(fail))
    await stage.clock.advance(60)
    assert_recorded(stage, "fail-max3-vis5")
    assert stage.queues.texts(POISON) == [encoded("boom é")]


async def test_default_retries_burn_in_half_a_second() -> None:
    """With visibilityTimeout 0 five attempts and the poison copy take about half a second."""
    stage = Stage()
    await stage.put(encoded("d"))
    await stage.started(queue_app(fail))
    await stage.clock.advance(60)
    assert_recorded(stage, "fail-defaults")


async def test_failure_on_a_poison_queue_touches_nothing() -> None:
    """A trigger on `-poison` neither releases nor moves nor deletes: one try in 10 minutes, counted as usual."""
    stage = Stage()
    await stage.put("eA==", queue=POISON)
    await stage.started(queue_app(fail, POISON))
    await stage.clock.advance(700)
    replayed = [(at, step.replace("poison", "work")) for at, step in stage.steps if step not in HOST_STEPS]
    assert_alike(replayed, STEPS["trigger-on-poison-queue"]["steps"], 60)


async def test_killed_host_leaves_the_message_for_600_seconds() -> None:
    """After a SIGKILL the message comes back when its 600 s are over, with dequeue count 2."""
    stage = Stage(queue_options={"maxPollingInterval": "00:00:02"})

    async def hang_once(_msg: str) -> None:
        if stage.elapsed_s < 600:
            await stage.clock.sleep(3600)

    await stage.put(encoded("killme"))
    host = await stage.started(queue_app(hang_once))
    await stage.advance_to(2.9)
    await host.kill()
    await stage.advance_to(3.7)
    await stage.started(queue_app(hang_once))
    await stage.advance_to(620)
    assert_recorded(stage, "sigkill")


async def test_renewal_keeps_a_long_run_and_its_receipt_deletes() -> None:
    """A run of 390 s is renewed once, at 300 s for 600 s; the delete uses the receipt of the renewal."""
    stage = Stage()

    async def run_long(_msg: str) -> None:
        await stage.clock.sleep(390.2)

    await stage.put(encoded("long"))
    await stage.started(queue_app(run_long))
    await stage.clock.advance(570)
    assert_recorded(stage, "renewal")
    assert stage.named("DeleteMessage")[0].pop_receipt != stage.named("UpdateMessage")[0].pop_receipt


@pytest.mark.parametrize(("kind", "data_type"), [("str", None), ("bytes", func.DataType.BINARY)])
async def test_odd_bodies(kind: str, data_type: func.DataType | None) -> None:
    """With base64 encoding each odd body is called or poisoned as recorded, and its stored text stays verbatim."""
    large = {"48 KiB of x as base64": encoded("x" * 49152), "65,536 times y": "y" * 65536}
    called, poison = (
        [large.get(text, text) for text in RECORDINGS["bodies"][kind][way]] for way in ("called", "poison")
    )
    stage = Stage(queue_options={"maxDequeueCount": 1})
    received: list[str | bytes] = []

    async def take_str(msg: str) -> None:
        received.append(msg)

    async def take_bytes(msg: bytes) -> None:
        received.append(msg)

    await stage.put(*called, *poison)
    await stage.started(queue_app(take_bytes if data_type else take_str, data_type=data_type))
    await stage.clock.advance(5)
    raw = [body if isinstance(body, bytes) else body.encode() for body in received]
    assert sorted(raw) == sorted(base64.b64decode(text) for text in called)
    assert sorted(stage.queues.texts(POISON)) == sorted(poison)
    assert stage.queues.texts(WORK) == []


@pytest.mark.parametrize(
    ("name", "options", "jitter"),
    [
        ("batch16-threshold8-fixed", {"batchSize": 16, "newBatchThreshold": 8}, 0.0),
        ("batch16-threshold8-jitter", {"batchSize": 16, "newBatchThreshold": 8}, 0.2),
        ("defaults-jitter", {}, 0.2),
        ("batch1-threshold0", {"batchSize": 1, "newBatchThreshold": 0}, 0.0),
    ],
)
async def test_concurrency_of_200_messages(name: str, options: dict[str, int], jitter: float) -> None:
    """At most batchSize + newBatchThreshold run, a batch is always asked for in full, and never above the threshold."""
    recorded = RECORDINGS["concurrency"][name]
    stage = Stage(queue_options=options)

    async def run(_msg: str) -> None:
        await stage.clock.sleep(0.5 + stage.random.uniform(-jitter, jitter))

    await stage.put(*[encoded(f"m{number}") for number in range(200)])
    await stage.started(queue_app(run))
    await stage.clock.advance_until(lambda: len(stage.named("DeleteMessage")) == 200, 200)
    sizes = [len(get.dequeue_counts) for get in stage.named("GetMessages") if get.dequeue_counts]
    assert stage.most_running() == recorded["max_running"]
    assert [max(sizes), sizes.count(max(sizes)), sizes[-1], len(sizes)] == [*recorded["gets_of"], recorded["gets"]]
    assert {get.count for get in stage.named("GetMessages")} == {options.get("batchSize", 16)}
    assert stage.elapsed_s == pytest.approx(recorded["seconds"], rel=0.25)


def running_at_each_get(stage: Stage) -> list[int]:
    """How many functions ran whenever a batch was asked for."""
    running, seen = 0, []
    for event in stage.events:
        running += {"function:start": 1, "function:end": -1}.get(event.name, 0)
        if event.name == "GetMessages":
            seen.append(running)
    return seen


async def test_no_batch_is_asked_for_above_the_threshold() -> None:
    """At no get are more than newBatchThreshold messages running."""
    stage = Stage(queue_options={"newBatchThreshold": 8})

    async def run(_msg: str) -> None:
        await stage.clock.sleep(0.5 + stage.random.uniform(-0.2, 0.2))

    await stage.put(*[encoded(f"m{number}") for number in range(100)])
    await stage.started(queue_app(run))
    await stage.clock.advance(10)
    assert max(running_at_each_get(stage)) == 8


async def test_idle_polling_backs_off_to_a_minute_and_stays() -> None:
    """Gaps between empty polls start at 0.1 s, about double with 20 % jitter, and stay at exactly the maximum."""
    stage = Stage()
    await stage.queues.create(WORK)
    await stage.started(queue_app(succeed))
    await stage.clock.advance(700)
    polls = [event.at.timestamp() for event in stage.named("GetMessages")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(polls)]
    recorded = RECORDINGS["idle_gaps_s"]
    assert gaps[0] == pytest.approx(0.1, abs=1e-6)  # recorded at 0.47 in a host still warming up; 0.10 in the others
    for number, (gap, recorded_gap) in enumerate(zip(gaps[1:11], recorded[1:11], strict=True)):
        assert 0.1 + 0.08 * 2**number <= gap + 1e-6
        assert gap <= min(60.0, 0.1 + 0.12 * 2**number) + 1e-6
        assert gap == pytest.approx(recorded_gap, rel=0.55)
    assert gaps[12:18] == pytest.approx(recorded[12:18], abs=0.02)


async def test_missing_queue_is_waited_for_and_not_created() -> None:
    """A missing queue is asked after on the back-off, never created, and listened to when it appears."""
    stage = Stage()
    await stage.started(queue_app(succeed))
    await stage.advance_to(20)
    assert not await stage.queues.exists(WORK)
    await stage.put(encoded("late"))
    await stage.advance_to(60)
    recorded = STEPS["missing-queue"]
    replayed = [entry for entry in stage.steps if entry[1] not in HOST_STEPS]
    # The recorded host needed 0.3 s more for its first check, which saved it one round.
    assert abs(len(replayed) - len(recorded["steps"])) <= 1
    assert_alike(replayed[-5:], recorded["steps"][-5:], recorded["tolerance_s"])
    assert {step for _, step in replayed[:-5]} == {step for _, step in recorded["steps"][:-5]}


async def test_deleted_queue_is_one_404_then_checks() -> None:
    """A queue deleted under the listener costs one failed get; then its existence is checked until it is back."""
    stage = Stage(queue_options={"maxPollingInterval": "00:00:02"})
    await stage.put(encoded("x"))
    await stage.started(queue_app(succeed))
    await stage.advance_to(5.5)
    stage.queues.drop(WORK)
    await stage.advance_to(12.9)
    await stage.put(encoded("again"))
    await stage.advance_to(20)
    assert_recorded(stage, "deleted-queue")


@pytest.mark.parametrize(("name", "run_s", "messages"), [("12s", 12.0, 40), ("50s", 50.0, 40), ("20s", 20.0, 20)])
async def test_shutdown_drains_running_functions(name: str, run_s: float, messages: int) -> None:
    """After SIGTERM nothing more is fetched, and every running function ends and is deleted, however long it takes."""
    recorded = RECORDINGS["drain"][name]
    stage = Stage()

    async def run(_msg: str) -> None:
        await stage.clock.sleep(run_s)

    await stage.put(*[encoded(f"m{number}") for number in range(messages)])
    host = await stage.started(queue_app(run))
    await stage.advance_to(recorded["stop_at_s"])
    stopping = asyncio.create_task(host.stop())
    await stage.clock.advance(100)
    await stopping
    assert_drained(stage, recorded)
    assert len(stage.queues.texts(WORK)) == messages - recorded["ok"]


def assert_drained(stage: Stage, recorded: dict[str, Any]) -> None:
    """Compare a shutdown with a recorded one: how long it took, and what was done to how many messages."""
    stopping, stopped = stage.named("host:stopping")[0].at, stage.named("host:stopped")[0].at
    assert (stopped - stopping).total_seconds() == pytest.approx(recorded["stopped_after_s"], abs=0.5)
    fetched = [get for get in stage.named("GetMessages") if get.dequeue_counts]
    assert sum(len(get.dequeue_counts) for get in fetched) == recorded["ok"] + recorded["failed"]
    assert not [get for get in stage.named("GetMessages") if get.at > stopping]
    outcomes = [event.outcome for event in stage.named("function:end")]
    assert (outcomes.count("ok"), outcomes.count("failed")) == (recorded["ok"], recorded["failed"])
    assert len(stage.named("DeleteMessage")) == recorded["DeleteMessage"]
    assert [event.visibility_timeout_s for event in stage.named("UpdateMessage")] == [0] * recorded["UpdateMessage"]


async def test_shutdown_with_functions_that_give_up_uses_an_attempt() -> None:
    """A function that ends with a cancellation at shutdown has failed: released at once, with one attempt used."""
    stage = Stage()
    token = asyncio.Event()

    async def run(_msg: str) -> None:
        await token.wait()
        raise asyncio.CancelledError

    await stage.put(*[encoded(f"m{number}") for number in range(40)])
    host = await stage.started(queue_app(run))
    await stage.advance_to(4.3)
    token.set()
    await host.stop()
    assert_drained(stage, RECORDINGS["drain"]["cancelled"])
    left = [*await stage.queues.get(WORK, 32, 30), *await stage.queues.get(WORK, 32, 30)]
    assert sorted(message.dequeue_count for message in left) == [1] * 8 + [2] * 32


async def test_shutdown_at_the_last_attempt_poisons() -> None:
    """With maxDequeueCount 1 a graceful stop sends the message of a function that gives up to the poison queue."""
    stage = Stage(queue_options={"maxDequeueCount": 1})
    token = asyncio.Event()

    async def run(_msg: str) -> None:
        await token.wait()
        raise RuntimeError

    await stage.put(encoded("x"))
    host = await stage.started(queue_app(run))
    await stage.advance_to(3.53)
    stopping = asyncio.create_task(host.stop())
    await asyncio.sleep(0)
    token.set()
    await stopping
    recorded = STEPS["last-attempt-at-shutdown"]
    assert_alike([entry for entry in stage.steps if entry[1] != "started"], recorded["steps"], recorded["tolerance_s"])


async def test_delays_and_times_to_live() -> None:
    """A delayed message runs when visible, an expired one is never seen, and a time to live of -1 does not end."""
    stage = Stage(queue_options={"maxPollingInterval": "00:00:01"})
    await stage.put("ZGVsYXllZDEw", visibility_timeout_s=10)
    await stage.put("ZXhwaXJlZA==", time_to_live_s=3)
    await stage.put("Zm9yZXZlcg==", time_to_live_s=-1)
    await stage.clock.advance(0.5)
    await stage.put("dmlzOC10dGwxMA==", visibility_timeout_s=8, time_to_live_s=10)
    await stage.clock.advance(5)
    received: list[str] = []

    async def take(msg: str) -> None:
        received.append(msg)

    zero_s = stage.elapsed_s
    await stage.started(queue_app(take))
    await stage.clock.advance(30)
    assert received == ["forever", "vis8-ttl10", "delayed10"]
    replayed = [(at - zero_s, step) for at, step in stage.steps if step not in HOST_STEPS]
    assert_alike(replayed, STEPS["delay-ttl"]["steps"], STEPS["delay-ttl"]["tolerance_s"])


@pytest.mark.parametrize(
    ("name", "time_to_live_s", "run_s", "fails"),
    [("ttl-expires-in-failing-run", 8, 10.01, True), ("ttl-expires-in-succeeding-run", 6, 9.02, False)],
)
async def test_message_that_expires_while_it_runs(
    caplog: pytest.LogCaptureFixture, name: str, time_to_live_s: int, run_s: float, *, fails: bool
) -> None:
    """A time to live that ends in mid-run makes the last operation a 404, silently; nothing is poisoned."""
    stage = Stage(queue_options={"maxDequeueCount": 3, "visibilityTimeout": "00:00:03"})

    async def run(_msg: str) -> None:
        await stage.clock.sleep(run_s)
        if fails:
            raise RuntimeError

    await stage.put(encoded("ttlrun"), time_to_live_s=time_to_live_s)
    await stage.started(queue_app(run))
    await stage.clock.advance(30)
    assert_recorded(stage, name)
    assert not await stage.queues.exists(POISON)
    assert "could not be settled" not in caplog.text


@pytest.mark.parametrize("dequeue_count", [3, 4, 5])
async def test_dequeue_count_already_high(dequeue_count: int) -> None:
    """At the maximum the function still runs; above it the message goes to poison without a run."""
    stage = Stage(queue_options={"maxDequeueCount": 3})
    await stage.put(encoded("crash"))
    for _ in range(dequeue_count - 1):
        (message,) = await stage.queues.get(WORK, 1, 1)
        await stage.queues.update(WORK, message.id, message.pop_receipt, 0)
    await stage.started(queue_app(fail))
    await stage.clock.advance(30)
    assert_recorded(stage, f"dequeue{dequeue_count}-of-max3")
    assert stage.queues.texts(POISON) == [encoded("crash")]
