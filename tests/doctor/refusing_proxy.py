"""A loopback proxy before Azurite that refuses what it is told to, with the service's own words.

Azurite knows no roles; a tenant's storage does. The proxy passes everything on as it is (a shared key signs path and
headers, not the host's port) and answers a refused request with the status and code of a missing role.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, web
from yarl import URL

_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add, and the shared key's signature does not know of."""
_HOP = {"host", "transfer-encoding", "connection", "content-encoding", "content-length"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Requests of this method, or of any for `*`, whose path matches get this answer."""

    method: str
    path: str
    status: int = 403
    code: str = "AuthorizationPermissionMismatch"
    body: str | None = None
    """What stands there instead of the service's own form of an error."""
    is_cut: bool = False
    """Whether the connection is cut instead."""


@dataclass(slots=True)
class RefusingProxy:
    """The three services of one Azurite account behind ports of their own; `refusals` may change at any time."""

    connection: str
    refusals: list[Refusal] = field(default_factory=list)

    def refusal(self, request: web.BaseRequest) -> Refusal | None:
        """Return what is refused about a request, if anything."""
        return next(
            (one for one in self.refusals if one.method in {"*", request.method} and re.search(one.path, request.path)),
            None,
        )


@asynccontextmanager
async def refusing_proxy(connection: str, *refusals: Refusal) -> AsyncIterator[RefusingProxy]:
    """Yield a proxy before the account of a connection string; its own connection string leads through it."""
    proxy = RefusingProxy(connection, list(refusals))
    parts = dict(part.split("=", 1) for part in connection.rstrip(";").split(";"))
    runners = []
    async with ClientSession(auto_decompress=False, skip_auto_headers=_ADDED) as session:
        try:
            for name in [one for one in parts if one.endswith("Endpoint")]:
                target = URL(parts[name])
                runner = web.ServerRunner(web.Server(_handler(proxy, session, target), access_log=None))
                runners.append(runner)
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                parts[name] = f"http://127.0.0.1:{runner.addresses[0][1]}{target.path}"
            proxy.connection = ";".join(f"{name}={value}" for name, value in parts.items()) + ";"
            yield proxy
        finally:
            for runner in runners:
                await runner.cleanup()


def _handler(
    proxy: RefusingProxy, session: ClientSession, target: URL
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        refusal = proxy.refusal(request)
        if refusal is not None and refusal.is_cut and request.transport is not None:
            request.transport.abort()
        if refusal is not None:
            return _refuse(refusal)
        url = URL(f"{target.origin()}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        body = await request.read() or None
        async with session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    return handle


def _refuse(refusal: Refusal) -> web.Response:
    body = f'<?xml version="1.0"?><Error><Code>{refusal.code}</Code><Message>Refused.</Message></Error>'
    headers = {"x-ms-error-code": refusal.code, "Content-Type": "application/xml", "Retry-After": "0.01"}
    return web.Response(status=refusal.status, text=refusal.body or body, headers=headers)
