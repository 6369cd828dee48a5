"""Which rows a person means to replay, and what the app would do with each of them.

The invariant: a row is chosen in the version in which it is shown. The app refuses a request for any other version, so
that nobody gets more than they saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ..codecs.rows import read_outcome
from ..domain import keys
from ..domain.model import Outcome, State
from ..domain.replays import CannotReplay, Way, way_of
from ..ports import Row
from ..stores.replays import ReplayRequest
from .selection import Selection, Wanted, received
from .showing import MOST_DAYS, Sought, find_one

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable

_AT_ONCE: Final = 8
SINCE: Final = timedelta(days=30)
"""Older rows are not taken up again: Microsoft takes no older mail."""
REPLAYABLE: Final = (State.FAILED, State.REJECTED)


@dataclass(frozen=True, slots=True)
class Choice:
    """A row as it was seen, and how it would be taken up again; `refusal` instead where it cannot be."""

    outcome: Outcome
    version: str
    way: Way | None = None
    refusal: CannotReplay | None = None

    @property
    def submission_id(self) -> str:
        """The row's id."""
        return self.outcome.key.submission_id

    def request(self, asked_at: datetime) -> ReplayRequest:
        """What the app is asked for."""
        return ReplayRequest(self.outcome.key, self.version, asked_at)


async def choose_by_ids(table: AzureTable, ids: Sequence[str], now: datetime) -> list[Choice]:
    """The rows of these ids, in their order, each once; raises as `find_one` does."""
    days = [keys.day(now - timedelta(days=age)) for age in range(-1, MOST_DAYS)]
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def find(one: str) -> Row | None:
        async with at_once:
            found = await find_one(table, Sought(one), days)
            return await table.get(str(found["PartitionKey"]), str(found["RowKey"]))

    rows = await asyncio.gather(*map(find, ids))
    choices = {choice.submission_id: choice for row in rows if row is not None for choice in [_choice(row, now)]}
    return list(choices.values())


async def choose_selected(table: AzureTable, selection: Selection, limit: int, now: datetime) -> list[Choice]:
    """The selected rows, the oldest day first: what has waited longest is replayed first; at most `limit`."""
    found: list[Choice] = []
    for day in selection.days():
        async for row in selection.found(table, day):
            found.append(_choice(row, now))
            if len(found) == limit:
                return found
    return found


async def count_replayable(table: AzureTable, now: datetime) -> tuple[int, datetime]:
    """How many rows of the last `SINCE` can be replayed, and when the oldest came in; `now` where there is none."""
    selection = received(now - SINCE, None, [Wanted(("State",), REPLAYABLE)])
    count, oldest = 0, now
    for day in selection.days():
        async for row in selection.found(table, day):
            choice = _choice(row, now)
            if choice.way is not None:
                count, oldest = count + 1, min(oldest, choice.outcome.received_at)
    return count, oldest


def _choice(row: Row, now: datetime) -> Choice:
    outcome = read_outcome(row.entity)
    try:
        return Choice(outcome, row.etag, way=way_of(outcome, now))
    except CannotReplay as refusal:
        return Choice(outcome, row.etag, refusal=refusal)
