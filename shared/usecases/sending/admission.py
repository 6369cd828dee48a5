"""Letting new rows in: claim the item, find the campaign, write the row and its first event, put it on the worklist.

Collect and intake both end here, so that a report and a request are treated alike and a step that was cut off is made
good in one place. Order matters: evidence (the caller's), item, campaign, outcome, feed, worklist. Each step may be
repeated. A report may be covered by its campaign; what an operator asks for is submitted, or covered by the same item
and told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ...domain.campaigns import Fingerprint
from ...domain.lifecycle import FIRST_STATES, move
from ...domain.model import CoverReason, Outcome, OutcomeKey, Priority, Source, State
from ...domain.representatives import Member, Role
from ...domain.submissions import Material
from ...ports import Clock
from ...stores.items import ItemStore
from ...stores.ledger import LANES, Ledger, Step, Stored, WorkItem
from ...telemetry import Event, emit
from .campaigns import Campaigns
from .claims import CLAIMING, Claims, claim_of, covered

CLAIM_GOOD_FOR = timedelta(minutes=30)
"""A claim ahead of its row may be taken over after an hour; a worker that stood still for so long claims again."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new row, with what its submission will need, and by what its campaign is known."""

    outcome: Outcome
    material: Material = field(default_factory=Material)
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A candidate that knows whether it is submitted itself, or by whom it is covered; and when it claimed its item."""

    candidate: Candidate
    holder: OutcomeKey | None = None
    claimed_at: datetime | None = None


class Admission:
    """Lets candidates in."""

    def __init__(self, ledger: Ledger, items: ItemStore, campaigns: Campaigns, clock: Clock) -> None:
        self._ledger = ledger
        self._items = items
        self._claims = Claims(ledger, items, clock)
        self._campaigns = campaigns
        self._clock = clock

    async def claim(self, candidates: Sequence[Candidate]) -> list[Claimed]:
        """Claim the items of the pending candidates; each comes back `covered` where another row speaks for it."""
        now = self._clock.now()
        claims = {claim.key: claim for one in candidates if (claim := claim_of(one.outcome)) is not None}
        held = dict(zip(claims, await self._items.hold(list(claims.values())), strict=True))
        learnt = await self._claims.learnt_holders(
            [one.outcome for one in candidates if one.outcome.key in claims and one.outcome.disputes is None]
        )
        found: list[Claimed] = []
        for one in candidates:
            key = one.outcome.key
            holder = await self._claims.holder(claims[key], held[key], one.outcome) if key in claims else key
            if holder == key:
                holder = learnt.get(key, key)
            if holder == key:
                found.append(Claimed(one, None, now))
            else:
                found.append(Claimed(_covered(one, CoverReason.SAME_ITEM, holder), holder, now))
        return await self._in_campaigns(found)

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
                follower = _covered(linked, CoverReason.SAME_CAMPAIGN, place.covered_by)
                placed.append(replace(one, candidate=follower, holder=place.covered_by))
        return placed

    async def admit(self, claimed: Sequence[Claimed]) -> int:
        """Write the rows that are new and make good those that an earlier run left half done; returns how many are new.

        A row that exists already keeps its state, whatever the candidate says.
        """
        claimed = [await self._claimed_of_late(one) for one in claimed]
        created = await self._ledger.create([_work_item(one) for one in claimed])
        for one, stored in zip(claimed, created, strict=True):
            if stored is None:
                await self.make_good(one)
        return sum(stored is not None for stored in created)

    async def _claimed_of_late(self, claimed: Claimed) -> Claimed:
        at = claimed.claimed_at
        if (
            at is None
            or self._clock.now() - at < CLAIM_GOOD_FOR
            or claimed.candidate.outcome.state is not State.PENDING
        ):
            return claimed
        return (await self.claim([claimed.candidate]))[0]

    async def is_whole(self, stored: Stored) -> bool:
        """Whether a row lacks nothing of its admission: it has gone on, or has its event and its entry.

        What it was made from must not be read again then: an upload may have been replaced since.
        """
        return stored.outcome.state not in FIRST_STATES or await self._ledger.is_whole(stored)

    async def make_good(self, claimed: Claimed) -> None:
        """Finish the admission of a row that exists already but may lack its event or its entry."""
        stored = await self._ledger.get(claimed.candidate.outcome.key)
        if stored is None or await self.is_whole(stored):
            return
        item = _work_item(claimed)
        if stored.outcome.state is not State.PENDING:
            await self._ledger.add(item, stored)
        elif claimed.candidate.outcome.state not in CLAIMING:
            await self._fail_without_material(item, stored)
        else:
            placed = await self._claims.verified(stored)
            if placed is not None:
                await self._ledger.add(replace(item, holder=placed[1]), placed[0])

    async def _fail_without_material(self, item: WorkItem, stored: Stored) -> None:
        """A row that never got its entry, and whose content is gone by now, cannot go on."""
        emit(Event.GAVE_UP, submission_id=stored.outcome.key.submission_id, reason="material_gone")
        failed = await self._ledger.advance(stored, move(stored.outcome, State.FAILED, reason="material_gone"))
        if failed is not None:
            await self._ledger.add(item, failed)

    async def expedite(self, holder: OutcomeKey, priority: Priority) -> None:
        """Let a waiting row go in a better lane because a request that it covers is in a hurry."""
        stored = await self._ledger.get(holder)
        if stored is None or stored.outcome.state is not State.PENDING:
            return
        if LANES[stored.outcome.priority or Priority.NORMAL] <= LANES[priority]:
            return
        item = await self._ledger.find(stored.outcome)
        if item is not None and item.outcome.state is State.PENDING:
            await self._ledger.amend_filed([Step(item, replace(stored.outcome, priority=priority), stored)])


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


def _work_item(claimed: Claimed) -> WorkItem:
    """The entry for a new row; a covered one waits for its holder."""
    outcome = claimed.candidate.outcome
    return WorkItem(
        outcome=outcome,
        etag="",
        material=claimed.candidate.material,
        due_at=outcome.received_at,
        holder=claimed.holder,
    )
