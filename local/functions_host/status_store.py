"""Where a timer's status survives a restart: the blob that the real host writes, or memory.

The text is JSON with `Last`, `Next` and `LastUpdated`, in the container `azure-webjobs-hosts`, blob
`timers/<host id>/Host.Functions.<function>/status`. The invariant: one text per function, the last one written.
"""

from typing import Protocol, Self

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from local.functions_host.azure_queue import API_VERSION

CONTAINER = "azure-webjobs-hosts"


class StatusStoreError(Exception):
    """The store could not be reached; the timer goes on without it."""


class StatusStore(Protocol):
    """Keeps one short text per timer function; each call may raise `StatusStoreError`."""

    async def read(self, function: str) -> str | None:
        """The text written last; None if there is none."""
        ...

    async def write(self, function: str, text: str) -> None:
        """Replace the function's text."""
        ...


class InMemoryStatusStore:
    """A `StatusStore` that lasts as long as the object: hand the same one to the next host to simulate a restart."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def read(self, function: str) -> str | None:
        """The text written last; None if there is none."""
        return self.texts.get(function)

    async def write(self, function: str, text: str) -> None:
        """Replace the function's text."""
        self.texts[function] = text


class BlobStatusStore:
    """A `StatusStore` in the host's own storage account; an async context manager."""

    def __init__(self, connection_string: str, host_id: str) -> None:
        self._host_id = host_id
        self._client = BlobServiceClient.from_connection_string(
            connection_string, api_version=API_VERSION, retry_total=0
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.close()

    async def read(self, function: str) -> str | None:
        """The blob's text; None if blob or container are not there."""
        try:
            download = await self._client.get_blob_client(CONTAINER, self._blob_name(function)).download_blob()
            return (await download.readall()).decode()
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise StatusStoreError(type(error).__name__) from error

    async def write(self, function: str, text: str) -> None:
        """Write the blob; create the container if it is not there."""
        blob = self._client.get_blob_client(CONTAINER, self._blob_name(function))
        try:
            try:
                await blob.upload_blob(text.encode(), overwrite=True)
            except ResourceNotFoundError:
                await self._create_container()
                await blob.upload_blob(text.encode(), overwrite=True)
        except AzureError as error:
            raise StatusStoreError(type(error).__name__) from error

    async def _create_container(self) -> None:
        try:
            await self._client.create_container(CONTAINER)
        except ResourceExistsError:
            return

    def _blob_name(self, function: str) -> str:
        return f"timers/{self._host_id}/Host.Functions.{function}/status"
