"""Closing rows: write a final step and take the row off the worklist, whatever an earlier run left undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.lifecycle import is_final
from shared.domain.model import Outcome, State
from shared.stores.batches import TRANSACTION_ROWS
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import KEPT, WorkItem, Worklist
from shared.telemetry import Event, emit


class Closer:
    """Moves rows on that are not in anybody's hands; each step may be repeated."""

    def __init__(self, outcomes: OutcomeStore, worklist: Worklist) -> None:
        self._outcomes = outcomes
        self._worklist = worklist

    async def close(self, steps: Sequence[tuple[WorkItem, Outcome]]) -> None:
        """Write final rows and take them off the worklist."""
        for start in range(0, len(steps), TRANSACTION_ROWS):
            await self._close(steps[start : start + TRANSACTION_ROWS])

    async def closed_already(self, item: WorkItem) -> Stored | None:
        """The row if it is final and not kept, its event made good; None where its entry was put in its place anew."""
        stored = await self._outcomes.get(item.outcome.key)
        if stored is None:
            return None
        await self._outcomes.ensure_logged(stored.outcome)
        if is_final(stored.outcome.state) and stored.outcome.state not in KEPT:
            return stored
        await self._worklist.move(item, replace(item, outcome=stored.outcome, etag=stored.etag))
        return None

    async def place_anew(self, item: WorkItem) -> None:
        """Put an entry where its row belongs as it stands, or take it off; somebody else moved that row on."""
        if await self.closed_already(item) is not None:
            await self._worklist.remove([item])

    async def step(self, item: WorkItem, stored: Stored, after: Outcome) -> None:
        """Write a step of a row as it stands and move its entry, which may lag behind, to where it belongs now."""
        await self._outcomes.ensure_logged(stored.outcome)
        done = (await self._outcomes.advance([Change(stored.outcome, after, stored.etag)]))[0]
        if done is not None:
            await self._worklist.move(item, replace(item, outcome=done.outcome, etag=done.etag, slot=None))

    async def _close(self, steps: Sequence[tuple[WorkItem, Outcome]]) -> None:
        stored = await self._outcomes.advance([Change(item.outcome, after, item.etag) for item, after in steps])
        done = [(item, one or await self.closed_already(item)) for (item, _), one in zip(steps, stored, strict=True)]
        await self._worklist.remove([item for item, one in done if one is not None])
        for one in stored:
            if one is not None:
                _tell(one.outcome)


def _tell(outcome: Outcome) -> None:
    if outcome.state is State.EXPIRED:
        emit(Event.EXPIRED, submission_id=outcome.key.submission_id)
        return
    if outcome.state is not State.SETTLED:
        return
    emit(
        Event.SETTLED,
        submission_id=outcome.key.submission_id,
        verdict=outcome.verdict,
        agreement=outcome.agreement,
        seconds=outcome.seconds_to_verdict,
    )
