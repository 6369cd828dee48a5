"""Three thousand reports of one campaign on Azurite: three are submitted, and every one has its verdict.

Storage is reached over HTTP, as in production; Graph answers within the process, so that what is timed is reading,
comparing and storing the reports. A lookup is counted with no campaign on record and with 5,000. Precision and recall
are those of labelled mails, and of labelled mails whose links were rewritten on their way.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, cast

from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.azurite import Azurite
from local.bench.figures import Figure, Target
from local.bench.host_delivery import deliver
from local.bench.one_campaign import CampaignMailbox, EasyMicrosoft
from local.bench.simulated_day import SCHEDULES
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID
from shared.adapters.storage import API_VERSION
from shared.bootstrap import App, build, connect
from shared.domain.campaigns import Fingerprint
from shared.domain.model import OutcomeKey, State
from shared.domain.representatives import MOST_CAMPAIGNS, Member
from shared.ports import MailSource, Ports, Table
from shared.settings import Settings
from shared.stores.campaigns import CampaignStore
from shared.stores.ledger import Ledger
from shared.stores.outcomes import OutcomeStore
from shared.stores.worklist import Worklist
from shared.usecases.sending.campaigns import Campaigns
from tests.campaigns.labelled_mails import LabelledMail, labelled_mails
from tests.campaigns.rewritten_mails import rewritten_mails
from tests.campaigns.scoring import recognise, score

REPORTS = 3_000
OLD_CAMPAIGNS = 5_000
REPRESENTATIVES = 3
REPORTS_A_SECOND = Target(">=", 100)
PRECISION = Target(">=", 1)
RECALL = Target(">=", 0.9)
PAGE = 50


class Tally:
    """Counts calls that leave for storage."""

    def __init__(self) -> None:
        self.calls = 0

    def take(self) -> int:
        """The count, which begins anew."""
        calls, self.calls = self.calls, 0
        return calls


class Counted:
    """A storage port whose calls are counted; each is one request."""

    def __init__(self, port: Any, tally: Tally) -> None:
        self._port = port
        self._tally = tally

    def __getattr__(self, method: str) -> Callable[..., Any]:
        self._tally.calls += 1
        call: Callable[..., Any] = getattr(self._port, method)
        return call


@dataclass(frozen=True, slots=True)
class Course:
    """What became of the reports: seconds and storage calls of collecting and of settling, POSTs, rows by end."""

    collect_s: float
    collect_processor_s: float
    collect_calls: int
    settle_s: float
    settle_calls: int
    posts: int
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)


async def measure(reports: int = REPORTS, old_campaigns: int = OLD_CAMPAIGNS) -> list[Figure]:
    """The whole life of the campaign, and what a lookup costs."""
    async with Azurite() as azurite:
        course = await run_campaign(azurite.new_account(), reports)
        fresh = await count_lookup(azurite.new_account(), 0)
        late = await count_lookup(azurite.new_account(), old_campaigns)
    lookup = Figure(
        name=f"storage calls of a lookup, {old_campaigns:,} old campaigns",
        value=late,
        unit="calls",
        baseline=fresh,
        target=Target("<=", 1),
        note=f"{PAGE} reports; baseline: none; {min(old_campaigns, MOST_CAMPAIGNS)} of them at the same place",
    )
    labelled = [*_told_apart("labelled mails", labelled_mails()), *_told_apart("rewritten links", rewritten_mails())]
    return [*_figures(course, reports), lookup, *labelled]


def _told_apart(name: str, mails: Sequence[LabelledMail]) -> list[Figure]:
    """How well a set of labelled mails is told apart: no false pair, nine of ten copies."""
    found = score(recognise(mails))
    pairs = f"{len(found.false_pairs)} false ones of {found.joined} pairs; {len(mails)} mails"
    missed = f"{len(found.missed)} of {found.copies} copies missed"
    return [
        Figure(name=f"precision, {name}", value=found.precision, unit="of pairs", target=PRECISION, note=pairs),
        Figure(name=f"recall, {name}", value=found.recall, unit="of copies", target=RECALL, note=missed),
    ]


def _figures(course: Course, reports: int) -> list[Figure]:
    verdicts = sum(count for (state, verdict), count in course.ends.items() if state == State.SETTLED and verdict)
    calls = course.collect_calls + course.settle_calls
    told = f"collect {course.collect_calls / reports:.2f}, settle {course.settle_calls / reports:.2f}"
    return [
        Figure(
            name=f"collect {reports:,} reports of one campaign",
            value=reports / course.collect_s,
            unit="reports/s",
            target=REPORTS_A_SECOND,
            note="originals of 20 KB; Azurite over HTTP, Graph in process",
        ),
        Figure(
            name="the same by the app's processor time", value=reports / course.collect_processor_s, unit="reports/s"
        ),
        Figure(name="submissions", value=course.posts, unit="POSTs", target=Target("<=", REPRESENTATIVES)),
        Figure(name="verdicts", value=verdicts, unit="rows", target=Target(">=", reports)),
        Figure(name="settle them", value=reports / course.settle_s, unit="reports/s"),
        Figure(name="transactions a covered report", value=calls / reports, unit="transactions", note=told),
    ]


async def run_campaign(connection: str, reports: int) -> Course:
    """Collect, submit and settle that many reports of one campaign."""
    tally, mailbox, microsoft = Tally(), CampaignMailbox(reports, PAGE), EasyMicrosoft()
    async with AsyncExitStack() as resources:
        ports = await connect(_settings(connection), resources)
        counted = replace(_counted(ports, tally), mail=cast(MailSource, mailbox), submissions=microsoft)
        app = build(_settings(connection), counted)
        began_s, used_s = time.perf_counter(), time.process_time()
        while await app.collect_reports.run():  # one run stops after four minutes
            pass
        collect_s, processor_s = time.perf_counter() - began_s, time.process_time() - used_s
        collect_calls = tally.take()
        await _submit(app, connection)
        tally.take()
        began_s = time.perf_counter()
        await app.settle_outcomes.run()
        settle_s, settle_calls = time.perf_counter() - began_s, tally.take()
    ends = await _ends(connection)
    return Course(collect_s, processor_s, collect_calls, settle_s, settle_calls, microsoft.posts, ends)


async def count_lookup(connection: str, old_campaigns: int) -> int:
    """The storage calls of finding the campaign of a page of reports, with that many others on record."""
    tally = Tally()
    async with AsyncExitStack() as resources:
        ports = await connect(_settings(connection), resources)
        at_the_same_place = min(old_campaigns, MOST_CAMPAIGNS)
        elsewhere = range(at_the_same_place, old_campaigns)
        campaigns = _campaigns(ports, ports.tables["items"])
        await campaigns.place([_old(number, place=f"place {number}") for number in elsewhere])
        await campaigns.place([_old(number, place="the same") for number in range(at_the_same_place)])
        await campaigns.place([_old(-1, place="the same")])
        page = [replace(_old(-1, place="the same"), key=OutcomeKey("20261123", f"{one:032x}")) for one in range(PAGE)]
        await _campaigns(ports, cast(Table, Counted(ports.tables["items"], tally))).place(page)
    return tally.take()


def _campaigns(ports: Ports, table: Table) -> Campaigns:
    ledger = Ledger(
        OutcomeStore(ports.tables["outcomes"], ports.tables["outcomelog"], ports.clock),
        Worklist(ports.tables["worklist"]),
    )
    return Campaigns(CampaignStore(table), REPRESENTATIVES, ledger, ports.clock)


def _old(number: int, place: str) -> Member:
    """A member of a campaign of its own."""
    words = tuple(sorted(int.from_bytes(_digest(f"{number} {word}")[:4], "little") for word in range(96)))
    bucket = _digest(place)[:16].hex()
    return Member(OutcomeKey("20261120", _digest(str(number))[:16].hex()), Fingerprint(bucket, words, 96, frozenset()))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _counted(ports: Ports, tally: Tally) -> Ports:
    return replace(
        ports,
        tables={name: cast(Any, Counted(port, tally)) for name, port in ports.tables.items()},
        queues={name: cast(Any, Counted(port, tally)) for name, port in ports.queues.items()},
        containers={name: cast(Any, Counted(port, tally)) for name, port in ports.containers.items()},
    )


async def _submit(app: App, connection: str) -> None:
    await app.dispatch.run()
    async with QueueServiceClient.from_connection_string(connection, api_version=API_VERSION) as queues:
        await deliver(queues.get_queue_client("submissions"), app.submit.run)


async def _ends(connection: str) -> Counter[tuple[str, str]]:
    """How many rows ended in which state with which verdict."""
    async with TableServiceClient.from_connection_string(connection) as service:
        rows: AsyncIterator[dict[str, Any]] = service.get_table_client("outcomes").list_entities(
            select=["State", "Verdict"]
        )
        return Counter([(str(row["State"]), str(row.get("Verdict") or "")) async for row in rows])


def _settings(connection: str) -> Settings:
    return Settings.load(
        {
            "AzureWebJobsStorage": connection,
            "SubmissionsStorage": connection,
            "TENANT_ID": TENANT_ID,
            "REPORTING_MAILBOXES": REPORTING_MAILBOX,
            "TENANT_DOMAINS": ",".join(DOMAINS),
            "CAMPAIGN_REPRESENTATIVES": str(REPRESENTATIVES),
            "GRAPH_BASE_URL": "http://127.0.0.1:9",
            **SCHEDULES,
        }
    )
