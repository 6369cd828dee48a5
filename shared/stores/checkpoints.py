"""The table `runstate`: how far each mailbox folder was read, and which reports could not be read yet.

A checkpoint moves on only when every report of its page is durable: as an outcome row, or as a deferred report here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.errors import AlreadyExists, Missing
from shared.ports import Delete, Entity, Insert, Replace, ReportHead, Row, Table

_CHUNK = 30_000
"""A string property holds at most 32,768 characters; a delta link can be longer than people expect."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where to read on (None: from the beginning), when it was saved, and when the folder was last listed whole."""

    resume: str | None
    saved_at: datetime
    listed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeferredReport:
    """A report whose content could not be read; tried again every run until it is given up."""

    mailbox: str
    folder: str
    head: ReportHead
    first_failed_at: datetime


class CheckpointStore:
    """Reads and writes checkpoints and deferred reports, one partition per mailbox folder."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def get(self, mailbox: str, folder: str) -> Checkpoint | None:
        """The folder's checkpoint, or None when it was never read."""
        row = await self._table.get(_partition(mailbox, folder), "checkpoint")
        if row is None:
            return None
        chunks = [str(row.entity[name]) for name in sorted(row.entity) if name.startswith("Resume")]
        return Checkpoint("".join(chunks) or None, _time(row, "SavedAt"), _optional_time(row, "ListedAt"))

    async def put(self, mailbox: str, folder: str, checkpoint: Checkpoint) -> None:
        """Save a folder's checkpoint."""
        entity: Entity = {
            "PartitionKey": _partition(mailbox, folder),
            "RowKey": "checkpoint",
            "SavedAt": checkpoint.saved_at,
        }
        resume = checkpoint.resume or ""
        for start in range(0, len(resume), _CHUNK):
            entity[f"Resume{start // _CHUNK:02d}"] = resume[start : start + _CHUNK]
        if checkpoint.listed_at is not None:
            entity["ListedAt"] = checkpoint.listed_at
        await self._table.write(Replace(entity))

    async def defer(self, reports: Sequence[DeferredReport]) -> None:
        """Remember reports to try again; one that is deferred already keeps the time of its first failure."""
        for report in reports:
            try:
                await self._table.write(Insert(_deferred_entity(report)))
            except AlreadyExists:
                continue

    async def deferred(self, mailbox: str, folder: str) -> list[DeferredReport]:
        """The folder's deferred reports."""
        found = self._table.scan(_partition(mailbox, folder), "deferred-", "deferred.")
        return [_deferred(mailbox, folder, row) async for row in found]

    async def done(self, report: DeferredReport) -> None:
        """Forget a deferred report: it has its outcome row."""
        try:
            await self._table.write(Delete(_partition(report.mailbox, report.folder), _row(report)))
        except Missing:
            return


def _partition(mailbox: str, folder: str) -> str:
    return hashlib.sha256(f"{mailbox.lower()}/{folder}".encode()).hexdigest()[:32]


def _row(report: DeferredReport) -> str:
    return f"deferred-{hashlib.sha256(report.head.message_id.encode()).hexdigest()[:32]}"


def _deferred_entity(report: DeferredReport) -> Entity:
    head = report.head
    return {
        "PartitionKey": _partition(report.mailbox, report.folder),
        "RowKey": _row(report),
        "Head": json.dumps([head.message_id, head.received_at.isoformat(), head.subject[:1000], head.sender]),
        "FirstFailedAt": report.first_failed_at,
    }


def _deferred(mailbox: str, folder: str, row: Row) -> DeferredReport:
    message_id, received_at, subject, sender = json.loads(str(row.entity["Head"]))
    head = ReportHead(message_id, datetime.fromisoformat(received_at), subject, sender)
    return DeferredReport(mailbox, folder, head, _time(row, "FirstFailedAt"))


def _time(row: Row, column: str) -> datetime:
    value = row.entity[column]
    if not isinstance(value, datetime):
        raise TypeError(f"{column} is no time")
    return value.astimezone(UTC)


def _optional_time(row: Row, column: str) -> datetime | None:
    return _time(row, column) if column in row.entity else None
