"""The one place that knows concrete classes: settings in, use cases out.

Made once per worker process, on its running event loop, at the first invocation: clients belong to a loop, and a cold
start imports the Azure libraries only here. Tests and the local stand-ins replace single parts through `Ports`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.system_clock import SystemClock
from shared.domain.planner import Limits
from shared.ports import BlobStore, Clock, MailSource, Table, ThreatSubmissions, WorkQueue
from shared.settings import Settings, StorageAccess
from shared.stores.checkpoints import CheckpointStore
from shared.stores.items import ItemStore
from shared.stores.outcomes import OutcomeStore
from shared.stores.worklist import Worklist
from shared.usecases.admission import Admission
from shared.usecases.closing import Closer
from shared.usecases.collect import CollectReports
from shared.usecases.covering import HolderFollower
from shared.usecases.dispatch import Dispatch
from shared.usecases.intake import IntakeManual, IntakeRules
from shared.usecases.material import MaterialSource
from shared.usecases.poison import RecordPoisonManual, RecordPoisonSubmission
from shared.usecases.reading import ReadingRules, ReportReader
from shared.usecases.reconcile import Reconciler
from shared.usecases.settle import SettleOutcomes, SettleRules
from shared.usecases.submit import Submit
from shared.usecases.sweep import Sweeper

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

TABLES = ("outcomes", "outcomelog", "worklist", "items", "runstate")
QUEUES = ("manual-submissions", "manual-submissions-poison", "submissions", "submissions-poison")
CONTAINERS = ("submission-content", "evidence", "rejected-messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside, by the name of its table, queue or container."""

    tables: dict[str, Table]
    queues: dict[str, WorkQueue]
    containers: dict[str, BlobStore]
    mail: MailSource
    submissions: ThreatSubmissions
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The use cases, ready to run."""

    collect_reports: CollectReports
    intake_manual: IntakeManual
    dispatch: Dispatch
    submit: Submit
    settle_outcomes: SettleOutcomes
    record_poison_manual: RecordPoisonManual
    record_poison_submission: RecordPoisonSubmission


def build(settings: Settings, ports: Ports) -> App:
    """Join the use cases to the ports, under the rules that the settings give."""
    clock, tables, containers = ports.clock, ports.tables, ports.containers
    outcomes = OutcomeStore(tables["outcomes"], tables["outcomelog"], clock)
    worklist = Worklist(tables["worklist"], clock)
    items = ItemStore(tables["items"])
    admission = Admission(outcomes, worklist, items)
    sweeper = Sweeper(outcomes, worklist, clock)
    closer = Closer(outcomes, worklist)
    evidence = containers["evidence"]
    reading = ReadingRules(settings.tenant_domains, settings.max_submission_bytes)
    intake = IntakeManual(
        IntakeRules(settings.tenant_domains, settings.max_submission_bytes),
        mail=ports.mail,
        uploads=containers["submission-content"],
        evidence=evidence,
        rejected=containers["rejected-messages"],
        items=items,
        outcomes=outcomes,
        admission=admission,
        clock=clock,
    )
    return App(
        collect_reports=CollectReports(
            settings.reporting_mailboxes,
            settings.report_destination,
            mail=ports.mail,
            submissions=ports.submissions,
            reader=ReportReader(reading, mail=ports.mail, evidence=evidence, clock=clock),
            outcomes=outcomes,
            admission=admission,
            checkpoints=CheckpointStore(tables["runstate"]),
            clock=clock,
        ),
        intake_manual=intake,
        dispatch=Dispatch(
            limits(settings),
            outcomes=outcomes,
            worklist=worklist,
            sweeper=sweeper,
            queue=ports.queues["submissions"],
            clock=clock,
        ),
        submit=Submit(
            shadow=settings.submission_mode == "shadow",
            outcomes=outcomes,
            worklist=worklist,
            material=MaterialSource(
                evidence=evidence, mail=ports.mail, max_submission_bytes=settings.max_submission_bytes
            ),
            submissions=ports.submissions,
            clock=clock,
        ),
        settle_outcomes=SettleOutcomes(
            SettleRules(timedelta(hours=settings.verdict_deadline_hours), settings.evidence_days),
            outcomes=outcomes,
            worklist=worklist,
            sweeper=sweeper,
            reconciler=Reconciler(outcomes, closer, clock),
            follower=HolderFollower(outcomes, worklist, items, closer, clock),
            closer=closer,
            submissions=ports.submissions,
            evidence=evidence,
            clock=clock,
        ),
        record_poison_manual=RecordPoisonManual(intake, ports.queues["manual-submissions-poison"]),
        record_poison_submission=RecordPoisonSubmission(outcomes, worklist, ports.queues["submissions-poison"]),
    )


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
    from shared.adapters.graph.identity import graph_authentication, managed_credential  # noqa: PLC0415
    from shared.adapters.graph.mail import GraphMail  # noqa: PLC0415
    from shared.adapters.graph.submissions import GraphThreatSubmissions  # noqa: PLC0415
    from shared.adapters.graph.transport import GraphTransport  # noqa: PLC0415

    access = settings.submissions_storage
    credential: AsyncTokenCredential | None = None
    if access.connection_string is None or not settings.is_local:
        credential = managed_credential(access.credential, access.client_id)
        await resources.enter_async_context(credential)
    transport = GraphTransport(
        settings.graph_base_url,
        graph_authentication(settings.graph_base_url, None if settings.is_local else credential),
    )
    resources.push_async_callback(transport.aclose)
    storage = await _storage(access, credential, resources)
    return Ports(
        **storage, mail=GraphMail(transport), submissions=GraphThreatSubmissions(transport), clock=SystemClock()
    )


async def _storage(
    access: StorageAccess, credential: AsyncTokenCredential | None, resources: AsyncExitStack
) -> dict[str, Any]:
    from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415
    from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415
    from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415

    from shared.adapters.storage import API_VERSION, AzureBlobs, AzureQueue, AzureTable, make_missing  # noqa: PLC0415

    text = access.connection_string
    if text is not None:
        tables = TableServiceClient.from_connection_string(text)
        queues = QueueServiceClient.from_connection_string(text, api_version=API_VERSION)
        blobs = BlobServiceClient.from_connection_string(text, api_version=API_VERSION)
    else:
        tables = TableServiceClient(access.table_service_uri or "", credential=credential)
        queues = QueueServiceClient(access.queue_service_uri or "", credential=credential, api_version=API_VERSION)
        blobs = BlobServiceClient(access.blob_service_uri or "", credential=credential, api_version=API_VERSION)
    for client in (tables, queues, blobs):
        await resources.enter_async_context(client)
    if text is not None:
        await make_missing(tables, queues, blobs, TABLES, QUEUES, CONTAINERS)
    return {
        "tables": {name: AzureTable(tables.get_table_client(name)) for name in TABLES},
        "queues": {name: AzureQueue(queues.get_queue_client(name)) for name in QUEUES},
        "containers": {name: AzureBlobs(blobs.get_container_client(name)) for name in CONTAINERS},
    }
