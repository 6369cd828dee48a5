"""Writes to Table Storage as HTTP: one description of a write, sent alone or with others in a transaction.

The requests go through the pipeline of the library's own client, with its sign-in, its retries and its dates; only
their bodies are made and read here. The library (azure-data-tables 12.7) makes and reads a transaction as a mail, with
Python's `email`, and compiles a regular expression for each answer: that took a quarter of the processor time of a
submission. Format: Microsoft Learn, "Performing entity group transactions" and "Insert Entity" to "Delete Entity".
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ..ports import Delete, Entity, Insert, Merge, Write

_HEADERS = {
    "Accept": "application/json;odata=minimalmetadata",
    "DataServiceVersion": "3.0",
    "x-ms-version": "2019-02-02",
}
"""The version is the library's own: one for all that is asked of tables."""
_CONTENT = {**_HEADERS, "Content-Type": "application/json", "Prefer": "return-no-content"}
_ANSWER = re.compile(rb"^HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r?\n((?:[^\r\n]+\r?\n)*)\r?\n", re.MULTILINE)
_ETAG = re.compile(rb"^etag: *([^\r\n]+)", re.MULTILINE | re.IGNORECASE)
_CODE = re.compile(rb'"code": ?"(\w{1,60})"|<code>(\w{1,60})</code>', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TableRequest:
    """One write: `path` begins with the table's name and is percent-encoded; a delete has no content."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says of one write: its status, the row's new ETag ("" for none) and, where refused, why."""

    status: int
    etag: str = ""
    code: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the write was done."""
        return 200 <= self.status < 300


def request_of(table: str, write: Write) -> TableRequest:
    """The request that does a write to a table."""
    if isinstance(write, Insert):
        return TableRequest("POST", table, _CONTENT, _content(write.entity))
    if isinstance(write, Delete):
        headers = {**_HEADERS, "If-Match": write.etag or "*"}
        return TableRequest("DELETE", _row(table, write.partition, write.row), headers)
    path = _row(table, str(write.entity["PartitionKey"]), str(write.entity["RowKey"]))
    if isinstance(write, Merge):
        return TableRequest("PATCH", path, {**_CONTENT, "If-Match": "*"}, _content(write.entity))
    headers = _CONTENT if write.etag is None else {**_CONTENT, "If-Match": write.etag}
    return TableRequest("PUT", path, headers, _content(write.entity))


def transaction(account_url: str, requests: Sequence[TableRequest]) -> TableRequest:
    """The request that does all of them or none."""
    batch, changes = f"batch_{uuid.uuid4()}", f"changeset_{uuid.uuid4()}"
    parts = b"".join(_part(account_url, changes, number, one) for number, one in enumerate(requests))
    opening = f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n".encode()
    closing = f"--{changes}--\r\n\r\n--{batch}--\r\n".encode()
    headers = {**_HEADERS, "Content-Type": f"multipart/mixed; boundary={batch}"}
    return TableRequest("POST", "$batch", headers, opening + parts + closing)


def answers_in(body: bytes) -> list[Answer]:
    """What the answer to a transaction says: of each write in order, or of the one alone that was refused."""
    found = list(_ANSWER.finditer(body))
    ends = [one.start() for one in found[1:]] + [len(body)]
    return [_answer(one, body[one.end() : end]) for one, end in zip(found, ends, strict=False)]


def code_in(body: bytes) -> str:
    """The service's word for why it refused, as JSON or XML has it; "" where there is none."""
    found = _CODE.search(body)
    return (found[1] or found[2]).decode() if found else ""


def _answer(head: re.Match[bytes], content: bytes) -> Answer:
    etag = _ETAG.search(head[2])
    return Answer(int(head[1]), etag[1].strip().decode() if etag else "", code_in(content))


def _part(account_url: str, changes: str, number: int, request: TableRequest) -> bytes:
    headers = {**request.headers, "Content-Length": str(len(request.content))}
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        (
            f"--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n{request.method} {account_url}/{request.path} HTTP/1.1\r\n{told}\r\n"
        ).encode()
        + request.content
        + b"\r\n"
    )


def _row(table: str, partition: str, row: str) -> str:
    """A row's path. A quote in a key is doubled, then all but letters and digits is percent-encoded."""
    names = (quote(key.replace("'", "''"), safe="") for key in (partition, row))
    return "{}(PartitionKey='{}',RowKey='{}')".format(table, *names)


def _content(entity: Entity) -> bytes:
    """A row as JSON. A time needs its type beside it; all else that a row may hold JSON has types for."""
    told: dict[str, Any] = {}
    for name, value in entity.items():
        if isinstance(value, datetime):
            told[f"{name}@odata.type"] = "Edm.DateTime"
            told[name] = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        else:
            told[name] = value
    return json.dumps(told).encode("ascii")
