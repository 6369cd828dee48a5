"""The tables `outcomes` and `outcomelog`, read as any pipeline could: through the contract, sections 4 and 7, alone.

Nothing here writes. Rows are plain columns, as Azure's client gives them, so that the demo shows what a consumer sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient

Row = Mapping[str, Any]


class PublishedTables:
    """Both tables of one storage account; an async context manager."""

    def __init__(self, connection_string: str) -> None:
        self._client = TableServiceClient.from_connection_string(connection_string)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def read_outcomes(self) -> list[Row]:
        """Every report's and request's row as it stands; none before the app has made the table."""
        return await self._read("outcomes")

    async def read_feed(self) -> list[Row]:
        """Every change so far, oldest first."""
        return sorted(await self._read("outcomelog"), key=lambda row: (row["PartitionKey"], row["RowKey"]))

    async def _read(self, table: str) -> list[Row]:
        try:
            return [dict(row) async for row in self._client.get_table_client(table).list_entities()]
        except ResourceNotFoundError:
            return []
