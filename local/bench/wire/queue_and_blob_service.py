"""The queue and blob services: requests to answers.

Source: Azure documentation, "Queue service REST API" and "Blob service REST API".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from xml.sax.saxutils import escape, unescape

from local.bench.wire.http_answer import Answer, Asked, NotKnownError
from local.bench.wire.queues_and_blobs import QueuedMessage, StoredBlob, StoredContainer, StoredQueue
from local.bench.wire.state import StorageState

_XML = {"Content-Type": "application/xml"}
_TEXT = re.compile(rb"<MessageText>(.*?)</MessageText>", re.DOTALL)
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_NUMBERS = count(1)


def answer_queues(state: StorageState, asked: Asked) -> Answer:
    """The answer to a request to the queue service."""
    name, _, rest = asked.path.partition("/")
    if asked.method == "PUT" and not rest:
        made = state.queues
        return _created(made, name, lambda: made.setdefault(name, StoredQueue()), "QueueAlreadyExists")
    if name not in state.queues:
        return _refused(404, "QueueNotFound")
    queue = state.queues[name]
    match (asked.method, rest):
        case ("POST", "messages"):
            return _sent(queue, asked)
        case ("GET", "messages"):
            return _given(queue, asked)
        case ("GET", "") if asked.query.get("comp") == "metadata":
            return Answer(200, headers={"x-ms-approximate-messages-count": str(len(queue.messages))})
    raise NotKnownError(f"{asked.method} {asked.path}")


def _sent(queue: StoredQueue, asked: Asked) -> Answer:
    text = _TEXT.search(asked.body)
    body = "" if text is None else unescape(text[1].decode(), {"&quot;": '"'})
    if len(body.encode()) > 64 * 1024:
        return _refused(413, "RequestBodyTooLarge")
    wait_s = int(asked.query.get("visibilitytimeout") or 0)
    queue.messages.append(QueuedMessage(body, datetime.now(UTC) + timedelta(seconds=wait_s)))
    return Answer(201, _messages([_message(queue.messages[-1])]), _XML)


def _given(queue: StoredQueue, asked: Asked) -> Answer:
    now = datetime.now(UTC)
    most = int(asked.query.get("numofmessages") or 1)
    found = [one for one in queue.messages if one.visible_at <= now][:most]
    if asked.query.get("peekonly") != "true":
        until = now + timedelta(seconds=int(asked.query.get("visibilitytimeout") or 30))
        queue.messages = [QueuedMessage(one.body, until) if one in found else one for one in queue.messages]
    return Answer(200, _messages([_message(one, shows_text=True) for one in found]), _XML)


def _message(message: QueuedMessage, *, shows_text: bool = False) -> str:
    at = format_datetime(message.visible_at, usegmt=True)
    text = f"<DequeueCount>1</DequeueCount><MessageText>{escape(message.body)}</MessageText>" if shows_text else ""
    return (
        f"<QueueMessage><MessageId>{next(_NUMBERS)}</MessageId><InsertionTime>{at}</InsertionTime>"
        f"<ExpirationTime>{format_datetime(_NEVER, usegmt=True)}</ExpirationTime><PopReceipt>1</PopReceipt>"
        f"<TimeNextVisible>{at}</TimeNextVisible>{text}</QueueMessage>"
    )


def _messages(shown: list[str]) -> bytes:
    return f'<?xml version="1.0"?><QueueMessagesList>{"".join(shown)}</QueueMessagesList>'.encode()


def answer_blobs(state: StorageState, asked: Asked) -> Answer:
    """The answer to a request to the blob service."""
    name, _, blob = asked.path.partition("/")
    if asked.method == "PUT" and not blob:
        made = state.containers
        return _created(made, name, lambda: made.setdefault(name, StoredContainer()), "ContainerAlreadyExists")
    if name not in state.containers:
        return _refused(404, "ContainerNotFound")
    container = state.containers[name]
    return _answer_blob(container, blob, asked) if blob else _list(container, asked)


def _answer_blob(container: StoredContainer, blob: str, asked: Asked) -> Answer:
    if asked.method == "PUT" and "comp" not in asked.query:
        return _put(container, blob, asked)
    if blob not in container.blobs:
        return _refused(404, "BlobNotFound")
    match (asked.method, asked.query.get("comp")):
        case ("GET", None):
            return _content(container.blobs[blob], asked)
        case ("HEAD", None):
            return Answer(200, headers=_of_blob(container.blobs[blob]))
        case ("DELETE", None):
            del container.blobs[blob]
            return Answer(202)
        case ("PUT", "metadata"):
            container.blobs[blob] = StoredBlob(container.blobs[blob].content, datetime.now(UTC))
            return Answer(200, headers=_of_blob(container.blobs[blob]))
    raise NotKnownError(f"{asked.method} {asked.path}")


def _put(container: StoredContainer, name: str, asked: Asked) -> Answer:
    if asked.headers.get("if-none-match") == "*" and name in container.blobs:
        return _refused(409, "BlobAlreadyExists")
    container.blobs[name] = StoredBlob(asked.body, datetime.now(UTC))
    return Answer(201, headers=_of_blob(container.blobs[name]))


def _content(blob: StoredBlob, asked: Asked) -> Answer:
    wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("x-ms-range") or asked.headers.get("range") or "")
    if wanted is None:
        return Answer(200, blob.content, _of_blob(blob))
    first, size = int(wanted[1]), len(blob.content)
    if first >= size:
        return _refused(416, "InvalidRange")
    content = blob.content[first : int(wanted[2]) + 1]
    shown = {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{size}", "x-ms-blob-type": "BlockBlob"}
    return Answer(206, content, {**_of_blob(blob), **shown})


def _list(container: StoredContainer, asked: Asked) -> Answer:
    if asked.query.get("comp") != "list":
        raise NotKnownError(f"{asked.method} {asked.path} {dict(asked.query)}")
    names, prefixes = container.listed(asked.query.get("prefix", ""), asked.query.get("delimiter", ""))
    shown = "".join(_listed_blob(name, container.blobs[name]) for name in names)
    shown += "".join(f"<BlobPrefix><Name>{escape(prefix)}</Name></BlobPrefix>" for prefix in prefixes)
    text = f'<?xml version="1.0"?><EnumerationResults><Blobs>{shown}</Blobs><NextMarker/></EnumerationResults>'
    return Answer(200, text.encode(), _XML, rows=len(names) + len(prefixes))


def _listed_blob(name: str, blob: StoredBlob) -> str:
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties>"
        f"<Last-Modified>{format_datetime(blob.written_at, usegmt=True)}</Last-Modified><Etag>0x1</Etag>"
        f"<Content-Length>{len(blob.content)}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
    )


def _of_blob(blob: StoredBlob) -> dict[str, str]:
    return {"ETag": '"0x1"', "Last-Modified": format_datetime(blob.written_at, usegmt=True)}


def _created(there: Container[str], name: str, make: Callable[[], object], code: str) -> Answer:
    if name in there:
        return _refused(409, code)
    make()
    return Answer(201)


def _refused(status: int, code: str) -> Answer:
    text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Answer(status, text.encode(), {**_XML, "x-ms-error-code": code})
