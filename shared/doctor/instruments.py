"""The doctor's real instruments: the clients of the app, opened without making anything.

`bootstrap.connect` makes missing tables and queues in local work; an examination must find them missing. So it opens
the same clients, and nothing else.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from ..adapters.graph.mail import GraphMail
from ..adapters.storage import AzureBlobs, AzureTable
from ..adapters.system_clock import SystemClock
from ..bootstrap import (
    TABLES,
    ServiceClients,
    container_names,
    open_credential,
    open_graph,
    open_storage,
    queue_names,
)
from ..bootstrap_sources import source_ports
from ..settings import Settings
from .ports import Instruments
from .probes import ContainerProbe, CredentialTokens, HttpWeb, QueueProbe, TableProbe, TextProbe


async def open_instruments(settings: Settings, resources: AsyncExitStack) -> Instruments:
    """Everything outside, under these settings; `resources` closes it."""
    credential = await open_credential(settings, resources)
    transport = await open_graph(settings, credential, resources)
    clients = await open_storage(settings.submissions_storage, credential, resources)
    tokens = CredentialTokens(credential)
    return Instruments(
        clock=SystemClock(),
        web=HttpWeb(settings.graph_base_url, tokens),
        tokens=tokens,
        graph=transport,
        mail=GraphMail(transport),
        sources=source_ports(transport),
        service_urls=tuple(str(service.url) for service in (clients.queues, clients.tables, clients.blobs)),
        queues=[QueueProbe(clients.queues.get_queue_client(name)) for name in queue_names(settings)],
        tables=_tables(clients),
        containers=[ContainerProbe(clients.blobs.get_container_client(name)) for name in container_names(settings)],
        texts=TextProbe(AzureBlobs(clients.blobs.get_container_client("feedback-texts"))),
    )


def _tables(clients: ServiceClients) -> list[TableProbe]:
    return [TableProbe(name, AzureTable(clients.tables.get_table_client(name))) for name in TABLES]
