"""The one row of the table `runstate` by which an administrator asks the app to run its doctor, and gets the answer.

A request is begun at most once, by whoever writes into it that it has begun: a doctor that takes the process with it
is not run again. The row holds the request and then its answer; the next request takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..domain.errors import Changed, Missing
from ..ports import Clock, Entity, Replace, Row, Table, Value

PARTITION = "doctor"
_ROW = "examination"
FORGOTTEN_AFTER = timedelta(hours=1)
"""Nobody waits for an answer that long: an older request is left alone."""
_CHUNK = 30_000
"""A string property holds at most 32,768 characters."""


@dataclass(frozen=True, slots=True)
class ExaminationRequest:
    """What an administrator asks for: which examination, and whether it may write, as `--write` does."""

    request_id: str
    asked_at: datetime
    write: bool = False
    control_mailbox: str | None = None


@dataclass(frozen=True, slots=True)
class ExaminationState:
    """How far the examination is that the row is about; `answer` is its text, None while there is none."""

    request_id: str
    is_begun: bool
    answer: str | None


class Examinations:
    """Reads and writes the row."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def ask(self, request: ExaminationRequest) -> None:
        """Ask for an examination, in place of whatever was asked for before."""
        await self._table.write(Replace(_entity(request)))

    async def withdraw(self, request: ExaminationRequest) -> None:
        """Take a request back: nobody waits for it any more. Another one that took its place stays."""
        await self._add(request, {"WithdrawnAt": self._clock.now()})

    async def begin(self) -> ExaminationRequest | None:
        """The request that waits, marked as begun; None where there is none, or somebody else has begun it."""
        row = await self._table.get(PARTITION, _ROW)
        if row is None or not _is_waiting(row, self._clock.now()):
            return None
        try:
            await self._table.write(Replace(row.entity | {"BegunAt": self._clock.now()}, row.etag))
        except (Changed, Missing):
            return None
        return _request(row)

    async def answer(self, request: ExaminationRequest, text: str) -> None:
        """Write the answer of an examination that was begun, unless another has been asked for meanwhile."""
        chunks = {f"Lines{start // _CHUNK:02d}": text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)}
        await self._add(request, chunks | {"AnsweredAt": self._clock.now()})

    async def _add(self, request: ExaminationRequest, more: Mapping[str, Value]) -> None:
        """Add to a request's row while it is that request's."""
        row = await self._table.get(PARTITION, _ROW)
        if row is None or row.entity.get("RequestId") != request.request_id:
            return
        try:
            await self._table.write(Replace({**row.entity, **more}, row.etag))
        except (Changed, Missing):
            return

    async def state(self) -> ExaminationState | None:
        """How the row stands; None where nobody ever asked."""
        row = await self._table.get(PARTITION, _ROW)
        if row is None:
            return None
        entity = row.entity
        answer = "".join(str(entity[name]) for name in sorted(entity) if name.startswith("Lines"))
        is_answered = "AnsweredAt" in entity
        return ExaminationState(str(entity.get("RequestId")), "BegunAt" in entity, answer if is_answered else None)


def _entity(request: ExaminationRequest) -> Entity:
    entity: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": _ROW,
        "RequestId": request.request_id,
        "AskedAt": request.asked_at,
        "Write": request.write,
    }
    return entity if request.control_mailbox is None else entity | {"ControlMailbox": request.control_mailbox}


def _is_waiting(row: Row, now: datetime) -> bool:
    asked_at = row.entity.get("AskedAt")
    if row.entity.keys() & {"BegunAt", "WithdrawnAt", "AnsweredAt"} or not isinstance(asked_at, datetime):
        return False
    return abs(now - asked_at) < FORGOTTEN_AFTER


def _request(row: Row) -> ExaminationRequest:
    asked_at = row.entity["AskedAt"]
    assert isinstance(asked_at, datetime), "only a request that waits is begun"  # noqa: S101
    box = row.entity.get("ControlMailbox")
    return ExaminationRequest(
        request_id=str(row.entity.get("RequestId")),
        asked_at=asked_at.astimezone(UTC),
        write=row.entity.get("Write") is True,
        control_mailbox=None if box is None else str(box),
    )
