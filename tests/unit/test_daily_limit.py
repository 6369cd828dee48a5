"""The day's count of submissions, as the quota keeps it."""

from dataclasses import replace
from datetime import timedelta

from local.functions_host import SimulatedClock
from local.memory_storage import MemoryTable
from shared.domain.planner import DayCount
from shared.stores.quota import Quota, QuotaStore


async def test_a_day_without_submissions_ends_the_days_count() -> None:
    """Submissions leave the day's count after 24 hours, also when none was sent since: a full day opens again."""
    clock = SimulatedClock()
    quota = QuotaStore(MemoryTable(), clock)
    full = replace(Quota(None), sent_today=DayCount().with_sent(clock.now()))
    await clock.advance(timedelta(hours=23).total_seconds())
    still_full = await quota.tidy(full)
    await clock.advance(timedelta(hours=1, minutes=2).total_seconds())
    open_again = await quota.tidy(full)
    assert still_full is not None
    assert open_again is not None
    assert (still_full.sent_today.total(), open_again.sent_today.total()) == (1, 0)
