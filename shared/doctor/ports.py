"""What the doctor needs from outside, beside the app's own ports.

Adapters are in `probes.py`. Every method raises only the errors named here; what they carry is a status, a code and a
short reason, never an address or a token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..ports import Clock, MailSource, SourcePorts

Effects = Mapping[str, Callable[[], Awaitable[None]]]
"""Steps by name, in their order. The first puts something there, the last takes it away again."""


@dataclass(eq=False)
class NoTokenError(Exception):
    """No token was given out; `reason` is a class name or Entra's error number."""

    reason: str


@dataclass(eq=False)
class NoAnswerError(Exception):
    """No HTTP answer came at all; `reason` is a class name."""

    reason: str


@dataclass(eq=False)
class StorageRefusedError(Exception):
    """Storage did not do what was asked. `status` is None where no answer arrived."""

    status: int | None
    code: str

    def __str__(self) -> str:
        """Status and code, as support asks for them."""
        return self.code if self.status is None else f"{self.status} {self.code}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, of any status. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Web(Protocol):
    """Single GETs to Graph and to storage, without the app's adapters around them."""

    async def get(self, url: str) -> Reply:
        """The answer to a GET without a token. Raises `NoAnswerError`."""

    async def ask_graph(self, path: str) -> Reply:
        """The answer to a GET of a path of Graph, with the app's token. Raises `NoAnswerError`, `NoTokenError`."""


class Graph(Protocol):
    """Graph as the app asks it: its transport satisfies this."""

    async def get_json(self, operation: str, path_or_link: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """The JSON object that a GET answers. Raises any `GraphError`."""

    async def post(
        self,
        operation: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        content_type: str,
        attempt_id: str,
    ) -> object:
        """The answer to a POST. Raises any `GraphError`."""


class Tokens(Protocol):
    """Whatever gives out the app's tokens."""

    async def token(self, scope: str) -> str:
        """A token for that scope. Raises `NoTokenError`."""


class Store(Protocol):
    """A queue, table or container of the data account."""

    @property
    def name(self) -> str:
        """Its name."""

    async def read(self) -> None:
        """Read from it, leaving everything as it is. Raises `StorageRefusedError`."""

    def effects(self) -> Effects:
        """What the app does to it, with something that nobody takes notice of.

        Each step may raise `StorageRefusedError`.
        """


class Texts(Protocol):
    """The container of the texts of answers."""

    async def get(self, name: str, limit_bytes: int) -> bytes | None:
        """A text, or None; see `BlobStore`. Raises `StorageRefusedError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """Everything outside, as the doctor looks at it. `service_urls` are the three services of the data account."""

    clock: Clock
    web: Web
    tokens: Tokens
    graph: Graph
    mail: MailSource
    sources: SourcePorts
    service_urls: tuple[str, ...]
    queues: Sequence[Store]
    tables: Sequence[Store]
    containers: Sequence[Store]
    texts: Texts
