"""The whole app in simulated time: its own triggers' schedules and queue numbers, storage in memory, Microsoft strict.

Rows are let in as collect would let them in, their content already kept. Everything waits on one `SimulatedClock`, so
a day passes in seconds and the same way each time.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import azure.functions as func

from local.bench.limited_microsoft import LimitedMicrosoft
from local.functions_host import (
    FunctionsHost,
    InMemoryQueueService,
    InMemoryStatusStore,
    SimulatedClock,
    load_host_config,
)
from local.memory_storage import MemoryBlobs, MemoryTable
from local.sample_tenant import REPORTING_MAILBOX, TENANT_ID
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, App, build
from shared.codecs.submission_message import read_message
from shared.domain import keys
from shared.domain.model import Category, Kind, Outcome, OutcomeKey, Priority, Source, State
from shared.domain.submissions import Material
from shared.ports import MailSource, Ports, Table
from shared.settings import Settings
from shared.stores.campaigns import CampaignStore
from shared.stores.items import ItemStore
from shared.stores.ledger import Ledger
from shared.stores.outcomes import OutcomeStore
from shared.stores.worklist import Worklist
from shared.usecases.sending.admission import Admission, Candidate, Claimed
from shared.usecases.sending.campaigns import Campaigns

HOST_JSON = Path(__file__).resolve().parent.parent.parent / "host.json"
SCHEDULES = {
    "COLLECT_SCHEDULE": "0 */2 * * * *",
    "DISPATCH_SCHEDULE": "0 * * * * *",
    "SETTLE_SCHEDULE": "0 */5 * * * *",
}
SETTLED_SELDOM = SCHEDULES | {"SETTLE_SCHEDULE": "0 */30 * * * *"}
"""In a storm settling looks through all that waits, and no figure of one depends on how often it does."""
EVIDENCE = "kept.eml"


@dataclass(frozen=True, slots=True)
class SimulatedQueue:
    """The `WorkQueue` port over the host's queue in memory."""

    service: InMemoryQueueService
    name: str

    async def send(self, body: str, delay_s: int = 0) -> None:
        """Put a message that becomes visible after `delay_s` seconds."""
        await self.service.put(self.name, body, visibility_timeout_s=delay_s)


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    """The running app, Microsoft behind it, and the way to let rows in."""

    clock: SimulatedClock
    microsoft: LimitedMicrosoft
    use_cases: App
    admission: Admission

    async def admit(self, count: int, priority: Priority) -> list[str]:
        """Let that many rows wait from now on; returns their submission ids."""
        now = self.clock.now()
        claimed = [_report(number, priority, now) for number in range(count)]
        await self.admission.admit(claimed)
        return [one.candidate.outcome.key.submission_id for one in claimed]

    async def collect(self, count: int) -> list[str]:
        """Let that many reports wait from now on and dispatch at once, as collect does; returns as `admit`."""
        admitted = await self.admit(count, Priority.NORMAL)
        await self.use_cases.dispatch.run()
        return admitted

    async def until_sent(self, count: int, limit_s: float) -> None:
        """Let time pass until Microsoft has that many submissions in all."""
        await self.clock.advance_until(lambda: len(self.microsoft.arrivals) >= count, limit_s)


@asynccontextmanager
async def simulated_day(
    start: datetime,
    seed: int,
    *,
    microsoft_of: Callable[[SimulatedClock, random.Random], LimitedMicrosoft] = LimitedMicrosoft,
    seen_through: Callable[[Table], Table] = lambda table: table,
) -> AsyncIterator[SimulatedDay]:
    """The app with empty storage, its host started; `seen_through` is put before each of its tables."""
    clock, chance = SimulatedClock(start), random.Random(seed)
    microsoft, service = microsoft_of(clock, chance), InMemoryQueueService(clock)
    ports = await _ports(microsoft, service, clock)
    ports = replace(ports, tables={name: seen_through(table) for name, table in ports.tables.items()})
    use_cases = build(_settings(), ports)
    host = FunctionsHost(
        _triggers(use_cases),
        load_host_config(HOST_JSON, os.environ),
        SETTLED_SELDOM,
        service,
        InMemoryStatusStore(),
        clock=clock,
        random=chance,
    )
    await host.start()
    try:
        yield SimulatedDay(clock, microsoft, use_cases, _admission(ports))
    finally:
        await host.kill()


async def _ports(microsoft: LimitedMicrosoft, service: InMemoryQueueService, clock: SimulatedClock) -> Ports:
    for name in QUEUES:
        await service.create(name)
    blobs = MemoryBlobs()
    await blobs.put(EVIDENCE, b"From: a@b.example\r\n\r\n")
    return Ports(
        tables={name: MemoryTable() for name in TABLES},
        queues={name: SimulatedQueue(service, name) for name in QUEUES},
        containers=dict.fromkeys(CONTAINERS, blobs),
        mail=cast(MailSource, None),  # nothing here reads a mailbox
        submissions=microsoft,
        clock=clock,
    )


def _admission(ports: Ports) -> Admission:
    tables = ports.tables
    outcomes = OutcomeStore(tables["outcomes"], tables["outcomelog"], ports.clock)
    ledger = Ledger(outcomes, Worklist(tables["worklist"]))
    campaigns = Campaigns(CampaignStore(tables["items"]), 3, ledger, ports.clock)
    return Admission(ledger, ItemStore(tables["items"], ports.clock), campaigns, ports.clock)


def _triggers(use_cases: App) -> func.FunctionApp:
    """The triggers that a storm needs, as `function_app` has them."""
    app = func.FunctionApp()

    @app.timer_trigger(arg_name="timer", schedule="%DISPATCH_SCHEDULE%")
    async def dispatch(timer: func.TimerRequest) -> None:
        del timer
        await use_cases.dispatch.run()

    @app.queue_trigger(arg_name="message", queue_name="submissions", connection="SubmissionsStorage")
    async def submit(message: str) -> None:
        await use_cases.submit.run(read_message(message))

    @app.timer_trigger(arg_name="timer", schedule="%SETTLE_SCHEDULE%")
    async def settle_outcomes(timer: func.TimerRequest) -> None:
        del timer
        await use_cases.settle_outcomes.run()

    return app


def _settings() -> Settings:
    return Settings.load(
        {
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "SubmissionsStorage": "UseDevelopmentStorage=true",
            "TENANT_ID": TENANT_ID,
            "REPORTING_MAILBOXES": REPORTING_MAILBOX,
            "TENANT_DOMAINS": "contoso.example",
            **SCHEDULES,
        }
    )


def _report(number: int, priority: Priority, now: datetime) -> Claimed:
    """A waiting report of an item of its own, received in its turn before `now`."""
    received_at = now - timedelta(hours=1) + timedelta(milliseconds=number)
    submission_id = keys.report_id(REPORTING_MAILBOX, f"{priority}-{number}-{now.isoformat()}")
    outcome = Outcome(
        key=OutcomeKey(keys.day(received_at), submission_id),
        state=State.PENDING,
        source=Source.MAILBOX,
        received_at=received_at,
        collected_at=now,
        kind=Kind.EMAIL,
        category=Category.PHISHING,
        direction=Category.PHISHING.direction,
        priority=priority,
        recipient=f"{submission_id}@contoso.example",
        subject="Your parcel is waiting",
        item_key=submission_id,
    )
    return Claimed(Candidate(outcome, Material(evidence=EVIDENCE)))
