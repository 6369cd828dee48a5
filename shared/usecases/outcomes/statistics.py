"""Statistics: keep a row for each day on which something was received, for as long as that day's rows change.

Which days those are, the feed tells: it is read on from where it was left, and each day whose rows have events is
counted anew. So the cost follows the rows of the days that change, not those of history. How far the feed was read is
written last: a run that is cut off is done again, and what two runs at a time count is guarded by each day's row. Once
a day the days that have changed are told in the log, and whether submitting is regular.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta

from ...codecs.statistics import read_day
from ...domain.errors import AlreadyExists, Changed
from ...domain.regularity import LOOK_BACK, PATIENCE, ReportedDay, judge
from ...domain.statistics import DayStatistics
from ...ports import Clock
from ...stores.ledger import Ledger
from ...stores.statistics import StatisticsStore, Upkeep, UpkeepStore
from ...telemetry import Event, emit, raised_at

EVERY = timedelta(hours=1)
OVERLAP = timedelta(hours=1)
"""The feed is read again from so long ago: an event that a stopped process left out is appended late, with its time."""
BEGINS_WITH = timedelta(days=30)
"""So far back the first run of all looks. For what is older, `submissions statistics rebuild`."""
EVENTS_A_RUN = 20_000
RUN_TIME = timedelta(seconds=30)
"""A run begins no day after this; those that are left are rebuilt by the next one."""


class KeepStatistics:
    """The use case that keeps the table `statistics`."""

    def __init__(self, *, ledger: Ledger, statistics: StatisticsStore, upkeep: UpkeepStore, clock: Clock) -> None:
        self._ledger = ledger
        self._statistics = statistics
        self._upkeep = upkeep
        self._clock = clock
        self._next_at: datetime | None = None

    async def run(self) -> None:
        """Rebuild what has changed, once an hour; never raises. In between it costs nothing."""
        now = self._clock.now()
        if self._next_at is not None and now < self._next_at:
            return
        self._next_at = now + EVERY
        try:
            await self._run(now)
        except Exception as error:  # noqa: BLE001 - the run that this follows has settled what it could
            emit(Event.STATISTICS_UNKEPT, error=type(error).__name__, where=raised_at(error))

    async def _run(self, now: datetime) -> None:
        last = await self._upkeep.read() or Upkeep(read_to=now - BEGINS_WITH, ran_at=now - EVERY)
        if not last.days and now < last.ran_at + EVERY:
            self._next_at = last.ran_at + EVERY
            return
        done = await self._rebuild(await self._look(last, now), now + RUN_TIME)
        if done.days:
            self._next_at = now
        elif done.told_on != now.date():
            await self._tell(done, now)
            still_going = frozenset(day for day in done.untold if day >= now.date())
            done = replace(done, untold=still_going, told_on=now.date())
        await self._upkeep.write(done)

    async def _look(self, last: Upkeep, now: datetime) -> Upkeep:
        """What is to be rebuilt, by the feed and by what the last run left."""
        found, read_to, is_end = await self._ledger.days_changed(last.read_to, EVENTS_A_RUN)
        days = last.days | {read_day(key) for key in found}
        return replace(last, read_to=read_to - OVERLAP if is_end else read_to, ran_at=now, days=days)

    async def _rebuild(self, begun: Upkeep, stop_at: datetime) -> Upkeep:
        """Rebuild days, the newest first; one that somebody else has kept meanwhile is left to the next run."""
        kept = await self._statistics.kept(begun.days)
        left, changed = set(begun.days), set[date]()
        for day in sorted(begun.days, reverse=True):
            if self._clock.now() >= stop_at:
                break
            with suppress(AlreadyExists, Changed):
                rebuilt = await self._statistics.rebuild(day, kept.get(day))
                left.remove(day)
                changed |= {day} if rebuilt.is_changed else set()
        return replace(begun, days=frozenset(left), untold=begun.untold | changed)

    async def _tell(self, done: Upkeep, now: datetime) -> None:
        """Tell the days that are over and have changed, and what the last 30 days say of regularity."""
        today = now.date()
        over = {day for day in done.untold if day < today}
        judged_from = today - LOOK_BACK
        kept = [one async for one in self._statistics.between(min(over | {judged_from}), today)]
        for one in kept:
            if one.day in over:
                tell(one)
        tell_regularity([_reported(one) for one in kept if one.day >= judged_from], now)


def tell(one: DayStatistics) -> None:
    """Tell a day's figures in the log."""
    emit(
        Event.STATISTICS,
        day=one.day.isoformat(),
        received=one.received,
        submitted=one.submitted,
        covered=one.covered,
        skipped=one.skipped,
        rejected=one.rejected,
        failed=one.failed,
        expired=one.expired,
        settled=one.settled,
        confirmed=one.confirmed,
        refuted=one.refuted,
        undecided=one.undecided,
        false_negatives=one.false_negatives,
        false_positives=one.false_positives,
        reporters=one.reporters,
        campaigns=one.campaigns,
        disputed=one.disputed,
        disputes_won=one.disputes_won,
        submit_median_s=one.seconds_to_submit_median,
        submit_high_s=one.seconds_to_submit_p95,
        verdict_median_s=one.seconds_to_verdict_median,
        verdict_high_s=one.seconds_to_verdict_p95,
    )


def tell_regularity(days: list[ReportedDay], now: datetime) -> None:
    """Tell whether submitting is regular, by its days alone: late rows and silent timers are told without it."""
    emit(
        Event.REGULARITY,
        regular=judge(days, now, None).verdict.name.lower(),
        received=sum(one.received for one in days),
        submitted=sum(one.submitted for one in days),
        failed=sum(one.failed for one in days),
        missed=sum(one.is_missed for one in days if one.day <= (now - PATIENCE).date() - timedelta(days=1)),
    )


def _reported(one: DayStatistics) -> ReportedDay:
    return ReportedDay(
        one.day,
        received=one.received,
        submitted=one.submitted,
        left_out=one.skipped + one.covered,
        failed=one.failed,
    )
