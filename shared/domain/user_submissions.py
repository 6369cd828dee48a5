"""User submissions: reports that reached Microsoft by themselves, and the rows that they become.

Such a row is born `submitted`: Microsoft has the item, only its verdict is missing, and nothing is ever sent for it.
It is named after Microsoft's own id, so that whoever tells of the same submission (the list of submissions, an alert)
finds the same row. Pure and total; what Microsoft shows is text from strangers in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import keys
from .model import Category, Kind, Outcome, OutcomeKey, SkipReason, Source, State

BORN = frozenset({State.SUBMITTED, State.SKIPPED})
"""The states in which the row of a user submission is born."""

SPEAKS_FOR = timedelta(hours=24)
"""How long after its verdict a user submission speaks for reports of its mail, as every row does for its item."""

_CATEGORIES: Mapping[str, Category] = {
    "phishing": Category.PHISHING,
    "phish": Category.PHISHING,
    "malware": Category.MALWARE,
    "spam": Category.SPAM,
    "junk": Category.SPAM,
    "notjunk": Category.NOT_JUNK,
    "notspam": Category.NOT_JUNK,
}
"""Graph's `submissionCategory`, `notSpam` as its samples write it, and the `reportType` of alerts; in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSubmission:
    """A user submission as Microsoft shows it. `word` is Microsoft's own word for the category.

    Addresses are plain mail addresses, `network_message_id` is a GUID in lower case; what could not be read is None.
    """

    submission_id: str
    created_at: datetime
    word: str | None = None
    reporter: str | None = None
    recipient: str | None = None
    sender: str | None = None
    sender_ip: str | None = None
    subject: str | None = None
    internet_message_id: str | None = None
    network_message_id: str | None = None
    is_simulation: bool = False

    @property
    def new_key(self) -> OutcomeKey:
        """The row of this submission if nobody told of it before."""
        return OutcomeKey(keys.day(self.created_at), keys.microsoft_id(self.submission_id))


def speaks_for(submitted: Outcome, report: Outcome) -> bool:
    """Whether the row of a user submission speaks for a mailbox report of the same mail.

    It never does for the opposite claim, nor after it ended without a verdict, nor long after its verdict: whoever
    reports a mail a day later and more wants to know what Microsoft thinks of it by then. And as ids can be forged,
    what both rows know of sender and subject has to agree: a forged Message-ID cannot suppress another report.
    """
    if submitted.state not in (*BORN, State.SETTLED) or submitted.direction is not report.direction:
        return False
    ended_at = None if submitted.state is State.SUBMITTED else submitted.settled_at or submitted.received_at
    if ended_at is not None and report.received_at - ended_at > SPEAKS_FOR:
        return False
    pairs = ((submitted.sender, report.sender), (submitted.subject, report.subject))
    compared = [_same(one, other) for one, other in pairs if one and other]
    return bool(compared) and all(compared)


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def category_of(word: str | None) -> Category | None:
    """The claim that Microsoft's word stands for; None for a word that is not known."""
    return _CATEGORIES.get((word or "").strip().lower())


def failed_outcome_of(submission: UserSubmission, collected_at: datetime) -> Outcome:
    """The row of a user submission that could not be taken in: no more than what names it, and what to do."""
    return Outcome(
        key=submission.new_key,
        state=State.FAILED,
        state_reason="submission_unreadable",
        state_detail="Microsoft has it: look for it on Defender's page of submissions.",
        source=Source.MICROSOFT,
        received_at=submission.created_at,
        collected_at=collected_at,
        kind=Kind.EMAIL,
        submitted_at=submission.created_at,
    )


def item_keys(submission: UserSubmission) -> tuple[str, ...]:
    """Every key under which the reported mail is known as an item; none where it is not known who got it."""
    recipient = submission.recipient or submission.reporter
    if recipient is None:
        return ()
    network_id, internet_id = submission.network_message_id, submission.internet_message_id
    known = [keys.email_item(network_id, None, "", recipient)] if network_id else []
    return (*known, keys.email_item(None, internet_id, "", recipient)) if internet_id else tuple(known)


def outcome_of(submission: UserSubmission, key: OutcomeKey, collected_at: datetime) -> Outcome:
    """The row of a user submission: `submitted`, or `skipped` for a phishing simulation.

    A word that is not known counts as phishing, as a report of no known kind does at Microsoft and in a reporting
    mailbox (Defender documentation, "user reported settings", 2024-05); the detail keeps the word.
    """
    category = category_of(submission.word)
    claim = category or Category.PHISHING
    recipient = submission.recipient or submission.reporter
    known = item_keys(submission)
    return Outcome(
        key=key,
        state=State.SKIPPED if submission.is_simulation else State.SUBMITTED,
        state_reason=SkipReason.SIMULATION if submission.is_simulation else None,
        state_detail=None if category else f"reported to Microsoft as: {submission.word or 'nothing'}",
        source=Source.MICROSOFT,
        received_at=submission.created_at,
        collected_at=collected_at,
        kind=Kind.EMAIL,
        category=claim,
        direction=claim.direction,
        reporter=submission.reporter,
        recipient=recipient,
        sender=submission.sender,
        sender_ip=submission.sender_ip,
        subject=submission.subject,
        internet_message_id=submission.internet_message_id,
        network_message_id=submission.network_message_id,
        item_key=known[0] if known else keys.email_item(None, None, submission.submission_id, recipient or ""),
        submitted_at=submission.created_at,
        graph_submission_id=submission.submission_id,
    )
