"""The table `runstate`: how far each mailbox folder was read, and which reports could not be read yet.

A checkpoint moves on only when every report of its page is durable: as an outcome row, or as a deferred report here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from ..domain.errors import AlreadyExists, Changed
from ..ports import Delete, Entity, Insert, Replace, ReportHead, Row, Table
from .batches import delete_each, write_each

_CHECKPOINT = "checkpoint"
"""Sorts right before the deferred reports, so that one scan reads both."""
_CHUNK = 30_000
"""A string property holds at most 32,768 characters; a delta link can be longer than people expect."""
_HASH_DIGITS = 12
"""48 bits: among a million mails, a new one is taken for a known one less than once in a hundred million."""

ListingKind = Literal["recent", "whole"]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the folder that goes on: which one, when it began, and at which page and link it goes on."""

    kind: ListingKind
    began_at: datetime
    pages: int = 0
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a folder was read.

    `resume` is where its change feed goes on (None: from the beginning), since `saved_at`. Every row from before
    `whole_at` (None: never yet) is whole: the feed was read to its end then, whatever earlier runs left half done.
    `listed_at` and `listed_whole_at` are when its last lists began that were read to their end,
    `listing` is the one under way. Until `rests_until` nothing is asked of the mailbox. `is_reading` marks a page whose
    reading began and did not end.
    """

    resume: str | None
    saved_at: datetime | None
    listed_at: datetime | None = None
    listed_whole_at: datetime | None = None
    listing: Listing | None = None
    rests_until: datetime | None = None
    is_reading: bool = False
    whole_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeferredReport:
    """A report that is not read yet, or could not be.

    It is tried again from `due_at` on (None: at once) until it is given up. `is_begun` says that a try began and that
    its end is not known: the process may have ended over it.
    """

    mailbox: str
    folder: str
    head: ReportHead
    first_failed_at: datetime
    failures: int = 1
    due_at: datetime | None = None
    is_begun: bool = False

    def begun(self, now: datetime) -> DeferredReport:
        """The report as a try of it begins: should the process end, that is one failure more."""
        first = self.first_failed_at if self.failures else now
        return replace(self, first_failed_at=first, failures=self.failures + 1, is_begun=True)

    def is_due(self, now: datetime) -> bool:
        """Whether its next try may begin."""
        return self.due_at is None or self.due_at <= now


@dataclass(frozen=True, slots=True)
class FolderState:
    """What is known of a folder: its checkpoint, None when it was never read, and its deferred reports."""

    checkpoint: Checkpoint | None = None
    deferred: Sequence[DeferredReport] = ()


class CheckpointStore:
    """Reads and writes checkpoints and deferred reports, one partition per mailbox folder."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def read(self, mailbox: str, folder: str) -> FolderState:
        """What is known of a folder, in one request where no more than 1,000 reports are deferred."""
        checkpoint, deferred = None, list[DeferredReport]()
        async for row in self._table.scan(_partition(mailbox, folder), _CHECKPOINT, "deferred."):
            if row.entity["RowKey"] == _CHECKPOINT:
                checkpoint = _checkpoint(row)
            else:
                deferred.append(_deferred(mailbox, folder, row))
        return FolderState(checkpoint, deferred)

    async def put(self, mailbox: str, folder: str, checkpoint: Checkpoint) -> None:
        """Save a folder's checkpoint."""
        entity: Entity = {
            "PartitionKey": _partition(mailbox, folder),
            "RowKey": _CHECKPOINT,
            "IsReading": checkpoint.is_reading,
            **_columns("Resume", checkpoint.resume),
        }
        times = {
            "SavedAt": checkpoint.saved_at,
            "WholeAt": checkpoint.whole_at,
            "ListedAt": checkpoint.listed_at,
            "ListedWholeAt": checkpoint.listed_whole_at,
            "RestsUntil": checkpoint.rests_until,
        }
        entity |= {name: at for name, at in times.items() if at is not None}
        listing = checkpoint.listing
        if listing is not None:
            entity |= {"ListingKind": listing.kind, "ListingBeganAt": listing.began_at, "ListingPages": listing.pages}
            entity |= _columns("ListingResume", listing.resume)
        await self._table.write(Replace(entity))

    async def defer(self, reports: Sequence[DeferredReport]) -> None:
        """Remember reports to read later; one that is deferred already stays as it is, with its failures."""
        await write_each(self._table, [Insert(_deferred_entity(one)) for one in reports], AlreadyExists)

    async def update(self, reports: Sequence[DeferredReport]) -> None:
        """Write deferred reports as they are now."""
        await write_each(self._table, [Replace(_deferred_entity(one)) for one in reports], Changed)

    async def done(self, *reports: DeferredReport) -> None:
        """Forget deferred reports: they have their outcome rows."""
        deletes = [Delete(_partition(one.mailbox, one.folder), _row(one)) for one in reports]
        await delete_each(self._table, deletes)


