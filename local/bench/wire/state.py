"""Everything that an account holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.bench.wire.queues_and_blobs import StoredContainer, StoredQueue
from local.bench.wire.tables import StoredTable


@dataclass(slots=True)
class StorageState:
    """Tables, queues and containers by name."""

    tables: dict[str, StoredTable] = field(default_factory=dict)
    queues: dict[str, StoredQueue] = field(default_factory=dict)
    containers: dict[str, StoredContainer] = field(default_factory=dict)

    def copy(self) -> StorageState:
        """Another account that holds the same: nothing that is written here shows there."""
        return StorageState(
            {name: table.copy() for name, table in self.tables.items()},
            {name: queue.copy() for name, queue in self.queues.items()},
            {name: container.copy() for name, container in self.containers.items()},
        )
