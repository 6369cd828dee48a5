"""Taking in user submissions: a row for each, its item noted, its verdict awaited; nothing is sent.

Order matters: the submission's own key, its item keys, outcome, feed, worklist. Each step may be repeated, and a row
that an earlier look left half done is made good. What this app has submitted itself never gets a second row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from ...domain import keys
from ...domain.errors import GraphError
from ...domain.model import Outcome
from ...domain.user_submissions import BORN, UserSubmission, failed_outcome_of, item_keys, outcome_of
from ...ports import Clock, UserSubmissions
from ...stores.already_at_microsoft import AlreadyAtMicrosoft
from ...stores.ledger import Ledger, WorkItem
from ...telemetry import Event, emit, raised_at
from .sources import Look, Taken

ROWS_AT_ONCE = 50
CLOCKS_DIFFER = timedelta(minutes=10)
"""Microsoft's clock and those of our workers; also how long before our own event a submission of ours may be."""


class UserSubmissionSource:
    """One teller of user submissions. `counts` says whether what it tells is at Microsoft; None: it always is."""

    def __init__(
        self,
        name: str,
        told_by: UserSubmissions,
        *,
        counts: Callable[[], Awaitable[bool]] | None,
        ledger: Ledger,
        at_microsoft: AlreadyAtMicrosoft,
        clock: Clock,
    ) -> None:
        self.name = name
        self._told_by = told_by
        self._counts = counts
        self._ledger = ledger
        self._at_microsoft = at_microsoft
        self._clock = clock

    async def take(self, look: Look) -> Taken:
        """Give every user submission of a page its row; see the protocol."""
        if self._counts is not None and not await self._counts():
            return Taken(0)
        resume = () if look.resume is None else (look.resume,)
        told = await self._told_by.told_since(look.since, *resume)
        submissions = self._of_the_past(told.submissions)
        unusable = told.unusable + len(told.submissions) - len(submissions)
        if unusable:
            emit(Event.SOURCE_ROWS_UNUSABLE, source=self.name, count=unusable)
        new, unwritten = 0, list[UserSubmission]()
        for start in range(0, len(submissions), ROWS_AT_ONCE):
            taken, failed = await self._take_each(submissions[start : start + ROWS_AT_ONCE], look)
            new, unwritten = new + taken, unwritten + failed
        lacking = [one for one in unwritten if not await self._gave_up(one, look)]
        if new:
            emit(Event.SOURCE_READ, source=self.name, count=new)
        return Taken(new, len(lacking), told.resume)

    async def _take_each(self, told: Sequence[UserSubmission], look: Look) -> tuple[int, list[UserSubmission]]:
        """How many of these are new, and those that could not be taken, found by halving: one stops no other."""
        try:
            return await self._take(told, look), []
        except GraphError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one row does, it does to itself
            if len(told) == 1:
                self._tell_failed(told[0], error)
                return 0, list(told)
        half = len(told) // 2
        first, unwritten = await self._take_each(told[:half], look)
        second, others = await self._take_each(told[half:], look)
        return first + second, unwritten + others

    def _tell_failed(self, submission: UserSubmission, error: Exception) -> None:
        emit(
            Event.SOURCE_ROW_FAILED,
            source=self.name,
            submission_id=keys.microsoft_id(submission.submission_id),
            error=type(error).__name__,
            where=raised_at(error),
        )

    async def _gave_up(self, submission: UserSubmission, look: Look) -> bool:
        """Whether a submission that cannot be taken has its failed row by now: it was tried for long enough.

        One that has a row already, which was left half done, is made good instead.
        """
        if look.give_up_before is None or submission.created_at >= look.give_up_before:
            return False
        row = failed_outcome_of(submission, self._clock.now())
        try:
            has_failed = await self._admit([row])
        except Exception:  # noqa: BLE001 - the row is tried again, and was told above
            return False
        if has_failed:
            emit(Event.GAVE_UP, submission_id=row.key.submission_id, reason=row.state_reason)
        return True

    def _of_the_past(self, told: Sequence[UserSubmission]) -> list[UserSubmission]:
        """Those that can have been made by now: a row from the far future would never pass its deadline."""
        latest = self._clock.now() + CLOCKS_DIFFER
        return [one for one in told if one.created_at <= latest]

    async def _take(self, told: Sequence[UserSubmission], look: Look) -> int:
        rows = await asyncio.gather(*(self._row_of(one) for one in told))
        known = [(one, row) for one, row in zip(told, rows, strict=True) if row is not None]
        await asyncio.gather(*(self._learn(one, row) for one, row in known))
        open_ones = [one for one, row in zip(told, rows, strict=True) if row is None or not _is_whole(row, look)]
        if not open_ones:
            return 0
        ours = await self._ours_since(min(one.created_at for one in open_ones) - CLOCKS_DIFFER)
        theirs = [one for one in open_ones if one.submission_id.lower() not in ours]
        return await self._admit(await asyncio.gather(*(self._noted(one) for one in theirs)))

    async def _row_of(self, submission: UserSubmission) -> Outcome | None:
        key = await self._at_microsoft.find([keys.microsoft_id(submission.submission_id)])
        stored = None if key is None else await self._ledger.get(key)
        return None if stored is None else stored.outcome

    async def _learn(self, submission: UserSubmission, row: Outcome) -> None:
        """Note what the item is known by besides: an alert tells an id that the list leaves out."""
        if submission.network_message_id and row.network_message_id is None:
            await self._at_microsoft.note(item_keys(submission), row.key)

    async def _ours_since(self, since: datetime) -> set[str]:
        return {one.lower() for one in await self._ledger.submitted_since(since)}

    async def _noted(self, submission: UserSubmission) -> Outcome:
        """The submission's row, its keys noted. Two tellers may give two times, and so two days: the first counts."""
        own_id = keys.microsoft_id(submission.submission_id)
        await self._at_microsoft.note([own_id], submission.new_key)
        key = await self._at_microsoft.find([own_id]) or submission.new_key
        await self._at_microsoft.note(item_keys(submission), key)
        return outcome_of(submission, key, self._clock.now())

    async def _admit(self, rows: Sequence[Outcome]) -> int:
        created = await self._ledger.create([_work_item(row) for row in rows])
        for row, one in zip(rows, created, strict=True):
            if one is None:
                await self._make_good(row)
        return sum(one is not None for one in created)

    async def _make_good(self, row: Outcome) -> None:
        """Make good the event and the entry of a row that has not gone on."""
        stored = await self._ledger.get(row.key)
        if stored is not None and stored.outcome.state in BORN and not await self._ledger.is_whole(stored):
            await self._ledger.add(_work_item(stored.outcome), stored)


def _is_whole(row: Outcome, look: Look) -> bool:
    """Whether nothing is left to do for a row; one from after the last look may be half done."""
    if row.state not in BORN:
        return True
    return look.settled_before is not None and row.collected_at < look.settled_before - CLOCKS_DIFFER


def _work_item(row: Outcome) -> WorkItem:
    return WorkItem(outcome=row, etag="", due_at=row.received_at)
