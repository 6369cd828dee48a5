"""What the app asks of storage, written down call by call, so that plain SDK clients can do the same.

A recording is the calls at the storage ports, each with the task it came from: calls of one task follow one another,
tasks run side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from shared.ports import Ports


@dataclass(frozen=True, slots=True)
class Call:
    """One call at a port: which port and method, with what."""

    port: str
    method: str
    arguments: tuple[Any, ...]


Lane = list[Call]
"""The calls of one task, in order."""


class Recording:
    """The calls so far, by task in the order in which the tasks made their first call."""

    def __init__(self) -> None:
        self._lanes: dict[asyncio.Task[Any] | None, Lane] = {}

    def add(self, call: Call) -> None:
        """Write a call down for the running task."""
        self._lanes.setdefault(asyncio.current_task(), []).append(call)

    def take(self) -> list[Lane]:
        """The lanes so far; the recording begins anew."""
        lanes, self._lanes = list(self._lanes.values()), {}
        return lanes


class Recorded:
    """A storage port whose calls are written down."""

    def __init__(self, name: str, port: Any, recording: Recording) -> None:
        self._name = name
        self._port = port
        self._recording = recording

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)

        async def recorded(*arguments: Any) -> Any:
            self._recording.add(Call(self._name, method, arguments))
            return await call(*arguments)

        return recorded

    async def scan(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        """The rows of a table port."""
        self._recording.add(Call(self._name, "scan", arguments))
        async for row in self._port.scan(*arguments, **options):
            yield row


def recorded(ports: Ports, recording: Recording) -> Ports:
    """The same ports, the calls to storage written down."""
    return replace(
        ports,
        tables={name: Recorded(f"table/{name}", port, recording) for name, port in ports.tables.items()},
        queues={name: Recorded(f"queue/{name}", port, recording) for name, port in ports.queues.items()},
        containers={name: Recorded(f"container/{name}", port, recording) for name, port in ports.containers.items()},
    )
