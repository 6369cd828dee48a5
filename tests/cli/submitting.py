"""The command as a process on an account of Azurite, and what is then in that account."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.adapters.storage import make_missing
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, ServiceClients, open_storage
from shared.settings import StorageAccess

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = "soc@contoso.example"
_HIDE_S = 600


@dataclass(frozen=True, slots=True)
class Ended:
    """How the command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """What it wrote as JSON."""
        found: list[dict[str, Any]] = json.loads(self.out)
        return found

    @property
    def told(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


@dataclass(frozen=True, slots=True)
class Account:
    """An account of Azurite that has everything a deployed one has."""

    connection: str
    clients: ServiceClients
    folder: Path

    async def start(self, *arguments: str, typed: bool = False) -> asyncio.subprocess.Process:
        """Start `submissions submit`; `typed` leaves standard input open to write to."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "shared.cli", "--local", "submit", *arguments),
            stdin=asyncio.subprocess.PIPE if typed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What the command's process sees."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBMISSIONS_")}
        own = {"SubmissionsStorage": self.connection, "SUBMISSIONS_REQUESTED_BY": OPERATOR, "PYTHONPATH": str(ROOT)}
        return {**kept, **own}

    async def submit(self, *arguments: str, typed: str | None = None) -> Ended:
        """Run `submissions submit` to its end."""
        process = await self.start(*arguments, typed=typed is not None)
        return await ended(process, typed)

    async def count(self) -> int:
        """How many messages are on the queue, to Azurite's best knowledge."""
        found = await self.clients.queues.get_queue_client("manual-submissions").get_queue_properties()
        return int(found.approximate_message_count or 0)

    async def bodies(self) -> list[str]:
        """The bodies of all messages on the queue, which stay there and are hidden."""
        queue = self.clients.queues.get_queue_client("manual-submissions")
        found = queue.receive_messages(messages_per_page=32, visibility_timeout=_HIDE_S)
        return [message.content async for message in found]

    async def blobs(self, prefix: str) -> dict[str, bytes]:
        """The blobs of `submission-content` whose name begins so."""
        container = self.clients.blobs.get_container_client("submission-content")
        names = [blob.name async for blob in container.list_blobs(name_starts_with=prefix)]
        return {name: await (await container.download_blob(name)).readall() for name in names}

    async def at_least(self, messages: int) -> None:
        """Return when that many messages are on the queue."""
        while await self.count() < messages:  # noqa: ASYNC110 - another process cannot set an Event of ours
            await asyncio.sleep(0.02)


async def ended(process: asyncio.subprocess.Process, typed: str | None = None) -> Ended:
    """Wait for the end of a started command."""
    out, err = await process.communicate(None if typed is None else typed.encode())
    return Ended(process.returncode if process.returncode is not None else -signal.SIGKILL, out.decode(), err.decode())


@asynccontextmanager
async def account(connection: str, folder: Path) -> AsyncIterator[Account]:
    """An account with all its tables, queues and containers; the command runs in `folder`."""
    async with AsyncExitStack() as resources:
        clients = await open_storage(StorageAccess(connection_string=connection), None, resources)
        await make_missing(clients.tables, clients.queues, clients.blobs, TABLES, QUEUES, CONTAINERS)
        yield Account(connection, clients, folder)


def ids(records: Sequence[dict[str, Any]]) -> list[str]:
    """The submission ids that the command told."""
    return [str(one["SubmissionId"]) for one in records]
