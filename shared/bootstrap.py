"""The one place that knows concrete classes: settings in, use cases out.

Made once per worker process, on its running event loop, at the first invocation: clients belong to a loop, and a cold
start imports the Azure libraries only here. Tests and the local stand-ins replace single parts through `Ports`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .adapters.system_clock import SystemClock
from .domain.planner import Limits
from .domain.tenant import Tenant
from .ports import AnswerMails, BlobStore, Ports, SourcePorts
from .settings import Settings, StorageAccess
from .stores.already_at_microsoft import AlreadyAtMicrosoft
from .stores.campaigns import CampaignStore
from .stores.checkpoints import CheckpointStore, FolderContents
from .stores.erasures import ErasureKey, Erasures
from .stores.examinations import Examinations
from .stores.heartbeats import Heartbeats
from .stores.items import ItemStore
from .stores.ledger import Ledger
from .stores.looks import LookStore
from .stores.old_items import OldItems
from .stores.outcomes import OutcomeStore
from .stores.passes import Passes
from .stores.quota import QuotaStore
from .stores.replays import Replays
from .stores.statistics import StatisticsStore, UpkeepStore
from .stores.worklist import AnswersDue, Worklist
from .usecases.arrivals.collect import CollectReports
from .usecases.arrivals.destination import ReportDestination
from .usecases.arrivals.folder_reports import FolderParts
from .usecases.arrivals.intake import IntakeManual, IntakeRules
from .usecases.arrivals.microsoft_knows import MicrosoftKnows
from .usecases.arrivals.reading import ReadingRules, ReportReader
from .usecases.arrivals.sources import ReportSource, Sources
from .usecases.outcomes.backlog import Backlog
from .usecases.outcomes.covering import HolderFollower
from .usecases.outcomes.erasure import ErasableBlobs, EraseRequested, ErasureParts, PrivateTable
from .usecases.outcomes.evidence import EvidenceKeeper
from .usecases.outcomes.poison import RecordPoisonManual, RecordPoisonSubmission
from .usecases.outcomes.reconcile import Reconciler
from .usecases.outcomes.replay import Replay
from .usecases.outcomes.rereading import Rereader
from .usecases.outcomes.retention import Retention, RetentionRules
from .usecases.outcomes.second_chances import SecondChances
from .usecases.outcomes.settle import SettleOutcomes, SettleRules
from .usecases.outcomes.statistics import KeepStatistics
from .usecases.sending.admission import Admission
from .usecases.sending.campaigns import Campaigns
from .usecases.sending.dispatch import Dispatch
from .usecases.sending.material import MaterialSource
from .usecases.sending.refusals import Refusals
from .usecases.sending.submit import Submit
from .usecases.sending.sweep import Sweeper
from .usecases.trouble import Trouble

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableServiceClient
    from azure.storage.blob.aio import BlobServiceClient
    from azure.storage.queue.aio import QueueServiceClient

    from .adapters.graph.transport import GraphTransport
    from .bootstrap_answers import Answering

TABLES = ("outcomes", "outcomelog", "statistics", "worklist", "items", "runstate")
QUEUES = ("manual-submissions", "manual-submissions-poison", "submissions", "submissions-poison")
CONTAINERS = ("submission-content", "evidence", "rejected-messages")
FEEDBACK_QUEUES = ("notifications", "notifications-poison")
FEEDBACK_CONTAINERS = ("feedback-texts",)
"""There, and reached for, only where reporters are answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The use cases, ready to run."""

    collect_reports: CollectReports
    intake_manual: IntakeManual
    dispatch: Dispatch
    submit: Submit
    settle_outcomes: SettleOutcomes
    backlog: Backlog
    keep_statistics: KeepStatistics
    record_poison_manual: RecordPoisonManual
    record_poison_submission: RecordPoisonSubmission
    examinations: Examinations
    """Not a use case: whether an administrator has asked for the doctor, which stands above all of these."""
    heartbeats: Heartbeats
    """No use case either: what the timers leave behind of their runs."""
    answering: Answering | None = None
    """None where reporters are not answered."""


def queue_names(settings: Settings) -> tuple[str, ...]:
    """The queues of the data account that the settings call for."""
    return (*QUEUES, *(FEEDBACK_QUEUES if settings.answers_reporters else ()))


def container_names(settings: Settings) -> tuple[str, ...]:
    """The containers of the data account that the settings call for."""
    return (*CONTAINERS, *(FEEDBACK_CONTAINERS if settings.answers_reporters else ()))


def build(settings: Settings, ports: Ports) -> App:
    """Join the use cases to the ports, under the rules that the settings give."""
    parts = _parts(settings, ports)
    intake = _intake(settings, ports, parts)
    return App(
        collect_reports=_collect(settings, ports, parts),
        intake_manual=intake,
        dispatch=Dispatch(
            limits(settings),
            ledger=parts.ledger,
            quota=parts.quota,
            sweeper=parts.sweeper,
            trouble=parts.trouble,
            queue=ports.queues["submissions"],
            clock=ports.clock,
        ),
        submit=_submit(settings, ports, parts),
        settle_outcomes=_settle(settings, ports, parts, _replay(settings, ports, parts, intake)),
        backlog=Backlog(limits(settings), ledger=parts.ledger, quota=parts.quota, clock=ports.clock),
        keep_statistics=KeepStatistics(
            ledger=parts.ledger,
            statistics=StatisticsStore(ports.tables["statistics"], ports.tables["outcomes"]),
            upkeep=UpkeepStore(ports.tables["runstate"]),
            clock=ports.clock,
        ),
        record_poison_manual=RecordPoisonManual(intake, ports.queues["manual-submissions"], ports.clock),
        record_poison_submission=RecordPoisonSubmission(
            parts.ledger, parts.quota, ports.queues["submissions-poison"], ports.clock
        ),
        examinations=Examinations(ports.tables["runstate"], ports.clock),
        heartbeats=Heartbeats(ports.tables["runstate"], ports.clock, limits(settings)),
        answering=_answering(settings, ports, parts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What several use cases share."""

    ledger: Ledger
    quota: QuotaStore
    items: ItemStore
    campaigns: Campaigns
    admission: Admission
    sweeper: Sweeper
    trouble: Trouble
    evidence: BlobStore


