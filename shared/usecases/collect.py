"""Collect: one outcome row for every report in the reporting mailboxes, and for what the other sources tell.

A folder's checkpoint moves on only when every report of the page is durable: as a row, or as a deferred report that is
tried again at the next run. So a stop at any point repeats work and loses nothing; rows are keyed by the report. A
folder that cannot be read costs one event and holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.errors import Gone, GraphError, Refused
from shared.domain.lifecycle import FIRST_STATES
from shared.ports import Clock, MailSource, ReportHead, ReportPage
from shared.settings import ReportingMailbox
from shared.stores.checkpoints import Checkpoint, CheckpointStore, DeferredReport
from shared.stores.ledger import Ledger
from shared.telemetry import Event, emit, fingerprint
from shared.usecases.admission import Admission, Candidate
from shared.usecases.destination import ReportDestination
from shared.usecases.mailboxes import tell_unreachable
from shared.usecases.reading import ReportPlace, ReportReader
from shared.usecases.sources import Sources

RUN_TIME = timedelta(minutes=4)
"""A run stops reading after this and goes on at the next one, far below the function's time limit."""
GIVE_UP_AFTER = timedelta(hours=24)
"""How long a report whose content Graph will not give is tried again."""
LISTED_EVERY = timedelta(hours=1)
LISTED_BACK = timedelta(hours=3)
"""A change feed can miss a mail that was moved into the folder, so the folder is also listed now and then."""
CONCURRENT_READS = 4
"""Outlook serves four requests at a time per app and mailbox (Graph throttling limits)."""
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as one run reads it. Rows written after `settled_before` may be half admitted."""

    box: ReportingMailbox
    reports_reach_microsoft: bool
    settled_before: datetime | None

    def place(self, report: ReportHead) -> ReportPlace:
        """Where one of its reports stands."""
        return ReportPlace(self.box.address, report, self.reports_reach_microsoft)

    def deferred(self, report: ReportHead, now: datetime) -> DeferredReport:
        """A report of this folder that could not be read just now."""
        return DeferredReport(self.box.address, self.box.folder, report, now)


class CollectReports:
    """The use case behind `collect_reports`."""

    def __init__(
        self,
        mailboxes: tuple[ReportingMailbox, ...],
        *,
        destination: ReportDestination,
        mail: MailSource,
        reader: ReportReader,
        sources: Sources,
        ledger: Ledger,
        admission: Admission,
        checkpoints: CheckpointStore,
        clock: Clock,
    ) -> None:
        self._mailboxes = mailboxes
        self._destination = destination
        self._mail = mail
        self._reader = reader
        self._sources = sources
        self._ledger = ledger
        self._admission = admission
        self._checkpoints = checkpoints
        self._clock = clock

    async def run(self) -> int:
        """Look at every source, then read every folder's new reports; returns how many rows and requests are new.

        In this order, so that a mailbox report finds what a user's own submission has brought to Microsoft already.
        """
        new = await self._sources.run()
        stop_at = self._clock.now() + RUN_TIME
        reach_microsoft = await self._destination.surely_reaches_microsoft()
        for box in self._mailboxes:
            checkpoint = await self._checkpoints.get(box.address, box.folder)
            folder = Folder(box, reach_microsoft, checkpoint.saved_at if checkpoint else None)
            try:
                new += await self._read_folder(folder, checkpoint, stop_at)
            except GraphError as error:
                tell_unreachable(box.address, error)
        return new

    async def _read_folder(self, folder: Folder, checkpoint: Checkpoint | None, stop_at: datetime) -> int:
        deferred = await self._checkpoints.deferred(folder.box.address, folder.box.folder)
        new = 0
        listed_at = checkpoint.listed_at if checkpoint else self._clock.now()
        if checkpoint is not None and self._clock.now() - (listed_at or checkpoint.saved_at) >= LISTED_EVERY:
            new += await self._list_folder(folder)
            listed_at = self._clock.now()
        resume = checkpoint.resume if checkpoint else None
        while self._clock.now() < stop_at:
            page = await self._next_page(folder, resume)
            new += await self._take(folder, page.reports)
            resume = page.resume
            await self._checkpoints.put(
                folder.box.address, folder.box.folder, Checkpoint(resume, self._clock.now(), listed_at)
            )
            if page.is_last:
                break
        new += await self._try_again(folder, deferred)
        emit(Event.REPORTS_COLLECTED, count=new, mailbox=fingerprint(folder.box.address))
        return new

    async def _next_page(self, folder: Folder, resume: str | None) -> ReportPage:
        try:
            return await self._mail.changes(folder.box.address, folder.box.folder, resume)
        except (Gone, Refused):
            if resume is None:
                raise
            emit(Event.DELTA_LINK_EXPIRED, mailbox=fingerprint(folder.box.address))
            return await self._mail.changes(folder.box.address, folder.box.folder, None)

    async def _list_folder(self, folder: Folder) -> int:
        """Take in what the change feed may have missed; a folder that cannot be listed is still read by its feed."""
        try:
            since = self._clock.now() - LISTED_BACK
            return await self._take(folder, await self._mail.recent(folder.box.address, folder.box.folder, since))
        except GraphError as error:
            tell_unreachable(folder.box.address, error)
            return 0

    async def _take(self, folder: Folder, reports: Sequence[ReportHead]) -> int:
        """Make every report of a page durable, as a row or as a deferred report; returns how many rows are new."""
        reads = asyncio.Semaphore(CONCURRENT_READS)

        async def read(report: ReportHead) -> Candidate | DeferredReport | None:
            async with reads:
                return await self._read(folder, report)

        each_once = {report.message_id: report for report in reports}.values()  # a page may tell a mail twice
        results = await asyncio.gather(*(read(report) for report in each_once), return_exceptions=True)
        new = await self._let_in([one for one in results if isinstance(one, Candidate)])
        await self._checkpoints.defer([one for one in results if isinstance(one, DeferredReport)])
        for one in results:
            if isinstance(one, BaseException):
                raise one
        return new

    async def _let_in(self, candidates: Sequence[Candidate]) -> int:
        """Write the rows of these reports; returns how many are new."""
        return await self._admission.admit(await self._admission.claim(candidates))

    async def _read(self, folder: Folder, report: ReportHead) -> Candidate | DeferredReport | None:
        place = folder.place(report)
        if await self._is_known(folder, place):
            return None
        try:
            return await self._reader.read(place)
        except Refused as error:
            return _failed(self._reader, place, error)
        except GraphError as error:
            emit(
                Event.REPORT_DEFERRED,
                submission_id=place.key.submission_id,
                status=error.status,
                code=error.code,
                request_id=error.request_id,
            )
            return folder.deferred(report, self._clock.now())

    async def _is_known(self, folder: Folder, place: ReportPlace) -> bool:
        """Whether the report has its row already, whole.

        A row from after the last checkpoint may lack its event or its place on the worklist: it is read again.
        """
        stored = await self._ledger.get(place.key)
        if stored is None:
            return False
        if stored.outcome.state not in FIRST_STATES or folder.settled_before is None:
            return stored.outcome.state not in FIRST_STATES
        return stored.outcome.collected_at < folder.settled_before - CLOCKS_DIFFER

    async def _try_again(self, folder: Folder, deferred: Sequence[DeferredReport]) -> int:
        """Read reports that could not be read before; returns how many rows are new.

        Done when the folder has answered: in an outage of the whole mailbox no report is given up. A row of theirs may
        be half admitted however long ago that was: the checkpoint has moved on without it.
        """
        new = 0
        unsettled = replace(folder, settled_before=None)
        for report in deferred:
            again = await self._read(unsettled, report.head)
            if isinstance(again, DeferredReport):
                if self._clock.now() - report.first_failed_at < GIVE_UP_AFTER:
                    continue
                place = folder.place(report.head)
                emit(Event.GAVE_UP, submission_id=place.key.submission_id, reason="report_unavailable")
                again = self._reader.failed(place, "report_unavailable")
            new += await self._let_in([again]) if again else 0
            await self._checkpoints.done(report)
        return new


def _failed(reader: ReportReader, place: ReportPlace, error: Refused) -> Candidate:
    emit(
        Event.GAVE_UP,
        submission_id=place.key.submission_id,
        reason="report_unavailable",
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )
    return reader.failed(
        place,
        "report_unavailable",
        error_code=error.code,
        error_message=error.message,
        error_request_id=error.request_id,
    )
