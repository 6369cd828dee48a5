"""`host.json` and the app settings that override it, read into one frozen object.

Names, units, defaults and bounds are those of the queue extension (`QueuesOptions`) and the host's timeout set-up. The
invariant: a `HostConfig` that exists is within the platform's bounds; anything else is refused by name.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast

MessageEncoding = Literal["base64", "none"]

_OVERRIDE_PREFIX = "AzureFunctionsJobHost__"

# A .NET TimeSpan: [d.]hh:mm:ss[.fff]
_TIME_SPAN = re.compile(r"(?:(\d{1,4})\.)?(\d{1,4}):(\d{1,2}):(\d{1,2}(?:\.\d{1,7})?)")


class HostConfigError(Exception):
    """A value in `host.json` or in an overriding app setting is out of bounds; the text names it."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """`extensions.queues`; it holds for every queue trigger of the app."""

    batch_size: int = 16
    new_batch_threshold: int = 16
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    max_polling_interval: timedelta = timedelta(minutes=1)
    message_encoding: MessageEncoding = "base64"


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What of `host.json` this stand-in acts on; `function_timeout` None means unlimited."""

    queues: QueueOptions = QueueOptions()
    function_timeout: timedelta | None = timedelta(minutes=30)


def load_host_config(path: Path, settings: Mapping[str, str]) -> HostConfig:
    """Read the `host.json` at `path`; `HostConfigError` says what is wrong with it."""
    try:
        host_json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HostConfigError(f"{path.name} cannot be read: {error}") from error
    return read_host_config(host_json, settings)


def read_host_config(host_json: Mapping[str, Any], settings: Mapping[str, str]) -> HostConfig:
    """Return the configuration that `host_json` and the `AzureFunctionsJobHost__` settings over it amount to.

    Raises `HostConfigError` for the first value out of bounds.
    """
    values = _Values(host_json, {name.casefold(): value for name, value in settings.items()})
    batch_size = values.integer("extensions.queues.batchSize", 16, 1, 32)
    default_threshold = batch_size // 2 * (os.cpu_count() or 1)
    return HostConfig(
        queues=QueueOptions(
            batch_size=batch_size,
            new_batch_threshold=values.integer("extensions.queues.newBatchThreshold", default_threshold, 0),
            max_dequeue_count=values.integer("extensions.queues.maxDequeueCount", 5, 1),
            visibility_timeout=values.span("extensions.queues.visibilityTimeout", timedelta(0), timedelta(0)),
            max_polling_interval=values.span(
                "extensions.queues.maxPollingInterval", timedelta(minutes=1), timedelta(milliseconds=100)
            ),
            message_encoding=values.encoding("extensions.queues.messageEncoding"),
        ),
        function_timeout=values.timeout("functionTimeout"),
    )


@dataclass(frozen=True, slots=True)
class _Values:
    host_json: Mapping[str, Any]
    settings: Mapping[str, str]

    def raw(self, path: str) -> Any:
        override = self.settings.get((_OVERRIDE_PREFIX + path.replace(".", "__")).casefold())
        if override is not None:
            return override
        node: Any = self.host_json
        for key in path.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def integer(self, path: str, default: int, least: int, most: int = 2**31 - 1) -> int:
        value = self.raw(path)
        try:
            number = default if value is None else int(value)
        except (TypeError, ValueError):
            raise HostConfigError(f"{path} is not a whole number: {value!r}") from None
        if not least <= number <= most:
            raise HostConfigError(f"{path} must be between {least} and {most}, not {number}")
        return number

    def span(self, path: str, default: timedelta, least: timedelta) -> timedelta:
        value = self.raw(path)
        length = default if value is None else _time_span(path, value)
        if length < least:
            raise HostConfigError(f"{path} must be at least {least}, not {length}")
        return length

    def encoding(self, path: str) -> MessageEncoding:
        value = str(self.raw(path) or "base64").casefold()
        if value not in {"base64", "none"}:
            raise HostConfigError(f"{path} is base64 or none, not {value!r}")
        return cast(MessageEncoding, value)

    def timeout(self, path: str) -> timedelta | None:
        value = self.raw(path)
        if str(value) in {"-1", "-00:00:01"}:
            return None
        return self.span(path, timedelta(minutes=30), timedelta(seconds=1))


def _time_span(path: str, text: object) -> timedelta:
    match = _TIME_SPAN.fullmatch(str(text))
    if match is None:
        raise HostConfigError(f"{path} is not a time span hh:mm:ss: {text!r}")
    days, hours, minutes, seconds = match.groups()
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))
