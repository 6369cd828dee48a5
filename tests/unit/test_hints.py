"""Hints, on both sides of each rule's edge."""

from typing import Any

import pytest

from shared.domain.hints import MOST_OF_A_KIND, MOST_ROWS, DecidedRow, Evidence, Hint
from shared.domain.model import Agreement, Direction


def row(number: int, agreement: Agreement = Agreement.REFUTED, **facts: Any) -> DecidedRow:
    """Return a decided row about nobody, with other facts where given."""
    known: dict[str, Any] = {
        "submission_id": str(number),
        "agreement": agreement,
        **dict.fromkeys(("direction", "category", "sender", "reporter")),
        "is_covered": False,
    }
    return DecidedRow(**{**known, **facts})


def hints(rows: list[DecidedRow]) -> list[Hint]:
    """Return the hints that rows give."""
    evidence = Evidence()
    for one in rows:
        evidence.add(one)
    return evidence.hints()


@pytest.mark.parametrize(
    ("agreement", "kind"), [(Agreement.CONFIRMED, "filter"), (Agreement.REFUTED, "wanted")], ids=str
)
@pytest.mark.parametrize(("times", "is_hint"), [(2, False), (3, True)])
def test_three_false_positives_of_a_sender_ask_for_something(
    agreement: Agreement, kind: str, times: int, is_hint: bool
) -> None:
    """Wrongly caught: an entry or another filter. Rightly caught and still wanted: a look at what people expect."""
    facts: dict[str, Any] = {"sender": "shop@a.example", "direction": Direction.FALSE_POSITIVE}
    found = hints([row(number, agreement, **facts) for number in range(times)])
    assert found == ([Hint(kind, "shop@a.example", 3, 3, ("0", "1", "2"))] if is_hint else [])


@pytest.mark.parametrize(("confirmed", "kinds"), [(3, ["filter", "wanted"]), (4, ["filter"])])
def test_a_sender_that_is_mostly_wrongly_caught_is_not_one_that_is_rightly_caught(
    confirmed: int, kinds: list[str]
) -> None:
    """Three refuted claims are no pattern among four confirmed ones."""
    facts: dict[str, Any] = {"sender": "shop@a.example", "direction": Direction.FALSE_POSITIVE}
    rows = [row(number, **facts) for number in range(3)]
    rows += [row(9, Agreement.CONFIRMED, **facts)] * confirmed
    assert [one.kind for one in hints(rows)] == kinds


@pytest.mark.parametrize(
    "facts",
    [{"direction": Direction.FALSE_NEGATIVE}, {"direction": Direction.FALSE_POSITIVE, "is_covered": True}],
    ids=["a threat that was missed", "one verdict that a campaign shares"],
)
def test_only_verdicts_on_false_positives_count_for_a_sender(facts: dict[str, Any]) -> None:
    """And each of Microsoft's verdicts once."""
    assert hints([row(number, Agreement.CONFIRMED, sender="a@b.example", **facts) for number in range(9)]) == []


@pytest.mark.parametrize(
    ("confirmed", "refuted", "is_hint"), [(2, 2, False), (2, 3, True), (3, 3, True), (4, 3, False)]
)
def test_a_reporter_whose_claims_are_mostly_refuted_needs_training(confirmed: int, refuted: int, is_hint: bool) -> None:
    """Five claims are needed, half of them wrong; a claim counts also where another row speaks for it."""
    rows = [row(number, reporter="anna@a.example", is_covered=True) for number in range(refuted)]
    rows += [row(9, Agreement.CONFIRMED, reporter="anna@a.example")] * confirmed
    found = hints(rows)
    assert [(one.kind, one.count, one.decided) for one in found] == (
        [("training", refuted, confirmed + refuted)] if is_hint else []
    )


@pytest.mark.parametrize(("confirmed", "refuted", "is_hint"), [(4, 5, False), (5, 5, True), (6, 5, False)])
def test_a_category_that_is_often_refuted_is_named(confirmed: int, refuted: int, is_hint: bool) -> None:
    """Ten verdicts are needed, half of them against it."""
    rows = [row(number, category="spam") for number in range(refuted)]
    rows += [row(9, Agreement.CONFIRMED, category="spam")] * confirmed
    assert [one.kind for one in hints(rows)] == (["category"] if is_hint else [])


def test_the_weightiest_come_first_and_not_all() -> None:
    """Of many senders the ten with most, and of each the first twenty rows."""
    rows = [
        row(
            1000 * sender + number,
            Agreement.CONFIRMED,
            sender=f"s{sender:02}@a.example",
            direction=Direction.FALSE_POSITIVE,
        )
        for sender in range(20)
        for number in range(10 + sender)
    ]
    found = hints(rows)
    assert [one.about for one in found] == [f"s{number}@a.example" for number in range(19, 9, -1)]
    assert len(found) == MOST_OF_A_KIND
    assert (found[0].count, found[0].rows[0], len(found[0].rows)) == (29, "19000", MOST_ROWS)
