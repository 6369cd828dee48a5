"""Closing: give rows their final state, and tell it."""

from __future__ import annotations

from collections.abc import Sequence

from ...domain.model import Outcome, State
from ...stores.ledger import Ledger, Step
from ...telemetry import Event, emit


async def close(ledger: Ledger, steps: Sequence[Step]) -> int:
    """Take the steps; returns how many rows were settled. One that somebody else moved on is left to the next run."""
    done = [stored.outcome for stored in await ledger.apply(steps) if stored is not None]
    for outcome in done:
        _tell(outcome)
    return sum(outcome.state is State.SETTLED for outcome in done)


def _tell(outcome: Outcome) -> None:
    if outcome.state is State.FAILED:
        emit(Event.GAVE_UP, submission_id=outcome.key.submission_id, reason=outcome.state_reason)
    elif outcome.state is State.EXPIRED:
        emit(Event.EXPIRED, submission_id=outcome.key.submission_id)
    elif outcome.state is State.SETTLED:
        emit(
            Event.SETTLED,
            submission_id=outcome.key.submission_id,
            verdict=outcome.verdict,
            agreement=outcome.agreement,
            seconds=outcome.seconds_to_verdict,
        )
