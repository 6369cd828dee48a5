"""What is asked of Microsoft and what Microsoft has: the two sides of one threat submission.

`SubmissionOrder` is what a POST will say, `ThreatSubmission` what Graph says of it afterwards. `find_match` decides
whether a listed submission is the one whose answer was lost. How both look as JSON is in the codec
`threat_submission`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.model import Category, Kind

OLDEST_REPORT = timedelta(days=30)
"""Microsoft takes mail up to 30 days old (Defender documentation, "admin submissions", 2025-09)."""


@dataclass(frozen=True, slots=True)
class AllowOrBlock:
    """An entry wanted on the tenant's allow/block list along with a mail submission."""

    action: str
    expires_at: datetime
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionOrder:
    """One submission to make. Exactly one of `content`, `message_url` and `url` is set, as `kind` needs it."""

    kind: Kind
    category: Category
    attempt_id: str
    recipient: str | None = None
    content: bytes | None = None
    message_url: str | None = None
    url: str | None = None
    file_name: str | None = None
    allow_or_block: AllowOrBlock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatSubmission:
    """A submission as Graph shows it; the words are Microsoft's own, unknown ones included.

    `is_users`: somebody reported it by the button; an app's own have the source `administrator`.
    """

    submission_id: str
    created_at: datetime | None = None
    category: str | None = None
    status: str | None = None
    result_category: str | None = None
    result_detail: str | None = None
    recipient: str | None = None
    sender: str | None = None
    subject: str | None = None
    internet_message_id: str | None = None
    url: str | None = None
    file_name: str | None = None
    allow_or_block_status: str | None = None
    is_users: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LostSubmission:
    """What is known of a POST whose answer never came."""

    kind: Kind
    category: Category
    sent_at: datetime
    recipient: str | None = None
    sender: str | None = None
    subject: str | None = None
    internet_message_id: str | None = None
    url: str | None = None
    file_name: str | None = None


BEFORE = timedelta(minutes=12)
"""How far Microsoft's creation time may lie before our stamp: a POST that was slow is stamped at its end, which may be
as late as its invocation lives (ten minutes), and two clocks differ."""
AFTER = timedelta(minutes=15)
"""How far it may lie behind: no item is admitted twice in 15 minutes, so a later one is somebody else's."""


def find_match(lost: LostSubmission, listed: Iterable[ThreatSubmission]) -> ThreatSubmission | None:
    """The listed submission that the lost POST made, or None.

    Where several fit, the one created nearest to the POST. A user's own is none: it gets a row of its own. The caller
    leaves out what other rows own already.
    """
    fitting = [one for one in listed if one.created_at is not None and _fits(lost, one, one.created_at)]
    return min(fitting, key=lambda one: abs((one.created_at or lost.sent_at) - lost.sent_at), default=None)


def _fits(lost: LostSubmission, one: ThreatSubmission, created_at: datetime) -> bool:
    if one.is_users or one.category != lost.category or not lost.sent_at - BEFORE <= created_at <= lost.sent_at + AFTER:
        return False
    if lost.kind is Kind.URL:
        return one.url == lost.url
    if lost.kind is Kind.FILE:
        return one.file_name == lost.file_name
    return _same(one.recipient, lost.recipient) and _same_mail(lost, one)


def _same_mail(lost: LostSubmission, one: ThreatSubmission) -> bool:
    """Compare internet message ids where both are known, else subject and sender.

    Graph's list often leaves them out, and of a mail in somebody's mailbox we may know none. What one side does not
    know rules nothing out: rather a neighbour's submission is adopted than the same mail submitted twice.
    """
    if one.internet_message_id and lost.internet_message_id:
        return one.internet_message_id == lost.internet_message_id
    pairs = ((one.subject, lost.subject), (one.sender, lost.sender))
    return all(_same(theirs, ours) for theirs, ours in pairs if theirs and ours)


def _same(one: str | None, other: str | None) -> bool:
    return (one or "").strip().lower() == (other or "").strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Where the thing to submit can be had when its turn comes, and the operator's note for the allow/block list.

    `evidence` names a blob in the evidence container; a mail can also be meant by its place in somebody's mailbox. A
    URL stands here whole: its row may hold the first 1,000 characters only.
    """

    evidence: str | None = None
    mailbox: str | None = None
    message_id: str | None = None
    internet_message_id: str | None = None
    url: str | None = None
    note: str | None = None
