"""Writes on the wire: what is sent is what the official client sends, and the cloud's answers are read right."""

import email
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.storage import AzureTable
from shared.adapters.table_writes import Answer, answers_in
from shared.domain.errors import AlreadyExists, Changed, Missing, StorageError
from shared.ports import Delete, Entity, Insert, Merge, Replace, Write

ETAG = "W/\"datetime'2026-11-30T12%3A00%3A00.1234567Z'\""
ROW: Entity = {
    "PartitionKey": "quote ' slash / ü",
    "RowKey": "r+1 %",
    "At": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    "Number": -7,
    "Flag": False,
    "Text": '日本語 \U0001f3a3 "quotes" \r\n',
}
KEYS = {name: ROW[name] for name in ("PartitionKey", "RowKey")}
ONLY_IF = {"etag": ETAG, "match_condition": MatchConditions.IfNotModified}
BOTH: list[tuple[Write, tuple[object, ...]]] = [
    (Insert(ROW), ("create", ROW)),
    (Replace(ROW), ("upsert", ROW, {"mode": UpdateMode.REPLACE})),
    (Replace(ROW, ETAG), ("update", ROW, {"mode": UpdateMode.REPLACE, **ONLY_IF})),
    (Merge(ROW), ("update", ROW, {"mode": UpdateMode.MERGE})),
    (Delete(str(ROW["PartitionKey"]), str(ROW["RowKey"])), ("delete", KEYS)),
    (Delete(str(ROW["PartitionKey"]), str(ROW["RowKey"]), ETAG), ("delete", KEYS, ONLY_IF)),
]
"""The same write for the port and for the official client."""
MEANT = ("accept", "dataserviceversion", "x-ms-version", "if-match")


@dataclass
class Service:
    """A table service that writes down what it is asked and answers as it is told."""

    status: int = 202
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[web.BaseRequest, bytes]] = field(default_factory=list)


@asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[TableClient]:
    """Yield the library's client of a table of that service."""

    async def answer(request: web.Request) -> web.Response:
        service.asked.append((request, await request.read()))
        return web.Response(status=service.status, body=service.body, headers=service.headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        account = f"AccountName=a;AccountKey=a2V5;TableEndpoint={server.make_url('/')}"
        async with TableClient.from_connection_string(account, "outcomes", retry_total=0) as client:
            yield client


def changes(sent: bytes, content_type: str) -> list[tuple[str, str, dict[str, str], object]]:
    """The single writes in a transaction, read as the mail that it is: method, path, headers that matter, row."""
    mail: Any = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + sent)
    (changeset,) = mail.get_payload()
    return [read_change(part.get_payload(decode=True)) for part in changeset.get_payload()]


def read_change(request: bytes) -> tuple[str, str, dict[str, str], object]:
    """Method, path without its escapes, headers that matter, and the row as the service understands it."""
    head, _, content = request.partition(b"\r\n\r\n" if b"\r\n\r\n" in request else b"\n\n")
    line, *lines = head.decode().splitlines()
    method, url, _ = line.split(" ")
    headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
    if content.strip():
        assert headers["content-type"] == "application/json"
        assert int(headers["content-length"]) == len(content.strip())
    told = {name: headers[name] for name in MEANT if name in headers and name != "accept"}
    return method, unquote(urlsplit(url).path), told, understood(content)


def understood(content: bytes) -> object:
    """The row, without the types that text has anyway."""
    if not content.strip():
        return None
    return {name: value for name, value in json.loads(content).items() if value != "Edm.String"}


async def test_a_transaction_is_what_the_official_client_sends() -> None:
    """Each kind of write, with and without a version: same method, path, condition, service version and row."""
    service = Service(status=500)
    async with client_of(service) as client:
        with pytest.raises(HttpResponseError):
            await client.submit_transaction([theirs for _, theirs in BOTH])  # type: ignore[misc]
        with pytest.raises(HttpResponseError):
            await AzureTable(client).write_all([ours for ours, _ in BOTH])
    (theirs, their_body), (ours, our_body) = service.asked
    assert (ours.method, ours.raw_path) == (theirs.method, theirs.raw_path)
    assert ours.headers["x-ms-version"] == theirs.headers["x-ms-version"]
    expected = changes(their_body, theirs.headers["Content-Type"])
    assert changes(our_body, ours.headers["Content-Type"]) == expected
    assert len(expected) == len(BOTH)


