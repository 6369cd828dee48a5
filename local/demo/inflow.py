"""The people of the sample tenant while the demo runs: users report mail, operators put messages on their queue.

Some reports are there before the app starts, the others arrive one by one. Operators use what the contract gives them:
the queue `manual-submissions` and the container `submission-content`, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.demo.expectation import Expectation, expect_message, expect_report
from local.demo.published_tables import PublishedTables
from local.functions_host.azure_queue import API_VERSION
from local.graph_simulator import SimulatedTenant
from local.sample_tenant import REPORTING_MAILBOX, SampleManualMessage, SampleReport

REPORTS_AT_FIRST: Final = 16
SECONDS_BETWEEN_REPORTS: Final = 0.4
SECONDS_BETWEEN_MESSAGES: Final = 0.7
_QUEUE = "manual-submissions"
_CONTAINER = "submission-content"
_POLL_S = 0.3


@dataclass(slots=True)
class Inflow:
    """What is to come in, and what has: one expectation for each row that it must lead to."""

    reports: Sequence[SampleReport]
    messages: Sequence[SampleManualMessage]
    expectations: list[Expectation] = field(default_factory=list)
    reports_in: int = 0
    messages_in: int = 0

    @property
    def row_count(self) -> int:
        """How many rows there must be in the end."""
        return len(self.reports) + sum(message.expected_state is not None for message in self.messages)

    def deliver(self, tenant: SimulatedTenant, count: int) -> None:
        """Put the next `count` reports into the reporting mailbox."""
        for report in self.reports[self.reports_in : self.reports_in + count]:
            message_id = tenant.deliver(REPORTING_MAILBOX, report.mail)
            self.expectations.append(expect_report(report, message_id))
            self.reports_in += 1

    async def run(self, tenant: SimulatedTenant, connection_string: str, tables: PublishedTables) -> None:
        """Let users and operators do their part; return when all is in. Raises AzureError if storage fails."""
        async with asyncio.TaskGroup() as people:
            people.create_task(self._report(tenant))
            people.create_task(self._request(connection_string, tables))

    async def _report(self, tenant: SimulatedTenant) -> None:
        while self.reports_in < len(self.reports):
            await asyncio.sleep(SECONDS_BETWEEN_REPORTS)
            self.deliver(tenant, 1)

    async def _request(self, connection_string: str, tables: PublishedTables) -> None:
        async with (
            QueueServiceClient.from_connection_string(connection_string, api_version=API_VERSION) as queues,
            BlobServiceClient.from_connection_string(connection_string, api_version=API_VERSION) as blobs,
        ):
            with suppress(ResourceExistsError):
                await queues.create_queue(_QUEUE)
            with suppress(ResourceExistsError):
                await blobs.create_container(_CONTAINER)
            for message in self.messages:
                await asyncio.sleep(SECONDS_BETWEEN_MESSAGES)
                await self._wait_for_row(message.follows, tables)
                for name, content in message.blobs.items():
                    await blobs.get_blob_client(_CONTAINER, name).upload_blob(content)
                await queues.get_queue_client(_QUEUE).send_message(message.body)
                self._expect(message)

    async def _wait_for_row(self, name: str | None, tables: PublishedTables) -> None:
        awaited = next((one for one in self.expectations if one.name == name), None)
        while awaited is not None and not any(map(awaited.is_of, await tables.read_outcomes())):  # noqa: ASYNC110 - the app sets no Event
            await asyncio.sleep(_POLL_S)

    def _expect(self, message: SampleManualMessage) -> None:
        self.messages_in += 1
        expectation = expect_message(message)
        if expectation is not None:
            self.expectations.append(expectation)
