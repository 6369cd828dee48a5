"""Many writes in few transactions: those of one partition go together, and one that is refused holds up no other."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from shared.domain.errors import Missing
from shared.ports import Delete, Insert, Replace, Table, Write

TRANSACTION_ROWS = 100
"""Table Storage takes at most 100 writes in one transaction (Azure documentation, "entity group transactions")."""


async def write_each(table: Table, writes: Sequence[Insert | Replace], refused: type[Exception]) -> list[str | None]:
    """Do every write that is not `refused`; returns their new ETags, None in the place of each that was."""
    etags: list[str | None] = [None] * len(writes)
    for places in _transactions(writes):
        batch = [writes[place] for place in places]
        for place, etag in zip(places, await _write_batch(table, batch, refused), strict=True):
            etags[place] = etag
    return etags


async def delete_each(table: Table, deletes: Sequence[Delete]) -> None:
    """Delete rows of one partition; those that are gone, perhaps by another worker, do not matter."""
    for start in range(0, len(deletes), TRANSACTION_ROWS):
        batch = deletes[start : start + TRANSACTION_ROWS]
        try:
            await table.write_all(batch)
        except Missing:
            for delete in batch:
                with suppress(Missing):
                    await table.write(delete)


async def _write_batch(table: Table, writes: Sequence[Write], refused: type[Exception]) -> list[str | None]:
    """All in one transaction; where that is refused, each on its own, so that one known row holds up no other."""
    if len(writes) > 1:
        try:
            return list(await table.write_all(writes))
        except (refused, Missing):
            pass
    return list(await asyncio.gather(*(_write_one(table, write, refused) for write in writes)))


async def _write_one(table: Table, write: Write, refused: type[Exception]) -> str | None:
    try:
        return await table.write(write)
    except (refused, Missing):
        return None


def _transactions(writes: Sequence[Insert | Replace]) -> Iterator[list[int]]:
    """Places of the writes that may go together: one partition, at most 100."""
    places: defaultdict[object, list[int]] = defaultdict(list)
    for place, write in enumerate(writes):
        places[write.entity["PartitionKey"]].append(place)
    for together in places.values():
        for start in range(0, len(together), TRANSACTION_ROWS):
            yield together[start : start + TRANSACTION_ROWS]
