"""Which state may follow which, as one table.

A row is born `pending`, `covered`, `skipped`, `rejected` or `failed`, or `submitted` where a user brought it to
Microsoft, and walks towards a final state:

    pending ──▶ dispatched ──▶ submitting ──▶ submitted ──▶ settled
       ▲            │              │   │           └──────▶ expired
       ├────────────┘ slot missed  │   └─▶ uncertain ─▶ submitted (found at Microsoft)
       ├───────────────────────────┘ known to have had no effect
       └────────────────────────────────── uncertain, not found at Microsoft

A review has no verdict to wait for: once it took effect it goes from `submitting` to `settled`.

A waiting row is `uncertain` as well after the tables were restored from a backup: it may have been sent since.

A final row stays as it is, with one way out: an administrator may have a `failed` or `rejected` row taken up again. It
then waits anew, or is `uncertain` where its POST may have arrived, or `covered` where another row took its claim over,
perhaps at that very moment. `settled`, `skipped` and `expired` are never left.

The one conflict worth knowing: a worker that was believed dead may come back with Microsoft's answer after its row
was called `uncertain`, and is still recorded. `move` raises and changes nothing when a step is not in the table. What
follows from a state (what to send, when to look again) is decided in the use cases, never here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from .errors import DefenderSubmissionsError
from .model import Outcome, Source, State

FIRST_STATES = frozenset({State.PENDING, State.COVERED, State.SKIPPED, State.REJECTED, State.FAILED})
FINAL_STATES = frozenset({State.SETTLED, State.SKIPPED, State.REJECTED, State.FAILED, State.EXPIRED})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {State.DISPATCHED, State.COVERED, State.SKIPPED, State.REJECTED, State.FAILED, State.UNCERTAIN}
    ),
    State.DISPATCHED: frozenset({State.PENDING, State.SUBMITTING, State.FAILED}),
    State.SUBMITTING: frozenset(
        {
            State.PENDING,
            State.COVERED,
            State.SUBMITTED,
            State.SETTLED,
            State.UNCERTAIN,
            State.REJECTED,
            State.FAILED,
            State.SKIPPED,
        }
    ),
    State.UNCERTAIN: frozenset({State.PENDING, State.COVERED, State.SUBMITTED, State.FAILED}),
    State.SUBMITTED: frozenset({State.SETTLED, State.EXPIRED}),
    State.COVERED: frozenset({State.PENDING, State.SETTLED, State.EXPIRED, State.SKIPPED, State.FAILED}),
    State.SETTLED: frozenset(),
    State.SKIPPED: frozenset(),
    State.REJECTED: frozenset({State.PENDING, State.COVERED, State.SKIPPED}),
    State.FAILED: frozenset({State.PENDING, State.UNCERTAIN, State.COVERED, State.SKIPPED, State.REJECTED}),
    State.EXPIRED: frozenset(),
}


class IllegalTransition(DefenderSubmissionsError):
    """A step that the table does not know: a mistake in the caller, nothing was changed."""


def is_final(state: State) -> bool:
    """Whether a row in this state is finished."""
    return state in FINAL_STATES


def move(outcome: Outcome, to: State, *, reason: str | None = None, detail: str | None = None, **facts: Any) -> Outcome:
    """Return the row in its next state, with `reason` and `detail` set anew and `facts` (fields) replaced.

    Raises `IllegalTransition` where the table has no such step; the row given is never changed.
    """
    if to not in TRANSITIONS[outcome.state]:
        raise IllegalTransition(f"{outcome.key.submission_id}: {outcome.state} cannot become {to}")
    return replace(outcome, state=to, state_reason=reason, state_detail=detail, **facts)


def born(outcome: Outcome, now: datetime) -> Outcome:
    """The row in its first state: revision 1, changed `now`. Raises `IllegalTransition` for a state to end in."""
    is_theirs = outcome.source is Source.MICROSOFT and outcome.state is State.SUBMITTED
    if outcome.state not in FIRST_STATES and not is_theirs:
        raise IllegalTransition(f"{outcome.key.submission_id}: no row begins as {outcome.state}")
    return replace(outcome, revision=1, changed_at=_to_the_ms(now), previous_state=None)


def changed(before: Outcome, after: Outcome, now: datetime) -> Outcome:
    """`after` as the revision that follows `before`; raises `IllegalTransition` for a step that the table lacks.

    Its time is never earlier than a millisecond behind the one before, whoever's clock wrote that: times order events.
    What this function has returned before comes back as it is: a row that is announced first is written as announced.
    """
    if after.state not in TRANSITIONS[before.state] or before.key != after.key:
        raise IllegalTransition(f"{before.key.submission_id}: {before.state} cannot become {after.state}")
    revision = max(before.revision, 1) + 1
    if (after.revision, after.previous_state) == (revision, before.state) and after.changed_at is not None:
        return after
    at = _to_the_ms(now)
    if before.changed_at is not None:
        at = max(at, _to_the_ms(before.changed_at) + timedelta(milliseconds=1))
    return replace(after, revision=revision, changed_at=at, previous_state=before.state)


def amended(before: Outcome, after: Outcome) -> Outcome:
    """`after` as the same revision with other facts; raises `IllegalTransition` where state or verdict differ."""
    if (before.key, before.state, before.verdict) != (after.key, after.state, after.verdict):
        raise IllegalTransition(f"{before.key.submission_id}: a change of {before.state} is no amendment")
    return replace(after, revision=before.revision, changed_at=before.changed_at, previous_state=before.previous_state)


def _to_the_ms(at: datetime) -> datetime:
    """The moment as it stands in an event's key."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
