"""Letting new rows in: claim the item, write the row and its first event, put it on the worklist.

Collect and intake both end here, so that a report and a request are treated alike and a step that was cut off is made
good in one place. Order matters: evidence (the caller's), item, outcome, feed, worklist. Each step may be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.domain import keys
from shared.domain.lifecycle import FIRST_STATES, move
from shared.domain.model import Outcome, OutcomeKey, Priority, State
from shared.domain.submissions import Material
from shared.stores.items import Holding, ItemStore
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import LANES, WorkItem, Worklist

_LISTED = frozenset({State.PENDING, State.COVERED, State.FAILED})
_CAME_TO_NOTHING = frozenset({State.FAILED, State.REJECTED, State.SKIPPED})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new row, with what its submission will need."""

    outcome: Outcome
    material: Material = field(default_factory=Material)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A candidate that knows whether it goes itself, and behind whom."""

    candidate: Candidate
    waits_for: tuple[OutcomeKey, ...] = ()


class Admission:
    """Lets candidates in."""

    def __init__(self, outcomes: OutcomeStore, worklist: Worklist, items: ItemStore) -> None:
        self._outcomes = outcomes
        self._worklist = worklist
        self._items = items

    async def claim(self, candidate: Candidate) -> Claimed:
        """Claim the item of a pending candidate; it comes back `covered` where another row made the claim first."""
        outcome = candidate.outcome
        if outcome.state is not State.PENDING or outcome.item_key is None or outcome.category is None:
            return Claimed(candidate)
        claim = keys.claim(outcome.category, outcome.allow_or_block)
        holding = await self._items.hold(outcome.item_key, claim, outcome.key)
        if holding.holder != outcome.key:
            holding = await self._replace_idle_holder(holding, outcome, claim)
        if holding.holder == outcome.key:
            return Claimed(candidate, holding.earlier)
        covered = replace(outcome, state=State.COVERED, covered_by=holding.holder.submission_id)
        return Claimed(Candidate(covered, candidate.material), (holding.holder,))

    async def admit(self, claimed: Sequence[Claimed]) -> int:
        """Write the rows that are new and make good those that an earlier run left half done; returns how many are new.

        A row that exists already keeps its state, whatever the candidate says.
        """
        created = await self._outcomes.create([one.candidate.outcome for one in claimed])
        items = [_work_item(one, stored) for one, stored in zip(claimed, created, strict=True) if stored]
        await self._worklist.add([item for item in items if item is not None])
        for one, stored in zip(claimed, created, strict=True):
            if stored is None:
                await self.make_good(one)
        return sum(stored is not None for stored in created)

    async def is_whole(self, stored: Stored) -> bool:
        """Whether a row lacks nothing of its admission: it has gone on, or has its event and its place in line.

        What it was made from must not be read again then: an upload may have been replaced since.
        """
        outcome = stored.outcome
        if outcome.state not in FIRST_STATES:
            return True
        await self._outcomes.ensure_logged(outcome)
        entry = WorkItem(outcome=outcome, etag=stored.etag, due_at=outcome.received_at)
        return outcome.state not in _LISTED or await self._worklist.holds(entry)

    async def make_good(self, claimed: Claimed) -> None:
        """Finish the admission of a row that exists already but may lack its event or its place on the worklist."""
        stored = await self._outcomes.get(claimed.candidate.outcome.key)
        if stored is None or stored.outcome.state not in FIRST_STATES:
            return
        await self._outcomes.ensure_logged(stored.outcome)
        item = _work_item(claimed, stored)
        if stored.outcome.state is State.PENDING and claimed.candidate.outcome.state not in (
            State.PENDING,
            State.COVERED,
        ):
            await self._fail_without_material(stored)
            return
        if item is not None and not await self._worklist.holds(item):
            await self._worklist.add([item])

    async def _fail_without_material(self, stored: Stored) -> None:
        """A row that never reached the worklist, and whose content is gone by now, cannot go on."""
        entry = WorkItem(outcome=stored.outcome, etag=stored.etag, due_at=stored.outcome.received_at)
        if not await self._worklist.holds(entry):
            failed = move(stored.outcome, State.FAILED, reason="material_gone")
            await self._outcomes.advance([Change(stored.outcome, failed, stored.etag)])

    async def expedite(self, holder: OutcomeKey, priority: Priority) -> None:
        """Let a waiting row go in a better lane because a request that it covers is in a hurry."""
        stored = await self._outcomes.get(holder)
        if stored is None or stored.outcome.state is not State.PENDING:
            return
        if LANES[stored.outcome.priority or Priority.NORMAL] <= LANES[priority]:
            return
        item = await self._worklist.waiting(
            WorkItem(outcome=stored.outcome, etag=stored.etag, due_at=stored.outcome.received_at)
        )
        raised = replace(stored.outcome, priority=priority)
        done = await self._outcomes.amend(Change(stored.outcome, raised, stored.etag))
        if item is not None and done is not None:
            await self._worklist.move(item, replace(item, outcome=done.outcome, etag=done.etag))

    async def _replace_idle_holder(self, holding: Holding, outcome: Outcome, claim: str) -> Holding:
        """Take the claim over from a holder that came to nothing, so that it cannot stand in the way for ever."""
        holder = await self._outcomes.get(holding.holder)
        if holder is None or holder.outcome.state not in _CAME_TO_NOTHING or outcome.item_key is None:
            return holding
        return await self._items.hand_over(outcome.item_key, claim, holding.holder, outcome.key)


def _work_item(claimed: Claimed, stored: Stored) -> WorkItem | None:
    """The entry for a row as stored, or None for one that is final and not kept.

    A covered row waits for exactly one other: its holder.
    """
    if stored.outcome.state not in _LISTED:
        return None
    return WorkItem(
        outcome=stored.outcome,
        etag=stored.etag,
        material=claimed.candidate.material,
        due_at=stored.outcome.received_at,
        waits_for=claimed.waits_for,
    )
