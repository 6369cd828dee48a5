"""The sources beside the mailbox: each is looked at by itself, has its own time, and fails by itself.

Whatever Graph does to one source (no licence, no grant, an outage, nonsense) and whatever goes wrong in reading it, it
costs one event and that source's rows of this look. A look is read in parts, each durable before the next: what takes
longer than its time goes on at the next run. The next look begins where the last complete one began, less an overlap,
so that nothing is left out; rows are keyed by what they are about, so that nothing is taken twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ...domain.errors import AnswerLost, Gone, GraphError, Refused
from ...ports import Clock
from ...stores.looks import LastLook, LookStore
from ...telemetry import Event, emit, raised_at

LOOKED_AT_EVERY = timedelta(minutes=10)
FIRST_LOOK_BACK = timedelta(days=3)
OVERLAP = timedelta(hours=1)
"""Microsoft shows a submission, or adds it to an alert, a while after it was made."""
LONGEST_LOOK_S = 40.0
"""No part of a look begins later in a run than this; one part may take as long again before it is cut off."""
ALL_LOOKS = timedelta(seconds=120)
LEAST_LOOK = timedelta(seconds=20)
"""The sources share this much of a run with each other, half of what it has. One that finds less than the least left is
looked at by the next run, before the others."""
MOST_PARTS = 1_000
"""A tenant makes 10,000 submissions a day at most: a list of more pages has lost its way."""
ROWS_ARE_TRIED = timedelta(hours=6)
"""How long rows that cannot be written are tried again, at every look, before they fail."""
LOOKS_ARE_HELD = timedelta(hours=24)
"""A look that lacks rows is complete all the same after this: not even as failed could they be written."""


@dataclass(frozen=True, slots=True)
class Look:
    """One part of a look at a source.

    `since` is what to read; rows from before `settled_before` are surely whole (None: no row is). `resume` is where the
    part before it left off, `until` when to stop, and rows are given up that were made `give_up_before`.
    """

    since: datetime
    settled_before: datetime | None
    resume: str | None = None
    until: datetime | None = None
    give_up_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a part: how much is new, how many rows were not written, and where the look goes on (None: not)."""

    new: int
    lacking: int = 0
    resume: str | None = None


class ReportSource(Protocol):
    """Something that tells of reports or requests."""

    @property
    def name(self) -> str:
        """The source's name in events and in the table `runstate`: that of its setting in lower case."""

    async def take(self, look: Look) -> Taken:
        """Make durable what the source tells of in this part of a look, a page at most.

        Safe to call again for the same part, and to cut off anywhere. Raises any `GraphError`.
        """


class Sources:
    """Looks at every source that is switched on."""

    def __init__(
        self,
        sources: Sequence[ReportSource],
        looks: LookStore,
        clock: Clock,
        *,
        longest_look_s: float = LONGEST_LOOK_S,
    ) -> None:
        self._sources = sources
        self._looks = looks
        self._clock = clock
        self._longest_look_s = longest_look_s
        self._not_before: dict[str, datetime] = {}
        """When each source is looked at next, as far as this process has read it: until then nothing is asked."""

    async def run(self) -> int:
        """Look at each source whose turn it is; returns how many rows and requests are new. Raises no `Exception`."""
        ends_at = self._clock.now() + ALL_LOOKS
        new = 0
        for due_at, number, last in sorted(await self._looked_at_last(), key=lambda one: one[:2]):
            now = self._clock.now()
            if due_at <= now and ends_at - now >= LEAST_LOOK:
                new += await self._look_at(self._sources[number], last, ends_at)
        return new

    async def _looked_at_last(self) -> list[tuple[datetime, int, LastLook | None]]:
        """When each source that may be due is looked at next, its number, and the last look at it."""
        now = self._clock.now()
        found: list[tuple[datetime, int, LastLook | None]] = []
        for number, source in enumerate(self._sources):
            if now < self._not_before.get(source.name, now):
                continue
            try:
                last = await self._looks.last(source.name)
            except Exception as error:  # noqa: BLE001 - one source's failure is that source's
                _tell(source, error)
                continue
            self._not_before[source.name] = _due_at(last)
            found.append((_due_at(last), number, last))
        return found

    async def _look_at(self, source: ReportSource, last: LastLook | None, ends_at: datetime) -> int:
        """Read on in the look under way, or begin one; returns how much is new."""
        now = self._clock.now()
        look = _begun(last, now)
        until = min(ends_at, now + timedelta(seconds=self._longest_look_s))
        new, seen = 0, set[str | None]({look.resume})
        try:
            await self._looks.put(source.name, look)
            while True:
                taken = await self._part(source, look, until, ends_at)
                new += taken.new
                look = replace(look, is_lacking=look.is_lacking or taken.lacking > 0, parts=look.parts + 1)
                if taken.resume is None:
                    await self._looks.put(source.name, _ended(look, self._clock.now()))
                    return new
                look = _going_on(look, taken.resume, seen)
                is_over = self._clock.now() >= until
                await self._looks.put(source.name, replace(look, due_at=now) if is_over else look)
                if is_over:
                    return new
        except Exception as error:  # noqa: BLE001 - one source's failure is that source's
            _tell(source, error)
            await self._left(source, look, error, has_moved=len(seen) > 1)
        return new

    async def _part(self, source: ReportSource, look: LastLook, until: datetime, ends_at: datetime) -> Taken:
        now = self._clock.now()
        left_s = max((ends_at - now).total_seconds(), LEAST_LOOK.total_seconds())
        part = Look(_beginning(look), look.complete_since, look.resume, until, _given_up_before(look, now))
        async with asyncio.timeout(min(2 * self._longest_look_s, left_s)):
            return await source.take(part)

    async def _left(self, source: ReportSource, look: LastLook, error: Exception, *, has_moved: bool) -> None:
        """Keep where the look goes on, unless that may be what failed: then it begins anew."""
        is_lost = isinstance(error, Gone | Refused) or getattr(error, "code", None) == "endless_list"
        if look.resume is not None and (is_lost or not has_moved):
            try:
                await self._looks.put(source.name, replace(look, resume=None))
            except Exception as failure:  # noqa: BLE001 - as above
                _tell(source, failure)


