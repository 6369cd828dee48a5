"""Microsoft behind the ports: strict, slow, at times refusing, and the only witness of what was really submitted.

It keeps every POST that arrived with its moment, and every submission that came of one. It refuses what the limits
refuse (an item once in 15 minutes and three times in 24 hours). Its list lags by up to ten minutes, its verdicts take
their time, and its bad hours are drawn with the history.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email import message_from_bytes
from urllib.parse import unquote

from shared.domain.errors import AnswerLost, Gone, NotAllowed, NotReady, NotSent, Refused, Throttled
from shared.domain.model import Kind
from shared.domain.reports import Attachment
from shared.domain.submissions import ReviewOrder, SubmissionOrder, ThreatSubmission
from shared.domain.user_submissions import UserSubmission
from shared.ports import MailOutline, MessageFacts, ReportHead, ReportPage, ToldSubmissions
from tests.histories.items import Item, Mail, file_key, mail_key
from tests.histories.virtual_time import VirtualTimeLoop

ITEM_WINDOW = timedelta(minutes=15)
DAY = timedelta(hours=24)
ITEM_PER_DAY = 3
PAGE_REPORTS = 3
PAGE_TOLD = 2
NONE_YET = (None, None)


class Fate(enum.Enum):
    """What becomes of one POST."""

    GOOD = "it is taken"
    LOST_BEFORE = "it is lost on its way, without effect"
    LOST_AFTER = "its answer is lost, it has had its effect"
    UNAVAILABLE_BEFORE = "503, without effect"
    UNAVAILABLE_AFTER = "503, it has had its effect all the same"
    NOT_SENT = "no connection"
    NOT_READY = "no metadata of that mail yet"
    THROTTLED = "429: people in the portal used up the quota"
    REFUSED = "400"
    GONE = "404"


class Hour(enum.Enum):
    """What ails Graph for a while."""

    NO_CONNECTION = "nothing can be reached"
    NO_TOKEN = "401 on everything"
    POSTS_503 = "503 on every POST, without effect"
    POSTS_404 = "404 on every POST"
    POSTS_400 = "400 on every POST"
    LISTS_503 = "503 on every list"
    MAIL_429 = "429 on every mailbox"
    MAIL_503 = "503 on every mailbox"


@dataclass(frozen=True, slots=True)
class Post:
    """A POST that arrived; `effect` says whether a submission came of it, `status` what it was answered."""

    at: datetime
    item: str
    claim: str
    submission_id: str
    status: int
    effect: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """A submission that Microsoft has; `row` is whose POST made it, as far as the POST says; None: a user made it."""

    at: datetime
    item: Item | None
    item_key: str
    claim: str
    kind: Kind
    row: str | None
    listed_at: datetime
    judged_at: datetime
    submission: ThreatSubmission

    def seen(self, at: datetime) -> ThreatSubmission:
        """How the list shows it at that moment."""
        if at < self.judged_at:
            return self.submission
        category, detail = self.item.words if self.item is not None else ("unknown", "unableToMakeDecision")
        return replace(self.submission, status="succeeded", result_category=category, result_detail=detail)


@dataclass
class Temper:
    """How this history's Microsoft behaves; likelihoods are for one call."""

    fates: Mapping[Fate, float] = field(default_factory=dict)
    list_fails: float = 0.0
    mail_fails: float = 0.0
    list_lag_s: float = 300.0
    least_list_lag_s: float = 0.0
    verdict_s: float = 3600.0
    tells_internet_id: bool = True
    reports_reach_microsoft: bool = False


