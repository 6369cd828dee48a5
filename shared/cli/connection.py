"""The data account, reached as the person who runs the command.

A place is chosen by `--account`, by `--local`, or by the settings in the environment. The invariant: a client is opened
when a command first asks for a table, queue or container of its service, and no sooner; so a command needs no right, no
address and no import beyond what it does. Nothing is asked of a service until something is read or written.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from ..settings import DATA_STORAGE, SettingsError, StorageAccess, load_storage_access

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableClient

    from ..adapters.storage import AzureBlobs, AzureQueue, AzureTable

ACCOUNT_VARIABLE = "SUBMISSIONS_ACCOUNT"
LOCAL_SETTINGS = "local.settings.json"
_DEVELOPMENT = "UseDevelopmentStorage=true"
# A person waits: the libraries' own patience, a minute and more, is meant for servers.
_TABLE_PATIENCE: dict[str, Any] = {"retry_total": 3, "retry_backoff_factor": 0.3}
_PATIENCE: dict[str, Any] = {"retry_total": 3, "initial_backoff": 1, "increment_base": 2}


class _Client(Protocol):
    async def close(self) -> None: ...


Opened = TypeVar("Opened", bound=_Client)


def choose_place(account: str | None, *, is_local: bool, environment: Mapping[str, str]) -> StorageAccess:
    """The account that the options and the environment name. Raises `click.UsageError` where they name none or two."""
    if account and is_local:
        raise click.UsageError("--account and --local name two places: give one of them")
    if is_local:
        return _read_access({DATA_STORAGE: _local_storage(environment)})
    account = account or environment.get(ACCOUNT_VARIABLE)
    if account:
        return _access_to(account)
    access = _read_access({name: value for name, value in environment.items() if name.startswith(DATA_STORAGE)})
    if access == StorageAccess():
        raise click.UsageError(f"which storage account? Give --account NAME, set {ACCOUNT_VARIABLE}, or use --local")
    return access


def _access_to(account: str) -> StorageAccess:
    if not re.fullmatch(r"[a-z0-9]{3,24}", account):
        raise click.UsageError("--account is a storage account's name: 3 to 24 lower-case letters and digits")
    return StorageAccess(
        queue_service_uri=f"https://{account}.queue.core.windows.net",
        table_service_uri=f"https://{account}.table.core.windows.net",
        blob_service_uri=f"https://{account}.blob.core.windows.net",
    )


def _local_storage(environment: Mapping[str, str]) -> str:
    """The connection string for local work: of the environment, of the settings file here, else the emulator's own."""
    if environment.get(DATA_STORAGE):
        return environment[DATA_STORAGE]
    file = Path(LOCAL_SETTINGS)
    if not file.exists():
        return _DEVELOPMENT
    try:
        values = json.loads(file.read_text(encoding="utf-8"))["Values"]
        return str(values.get(DATA_STORAGE, _DEVELOPMENT))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise click.UsageError(f"{LOCAL_SETTINGS} here is not one: it needs an object `Values`") from None


def _read_access(mapping: Mapping[str, str]) -> StorageAccess:
    try:
        return load_storage_access(mapping)
    except SettingsError as error:
        raise click.UsageError("; ".join(error.problems)) from None


class Connection:
    """Tables, queues and containers of the account by name, each opened when it is asked for.

    Made by `open_connection`, and of use only inside it.
    """

    def __init__(self, access: StorageAccess, resources: AsyncExitStack) -> None:
        self._access = access
        self._resources = resources
        self._services: dict[str, Any] = {}
        self._credential: AsyncTokenCredential | None = None

    def table(self, name: str) -> AzureTable:
        """A table, for example `outcomes`."""
        from ..adapters.storage import AzureTable  # noqa: PLC0415 - dear, and not every command reads tables

        return AzureTable(self.table_client(name))

    def table_client(self, name: str) -> TableClient:
        """The library's own client of a table, for filters and `Timestamp`, which `AzureTable` does not have."""
        from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415 - as above

        service = self._service(TableServiceClient, self._access.table_service_uri, _TABLE_PATIENCE)
        client: TableClient = service.get_table_client(name)
        return client

    def queue(self, name: str) -> AzureQueue:
        """A queue, for example `manual-submissions`."""
        from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415 - as above

        from ..adapters.storage import API_VERSION, AzureQueue  # noqa: PLC0415

        options = {**_PATIENCE, "api_version": API_VERSION}
        service = self._service(QueueServiceClient, self._access.queue_service_uri, options)
        return AzureQueue(service.get_queue_client(name))

    def container(self, name: str) -> AzureBlobs:
        """A container, for example `submission-content`."""
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415 - as above

        from ..adapters.storage import API_VERSION, AzureBlobs  # noqa: PLC0415

        options = {**_PATIENCE, "api_version": API_VERSION}
        service = self._service(BlobServiceClient, self._access.blob_service_uri, options)
        return AzureBlobs(service.get_container_client(name))

    def _service(self, kind: Any, uri: str | None, options: Mapping[str, Any]) -> Any:
        """The one client of a service, made when first asked for."""
        if kind.__name__ not in self._services:
            self._services[kind.__name__] = self._closing(self._made(kind, uri, options))
        return self._services[kind.__name__]

    def _made(self, kind: Any, uri: str | None, options: Mapping[str, Any]) -> Any:
        from ..adapters.proxies import ProxiedTransport  # noqa: PLC0415 - as above

        options = {**options, "transport": ProxiedTransport()}
        if self._access.connection_string is not None:
            return kind.from_connection_string(self._access.connection_string, **options)
        if uri is None:
            setting = kind.__name__.removesuffix("ServiceClient").lower()
            raise click.UsageError(f"the setting {DATA_STORAGE}__{setting}ServiceUri is missing; --account names all")
        return kind(uri, credential=self._identity(), **options)

    def _identity(self) -> AsyncTokenCredential:
        """Who runs the command; a token is fetched with the first request."""
        if self._credential is None:
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - never needed with --local

            self._credential = self._closing(DefaultAzureCredential())
        return self._credential

    def _closing(self, client: Opened) -> Opened:
        self._resources.push_async_callback(client.close)
        return client


@asynccontextmanager
async def open_connection(access: StorageAccess) -> AsyncIterator[Connection]:
    """The account for one `async with` block, which closes whatever was opened."""
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # its warnings tell addresses, and no line's remedy
    async with AsyncExitStack() as resources:
        yield Connection(access, resources)
