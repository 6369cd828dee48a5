"""The sources beside the mailbox: each is looked at by itself, and fails by itself.

Whatever Graph does to one source (no licence, no grant, an outage, nonsense), it costs one event and that source's rows
of this look. The next look begins where the last complete one began, less an overlap, so that nothing is left out;
rows are keyed by what they are about, so that nothing is taken twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.errors import GraphError
from shared.ports import Clock
from shared.stores.looks import LastLook, LookStore
from shared.telemetry import Event, emit

LOOKED_AT_EVERY = timedelta(minutes=10)
FIRST_LOOK_BACK = timedelta(days=3)
OVERLAP = timedelta(hours=1)
"""Microsoft shows a submission, or adds it to an alert, a while after it was made."""
LONGEST_LOOK_S = 75.0
"""Three sources and the mailboxes share one invocation of ten minutes; what a look leaves, the next one takes."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a source: what to read, and before when rows are surely whole (None: no row is)."""

    since: datetime
    settled_before: datetime | None


class ReportSource(Protocol):
    """Something that tells of reports or requests."""

    @property
    def name(self) -> str:
        """The source's name in events and in the table `runstate`: that of its setting in lower case."""

    async def take(self, look: Look) -> int:
        """Make everything durable that the source tells of; returns how much of it is new.

        Safe to call again for the same look, and to cut off anywhere. Raises any `GraphError`.
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

    async def run(self) -> int:
        """Look at each source whose turn it is; returns how many rows and requests are new. Raises no `GraphError`."""
        return sum([await self._look_at(source) for source in self._sources])

    async def _look_at(self, source: ReportSource) -> int:
        now = self._clock.now()
        last = await self._looks.last(source.name)
        if last is not None and now - last.began_at < LOOKED_AT_EVERY:
            return 0
        complete_since = last.complete_since if last else None
        await self._looks.put(source.name, LastLook(now, complete_since))
        new = await self._taken(source, Look(_beginning(now, complete_since), complete_since))
        if new is None:
            return 0
        await self._looks.put(source.name, LastLook(now, now))
        return new

    async def _taken(self, source: ReportSource, look: Look) -> int | None:
        """How much is new, or None and an event when the source could not be read to its end."""
        try:
            async with asyncio.timeout(self._longest_look_s):
                return await source.take(look)
        except GraphError as error:
            emit(
                Event.SOURCE_UNREADABLE,
                source=source.name,
                status=error.status,
                code=error.code,
                request_id=error.request_id,
            )
        except TimeoutError:
            emit(Event.SOURCE_UNREADABLE, source=source.name, code="look_too_long")
        return None


def _beginning(now: datetime, complete_since: datetime | None) -> datetime:
    return now - FIRST_LOOK_BACK if complete_since is None else complete_since - OVERLAP
