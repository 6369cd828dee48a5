"""What the Functions host does with the app's identity, which no recording of our code can show.

Each line has its source. `SRC` names a file of the host's or its extensions' source code, `DOC` a page of Microsoft's.
"""

from dataclasses import dataclass

from shared.bootstrap import FEEDBACK_QUEUES, QUEUES
from tests.infra.operations import Operation, Resource

WORK_QUEUES = ("manual-submissions", "submissions", "notifications")
HOST = Resource("host")
"""The host names and makes its containers and tables by itself, so that its needs count at its whole account."""
_LISTENER = (
    ("Get Messages", "SRC QueueListener.cs: fetches a batch, invisible for ten minutes"),
    ("Update Message", "SRC QueueListener.cs: renews the invisibility; QueueProcessor.cs: gives a failed message back"),
    ("Delete Message", "SRC QueueProcessor.cs: deletes what succeeded, and what was copied to the poison queue"),
    ("Get Queue Metadata", "SRC QueueMetricsProvider.cs: reads the length, to scale"),
    ("Peek Messages", "SRC QueueMetricsProvider.cs: reads the oldest message's age, to scale"),
)

_HOST_STORAGE = (
    (
        "Create Container",
        "SRC BlobStorageSecretsRepository.cs, BlobLeaseDistributedLockManager.cs: if it is missing",
    ),
    ("Get Container Properties", "SRC BlobStorageSecretsRepository.cs: looks whether its container is there"),
    ("List Blobs", "SRC BlobStorageSecretsRepository.cs: looks for snapshots of its keys"),
    (
        "Get Blob",
        "SRC StorageScheduleMonitorV2.cs: reads when a timer ran; DOC flex-consumption-plan: pulls a package",
    ),
    (
        "Put Blob",
        "SRC StorageScheduleMonitorV2.cs: keeps when a timer ran; DOC flex-consumption-plan: keeps a package",
    ),
    ("Lease Blob", "SRC BlobLeaseDistributedLockManager.cs: one listener for a timer, one primary host"),
    ("Set Blob Metadata", "SRC BlobLeaseDistributedLockManager.cs: names the owner of a lock"),
    ("Get Blob Properties", "SRC BlobLeaseDistributedLockManager.cs: reads the owner of a lock"),
    ("Query Tables", "SRC DiagnosticEventTableStorageRepository.cs: looks for its tables"),
    ("Create Table", "SRC DiagnosticEventTableStorageRepository.cs: a table each month"),
    ("Delete Table", "SRC DiagnosticEventTableStorageRepository.cs: removes outdated tables"),
    ("Query Entities", "SRC DiagnosticEventTableStorageRepository.cs: looks whether a table is outdated"),
    ("Insert Entity", "SRC DiagnosticEventTableStorageRepository.cs: writes its events in transactions"),
)


@dataclass(frozen=True, slots=True)
class HostOperation:
    """An operation of the host, and how we know of it."""

    operation: Operation
    source: str


HOST_OPERATIONS = (
    *(
        HostOperation(Operation(name, Resource("data", "queue", queue)), source)
        for queue in (*QUEUES, *FEEDBACK_QUEUES)  # a function listens to each
        for name, source in _LISTENER
    ),
    *(
        HostOperation(
            Operation("Put Message", Resource("data", "queue", f"{queue}-poison")),
            "SRC QueueProcessor.cs: copies what failed maxDequeueCount times",
        )
        for queue in WORK_QUEUES
    ),
    *(HostOperation(Operation(name, HOST), source) for name, source in _HOST_STORAGE),
    HostOperation(
        Operation("Publish Telemetry", Resource("applicationInsights")),
        "DOC azure-monitor, Microsoft Entra authentication for Application Insights; the app exports by the same grant",
    ),
)

DOCUMENTED_ROLES = {
    (HOST, "Storage Blob Data Owner"): "DOC functions-reference, Connecting to host storage with an identity",
}
"""Roles that Microsoft asks for by name, where a smaller one would do for what we know the host to do."""
