"""Claims: what a row asserts of its item, whose submission speaks for it, and how a row comes back to its claim.

Of two rows with the same claim, only one is submitted. A claim is taken over from a row that does not speak for it any
more only after a look at that row between reading the item and its guarded write; a row that comes back writes itself
first and its item then. So one of the two always sees the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from ...domain import keys
from ...domain.item import Held, is_row_overdue, speaks
from ...domain.lifecycle import move
from ...domain.model import Agreement, CoverReason, Kind, Outcome, OutcomeKey, Source, State
from ...ports import Clock
from ...stores.items import Claim, ItemStore
from ...stores.ledger import Ledger, Step, Stored

CLAIMING = frozenset({State.PENDING, State.COVERED})


class Claims:
    """Finds who speaks for a row, and brings rows back to their claims."""

    def __init__(self, ledger: Ledger, items: ItemStore, clock: Clock) -> None:
        self._ledger = ledger
        self._items = items
        self._clock = clock

    async def holder(self, claim: Claim, held: Held, outcome: Outcome) -> OutcomeKey:
        """The row that is to be submitted for a claim that was just made: its own, or one that speaks for it.

        An operator's request also takes the claim from a report that only its campaign is submitted for. What
        disputes a verdict takes it from anybody.
        """
        if held.holder == claim.key:
            return claim.key
        if outcome.disputes is not None:
            return (await self._items.take(claim)).holder
        stored = await self._ledger.get(held.holder)
        if not self._speaks(held, stored):
            return await self.hand_over(claim, held.holder, self._is_gone)
        if outcome.source is Source.MANUAL and stored is not None and is_left_to_campaign(stored.outcome):
            held = await self._items.take_over(claim, held.holder)
        return held.holder

    async def learnt_holders(self, outcomes: Sequence[Outcome]) -> dict[OutcomeKey, OutcomeKey]:
        """For each mail the row that speaks for it under a name that was learnt of late, where there is one.

        Names can be forged: a row whose claim was refuted speaks for no other mail by them.
        """
        claims = [claim for one in outcomes if (claim := learnt_claim_of(one)) is not None]
        found: dict[OutcomeKey, OutcomeKey] = {}
        for claim, holder in zip(claims, await self._items.holders_of_learnt(claims), strict=True):
            stored = None if holder is None or holder == claim.key else await self._ledger.get(holder)
            if stored is None or stored.outcome.agreement is Agreement.REFUTED:
                continue
            if speaks(stored.outcome, self._clock.now()):
                found[claim.key] = stored.outcome.key
        return found

    async def verified(self, stored: Stored) -> tuple[Stored, OutcomeKey | None] | None:
        """A row that was just written as one to be submitted, and the row that it is covered by, if any.

        Where another row holds the claim by now, the row is written as covered by that one. None where somebody else
        moved the row on meanwhile: look at it anew.
        """
        claim = claim_of(replace(stored.outcome, state=State.PENDING))
        if claim is None:
            return stored, None
        holder = (await self._items.renew(claim)).holder
        if stored.outcome.disputes is not None:
            holder = (await self._items.take(claim)).holder
        holder = await self.unless_left_to_campaign(claim, holder)
        if holder == claim.key:
            return stored, None
        done = await self._ledger.advance(stored, moved_under(stored.outcome, holder))
        return None if done is None else (done, holder)

    async def spoken_for_by(self, outcome: Outcome) -> OutcomeKey | None:
        """The row that came to speak for one that waited anew after a try, or None: a dispute may have overruled it."""
        claim = claim_of(replace(outcome, state=State.PENDING))
        if claim is None or outcome.disputes is not None:
            return None
        held = await self._items.held(claim)
        if held is None or held.holder == claim.key:
            return None
        holder = await self.unless_left_to_campaign(claim, await self.holder(claim, held, outcome))
        return None if holder == claim.key else holder

    async def cover_overruled(self, outcome: Outcome) -> None:
        """Before a dispute is sent: let the rows from which disputes took its claim follow it, if they still wait."""
        claim = claim_of(replace(outcome, state=State.PENDING))
        for overruled in () if claim is None else await self._items.overruled(claim):
            stored = await self._ledger.get(overruled)
            if stored is not None and stored.outcome.state is State.PENDING and stored.outcome.disputes is None:
                await self._let_follow(stored, outcome.key)

    async def _let_follow(self, stored: Stored, holder: OutcomeKey) -> None:
        entry = await self._ledger.find(stored.outcome)
        if entry is not None:
            await self._ledger.step(Step(entry, moved_under(stored.outcome, holder), stored, {"holder": holder}))

    async def unless_left_to_campaign(self, claim: Claim, holder: OutcomeKey) -> OutcomeKey:
        """Take a claim over from a holder that only its campaign covers: it may wait for this very row."""
        if holder == claim.key or not await self._is_left_to_campaign(holder):
            return holder
        return await self.hand_over(claim, holder, lambda _: self._is_left_to_campaign(holder))

    async def hand_over(self, claim: Claim, gone: OutcomeKey, is_gone: Callable[[Held], Awaitable[bool]]) -> OutcomeKey:
        """Who holds the claim in place of `gone`: the row itself, or one that a dispute overruled and that speaks."""
        return (await self._items.hand_over(claim, gone, is_gone, self._still_speaks)).holder

    async def _still_speaks(self, overruled: OutcomeKey) -> bool:
        stored = await self._ledger.get(overruled)
        if stored is None or stored.outcome.state is State.COVERED:
            return False
        return speaks(stored.outcome, self._clock.now())

    async def _is_left_to_campaign(self, holder: OutcomeKey) -> bool:
        stored = await self._ledger.get(holder)
        return stored is not None and is_left_to_campaign(stored.outcome)

    async def _is_gone(self, held: Held) -> bool:
        return not self._speaks(held, await self._ledger.get(held.holder))

    def _speaks(self, held: Held, stored: Stored | None) -> bool:
        """Whether the holder speaks for the claim; one whose row is not there yet may be about to write it."""
        now = self._clock.now()
        return not is_row_overdue(held, now) if stored is None else speaks(stored.outcome, now)


def claim_of(outcome: Outcome) -> Claim | None:
    """What a row that is to be submitted asserts of its item; None for any other row."""
    if outcome.state not in CLAIMING or outcome.item_key is None or outcome.category is None:
        return None
    if outcome.kind is Kind.EMAIL:
        claim = keys.claim_on_mail(outcome.category, outcome.allow_or_block, *_seen(outcome))
    else:
        claim = keys.claim(outcome.category, outcome.allow_or_block)
    return Claim(outcome.item_key, claim, outcome.key)


def learnt_claim_of(outcome: Outcome) -> Claim | None:
    """The claim under the name that a mail has where nobody could read it: its Message-ID, sender and subject.

    Microsoft tells them of a mail that was submitted by its place in a mailbox. None for what is known by less.
    """
    if outcome.kind is not Kind.EMAIL or outcome.internet_message_id is None or outcome.category is None:
        return None
    item_key = keys.email_item(None, outcome.internet_message_id, "", outcome.recipient or "")
    claim = keys.claim_on_mail(outcome.category, outcome.allow_or_block, *_written(outcome))
    return Claim(item_key, f"learnt-{claim}", outcome.key)


def is_left_to_campaign(holder: Outcome) -> bool:
    """Whether the row that holds an item is not submitted for it, or was not: its campaign spoke for it."""
    return holder.covered_by is not None and holder.state_reason != CoverReason.SAME_ITEM


def covered(outcome: Outcome, reason: CoverReason, by: OutcomeKey) -> Outcome:
    """The row's facts as one that `by` is submitted for; whoever asked for it by hand is told in words."""
    told = f"{by.submission_id} is submitted for the {'same item' if reason is CoverReason.SAME_ITEM else 'campaign'}"
    detail = told if outcome.source is Source.MANUAL else outcome.state_detail
    return replace(outcome, state_reason=reason, state_detail=detail, covered_by=by.submission_id)


def moved_under(outcome: Outcome, holder: OutcomeKey, **facts: Any) -> Outcome:
    """The row in its next state, covered by the row that is submitted for the same item."""
    told = covered(outcome, CoverReason.SAME_ITEM, holder)
    by = told.covered_by
    return move(outcome, State.COVERED, reason=told.state_reason, detail=told.state_detail, covered_by=by, **facts)


def _seen(outcome: Outcome) -> tuple[str | None, ...]:
    """What two mails under one item agree in if they are the same one.

    Without the id that Exchange gave it the item itself is only what its sender wrote, so more has to be the same.
    """
    written = _written(outcome)
    return written if outcome.network_message_id else (*written, str(outcome.size_bytes))


def _written(outcome: Outcome) -> tuple[str | None, ...]:
    """What the sender of a mail wrote into its headers."""
    subject = "".join((outcome.subject or "").split()).casefold()
    return outcome.internet_message_id, (outcome.sender or "").lower(), subject
