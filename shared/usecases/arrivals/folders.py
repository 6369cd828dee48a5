"""One reporting folder in one run, a turn at a time: a page of its feed, then reports of earlier runs, then its lists.

A page is finished when each of its reports is durable: as a row, or deferred because it failed or the turn's time was
up. So a turn ends in time whatever the page holds, a stop anywhere repeats work and loses nothing, and a report that
raises is deferred alone. Where a run was killed over a page, its reports are deferred first and read then: each try is
counted before it begins, so that one report cannot end the process for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ...domain.deferrals import Trouble, is_given_up, tried_again_at
from ...domain.errors import Gone, GraphError, Refused, Throttled
from ...domain.pace import Pace
from ...domain.submissions import OLDEST_REPORT
from ...ports import ReportHead, ReportPage
from ...settings import ReportingMailbox
from ...stores.checkpoints import Checkpoint, DeferredReport, FolderState, Listing, hash_of
from ...telemetry import Event, emit, fingerprint
from ..mailboxes import tell_unreachable
from .destination import DestinationOfRun
from .folder_reports import Failure, FolderParts, FolderReports

TURN_TIME = timedelta(seconds=20)
"""No read begins later in a turn than this; what is left of its page is read in the next turn."""
TOGETHER = 50
"""Deferred reports in one turn: as many as a page of the feed."""
MOST_REFUSALS = 5
"""So often a report is tried again as soon as its mailbox may be asked; one that is refused alone waits longer then."""
RECENT_EVERY, RECENT = timedelta(hours=1), timedelta(hours=3)
WHOLE_EVERY, WHOLE = timedelta(hours=6), OLDEST_REPORT
"""How often the folder is listed beside its feed, and how far back by the time of receipt."""
SAVED_EVERY = timedelta(minutes=5)
"""How often the checkpoint of a quiet folder is saved: its time says how old a stopped run may be at most."""
KILLED_AFTER = timedelta(minutes=10)
"""No run lives longer (`functionTimeout` in host.json): a checkpoint that is older may be that of a killed one."""


class FolderRound:
    """One folder as one run reads it."""

    def __init__(
        self,
        parts: FolderParts,
        box: ReportingMailbox,
        state: FolderState,
        pace: Pace,
        destination: DestinationOfRun,
    ) -> None:
        self._parts = parts
        self.box = box
        self.reports = FolderReports(parts, box.address, pace, destination)
        self._checkpoint = state.checkpoint or Checkpoint(None, None)
        self._whole_before = self._checkpoint.whole_at
        self.pace = pace
        now = parts.clock.now()
        self._due = deque(sorted((one for one in state.deferred if one.is_due(now)), key=_turn_of))
        self._durable = {one.head.message_id for one in state.deferred}
        self._known_contents: frozenset[str] | None = None
        self._feed_is_read = False

    async def turn(self) -> bool:
        """Do a page's worth of work; whether there is more to do in this run.

        Raises any `GraphError` of the folder's own requests, and whatever storage does when it fails altogether.
        """
        began_at = self._parts.clock.now()
        if not self._feed_is_read:
            began_at = await self._read_page()
        until = began_at + TURN_TIME
        await self._read_deferred(until)
        if self._feed_is_read and not self._due and self.reports.may_read(until):
            await self._list_page()
        is_listing = self._checkpoint.listing is not None or self._next_listing() is not None
        return not self._feed_is_read or bool(self._due) or is_listing

    async def rest(self) -> None:
        """Keep durably until when the mailbox rests, so that the next runs leave it alone, too."""
        if self._checkpoint.rests_until != self._rest():
            await self._save(rests_until=self._rest())

    def _rest(self) -> datetime | None:
        """Until when the mailbox rests, None where that is over."""
        return self.pace.rests_until if self.pace.is_resting(self._parts.clock.now()) else None

    async def _save(self, **facts: object) -> None:
        self._checkpoint = replace(self._checkpoint, **facts)  # type: ignore[arg-type]
        await self._parts.checkpoints.put(self.box.address, self.box.folder, self._checkpoint)

    # --- The feed ---

    async def _read_page(self) -> datetime:
        """Make a page durable; returns when its reading began, from which the turn's time counts."""
        page = await self._next_page()
        now = self._parts.clock.now()
        if page.reports and self._checkpoint.is_reading:
            left: Sequence[ReportHead] = await self.reports.without_row(
                self._not_durable(page.reports), whole_before=self._whole_before
            )
        else:
            if page.reports and self._may_have_been_killed(now):
                await self._save(is_reading=True)
            left = await self._take(page.reports, now + TURN_TIME)
        await self._defer([self._as_left(one, now) for one in left])
        self._durable |= {one.message_id for one in page.reports}
        self._parts.seen.add(page.reports, now - RECENT)
        self._feed_is_read = page.is_last
        if self._tells_something(page):
            saved_at = self._parts.clock.now()
            whole = {"whole_at": saved_at} if page.is_last else {}
            now_saved = {"resume": page.resume, "saved_at": saved_at, "is_reading": False, **whole}
            await self._save(**now_saved, rests_until=self._rest())
        return now

    def _tells_something(self, page: ReportPage) -> bool:
        """Whether the checkpoint moves on. Where a folder has nothing new, the link before is as good for a while."""
        before = self._checkpoint
        is_quiet = page.is_last and not page.reports and before.resume is not None and not before.is_reading
        is_fresh = before.saved_at is not None and self._parts.clock.now() - before.saved_at < SAVED_EVERY
        return not (is_quiet and is_fresh)

    def _may_have_been_killed(self, now: datetime) -> bool:
        """Whether the last run may have been killed over this page: then its next try is marked."""
        saved_at = self._checkpoint.saved_at
        return saved_at is None or now - saved_at >= KILLED_AFTER

    async def _next_page(self) -> ReportPage:
        box, resume = self.box, self._checkpoint.resume
        try:
            return await self._parts.mail.changes(box.address, box.folder, resume)
        except (Gone, Refused):
            if resume is None:
                raise
            emit(Event.DELTA_LINK_EXPIRED, mailbox=fingerprint(box.address))
            page = await self._parts.mail.changes(box.address, box.folder, None)
            self._checkpoint = replace(self._checkpoint, resume=None)
            return page

    # --- Reports of earlier turns and runs ---

    async def _read_deferred(self, until: datetime) -> None:
        """Read what was deferred and is due, once the folder has answered: no outage of a mailbox gives a report up."""
        read = 0
        while self._due and read < TOGETHER and self.reports.may_read(until):
            batch = self._next_batch(TOGETHER - read)
            read += len(batch)
            await self._try_again(batch, until)

    def _next_batch(self, most: int) -> list[DeferredReport]:
        """Some that may be read together; one that a process may have ended over is read alone."""
        if self._due[0].is_begun:
            return [self._due.popleft()]
        batch: list[DeferredReport] = []
        while self._due and len(batch) < most and not self._due[0].is_begun:
            batch.append(self._due.popleft())
        return batch

    async def _try_again(self, batch: Sequence[DeferredReport], until: datetime) -> None:
        now = self._parts.clock.now()
        stopped = [one for one in batch if one.is_begun and self._is_given_up(one, Trouble.STOPPED, now)]
        begun = [one.begun(now) for one in batch if one not in stopped]
        tried = {one.head.message_id: replace(one, due_at=tried_again_at(one.failures, now)) for one in begun}
        await self._parts.checkpoints.update(list(tried.values()))
        # A row of theirs may be half admitted however long ago that was: the checkpoint has moved on without it.
        failures, left = await self.reports.read_in([one.head for one in begun], until, whole_before=None)
        ended = tried.keys() - {one.message_id for one in left} - {one.report.message_id for one in failures}
        further: dict[str, DeferredReport | None] = dict.fromkeys(ended)
        for failure in failures:
            own_id = failure.report.message_id
            further[own_id] = await self._failed_again(tried[own_id], failure)
        for report in stopped:
            further[report.head.message_id] = await self._give_up(report, Trouble.STOPPED, None)
        unread = {one.message_id for one in left}
        put_back = [one for one in batch if one.head.message_id in unread]
        self._due.extendleft(reversed(put_back))
        await self._parts.checkpoints.update([*put_back, *(one for one in further.values() if one is not None)])
        await self._parts.checkpoints.done(*(one for one in batch if further.get(one.head.message_id, one) is None))

    async def _failed_again(self, report: DeferredReport, failure: Failure) -> DeferredReport | None:
        """The report as it is deferred further; None where it is given up, and done with."""
        now = self._parts.clock.now()
        if self._is_given_up(report, failure.trouble, now):
            return await self._give_up(report, failure.trouble, failure)
        return replace(report, is_begun=False, due_at=self._due_again(failure, report.failures, now))

    def _due_again(self, failure: Failure, failures: int, now: datetime) -> datetime:
        """When a report is tried again. A refusal to read is the mailbox's: its rest is enough, unless it goes on."""
        if isinstance(failure.error, Throttled) and failures <= MOST_REFUSALS:
            return self.pace.rests_until or now
        return tried_again_at(failures, now)

    def _is_given_up(self, report: DeferredReport, trouble: Trouble, now: datetime) -> bool:
        return is_given_up(trouble, report.failures, report.first_failed_at, now)

    async def _give_up(
        self, report: DeferredReport, trouble: Trouble, failure: Failure | None
    ) -> DeferredReport | None:
        """Write its failed row; None where that is done.

        A row that storage does not even take as failed is tried again, until Microsoft would not take the mail anyway.
        """
        is_written = await self.reports.give_up(report.head, trouble, failure)
        now = self._parts.clock.now()
        if is_written or now - report.first_failed_at > OLDEST_REPORT:
            return None
        return replace(report, is_begun=False, due_at=tried_again_at(99, now))

    # --- Lists beside the feed ---

    async def _list_page(self) -> None:
        """Defer what the feed may have missed, to be read in the next turn.

        Any row will do here: one that is half admitted is made good where its report was read. A folder that cannot be
        listed is still read by its feed.
        """
        listing = self._checkpoint.listing or self._next_listing()
        if listing is None:
            return
        back = WHOLE if listing.kind == "whole" else RECENT
        box = self.box
        try:
            page = await self._parts.mail.listed(box.address, box.folder, listing.began_at - back, listing.resume)
        except Throttled:
            raise
        except GraphError as error:
            tell_unreachable(box.address, error)
            await self._save(listing=None, **self._listed(listing))
            return
        unseen = await self._unseen(listing, self._parts.seen.without(page.reports))
        missed = await self.reports.without_row(self._not_durable(unseen))
        now = self._parts.clock.now()
        await self._defer([self._as_left(one, now) for one in missed])
        self._parts.seen.add(page.reports, now - RECENT)
        if listing.kind == "whole":
            await self._parts.contents.add(box.address, box.folder, listing, [one.message_id for one in page.reports])
        if not page.is_last:
            await self._save(listing=replace(listing, pages=listing.pages + 1, resume=page.resume))
            return
        if listing.kind == "whole":
            await self._parts.contents.complete(box.address, box.folder, listing)
        await self._save(listing=None, **self._listed(listing))

    def _next_listing(self) -> Listing | None:
        """The list that is due, if any. The whole one tells what the recent one would."""
        now, checkpoint = self._parts.clock.now(), self._checkpoint
        if checkpoint.listed_whole_at is None or now - checkpoint.listed_whole_at >= WHOLE_EVERY:
            return Listing("whole", now)
        if checkpoint.listed_at is None or now - checkpoint.listed_at >= RECENT_EVERY:
            return Listing("recent", now)
        return None

    @staticmethod
    def _listed(listing: Listing) -> dict[str, object]:
        whole = {"listed_whole_at": listing.began_at} if listing.kind == "whole" else {}
        return {"listed_at": listing.began_at, **whole}

    async def _unseen(self, listing: Listing, reports: Sequence[ReportHead]) -> Sequence[ReportHead]:
        """Those that were not in the folder when it was listed whole before.

        Their rows may have been deleted since, with their day; a mail that stays where it is comes once.
        """
        if listing.kind != "whole":
            return reports
        if self._known_contents is None:
            self._known_contents = await self._parts.contents.known(self.box.address, self.box.folder)
        return [one for one in reports if hash_of(one.message_id) not in self._known_contents]

    # --- Reading ---

    async def _take(self, reports: Sequence[ReportHead], until: datetime) -> list[ReportHead]:
        """Make reports durable, as rows or as deferred ones; returns those for which there was no time."""
        failures, left = await self.reports.read_in(self._not_durable(reports), until, whole_before=self._whole_before)
        now = self._parts.clock.now()
        await self._defer([self._as_failed(one, now) for one in failures])
        return left

    # --- Deferring ---

    def _not_durable(self, reports: Sequence[ReportHead]) -> list[ReportHead]:
        """Those that are neither deferred nor read in this run; each once, as a page may tell a mail twice."""
        each_once = {report.message_id: report for report in reports}
        return [report for message_id, report in each_once.items() if message_id not in self._durable]

    async def _defer(self, reports: Sequence[DeferredReport]) -> None:
        await self._parts.checkpoints.defer(reports)
        now = self._parts.clock.now()
        self._due.extend(one for one in reports if one.is_due(now))
        self._durable |= {one.head.message_id for one in reports}

    def _as_left(self, report: ReportHead, now: datetime) -> DeferredReport:
        return DeferredReport(self.box.address, self.box.folder, report, now, failures=0)

    def _as_failed(self, failure: Failure, now: datetime) -> DeferredReport:
        due_at = self._due_again(failure, 1, now)
        return DeferredReport(self.box.address, self.box.folder, failure.report, now, failures=1, due_at=due_at)


def _turn_of(report: DeferredReport) -> tuple[bool, datetime]:
    """Those that may end the process last, the others as they became due."""
    return report.is_begun, report.due_at or report.first_failed_at
