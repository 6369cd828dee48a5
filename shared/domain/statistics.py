"""What a UTC day's reports came to, in counts alone: a row of the table `statistics` (contract, section 11).

A day is the day on which something was received, so its figures change for as long as its rows do. Nothing personal
stands in them: reporters and campaigns are counted, never named.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from .model import Agreement, Direction, Kind, Outcome, State


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStatistics:
    """The figures of one day; each field but `day` is a column of the contract, in its order.

    Times are whole seconds from the moment of receipt, None where no row of the day has any.
    """

    day: date
    received: int = 0
    submitted: int = 0
    covered: int = 0
    skipped: int = 0
    rejected: int = 0
    failed: int = 0
    expired: int = 0
    settled: int = 0
    confirmed: int = 0
    refuted: int = 0
    undecided: int = 0
    false_negatives: int = 0
    false_positives: int = 0
    reporters: int = 0
    campaigns: int = 0
    disputed: int = 0
    disputes_won: int = 0
    seconds_to_submit_median: int | None = None
    seconds_to_submit_p95: int | None = None
    seconds_to_verdict_median: int | None = None
    seconds_to_verdict_p95: int | None = None


def day_statistics(day: date, outcomes: Iterable[Outcome]) -> DayStatistics:
    """The figures of a day, from all rows of its partition of `outcomes` as they stand.

    Received            every row
    Submitted           those that reached Microsoft: `SubmittedAt` is set, whoever submitted them
    Covered             those that another row speaks for or spoke for: `CoveredBy` is set, `SubmittedAt` is not, and
                        the state is `covered`, or `settled` or `expired` with the other row
    Skipped ... Settled those in that state
    Confirmed ...       those with that `Agreement`, covered ones too; what has no verdict is in none of the three
    FalseNegatives ...  those with that `Direction`: what was claimed, not what was decided
    Reporters           different addresses in `Reporter`, large and small letters alike
    Campaigns           different `CampaignId`s
    Disputed            those with `Disputes`; DisputesWon those of them that are `confirmed`
    SecondsTo...        of the rows that have the column: the smallest value that at least 50 (95) % of them do not
                        exceed (nearest rank), so always one that occurred
    """
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally.figures(day)


def percentile(values: Iterable[int], percent: int) -> int | None:
    """The smallest of the values that at least `percent` % of them do not exceed (nearest rank); None of none."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


_STATES = {
    State.SKIPPED: "skipped",
    State.REJECTED: "rejected",
    State.FAILED: "failed",
    State.EXPIRED: "expired",
    State.SETTLED: "settled",
}
_AGREEMENTS = {Agreement.CONFIRMED: "confirmed", Agreement.REFUTED: "refuted", Agreement.UNDECIDED: "undecided"}
_DIRECTIONS = {Direction.FALSE_NEGATIVE: "false_negatives", Direction.FALSE_POSITIVE: "false_positives"}
_SPOKEN_FOR = frozenset({State.COVERED, State.SETTLED, State.EXPIRED})


@dataclass(slots=True)
class Tally:
    """Rows as they are counted, one by one: of each only its numbers are kept."""

    counts: dict[str, int] = field(default_factory=dict)
    reporters: set[str] = field(default_factory=set)
    campaigns: set[str] = field(default_factory=set)
    to_submit_s: array[int] = field(default_factory=lambda: array("q"))
    to_verdict_s: array[int] = field(default_factory=lambda: array("q"))

    def add(self, outcome: Outcome) -> None:
        """Count one row more, unless it is a review: the mail has a row of its own."""
        if outcome.kind is Kind.REVIEW:
            return
        for name in _counted_as(outcome):
            self.counts[name] = self.counts.get(name, 0) + 1
        if outcome.reporter:
            self.reporters.add(outcome.reporter.casefold())
        if outcome.campaign_id:
            self.campaigns.add(outcome.campaign_id)
        if outcome.seconds_to_submit is not None:
            self.to_submit_s.append(outcome.seconds_to_submit)
        if outcome.seconds_to_verdict is not None:
            self.to_verdict_s.append(outcome.seconds_to_verdict)

    def figures(self, day: date) -> DayStatistics:
        """What was counted, as the figures of a day."""
        return DayStatistics(
            day=day,
            **self.counts,
            reporters=len(self.reporters),
            campaigns=len(self.campaigns),
            seconds_to_submit_median=percentile(self.to_submit_s, 50),
            seconds_to_submit_p95=percentile(self.to_submit_s, 95),
            seconds_to_verdict_median=percentile(self.to_verdict_s, 50),
            seconds_to_verdict_p95=percentile(self.to_verdict_s, 95),
        )


def _counted_as(outcome: Outcome) -> Iterable[str]:
    yield "received"
    if outcome.submitted_at is not None:
        yield "submitted"
    elif outcome.covered_by and outcome.state in _SPOKEN_FOR:
        yield "covered"
    if outcome.state in _STATES:
        yield _STATES[outcome.state]
    if outcome.agreement is not None:
        yield _AGREEMENTS[outcome.agreement]
    if outcome.direction is not None:
        yield _DIRECTIONS[outcome.direction]
    if outcome.disputes:
        yield "disputed"
        if outcome.agreement is Agreement.CONFIRMED:
            yield "disputes_won"
