"""The words of the product: what a report or request is, and the one row that says how it stands.

Everything here is a fact or a name. The values of the enumerations are the strings that stand in the tables and the
operators' messages (contract version 1); they never change. No rule lives here: which state may follow which is in
`lifecycle`, what Microsoft's words mean is in `verdicts`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class Kind(enum.StrEnum):
    """What is submitted, or that what a user has submitted is reviewed."""

    EMAIL = "email"
    URL = "url"
    FILE = "file"
    REVIEW = "review"


class Category(enum.StrEnum):
    """What the reporter or operator claims the item to be; also Graph's `submissionCategory`."""

    PHISHING = "phishing"
    MALWARE = "malware"
    SPAM = "spam"
    NOT_JUNK = "notJunk"

    @property
    def direction(self) -> Direction:
        """Which mistake of the filter the claim asserts."""
        return Direction.FALSE_POSITIVE if self is Category.NOT_JUNK else Direction.FALSE_NEGATIVE


class Direction(enum.StrEnum):
    """A false negative is bad mail that was delivered, a false positive is good mail that was blocked."""

    FALSE_NEGATIVE = "falseNegative"
    FALSE_POSITIVE = "falsePositive"


class Priority(enum.StrEnum):
    """The lane in which a row waits for its quota slot."""

    URGENT = "urgent"
    NORMAL = "normal"
    LOW = "low"


class Source(enum.StrEnum):
    """Where a row came from; `MICROSOFT` means that it was already at Microsoft when first seen."""

    MAILBOX = "mailbox"
    MANUAL = "manual"
    MICROSOFT = "microsoft"


class State(enum.StrEnum):
    """How a report or request stands."""

    PENDING = "pending"
    DISPATCHED = "dispatched"
    SUBMITTING = "submitting"
    UNCERTAIN = "uncertain"
    SUBMITTED = "submitted"
    COVERED = "covered"
    SETTLED = "settled"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"


class SkipReason(enum.StrEnum):
    """Why a report was rightly not submitted: the `StateReason` of a skipped row."""

    SIMULATION = "simulation"
    ALREADY_AT_MICROSOFT = "already_at_microsoft"
    NO_ORIGINAL = "no_original"
    MULTIPLE_ORIGINALS = "multiple_originals"
    REFERENCE_ATTACHMENT = "reference_attachment"
    TOO_OLD = "too_old"
    TOO_LARGE = "too_large"
    UNTRUSTED_REPORTER = "untrusted_reporter"
    UNREADABLE_ORIGINAL = "unreadable_original"
    NOT_EMAIL = "not_email"
    SHADOW_MODE = "shadow_mode"


class CoverReason(enum.StrEnum):
    """Why another row is submitted in place of this one: the `StateReason` of a covered row."""

    SAME_ITEM = "same_item"
    SAME_CAMPAIGN = "same_campaign"


class Verdict(enum.StrEnum):
    """What Microsoft decided, in the product's words."""

    MALICIOUS = "malicious"
    SPAM = "spam"
    BULK = "bulk"
    CLEAN = "clean"
    SPOOF = "spoof"
    IMPERSONATION = "impersonation"
    AUTHENTICATION_FAILURE = "authentication_failure"
    ALLOWED_BY_OVERRIDE = "allowed_by_override"
    BLOCKED_BY_OVERRIDE = "blocked_by_override"
    SIMULATION = "simulation"
    NOT_FOUND = "not_found"
    NOT_RECEIVED = "not_received"
    WRONG_DIRECTION = "wrong_direction"
    UNDETERMINED = "undetermined"


class Agreement(enum.StrEnum):
    """Whether the claim was right."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class OutcomeKey:
    """Where a row stands in the table `outcomes`: the UTC day it was received and its submission id."""

    partition: str
    submission_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One row of the table `outcomes`: everything known of one report or request, now.

    Times are aware UTC, sizes are bytes, durations whole seconds counted from `received_at`. A field that does not
    apply is None and its column is absent. Each field is one column of the contract, in the same order.
    """

    key: OutcomeKey
    state: State
    source: Source
    received_at: datetime
    collected_at: datetime
    state_reason: str | None = None
    state_detail: str | None = None
    kind: Kind | None = None
    category: Category | None = None
    direction: Direction | None = None
    priority: Priority | None = None
    reporter: str | None = None
    requested_by: str | None = None
    recipient: str | None = None
    sender: str | None = None
    sender_ip: str | None = None
    subject: str | None = None
    internet_message_id: str | None = None
    network_message_id: str | None = None
    url: str | None = None
    file_name: str | None = None
    file_sha256: str | None = None
    size_bytes: int | None = None
    mailbox: str | None = None
    report_message_id: str | None = None
    request_id: str | None = None
    item_key: str | None = None
    campaign_id: str | None = None
    covered_by: str | None = None
    dispatched_at: datetime | None = None
    submitted_at: datetime | None = None
    settled_at: datetime | None = None
    attempts: int = 0
    graph_submission_id: str | None = None
    graph_status: str | None = None
    result_category: str | None = None
    result_detail: str | None = None
    verdict: Verdict | None = None
    agreement: Agreement | None = None
    allow_or_block: str | None = None
    allow_or_block_expires_at: datetime | None = None
    allow_or_block_status: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_request_id: str | None = None
    seconds_to_submit: int | None = None
    seconds_to_verdict: int | None = None
    revision: int = 0
    """Changes of state or verdict so far, 1 for the first state; 0 for a row from before they were counted."""
    changed_at: datetime | None = None
    disputes: str | None = None
    reporter_told: str | None = None
    """What the reporter was told last, `received` or `verdict`, or `undeliverable`: a fact, no change of state."""
    reporter_told_at: datetime | None = None
    previous_state: State | None = None
    """The state before the last change: what the row's event tells. A private column, so that anyone can write it."""
