"""`submissions list`: reports and requests of some days, the newest first.

Rows of one day stand in the order of their ids, not of time. So the days are read from the newest back, each as a
stream of which only the newest rows are kept, until there are as many as asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from ..ports import Entity
from .moments import MOMENT
from .output import Column, tell
from .selection import Selection, read_filters, received, with_filters

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable
    from .__main__ import Session

ID_CHARACTERS = 12
"""How much of an id a table shows; `show` takes that."""
MOST_ROWS = 5_000
READ_COLUMNS: Final = (
    *("PartitionKey", "RowKey", "ReceivedAt", "State", "StateReason", "Kind", "Category", "Verdict", "Agreement"),
    *("Reporter", "RequestedBy", "Recipient", "Sender", "Subject", "Url", "FileName"),
)
TSV_COLUMNS: Final = tuple(Column(field=name, heading=name) for name in READ_COLUMNS)
TABLE_COLUMNS: Final = (
    Column(field="Id", heading="ID"),
    Column(field="Received", heading="RECEIVED"),
    Column(field="State", heading="STATE"),
    Column(field="StateReason", heading="REASON", size=20, from_width=120),
    Column(field="Kind", heading="KIND", from_width=100),
    Column(field="Category", heading="CLAIM"),
    Column(field="Verdict", heading="VERDICT", size=13),
    Column(field="By", heading="BY", share=2, from_width=100),
    Column(field="Sender", heading="SENDER", share=2, from_width=120),
    Column(field="Item", heading="ITEM", share=3),
)


@click.command("list")
@with_filters
@click.option("--since", type=MOMENT, default="7d", show_default=True, help="Received since: 30m, 24h, 7d or a day.")
@click.option("--until", type=MOMENT, help="Received before: an age or a day, as above. Else now.")
@click.option(
    "--limit", type=click.IntRange(1, MOST_ROWS), default=50, show_default=True, help="The newest so many rows."
)
@click.pass_obj
def list_outcomes(session: Session, /, since: datetime, until: datetime | None, limit: int, **filters: Any) -> None:
    """List reports and requests, newest first.

    Times are UTC, and a day begins at midnight UTC. JSON has every column; TSV has those that matter, without a head.

    \b
    Examples:
      submissions list
      submissions list --state failed --state rejected --since 24h
      submissions list --verdict clean --sender billing@supplier.example
      submissions list --since 2026-11-01 --until 2026-11-08 --output json
    """  # noqa: D301 - \b keeps click from joining the lines
    selection = received(since, until, read_filters(filters))
    asyncio.run(_list(session, selection, limit))


async def _list(session: Session, selection: Selection, limit: int) -> None:
    output = session.output
    columns = None if output.form == "json" else READ_COLUMNS
    async with session.connect() as connection:
        found = await find_newest(connection.table("outcomes"), selection, limit + 1, columns)
    if output.form == "table" and found:
        output.show_records(TABLE_COLUMNS, map(for_table, found[:limit]))
    elif output.form != "table":
        output.show_records(TSV_COLUMNS, found[:limit])
    if not found:
        tell("No rows. --since looks further back.")
    elif len(found) > limit:
        tell(f"There are more than {limit}; --limit shows more, --until looks further back.")


async def find_newest(
    table: AzureTable, selection: Selection, limit: int, columns: Sequence[str] | None = None
) -> list[Entity]:
    """The newest selected rows, newest first; at most twice `limit` are in memory, beside a page."""
    found: list[Entity] = []
    for day in reversed(selection.days()):
        of_day: list[Entity] = []
        async for entity in selection.rows(table, day, columns):
            of_day.append(entity)
            if len(of_day) == 2 * limit:
                of_day = _newest(of_day, limit)
        found += _newest(of_day, limit - len(found))
        if len(found) == limit:
            break
    return found


def _newest(entities: list[Entity], limit: int) -> list[Entity]:
    return sorted(entities, key=lambda one: (str(one["ReceivedAt"]), str(one["RowKey"])), reverse=True)[:limit]


def for_table(entity: Entity) -> dict[str, object]:
    """The row with what a table makes of it: a short id and time, whoever asked, and the item in words."""
    return {
        **entity,
        "Id": str(entity["RowKey"])[:ID_CHARACTERS],
        "Received": f"{entity['ReceivedAt']:%m-%d %H:%M}",
        "By": entity.get("Reporter") or entity.get("RequestedBy"),
        "Item": entity.get("Subject") or entity.get("Url") or entity.get("FileName"),
    }
