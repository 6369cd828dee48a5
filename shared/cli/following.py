"""From sent requests to their verdicts: their rows in the table `outcomes`, looked up until all are final.

Reading costs one row for each request that is still open at each look, whatever else the table holds. It needs the
right to read `outcomes`, which operators do not have by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from ..codecs.rows import read_outcome
from ..domain import keys
from ..domain.lifecycle import is_final
from ..domain.model import Outcome
from ..ports import Clock, Table
from .sending import AT_ONCE, Sent

_FIRST_DELAY_S, _LAST_DELAY_S = 1.0, 10.0
_CLOCK_DIFFERENCE = timedelta(hours=1)
"""What this machine's clock may be off; a row's partition is the day by the app's clock."""


class Follower:
    """Looks for the rows of requests, and keeps in `rows` how each stood when it was last seen, by submission id."""

    def __init__(self, table: Table, clock: Clock, rows: dict[str, Outcome]) -> None:
        self._table = table
        self._clock = clock
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._rows = rows

    async def follow(self, sent: Sequence[Sent], wait_s: float, tell: Callable[[], None]) -> bool:
        """Whether all of them became final within `wait_s`; `tell` is called after each look."""
        deadline, delay_s = self._clock.now() + timedelta(seconds=wait_s), _FIRST_DELAY_S
        while True:
            await asyncio.gather(*(self._look(one) for one in sent if not self._is_final(one)))
            tell()
            left_s = (deadline - self._clock.now()).total_seconds()
            if left_s <= 0 or all(map(self._is_final, sent)):
                return all(map(self._is_final, sent))
            await self._clock.sleep(min(delay_s, left_s))
            delay_s = min(delay_s * 1.5, _LAST_DELAY_S)

    def _is_final(self, one: Sent) -> bool:
        row = self._rows.get(one.submission_id)
        return row is not None and is_final(row.state)

    async def _look(self, one: Sent) -> None:
        known = self._rows.get(one.submission_id)
        async with self._at_once:
            for day in [known.key.partition] if known else _days(one.since, self._clock.now()):
                row = await self._table.get(day, one.submission_id)
                if row is not None:
                    self._rows[one.submission_id] = read_outcome(row.entity)
                    return


def _days(since: datetime, until: datetime) -> Iterator[str]:
    """The partitions in which the row of a request may be: the day the intake first saw it, so not before `since`."""
    last = keys.day(until + _CLOCK_DIFFERENCE)
    at = since - _CLOCK_DIFFERENCE
    while (day := keys.day(at)) <= last:
        yield day
        at += timedelta(days=1)
