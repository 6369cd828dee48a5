"""Rows that have lived: what the commands that read are shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from azure.data.tables.aio import TableServiceClient

from shared.adapters.storage import AzureTable
from shared.domain import keys
from shared.domain.model import Agreement, Category, Kind, Outcome, OutcomeKey, Source, State, Verdict
from shared.stores.outcomes import Change, OutcomeStore
from tests.support.outcomes import make_outcome
from tests.support.stage import StageClock

HOSTILE = "Pay\x1b[2J\x1b[31m now\u202ecod.exe\r\n\x07\x9b1A\tend"
REQUEST_ID = "case-4711"


def row(number: int, received_at: datetime, **facts: Any) -> Outcome:
    """Return a pending report that was received then."""
    first = make_outcome(number, received_at=received_at, collected_at=received_at, **facts)
    name = first.request_id
    row_id = keys.request_id(name) if name else first.key.submission_id
    return replace(first, key=OutcomeKey(keys.day(received_at), row_id))


def rows(now: datetime) -> list[Outcome]:
    """Return five rows of three days: two mails, one of them hostile, a URL, a file, and an old mail."""
    day = timedelta(days=1)
    return [
        row(1, now - timedelta(minutes=10), subject="Quarterly invoice", reporter="anna@contoso.example"),
        row(2, now - timedelta(minutes=20), subject=HOSTILE, reporter="ben@contoso.example", campaign_id="c-1"),
        row(
            3,
            now - day,
            kind=Kind.URL,
            source=Source.MANUAL,
            subject=None,
            sender=None,
            recipient=None,
            url="https://login.contoso-portal.example/reset?token=" + "x" * 300,
            requested_by="soc@contoso.example",
            request_id=REQUEST_ID,
        ),
        row(
            4,
            now - 2 * day,
            kind=Kind.FILE,
            source=Source.MANUAL,
            category=Category.MALWARE,
            subject=None,
            sender=None,
            file_name="请求付款.exe",
            requested_by="soc@contoso.example",
        ),
        row(5, now - 30 * day, subject="Long ago", reporter="anna@contoso.example"),
    ]


def settled(outcome: Outcome, verdict: Verdict, at: datetime) -> Outcome:
    """Return the row with its verdict."""
    return replace(
        outcome,
        state=State.SETTLED,
        verdict=verdict,
        agreement=Agreement.CONFIRMED,
        submitted_at=at - timedelta(seconds=30),
        settled_at=at,
        graph_submission_id="0d1c2e3f-0000-4000-8000-000000000001",
        result_category="malware",
        seconds_to_verdict=90,
    )


class Rows:
    """Writes outcome rows and their events, as the app does."""

    def __init__(self, service: TableServiceClient, clock: StageClock) -> None:
        outcomes, log = (AzureTable(service.get_table_client(name)) for name in ("outcomes", "outcomelog"))
        self.store = OutcomeStore(outcomes, log, clock)
        self.clock = clock

    async def write(self, *outcomes: Outcome) -> None:
        """Write new rows, each at the moment that it came in."""
        for outcome in outcomes:
            self.clock.time = outcome.collected_at
            assert await self.store.create([outcome]) != [None]

    async def advance(self, before: Outcome, *steps: Outcome, at: datetime) -> None:
        """Take a row through steps, a second each."""
        self.clock.time = at
        for after in steps:
            stored = await self.store.get(before.key)
            assert stored is not None
            assert await self.store.advance([Change(stored.outcome, after, stored.etag)]) != [None]
            self.clock.advance(seconds=1)


@asynccontextmanager
async def open_rows(connection: str) -> AsyncIterator[Rows]:
    """Yield the two tables of an account, made and empty."""
    async with TableServiceClient.from_connection_string(connection) as service:
        for name in ("outcomes", "outcomelog"):
            await service.create_table_if_not_exists(name)
        yield Rows(service, StageClock())
