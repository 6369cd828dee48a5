"""The table of states: it is the contract's, it ends, and nothing gets around it."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.lifecycle import (
    FINAL_STATES,
    FIRST_STATES,
    TRANSITIONS,
    IllegalTransition,
    is_final,
    move,
)
from shared.domain.model import Outcome, State
from tests.support.outcomes import NOW, make_outcome, outcomes

CONTRACT = {
    "pending": False,
    "dispatched": False,
    "submitting": False,
    "uncertain": False,
    "submitted": False,
    "covered": False,
    "settled": True,
    "skipped": True,
    "rejected": True,
    "failed": True,
    "expired": True,
}
"""Section 5 of the contract: every state, and whether it is final."""
STEPS = [(before, after) for before in State for after in State]


def reachable_from(start: State) -> set[State]:
    """Return every state that some walk from `start` comes through."""
    found, front = {start}, [start]
    while front:
        following = TRANSITIONS[front.pop()] - found
        found |= following
        front += following
    return found


def test_the_states_are_the_contracts() -> None:
    """Their words, and which of them are final, stand in section 5 of the contract."""
    assert {state.value: is_final(state) for state in State} == CONTRACT
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", [State.SETTLED, State.SKIPPED, State.EXPIRED])
def test_what_microsoft_answered_and_what_was_left_out_is_never_left(state: State) -> None:
    """Such a final row never moves."""
    assert TRANSITIONS[state] == frozenset()


@pytest.mark.parametrize("state", [State.FAILED, State.REJECTED])
def test_the_one_way_out_of_a_final_state_is_to_be_taken_up_again(state: State) -> None:
    """A row that came to nothing waits anew or stands behind another; it never is at Microsoft without a POST."""
    assert {State.PENDING, State.COVERED} <= TRANSITIONS[state]
    assert not TRANSITIONS[state] & {State.DISPATCHED, State.SUBMITTING, State.SUBMITTED, State.SETTLED, State.EXPIRED}


def test_every_state_is_reachable() -> None:
    """From the states in which a row is born, a walk leads to each of the others."""
    assert set().union(*(reachable_from(state) for state in FIRST_STATES)) == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_can_end(state: State) -> None:
    """There is no state that a row cannot leave towards a final one."""
    assert reachable_from(state) & FINAL_STATES


@pytest.mark.parametrize("state", [State.UNCERTAIN, State.SUBMITTING])
def test_what_may_be_at_microsoft_can_still_be_found_there(state: State) -> None:
    """A row whose POST may have left can become `submitted`, and can wait anew once it is known to have had none."""
    assert {State.SUBMITTED, State.PENDING} <= TRANSITIONS[state]


def test_what_is_at_microsoft_is_never_sent_again() -> None:
    """From `submitted` no walk leads back to a state in which a row is sent."""
    assert not reachable_from(State.SUBMITTED) & {State.PENDING, State.DISPATCHED, State.SUBMITTING}


@pytest.mark.parametrize(("before", "after"), STEPS, ids=str)
def test_a_step_is_made_or_refused_as_the_table_says(before: State, after: State) -> None:
    """A step in the table gives the row in its next state; any other raises, and the row given is as it was."""
    outcome = make_outcome(state=before, state_reason="old", state_detail="old", attempts=1)
    if after in TRANSITIONS[before]:
        moved = move(outcome, after, reason="why", attempts=2)
        assert (moved.state, moved.state_reason, moved.state_detail, moved.attempts) == (after, "why", None, 2)
    else:
        with pytest.raises(IllegalTransition, match=outcome.key.submission_id):
            move(outcome, after, reason="why", attempts=2)
    assert outcome == make_outcome(state=before, state_reason="old", state_detail="old", attempts=1)


@given(outcome=outcomes(), choice=st.data())
def test_a_step_changes_what_it_names_and_nothing_else(outcome: Outcome, choice: st.DataObject) -> None:
    """State, reason, detail and the given facts are new; every other field is the old one."""
    assume(TRANSITIONS[outcome.state])
    after = choice.draw(st.sampled_from(sorted(TRANSITIONS[outcome.state])))
    expected = replace(outcome, state=after, state_reason=None, state_detail=None, settled_at=NOW)
    assert move(outcome, after, settled_at=NOW) == expected
