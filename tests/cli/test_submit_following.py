"""Following requests to their verdicts: which rows are looked up, and when it ends."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from local.memory_storage import MemoryTable
from shared.cli.following import Follower
from shared.cli.sending import Sent
from shared.codecs.rows import outcome_entity
from shared.domain import keys
from shared.domain.model import Outcome, OutcomeKey, State
from shared.ports import Replace, Row
from tests.support.outcomes import make_outcome

ID = keys.request_id("case-1")
LATE = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
NEXT_DAY = "20261124"


class CountedTable(MemoryTable):
    """A table that remembers in which partitions was looked."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions: list[str] = []

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""
        self.partitions.append(partition)
        return await super().get(partition, row)


@dataclass
class PlayingClock:
    """Time that moves with each sleep, when the app takes its next step: a row, or nothing."""

    table: MemoryTable
    steps: list[Outcome | None]
    time: datetime = LATE
    sleeps_s: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """The time."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Move the time, and let the app go on."""
        self.time += timedelta(seconds=seconds)
        self.sleeps_s.append(seconds)
        step = self.steps.pop(0) if self.steps else None
        if step is not None:
            await self.table.write(Replace(outcome_entity(step), None))


def row(state: State, partition: str = NEXT_DAY) -> Outcome:
    """The request's row."""
    return replace(make_outcome(1), key=OutcomeKey(partition, ID), state=state)


async def followed(clock: PlayingClock, *, since: datetime = LATE, wait_s: float) -> tuple[bool, list[State]]:
    """Whether the one request became final in time, and how its row then stood."""
    rows: dict[str, Outcome] = {}
    sent = Sent("argument 1", "case-1", ID, since, is_new=True)
    is_final = await Follower(clock.table, clock, rows).follow([sent], wait_s, lambda: None)
    return is_final, [one.state for one in rows.values()]


async def test_a_row_is_followed_until_it_is_final() -> None:
    """Also where the intake sees the message on the next day; once found, one row is read at each look."""
    table = CountedTable()
    clock = PlayingClock(table, [None, row(State.PENDING), row(State.SUBMITTED), row(State.SETTLED)])
    assert await followed(clock, wait_s=60) == (True, [State.SETTLED])
    assert table.partitions[-3:] == [NEXT_DAY] * 3
    assert len(clock.sleeps_s) == 4


async def test_waiting_ends_in_time() -> None:
    """With what was seen last; looks become rarer, and none is made after the time."""
    clock = PlayingClock(CountedTable(), [row(State.PENDING)])
    assert await followed(clock, wait_s=60) == (False, [State.PENDING])
    assert sum(clock.sleeps_s) == 60
    assert clock.sleeps_s[:3] == [1.0, 1.5, 2.25]
    assert max(clock.sleeps_s) == 10


async def test_no_time_is_one_look() -> None:
    """`--wait 0` tells how it stands."""
    table = CountedTable()
    await table.write(Replace(outcome_entity(row(State.SETTLED, "20261123")), None))
    assert await followed(PlayingClock(table, []), wait_s=0) == (True, [State.SETTLED])


async def test_a_request_of_an_earlier_day_is_found() -> None:
    """Its marker tells when it was sent; its row is in that day's partition or a later one."""
    table = CountedTable()
    await table.write(Replace(outcome_entity(row(State.SETTLED, "20261120")), None))
    clock = PlayingClock(table, [])
    assert await followed(clock, since=LATE - timedelta(days=4), wait_s=0) == (True, [State.SETTLED])
    assert table.partitions == ["20261119", "20261120"]
