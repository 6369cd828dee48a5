"""From a queue message or a due timer to the value that the function's parameter receives.

The conversion itself is done by the converters of `azure.functions` that the Python worker uses; this module builds
the data that the host would send them. The invariant: a body bound as `str` arrives verbatim whatever is in it, while
`func.QueueMessage` can fail before the function is called.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageInConverter
from azure.functions.timer import TimerRequestConverter

from local.functions_host.config import MessageEncoding
from local.functions_host.index import QueueFunction
from local.functions_host.queue_service import ReceivedMessage

_METADATA = ("Id", "PopReceipt", "DequeueCount", "ExpirationTime", "InsertionTime", "NextVisibleTime")


class BodyDecodingError(ValueError):
    """The stored text is not what `messageEncoding` says it is."""


def decode_body(text: str, encoding: MessageEncoding) -> bytes:
    """Return the bytes that the stored text stands for; `BodyDecodingError` if it is not base64 and should be."""
    if encoding == "none":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BodyDecodingError("not base64") from error


def bind_message(function: QueueFunction, message: ReceivedMessage, body: bytes) -> str | bytes | func.QueueMessage:
    """Return the value of the function's parameter.

    Raises `ValueError` where the real pair of host and worker fails before the function: a body that is not UTF-8
    for a trigger without `data_type=BINARY`, and for `func.QueueMessage` a reserved key of the wrong form in a JSON
    body. The worker gives `str` and `bytes` parameters alike what the host sends: text, or bytes with BINARY.
    """
    value = body if function.binary else body.decode()
    if function.annotation in (str, bytes):
        return value
    datum = Datum(value, "bytes" if function.binary else "string")
    bound = QueueMessageInConverter.decode(datum, trigger_metadata=_metadata(message, value))
    assert isinstance(bound, func.QueueMessage)
    return bound


def bind_timer(*, past_due: bool, status: Mapping[str, str] | None) -> func.TimerRequest:
    """Return the timer request; `status` is the stored `Last`, `Next`, `LastUpdated`, or None without a monitor."""
    sent = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    bound = TimerRequestConverter.decode(Datum(json.dumps(sent), "json"), trigger_metadata=None)
    assert isinstance(bound, func.TimerRequest)
    return bound


def _metadata(message: ReceivedMessage, body: str | bytes) -> dict[str, Datum]:
    metadata = {
        "Id": Datum(message.id, "string"),
        "PopReceipt": Datum(message.pop_receipt, "string"),
        "DequeueCount": Datum(json.dumps(message.dequeue_count), "json"),
        "ExpirationTime": _moment(message.expires_at),
        "InsertionTime": _moment(message.inserted_at),
        "NextVisibleTime": _moment(message.next_visible_at),
    }
    canonical = {name.casefold(): name for name in _METADATA}
    for key, value in _json_properties(body).items():
        name = canonical.get(key.casefold())
        if name is not None and value is not None and not isinstance(value, list):
            metadata[name] = _property(value)
    return metadata


def _moment(moment: datetime) -> Datum:
    return Datum(json.dumps(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")), "json")


def _json_properties(body: str | bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _property(value: object) -> Datum:
    """The form in which the host sends a body's property: objects as JSON, all else as text."""
    if isinstance(value, dict):
        return Datum(json.dumps(value), "json")
    return Datum(value if isinstance(value, str) else str(value), "string")
