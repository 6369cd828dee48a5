"""What was recorded of the whole real host with the real Python worker: bodies, reserved keys, loss of the worker."""

import json
from typing import Any

import azure.functions as func
import pytest

from local.functions_host import InvocationFailedError
from tests.local.functions_host_stage import POISON, WORK, Stage, add_queue_function, queue_app, timer_app

RECORDED_OPTIONS = {
    "messageEncoding": "none",
    "maxDequeueCount": 3,
    "visibilityTimeout": "00:00:05",
    "maxPollingInterval": "00:00:01",
}
WRONG_FORMS = ['{"expirationTime":"never"}', '{"dequeueCount":"x"}', '{"insertionTime":12}']
ODD_BODIES = [
    *WRONG_FORMS,
    "",
    "null",
    "true",
    "[]",
    "[1,2]",
    "[" * 20_000,
    '{"a":' * 20_000,
    '{"a":NaN}',
    "\ufeff{}",
    '{"a":"\\u0000"}',
    '/* comment */{"a":1}',
    '{"id":1,"id":2}',
    '{"$type":"System.IO.FileInfo"}',
    "x" * 49_152,
    "aGVsbG8=",
]


def stage_as_recorded() -> Stage:
    """A stage with the options of the recorded host."""
    return Stage(queue_options=RECORDED_OPTIONS, host_json={"functionTimeout": "00:00:20"})


async def test_every_body_arrives_verbatim_as_str() -> None:
    """With `messageEncoding` none a body bound as `str` arrives as it is stored, whatever it is."""
    stage = stage_as_recorded()
    received: list[str] = []

    async def take(msg: str) -> None:
        received.append(msg)

    await stage.put(*ODD_BODIES)
    await stage.started(queue_app(take))
    await stage.clock.advance(30)
    assert received == ODD_BODIES


async def test_queue_message_carries_the_metadata() -> None:
    """Bound as `func.QueueMessage` a message has the queue's own id, receipt, count and whole-second aware times."""
    stage = stage_as_recorded()
    seen: list[tuple[Any, ...]] = []

    async def take(msg: func.QueueMessage) -> None:
        seen.append((msg.get_body(), msg.dequeue_count, msg.insertion_time, msg.time_next_visible, msg.expiration_time))

    await stage.put("aGVsbG8=")
    await stage.started(queue_app(take))
    now = stage.start.replace(microsecond=0)
    ((body, count, inserted, next_visible, expires),) = seen
    assert (body, count, inserted) == (b"aGVsbG8=", 1, now)
    assert ((next_visible - now).total_seconds(), (expires - now).days) == (600, 7)


@pytest.mark.parametrize(
    ("body", "attribute", "value"),
    [
        ('{"DEQUEUECOUNT":99}', "dequeue_count", 99),
        ('{"id":"x"}', "id", "x"),
        ('{"PopReceipt":"mine"}', "pop_receipt", "mine"),
        ('{"dequeueCount":null,"DequeueCount":[99]}', "dequeue_count", 1),
        ('{"nested":{"dequeueCount":99}}', "dequeue_count", 1),
        ('[{"dequeueCount":99}]', "dequeue_count", 1),
    ],
)
async def test_top_level_keys_override_the_metadata(body: str, attribute: str, value: object) -> None:
    """A JSON object's top-level reserved key, in any case, replaces the metadata; nulls, arrays and depth do not."""
    stage = stage_as_recorded()
    seen: list[object] = []

    async def take(msg: func.QueueMessage) -> None:
        seen.append(getattr(msg, attribute))

    await stage.put(body)
    await stage.started(queue_app(take))
    assert seen == [value]


@pytest.mark.parametrize("body", WRONG_FORMS)
async def test_reserved_key_of_the_wrong_form_fails_before_the_function(body: str) -> None:
    """Bound as `QueueMessage` it fails three times uncalled, goes to poison, and fails there out of sight."""
    stage = stage_as_recorded()
    called: list[str] = []

    async def take(_msg: func.QueueMessage) -> None:
        called.append("work")

    async def take_poison(_msg: func.QueueMessage) -> None:
        called.append("poison")

    app = queue_app(take)
    add_queue_function(app, "poison_worker", take_poison, POISON)
    await stage.put(body)
    await stage.started(app)
    await stage.clock.advance(1000)
    assert called == []
    assert [event.queue for event in stage.named("function:notCalled")] == [WORK] * 3 + [POISON] * 2
    assert stage.queues.texts(POISON) == [body]


async def test_control_character_hides_its_whole_batch() -> None:
    """A batch that is not well-formed XML is read by nobody for 10 minutes; the next batch runs."""
    stage = Stage(queue_options=RECORDED_OPTIONS | {"batchSize": 4, "newBatchThreshold": 2})
    received: list[str] = []

    async def take(msg: str) -> None:
        received.append(msg)

    await stage.put("one", "two\x01", "three", "four", "five", "six")
    await stage.started(queue_app(take))
    await stage.clock.advance(30)
    assert received == ["five", "six"]


async def test_lost_worker_fails_what_runs_and_a_new_one_takes_over() -> None:
    """When the worker dies all runs fail at once and are run again after `visibilityTimeout` with one attempt used."""
    stage = stage_as_recorded()

    async def run(_msg: str) -> None:
        await stage.clock.sleep(15)

    await stage.put("a", "b", "c")
    host = await stage.started(queue_app(run))
    await stage.advance_to(2)
    host.kill_worker()
    await stage.clock.settle()
    assert [(event.outcome, event.at) for event in stage.named("function:end")] == [("failed", stage.clock.now())] * 3
    assert [event.visibility_timeout_s for event in stage.named("UpdateMessage")] == [5] * 3
    await stage.clock.advance(60)
    assert [event.dequeue_counts for event in stage.named("function:start")] == [(1,)] * 3 + [(2,)] * 3
    assert len(stage.named("DeleteMessage")) == 3


