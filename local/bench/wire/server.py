"""The three services on one port, as one account at a time; every request counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from local.azurite import WELL_KNOWN_KEY
from local.bench.wire.counts import StorageCounts
from local.bench.wire.http_answer import Answer, Asked, NotKnownError
from local.bench.wire.queue_and_blob_service import answer_blobs, answer_queues
from local.bench.wire.state import StorageState
from local.bench.wire.table_service import answer_tables

_HOST = "127.0.0.1"
_SERVICES: Mapping[str, Callable[[StorageState, Asked], Answer]] = {
    "table": answer_tables,
    "queue": answer_queues,
    "blob": answer_blobs,
}


class WireStorage:
    """Serves `state` while the block lasts; put another state in its place at any time.

    `latency_s` passes before each answer. Signatures are not looked at.
    """

    def __init__(self) -> None:
        self.state = StorageState()
        self.counts = StorageCounts()
        self.latency_s = 0.0
        self._runner: web.ServerRunner | None = None
        self._port = 0

    @property
    def connection(self) -> str:
        """The connection string of the one account."""
        endpoints = "".join(f"{name.title()}Endpoint=http://{_HOST}:{self._port}/{name};" for name in _SERVICES)
        return f"DefaultEndpointsProtocol=http;AccountName=wire;AccountKey={WELL_KNOWN_KEY};{endpoints}"

    def take_counts(self) -> StorageCounts:
        """What was asked since this was last called."""
        counts, self.counts = self.counts, StorageCounts()
        return counts

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        begins = self.counts.rounds + 1
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        service, _, path = unquote(request.rel_url.raw_path)[1:].partition("/")
        asked = Asked(request.method, path, request.query, request.headers, body)
        try:
            answer = _SERVICES[service](self.state, asked)
        except NotKnownError as error:
            return web.Response(status=501, text=str(error))
        self.counts.add(f"{service} {request.method}", sent=len(body), given=len(answer.body))
        self.counts.rounds = max(self.counts.rounds, begins)
        self.counts.rows_read += answer.rows
        self.counts.rows_written += answer.written
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