def _parts(settings: Settings, ports: Ports) -> _Parts:
    outcomes = OutcomeStore(ports.tables["outcomes"], ports.tables["outcomelog"], ports.clock)
    ledger = Ledger(outcomes, Worklist(ports.tables["worklist"], _answers_due(settings)))
    quota = QuotaStore(ports.tables["worklist"], ports.clock)
    items = ItemStore(ports.tables["items"], ports.clock)
    store = CampaignStore(ports.tables["items"])
    campaigns = Campaigns(store, settings.campaign_representatives, ledger, ports.clock)
    trouble = Trouble(ledger)
    return _Parts(
        ledger=ledger,
        quota=quota,
        items=items,
        campaigns=campaigns,
        admission=Admission(ledger, items, campaigns, ports.clock),
        sweeper=Sweeper(ledger, quota, trouble, ports.clock),
        trouble=trouble,
        evidence=ports.containers["evidence"],
    )


def is_answering(settings: Settings) -> bool:
    """Whether reporters are told. In a rehearsal nothing reaches Microsoft, so there is nothing to tell."""
    return settings.answers_reporters and settings.submission_mode == "live"


def _answers_due(settings: Settings) -> AnswersDue | None:
    if not is_answering(settings):
        return None
    from .bootstrap_answers import answer_places  # noqa: PLC0415

    return answer_places(settings, tenant(settings))


def _answering(settings: Settings, ports: Ports, parts: _Parts) -> Answering | None:
    if not is_answering(settings) or ports.answers is None:
        return None
    from .bootstrap_answers import answering  # noqa: PLC0415

    return answering(settings, tenant(settings), ports, ports.answers, parts.ledger)


def _reader(settings: Settings, ports: Ports, parts: _Parts) -> ReportReader:
    rules = ReadingRules(
        tenant(settings),
        settings.max_submission_bytes,
        settings.simulation_marks,
        settings.is_local,
        settings.feedback_mailbox if is_answering(settings) else None,
    )
    return ReportReader(
        rules,
        mail=ports.mail,
        evidence=parts.evidence,
        microsoft=_microsoft_knows(settings, ports, parts),
        clock=ports.clock,
    )


def _collect(settings: Settings, ports: Ports, parts: _Parts) -> CollectReports:
    return CollectReports(
        settings.reporting_mailboxes,
        destination=ReportDestination(settings.report_destination, ports.submissions),
        sources=_sources(settings, ports, parts),
        parts=FolderParts(
            mail=ports.mail,
            reader=_reader(settings, ports, parts),
            ledger=parts.ledger,
            admission=parts.admission,
            checkpoints=CheckpointStore(ports.tables["runstate"]),
            contents=FolderContents(ports.tables["runstate"]),
            clock=ports.clock,
        ),
    )


def _microsoft_knows(settings: Settings, ports: Ports, parts: _Parts) -> MicrosoftKnows:
    is_told = "on" in (settings.user_submissions, settings.defender_alerts)
    return MicrosoftKnows(AlreadyAtMicrosoft(ports.tables["items"]) if is_told else None, parts.ledger)