async def test_new_worker_takes_five_seconds() -> None:
    """What is fetched while there is no worker waits for the new one and is not failed for it."""
    stage = stage_as_recorded()
    await stage.put()
    await stage.queues.create(WORK)

    async def run(msg: str) -> None:
        """Succeed at once."""

    host = await stage.started(queue_app(run))
    host.kill_worker()
    await stage.put("a")
    await stage.clock.advance(20)
    (started,) = stage.named("function:start")
    assert (started.at - stage.named("worker:lost")[0].at).total_seconds() == 5
    assert len(stage.named("DeleteMessage")) == 1


async def test_function_timeout_takes_the_siblings_along() -> None:
    """One invocation over `functionTimeout` has the worker replaced: all that run with it fail and use an attempt."""
    stage = stage_as_recorded()

    async def run(msg: str) -> None:
        await stage.clock.sleep(float(msg))

    await stage.put("60")
    await stage.started(queue_app(run))
    await stage.advance_to(15)
    await stage.put("10", "1")
    await stage.advance_to(21)
    assert [(event.outcome, (event.at - stage.start).seconds) for event in stage.named("function:end")] == [
        ("ok", 16),
        ("failed", 20),
        ("failed", 20),
    ]
    assert len(stage.named("worker:lost")) == 1
    await stage.advance_to(120)
    assert stage.queues.texts(POISON) == ["60"]


async def test_missing_setting_leaves_one_function_out() -> None:
    """A `%SETTING%` that is missing costs that function alone; the others run on."""
    stage = stage_as_recorded()
    received: list[str] = []

    async def take(msg: str) -> None:
        received.append(msg)

    async def tick(_timer: func.TimerRequest) -> None:
        received.append("tick")

    app = timer_app(tick, "%NOWHERE%")
    add_queue_function(app, "worker", take)
    await stage.put("a")
    host = await stage.started(app)
    await stage.clock.advance(120)
    assert received == ["a"]
    assert [event.function for event in stage.named("function:leftOut")] == ["ticker"]
    assert host.index.errors == {"ticker": "the setting 'NOWHERE' is missing"}


async def test_settings_name_queues_and_schedules() -> None:
    """`%SETTING%` in a queue name or schedule is replaced by the app setting, whatever the case of its name."""
    stage = stage_as_recorded()
    stage.settings.update({"Queue_Name": WORK, "TICK": "0 * * * * *"})
    received: list[str] = []

    async def take(msg: str) -> None:
        received.append(msg)

    async def tick(_timer: func.TimerRequest) -> None:
        received.append("tick")

    app = timer_app(tick, "%TICK%")
    add_queue_function(app, "worker", take, "%QUEUE_NAME%")
    await stage.put("a")
    await stage.started(app)
    await stage.clock.advance(8)
    assert received == ["a", "tick"]


@pytest.mark.parametrize(
    ("setting", "listened_to"),
    [
        ("AzureWebJobs.worker.Disabled=1", False),
        ("AzureWebJobs.worker.Disabled=true", False),
        ("AzureWebJobs.worker.Disabled=0", True),
        ("AzureWebJobs__worker__Disabled=true", True),
    ],
)
async def test_disabled_function_is_not_listened_for(setting: str, *, listened_to: bool) -> None:
    """`AzureWebJobs.<name>.Disabled` with dots switches a function off; the form with underscores does not."""
    stage = stage_as_recorded()
    name, _, value = setting.partition("=")
    stage.settings[name] = value

    async def take(msg: str) -> None:
        """Succeed."""

    await stage.put("a")
    await stage.started(queue_app(take))
    await stage.clock.advance(5)
    assert (stage.queues.texts(WORK) == []) is listened_to


async def test_app_settings_win_over_host_json() -> None:
    """`AzureFunctionsJobHost__extensions__queues__...` overrides `host.json`: two at a time."""
    stage = stage_as_recorded()
    stage.settings["AzureFunctionsJobHost__extensions__queues__batchSize"] = "2"
    stage.settings["AzureFunctionsJobHost__extensions__queues__newBatchThreshold"] = "0"

    async def run(_msg: str) -> None:
        await stage.clock.sleep(1)

    await stage.put(*"abcdef")
    await stage.started(queue_app(run))
    await stage.clock.advance(10)
    assert (stage.most_running(), stage.queues.texts(WORK)) == (2, [])


async def test_returning_a_value_fails() -> None:
    """A function without a `$return` binding that returns anything but None has failed."""
    stage = stage_as_recorded()

    async def answer(msg: str) -> str:
        return msg

    host = stage.host(queue_app(answer))
    with pytest.raises(InvocationFailedError, match="returned a value"):
        await host.invoke("worker", "x")


async def test_forty_messages_run_sixteen_at_a_time() -> None:
    """40 messages of 2 s with batch 16 and threshold 8 run 16 at a time, in 6.1 s as recorded."""
    stage = Stage(queue_options=RECORDED_OPTIONS | {"newBatchThreshold": 8})

    async def run(_msg: str) -> None:
        await stage.clock.sleep(2)

    await stage.put(*[json.dumps({"n": number}) for number in range(40)])
    await stage.started(queue_app(run))
    took_s = await stage.clock.advance_until(lambda: len(stage.named("DeleteMessage")) == 40, 60)
    assert stage.most_running() == 16
    assert took_s == pytest.approx(6.1, abs=0.5)
