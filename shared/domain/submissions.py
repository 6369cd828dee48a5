"""What is asked of Microsoft and what Microsoft has: the two sides of one threat submission.

`SubmissionOrder` is what a POST will say, `ThreatSubmission` what Graph says of it afterwards. `Unowned` finds the
listed submission whose answer was lost. How both look as JSON is in the codec `threat_submission`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from .model import Category, Kind
from .urls import one_spelling

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
class ReviewOrder:
    """A user's submission, by Microsoft's id of it, and what an administrator decides that it is."""

    submission_id: str
    category: Category
    attempt_id: str


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
    """What is known of a POST whose answer never came.

    It left at `sent_at`, or, where `sent_until` is later, at any time between the two.
    """

    category: Category
    sent_at: datetime
    sent_until: datetime | None = None
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


class Unowned:
    """Microsoft's submissions of one kind that no row has yet, kept by what a lost POST is known by.

    Finding one costs the same in a long list as in a short one. Those without a time of creation are found by
    nobody; nor is a user's own, which gets a row of its own.
    """

    def __init__(self, kind: Kind, listed: Iterable[ThreatSubmission]) -> None:
        self._kind = kind
        self._by_words: defaultdict[_Item, dict[_Words, list[_Entry]]] = defaultdict(dict)
        self._by_id: defaultdict[tuple[_Item, str], list[_Entry]] = defaultdict(list)
        self._entries: dict[str, _Entry] = {}
        ours = [(place, one) for place, one in enumerate(listed) if not one.is_users]
        dated = [(one.created_at, place, one) for place, one in ours if one.created_at is not None]
        for entry in sorted(dated, key=lambda entry: entry[:2]):
            self._entries[entry[2].submission_id] = entry
            for group in self._groups_with(entry[2]):
                group.append(entry)

    def nearest(self, lost: LostSubmission) -> ThreatSubmission | None:
        """The submission that the lost POST made, or None; where several fit, the one created nearest to the POST."""
        near = (entry for group in self._groups_for(lost) for entry in _neighbours(group, lost.sent_at))
        last = (lost.sent_until or lost.sent_at) + AFTER
        fitting = [entry for entry in near if lost.sent_at - BEFORE <= entry[0] <= last]
        found = min(fitting, key=lambda entry: (abs(entry[0] - lost.sent_at), entry[1]), default=None)
        return None if found is None else found[2]

    def take(self, submission_id: str) -> ThreatSubmission | None:
        """Leave a submission out from now on, as a row has it; None where it is not there."""
        entry = self._entries.pop(submission_id, None)
        if entry is None:
            return None
        for group in self._groups_with(entry[2]):
            del group[bisect_left(group, entry[:2])]
        return entry[2]

    def _groups_with(self, one: ThreatSubmission) -> list[list[_Entry]]:
        """Where a submission stands: with those of the same item and words and, where told, of the same mail id."""
        item, words = (one.category, self._item(one)), self._words(one)
        groups = [self._by_words[item].setdefault(words, [])]
        return [*groups, self._by_id[item, one.internet_message_id or ""]] if words[0] else groups

    def _groups_for(self, lost: LostSubmission) -> Iterator[list[_Entry]]:
        """Where a lost submission can be.

        Mails are compared by their internet message ids where both are known, else by subject and sender. Graph's list
        often leaves them out, and of a mail in somebody's mailbox we may know none. What one side does not know rules
        nothing out: rather a neighbour's submission is adopted than the same mail submitted twice.
        """
        item = (lost.category, self._item(lost))
        groups, (is_named, subject, sender) = self._by_words.get(item, {}), self._words(lost)
        if is_named:
            yield self._by_id.get((item, lost.internet_message_id or ""), [])
        for has_id in (False,) if is_named else (False, True):
            if subject and sender:
                told = product((has_id,), (subject, ""), (sender, ""))
                yield from (groups[words] for words in told if words in groups)
            else:
                yield from (group for words, group in groups.items() if _agree(words, (has_id, subject, sender)))

    def _item(self, one: ThreatSubmission | LostSubmission) -> str | None:
        if self._kind is Kind.URL:
            return None if one.url is None else one_spelling(one.url)
        return one.file_name if self._kind is Kind.FILE else _plain(one.recipient)

    def _words(self, one: ThreatSubmission | LostSubmission) -> _Words:
        if self._kind is not Kind.EMAIL:
            return False, "", ""
        return bool(one.internet_message_id), _plain(one.subject), _plain(one.sender)


_Item = tuple[str | None, str | None]
_Words = tuple[bool, str, str]
"""Whether the internet message id is known; subject and sender, empty where they are not."""
_Entry = tuple[datetime, int, ThreatSubmission]
"""When it was created, and its place in the list, which decides between two of one moment."""


def _agree(theirs: _Words, ours: _Words) -> bool:
    pairs = zip(theirs[1:], ours[1:], strict=True)
    return theirs[0] is ours[0] and all(one == other for one, other in pairs if one and other)


def _neighbours(group: Sequence[_Entry], at: datetime) -> list[_Entry]:
    """The entry nearest to a moment on each of its sides, of several of one moment the first; `group` is sorted."""
    behind = bisect_left(group, (at,))
    found = [group[behind]] if behind < len(group) else []
    return [*found, group[bisect_left(group, (group[behind - 1][0],))]] if behind else found


def _plain(text: str | None) -> str:
    return (text or "").strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Where the thing to submit can be had when its turn comes, and the operator's note for the allow/block list.

    `evidence` names a blob in the evidence container; a mail can also be meant by its place in somebody's mailbox. A
    URL stands here whole: its row may hold the first 1,000 characters only. `reviews` is Microsoft's id of a user's
    submission.
    """

    evidence: str | None = None
    mailbox: str | None = None
    message_id: str | None = None
    internet_message_id: str | None = None
    url: str | None = None
    note: str | None = None
    reviews: str | None = None
