"""The app's events as tests write and read them: lines made by the product itself, and their fields."""

import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from shared.telemetry import LOGGER, Event, emit


class _Kept(logging.Handler):
    """Keeps the lines that it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


@contextmanager
def levels_kept() -> Iterator[None]:
    """Put the log levels and Python's hooks back that the app changes when it is imported."""
    loggers = [logging.getLogger(), logging.getLogger(LOGGER)]
    levels = [one.level for one in loggers]
    hooks = threading.excepthook, sys.unraisablehook
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def line_of(event: Event, **fields: str | float | None) -> str:
    """Return the line that the app writes for an event; nobody else sees it."""
    logger, kept = logging.getLogger(LOGGER), _Kept()
    propagates = logger.propagate
    logger.addHandler(kept)
    logger.propagate = False
    try:
        with levels_kept():
            logger.setLevel(logging.INFO)
            emit(event, **fields)
    finally:
        logger.removeHandler(kept)
        logger.propagate = propagates
    (line,) = kept.lines
    return line


def fields_of(line: str) -> dict[str, str]:
    """Return a line's pairs, `event` among them."""
    return dict(pair.split("=", 1) for pair in line.split(" "))


def told(caplog: pytest.LogCaptureFixture, event: Event) -> list[dict[str, str]]:
    """Return the fields of each event of that kind that a test's code has told, in order."""
    return [fields for fields in read(caplog.messages) if fields.pop("event") == event.label]


def read(lines: Iterable[str]) -> list[dict[str, str]]:
    """Return the pairs of each of these lines that is an event."""
    return [fields_of(line) for line in lines if line.startswith("event=")]
