"""Claims: who speaks for an item, and for how long.

A row that is to be submitted makes a claim about an item. Of two rows with the same claim one is submitted, and it
speaks for the other while it is open or was settled within a day. A row that may have arrived at Microsoft and was
never looked up keeps its claim until it was. Everything else lets the claim go: what is reported or asked for anew then
is submitted anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from .lifecycle import is_final
from .model import Outcome, OutcomeKey, State

SPEAKS_FOR = timedelta(hours=24)
"""How long after its verdict a row speaks for the same claim about the same item."""
ROW_COMES_WITHIN = timedelta(hours=1)
"""A process may stop between claiming an item and writing its row; after this long the row is not coming."""
CLAIM_LASTS = ROW_COMES_WITHIN / 2
"""A row that comes back to its claim after this long makes it anew, so as to have longer than a function lives."""
MOST_CLAIMS = 100
"""Claims that are remembered of one item; beyond it the oldest are forgotten, which costs at most another submission.
A sender may put one network message id on as many mails as he likes; a row of the table holds some 200 claims."""
MOST_OVERRULED = 10
"""Rows from which disputes took one claim; of more than so many that wait together the oldest are sent themselves."""
NEVER_RECONCILED = "never_reconciled"


@dataclass(frozen=True, slots=True)
class Held:
    """A claim that a row holds, and since when; None where an earlier version wrote it down."""

    holder: OutcomeKey
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What is claimed of an item.

    Holders of `kept` claims are submitted themselves, whatever their campaign does. `overruled` are the rows from which
    disputes took a claim, the latest last: one that still waits then follows the dispute that is sent.
    """

    claims: Mapping[str, Held] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    overruled: Mapping[str, tuple[OutcomeKey, ...]] = field(default_factory=dict)

    def holder_of(self, claim: str) -> OutcomeKey | None:
        """The row that holds the claim, or None."""
        held = self.claims.get(claim)
        return None if held is None else held.holder

    def claimed(self, claim: str, holder: OutcomeKey, now: datetime) -> Item:
        """The item with the claim held by that row from now on."""
        others = {name: held for name, held in self.claims.items() if name != claim}
        newest = list(others.items())[-(MOST_CLAIMS - 1) :]
        return replace(self, claims={**dict(newest), claim: Held(holder, now)}, kept=self.kept - {claim})

    def overruling(self, claim: str, holder: OutcomeKey, now: datetime) -> Item:
        """The item with the claim held by a row that disputes a verdict, whoever held it before."""
        before = self.holder_of(claim)
        if before == holder:
            return self
        earlier = self.overruled.get(claim, ())
        told = earlier if before is None else (*earlier, before)[-MOST_OVERRULED:]
        return replace(self.claimed(claim, holder, now), overruled={**self.overruled, claim: told})

    def renewed(self, claim: str, now: datetime) -> Item:
        """The item whose holder of the claim has made it anew."""
        return replace(self, claims={**self.claims, claim: replace(self.claims[claim], since=now)})

    def keeping(self, claim: str) -> Item:
        """The item whose holder of the claim is submitted itself."""
        return replace(self, kept=self.kept | {claim})


def speaks(outcome: Outcome, now: datetime) -> bool:
    """Whether the row that holds a claim speaks for other rows with the same one."""
    if not is_final(outcome.state):
        return True
    if outcome.state is State.SETTLED:
        return outcome.settled_at is not None and now - outcome.settled_at < SPEAKS_FOR
    return may_have_arrived(outcome)


def may_have_arrived(outcome: Outcome) -> bool:
    """Whether a row that was given up may be at Microsoft: it is looked up there before anything is sent again."""
    return outcome.state is State.FAILED and outcome.state_reason == NEVER_RECONCILED


def is_claim_old(held: Held, now: datetime) -> bool:
    """Whether a row that comes back to its claim has to make it anew before it is written."""
    return held.since is None or now - held.since > CLAIM_LASTS


def is_row_overdue(held: Held, now: datetime) -> bool:
    """Whether a claim is so old that its row, which is not there, is not coming."""
    return held.since is None or now - held.since > ROW_COMES_WITHIN
