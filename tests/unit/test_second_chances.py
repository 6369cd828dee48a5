"""Second chances: what failed for its message alone is replayed once, also where an earlier version wrote its entry."""

from datetime import timedelta

import pytest

from local.memory_storage import MemoryTable
from shared.domain.model import State
from shared.ports import Replace
from shared.stores.ledger import Ledger, WorkItem
from shared.stores.replays import Replays
from shared.usecases.outcomes.second_chances import AFTER, SecondChances
from shared.usecases.trouble import Trouble
from tests.support.ledgers import new_ledger
from tests.support.outcomes import NOW, make_outcome, submission_id
from tests.support.stage import StageClock

LATER = NOW + timedelta(hours=1)


class Failures:
    """Rows that failed, and who asks for their replay; `start_process` begins another one."""

    def __init__(self) -> None:
        self.clock = StageClock(NOW)
        self.worklist = MemoryTable()
        self.ledger: Ledger = new_ledger(self.clock, worklist=self.worklist)
        self.replays = Replays(MemoryTable(), self.clock)
        self.start_process()

    def start_process(self) -> None:
        """Forget what a process remembers."""
        self.chances = SecondChances(self.ledger, self.replays, Trouble(self.ledger), self.clock)

    async def fail(self, number: int, reason: str = "poison_message") -> None:
        """Let a row have failed."""
        row = make_outcome(number, state=State.FAILED, state_reason=reason)
        await self.ledger.create([WorkItem(outcome=row, etag="", due_at=NOW)])

    async def asked_for(self) -> list[str]:
        """Run; returns the rows that are asked for by now."""
        await self.chances.run(LATER)
        return sorted(await self.replays.waiting_ids())


@pytest.fixture
def failures() -> Failures:
    """Return failures of which there are none."""
    return Failures()


@pytest.mark.parametrize("is_new_process", [True, False])
async def test_a_row_gets_one_second_chance(failures: Failures, is_new_process: bool) -> None:
    """Ten minutes after its message failed, and once; what failed for another reason gets none."""
    for _ in range(0 if is_new_process else 3):
        assert await failures.asked_for() == []
        failures.clock.advance(seconds=AFTER.total_seconds())
    await failures.fail(1)
    await failures.fail(2, "no_effect")
    assert await failures.asked_for() == []
    failures.clock.advance(seconds=AFTER.total_seconds())
    assert await failures.asked_for() == [submission_id(1)]
    (request,) = await failures.replays.waiting()
    await failures.replays.done(request)
    assert await failures.asked_for() == []


async def test_an_entry_of_an_earlier_version_is_found_by_the_process_that_follows_it(failures: Failures) -> None:
    """It lacks the column by which the service picks it; an update of the app begins another process."""
    await failures.fail(1)
    (row,) = failures.worklist.rows()
    await failures.worklist.write(Replace({name: row[name] for name in row if name != "SecondChance"}))
    failures.start_process()
    assert await failures.asked_for() == []
    failures.clock.advance(seconds=AFTER.total_seconds())
    assert await failures.asked_for() == [submission_id(1)]
