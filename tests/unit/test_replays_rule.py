"""Which rows may be taken up again and how: every reason that the code can write has its line in the table."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.lifecycle import TRANSITIONS
from shared.domain.model import Outcome, OutcomeKey, Source, State
from shared.domain.replays import KNOWN_REASONS, CannotReplay, Way, refused_detail, way_of
from tests.support.source_code import PACKAGE, nodes

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MAKERS = {"BadManualMessage": 0, "MaterialGone": 0, "_rejected": 1}
"""Calls whose argument at that place becomes the reason of a row that failed or was rejected."""
WAYS = {
    Way.LOOK_UP: {"never_reconciled"},
    Way.SUBMIT: {
        "refused_by_microsoft",
        "not_sent",
        "metadata_not_ready",
        "no_effect",
        "processing_failed",
        "evidence_gone",
    },
    Way.TAKE_IN: {
        "poison_message",
        "report_unavailable",
        "report_unreadable",
        "message_not_found",
        "mailbox_not_found",
        "mailbox_not_readable",
        "content_not_found",
        "content_empty",
        "unreadable_content",
        "submission_not_found",
    },
}
MAY_HAVE_ARRIVED = {"never_reconciled"}


def row(reason: str | None, state: State = State.FAILED) -> Outcome:
    """A row that ended so an hour ago."""
    return Outcome(
        key=OutcomeKey("20261123", "a" * 32),
        state=state,
        state_reason=reason,
        source=Source.MAILBOX,
        received_at=NOW - timedelta(hours=1),
        collected_at=NOW - timedelta(hours=1),
    )


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the product's code, by the name that is called."""
    for file in PACKAGE.rglob("*.py"):
        for node in nodes(file):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                yield name, node


def ends_a_row(call: ast.Call) -> bool:
    """Whether the call names one of the two states that can be taken up again."""
    values = (*call.args, *(keyword.value for keyword in call.keywords))
    return any(isinstance(one, ast.Attribute) and one.attr in {"FAILED", "REJECTED"} for one in values)


def texts(nodes: list[ast.expr]) -> set[str]:
    """The texts that stand there as such."""
    return {one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def written_reasons() -> set[str]:
    """What the code writes as the reason of a row that failed or was rejected, where the text stands there."""
    found: set[str] = set()
    for name, call in calls():
        if name in MAKERS and len(call.args) > MAKERS[name]:
            found |= texts([call.args[MAKERS[name]]])
        if ends_a_row(call):
            named = [one.value for one in call.keywords if one.arg in {"reason", "state_reason"}]
            found |= texts([*call.args, *named])
    return found


def test_every_reason_that_is_written_is_known() -> None:
    """A new reason must get its line in the table, or its rows could never be taken up again."""
    written = written_reasons()
    assert {"poison_message", "never_reconciled", "content_empty", "evidence_gone", "not_json"} <= written
    assert written <= KNOWN_REASONS


@pytest.mark.parametrize(("way", "reason"), [(way, one) for way, all_of in WAYS.items() for one in sorted(all_of)])
@pytest.mark.parametrize("state", [State.FAILED, State.REJECTED])
def test_each_reason_has_its_way(way: Way, reason: str, state: State) -> None:
    """What was read once and sent is sent as it is, unless it may be at Microsoft; the rest is read again."""
    assert way_of(row(reason, state), NOW) is way
    sent = replace(row(reason, state), dispatched_at=NOW)
    assert way_of(sent, NOW) is (Way.LOOK_UP if reason in MAY_HAVE_ARRIVED else Way.SUBMIT)


@pytest.mark.parametrize("reason", sorted(KNOWN_REASONS - set().union(*WAYS.values())))
def test_every_other_reason_says_what_to_do(reason: str) -> None:
    """One sentence, and a code."""
    with pytest.raises(CannotReplay) as refusal:
        way_of(row(reason, State.REJECTED), NOW)
    assert refusal.value.reason in {
        "material_gone",
        "request_id_conflict",
        "bad_message",
        "at_microsoft",
        "erased",
        "not_reviewable",
    }
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("reason", [None, "", "from_the_future"])
def test_an_unknown_reason_is_refused(reason: str | None) -> None:
    """Nobody knows whether such a row is at Microsoft."""
    with pytest.raises(CannotReplay, match="Ask for the item anew") as refusal:
        way_of(row(reason), NOW)
    assert refusal.value.reason == "unknown_reason"


@pytest.mark.parametrize("state", sorted(set(State) - {State.FAILED, State.REJECTED}))
def test_only_what_failed_or_was_rejected_is_taken_up(state: State) -> None:
    """Everything else is on its way, or done."""
    with pytest.raises(CannotReplay, match=f"It is {state}: only failed and rejected rows") as refusal:
        way_of(row("no_effect", state), NOW)
    assert refusal.value.reason == "not_ended"


def test_too_old_and_expired_are_refused_at_that_very_moment() -> None:
    """Microsoft takes nothing that is over 30 days old, and no entry that is over."""
    month = timedelta(days=30)
    assert way_of(replace(row("no_effect"), received_at=NOW - month), NOW) is Way.SUBMIT
    with pytest.raises(CannotReplay, match="more than 30 days ago") as too_old:
        way_of(replace(row("no_effect"), received_at=NOW - month - timedelta(seconds=1)), NOW)
    with pytest.raises(CannotReplay, match="has expired") as expired:
        way_of(replace(row("no_effect"), allow_or_block_expires_at=NOW), NOW)
    assert way_of(replace(row("no_effect"), allow_or_block_expires_at=NOW + timedelta(1)), NOW) is Way.SUBMIT
    assert (too_old.value.reason, expired.value.reason) == ("too_old", "entry_expired")


def test_only_a_row_that_failed_becomes_uncertain() -> None:
    """What Microsoft rejected did not arrive; `settled`, `skipped` and `expired` are never left."""
    assert State.UNCERTAIN in TRANSITIONS[State.FAILED]
    assert State.UNCERTAIN not in TRANSITIONS[State.REJECTED]
    assert not any(TRANSITIONS[state] for state in (State.SETTLED, State.SKIPPED, State.EXPIRED))


def test_the_newest_refusal_alone_stands_behind_what_was_told_before() -> None:
    """Asking ten times does not fill the column."""
    first, second = CannotReplay("one", "First."), CannotReplay("two", "Second.")
    assert refused_detail(None, first) == "Replay refused: First."
    told = refused_detail("content: no such blob", first)
    assert refused_detail(told, second) == "content: no such blob Replay refused: Second."
