"""Ledgers over tables in memory, for tests of what stands above them."""

from local.memory_storage import MemoryTable
from shared.ports import Clock, Table
from shared.stores.ledger import Ledger
from shared.stores.outcomes import OutcomeStore
from shared.stores.worklist import Worklist


def new_ledger(
    clock: Clock, *, outcomes: Table | None = None, log: Table | None = None, worklist: Table | None = None
) -> Ledger:
    """Return a ledger over these tables; over empty ones where none is given."""
    return Ledger(
        OutcomeStore(outcomes or MemoryTable(), log or MemoryTable(), clock), Worklist(worklist or MemoryTable())
    )
