"""What is at Microsoft already, by every key under which it is known; part of the table `items`.

A mail has up to two item keys (network and internet message id, each with its recipient), a submission its own id.
Whoever notes a key first is what the key stands for; noting again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ..domain.errors import AlreadyExists
from ..domain.model import OutcomeKey
from ..ports import Insert, Table

_PARTITION = "at-microsoft"


class AlreadyAtMicrosoft:
    """Tells which row has an item that reached Microsoft by itself."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def note(self, known_as: Sequence[str], key: OutcomeKey) -> None:
        """Note that the row `key` stands for what has these keys, each unless it stands for another row already."""
        for name in known_as:
            entity = {
                "PartitionKey": _PARTITION,
                "RowKey": name,
                "OutcomePartition": key.partition,
                "SubmissionId": key.submission_id,
            }
            with suppress(AlreadyExists):
                await self._table.write(Insert({**entity}))

    async def find(self, known_as: Sequence[str]) -> OutcomeKey | None:
        """The row that one of these keys stands for, the first first; or None."""
        for name in known_as:
            row = await self._table.get(_PARTITION, name)
            if row is not None:
                return OutcomeKey(str(row.entity["OutcomePartition"]), str(row.entity["SubmissionId"]))
        return None
