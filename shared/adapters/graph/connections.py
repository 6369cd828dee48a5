"""The connections to Graph: the SDK's client over aiohttp, which storage and sign-in are reached through anyway.

Microsoft's SDK sends through an httpx client, whose connections are exchangeable. The usual ones bring a second HTTP
stack along (httpcore, anyio, h2, certifi), to be imported at every cold start, and spend over a third of a request's
processor time. Errors leave here as httpx's own, told apart by whether Graph can have seen the request
(docs/decisions/0022-one-http-stack.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.client_exceptions import (
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ConnectionTimeoutError,
    SocketTimeoutError,
)
from yarl import URL

from ..proxies import proxy_for

IDLE_S: Final = 5.0
"""A connection that was idle for longer is not used again: a POST onto one that Graph just closed is a lost answer."""
WHOLE_REQUEST_S: Final = 300.0
"""The longest that a request may take in all, however steadily it goes on: half of the function's time limit."""


class GraphConnections(httpx.AsyncBaseTransport):
    """The network below an httpx client, for one host; made on the running loop with the first request."""

    def __init__(self, base_url: str) -> None:
        self._proxy = proxy_for(base_url)
        self._session: ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, once, and read its whole answer. Raises `httpx.TransportError`, see `_httpx_errors`."""
        content = await request.aread()
        with _httpx_errors():
            async with self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                data=content or None,
                headers=request.headers.multi_items(),
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                proxy=self._proxy,
                timeout=_timeout(request.extensions.get("timeout", {})),
            ) as answer:
                body = await answer.read()
        return httpx.Response(answer.status, headers=list(answer.raw_headers), content=body, request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> ClientSession:
        if self._session is None:
            connector = TCPConnector(keepalive_timeout=IDLE_S)
            jar = DummyCookieJar()  # no answer's cookie goes out with another request
            self._session = ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False)
        return self._session


def _timeout(seconds: dict[str, float | None]) -> ClientTimeout:
    return ClientTimeout(WHOLE_REQUEST_S, sock_connect=seconds.get("connect"), sock_read=seconds.get("read"))


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Turn aiohttp's errors into httpx's: `ConnectError`, `ConnectTimeout` and `ProxyError` where nothing was sent."""
    try:
        yield
    except ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(type(error).__name__) from None
    except ClientHttpProxyError as error:
        raise httpx.ProxyError(type(error).__name__) from None
    except ClientConnectorError as error:
        raise httpx.ConnectError(type(error).__name__) from None
    except (SocketTimeoutError, TimeoutError) as error:
        raise httpx.ReadTimeout(type(error).__name__) from None
    except (ClientError, OSError) as error:
        raise httpx.ReadError(type(error).__name__) from None
