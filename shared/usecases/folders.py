"""One reporting folder in one run, a turn at a time: a page of its feed, then reports of earlier runs, then its lists.

A page is finished when each of its reports is durable: as a row, or deferred because it failed or the turn's time was
up. So a turn ends in time whatever the page holds, a stop anywhere repeats work and loses nothing, and a report that
raises is deferred alone. Where a run was killed over a page, its reports are deferred first and read then: each try is
counted before it begins, so that one report cannot end the process for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.domain.deferrals import Trouble, is_given_up, tried_again_at
from shared.domain.errors import Gone, GraphError, Refused, Throttled
from shared.domain.lifecycle import FIRST_STATES
from shared.domain.submissions import OLDEST_REPORT
from shared.ports import Clock, MailSource, ReportHead, ReportPage
from shared.settings import ReportingMailbox
from shared.stores.checkpoints import (
    Checkpoint,
    CheckpointStore,
    DeferredReport,
    FolderContents,
    Listing,
    hash_of,
)
from shared.stores.outcomes import OutcomeStore
from shared.telemetry import Event, emit, fingerprint, raised_at
from shared.usecases.admission import Admission, Candidate
from shared.usecases.mailboxes import tell_unreachable
from shared.usecases.reading import ReportPlace, ReportReader

TURN_TIME = timedelta(seconds=20)
"""No read begins later in a turn than this; what is left of its page is read in the next turn."""
READ_TIME_S = 60.0
"""Longest time for one report: several requests, each of which may take as long."""
TOGETHER = 50
"""Deferred reports in one turn: as many as a page of the feed."""
CONCURRENT_READS = 4
"""Outlook serves four requests at a time per app and mailbox (Graph throttling limits)."""
SERVED_BEFORE_MORE = 10
MOST_REFUSALS = 5
"""So often a report is tried again as soon as its mailbox may be asked; one that is refused alone waits longer then."""
REST_UNTOLD = timedelta(minutes=1)
LONGEST_REST = timedelta(days=1)
"""How long a mailbox rests that was refused without a Retry-After or failed, and the longest that Graph may ask for."""
RECENT_EVERY, RECENT = timedelta(hours=1), timedelta(hours=3)
WHOLE_EVERY, WHOLE = timedelta(hours=6), OLDEST_REPORT
"""How often the folder is listed beside its feed, and how far back by the time of receipt."""
CLOCKS_DIFFER = timedelta(minutes=5)
_ANY_ROW = datetime.max.replace(tzinfo=UTC)
KILLED_AFTER = timedelta(minutes=10)
"""No run lives longer (`functionTimeout` in host.json): a checkpoint that is older may be that of a killed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderParts:
    """What reading a folder needs, the same for every folder."""

    mail: MailSource
    reader: ReportReader
    outcomes: OutcomeStore
    admission: Admission
    checkpoints: CheckpointStore
    contents: FolderContents
    clock: Clock


