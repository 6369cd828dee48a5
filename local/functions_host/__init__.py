"""A stand-in for the Azure Functions host, for development and tests where Core Tools are absent.

It runs the queue and timer triggers of a Python v2 app with the platform's documented and recorded semantics, over
Azurite or over an in-memory queue with simulated time. It is not the Functions host: HTTP triggers, output bindings,
scaling and singleton leases do not exist here, and production runs on Azure Functions. Its one invariant: what an app
can observe of retries, poison queues, renewal, shutdown and missed timers is what the recorded listeners did.
"""

from local.functions_host.clock import Clock, Random, SimulatedClock, SystemClock
from local.functions_host.config import HostConfig, HostConfigError, QueueOptions, load_host_config, read_host_config
from local.functions_host.events import HostEvent, Observer
from local.functions_host.host import FunctionsHost
from local.functions_host.memory_queue import InMemoryQueueService
from local.functions_host.queue_service import (
    MessageNotFoundError,
    PopReceiptMismatchError,
    QueueNotFoundError,
    QueueService,
    QueueServiceError,
    ReceivedMessage,
    UnreadableBatchError,
)
from local.functions_host.status_store import InMemoryStatusStore, StatusStore
from local.functions_host.worker import InvocationFailedError

__all__ = [
    "Clock",
    "FunctionsHost",
    "HostConfig",
    "HostConfigError",
    "HostEvent",
    "InMemoryQueueService",
    "InMemoryStatusStore",
    "InvocationFailedError",
    "MessageNotFoundError",
    "Observer",
    "PopReceiptMismatchError",
    "QueueNotFoundError",
    "QueueOptions",
    "QueueService",
    "QueueServiceError",
    "Random",
    "ReceivedMessage",
    "SimulatedClock",
    "StatusStore",
    "SystemClock",
    "UnreadableBatchError",
    "load_host_config",
    "read_host_config",
]
