"""One HTTP exchange: request in, faults, simulated answer, log record, answer out.

Every request is recorded before its answer leaves, so that whoever has an answer finds the record. There is no router
and no middleware here: a benchmark runs against this.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from aiohttp import ClientPayloadError, web

from local.graph_simulator.answer import Answer, RefusedError, answer_refusal
from local.graph_simulator.call import GraphCall, read_preferences, read_target
from local.graph_simulator.fault_play import Moment, cut_connection, hang, send_in_drips, spoil_answer
from local.graph_simulator.faults import Fault, FaultKind, FaultPlan
from local.graph_simulator.instants import Clock
from local.graph_simulator.request_log import LOGGED_HEADERS, RequestLog, RequestRecord
from local.graph_simulator.simulation import Simulation

_MAILBOX = re.compile(r"/users(?:/+|\(')([^/?']+)")
_BEARER = re.compile(r"Bearer \S+")
_STREAMED = frozenset({FaultKind.DRIP, FaultKind.TRUNCATED})


@dataclass(frozen=True, slots=True)
class _Visit:
    request: web.BaseRequest
    request_id: str
    fault: Fault | None
    is_crowded: bool


class Exchange:
    """Handles the requests of all clients."""

    def __init__(
        self, simulation: Simulation, faults: FaultPlan, log: RequestLog, clock: Clock, read_base_url: Callable[[], str]
    ) -> None:
        self._simulation = simulation
        self._faults = faults
        self._log = log
        self._clock = clock
        self._read_base_url = read_base_url
        self._request_numbers = count(1)
        self._busy: Counter[str] = Counter()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to one request, or cut its connection."""
        misfortune = self._faults.strike(request.method, request.raw_path)
        request_id = f"00000000-0000-4000-8000-{next(self._request_numbers):012x}"
        with self._enter_mailbox(request.raw_path) as is_crowded:
            if misfortune.latency_s:
                await asyncio.sleep(misfortune.latency_s)
            return await self._serve(_Visit(request, request_id, misfortune.fault, is_crowded))

    @contextmanager
    def _enter_mailbox(self, raw_path: str) -> Iterator[bool]:
        """Yield whether the mailbox already serves as many requests as it may."""
        found = _MAILBOX.search(raw_path)
        if found is None:
            yield False
            return
        mailbox = found[1].lower()
        self._busy[mailbox] += 1
        try:
            yield self._busy[mailbox] > self._simulation.mail.traps.concurrent_requests
        finally:
            self._busy[mailbox] -= 1

    async def _serve(self, visit: _Visit) -> web.StreamResponse:
        fault = visit.fault
        answer = None
        if fault is None or fault.lets_effect_happen:
            try:
                answer = await self._answer(visit)
            except (ConnectionError, ClientPayloadError):
                return cut_connection(visit.request)
        effect = None if answer is None else answer.effect
        if fault is not None:
            url = self._read_base_url() + visit.request.raw_path
            answer = spoil_answer(fault, answer, Moment(self._clock(), visit.request_id, url))
        self._record(visit, answer, effect)
        return await self._send(visit, answer)

    async def _answer(self, visit: _Visit) -> Answer:
        request = visit.request
        body = await self._read_body(request) if request.body_exists else b""
        at = self._clock()
        try:
            _require_admission(visit)
            return self._simulation.answer(
                GraphCall(
                    method=request.method,
                    target=read_target(request.raw_path),
                    prefer=read_preferences(", ".join(request.headers.getall("Prefer", ()))),
                    content_type=request.headers.get("Content-Type", ""),
                    body=body,
                    base_url=self._read_base_url(),
                    at=at,
                )
            )
        except RefusedError as refusal:
            client_request_id = request.headers.get("client-request-id", visit.request_id)
            return answer_refusal(refusal, at=at, request_id=visit.request_id, client_request_id=client_request_id)

    async def _read_body(self, request: web.BaseRequest) -> bytes:
        """Return the body, cut one byte behind the limit so that the API can see that it was too long."""
        limit = self._simulation.desk.traps.body_limit_bytes + 1
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk[: max(0, limit - len(body))]
        return bytes(body)

    def _record(self, visit: _Visit, answer: Answer | None, effect: str | None) -> None:
        request = visit.request
        path, _, query = request.raw_path.partition("?")
        sent = request.headers
        self._log.append(
            RequestRecord(
                sequence=self._log.take_sequence(),
                at=self._clock(),
                method=request.method,
                path=path,
                query=query,
                headers={name.lower(): ", ".join(sent.getall(name)) for name in LOGGED_HEADERS if name in sent},
                status=None if answer is None else answer.status,
                effect=effect,
                throttle=None if answer is None else answer.throttle,
                fault=None if visit.fault is None else visit.fault.shown_name,
            )
        )

    async def _send(self, visit: _Visit, answer: Answer | None) -> web.StreamResponse:
        request, fault = visit.request, visit.fault
        if answer is None:
            if fault is not None and fault.kind is FaultKind.HANG:
                return await hang(request, fault)
            return cut_connection(request)
        headers = {"request-id": visit.request_id, **answer.headers}
        headers["client-request-id"] = request.headers.get("client-request-id", visit.request_id)
        if answer.content_type:
            headers["Content-Type"] = answer.content_type
        if fault is None or fault.kind not in _STREAMED:
            return web.Response(body=answer.body or None, status=answer.status, headers=headers)
        return await send_in_drips(request, web.Response(status=answer.status, headers=headers), answer.body, fault)


def _require_admission(visit: _Visit) -> None:
    if not _BEARER.fullmatch(visit.request.headers.get("Authorization", "")):
        raise RefusedError(401, "InvalidAuthenticationToken", "Access token is empty.")
    if visit.is_crowded:
        raise RefusedError(
            429,
            "ApplicationThrottled",
            "Application is over its MailboxConcurrency limit.",
            retry_after="1",
            throttle="mailbox_concurrency",
        )