def _due_at(last: LastLook | None) -> datetime:
    """When the source is looked at next."""
    if last is None:
        return datetime.min.replace(tzinfo=UTC)
    return last.due_at or last.began_at + LOOKED_AT_EVERY


def _begun(last: LastLook | None, now: datetime) -> LastLook:
    """The look that is under way, or a new one; should it fail, the next try is as far off as any look."""
    due_at = now + LOOKED_AT_EVERY
    if last is None:
        return LastLook(now, None, due_at)
    if last.resume is not None:
        return replace(last, due_at=due_at)
    return LastLook(now, last.complete_since, due_at, lacking_since=last.lacking_since)


def _going_on(look: LastLook, resume: str, seen: set[str | None]) -> LastLook:
    """The look at its next part; raises `AnswerLost` where the list leads nowhere."""
    if resume in seen or look.parts >= MOST_PARTS:
        raise AnswerLost("look at a source", code="endless_list")
    seen.add(resume)
    return replace(look, resume=resume)


def _ended(look: LastLook, now: datetime) -> LastLook:
    """The look after its last part. While it lacks rows, the next one begins where it began."""
    ended = replace(look, resume=None, parts=0, is_lacking=False)
    lacking_since = look.lacking_since or look.began_at
    if look.is_lacking and now - lacking_since < LOOKS_ARE_HELD:
        return replace(ended, lacking_since=lacking_since)
    return replace(ended, complete_since=look.began_at, lacking_since=None)


def _beginning(look: LastLook) -> datetime:
    """What the look reads from: an overlap before the last complete one began, or days back where there was none.

    While looks lack rows, none begins later than the first that did.
    """
    if look.complete_since is not None:
        return look.complete_since - OVERLAP
    return (look.lacking_since or look.began_at) - FIRST_LOOK_BACK


def _given_up_before(look: LastLook, now: datetime) -> datetime | None:
    """Rows made before this are given up; None while no row has been tried for long enough."""
    if look.lacking_since is None or now - look.lacking_since < ROWS_ARE_TRIED:
        return None
    return now - ROWS_ARE_TRIED


def _tell(source: ReportSource, error: Exception) -> None:
    if isinstance(error, GraphError):
        emit(
            Event.SOURCE_UNREADABLE,
            source=source.name,
            status=error.status,
            code=error.code,
            request_id=error.request_id,
        )
    elif isinstance(error, TimeoutError):
        emit(Event.SOURCE_UNREADABLE, source=source.name, code="look_too_long")
    else:
        emit(Event.SOURCE_UNREADABLE, source=source.name, error=type(error).__name__, where=raised_at(error))
