"""Answers: which reporter is told what, when, and by what mark the mail is known again.

A reporter is told of a row at two stages: that the report came in, and Microsoft's verdict. Only somebody is told whom
the app believed when it read the report (`trust`), at an address of the tenant. The pace stays below what Exchange
Online admits one mailbox: 30 messages a minute and 10,000 recipients a day (Microsoft Learn, "Exchange Online limits",
Sending limits).
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from datetime import timedelta

from .lifecycle import is_final
from .model import Outcome, OutcomeKey, Priority, SkipReason, Source, State, Verdict
from .tenant import Tenant
from .text import is_address

MOST_A_DAY = 9_900
"""Recipients in any 24 hours. The rest is left to whoever else sends from the mailbox."""
ONE_EVERY = timedelta(seconds=2.4)
"""25 a minute: one that is sent late falls together with those that are due then."""
UNDELIVERABLE = "undeliverable"
"""`ReporterTold` of a row whose reporter cannot be told."""
GIVEN_UP_AFTER = timedelta(days=7)
"""A verdict as old as that is news to nobody."""

_WAITS = frozenset({State.PENDING, State.COVERED})


class Stage(enum.StrEnum):
    """What a reporter is told of, once each; the words of `ReporterTold`."""

    RECEIVED = "received"
    VERDICT = "verdict"


class Lane(enum.IntEnum):
    """Whose answer goes first: a mail that may do harm, then the other verdicts, then the receipts."""

    URGENT = 0
    VERDICT = 1
    RECEIPT = 2


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """Who is told what: the tenant, the mailbox that answers come from, and what the settings switch on."""

    tenant: Tenant
    sender: str
    tells_receipt: bool = False
    tells_simulations: bool = False

    def due(self, outcome: Outcome) -> Stage | None:
        """What the reporter of a row in its first or last state is still to be told; None for nothing."""
        stage = self._stage(outcome)
        return None if stage is None or not self._is_believed(outcome) or is_told(outcome, stage) else stage

    def _stage(self, outcome: Outcome) -> Stage | None:
        if outcome.state in _WAITS:
            return Stage.RECEIVED if self.tells_receipt else None
        if outcome.state is State.SETTLED and outcome.verdict is not Verdict.SIMULATION:
            return Stage.VERDICT
        return Stage.VERDICT if self.tells_simulations and is_simulation(outcome) else None

    def is_due(self, outcome: Outcome, stage: Stage) -> bool:
        """Whether a reporter is still to be told of a stage, wherever the row is by now; a verdict needs no receipt."""
        if stage is Stage.VERDICT:
            return self.due(outcome) is stage
        return not is_final(outcome.state) and self._is_believed(outcome) and not is_told(outcome, stage)

    def _is_believed(self, outcome: Outcome) -> bool:
        """Whether the row is a report of one of the tenant's people.

        A report comes to one of the states above only after Exchange's word on its sender was read.
        """
        reporter = (outcome.reporter or "").lower()
        ours = {self.sender.lower(), *self.tenant.reporting_mailboxes}
        is_mail = outcome.source is Source.MAILBOX and is_address(reporter)
        return is_mail and self.tenant.owns(reporter) and reporter not in ours


def is_simulation(outcome: Outcome) -> bool:
    """Whether the reported mail was a simulation, as the app or Microsoft found."""
    by_us = outcome.state is State.SKIPPED and outcome.state_reason == SkipReason.SIMULATION
    return by_us or (outcome.state is State.SETTLED and outcome.verdict is Verdict.SIMULATION)


def is_told(outcome: Outcome, stage: Stage) -> bool:
    """Whether the row says that its reporter was told of a stage, or cannot be; a verdict told needs no receipt."""
    told, at = outcome.reporter_told, outcome.reporter_told_at
    if stage is Stage.RECEIVED:
        return told is not None
    is_given_up = at is not None and outcome.changed_at is not None and at >= outcome.changed_at
    return told == Stage.VERDICT or (told == UNDELIVERABLE and is_given_up)


def lane_of(outcome: Outcome, stage: Stage) -> Lane:
    """Whose turn comes first."""
    if stage is Stage.RECEIVED:
        return Lane.RECEIPT
    is_urgent = outcome.priority is Priority.URGENT or outcome.verdict is Verdict.MALICIOUS
    return Lane.URGENT if is_urgent else Lane.VERDICT


def mark_of(key: OutcomeKey, stage: Stage) -> str:
    """The mark of the mail that tells of a stage: `answer-` and 40 hex digits, the same at every try.

    It follows from the submission id, which nobody outside knows before the mail is there.
    """
    digest = hashlib.sha256(f"answer\0{key.submission_id}\0{stage}".encode()).hexdigest()
    return f"answer-{digest[:40]}"
