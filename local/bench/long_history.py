"""Accounts of Azurite with outcome rows, their feed and a backlog: one of many days, and one of the last day alone.

The invariant: the rows of the last day are the same in both, so that a command that asks for that day has the same to
read and to write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice

from azure.data.tables.aio import TableClient, TableServiceClient

from shared.adapters.storage import AzureTable
from shared.codecs.rows import log_entity, outcome_entity
from shared.domain import keys
from shared.domain.model import (
    Agreement,
    Category,
    Direction,
    Kind,
    Outcome,
    OutcomeKey,
    Priority,
    Source,
    State,
    Verdict,
)
from shared.ports import Entity
from shared.stores.worklist import WorkItem, Worklist

TABLES = ("outcomes", "outcomelog", "worklist", "runstate")
SENDERS = 20
TRANSACTION_ROWS = 100
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class History:
    """Rows at even distances, ending at `until`; each has one event in the feed as long as `events` are left."""

    until: datetime
    every: timedelta
    rows: int
    events: int
    waiting: int

    def outcomes(self, count: int) -> Iterator[Outcome]:
        """The newest rows, newest first."""
        return (settled(number, self.until - number * self.every) for number in range(count))

    def last(self, span: timedelta) -> History:
        """What of it is within that span of its end; the backlog is the same."""
        rows = min(self.rows, span // self.every + 1)
        return History(self.until, self.every, rows, min(self.events, rows), self.waiting)


def sender(number: int) -> str:
    """Who sent the mail of the row with that number: one of a few."""
    return f"billing{number % SENDERS}@parcels.example"


def settled(number: int, received_at: datetime) -> Outcome:
    """A mail report with its verdict, with every column that such a row has."""
    row_id, minute = keys.report_id("reports@contoso.example", f"message-{number}"), timedelta(minutes=1)
    return Outcome(
        key=OutcomeKey(keys.day(received_at), row_id),
        state=State.SETTLED,
        source=Source.MAILBOX,
        received_at=received_at,
        collected_at=received_at + minute,
        kind=Kind.EMAIL,
        category=Category.PHISHING,
        direction=Direction.FALSE_NEGATIVE,
        priority=Priority.NORMAL,
        reporter=f"reporter{number}@contoso.example",
        recipient=f"reporter{number}@contoso.example",
        sender=sender(number),
        sender_ip="192.0.2.7",
        subject=f"Your parcel {number} is waiting at the customs office",
        internet_message_id=f"<{number}@parcels.example>",
        network_message_id=f"{number:08x}-0000-4000-8000-000000000000",
        size_bytes=20_000,
        mailbox="reports@contoso.example",
        item_key=row_id,
        submitted_at=received_at + 2 * minute,
        settled_at=received_at + 9 * minute,
        attempts=1,
        graph_submission_id=f"{number:08x}-0000-4000-8000-000000000001",
        graph_status="succeeded",
        result_category="phishing",
        verdict=Verdict.MALICIOUS,
        agreement=Agreement.CONFIRMED,
        seconds_to_submit=120,
        seconds_to_verdict=540,
    )


async def fill(connection: str, history: History) -> None:
    """Make the tables of an account and put the history into them, by transactions of 100 rows."""
    async with TableServiceClient.from_connection_string(connection) as service:
        for name in TABLES:
            await service.create_table_if_not_exists(name)
        table = service.get_table_client
        await _insert(table("outcomes"), map(outcome_entity, history.outcomes(history.rows)))
        events = (log_entity(one, None, one.received_at, 0) for one in history.outcomes(history.events))
        await _insert(table("outcomelog"), events)
        await wait(AzureTable(table("worklist")), history)


async def wait(worklist: AzureTable, history: History) -> None:
    """Put the newest rows on the worklist, as if they were still to be submitted."""
    numbered = enumerate(history.outcomes(history.waiting))
    items = [WorkItem(outcome=_pending(number, one), etag="e", due_at=one.received_at) for number, one in numbered]
    await Worklist(worklist).add(items)


def _pending(number: int, row: Outcome) -> Outcome:
    return Outcome(
        key=row.key,
        state=State.PENDING,
        source=row.source,
        received_at=row.received_at,
        collected_at=row.collected_at,
        kind=row.kind,
        category=row.category,
        direction=row.direction,
        priority=tuple(Priority)[number % len(Priority)],
        recipient=row.recipient,
        sender=row.sender,
        subject=row.subject,
        item_key=row.item_key,
    )


async def _insert(table: TableClient, entities: Iterator[Entity]) -> None:
    """Insert the rows, which come partition by partition; only those under way are in memory."""
    transactions = _transactions(entities)

    async def insert() -> None:
        for rows in transactions:  # all of them take from the same
            await table.submit_transaction([("create", row) for row in rows])

    await asyncio.gather(*(insert() for _ in range(_AT_ONCE)))


def _transactions(entities: Iterator[Entity]) -> Iterator[list[Entity]]:
    for _, rows in groupby(entities, key=lambda row: row["PartitionKey"]):
        while transaction := list(islice(rows, TRANSACTION_ROWS)):
            yield transaction