@pytest.mark.parametrize(("ours", "theirs"), BOTH[:4], ids=["insert", "replace", "replace-if", "merge"])
async def test_a_write_alone_is_what_the_official_client_sends(ours: Write, theirs: Any) -> None:
    """As in a transaction; the client's delete alone takes a row that is missing for deleted, so ours is not held."""
    service = Service(status=500)
    async with client_of(service) as client:
        method: Any = {"create": client.create_entity, "upsert": client.upsert_entity, "update": client.update_entity}
        with pytest.raises(HttpResponseError):
            await method[theirs[0]](theirs[1], **dict(*theirs[2:]))
        with pytest.raises(HttpResponseError):
            await AzureTable(client).write(ours)
    told = [
        (one.method, unquote(one.raw_path), {name: one.headers.get(name) for name in MEANT[1:]}, understood(body))
        for one, body in service.asked
    ]
    assert told[0] == told[1]
    assert service.asked[1][0].headers["Content-Type"] == "application/json"
    assert "Authorization" in service.asked[1][0].headers


def batch(*parts: str) -> bytes:
    """The answer to a transaction in the cloud's form."""
    told = "".join(
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"{part}\r\n"
        for part in parts
    )
    return (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        f"{told}--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    ).encode()


def done(etag: str) -> str:
    """One write that was done; a delete has no ETag."""
    tag = f"ETag: {etag}\r\n" if etag else ""
    return f"HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nDataServiceVersion: 1.0;\r\n{tag}\r\n"


def refused(status: int, code: str, place: int) -> str:
    """The one write that was refused, with the service's words."""
    message = f"{place}:No.\nRequestId:00000000-0000-0000-0000-000000000000\nTime:2026-11-30T12:00:00Z"
    error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}}
    return (
        f"HTTP/1.1 {status} Refused\r\nX-Content-Type-Options: nosniff\r\n"
        f"Content-Type: application/json;odata=minimalmetadata;charset=utf-8\r\n\r\n{json.dumps(error)}"
    )


def test_the_answers_stand_in_the_order_of_the_writes() -> None:
    """One for each, with its ETag."""
    assert answers_in(batch(done(ETAG), done(""), done('W/"2"'))) == [
        Answer(204, ETAG),
        Answer(204),
        Answer(204, 'W/"2"'),
    ]
    assert answers_in(b"") == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (409, "EntityAlreadyExists", AlreadyExists),
        (412, "UpdateConditionNotSatisfied", Changed),
        (404, "ResourceNotFound", Missing),
        (404, "TableNotFound", Missing),
    ],
)
async def test_a_refusal_in_a_transaction_is_named(status: int, code: str, error: type[StorageError]) -> None:
    """By the one answer that the cloud then gives."""
    service = Service(body=batch(refused(status, code, 1)))
    async with client_of(service) as client:
        with pytest.raises(error):
            await AzureTable(client).write_all([Insert(ROW), Merge(ROW)])


@pytest.mark.parametrize(
    ("service", "code"),
    [
        (Service(body=batch(refused(400, "InvalidInput", 0))), "InvalidInput"),
        (
            Service(403, b'{"odata.error":{"code":"AuthorizationPermissionMismatch"}}'),
            "AuthorizationPermissionMismatch",
        ),
        (Service(403, b"<Error><Code>AuthorizationFailure</Code></Error>"), "AuthorizationFailure"),
        (Service(body=batch(done(ETAG))), ""),
        (Service(), ""),
        (Service(202, batch(done(ETAG), done(ETAG), done(ETAG))), ""),
    ],
    ids=["in-it", "whole", "whole-in-xml", "too-few", "nothing", "too-many"],
)
async def test_every_other_answer_is_an_error(service: Service, code: str) -> None:
    """Told with the service's code, and never taken for done."""
    async with client_of(service) as client:
        with pytest.raises(HttpResponseError) as error:
            await AzureTable(client).write_all([Insert(ROW), Merge(ROW)])
    assert error.value.error_code == code  # type: ignore[attr-defined]
    assert error.value.status_code == service.status


async def test_a_refusal_of_a_write_alone_keeps_status_and_code() -> None:
    """As the doctor tells them; the service says the code in a header too."""
    service = Service(403, b"", {"x-ms-error-code": "AuthorizationPermissionMismatch"})
    async with client_of(service) as client:
        with pytest.raises(HttpResponseError) as error:
            await AzureTable(client).write(Insert(ROW))
    assert (error.value.status_code, error.value.error_code) == (403, "AuthorizationPermissionMismatch")  # type: ignore[attr-defined]
