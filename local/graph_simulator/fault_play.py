"""How a fault is played on the wire: a canned answer, a spoilt one, a slow one, or a cut connection."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aiohttp import web

from local.graph_simulator.answer import Answer, RefusedError, answer_json, answer_refusal
from local.graph_simulator.faults import Fault, FaultKind

_HTML_PAGE = b"<!DOCTYPE html><html><head><title>Service unavailable</title></head><body>Our services...</body></html>"
_FROM_THE_FUTURE = "valueFromTheFuture"
_DRIPS = 10
_NEXT_LINK = "@odata.nextLink"
_ROWS = frozenset({"value", "results"})


@dataclass(frozen=True, slots=True)
class Moment:
    """The request that a fault strikes: when, its number as text, its absolute url."""

    at: datetime
    request_id: str
    url: str


def spoil_answer(fault: Fault, answer: Answer | None, moment: Moment) -> Answer | None:
    """Return what the client gets instead of `answer` (None: the request was not let through), None for nothing."""
    if fault.kind in {FaultKind.RESET, FaultKind.HANG}:
        return None
    canned = _make_answer(fault, moment)
    if canned is not None:
        return replace(canned, effect=None if answer is None else answer.effect)
    if fault.kind in {FaultKind.DRIP, FaultKind.TRUNCATED} or answer is None:
        return answer
    return _spoil_json(fault, answer, moment)


def _make_answer(fault: Fault, moment: Moment) -> Answer | None:
    """Return the answer of a fault that has one of its own."""
    match fault.kind:
        case FaultKind.STATUS:
            refusal = RefusedError(fault.status, fault.code, fault.message, retry_after=fault.retry_after)
            number = moment.request_id
            return answer_refusal(refusal, at=moment.at, request_id=number, client_request_id=number)
        case FaultKind.HTML:
            return Answer(fault.status, _HTML_PAGE, "text/html")
        case FaultKind.EMPTY:
            return Answer(fault.status, content_type="")
        case FaultKind.BODY:
            return Answer(fault.status, fault.body.encode())
        case FaultKind.ENDLESS:
            link = f"{moment.url.partition('?')[0]}?$skiptoken={moment.request_id}"
            return answer_json({"value": [], _NEXT_LINK: link})
    return None


def _spoil_json(fault: Fault, answer: Answer, moment: Moment) -> Answer:
    """Return the true answer spoilt; a refusal stays as it is."""
    if not answer.body or answer.status >= 400:
        return answer
    payload = json.loads(answer.body)
    match fault.kind:
        case FaultKind.WITHOUT_ID | FaultKind.UNKNOWN_VALUE:
            _spoil_rows(fault.kind, payload)
        case FaultKind.WITHOUT_ROWS:
            payload = {name: value for name, value in payload.items() if name not in _ROWS}
        case FaultKind.WRONG_TYPES:
            payload = _mistype_payload(payload)
        case FaultKind.NEXT_LINK:
            payload[_NEXT_LINK] = fault.link or moment.url
    return replace(answer, body=json.dumps(payload).encode())


def _spoil_rows(kind: FaultKind, payload: dict[str, Any]) -> None:
    for row in payload.get("value", [payload]):
        if kind is FaultKind.WITHOUT_ID:
            row.pop("id", None)
        elif isinstance(row.get("result"), dict):
            row["status"] = row["result"]["category"] = row["result"]["detail"] = _FROM_THE_FUTURE


def _mistype_payload(payload: dict[str, Any]) -> dict[str, object]:
    names = _ROWS & payload.keys()
    if not names:
        return {name: _mistype(value) for name, value in payload.items()}
    return payload | {name: _mistype_rows(payload[name]) for name in names}


def _mistype_rows(rows: list[dict[str, object]]) -> list[object]:
    return [None, 7, "row", [], *({name: _mistype(value) for name, value in row.items()} for row in rows)]


def _mistype(value: object) -> object:
    return [value] if isinstance(value, str) else "text"


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
