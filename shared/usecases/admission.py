"""Letting new rows in: claim the item, find the campaign, write the row and its first event, put it on the worklist.

Collect and intake both end here, so that a report and a request are treated alike and a step that was cut off is made
good in one place. Order matters: evidence (the caller's), item, campaign, outcome, feed, worklist. Each step may be
repeated. A report may be covered by its campaign; what an operator asks for is submitted, or covered by the same item
and told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.domain.campaigns import Fingerprint
from shared.domain.lifecycle import FIRST_STATES, move
from shared.domain.model import CoverReason, Outcome, OutcomeKey, Priority, Source, State
from shared.domain.representatives import Member, Role
from shared.domain.submissions import Material
from shared.stores.items import Claim, Holding, ItemStore
from shared.stores.outcomes import Change, OutcomeStore, Stored
from shared.stores.worklist import LANES, WorkItem, Worklist
from shared.telemetry import Event, emit
from shared.usecases.campaigns import Campaigns
from shared.usecases.claims import CAME_TO_NOTHING, CLAIMING, Claims, claim_of, covered, is_left_to_campaign

_LISTED = frozenset({State.PENDING, State.COVERED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new row, with what its submission will need, and by what its campaign is known."""

    outcome: Outcome
    material: Material = field(default_factory=Material)
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A candidate that knows whether it goes itself, and behind whom."""

    candidate: Candidate
    waits_for: tuple[OutcomeKey, ...] = ()


class Admission:
    """Lets candidates in."""

    def __init__(self, outcomes: OutcomeStore, worklist: Worklist, items: ItemStore, campaigns: Campaigns) -> None:
        self._outcomes = outcomes
        self._worklist = worklist
        self._items = items
        self._claims = Claims(outcomes, items)
        self._campaigns = campaigns

    async def claim(self, candidates: Sequence[Candidate]) -> list[Claimed]:
        """Claim the items of the pending candidates; each comes back `covered` where another row speaks for it."""
        claims = [claim for one in candidates if (claim := claim_of(one.outcome)) is not None]
        holdings = dict(zip((claim.key for claim in claims), await self._items.hold(claims), strict=True))
        held = [await self._held(one, holdings.get(one.outcome.key)) for one in candidates]
        return await self._in_campaigns(held)

    async def _held(self, candidate: Candidate, holding: Holding | None) -> Claimed:
        """The candidate as its item lets it go: itself, or covered by the row that made the same claim first."""
        outcome = candidate.outcome
        claim = claim_of(outcome)
        if holding is None or claim is None:
            return Claimed(candidate)
        if holding.holder != outcome.key:
            holding = await self._replace_idle_holder(holding, outcome, claim)
        if holding.holder == outcome.key:
            return Claimed(candidate, holding.earlier)
        return Claimed(_covered(candidate, CoverReason.SAME_ITEM, holding.holder), (holding.holder,))

    async def _in_campaigns(self, held: Sequence[Claimed]) -> list[Claimed]:
        """The candidates with their campaigns; a report that its campaign does not need comes back `covered`."""
        members = [member for one in held if (member := _member(one.candidate)) is not None]
        places = await self._campaigns.place(members) if members else {}
        placed: list[Claimed] = []
        for one in held:
            place = places.get(one.candidate.outcome.key)
            if place is None:
                placed.append(one)
                continue
            linked = replace(one.candidate, outcome=replace(one.candidate.outcome, campaign_id=place.campaign_id))
            if place.covered_by is None:
                placed.append(replace(one, candidate=linked))
            else:
                covered = _covered(linked, CoverReason.SAME_CAMPAIGN, place.covered_by)
                placed.append(Claimed(covered, (place.covered_by,)))
        return placed

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
        if stored.outcome.state is State.COVERED and claimed.candidate.outcome.state is State.PENDING:
            await self._let_go(claimed, stored)
            return
        if item is None or await self._worklist.holds(item):
            return
        placed = await self._claims.verified(item) if stored.outcome.state is State.PENDING else item
        if placed is not None:
            await self._worklist.add([placed])

    async def _let_go(self, claimed: Claimed, stored: Stored) -> None:
        """Let a row go itself whose admission was cut off, and that nobody speaks for any more."""
        claim = claim_of(stored.outcome)
        holding = None if claim is None else await self._items.keep(claim)
        if holding is not None and holding.holder != stored.outcome.key:
            item = _work_item(replace(claimed, waits_for=(holding.holder,)), stored)
            await self._worklist.add([item] if item is not None else [])
            return
        pending = move(stored.outcome, State.PENDING, reason="holder_came_to_nothing", covered_by=None)
        done = (await self._outcomes.advance([Change(stored.outcome, pending, stored.etag)]))[0]
        item = None if done is None else _work_item(claimed, done)
        if item is not None:
            await self._worklist.add([item])

    async def _fail_without_material(self, stored: Stored) -> None:
        """A row that never reached the worklist, and whose content is gone by now, cannot go on."""
        entry = WorkItem(outcome=stored.outcome, etag=stored.etag, due_at=stored.outcome.received_at)
        if not await self._worklist.holds(entry):
            emit(Event.GAVE_UP, submission_id=entry.outcome.key.submission_id, reason="material_gone")
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
        done = (await self._outcomes.amend([Change(stored.outcome, raised, stored.etag)]))[0]
        if item is not None and done is not None:
            await self._worklist.move(item, replace(item, outcome=done.outcome, etag=done.etag))

    async def _replace_idle_holder(self, holding: Holding, outcome: Outcome, claim: Claim) -> Holding:
        """Take the claim over from a holder that came to nothing, so that it cannot stand in the way for ever.

        An operator's request also takes it from a report that is not submitted itself, only its campaign is or was.
        """
        holder = await self._outcomes.get(holding.holder)
        if holder is None:
            return holding
        if holder.outcome.state in CAME_TO_NOTHING:
            return await self._items.hand_over(claim, holding.holder, lambda: self._came_to_nothing(holding.holder))
        if outcome.source is Source.MANUAL and is_left_to_campaign(holder.outcome):
            return await self._items.take_over(claim, holding.holder)
        return holding

    async def _came_to_nothing(self, holder: OutcomeKey) -> bool:
        stored = await self._outcomes.get(holder)
        return stored is not None and stored.outcome.state in CAME_TO_NOTHING


def _covered(candidate: Candidate, reason: CoverReason, by: OutcomeKey) -> Candidate:
    outcome = replace(covered(candidate.outcome, reason, by), state=State.COVERED)
    return replace(candidate, outcome=outcome)


def _member(candidate: Candidate) -> Member | None:
    """What a candidate is to its campaign; None where it cannot be compared with anything."""
    outcome = candidate.outcome
    if candidate.fingerprint is None or outcome.state not in CLAIMING:
        return None
    if outcome.state is State.COVERED:
        return Member(outcome.key, candidate.fingerprint, Role.FOLLOWER)
    role = Role.REQUEST if outcome.source is Source.MANUAL else Role.REPORT
    return Member(outcome.key, candidate.fingerprint, role)


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
