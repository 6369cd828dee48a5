"""Claims: what a row asserts of its item, whose submission speaks for it, and how a row comes back to its claim.

Two rows with one claim never go both. A claim is taken over from a row that came to nothing only after a look at that
row between reading the item and its guarded write; a row that comes back writes itself first and its item then. So
one of the two always sees the other.
"""

from __future__ import annotations

from dataclasses import replace

from shared.domain import keys
from shared.domain.lifecycle import move
from shared.domain.model import CoverReason, Kind, Outcome, OutcomeKey, Source, State
from shared.stores.items import Claim, Holding, ItemStore
from shared.stores.outcomes import Change, OutcomeStore
from shared.stores.worklist import WorkItem

CAME_TO_NOTHING = frozenset({State.FAILED, State.REJECTED, State.SKIPPED})
CLAIMING = frozenset({State.PENDING, State.COVERED})


class Claims:
    """Brings rows back to their claims."""

    def __init__(self, outcomes: OutcomeStore, items: ItemStore) -> None:
        self._outcomes = outcomes
        self._items = items

    async def verified(self, item: WorkItem) -> WorkItem | None:
        """The entry of a row that was just written as one to be submitted, with the rows that it waits for.

        Where another row holds the claim by now, the row is written as covered by that one. None where somebody else
        moved the row on meanwhile: look at it anew.
        """
        claim = claim_of(replace(item.outcome, state=State.PENDING))
        if claim is None:
            return item
        holding = await self.unless_left_to_campaign(claim, await self._items.renew(claim))
        if holding.holder == claim.key:
            first = dict.fromkeys((*holding.earlier, *await self.went_meanwhile(claim)))
            return replace(item, waits_for=tuple(first))
        told = covered(item.outcome, CoverReason.SAME_ITEM, holding.holder)
        after = move(
            item.outcome,
            State.COVERED,
            reason=told.state_reason,
            detail=told.state_detail,
            covered_by=told.covered_by,
        )
        stored = (await self._outcomes.advance([Change(item.outcome, after, item.etag)]))[0]
        if stored is None:
            return None
        return replace(item, outcome=stored.outcome, etag=stored.etag, waits_for=(holding.holder,))

    async def unless_left_to_campaign(self, claim: Claim, holding: Holding) -> Holding:
        """Take a claim over from a holder that only its campaign covers: it may wait for this very row."""
        gone = holding.holder
        if gone == claim.key or not await self._is_left_to_campaign(gone):
            return holding
        return await self._items.hand_over(claim, gone, lambda: self._is_left_to_campaign(gone))

    async def _is_left_to_campaign(self, holder: OutcomeKey) -> bool:
        stored = await self._outcomes.get(holder)
        return stored is not None and is_left_to_campaign(stored.outcome)

    async def went_meanwhile(self, claim: Claim) -> list[OutcomeKey]:
        """The rows with other claims about the item that did not wait for this one while it stood aside."""
        rows = [await self._outcomes.get(key) for key in await self._items.claimants(claim.item_key)]
        others = [one.outcome for one in rows if one is not None and one.outcome.key != claim.key]
        return [one.key for one in others if one.state not in CLAIMING]


def claim_of(outcome: Outcome) -> Claim | None:
    """What a row that is to be submitted asserts of its item; None for any other row."""
    if outcome.state not in CLAIMING or outcome.item_key is None or outcome.category is None:
        return None
    if outcome.kind is Kind.EMAIL:
        claim = keys.claim_on_mail(outcome.category, outcome.allow_or_block, *_seen(outcome))
    else:
        claim = keys.claim(outcome.category, outcome.allow_or_block)
    return Claim(outcome.item_key, claim, outcome.key)


def is_left_to_campaign(holder: Outcome) -> bool:
    """Whether the row that holds an item is not submitted for it, or was not: its campaign spoke for it."""
    return holder.covered_by is not None and holder.state_reason != CoverReason.SAME_ITEM


def covered(outcome: Outcome, reason: CoverReason, by: OutcomeKey) -> Outcome:
    """The row's facts as one that `by` is submitted for; whoever asked for it by hand is told in words."""
    told = f"{by.submission_id} is submitted for the {'same item' if reason is CoverReason.SAME_ITEM else 'campaign'}"
    detail = told if outcome.source is Source.MANUAL else outcome.state_detail
    return replace(outcome, state_reason=reason, state_detail=detail, covered_by=by.submission_id)


def _seen(outcome: Outcome) -> tuple[str | None, ...]:
    """What two mails under one item agree in if they are the same one.

    Without the id that Exchange gave it the item itself is only what its sender wrote, so more has to be the same.
    """
    subject = "".join((outcome.subject or "").split()).casefold()
    written = (outcome.internet_message_id, (outcome.sender or "").lower(), subject)
    return written if outcome.network_message_id else (*written, str(outcome.size_bytes))
