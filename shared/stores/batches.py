"""Many writes in few transactions: those of one partition go together, and one that is refused holds up no other."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

from ..domain.errors import Missing
from ..ports import Delete, Insert, Replace, Table, Write

TRANSACTION_ROWS = 100
"""Table Storage takes at most 100 writes in one transaction (Azure documentation, "entity group transactions")."""


async def write_each(
    table: Table, writes: Sequence[Insert | Replace | Delete], refused: type[Exception]
) -> list[str | None]:
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


async def write_groups(
    groups: Sequence[Sequence[Write]], write: Callable[[Sequence[Write]], Awaitable[bool]]
) -> list[int]:
    """Do groups of writes to one partition, each whole or not at all; returns the places of those that were refused.

    As many groups go in one transaction as fit. `write` tells whether all was written: a transaction that was refused
    is halved until it is known which group it was.
    """
    refused: list[int] = []
    for places in _fitting(groups):
        refused += await _written_or_halved(groups, places, write)
    return refused


async def _written_or_halved(
    groups: Sequence[Sequence[Write]], places: list[int], write: Callable[[Sequence[Write]], Awaitable[bool]]
) -> list[int]:
    if await write([one for place in places for one in groups[place]]):
        return []
    if len(places) == 1:
        return places
    half = len(places) // 2
    first = await _written_or_halved(groups, places[:half], write)
    return first + await _written_or_halved(groups, places[half:], write)


def _fitting(groups: Sequence[Sequence[Write]]) -> Iterator[list[int]]:
    """Places of groups, in order, whose writes fit one transaction."""
    together: list[int] = []
    count = 0
    for place, group in enumerate(groups):
        if together and count + len(group) > TRANSACTION_ROWS:
            yield together
            together, count = [], 0
        together.append(place)
        count += len(group)
    if together:
        yield together


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


def _transactions(writes: Sequence[Insert | Replace | Delete]) -> Iterator[list[int]]:
    """Places of the writes that may go together: one partition, at most 100."""
    places: defaultdict[object, list[int]] = defaultdict(list)
    for place, write in enumerate(writes):
        partition = write.partition if isinstance(write, Delete) else write.entity["PartitionKey"]
        places[partition].append(place)
    for together in places.values():
        for start in range(0, len(together), TRANSACTION_ROWS):
            yield together[start : start + TRANSACTION_ROWS]
