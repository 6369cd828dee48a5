"""Collect: one outcome row for every report in the reporting mailboxes, and for what the other sources tell.

Every folder takes its turn, a page at a time, the one that was read or tried longest ago first: however much stands in
one of them, the others wait for a page of it. A run ends in time and the next one goes on; a folder that cannot be read
rests a while, costs one event and holds up no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ...domain.errors import GraphError, Throttled
from ...domain.pace import Pace
from ...settings import ReportingMailbox
from ...stores.checkpoints import Checkpoint
from ...telemetry import Event, emit, fingerprint, raised_at
from ..mailboxes import tell_unreachable
from .destination import DestinationOfRun, ReportDestination
from .folder_reports import FolderParts
from .folders import FolderRound
from .sources import Sources

RUN_TIME = timedelta(seconds=200)
"""A run, sources and all, begins no turn after this. The next one, at most two minutes after, goes on."""
LONGEST_TURN_S = 75.0
"""Where a turn is cut off that hangs: with the time above it, a run ends within five minutes, half of
`functionTimeout` in host.json."""
PATIENCE_S = 10.0
MOST_WAITS = 3
"""A rest that is no longer than this is waited for where nothing else is left to read, unless the mailbox has refused
so often in a row. Outlook asks for a second where more than four requests come at once."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FolderFailure:
    """A folder that could not be read for a reason of our own."""

    box: ReportingMailbox
    error: Exception


class CollectReports:
    """The use case behind `collect_reports`."""

    def __init__(
        self,
        mailboxes: tuple[ReportingMailbox, ...],
        *,
        destination: ReportDestination,
        sources: Sources,
        parts: FolderParts,
        longest_turn_s: float = LONGEST_TURN_S,
    ) -> None:
        self._mailboxes = mailboxes
        self._destination = destination
        self._sources = sources
        self._parts = parts
        self._clock = parts.clock
        self._longest_turn_s = longest_turn_s

    async def run(self) -> int:
        """Look at every source, then read every folder's new reports; returns how many rows and requests are new.

        In this order, so that a mailbox report finds what a user's own submission has brought to Microsoft already.
        Raises what went wrong with the last folder where no folder could be read at all for a reason of our own.
        """
        stop_at = self._clock.now() + RUN_TIME
        new = await self._sources.run()
        rounds, failures = await self._rounds()
        failures += await self._read(rounds, stop_at)
        for failure in failures:
            emit(
                Event.MAILBOX_FAILED,
                mailbox=fingerprint(failure.box.address),
                error=type(failure.error).__name__,
                where=raised_at(failure.error),
            )
        for one in rounds:
            if one.reports.new:
                emit(Event.REPORTS_COLLECTED, count=one.reports.new, mailbox=fingerprint(one.box.address))
        if len(failures) == len(self._mailboxes):
            raise failures[-1].error
        return new + sum(one.reports.new for one in rounds)

    async def _rounds(self) -> tuple[list[FolderRound], list[FolderFailure]]:
        """The folders in their turn, those that rest left out; and those whose checkpoint cannot be read."""
        destination = DestinationOfRun(self._destination)
        found: list[tuple[datetime, FolderRound]] = []
        failures: list[FolderFailure] = []
        paces: dict[str, Pace] = {}
        for box in self._mailboxes:
            try:
                state = await self._parts.checkpoints.read(box.address, box.folder)
            except Exception as error:  # noqa: BLE001 - one folder's failure is that folder's
                failures.append(FolderFailure(box, error))
                continue
            pace = _pace(paces.setdefault(box.address.lower(), Pace()), state.checkpoint)
            one = FolderRound(self._parts, box, state, pace, destination)
            found.append((_last_turn(state.checkpoint), one))
        return [one for _, one in sorted(found, key=lambda pair: pair[0])], failures

    async def _read(self, rounds: Sequence[FolderRound], stop_at: datetime) -> list[FolderFailure]:
        """Give the folders their turns until nothing is left or the time is up; returns those that failed."""
        failures: list[FolderFailure] = []
        waiting = deque(rounds)
        while waiting and self._clock.now() < stop_at:
            now = self._clock.now()
            awake = next((one for one in waiting if not one.pace.is_resting(now)), None)
            if awake is None:
                if not await self._waited(waiting, now, stop_at):
                    break
                continue
            waiting.remove(awake)
            try:
                if await self._turn(awake):
                    waiting.append(awake)
                await awake.rest()
            except Exception as error:  # noqa: BLE001 - one folder's failure is that folder's
                failures.append(FolderFailure(awake.box, error))
                awake.pace.rest(self._clock.now())
                with suppress(Exception):  # told above; without its rest it only comes first again
                    await awake.rest()
        return failures

    async def _turn(self, one: FolderRound) -> bool:
        """One turn of a folder; whether it wants another one. A mailbox that refuses or fails rests."""
        try:
            async with asyncio.timeout(self._longest_turn_s):
                return await one.turn()
        except GraphError as error:
            tell_unreachable(one.box.address, error)
            one.pace.refused(error, self._clock.now())
            return isinstance(error, Throttled)
        except TimeoutError:
            emit(Event.MAILBOX_UNREACHABLE, mailbox=fingerprint(one.box.address), code="turn_too_long")
            one.pace.rest(self._clock.now())
            return False

    async def _waited(self, resting: Sequence[FolderRound], now: datetime, stop_at: datetime) -> bool:
        """Wait for the shortest rest where it is short; whether it is over."""
        ends = [one.pace.rests_until or now for one in resting if one.pace.refusals <= MOST_WAITS]
        until = min(ends, default=stop_at)
        if until >= stop_at or (until - now).total_seconds() > PATIENCE_S:
            return False
        await self._clock.sleep((until - now).total_seconds())
        return True


def _pace(pace: Pace, checkpoint: Checkpoint | None) -> Pace:
    """The mailbox's pace, with what an earlier run has kept: after a rest it begins slowly."""
    if checkpoint is not None and checkpoint.rests_until is not None:
        pace.at_once = 1
        pace.rests_until = max(pace.rests_until or _NEVER, checkpoint.rests_until)
    return pace


def _last_turn(checkpoint: Checkpoint | None) -> datetime:
    """When the folder was read or tried last."""
    if checkpoint is None:
        return _NEVER
    return max(checkpoint.saved_at or _NEVER, checkpoint.rests_until or _NEVER)