@dataclass(frozen=True, slots=True)
class Read:
    """A report that was read: the candidate of its row, None where it has a whole one already."""

    report: ReportHead
    candidate: Candidate | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A report that could not be read or written, and why."""

    report: ReportHead
    error: Exception

    @property
    def trouble(self) -> Trouble:
        """What kind of failure it is."""
        if isinstance(self.error, Refused):
            return Trouble.REFUSED
        is_outside = isinstance(self.error, GraphError | TimeoutError)
        return Trouble.UNAVAILABLE if is_outside else Trouble.ERROR


@dataclass(slots=True)
class Pace:
    """How fast a mailbox may be read: one report at a time after a refusal, one more with every ten that are read."""

    at_once: int = CONCURRENT_READS
    served_since: int = 0
    rests_until: datetime | None = None
    refusals: int = 0
    """In a row; how often a rest is waited for within a run hangs on it."""

    def refused(self, error: GraphError, now: datetime) -> None:
        """Rest as long as Graph asks for, and begin slowly then."""
        asked_s = error.retry_after_s if isinstance(error, Throttled) else None
        if asked_s is None:
            self.rest(now)
            return
        self._rest_for(timedelta(seconds=min(max(asked_s, 1), LONGEST_REST.total_seconds())), now)

    def rest(self, now: datetime) -> None:
        """Rest as after a refusal that does not say how long."""
        self._rest_for(REST_UNTOLD, now)

    def served(self) -> None:
        """A report was read without a refusal."""
        self.refusals = 0
        self.served_since += 1
        if self.served_since >= SERVED_BEFORE_MORE:
            self.at_once, self.served_since = min(self.at_once + 1, CONCURRENT_READS), 0

    def _rest_for(self, span: timedelta, now: datetime) -> None:
        self.rests_until = max(self.rests_until or now, now + span)
        self.at_once, self.served_since = 1, 0
        self.refusals += 1

    def is_resting(self, now: datetime) -> bool:
        """Whether nothing may be asked for now."""
        return self.rests_until is not None and now < self.rests_until


class FolderRound:
    """One folder as one run reads it; `new` counts the rows that it has made."""

    def __init__(
        self,
        parts: FolderParts,
        box: ReportingMailbox,
        checkpoint: Checkpoint | None,
        pace: Pace,
        *,
        reports_reach_microsoft: bool,
    ) -> None:
        self._parts = parts
        self.box = box
        self._checkpoint = checkpoint or Checkpoint(None, None)
        self._whole_before = self._checkpoint.saved_at
        self.pace = pace
        self._reach_microsoft = reports_reach_microsoft
        self._due: deque[DeferredReport] = deque()
        self._durable: set[str] = set()
        self._known_contents: frozenset[str] | None = None
        self._feed_is_read = False
        self.new = 0
        self.turns = 0

    async def turn(self) -> bool:
        """Do a page's worth of work; whether there is more to do in this run.

        Raises any `GraphError` of the folder's own requests, and whatever storage does when it fails altogether.
        """
        self.turns += 1
        if self.turns == 1:
            await self._find_deferred()
        began_at = self._parts.clock.now()
        if not self._feed_is_read:
            began_at = await self._read_page()
        until = began_at + TURN_TIME
        await self._read_deferred(until)
        if self._feed_is_read and not self._due and self._may_read(until):
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

    def _may_read(self, until: datetime) -> bool:
        now = self._parts.clock.now()
        return now < until and not self.pace.is_resting(now)

    # --- The feed ---

    async def _read_page(self) -> datetime:
        """Make a page durable; returns when its reading began, from which the turn's time counts."""
        page = await self._next_page()
        now = self._parts.clock.now()
        if page.reports and self._checkpoint.is_reading:
            left: Sequence[ReportHead] = await self._without_row(
                self._not_durable(page.reports), whole_before=self._whole_before
            )
        else:
            if page.reports and self._may_have_been_killed(now):
                await self._save(is_reading=True)
            left = await self._take(page.reports, now + TURN_TIME)
        await self._defer([self._as_left(one, now) for one in left])
        self._durable |= {one.message_id for one in page.reports}
        self._feed_is_read = page.is_last
        now_saved = {"resume": page.resume, "saved_at": self._parts.clock.now(), "is_reading": False}
        await self._save(**now_saved, rests_until=self._rest())
        return now

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
            return await self._parts.mail.changes(box.address, box.folder, None)

    async def _without_row(
        self, reports: Sequence[ReportHead], *, whole_before: datetime | None = _ANY_ROW
    ) -> list[ReportHead]:
        """Those without a whole row; one whose row cannot even be looked for is told when its turn comes."""
        known = await asyncio.gather(*(self._is_known(one, whole_before) for one in reports), return_exceptions=True)
        for one in known:
            if isinstance(one, BaseException) and not isinstance(one, Exception):
                raise one
        return [report for report, is_known in zip(reports, known, strict=True) if is_known is not True]

    # --- Reports of earlier turns and runs ---

    async def _find_deferred(self) -> None:
        found = await self._parts.checkpoints.deferred(self.box.address, self.box.folder)
        now = self._parts.clock.now()
        self._due = deque(sorted((one for one in found if one.is_due(now)), key=_turn_of))
        self._durable = {one.head.message_id for one in found}

    async def _read_deferred(self, until: datetime) -> None:
        """Read what was deferred and is due, once the folder has answered: no outage of a mailbox gives a report up."""
        read = 0
        while self._due and read < TOGETHER and self._may_read(until):
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
        failures, left = await self._read_in([one.head for one in begun], until, whole_before=None)
        ended = tried.keys() - {one.message_id for one in left} - {one.report.message_id for one in failures}
        done = [tried[one] for one in ended]
        for failure in failures:
            done += await self._failed_again(tried[failure.report.message_id], failure)
        for report in stopped:
            done += await self._give_up(report, Trouble.STOPPED, None)
        unread = {one.message_id for one in left}
        put_back = [one for one in batch if one.head.message_id in unread]
        await self._parts.checkpoints.update(put_back)
        self._due.extendleft(reversed(put_back))
        await self._parts.checkpoints.done(*done)

    async def _failed_again(self, report: DeferredReport, failure: Failure) -> list[DeferredReport]:
        """Defer it further, or give it up; the report itself where it is done with."""
        now = self._parts.clock.now()
        if self._is_given_up(report, failure.trouble, now):
            return await self._give_up(report, failure.trouble, failure)
        due_at = self._due_again(failure, report.failures, now)
        await self._parts.checkpoints.update([replace(report, is_begun=False, due_at=due_at)])
        return []

    def _due_again(self, failure: Failure, failures: int, now: datetime) -> datetime:
        """When a report is tried again. A refusal to read is the mailbox's: its rest is enough, unless it goes on."""
        if isinstance(failure.error, Throttled) and failures <= MOST_REFUSALS:
            return self.pace.rests_until or now
        return tried_again_at(failures, now)

    def _is_given_up(self, report: DeferredReport, trouble: Trouble, now: datetime) -> bool:
        return is_given_up(trouble, report.failures, report.first_failed_at, now)

    async def _give_up(self, report: DeferredReport, trouble: Trouble, failure: Failure | None) -> list[DeferredReport]:
        """Write its failed row; the report itself where that is done.

        A row that storage does not even take as failed is tried again, until Microsoft would not take the mail anyway.
        """
        place = self._place(report.head)
        candidate = _given_up(self._parts.reader, place, trouble, failure)
        if not await self._let_in([Read(report.head, candidate)]):
            return [report]
        now = self._parts.clock.now()
        if now - report.first_failed_at > OLDEST_REPORT:
            return [report]
        await self._parts.checkpoints.update([replace(report, is_begun=False, due_at=tried_again_at(99, now))])
        return []

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
        missed = await self._without_row(self._not_durable(await self._unseen(listing, page.reports)))
        now = self._parts.clock.now()
        await self._defer([self._as_left(one, now) for one in missed])
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
        failures, left = await self._read_in(self._not_durable(reports), until, whole_before=self._whole_before)
        now = self._parts.clock.now()
        await self._defer([self._as_failed(one, now) for one in failures])
        return left

    async def _read_in(
        self, reports: Sequence[ReportHead], until: datetime, *, whole_before: datetime | None
    ) -> tuple[list[Failure], list[ReportHead]]:
        """Read reports and write their rows; returns those that failed, and those for which there was no time."""
        found, left = await self._read_all(reports, until, whole_before)
        unwritten = await self._let_in([one for one in found if isinstance(one, Read) and one.candidate is not None])
        return [*(one for one in found if isinstance(one, Failure)), *unwritten], left

    async def _read_all(
        self, reports: Sequence[ReportHead], until: datetime, whole_before: datetime | None
    ) -> tuple[list[Read | Failure], list[ReportHead]]:
        """Read as many as the time and the mailbox admit; returns what came of each, and what is left."""
        waiting, running = deque(reports), set[asyncio.Task[Read | Failure]]()
        found: list[Read | Failure] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.pace.at_once and self._may_read(until):
                    running.add(asyncio.create_task(self._read(waiting.popleft(), whole_before)))
                if not running:
                    break
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                found += await asyncio.gather(*done)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return found, list(waiting)

    async def _read(self, report: ReportHead, whole_before: datetime | None) -> Read | Failure:
        try:
            async with asyncio.timeout(READ_TIME_S):
                if await self._is_known(report, whole_before):
                    return Read(report, None)
                candidate = await self._parts.reader.read(self._place(report))
        except Exception as error:  # noqa: BLE001 - whatever one report does, it does to itself
            if isinstance(error, Throttled):
                self.pace.refused(error, self._parts.clock.now())
            return self._told(Failure(report, error))
        self.pace.served()
        return Read(report, candidate)

    async def _is_known(self, report: ReportHead, whole_before: datetime | None) -> bool:
        """Whether the report has its row already, whole.

        A row from after the last checkpoint may lack its event or its place on the worklist: it is read again.
        """
        stored = await self._parts.outcomes.get(self._place(report).key)
        if stored is None or stored.outcome.state not in FIRST_STATES:
            return stored is not None
        return whole_before is not None and stored.outcome.collected_at < whole_before - CLOCKS_DIFFER

    async def _let_in(self, reports: Sequence[Read]) -> list[Failure]:
        """Write the rows of these reports; returns those whose rows cannot be written, found by halving."""
        candidates = [one.candidate for one in reports if one.candidate is not None]
        if not candidates:
            return []
        try:
            self.new += await self._parts.admission.admit(await self._parts.admission.claim(candidates))
        except Exception as error:  # noqa: BLE001 - as in reading: one row that cannot be written stops no other
            if len(reports) == 1:
                return [self._told(Failure(reports[0].report, error))]
            half = len(reports) // 2
            return await self._let_in(reports[:half]) + await self._let_in(reports[half:])
        return []

    def _told(self, failure: Failure) -> Failure:
        error = failure.error
        graph = error if isinstance(error, GraphError) else None
        emit(
            Event.REPORT_DEFERRED,
            submission_id=self._place(failure.report).key.submission_id,
            status=graph.status if graph else None,
            code=graph.code if graph else None,
            request_id=graph.request_id if graph else None,
            error=None if graph else type(error).__name__,
            where=None if graph else raised_at(error),
        )
        return failure

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

    def _place(self, report: ReportHead) -> ReportPlace:
        return ReportPlace(self.box.address, report, self._reach_microsoft)


def _turn_of(report: DeferredReport) -> tuple[bool, datetime]:
    """Those that may end the process last, the others as they became due."""
    return report.is_begun, report.due_at or report.first_failed_at


def _given_up(reader: ReportReader, place: ReportPlace, trouble: Trouble, failure: Failure | None) -> Candidate:
    """The failed row of a report, with what went wrong last."""
    error = failure.error if failure else None
    graph = error if isinstance(error, GraphError) else None
    is_graphs = trouble in (Trouble.REFUSED, Trouble.UNAVAILABLE)
    emit(
        Event.GAVE_UP,
        submission_id=place.key.submission_id,
        reason="report_unavailable" if is_graphs else "report_unreadable",
        status=graph.status if graph else None,
        code=graph.code if graph else None,
        request_id=graph.request_id if graph else None,
    )
    if graph is not None:
        facts = {"error_code": graph.code, "error_message": graph.message, "error_request_id": graph.request_id}
    elif error is not None:
        facts = {"error_code": type(error).__name__, "error_message": raised_at(error)}
    else:
        facts = {"error_code": "process_stopped", "error_message": trouble.value}
    if is_graphs:
        return reader.failed(place, "report_unavailable", **facts)
    return reader.failed(place, "report_unreadable", **facts)
