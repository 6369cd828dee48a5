"""The host's own surface: indexing, one-off runs, kinds of functions, stopping, killing, the command line."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import azure.functions as func
import pytest

from local.functions_host import InvocationFailedError
from local.functions_host.azure_queue import AzureQueueService
from tests.local.functions_host_stage import POISON, WORK, Stage, queue_app, timer_app

ROOT = Path(__file__).resolve().parents[2]
APP = '''
import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="Store")
async def copy_message(msg: str) -> None:
    """Leave a trace that the test can read."""
    with open("copied.txt", "a", encoding="utf-8") as file:
        file.write(msg)


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def tick(timer: func.TimerRequest) -> None:
    """Leave a trace that the test can read."""
    with open("ticked.txt", "a", encoding="utf-8") as file:
        file.write("tick")
'''


async def test_invoke_runs_one_function_once() -> None:
    """`invoke` hands the body over as a first fetch would, touches no queue, and raises what the function raised."""
    stage = Stage(queue_options={"messageEncoding": "none"})
    seen: list[tuple[bytes, object]] = []

    async def take(msg: func.QueueMessage) -> None:
        seen.append((msg.get_body(), msg.dequeue_count))
        if msg.get_body() == b"bad":
            raise LookupError

    host = stage.host(queue_app(take))
    await host.invoke("worker", "good")
    with pytest.raises(InvocationFailedError) as failure:
        await host.invoke("worker", b"bad")
    assert isinstance(failure.value.__cause__, LookupError)
    assert seen == [(b"good", 1), (b"bad", 1)]
    assert [event.name for event in stage.events] == ["function:start", "function:end"] * 2


async def test_invoke_of_an_unknown_name() -> None:
    """An unknown name is a LookupError that names the functions there are."""

    async def tick(_timer: func.TimerRequest) -> None:
        """Succeed."""

    host = Stage().host(timer_app(tick, "0 * * * * *"))
    await host.invoke("ticker")
    with pytest.raises(LookupError, match="ticker"):
        await host.invoke("ticked")


async def test_sync_functions_run_in_a_thread() -> None:
    """A function that is not `async` runs in a thread, so that it does not hold up the others."""
    threads: list[str] = []

    def take(_msg: str) -> None:
        threads.append(threading.current_thread().name)

    await Stage().host(queue_app(take)).invoke("worker", "x")
    assert threads
    assert threads != [threading.main_thread().name]


@pytest.mark.parametrize("text", ["caf\u00e9", "\u00ff"])
async def test_str_annotated_binary_trigger_gets_bytes(text: str) -> None:
    """As in the Python worker, `data_type=BINARY` decides that bytes are sent, not the annotation."""
    seen: list[object] = []

    async def take(msg: str) -> None:
        seen.append(msg)

    await Stage().host(queue_app(take, data_type=func.DataType.BINARY)).invoke("worker", text)
    assert seen == [text.encode()]


async def test_unsupported_functions_are_left_out_by_name() -> None:
    """What the stand-in cannot run is named with its reason, and the rest can run."""
    app = func.FunctionApp()

    @app.route("x")
    def serve(req: func.HttpRequest) -> str:
        return str(req)

    @app.queue_trigger(arg_name="msg", queue_name=WORK, connection="Storage")
    @app.queue_output(arg_name="out", queue_name="other", connection="Storage")
    async def copy(msg: str, out: func.Out[str]) -> None:
        out.set(msg)

    @app.queue_trigger(arg_name="msg", queue_name=WORK, connection="Storage")
    async def count(msg: int) -> None:
        del msg

    @app.timer_trigger(arg_name="timer", schedule="every day")
    async def tick(timer: func.TimerRequest) -> None:
        del timer

    @app.queue_trigger(arg_name="msg", queue_name=WORK, connection="Storage")
    async def work(msg: str) -> None:
        del msg

    index = Stage().host(app).index
    assert set(index.errors) == {"serve", "copy", "count", "tick"}
    assert [function.name for function in index.functions] == ["work"]


async def test_the_same_app_can_be_hosted_again() -> None:
    """A restart indexes the same app object anew, without taking its functions for duplicates."""

    async def take(_msg: str) -> None:
        """Succeed."""

    app = queue_app(take)
    assert Stage().host(app).index.errors == Stage().host(app).index.errors == {}


async def test_kill_touches_no_message() -> None:
    """A kill ends running functions where they are and makes no request after it."""
    stage = Stage()
    reached: list[str] = []

    async def run(_msg: str) -> None:
        reached.append("before")
        await stage.clock.sleep(10)
        reached.append("after")

    await stage.put("YQ==")
    host = await stage.started(queue_app(run))
    await stage.clock.advance(5)
    await host.kill()
    made = len(stage.events)
    await stage.clock.advance(100)
    assert reached == ["before"]
    assert len(stage.events) == made
    assert not stage.named("DeleteMessage")
    assert not stage.named("UpdateMessage")


async def test_failing_renewal_is_tried_sooner_and_a_lost_lease_is_left() -> None:
    """When the queue is gone at the renewal no more is tried, and the delete's 404 is swallowed."""
    stage = Stage()

    async def run(_msg: str) -> None:
        await stage.clock.sleep(1000)

    await stage.put("YQ==")
    await stage.started(queue_app(run))
    await stage.clock.advance(100)
    stage.queues.drop(WORK)
    await stage.clock.advance(1000)
    assert [event.status for event in stage.named("UpdateMessage")] == [404]
    assert [event.status for event in stage.named("DeleteMessage")] == [404]


