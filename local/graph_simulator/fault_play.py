"""How a fault is played on the wire: a canned answer, a spoilt one, a slow one, or a cut connection."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime

from aiohttp import web

from local.graph_simulator.answer import Answer, RefusedError, answer_refusal
from local.graph_simulator.faults import Fault, FaultKind

_HTML_PAGE = b"<!DOCTYPE html><html><head><title>Service unavailable</title></head><body>Our services...</body></html>"
_FROM_THE_FUTURE = "valueFromTheFuture"
_DRIPS = 10


def spoil_answer(fault: Fault, answer: Answer | None, at: datetime, request_id: str) -> Answer | None:
    """Return what the client gets instead of `answer` (None: the request was not let through), None for nothing."""
    effect = None if answer is None else answer.effect
    match fault.kind:
        case FaultKind.RESET | FaultKind.HANG:
            return None
        case FaultKind.STATUS:
            refusal = RefusedError(fault.status, fault.code, fault.message, retry_after=fault.retry_after)
            error = answer_refusal(refusal, at=at, request_id=request_id, client_request_id=request_id)
            return replace(error, effect=effect)
        case FaultKind.HTML:
            return Answer(fault.status, _HTML_PAGE, "text/html", effect=effect)
        case FaultKind.EMPTY:
            return Answer(fault.status, content_type="", effect=effect)
        case FaultKind.WITHOUT_ID | FaultKind.UNKNOWN_VALUE if answer is not None:
            return _spoil_json(fault.kind, answer)
    return answer


def _spoil_json(kind: FaultKind, answer: Answer) -> Answer:
    payload = json.loads(answer.body) if answer.body else {}
    for row in payload.get("value", [payload]):
        if kind is FaultKind.WITHOUT_ID:
            row.pop("id", None)
        elif isinstance(row.get("result"), dict):
            row["status"] = row["result"]["category"] = row["result"]["detail"] = _FROM_THE_FUTURE
    return replace(answer, body=json.dumps(payload).encode())


def cut_connection(request: web.BaseRequest) -> web.StreamResponse:
    """Cut the connection without an answer; what is returned is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def hang(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    """Keep silent for the fault's time, then cut the connection."""
    await asyncio.sleep(fault.delay_s)
    return cut_connection(request)


async def send_in_drips(
    request: web.BaseRequest, response: web.Response, body: bytes, fault: Fault
) -> web.StreamResponse:
    """Send the whole body in pieces, or half of it and a cut connection."""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    if fault.kind is FaultKind.TRUNCATED:
        await stream.write(body[: len(body) // 2])
        return cut_connection(request)
    step = max(1, len(body) // _DRIPS)
    for start in range(0, len(body), step):
        await asyncio.sleep(fault.delay_s)
        await stream.write(body[start : start + step])
    return stream
