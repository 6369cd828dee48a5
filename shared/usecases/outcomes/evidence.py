"""Keeping originals: what an open row still needs is written anew before its time is over.

The storage account deletes by itself what was not written for EVIDENCE_DAYS (dataStorage.bicep); the app deletes none.
So once a day the original of each open row that may be that old within the week is renewed: the app may stand still for
a week, or for EVIDENCE_DAYS where that is less. The pass over all rows is spread over runs, a share for each.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from ...domain import keys
from ...domain.lifecycle import is_final
from ...ports import BlobStore, Clock
from ...stores.ledger import Ledger, WorkItem
from ...stores.passes import Pass, Passes

RENEWED_EVERY = timedelta(days=1)
RENEWED_BEFORE = timedelta(days=7)
"""How long before it would be deleted an original begins to be renewed."""
ROWS_A_RUN = 2_000
"""So many entries a run looks at: half a million a day."""
TOGETHER = 20
RUN_TIME = timedelta(seconds=30)


class EvidenceKeeper:
    """Renews originals that are needed, and forgets what was kept for replay of those that are not."""

    def __init__(self, evidence: BlobStore, passes: Passes, *, days: int, ledger: Ledger, clock: Clock) -> None:
        self._evidence = evidence
        self._passes = passes
        self._kept_for = timedelta(days=days)
        self._every = min(RENEWED_EVERY, self._kept_for / 2)
        self._ledger = ledger
        self._clock = clock

    async def run(self) -> None:
        """Begin the day's pass over the open rows, or go on with it; nothing where it is done."""
        now = self._clock.now()
        one = await self._passes.current("evidence", now, self._every)
        if one.goes_on_behind is None:
            return
        rest = await self._renew(one.goes_on_behind, now)
        if rest is None:
            await self._forget_kept(now - self._kept_for)
        await self._passes.put("evidence", Pass(one.begun_at, rest))

    async def _renew(self, start: str, now: datetime) -> str | None:
        """Renew what a run's share of the rows from there on needs; returns where to go on, None at the end."""
        newest = keys.day(now - max(timedelta(), self._kept_for - RENEWED_BEFORE - self._every))
        found = [one async for one in self._ledger.originals(start, ROWS_A_RUN)]
        needed = [(name, behind) for name, behind in found if name is not None and name.partition("/")[0] <= newest]
        for place in range(0, len(needed), TOGETHER):
            if self._clock.now() >= now + RUN_TIME:
                return needed[place - 1][1]
            together = (name for one, _ in needed[place : place + TOGETHER] for name in _of_one_row(one))
            await asyncio.gather(*(self._evidence.renew(name) for name in together))
        return found[-1][1] if len(found) == ROWS_A_RUN else None

    async def _forget_kept(self, oldest: datetime) -> None:
        """Drop the entries of failed rows whose originals are gone: nothing is left to replay."""
        old = [item async for item in self._ledger.all_kept() if item.outcome.received_at < oldest]
        await self._ledger.remove([item for item in old if await self._has_ended(item)])

    async def _has_ended(self, item: WorkItem) -> bool:
        """Whether the row is final still: of one that was just taken up again, the kept entry may be the only one."""
        stored = await self._ledger.get(item.outcome.key)
        return stored is None or is_final(stored.outcome.state)


def _of_one_row(name: str) -> list[str]:
    """The blobs of a row: the original, and of a mail that came in another format, the file in which it came."""
    own, _, suffix = name.rpartition(".")
    return [name, f"{own}.attached"] if suffix == "eml" else [name]
