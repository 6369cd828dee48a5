"""Covering: a covered row takes what became of its holder, or its place.

The holder is the row that is submitted for the same item and claim, or for the same campaign. Once it is settled or
expired, so are the rows it covers. Where it came to nothing, the first covered row goes itself and the others follow
that one. Thousands of rows may follow one holder, so they are moved a hundred at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.lifecycle import is_final, move
from shared.domain.model import CoverReason, Outcome, OutcomeKey, SkipReason, Source, State
from shared.ports import Clock
from shared.stores.batches import TRANSACTION_ROWS
from shared.stores.items import Claim, Holding, ItemStore
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import WorkItem, Worklist
from shared.usecases.campaigns import Campaigns
from shared.usecases.claims import Claims, claim_of, covered, is_left_to_campaign
from shared.usecases.closing import Closer

ROW_COMES_WITHIN = timedelta(hours=1)
"""A process may stop between claiming an item and writing its row; after this long the row is not coming."""


class HolderFollower:
    """Moves covered rows on."""

    def __init__(
        self,
        outcomes: OutcomeStore,
        worklist: Worklist,
        items: ItemStore,
        campaigns: Campaigns,
        closer: Closer,
        clock: Clock,
    ) -> None:
        self._outcomes = outcomes
        self._worklist = worklist
        self._items = items
        self._claims = Claims(outcomes, items)
        self._campaigns = campaigns
        self._closer = closer
        self._clock = clock

    async def run(self) -> int:
        """Give covered rows what became of their holders; returns how many are settled by it."""
        settled = 0
        holders: dict[OutcomeKey, Stored | None] = {}
        async for followers in self._by_holder():
            key = followers[0].waits_for[0]
            if key not in holders:
                holders[key] = await self._outcomes.get(key)
            settled += await self._follow(followers, key, holders[key])
        return settled

    async def _by_holder(self) -> AsyncIterator[list[WorkItem]]:
        """The covered rows, up to a transaction's worth of one holder at a time."""
        party: list[WorkItem] = []
        async for item in self._worklist.covered():
            if party and (item.waits_for[:1] != party[0].waits_for[:1] or len(party) == TRANSACTION_ROWS):
                yield party
                party = []
            party.append(item)
        if party:
            yield party

    async def _follow(self, followers: Sequence[WorkItem], key: OutcomeKey, holder: Stored | None) -> int:
        """Move the followers of one holder on; returns how many are settled."""
        requests = [item for item in followers if _is_request_behind_a_member(item, holder)]
        for item in requests:
            await self._take_the_place(item, key)
        others = [item for item in followers if item not in requests]
        if not others:
            return 0
        if holder is not None and (final := _final_state(holder.outcome)) is not None:
            now = self._clock.now()
            await self._closer.close([(item, _like(item.outcome, holder.outcome, final, now)) for item in others])
            return len(others) if final is State.SETTLED else 0
        if self._came_to_nothing(others[0], holder):
            await self._replace(others, key)
        return 0

    async def _replace(self, followers: Sequence[WorkItem], gone: OutcomeKey) -> None:
        """Let others go in the place of a holder that came to nothing."""
        members = [item for item in followers if item.outcome.state_reason == CoverReason.SAME_CAMPAIGN]
        for item in followers:
            if item not in members:
                await self._take_the_place(item, gone)
        await self._replace_representative(members, gone)

    def _came_to_nothing(self, item: WorkItem, holder: Stored | None) -> bool:
        """Whether the holder will never be at Microsoft."""
        if holder is None:
            return self._clock.now() - max(item.outcome.collected_at, item.due_at) > ROW_COMES_WITHIN
        return is_final(holder.outcome.state) and _final_state(holder.outcome) is None

    async def _take_the_place(self, item: WorkItem, gone: OutcomeKey) -> None:
        """Let the row go itself, or follow the one that took the holder's place before it."""
        claim = claim_of(item.outcome)
        if claim is None:
            return
        holding = await self._items.hand_over(claim, gone, lambda: self._is_left(item, gone))
        await self._go_unless_held(item, claim, holding)

    async def _is_left(self, item: WorkItem, gone: OutcomeKey) -> bool:
        """Whether a row may go in the place of its holder, as that one stands now: it may have been taken up again."""
        holder = await self._outcomes.get(gone)
        return _is_request_behind_a_member(item, holder) or self._came_to_nothing(item, holder)

    async def _replace_representative(self, followers: Sequence[WorkItem], gone: OutcomeKey) -> None:
        """Let one of these members be submitted for its campaign, and the others follow whoever is."""
        if not followers:
            return
        first = followers[0].outcome
        chosen = await self._campaigns.hand_over(first.campaign_id or "", gone, first.key)
        others = [item for item in followers if item.outcome.key != chosen]
        await self._follow_another(others, chosen, CoverReason.SAME_CAMPAIGN)
        for item in followers:
            claim = claim_of(item.outcome)
            if item.outcome.key == chosen and claim is not None:
                await self._go_unless_held(item, claim, (await self._items.hold([claim]))[0])

    async def _go_unless_held(self, item: WorkItem, claim: Claim, holding: Holding) -> None:
        """Let the row go itself, unless another one goes for the same item: then it follows that one.

        A row that goes keeps its claim first: a request that comes at this moment is told, and does not go as well.
        """
        holding = await self._claims.unless_left_to_campaign(claim, holding)
        if holding.holder == claim.key:
            holding = await self._items.keep(claim)
        if holding.holder == claim.key:
            waits_for = dict.fromkeys((*holding.earlier, *await self._claims.went_meanwhile(claim)))
            await self._let_go(item, tuple(waits_for))
        else:
            await self._follow_another([item], holding.holder, CoverReason.SAME_ITEM)

    async def _let_go(self, item: WorkItem, waits_for: tuple[OutcomeKey, ...]) -> None:
        """Let a covered row wait for its own slot."""
        after = move(item.outcome, State.PENDING, reason="holder_came_to_nothing", covered_by=None)
        stored = (await self._outcomes.advance([Change(item.outcome, after, item.etag)]))[0]
        await self._place_anew([(item, stored, waits_for)])

    async def _follow_another(self, items: Sequence[WorkItem], holder: OutcomeKey, reason: CoverReason) -> None:
        """Let covered rows follow another holder."""
        changes = [Change(item.outcome, covered(item.outcome, reason, holder), item.etag) for item in items]
        stored = await self._outcomes.amend(changes)
        await self._place_anew([(item, one, (holder,)) for item, one in zip(items, stored, strict=True)])

    async def _place_anew(self, steps: Sequence[tuple[WorkItem, Stored | None, tuple[OutcomeKey, ...]]]) -> None:
        """Put entries where their rows belong now; a row that somebody else moved on is looked at as it stands."""
        moves: list[tuple[WorkItem, WorkItem]] = []
        for item, written, waits_for in steps:
            stored = written or await self._as_it_stands(item)
            if stored is None:
                continue
            if is_final(stored.outcome.state):
                await self._worklist.remove([item])
                continue
            moves.append((item, replace(item, outcome=stored.outcome, etag=stored.etag, waits_for=waits_for)))
        await self._worklist.move_all(moves)

    async def _as_it_stands(self, item: WorkItem) -> Stored | None:
        """The row that was moved on before, its event made good: whoever did it may have stopped in between."""
        stored = await self._outcomes.get(item.outcome.key)
        if stored is not None:
            await self._outcomes.ensure_logged(stored.outcome)
        return stored


def _is_request_behind_a_member(item: WorkItem, holder: Stored | None) -> bool:
    """Whether an operator waits for a report that only its campaign covers: it had no row yet when he asked."""
    is_request = item.outcome.source is Source.MANUAL
    return is_request and holder is not None and is_left_to_campaign(holder.outcome)


def _final_state(holder: Outcome) -> State | None:
    """The final state that a holder shares with the rows it covers; None where it has none, or came to nothing."""
    if holder.state in (State.SETTLED, State.EXPIRED):
        return holder.state
    is_rehearsal = holder.state is State.SKIPPED and holder.state_reason == SkipReason.SHADOW_MODE
    return State.SKIPPED if is_rehearsal else None


def _like(outcome: Outcome, holder: Outcome, final: State, now: datetime) -> Outcome:
    """The covered row in its holder's final state."""
    if final is State.SETTLED:
        return _settled_like(outcome, holder, now)
    return move(outcome, final, reason="no_verdict" if final is State.EXPIRED else SkipReason.SHADOW_MODE)


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
