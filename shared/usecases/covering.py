"""Covering: a covered row takes what became of its holder, or its place.

The holder is the row that was submitted for the same item and claim. Once it is settled or expired, so are the rows it
covers. Where it came to nothing, the first covered row goes itself and the others follow that one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import keys
from shared.domain.lifecycle import is_final, move
from shared.domain.model import Outcome, OutcomeKey, State
from shared.ports import Clock
from shared.stores.items import ItemStore
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import WorkItem, Worklist
from shared.usecases.closing import Closer

ROW_COMES_WITHIN = timedelta(hours=1)
"""A process may stop between claiming an item and writing its row; after this long the row is not coming."""


class HolderFollower:
    """Moves covered rows on."""

    def __init__(
        self, outcomes: OutcomeStore, worklist: Worklist, items: ItemStore, closer: Closer, clock: Clock
    ) -> None:
        self._outcomes = outcomes
        self._worklist = worklist
        self._items = items
        self._closer = closer
        self._clock = clock

    async def run(self) -> int:
        """Give covered rows what became of their holders; returns how many are settled by it."""
        holders: dict[OutcomeKey, Stored | None] = {}
        final: list[tuple[WorkItem, Outcome]] = []
        async for item in self._worklist.covered():
            key = item.waits_for[0]
            if key not in holders:
                holders[key] = await self._outcomes.get(key)
            after = self._like_its_holder(item, holders[key])
            if after is not None:
                final.append((item, after))
            elif self._came_to_nothing(item, holders[key]):
                await self._take_the_place(item, key)
        await self._closer.close(final)
        return sum(after.state is State.SETTLED for _, after in final)

    def _like_its_holder(self, item: WorkItem, holder: Stored | None) -> Outcome | None:
        """The covered row's final step, or None while its holder has none that it can share."""
        if holder is not None and holder.outcome.state is State.SETTLED:
            return _settled_like(item.outcome, holder.outcome, self._clock.now())
        if holder is not None and holder.outcome.state is State.EXPIRED:
            return move(item.outcome, State.EXPIRED, reason="no_verdict")
        return None

    def _came_to_nothing(self, item: WorkItem, holder: Stored | None) -> bool:
        """Whether the holder will never be at Microsoft."""
        if holder is None:
            return self._clock.now() - item.outcome.collected_at > ROW_COMES_WITHIN
        return is_final(holder.outcome.state)

    async def _take_the_place(self, item: WorkItem, gone: OutcomeKey) -> None:
        """Let the row go itself, or follow the one that took the holder's place before it."""
        outcome = item.outcome
        if outcome.item_key is None or outcome.category is None:
            return
        claim = keys.claim(outcome.category, outcome.allow_or_block)
        holding = await self._items.hand_over(outcome.item_key, claim, gone, outcome.key)
        if holding.holder == outcome.key:
            after = move(outcome, State.PENDING, reason="holder_came_to_nothing", covered_by=None)
            stored = (await self._outcomes.advance([Change(outcome, after, item.etag)]))[0]
            waits_for = holding.earlier
        else:
            after = replace(outcome, covered_by=holding.holder.submission_id)
            stored = await self._outcomes.amend(Change(outcome, after, item.etag))
            waits_for = (holding.holder,)
        stored = stored or await self._outcomes.get(outcome.key)
        if stored is not None and is_final(stored.outcome.state):
            await self._worklist.remove([item])
        elif stored is not None:
            moved = replace(item, outcome=stored.outcome, etag=stored.etag, waits_for=waits_for)
            await self._worklist.move(item, moved)


def _settled_like(outcome: Outcome, holder: Outcome, now: datetime) -> Outcome:
    """The covered row with its holder's verdict and Microsoft's words for it."""
    return move(
        outcome,
        State.SETTLED,
        verdict=holder.verdict,
        agreement=holder.agreement,
        settled_at=now,
        seconds_to_verdict=max(0, int((now - outcome.received_at).total_seconds())),
        graph_submission_id=holder.graph_submission_id,
        graph_status=holder.graph_status,
        result_category=holder.result_category,
        result_detail=holder.result_detail,
    )
