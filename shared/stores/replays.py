"""The rows of the table `runstate` by which an administrator asks the app to take rows up again, one for each of them.

A request stands until it is done or refused; asking again for the same row replaces it. The invariant: a request is
only taken off as it was read, so that a newer one for the same row is never lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..domain.errors import Changed, Missing
from ..domain.model import OutcomeKey
from ..ports import Clock, Delete, Entity, Replace, Row, Table
from .batches import TRANSACTION_ROWS

PARTITION = "replay"
FORGOTTEN_AFTER = timedelta(hours=1)
"""Nobody waits for an answer that long: an older request is not begun any more."""
HANDLED_AT_ONCE = 500
_DAY = re.compile(r"\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What is asked for: the row, its version (ETag) as the asker saw it, and when; `etag` is the request's own.

    What the app asks for itself stands however long it takes: nobody would ask again.
    """

    key: OutcomeKey
    version: str
    asked_at: datetime
    is_apps_own: bool = False
    etag: str | None = field(default=None, compare=False)


class Replays:
    """Reads and writes the requests."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def ask(self, requests: Sequence[ReplayRequest]) -> None:
        """Ask for these rows, in place of what was asked for each of them before."""
        entities = [_entity(one) for one in {one.key.submission_id: one for one in requests}.values()]
        for start in range(0, len(entities), TRANSACTION_ROWS):
            await self._table.write_all([Replace(entity) for entity in entities[start : start + TRANSACTION_ROWS]])

    async def waiting(self) -> list[ReplayRequest]:
        """What is to be done, oldest first, at most `HANDLED_AT_ONCE`; a row that is no request is passed over."""
        found = [request async for row in self._table.scan(PARTITION, "", "~") if (request := _request(row))]
        return sorted(found, key=lambda one: one.asked_at)[:HANDLED_AT_ONCE]

    async def waiting_ids(self) -> set[str]:
        """The submission ids that still wait for the app, for whoever waits for its answer."""
        return {str(row.entity["RowKey"]) async for row in self._table.scan(PARTITION, "", "~")}

    async def done(self, request: ReplayRequest) -> None:
        """Take a request off as `waiting` gave it; a newer one for the same row stays."""
        try:
            await self._table.write(Delete(PARTITION, request.key.submission_id, request.etag))
        except (Changed, Missing):
            return

    def is_forgotten(self, request: ReplayRequest) -> bool:
        """Whether the request is too old to be begun."""
        return not request.is_apps_own and self._clock.now() - request.asked_at > FORGOTTEN_AFTER


def _entity(request: ReplayRequest) -> Entity:
    return {
        "PartitionKey": PARTITION,
        "RowKey": request.key.submission_id,
        "OutcomePartition": request.key.partition,
        "Version": request.version,
        "AskedAt": request.asked_at,
        "IsAppsOwn": request.is_apps_own,
    }


def _request(row: Row) -> ReplayRequest | None:
    entity = row.entity
    day, asked_at = str(entity.get("OutcomePartition")), entity.get("AskedAt")
    if _DAY.fullmatch(day) is None or not isinstance(asked_at, datetime):
        return None
    key = OutcomeKey(day, str(entity["RowKey"]))
    is_apps_own = entity.get("IsAppsOwn") is True
    return ReplayRequest(key, str(entity.get("Version")), asked_at.astimezone(UTC), is_apps_own, row.etag)
