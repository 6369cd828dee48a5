"""Keeping originals: those of old days are deleted, unless a row that is still open needs them.

The storage account deletes by itself what was not written for longer than the app keeps it (dataStorage.bicep): a net
below this. So an original that an open row needs is written anew once a day from when its time is over. Both are
stepwise: what a run leaves, the next one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from shared.domain import keys
from shared.domain.lifecycle import is_final
from shared.ports import BlobStore, Clock, StoredBlob
from shared.stores.ledger import Ledger, WorkItem
from shared.telemetry import Event, emit

RENEWED_EVERY = timedelta(days=1)
JUST_WRITTEN = timedelta(hours=1)
"""An original is written before its row: one that has none yet may belong to a worker that is about to write it."""
TOGETHER = 20
RUN_TIME = timedelta(seconds=30)


class EvidenceKeeper:
    """Deletes originals, and keeps those that are needed."""

    def __init__(self, evidence: BlobStore, *, days: int, ledger: Ledger, clock: Clock) -> None:
        self._evidence = evidence
        self._kept_for = timedelta(days=days)
        self._ledger = ledger
        self._clock = clock

    async def run(self) -> None:
        """Delete originals of days that are too old, and write those anew that an open row needs."""
        now = self._clock.now()
        old = await self._evidence.before_day(keys.day(now - self._kept_for))
        if not old:
            return
        needed = {_row_of(name) async for item in self._ledger.all_kept() if (name := item.material.evidence)}
        until = now + RUN_TIME
        renewable = [one for one in old if _row_of(one.name) in needed and one.written_at <= now - RENEWED_EVERY]
        dropped = [one for one in old if _row_of(one.name) not in needed and one.written_at <= now - JUST_WRITTEN]
        await self._each(renewable, self._evidence.renew, until)
        count = await self._each(dropped, self._evidence.drop, until)
        if count:
            await self._forget_kept(now - self._kept_for)
            emit(Event.EVIDENCE_DROPPED, count=count)

    async def _each(self, blobs: Sequence[StoredBlob], do: Callable[[str], Awaitable[None]], until: datetime) -> int:
        """Do it with every blob while there is time; returns with how many it was done."""
        for start in range(0, len(blobs), TOGETHER):
            if self._clock.now() >= until:
                return start
            await asyncio.gather(*(do(one.name) for one in blobs[start : start + TOGETHER]))
        return len(blobs)

    async def _forget_kept(self, oldest: datetime) -> None:
        """Drop the entries of failed rows whose originals are gone: nothing is left to replay."""
        old = [item async for item in self._ledger.all_kept() if item.outcome.received_at < oldest]
        await self._ledger.remove([item for item in old if await self._has_ended(item)])

    async def _has_ended(self, item: WorkItem) -> bool:
        """Whether the row is final still: of one that was just taken up again, the kept entry may be the only one."""
        stored = await self._ledger.get(item.outcome.key)
        return stored is None or is_final(stored.outcome.state)


def _row_of(name: str) -> str:
    """What the blobs of one row have in common: the original, and the file in which it came."""
    return name.rpartition(".")[0]
