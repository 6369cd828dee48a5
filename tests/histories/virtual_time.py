"""An event loop whose time passes only when everybody waits: no history sleeps, and each runs the same every time.

Nothing here waits for the outside. When no callback is ready, the time jumps to the next timer; when there is none
either, whoever is awaited will never come, which is an error.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class NobodyComesError(RuntimeError):
    """All wait, and nothing is due: a deadlock of the code under test or of the history itself."""


class _NoFiles(selectors.BaseSelector):
    """Watches nothing; to wait is to move the time."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NobodyComesError
        self.time_s += max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, 0, None)

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return {}


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop over a selector that moves the time."""

    def __init__(self) -> None:
        self._no_files = _NoFiles()
        super().__init__(self._no_files)

    def time(self) -> float:
        """Seconds since the history began."""
        return self._no_files.time_s

    def now(self) -> datetime:
        """The true time in the history, by nobody's skewed clock."""
        return BEGIN + timedelta(seconds=self.time())


def run(history: Coroutine[Any, Any, Any], loop: VirtualTimeLoop) -> Any:
    """Run a history to its end on its own loop, and whatever it left running; returns what it returns."""
    try:
        return loop.run_until_complete(history)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
