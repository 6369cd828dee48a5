"""The app in a process of its own, as the platform starts it: the deployed module, its functions called by name.

`python -m local.bench.app_process first` collects once; `... memory` takes what is in the mailbox through collect and
submit each time a line comes in. Each answers with one line of JSON. This module imports nothing that the app would
not import by itself before it reports on imports.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


class Functions:
    """The functions of the deployed module, by name."""

    def __init__(self) -> None:
        import function_app  # noqa: PLC0415 - the import is part of what is measured

        self.settings = function_app.settings
        self._calls = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}

    async def run_timer(self, name: str) -> None:
        """Run a timer function."""
        from azure.functions.timer import TimerRequest  # noqa: PLC0415 - imported with the app

        await self._calls[name](TimerRequest(past_due=False))

    async def run_message(self, name: str, body: str) -> None:
        """Run a queue function."""
        await self._calls[name](body)


async def report_first_invocation() -> None:
    """Import the app and collect; tell the seconds of both and what was imported."""
    began_s = time.perf_counter()
    functions = Functions()
    imported_s = time.perf_counter()
    await functions.run_timer("collect_reports")
    ended_s = time.perf_counter()
    generated = sum(name.startswith("msgraph.generated") for name in sys.modules)
    _answer(
        import_s=imported_s - began_s,
        invocation_s=ended_s - imported_s,
        modules=len(sys.modules),
        generated_modules=generated,
    )


async def report_memory() -> None:
    """For each line that comes in, collect and submit what is there; tell the memory now and its peak, in bytes."""
    functions = Functions()
    while await asyncio.to_thread(sys.stdin.readline):
        submitted = await _collect_and_submit(functions)
        _answer(now_bytes=_memory_bytes("VmRSS"), peak_bytes=_memory_bytes("VmHWM"), submitted=submitted)


async def _collect_and_submit(functions: Functions) -> int:
    """Returns how many messages were handled."""
    from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415 - the app has imported it by then

    from shared.adapters.storage import API_VERSION  # noqa: PLC0415

    await functions.run_timer("collect_reports")
    connection = functions.settings.submissions_storage.connection_string or ""
    submitted = 0
    async with QueueServiceClient.from_connection_string(connection, api_version=API_VERSION) as service:
        queue = service.get_queue_client("submissions")
        async for message in queue.receive_messages(visibility_timeout=600):
            await functions.run_message("submit", message.content)
            await queue.delete_message(message)
            submitted += 1
    return submitted


def _memory_bytes(name: str) -> int:
    """Resident memory from the kernel's own account; where there is none, the peak so far stands for both."""
    if not _STATUS.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    [line] = [line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def _answer(**told: Any) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the process ends as a worker does, its clients not closed
    asyncio.run({"first": report_first_invocation, "memory": report_memory}[sys.argv[1]]())