@dataclass
class Microsoft:
    """Graph as the ports see it: `submissions`, the sources and, in `Mailboxes`, the mail."""

    loop: VirtualTimeLoop
    chance: random.Random
    temper: Temper
    items: dict[str, Item]
    """Every item of the history, by its key."""
    mails: dict[str, Mail] = field(default_factory=dict)
    """Mails in people's mailboxes, by mailbox and message id."""
    hours: list[tuple[datetime, datetime, Hour]] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    told_by_users: list[tuple[datetime, datetime, UserSubmission]] = field(default_factory=list)
    """When the list and when an alert tells of it."""
    hunted: list[Mapping[str, object]] = field(default_factory=list)
    item_refusals: list[Post] = field(default_factory=list)
    empty_posts: list[str] = field(default_factory=list)
    """Rows whose POST said nothing of what is submitted."""

    def ails(self, hour: Hour) -> bool:
        """Whether Graph suffers from that just now."""
        now = self.loop.now()
        return any(kind is hour and start <= now < end for start, end, kind in self.hours)

    def reachable(self, operation: str) -> None:
        """Raise what every call raises in a bad hour."""
        if self.ails(Hour.NO_CONNECTION):
            raise NotSent(operation, code="ConnectError")
        if self.ails(Hour.NO_TOKEN):
            raise NotAllowed(operation, status=401)

    def befalls(self, likelihood: float) -> bool:
        """Whether something of that likelihood befalls a call."""
        return likelihood > 0 and self.chance.random() < likelihood

    # The port `ThreatSubmissions`.

    async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
        """Take one submission, or do what its fate says."""
        self.reachable("submit")
        fate = self._fate()
        if fate is Fate.NOT_SENT:
            raise NotSent("submit", code="ConnectError")
        if order.content is None and order.url is None and order.message_url is None:
            self.empty_posts.append(order.attempt_id[:32])
            raise Refused("submit", status=400, code="BadRequest")
        item_key, claim = self._item_key(order), _claim(order)
        post = Post(self.loop.now(), item_key, claim, order.attempt_id[:32], 200)
        before = {
            Fate.LOST_BEFORE: AnswerLost("submit", code="ReadTimeout"),
            Fate.UNAVAILABLE_BEFORE: AnswerLost("submit", status=503),
            Fate.NOT_READY: NotReady("submit", status=400),
            Fate.THROTTLED: Throttled("submit", status=429, retry_after_s=self.chance.choice((None, 5.0, 120.0))),
            Fate.REFUSED: Refused("submit", status=400, code="BadRequest"),
            Fate.GONE: Refused("submit", status=404, code="NotFound"),
        }.get(fate)
        if before is not None:
            self.posts.append(replace(post, status=before.status or 0))
            raise before
        self._check_item(post)
        effect = self._take(order, post)
        if fate is Fate.LOST_AFTER:
            raise AnswerLost("submit", code="ReadTimeout")
        if fate is Fate.UNAVAILABLE_AFTER:
            raise AnswerLost("submit", status=503)
        return effect.submission

    async def review(self, order: ReviewOrder) -> None:
        """Refuse it: nobody asks for one here."""
        del order
        raise Refused("review", status=404, code="ResourceNotFound")

    async def listed(self, kind: Kind, since: datetime) -> list[ThreatSubmission]:
        """Every submission of that kind since then that is listed by now."""
        self.reachable("list")
        if self.ails(Hour.LISTS_503) or self.befalls(self.temper.list_fails):
            raise AnswerLost("list", status=503)
        now = self.loop.now()
        return [one.seen(now) for one in self.effects if one.kind is kind and one.at >= since and one.listed_at <= now]

    async def reports_reach_microsoft(self) -> bool:
        """Whether user reports go to Microsoft by themselves."""
        self.reachable("policy")
        return self.temper.reports_reach_microsoft

    # The sources.

    async def told_since(
        self, since: datetime, resume: str | None = None, *, by_alert: bool = False
    ) -> ToldSubmissions:
        """The next page of the user submissions that are told of by now."""
        self.reachable("user submissions")
        if self.befalls(self.temper.list_fails):
            raise AnswerLost("user submissions", status=503)
        now = self.loop.now()
        told = [
            one
            for listed_at, alerted_at, one in self.told_by_users
            if one.created_at >= since and (alerted_at if by_alert else listed_at) <= now
        ]
        start = int(resume or 0)
        end = start + PAGE_TOLD
        shown = told[start:end] if by_alert else [replace(one, network_message_id=None) for one in told[start:end]]
        return ToldSubmissions(tuple(shown), resume=str(end) if end < len(told) else None)

    async def run(self, query: str) -> list[Mapping[str, object]]:
        """What a hunting query finds."""
        del query
        self.reachable("hunting")
        if self.befalls(self.temper.list_fails):
            raise AnswerLost("hunting", status=503)
        return list(self.hunted)

    # What happens at Microsoft.

    def a_user_submits(self, mail: Mail, category: str, listed_s: float, alerted_s: float) -> UserSubmission:
        """A person reports a mail to Microsoft with the built-in button."""
        now = self.loop.now()
        number = f"user-{len(self.effects)}"
        told = UserSubmission(
            submission_id=number,
            created_at=now,
            word=category,
            reporter=mail.recipient,
            recipient=mail.recipient,
            sender=mail.sender,
            subject=mail.subject,
            internet_message_id=mail.internet_id,
            network_message_id=mail.network_id,
        )
        shown = ThreatSubmission(
            submission_id=number,
            created_at=now,
            category=category,
            status="running",
            recipient=mail.recipient,
            subject=mail.subject,
            internet_message_id=mail.internet_id,
            is_users=True,
        )
        judged_at = now + timedelta(seconds=self.chance.uniform(60, self.temper.verdict_s))
        listed_at = now + timedelta(seconds=listed_s)
        self.effects.append(Effect(now, mail, mail.key, category, Kind.EMAIL, None, listed_at, judged_at, shown))
        self.told_by_users.append((listed_at, now + timedelta(seconds=alerted_s), told))
        return told

    def _fate(self) -> Fate:
        if self.ails(Hour.POSTS_503):
            return Fate.UNAVAILABLE_BEFORE
        if self.ails(Hour.POSTS_404):
            return Fate.GONE
        if self.ails(Hour.POSTS_400):
            return Fate.REFUSED
        draw = self.chance.random()
        for fate, likelihood in self.temper.fates.items():
            draw -= likelihood
            if draw < 0:
                return fate
        return Fate.GOOD

    def _item_key(self, order: SubmissionOrder) -> str:
        if order.url is not None:
            return order.url
        if order.message_url is not None:
            mail = self.mails[unquote(order.message_url.partition("/users/")[2]).replace("/messages/", "/", 1)]
            return mail_key(mail.network_id, order.recipient or "")
        if order.kind is Kind.FILE:
            return file_key(order.content or b"")
        headers = message_from_bytes(order.content or b"")
        return mail_key(headers["X-MS-Exchange-Organization-Network-Message-Id"], order.recipient or "")

    def _check_item(self, post: Post) -> None:
        """Refuse what comes too early for its item."""
        earlier = [one.at for one in self.effects if one.item_key == post.item and one.row is not None]
        is_early = any(post.at - at < ITEM_WINDOW for at in earlier)
        if is_early or sum(post.at - at < DAY for at in earlier) >= ITEM_PER_DAY:
            refused = replace(post, status=429)
            self.posts.append(refused)
            self.item_refusals.append(refused)
            raise Throttled("submit", status=429, retry_after_s=self.chance.choice((None, 60.0)))

    def _take(self, order: SubmissionOrder, post: Post) -> Effect:
        number = f"graph-{len(self.effects)}"
        item = self.items.get(post.item)
        mail = item if isinstance(item, Mail) else None
        submission = ThreatSubmission(
            submission_id=number,
            created_at=post.at,
            category=order.category.value,
            status="running",
            recipient=order.recipient,
            subject=mail.subject if mail else None,
            internet_message_id=mail.internet_id if mail and self.temper.tells_internet_id else None,
            url=order.url,
            file_name=order.file_name,
        )
        effect = Effect(
            at=post.at,
            item=item,
            item_key=post.item,
            claim=post.claim,
            kind=order.kind,
            row=post.submission_id,
            listed_at=post.at
            + timedelta(seconds=self.chance.uniform(self.temper.least_list_lag_s, self.temper.list_lag_s)),
            judged_at=post.at + timedelta(seconds=self.chance.uniform(60, self.temper.verdict_s)),
            submission=submission,
        )
        self.effects.append(effect)
        self.posts.append(replace(post, effect=number))
        return effect


