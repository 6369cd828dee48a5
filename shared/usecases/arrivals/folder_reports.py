"""Reports of one folder: read as many as there is time for, write their rows, and let one that fails fail alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ...domain.deferrals import Trouble
from ...domain.errors import GraphError, Refused, Throttled
from ...domain.lifecycle import FIRST_STATES
from ...domain.model import State
from ...domain.pace import Pace
from ...ports import Clock, MailSource, ReportHead
from ...stores.checkpoints import CheckpointStore, FolderContents
from ...stores.ledger import Ledger, Stored
from ...telemetry import Event, emit, raised_at
from ..sending.admission import Admission, Candidate, Claimed
from .destination import DestinationOfRun
from .reading import AutomaticAnswer, ReportPlace, ReportReader
from .seen import SeenReports

READ_TIME_S = 60.0
"""Longest time for one report: several requests, each of which may take as long."""
CLOCKS_DIFFER = timedelta(minutes=5)
_ANY_ROW = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderParts:
    """What reading a folder needs, the same for every folder."""

    mail: MailSource
    reader: ReportReader
    ledger: Ledger
    admission: Admission
    checkpoints: CheckpointStore
    contents: FolderContents
    clock: Clock
    seen: SeenReports = field(default_factory=SeenReports)


@dataclass(frozen=True, slots=True)
class Read:
    """A report that was read: the candidate of its row, None where it has a whole one already or gets none.

    `is_half_in` says that its row is there and waits, without its event or its entry.
    """

    report: ReportHead
    candidate: Candidate | None
    is_half_in: bool = False


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


class FolderReports:
    """Turns reports of one folder into rows; `new` counts the rows that it has made."""

    def __init__(self, parts: FolderParts, mailbox: str, pace: Pace, destination: DestinationOfRun) -> None:
        self._parts = parts
        self._mailbox = mailbox
        self._pace = pace
        self._destination = destination
        self.new = 0

    def may_read(self, until: datetime) -> bool:
        """Whether there is time left, and the mailbox does not rest."""
        now = self._parts.clock.now()
        return now < until and not self._pace.is_resting(now)

    async def without_row(
        self, reports: Sequence[ReportHead], *, whole_before: datetime | None = _ANY_ROW
    ) -> list[ReportHead]:
        """Those without a whole row; one whose row cannot even be looked for is told when its turn comes."""
        known = await asyncio.gather(*(self._is_known(one, whole_before) for one in reports), return_exceptions=True)
        for one in known:
            if isinstance(one, BaseException) and not isinstance(one, Exception):
                raise one
        return [report for report, is_known in zip(reports, known, strict=True) if is_known is not True]

    async def read_in(
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
                while waiting and len(running) < self._pace.at_once and self.may_read(until):
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
                stored = await self._parts.ledger.get(self._place(report).key)
                if stored is not None and await self._is_whole(stored, whole_before):
                    return Read(report, None)
                reaches_microsoft = await self._destination.surely_reaches_microsoft()
                candidate = await self._parts.reader.read(self._place(report, reaches_microsoft))
        except AutomaticAnswer:
            return Read(report, None)
        except Exception as error:  # noqa: BLE001 - whatever one report does, it does to itself
            if isinstance(error, Throttled):
                self._pace.refused(error, self._parts.clock.now())
            return self._told(Failure(report, error))
        self._pace.served()
        return Read(report, candidate, stored is not None and stored.outcome.state is State.PENDING)

    async def _is_known(self, report: ReportHead, whole_before: datetime | None) -> bool:
        """Whether the report has its row already, whole."""
        stored = await self._parts.ledger.get(self._place(report).key)
        return stored is not None and await self._is_whole(stored, whole_before)

    async def _is_whole(self, stored: Stored, whole_before: datetime | None) -> bool:
        """Whether a row lacks nothing of its admission. One from after the last checkpoint is looked at closely."""
        if stored.outcome.state not in FIRST_STATES:
            return True
        if whole_before is not None and stored.outcome.collected_at < whole_before - CLOCKS_DIFFER:
            return True
        return await self._parts.admission.is_whole(stored)

    async def _let_in(self, reports: Sequence[Read]) -> list[Failure]:
        """Write the rows of these reports; returns those whose rows cannot be written, found by halving."""
        if not reports:
            return []
        try:
            await self._admit(reports)
        except Exception as error:  # noqa: BLE001 - as in reading: one row that cannot be written stops no other
            if len(reports) == 1:
                return [self._told(Failure(reports[0].report, error))]
            half = len(reports) // 2
            return await self._let_in(reports[:half]) + await self._let_in(reports[half:])
        return []

    async def _admit(self, reports: Sequence[Read]) -> None:
        """Let new rows in, all together; one that an earlier run left half in needs only what it lacks."""
        admission = self._parts.admission
        fresh = [one.candidate for one in reports if one.candidate is not None and not one.is_half_in]
        if fresh:
            self.new += await admission.admit(await admission.claim(fresh))
        for one in reports:
            if one.candidate is not None and one.is_half_in:
                await admission.make_good(Claimed(one.candidate))

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

    async def give_up(self, report: ReportHead, trouble: Trouble, failure: Failure | None) -> bool:
        """Write the failed row of a report; whether storage has taken it."""
        candidate = _given_up(self._parts.reader, self._place(report), trouble, failure)
        return not await self._let_in([Read(report, candidate)])

    def _place(self, report: ReportHead, reaches_microsoft: bool = False) -> ReportPlace:
        return ReportPlace(self._mailbox, report, reaches_microsoft)


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
