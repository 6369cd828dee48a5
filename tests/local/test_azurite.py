"""Azurite as the tests and the demo use it: isolated accounts, no survivors, no files."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.azurite import WELL_KNOWN_ACCOUNT, Azurite
from local.setup import AZURITE_FOLDER, ROOT


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended but was not waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> bool:
    """Wait at most a minute for a process's end, which the kernel brings about on its own time."""
    deadline_s = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return not is_alive(pid)


def children() -> set[int]:
    """Process ids of what this thread has started and what still runs."""
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def names_in(folder: Path) -> set[str]:
    """Names of what stands in a folder."""
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """Run another Python process that owns an Azurite and has printed its process id."""
    program = "import local.azurite as it, time\nwith it.Azurite() as a: print(a.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_all_three_services_answer(azurite: Azurite) -> None:
    """Blobs, queues and tables answer under one connection string."""
    connection = azurite.new_account()
    with TableServiceClient.from_connection_string(connection) as tables:
        tables.create_table("outcomes").upsert_entity({"PartitionKey": "day", "RowKey": "id"})
    with QueueServiceClient.from_connection_string(connection) as queues:
        assert queues.create_queue("submissions").send_message("x").content == "x"
    with BlobServiceClient.from_connection_string(connection) as blobs:
        assert blobs.create_container("evidence").upload_blob("a", b"abc").exists()


def test_accounts_are_apart(azurite: Azurite) -> None:
    """What one account holds, the next one handed out does not see."""
    first, second = azurite.new_account(), azurite.new_account()
    with (
        TableServiceClient.from_connection_string(first) as ours,
        TableServiceClient.from_connection_string(second) as theirs,
    ):
        ours.create_table("outcomes")
        with pytest.raises(ResourceNotFoundError):
            theirs.get_table_client("outcomes").create_entity({"PartitionKey": "day", "RowKey": "id"})


def test_the_well_known_account_is_there(azurite: Azurite) -> None:
    """Tools that only know `devstoreaccount1` find it, under the stated address."""
    with QueueServiceClient.from_connection_string(azurite.connection_string) as queues:
        assert queues.account_name == WELL_KNOWN_ACCOUNT
        assert queues.url.rstrip("/") == azurite.queue_url
        assert list(queues.list_queues()) == []


async def test_ends_with_an_exception_and_leaves_no_file() -> None:
    """An exception in the block ends Azurite, and it has written nothing where it ran."""
    before = names_in(AZURITE_FOLDER)
    pids = []

    async def fail_inside() -> None:
        async with Azurite() as running:
            pids.append(running.pid)
            raise LookupError

    with pytest.raises(LookupError):
        await fail_inside()
    assert not is_alive(pids[0])
    assert names_in(AZURITE_FOLDER) == before


async def test_a_cancelled_start_leaves_no_process() -> None:
    """Cancelling while it starts ends the process that was already there."""
    starting = asyncio.ensure_future(Azurite().__aenter__())
    before = children()
    while not (started := children() - before):  # noqa: ASYNC110 - nobody tells of a process that begins
        await asyncio.sleep(0.001)
    (pid,) = started
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not is_alive(pid)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ends_when_its_owner_is_ended(owner: subprocess.Popen[str], ending: signal.Signals) -> None:
    """Ctrl-C, termination and even SIGKILL of the owner take Azurite with them."""
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.send_signal(ending)
    owner.wait(60)
    assert wait_until_gone(pid)


def test_says_why_it_cannot_start(azurite: Azurite) -> None:
    """A port that is taken ends in one error with Azurite's own words."""
    taken = int(azurite.blob_url.split(":")[2].split("/")[0])
    with pytest.raises(RuntimeError, match="EADDRINUSE"), Azurite(ports=(taken, 0, 0)):
        pass


def test_stopping_twice_is_harmless() -> None:
    """A second stop does nothing, and a stopped Azurite has no process to name."""
    with Azurite() as stopped:
        stopped.stop()
        stopped.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = stopped.pid
