"""The doctor's own hands: single HTTP requests, tokens, and rehearsals on queues, tables and containers.

What the libraries raise ends here. Everything a rehearsal puts somewhere has a name of its own, made anew each time.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from azure.core.exceptions import AzureError, HttpResponseError

from ..adapters.graph.connections import GraphConnections
from ..adapters.graph.identity import LOCAL_TOKEN
from ..adapters.storage import AzureBlobs, AzureTable
from ..domain.errors import StorageError
from ..ports import Delete, Insert, Merge
from .ports import Effects, NoAnswerError, NoTokenError, Reply, StorageRefusedError, Tokens
from .storage_checks import RELEASE

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient
    from azure.storage.queue import QueueMessage
    from azure.storage.queue.aio import QueueClient

PROBE = "doctor-probe"
"""Partition of probe rows, folder of probe blobs, and what a probe message says."""
HIDDEN_S = 60
LIVES_S = 61
"""Seconds. A message must be invisible for less time than it lives (Put Message); nobody ever sees it."""
RELEASED_S = 50
"""Seconds until a message that was given back would show: again less than it has left to live."""
_TIMEOUT_S = 15.0
_TOKEN_S = 40.0
"""Outside Azure nobody answers where a managed identity is asked for, and the library tries for long."""
_UNREAD_CODE = re.compile(r'(?:"code": ?"|<Code>)(\w{1,60})')


class HttpWeb:
    """The `Web` port over httpx, by the way that the app takes. No redirect is followed: a token is for one host."""

    def __init__(self, graph_base_url: str, tokens: Tokens) -> None:
        self._graph_base_url = graph_base_url
        self._tokens = tokens

    async def get(self, url: str) -> Reply:
        """The answer to a GET without a token; see the port."""
        return await self._get(url, {})

    async def ask_graph(self, path: str) -> Reply:
        """The answer of Graph to a GET with the app's token; see the port."""
        token = await self._tokens.token(f"{self._graph_base_url}/.default")
        headers = {"Authorization": f"Bearer {token}", "Prefer": "include-unknown-enum-members"}
        return await self._get(self._graph_base_url + path, headers)

    async def _get(self, url: str, headers: dict[str, str]) -> Reply:
        try:
            async with httpx.AsyncClient(transport=GraphConnections(url)) as client:
                answer = await client.get(url, headers=headers, timeout=_TIMEOUT_S)
        except httpx.HTTPError as error:
            raise NoAnswerError(type(error).__name__) from None
        return Reply(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
        )


class CredentialTokens:
    """The `Tokens` port over the app's credential; a stand-in on this machine takes a fixed one."""

    def __init__(self, credential: AsyncTokenCredential | None) -> None:
        self._credential = credential

    async def token(self, scope: str) -> str:
        """A token for that scope; see the port."""
        if self._credential is None or scope.startswith("http://"):
            return LOCAL_TOKEN
        try:
            async with asyncio.timeout(_TOKEN_S):
                return (await self._credential.get_token(scope)).token
        except (AzureError, TimeoutError) as error:
            raise NoTokenError(type(error).__name__) from None


class QueueProbe:
    """The `Store` port over a queue."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._message: QueueMessage  # there once it was put: the first of the effects

    @property
    def name(self) -> str:
        """The queue's name."""
        return str(self._client.queue_name)

    async def read(self) -> None:
        """Ask for its length."""
        with refusals():
            await self._client.get_queue_properties()

    def effects(self) -> Effects:
        """What app and host do to a message: put it, give it back, delete it."""
        return {"put": self._put, RELEASE: self._release, "delete": self._delete}

    async def _put(self) -> None:
        with refusals():
            self._message = await self._client.send_message(PROBE, visibility_timeout=HIDDEN_S, time_to_live=LIVES_S)

    async def _release(self) -> None:
        with refusals():
            self._message = await self._client.update_message(self._message, visibility_timeout=RELEASED_S)

    async def _delete(self) -> None:
        with refusals():
            await self._client.delete_message(self._message)


class TableProbe:
    """The `Store` port over a table, through the app's own adapter: its delete is a transaction, as the app's are."""

    def __init__(self, name: str, table: AzureTable) -> None:
        self.name = name
        self._table = table
        self._row = uuid.uuid4().hex

    async def read(self) -> None:
        """Read the rows of a partition that has none."""
        with refusals():
            async for _ in self._table.scan(PROBE, "", "~", 1):
                break

    def effects(self) -> Effects:
        """What the app does to a row: insert, merge, delete."""
        return {"insert": self._insert, "merge": self._merge, "delete": self._delete}

    async def _insert(self) -> None:
        with refusals():
            await self._table.write(Insert({"PartitionKey": PROBE, "RowKey": self._row}))

    async def _merge(self) -> None:
        with refusals():
            await self._table.write(Merge({"PartitionKey": PROBE, "RowKey": self._row, "Merged": True}))

    async def _delete(self) -> None:
        with refusals():
            await self._table.write(Delete(PROBE, self._row))


class ContainerProbe:
    """The `Store` port over a container."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client
        self._blob = f"{PROBE}/{uuid.uuid4().hex}"

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self._client.container_name)

    async def read(self) -> None:
        """List the blobs of a folder that has none."""
        with refusals():
            async for _ in self._client.list_blob_names(name_starts_with=self._blob):
                break

    def effects(self) -> Effects:
        """What the app does to a blob: write and delete."""
        return {"put": self._put, "delete": self._delete}

    async def _put(self) -> None:
        with refusals():
            await self._client.upload_blob(self._blob, PROBE.encode())

    async def _delete(self) -> None:
        with refusals():
            await self._client.delete_blob(self._blob)


class TextProbe:
    """The `Texts` port over a container."""

    def __init__(self, blobs: AzureBlobs) -> None:
        self._blobs = blobs

    async def get(self, name: str, limit_bytes: int) -> bytes | None:
        """A text; see the port."""
        with refusals():
            return await self._blobs.get(name, limit_bytes)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn whatever the libraries raise into a `StorageRefusedError` with its status and code."""
    try:
        yield
    except HttpResponseError as error:
        raise StorageRefusedError(error.status_code, _code(error)) from None
    except (AzureError, StorageError) as error:
        raise StorageRefusedError(None, type(error).__name__) from None


def _code(error: HttpResponseError) -> str:
    """The service's code. A refused insert leaves the tables library unread: its code stands in the body."""
    code = getattr(error, "error_code", None)
    unread = _UNREAD_CODE.search(str(error))
    return str(getattr(code, "value", code) or (unread and unread[1]) or type(error).__name__)