class FolderContents:
    """Which mails stood in a folder when it was listed whole, by short hashes of their ids.

    Rows of outcomes may be deleted while their reports still stand in the mailbox: only what was not there at the last
    list has come since. Each list is kept page by page, and replaces the one before when it is complete.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    async def known(self, mailbox: str, folder: str) -> frozenset[str]:
        """The hashes of all mails of the lists that are kept."""
        rows = self._table.scan(_partition(mailbox, folder), "listed-", "listed.")
        return frozenset([one async for row in rows for one in _hashes(str(row.entity["Ids"]))])

    async def add(self, mailbox: str, folder: str, listing: Listing, message_ids: Sequence[str]) -> None:
        """Keep a page of that list."""
        entity: Entity = {
            "PartitionKey": _partition(mailbox, folder),
            "RowKey": f"{_list_name(listing)}-{listing.pages:06d}",
            "Ids": "".join(hash_of(one) for one in message_ids),
        }
        await self._table.write(Replace(entity))

    async def complete(self, mailbox: str, folder: str, listing: Listing) -> None:
        """Forget every other list of the folder."""
        partition, name = _partition(mailbox, folder), _list_name(listing)
        keys = [str(row.entity["RowKey"]) async for row in self._table.scan(partition, "listed-", "listed.")]
        await delete_each(self._table, [Delete(partition, key) for key in keys if not key.startswith(name)])


def hash_of(message_id: str) -> str:
    """What stands for a mail in a list that is kept."""
    return hashlib.sha256(message_id.encode()).hexdigest()[:_HASH_DIGITS]


def _hashes(text: str) -> list[str]:
    return [text[start : start + _HASH_DIGITS] for start in range(0, len(text), _HASH_DIGITS)]


def _list_name(listing: Listing) -> str:
    return f"listed-{int(listing.began_at.timestamp() * 1000):013d}"


def _partition(mailbox: str, folder: str) -> str:
    return hashlib.sha256(f"{mailbox.lower()}/{folder}".encode()).hexdigest()[:32]


def _row(report: DeferredReport) -> str:
    return f"deferred-{hashlib.sha256(report.head.message_id.encode()).hexdigest()[:32]}"


def _columns(name: str, text: str | None) -> Entity:
    """A text of any length as numbered columns."""
    starts = range(0, len(text or ""), _CHUNK)
    return {f"{name}{start // _CHUNK:02d}": (text or "")[start : start + _CHUNK] for start in starts}


def _text(row: Row, name: str) -> str | None:
    """The text in the numbered columns of that name, or None."""
    columns = sorted(one for one in row.entity if one.startswith(name) and one.removeprefix(name).isdigit())
    return "".join(str(row.entity[one]) for one in columns) or None


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(
        _text(row, "Resume"),
        _optional_time(row, "SavedAt"),
        _optional_time(row, "ListedAt"),
        _optional_time(row, "ListedWholeAt"),
        _listing(row),
        _optional_time(row, "RestsUntil"),
        bool(row.entity.get("IsReading", False)),
        _optional_time(row, "WholeAt"),
    )


def _listing(row: Row) -> Listing | None:
    if "ListingKind" not in row.entity:
        return None
    kind: ListingKind = "whole" if row.entity["ListingKind"] == "whole" else "recent"
    pages = int(str(row.entity["ListingPages"]))
    return Listing(kind, _time(row, "ListingBeganAt"), pages, _text(row, "ListingResume"))


def _deferred_entity(report: DeferredReport) -> Entity:
    head = report.head
    entity: Entity = {
        "PartitionKey": _partition(report.mailbox, report.folder),
        "RowKey": _row(report),
        "Head": json.dumps([head.message_id, head.received_at.isoformat(), head.subject[:1000], head.sender]),
        "FirstFailedAt": report.first_failed_at,
        "Failures": report.failures,
        "IsBegun": report.is_begun,
    }
    return entity if report.due_at is None else {**entity, "DueAt": report.due_at}


def _deferred(mailbox: str, folder: str, row: Row) -> DeferredReport:
    message_id, received_at, subject, sender = json.loads(str(row.entity["Head"]))
    return DeferredReport(
        mailbox,
        folder,
        ReportHead(message_id, datetime.fromisoformat(received_at), subject, sender),
        _time(row, "FirstFailedAt"),
        int(str(row.entity.get("Failures", 1))),
        _optional_time(row, "DueAt"),
        bool(row.entity.get("IsBegun", False)),
    )


def _time(row: Row, column: str) -> datetime:
    value = row.entity[column]
    if not isinstance(value, datetime):
        raise TypeError(f"{column} is no time")
    return value.astimezone(UTC)


def _optional_time(row: Row, column: str) -> datetime | None:
    return _time(row, column) if column in row.entity else None
