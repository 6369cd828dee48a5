"""The app in a process of its own, driven from outside through `function_app.py` alone.

This text is run by `python -c` in the folder of any checkout, so that it names nothing that may move: it imports no
module of ours but `function_app`. Its argument is a folder of packages that this checkout alone needs. Each line that
comes in is a JSON object with the name of a `function`, and for a queue's function `bodies` and how many of them to
handle `at_once`; each is answered by one line that tells what it took. A function that raises is told as `failed`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def drive() -> None:
    """Import the app, tell what that took, and do what is asked until standard input ends."""
    logging.getLogger("azure").setLevel(logging.WARNING)  # the host asks for no line a request either
    logging.getLogger().addHandler(logging.NullHandler())
    logging.lastResort = None
    sys.path.append(sys.argv[1])  # behind all others: what both builds require is one and the same
    began_s = time.process_time()
    import function_app  # noqa: PLC0415 - the import is part of what is measured

    calls = {str(one.get_function_name()): one.get_user_function() for one in function_app.app.get_functions()}
    _answer(processor_s=time.process_time() - began_s, modules=len(sys.modules))
    asyncio.run(_serve(calls))


async def _serve(calls: dict[str, Any]) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        gc.collect()
        _forget_peak()
        before_bytes, began_s, used_s = _memory_bytes("VmRSS"), time.perf_counter(), time.process_time()
        failed = await _call(calls[asked["function"]], asked)
        _answer(
            processor_s=time.process_time() - used_s,
            seconds=time.perf_counter() - began_s,
            grown_bytes=max(0, _memory_bytes("VmHWM") - before_bytes),
            modules=len(sys.modules),
            failed=failed,
        )


async def _call(function: Any, asked: dict[str, Any]) -> str | None:
    try:
        if "bodies" not in asked:
            from azure.functions.timer import TimerRequest  # noqa: PLC0415 - imported with the app

            await function(TimerRequest(past_due=False))
            return None
        places = asyncio.Semaphore(asked["at_once"])

        async def handle(body: str) -> None:
            async with places:
                await function(body)

        await asyncio.gather(*(handle(body) for body in asked["bodies"]))
    except Exception as error:  # noqa: BLE001 - whoever drives decides what it means
        return f"{type(error).__name__}: {error}"
    return None


def _forget_peak() -> None:
    """Let the kernel count the highest resident memory anew."""
    if _CLEAR.exists():
        _CLEAR.write_text("5", encoding="ascii")


def _memory_bytes(name: str) -> int:
    if not _STATUS.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    [line] = [line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def _answer(**told: Any) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    drive()
