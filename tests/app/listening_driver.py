"""`worker_driver.py`, listening as the process around the worker library does; run by Python 3.13, not a test itself.

That process hands every record of the root logger to the host, from Information on, and what is written to standard
error as well. So each answer has, beside the results with their tracebacks, all that was logged and written since the
last one. A line that is no JSON list asks what a logger of the libraries, a forgotten task and a thread would let out.
"""

import asyncio
import contextvars
import gc
import importlib.util
import io
import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any

_SPEC = importlib.util.spec_from_file_location("worker_driver", Path(__file__).with_name("worker_driver.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
worker_driver = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(worker_driver)

LIBRARIES = ("azure.core", "azure.identity", "httpx", "msal", "kiota_http", "asyncio", "aiohttp", "shared", None)


class Listener(logging.Handler):
    """Keeps what it is handed, each record with its exception as the worker would format it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.lines.append(self.format(record))

    def take(self) -> list[str]:
        """Return what came since the last call."""
        taken, self.lines = self.lines, []
        return taken


class ListeningHost(worker_driver.Host):  # type: ignore[name-defined,misc]  # a module that is loaded from a file
    """Returns a failure's traceback too."""

    def __init__(self) -> None:
        super().__init__()
        worker_driver.PROTOS.RpcException = self._kept
        self._stack: contextvars.ContextVar[list[str]] = contextvars.ContextVar("stack")

    async def invoke(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Run one invocation; return what the host is told of its end."""
        self._stack.set([])
        result: dict[str, Any] = await super().invoke(asked)
        return {**result, "stack": "".join(self._stack.get())}

    def _kept(self, **told: str) -> Any:
        self._stack.get([]).append(told["stack_trace"])
        return worker_driver.Message(**told)


class Left:
    """Fails where Python lets no exception rise."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __del__(self) -> None:
        """Fail with the secret."""
        raise ValueError(self._secret)


async def let_slip(secret: str) -> None:
    """Do with a secret what libraries do that meant no harm."""
    for name in LIBRARIES:
        logging.getLogger(name).error("GET %s", secret)

    async def fail() -> None:
        raise ValueError(secret)

    forgotten = [asyncio.create_task(fail())]
    await asyncio.sleep(0.01)
    forgotten.clear()
    gc.collect()
    asyncio.get_running_loop().call_exception_handler({"message": secret, "exception": ValueError(secret)})
    thread = threading.Thread(target=int, args=(secret,))  # raises, and nobody can catch it
    thread.start()
    thread.join()
    Left(secret)
    gc.collect()


async def converse(folder: str) -> None:
    """Load the app, then answer every line until standard input ends."""
    listener, written = Listener(), io.StringIO()
    sys.stderr = written
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger().addHandler(listener)
    host, loop = ListeningHost(), asyncio.get_running_loop()
    worker_driver.tell(await host.load(folder))
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        if isinstance(asked, str):
            await let_slip(asked)
        invocations = asked if isinstance(asked, list) else []
        results = list(await asyncio.gather(*(host.invoke(one) for one in invocations)))
        worker_driver.tell({"results": results, "lines": listener.take(), "written": written.getvalue()})
        written.truncate(0)
        written.seek(0)


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    asyncio.run(converse(sys.argv[1]))