def _sources(settings: Settings, ports: Ports, parts: _Parts) -> Sources:
    """The sources that the settings switch on; a cold start does not pay for those that are off."""
    switched_on: list[ReportSource] = []
    if ports.sources is not None:
        from .bootstrap_sources import sources  # noqa: PLC0415

        switched_on += sources(settings, ports, parts.ledger)
    return Sources(switched_on, LookStore(ports.tables["runstate"]), ports.clock)


def _intake(settings: Settings, ports: Ports, parts: _Parts) -> IntakeManual:
    return IntakeManual(
        IntakeRules(tenant(settings), settings.max_submission_bytes),
        mail=ports.mail,
        uploads=ports.containers["submission-content"],
        evidence=parts.evidence,
        rejected=ports.containers["rejected-messages"],
        items=parts.items,
        ledger=parts.ledger,
        admission=parts.admission,
        clock=ports.clock,
    )


def _submit(settings: Settings, ports: Ports, parts: _Parts) -> Submit:
    return Submit(
        shadow=settings.submission_mode == "shadow",
        ledger=parts.ledger,
        quota=parts.quota,
        items=parts.items,
        material=MaterialSource(
            evidence=parts.evidence, mail=ports.mail, max_submission_bytes=settings.max_submission_bytes
        ),
        submissions=ports.submissions,
        clock=ports.clock,
    )


def _replay(settings: Settings, ports: Ports, parts: _Parts, intake: IntakeManual) -> Replay:
    return Replay(
        replays=Replays(ports.tables["runstate"], ports.clock),
        ledger=parts.ledger,
        items=parts.items,
        admission=parts.admission,
        rereader=Rereader(
            intake=intake,
            reader=_reader(settings, ports, parts),
            mail=ports.mail,
            destination=ReportDestination(settings.report_destination, ports.submissions),
        ),
        evidence_days=settings.evidence_days,
        clock=ports.clock,
    )


def _settle(settings: Settings, ports: Ports, parts: _Parts, replay: Replay) -> SettleOutcomes:
    return SettleOutcomes(
        SettleRules(timedelta(hours=settings.verdict_deadline_hours)),
        ledger=parts.ledger,
        quota=parts.quota,
        sweeper=parts.sweeper,
        replay=replay,
        reconciler=Reconciler(parts.ledger, parts.quota, parts.trouble, ports.clock),
        second_chances=SecondChances(
            parts.ledger, Replays(ports.tables["runstate"], ports.clock), parts.trouble, ports.clock
        ),
        refusals=Refusals(parts.ledger, parts.quota, parts.trouble, ports.clock),
        follower=HolderFollower(parts.ledger, parts.items, parts.campaigns, parts.trouble, ports.clock),
        trouble=parts.trouble,
        submissions=ports.submissions,
        evidence=EvidenceKeeper(
            parts.evidence,
            Passes(ports.tables["runstate"]),
            days=settings.evidence_days,
            ledger=parts.ledger,
            clock=ports.clock,
        ),
        retention=Retention(
            RetentionRules(settings.outcomes_days, settings.outcomelog_days, settings.items_days),
            ledger=parts.ledger,
            items=OldItems(ports.tables["items"]),
            passes=Passes(ports.tables["runstate"]),
            clock=ports.clock,
        ),
        erase=_erase(settings, ports, parts),
        clock=ports.clock,
    )


def _erase(settings: Settings, ports: Ports, parts: _Parts) -> EraseRequested:
    runstate, items = ports.tables["runstate"], ports.tables["items"]
    erased = ErasureParts(
        ledger=parts.ledger,
        items=OldItems(items),
        worklist=PrivateTable(ports.tables["worklist"]),
        runstate=PrivateTable(runstate),
        containers={name: ErasableBlobs(ports.containers[name]) for name in CONTAINERS},
        never=tenant(settings).reporting_mailboxes,
    )
    return EraseRequested(Erasures(runstate), ErasureKey(items), erased, ports.clock)


def tenant(settings: Settings) -> Tenant:
    """The tenant that the settings describe."""
    mailboxes = frozenset(box.address.lower() for box in settings.reporting_mailboxes)
    return Tenant(settings.tenant_id, settings.tenant_domains, mailboxes)


def limits(settings: Settings) -> Limits:
    """The tenant's submission limits."""
    return Limits(
        per_window=settings.quota_per_15_min,
        per_day=settings.quota_per_day,
        reserved_for_people=settings.quota_reserved_for_people,
        reserved_for_urgent=settings.quota_reserved_for_urgent,
    )