async def test_undecodable_message_goes_to_poison_at_once() -> None:
    """With base64 encoding, text that is not base64 is moved at the first get, as extension 5.x does."""
    stage = Stage()

    async def take(_msg: str) -> None:
        """Succeed."""

    await stage.put("not base64")
    await stage.started(queue_app(take))
    await stage.clock.advance(1)
    assert stage.queues.texts(POISON) == ["not base64"]
    assert not stage.named("function:start")
    assert not stage.named("UpdateMessage")


async def test_run_until_starts_and_stops() -> None:
    """`run_until` runs until the event is set, then drains."""
    stage = Stage()

    async def run(_msg: str) -> None:
        await stage.clock.sleep(3)

    await stage.put("YQ==")
    stop = asyncio.Event()
    running = asyncio.create_task(stage.host(queue_app(run)).run_until(stop))
    await stage.clock.advance(1)
    stop.set()
    await stage.clock.advance(10)
    await running
    assert [event.name for event in stage.events if event.name.startswith("host:")] == [
        "host:started",
        "host:stopping",
        "host:stopped",
    ]
    assert stage.queues.texts(WORK) == []


async def test_logs_hold_no_content(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is logged with its type and place, never with a text that may quote a message."""
    stage = Stage(queue_options={"messageEncoding": "none"})

    async def run(msg: str) -> None:
        raise ValueError(msg)

    await stage.put("alice@contoso.com")
    await stage.started(queue_app(run))
    await stage.clock.advance(5)
    assert "ValueError" in caplog.text
    assert "alice" not in caplog.text


async def test_command_line_runs_an_app_until_sigterm(storage_connection: str, tmp_path: Path) -> None:
    """The command runs the folder's app on a real emulator, with its settings, and ends cleanly on SIGTERM."""
    (tmp_path / "little_app.py").write_text(APP, encoding="utf-8")
    (tmp_path / "host.json").write_text((ROOT / "host.json").read_text(encoding="utf-8"), encoding="utf-8")
    values = {"AzureWebJobsStorage": storage_connection, "Store": storage_connection, "QUEUE": "jobs"}
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": values}), encoding="utf-8")
    async with AzureQueueService(storage_connection) as queues:
        await queues.create("jobs")
        await queues.put("jobs", "hello")
        process = _command(tmp_path)
        try:
            await asyncio.to_thread(_wait_for, tmp_path / "copied.txt", process)
            await asyncio.to_thread(_wait_for, tmp_path / "ticked.txt", process)
        finally:
            process.send_signal(signal.SIGTERM)
            _, log = await asyncio.to_thread(process.communicate, timeout=100)
        assert process.returncode == 0, log
        assert await queues.get("jobs", 1, 1) == []
    assert (tmp_path / "copied.txt").read_text(encoding="utf-8") == "hello"
    assert "development stand-in" in log


def test_command_line_names_what_is_missing(tmp_path: Path) -> None:
    """Without a connection string the command ends with 1 and names the setting."""
    (tmp_path / "little_app.py").write_text(APP, encoding="utf-8")
    (tmp_path / "host.json").write_text("{}", encoding="utf-8")
    process = _command(tmp_path)
    _, log = process.communicate(timeout=100)
    assert (process.returncode, "the setting AzureWebJobsStorage is missing" in log) == (1, True)


def _command(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local.functions_host", "--app", "little_app"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    waiting = threading.Event()
    for _ in range(2_000):
        if path.exists() or process.poll() is not None:
            return
        waiting.wait(0.05)
