"""Counts what the app asks of storage: calls, and rows that they give. Counts are the same on a busy machine."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from shared.ports import Ports, Row

PAGE_ROWS = 1_000
"""Table Storage gives at most so many rows in one answer."""


@dataclass
class Calls:
    """How many calls were made, and how many rows were read by them."""

    made: int = 0
    rows: int = 0


class CountedPort:
    """A table, queue or container whose calls are counted."""

    def __init__(self, port: Any, calls: Calls) -> None:
        self._port = port
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self._calls.made += 1
            answer = await call(*args, **kwargs)
            self._calls.rows += isinstance(answer, Row)
            return answer

        return call if name == "rows" else counted

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[Row]:
        """The rows of a range, a call for each page of them."""
        self._calls.made += 1
        number = 0
        async for row in self._port.scan(*args, **kwargs):
            number += 1
            self._calls.rows += 1
            self._calls.made += number > PAGE_ROWS and number % PAGE_ROWS == 1
            yield row


def counted(ports: Ports, calls: Calls) -> Ports:
    """The same ports, with every call to storage counted."""
    return replace(
        ports,
        tables={name: CountedPort(port, calls) for name, port in ports.tables.items()},
        queues={name: CountedPort(port, calls) for name, port in ports.queues.items()},
        containers={name: CountedPort(port, calls) for name, port in ports.containers.items()},
    )