async def connect(settings: Settings, resources: AsyncExitStack) -> Ports:
    """The real ports: Azure Storage and Microsoft Graph. `resources` closes them.

    With a connection string, which only local work has, missing tables, queues and containers are made; in a tenant
    they are deployed, and the app has no right to make any.
    """
    from .adapters.graph.mail import GraphMail  # noqa: PLC0415
    from .adapters.graph.submissions import GraphThreatSubmissions  # noqa: PLC0415

    credential = await open_credential(settings, resources)
    transport = await open_graph(settings, credential, resources)
    clients = await open_storage(settings.submissions_storage, credential, resources)
    if settings.submissions_storage.connection_string is not None:
        from .adapters.storage import make_missing  # noqa: PLC0415

        names = (TABLES, queue_names(settings), container_names(settings))
        await make_missing(clients.tables, clients.queues, clients.blobs, *names)
    return Ports(
        **_storage(settings, clients),
        mail=GraphMail(transport),
        submissions=GraphThreatSubmissions(transport),
        clock=SystemClock(),
        sources=_source_ports(settings, transport),
        answers=answer_mails(settings, transport),
    )


async def open_credential(settings: Settings, resources: AsyncExitStack) -> AsyncTokenCredential | None:
    """Who the app is, closed by `resources`; None where neither storage nor Graph asks for it, as in local work."""
    access = settings.submissions_storage
    if access.connection_string is not None and settings.is_local:
        return None
    from .adapters.graph.identity import managed_credential  # noqa: PLC0415

    return await resources.enter_async_context(managed_credential(access.credential, access.client_id))


async def open_graph(
    settings: Settings, credential: AsyncTokenCredential | None, resources: AsyncExitStack
) -> GraphTransport:
    """The way to Graph, closed by `resources`; a stand-in on this machine never sees a token of the credential."""
    from .adapters.graph.identity import graph_authentication  # noqa: PLC0415
    from .adapters.graph.transport import GraphTransport  # noqa: PLC0415

    authentication = graph_authentication(settings.graph_base_url, None if settings.is_local else credential)
    transport = GraphTransport(settings.graph_base_url, authentication)
    resources.push_async_callback(transport.aclose)
    return transport


def _source_ports(settings: Settings, transport: GraphTransport) -> SourcePorts | None:
    if not settings.has_sources:
        return None
    from .bootstrap_sources import source_ports  # noqa: PLC0415

    return source_ports(transport)


def answer_mails(settings: Settings, transport: GraphTransport) -> AnswerMails | None:
    """The mailbox that answers leave from; None where none are sent, and then its code is not imported either."""
    if not settings.answers_reporters:
        return None
    from .adapters.graph.answer_mails import GraphAnswerMails  # noqa: PLC0415

    return GraphAnswerMails(transport, settings.feedback_mailbox)


@dataclass(frozen=True, slots=True)
class ServiceClients:
    """The three services of the data account."""

    tables: TableServiceClient
    queues: QueueServiceClient
    blobs: BlobServiceClient


async def open_storage(
    access: StorageAccess, credential: AsyncTokenCredential | None, resources: AsyncExitStack
) -> ServiceClients:
    """The data account, closed by `resources`. Nothing is asked of it yet."""
    from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415
    from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415
    from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415

    from .adapters.proxies import ProxiedTransport  # noqa: PLC0415
    from .adapters.storage import API_VERSION  # noqa: PLC0415

    def opened(kind: Any, uri: str | None, **options: Any) -> Any:
        options["transport"] = ProxiedTransport()
        if access.connection_string is not None:
            return kind.from_connection_string(access.connection_string, **options)
        return kind(uri or "", credential=credential, **options)

    tables = opened(TableServiceClient, access.table_service_uri)
    queues = opened(QueueServiceClient, access.queue_service_uri, api_version=API_VERSION)
    blobs = opened(BlobServiceClient, access.blob_service_uri, api_version=API_VERSION)
    for client in (tables, queues, blobs):
        await resources.enter_async_context(client)
    return ServiceClients(tables, queues, blobs)


def _storage(settings: Settings, clients: ServiceClients) -> dict[str, Any]:
    from .adapters.storage import AzureBlobs, AzureQueue, AzureTable  # noqa: PLC0415

    return {
        "tables": {name: AzureTable(clients.tables.get_table_client(name)) for name in TABLES},
        "queues": {name: AzureQueue(clients.queues.get_queue_client(name)) for name in queue_names(settings)},
        "containers": {
            name: AzureBlobs(clients.blobs.get_container_client(name)) for name in container_names(settings)
        },
    }