@dataclass
class Alerts:
    """The `UserSubmissions` port of Defender's alerts."""

    microsoft: Microsoft

    async def told_since(self, since: datetime, resume: str | None = None) -> ToldSubmissions:
        """The next page of the user submissions that alerts tell of by now."""
        return await self.microsoft.told_since(since, resume, by_alert=True)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A report in a folder. It cannot be read before `readable_at`."""

    head: ReportHead
    mail: Mail | None
    readable_at: datetime


@dataclass
class Mailboxes:
    """The `MailSource` port: the reporting folders, and people's mailboxes with the mails that they got."""

    microsoft: Microsoft
    reports: dict[str, dict[str, Delivered]] = field(default_factory=dict)
    """Mailbox to report id to report."""
    feeds: dict[str, list[str]] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()
    """Mailboxes that the app may not read."""
    broken: set[tuple[str, str]] = field(default_factory=set)
    """Reports that a reader fails on, whenever it tries."""

    def deliver(self, mailbox: str, report: Delivered, *, is_told: bool) -> None:
        """Put a report into the folder; the change feed may not tell of it."""
        self.reports.setdefault(mailbox, {})[report.head.message_id] = report
        if is_told:
            self.feeds.setdefault(mailbox, []).append(report.head.message_id)

    async def changes(self, mailbox: str, folder: str, resume: str | None) -> ReportPage:
        """The next page; `resume` counts the changes read so far."""
        del folder
        self._reachable(mailbox)
        if resume is not None and self.microsoft.befalls(self.microsoft.temper.mail_fails / 4):
            raise Gone("changes", status=410)
        feed, start = self.feeds.get(mailbox, []), int(resume or 0)
        page = feed[start : start + PAGE_REPORTS]
        end = start + len(page)
        found = self.reports.get(mailbox, {})
        return ReportPage(tuple(found[one].head for one in page), str(end), end == len(feed))

    async def listed(self, mailbox: str, folder: str, since: datetime, resume: str | None) -> ReportPage:
        """The reports that stand in the folder and were received since then, the newest first."""
        del folder
        self._reachable(mailbox)
        heads = [one.head for one in self.reports.get(mailbox, {}).values() if one.head.received_at >= since]
        heads.sort(key=lambda head: head.received_at, reverse=True)
        start = int(resume or 0)
        end = start + PAGE_REPORTS
        is_last = end >= len(heads)
        return ReportPage(tuple(heads[start:end]), "" if is_last else str(end), is_last)

    async def head(self, mailbox: str, message_id: str) -> ReportHead | None:
        """The report with that id."""
        self._reachable(mailbox)
        found = self.reports.get(mailbox, {}).get(message_id)
        return None if found is None else found.head

    async def outline(self, mailbox: str, message_id: str) -> MailOutline:
        """What Exchange writes into mail from inside, and the one original, if there is one."""
        attachments = await self.attachments(mailbox, message_id)
        return MailOutline((("X-MS-Exchange-Organization-AuthAs", "Internal"),), tuple(attachments))

    async def text(self, mailbox: str, message_id: str) -> str:
        """No text of its own."""
        self._report(mailbox, message_id)
        return ""

    async def attachments(self, mailbox: str, message_id: str) -> list[Attachment]:
        """The one original, if there is one."""
        mail = self._report(mailbox, message_id).mail
        if mail is None:
            return []
        size = len(mail.content)
        return [Attachment(id="1", name="mail", content_type=None, size_bytes=size, is_inline=False, kind="item")]

    async def attachment_content(
        self, mailbox: str, message_id: str, attachment_id: str, limit_bytes: int
    ) -> bytes | None:
        """The original."""
        del attachment_id
        mail = self._report(mailbox, message_id).mail
        content = b"" if mail is None else mail.content
        return content if len(content) <= limit_bytes else None

    async def find_by_id(self, mailbox: str, message_id: str) -> MessageFacts | None:
        """The mail with that id in a person's mailbox."""
        self._readable(mailbox)
        mail = self.microsoft.mails.get(f"{mailbox}/{message_id}")
        return None if mail is None else _facts(message_id, mail)

    async def find_by_internet_id(self, mailbox: str, internet_message_id: str) -> MessageFacts | None:
        """The mail with that Message-ID in a person's mailbox."""
        self._readable(mailbox)
        for place, mail in self.microsoft.mails.items():
            owner, _, message_id = place.partition("/")
            if owner == mailbox and mail.internet_id == internet_message_id:
                return _facts(message_id, mail)
        return None

    def _report(self, mailbox: str, message_id: str) -> Delivered:
        self._reachable(mailbox)
        found = self.reports[mailbox][message_id]
        if (mailbox, message_id) in self.broken:
            raise RuntimeError("an answer that nobody foresaw")
        if self.microsoft.loop.now() < found.readable_at:
            raise Refused("read", status=404, code="ErrorItemNotFound")
        return found

    def _readable(self, mailbox: str) -> None:
        self._reachable(mailbox)
        if mailbox in self.unreadable:
            raise NotAllowed("find", status=403)

    def _reachable(self, mailbox: str) -> None:
        del mailbox
        microsoft = self.microsoft
        microsoft.reachable("mail")
        if microsoft.ails(Hour.MAIL_429):
            raise Throttled("mail", status=429, retry_after_s=120.0)
        if microsoft.ails(Hour.MAIL_503) or microsoft.befalls(microsoft.temper.mail_fails):
            raise AnswerLost("mail", status=503)


def message_places(mails: Mapping[str, Mail]) -> Iterator[tuple[str, str, Mail]]:
    """Mailbox, message id and mail of every mail in a person's mailbox."""
    for place, mail in mails.items():
        mailbox, _, message_id = place.partition("/")
        yield mailbox, message_id, mail


def _facts(message_id: str, mail: Mail) -> MessageFacts:
    return MessageFacts(message_id, mail.internet_id, mail.network_id, mail.subject, mail.sender)


def _claim(order: SubmissionOrder) -> str:
    entry = order.allow_or_block
    return order.category.value if entry is None else f"{order.category.value}-{entry.action}"
