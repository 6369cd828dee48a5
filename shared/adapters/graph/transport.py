"""One request to Graph, and what its answer means.

Uses the request adapter, authentication and middleware of Microsoft's Graph SDK, with two handlers left out on purpose:
the retry handler, because it repeats POSTs that may have had an effect, and the redirect handler, because a token
belongs to one host. Answers are read natively: the generated models cost seconds and lose words they do not know.
Every failure leaves here as a `GraphError`; nothing of a body or an address is in its text.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import AzureError
from kiota_abstractions.authentication import AuthenticationProvider
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import ResponseHandlerOption
from msgraph_core.base_graph_request_adapter import BaseGraphRequestAdapter
from msgraph_core.graph_client_factory import GraphClientFactory
from msgraph_core.middleware.telemetry import GraphTelemetryHandler

from ...domain.errors import AnswerLost, Gone, GraphError, NotAllowed, NotReady, NotSent, Refused, Throttled
from .connections import GraphConnections

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Seconds. Far below the function's time limit, so that a silent Graph costs one invocation and not the worker."""
MOST_PAGES = 1_000
"""A tenant makes 10,000 submissions a day at most; a list that is longer than ten days of them has lost its way."""
_JSON = "application/json"
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""A `ProxyError` is a proxy's refusal to open the way: Graph saw nothing of the request."""
_NOT_READY = "metadata isn't available yet"
"""The one rule that reads a message: no code is documented for it (Defender documentation, "Submissions error
messages", 2023-06)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    body: bytes
    request_id: str | None


class GraphTransport:
    """Sends single requests to one Graph host."""

    def __init__(self, base_url: str, auth: AuthenticationProvider, timeout: httpx.Timeout = TIMEOUT) -> None:
        self._base_url = base_url
        self._connections = GraphConnections(base_url)
        client = httpx.AsyncClient(timeout=timeout, transport=self._connections)
        client = GraphClientFactory.create_with_custom_middleware([GraphTelemetryHandler()], client=client)
        self._adapter = BaseGraphRequestAdapter(auth, http_client=client)

    async def aclose(self) -> None:
        """Close the connections; the SDK's own transport around them would leave them open."""
        await self._connections.aclose()

    async def get(self, operation: str, path_or_link: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a GET of a path under the base address, or of a link that Graph gave."""
        return await self._send(operation, Method.GET, path_or_link, headers)

    async def get_json(self, operation: str, path_or_link: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """The JSON object that a GET answers; raises `AnswerLost` when it answers anything else."""
        return _json_object(operation, await self.get(operation, path_or_link, headers))

    async def get_pages(self, operation: str, path: str, headers: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """The pages of a list. It is read to its end, or an error is raised."""
        seen: set[str] = set()
        link: Any = path
        while link is not None:
            if not isinstance(link, str) or link in seen or len(seen) >= MOST_PAGES:
                raise AnswerLost(operation, code="endless_list")
            seen.add(link)
            page = await self.get_json(operation, link, headers)
            yield page
            link = page.get("@odata.nextLink")

    async def post_json(
        self, operation: str, path: str, headers: Mapping[str, str], body: bytes, *, attempt_id: str
    ) -> dict[str, Any]:
        """The JSON object that a POST of a JSON body answers; see `post`."""
        answer = await self.post(operation, path, headers, body, content_type=_JSON, attempt_id=attempt_id)
        return _json_object(operation, answer)

    async def post(
        self,
        operation: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        content_type: str,
        attempt_id: str,
    ) -> Answer:
        """The answer to a POST, sent once. `attempt_id` is what support can look for."""
        client_request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, attempt_id))
        headers = {**headers, "client-request-id": client_request_id}
        return await self._send(operation, Method.POST, path, headers, body, content_type)

    async def _send(
        self,
        operation: str,
        method: Method,
        path_or_link: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        content_type: str = _JSON,
    ) -> Answer:
        request = RequestInformation()
        request.http_method = method
        request.url = self._own_url(operation, path_or_link)
        for name, value in {"Accept": _JSON, **headers}.items():
            request.headers.add(name, value)
        if body is not None:
            request.set_stream_content(body, content_type)
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        try:
            response: Any = await self._adapter.send_primitive_async(request, "bytes", {})
        except _NOT_SENT as error:
            raise NotSent(operation, code=type(error).__name__) from None
        except httpx.InvalidURL:
            raise Gone(operation, code="unreadable_link") from None
        except httpx.HTTPError as error:
            raise AnswerLost(operation, code=type(error).__name__) from None
        except AzureError as error:
            raise NotAllowed(operation, code="no_token", message=type(error).__name__) from None
        return _answer(operation, response)

    def _own_url(self, operation: str, path_or_link: str) -> str:
        """The address to ask. A link that leads to another host is not followed: a token would go with it."""
        if path_or_link.startswith("/"):
            return self._base_url + path_or_link
        if _host(path_or_link) != _host(self._base_url):
            raise Gone(operation, code="foreign_link")
        return path_or_link


def _host(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.scheme, parts.netloc


def _answer(operation: str, response: httpx.Response) -> Answer:
    request_id = response.headers.get("request-id")
    if response.is_success:
        return Answer(response.status_code, response.content, request_id)
    raise _error(operation, response)


def _error(operation: str, response: httpx.Response) -> GraphError:
    """The error that the status stands for; codes and messages are kept as Graph wrote them."""
    status = response.status_code
    code, message, request_id = _told(response)
    request_id = request_id or response.headers.get("request-id")
    facts: dict[str, Any] = {"status": status, "code": code, "message": message, "request_id": request_id}
    if status == 429:
        return Throttled(operation, **facts, retry_after_s=_retry_after_s(response))
    if status in (401, 402, 403):
        return NotAllowed(operation, **facts)
    if status == 410 or (code or "").lower() in ("syncstatenotfound", "resyncrequired"):
        return Gone(operation, **facts)
    if _NOT_READY in (message or ""):
        return NotReady(operation, **facts)
    if status in (408, 409, 425) or not 400 <= status < 500:
        return AnswerLost(operation, **facts)
    return Refused(operation, **facts)


def _told(response: httpx.Response) -> tuple[str | None, str | None, str | None]:
    """Code, message and request id of Graph's error body, each None where it is missing."""
    try:
        error = json.loads(response.content)["error"]
        inner = error.get("innerError") or error.get("innererror") or {}
        found = (error.get("code"), error.get("message"), inner.get("request-id"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, None, None
    code, message, request_id = (one if isinstance(one, str) else None for one in found)
    return code, message, request_id


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds that Graph asks us to wait, given as a number or a date; None where it says nothing readable."""
    told = response.headers.get("Retry-After")
    if told is None:
        return None
    if re.fullmatch(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?", told):
        return float(told)
    try:
        return (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


def _json_object(operation: str, answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AnswerLost(operation, status=answer.status, code="unreadable_answer", request_id=answer.request_id)
    return found
