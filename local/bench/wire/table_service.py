"""The table service: requests to answers.

Source: Azure documentation, "Table service REST API"; what Azurite and the service do otherwise follows Azurite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from local.bench.wire.http_answer import Answer, Asked, NotKnownError
from local.bench.wire.state import StorageState
from local.bench.wire.table_filter import UnknownFilterError, read_filter
from local.bench.wire.tables import PAGE_ROWS, Method, StoredTable, TableRefusal, TableWrite

_ENTITY = re.compile(r"(?P<table>\w+)\(PartitionKey='(?P<partition>(?:[^']|'')*)',RowKey='(?P<row>(?:[^']|'')*)'\)")
_METHODS: Mapping[str, Method] = {
    "POST": "insert",
    "PUT": "replace",
    "PATCH": "merge",
    "MERGE": "merge",
    "DELETE": "delete",
}
_JSON = {"Content-Type": "application/json;odata=minimalmetadata;charset=utf-8"}
_BATCH, _CHANGES = "batchresponse_1", "changesetresponse_1"


def answer_tables(state: StorageState, asked: Asked) -> Answer:
    """The answer to a request to the table service."""
    try:
        return _answer(state, asked)
    except TableRefusal as refusal:
        return Answer(refusal.status, _error(refusal), _JSON)
    except UnknownFilterError as error:
        raise NotKnownError(str(error)) from None


def _answer(state: StorageState, asked: Asked) -> Answer:
    if asked.path == "Tables" and asked.method == "POST":
        return _create(state, json.loads(asked.body)["TableName"])
    if asked.path == "$batch":
        return _change(state, asked)
    if asked.method == "GET":
        entity = _ENTITY.fullmatch(asked.path)
        return _query(state, asked) if entity is None else _get(state, entity, asked)
    [etag] = [_write(state, *write) for write in [_read_write(asked.method, asked.path, asked.headers, asked.body)]]
    return Answer(204, headers={"ETag": etag} if etag else {}, written=1)


def _create(state: StorageState, name: str) -> Answer:
    if name in state.tables:
        raise TableRefusal(409, "TableAlreadyExists")
    state.tables[name] = StoredTable()
    return Answer(204)


def _get(state: StorageState, entity: re.Match[str], asked: Asked) -> Answer:
    found = _table(state, entity["table"]).get(_key(entity["partition"]), _key(entity["row"]))
    if found is None:
        raise TableRefusal(404, "ResourceNotFound")
    chosen = _selection(asked)
    text = found.rendered if chosen is None else found.selected(chosen)
    return Answer(200, text.encode(), {**_JSON, "ETag": found.etag}, rows=1)


def _query(state: StorageState, asked: Asked) -> Answer:
    name, brackets, _ = asked.path.partition("()")
    if not brackets:
        raise NotKnownError(asked.path)
    limit = min(int(asked.query.get("$top", PAGE_ROWS)), PAGE_ROWS)
    place = asked.query.get("NextPartitionKey")
    after = None if place is None else (place, asked.query.get("NextRowKey", ""))
    found, following = _table(state, name).page(read_filter(asked.query.get("$filter", "")), limit, after)
    chosen = _selection(asked)
    rows = [one.rendered if chosen is None else one.selected(chosen) for one in found]
    headers = dict(_JSON)
    if following is not None:
        headers["x-ms-continuation-NextPartitionKey"] = following.partition
        headers["x-ms-continuation-NextRowKey"] = following.row
    return Answer(200, f'{{"value":[{",".join(rows)}]}}'.encode(), headers, rows=len(rows))


def _selection(asked: Asked) -> frozenset[str] | None:
    chosen = asked.query.get("$select")
    return None if not chosen or chosen == "*" else frozenset(name.strip() for name in chosen.split(","))


def _write(state: StorageState, table: str, write: TableWrite) -> str:
    try:
        return _table(state, table).write_all([write])[0]
    except TableRefusal as refusal:
        raise TableRefusal(refusal.status, refusal.code.partition(":")[2] or refusal.code) from None


def _change(state: StorageState, asked: Asked) -> Answer:
    """A transaction: every part of the change set is one write, and the answer has a part for each."""
    writes = [_read_write(*part) for part in _parts(asked.body)]
    headers = {"Content-Type": f"multipart/mixed; boundary={_BATCH}"}
    [table] = {name for name, _ in writes}
    try:
        etags = _table(state, table).write_all([write for _, write in writes])
    except TableRefusal as refusal:
        return Answer(202, _written([_part(refusal.status, {}, _error(refusal).decode())]), headers)
    return Answer(
        202, _written([_part(204, {"ETag": etag} if etag else {}) for etag in etags]), headers, written=len(etags)
    )


def _parts(body: bytes) -> Iterator[tuple[str, str, Mapping[str, str], bytes]]:
    """Method, path, headers and body of each request of a change set."""
    for part in re.split(r"--changeset_[\w-]+", body.decode())[1:]:
        _, found, request = part.replace("\r\n", "\n").partition("\n\n")
        if not found or " HTTP/1.1" not in request:
            continue
        head, _, content = request.partition("\n\n")
        first, *lines = head.splitlines()
        method, url, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        yield method, unquote(urlsplit(url).path).partition("/")[2].partition("/")[2], headers, content.strip().encode()


def _read_write(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, TableWrite]:
    """The table and the write that a request asks for."""
    told: dict[str, Any] = json.loads(body) if body else {}
    if_match = headers.get("if-match")
    entity = _ENTITY.fullmatch(path)
    if entity is not None:
        partition, row = _key(entity["partition"]), _key(entity["row"])
        return entity["table"], TableWrite(_METHODS[method], partition, row, told, if_match)
    if method != "POST" or not re.fullmatch(r"\w+(\(\))?", path):
        raise NotKnownError(f"{method} {path}")
    return path.removesuffix("()"), TableWrite("insert", told["PartitionKey"], told["RowKey"], told)


def _part(status: int, headers: Mapping[str, str], body: str = "") -> str:
    shown = {"DataServiceVersion": "3.0", **({"Content-Type": "application/json"} if body else {}), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in shown.items())
    kind = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    return f"--{_CHANGES}\r\n{kind}HTTP/1.1 {status} Said\r\n{lines}\r\n{body}\r\n"


def _written(parts: list[str]) -> bytes:
    head = f"--{_BATCH}\r\nContent-Type: multipart/mixed; boundary={_CHANGES}\r\n\r\n"
    return f"{head}{''.join(parts)}--{_CHANGES}--\r\n--{_BATCH}--\r\n".encode()


def _error(refusal: TableRefusal) -> bytes:
    number, colon, code = refusal.code.rpartition(":")
    said = {"lang": "en-US", "value": f"{number}{colon}{code}"}
    return json.dumps({"odata.error": {"code": code, "message": said}}).encode()


def _table(state: StorageState, name: str) -> StoredTable:
    if name not in state.tables:
        raise TableRefusal(404, "TableNotFound")
    return state.tables[name]


def _key(text: str) -> str:
    return text.replace("''", "'")
