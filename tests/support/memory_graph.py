"""Microsoft behind the ports, in memory and strict: what counts is how often a POST had an effect.

For tests of many steps where HTTP would only cost time. It refuses what the limits refuse (one item once in 15
minutes, three times in 24 hours), can be told to misbehave, and keeps every POST with the moment of its arrival.
"""

import enum
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email import message_from_bytes

from shared.domain.errors import AnswerLost, NotAllowed, NotReady, NotSent, Refused, Throttled
from shared.domain.model import Kind
from shared.domain.planner import DAY, WINDOW
from shared.domain.reports import Attachment
from shared.domain.submissions import ReviewOrder, SubmissionOrder, ThreatSubmission
from shared.ports import Clock, MailOutline, MessageFacts, ReportHead, ReportPage

PAGE_REPORTS = 3
LISTED_AFTER = timedelta(minutes=3)
VERDICT_AFTER = timedelta(minutes=7)


class Misfortune(enum.Enum):
    """What befalls the next POST."""

    LOST_BEFORE_EFFECT = "the request is lost on its way"
    LOST_AFTER_EFFECT = "the answer is lost on its way back"
    NOT_SENT = "no connection"
    NOT_READY = "Microsoft has no metadata yet"
    THROTTLED = "somebody in the portal used up the quota"
    REFUSED = "Microsoft refuses it for good"


@dataclass(frozen=True, slots=True)
class Effect:
    """A submission that Microsoft has."""

    claim: tuple[str, str]
    kind: Kind
    submission: ThreatSubmission


@dataclass
class MemorySubmissions:
    """The `ThreatSubmissions` port; `arrivals` are the moments of all POSTs, `effects` what came of them."""

    clock: Clock
    arrivals: list[datetime] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    misfortunes: list[Misfortune] = field(default_factory=list)
    closed_until: datetime | None = None
    """No token until then: every call is refused."""
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """What others do while the next POST is on its way back."""
    item_refusals: int = 0
    """POSTs of an item that came too early for it."""

    async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
        """Take one submission, or fail as told."""
        now = self.clock.now()
        self._check_identity(now)
        misfortune = self.misfortunes.pop(0) if self.misfortunes else None
        if misfortune is Misfortune.NOT_SENT:
            raise NotSent("submit", code="ConnectError")
        self.arrivals.append(now)
        if misfortune is Misfortune.LOST_BEFORE_EFFECT:
            raise AnswerLost("submit", code="ReadTimeout")
        if misfortune is Misfortune.NOT_READY:
            raise NotReady("submit", status=400)
        if misfortune is Misfortune.REFUSED:
            raise Refused("submit", status=400, code="BadRequest")
        if misfortune is Misfortune.THROTTLED:
            raise Throttled("submit", status=429, retry_after_s=120)
        effect = self._effect(order, now)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        if misfortune is Misfortune.LOST_AFTER_EFFECT:
            raise AnswerLost("submit", status=504)
        return effect.submission

    async def review(self, order: ReviewOrder) -> None:
        """Refuse it: no user has submitted anything."""
        del order
        raise Refused("review", status=404, code="ResourceNotFound")

    async def listed(self, kind: Kind, since: datetime) -> list[ThreatSubmission]:
        """Every submission of that kind since then that is listed by now, with its verdict once that is due."""
        now = self.clock.now()
        self._check_identity(now)
        return list(self._listed(kind, since, now))

    async def reports_reach_microsoft(self) -> bool:
        """They do not: the product submits them."""
        return False

    def _check_identity(self, now: datetime) -> None:
        if self.closed_until is not None and now < self.closed_until:
            raise NotAllowed("submit", status=401)

    def _effect(self, order: SubmissionOrder, now: datetime) -> Effect:
        item = _item(order)
        earlier = [one.submission.created_at or now for one in self.effects if one.claim[0] == item]
        if any(now - at < WINDOW for at in earlier) or sum(now - at < DAY for at in earlier) >= 3:
            self.item_refusals += 1
            raise Throttled("submit", status=429)
        effect = Effect((item, order.category.value), order.kind, self._submission(order, now))
        self.effects.append(effect)
        return effect

    def _submission(self, order: SubmissionOrder, now: datetime) -> ThreatSubmission:
        mail = message_from_bytes(order.content or b"")
        return ThreatSubmission(
            submission_id=f"graph-{len(self.effects)}",
            created_at=now,
            category=order.category.value,
            status="running",
            recipient=order.recipient,
            subject=mail["Subject"],
            url=order.url,
        )

    def _listed(self, kind: Kind, since: datetime, now: datetime) -> Iterator[ThreatSubmission]:
        for one in self.effects:
            created_at = one.submission.created_at or now
            if one.kind is not kind or created_at < since or now - created_at < LISTED_AFTER:
                continue
            if now - created_at < VERDICT_AFTER:
                yield one.submission
            else:
                yield replace(one.submission, status="succeeded", result_category="threatsFound", result_detail="none")


@dataclass
class MemoryAnswers:
    """The `AnswerMails` port; `sent_mails` are those that left, in their order, each with its moment."""

    clock: Clock
    sent_mails: list[tuple[datetime, bytes]] = field(default_factory=list)
    posts: int = 0
    misfortunes: list[Misfortune] = field(default_factory=list)
    lag: timedelta = LISTED_AFTER
    """How long after it was sent a mail stands in Sent Items."""

    async def send(self, mime: bytes) -> None:
        """Send a mail, or fail as told."""
        self.posts += 1
        misfortune = self.misfortunes.pop(0) if self.misfortunes else None
        if misfortune is Misfortune.NOT_SENT:
            raise NotSent("send mail", code="ConnectError")
        if misfortune is Misfortune.LOST_BEFORE_EFFECT:
            raise AnswerLost("send mail", code="ReadTimeout")
        if misfortune is Misfortune.REFUSED:
            raise Refused("send mail", status=400, code="ErrorInvalidRecipients")
        if misfortune is Misfortune.THROTTLED:
            raise Throttled("send mail", status=429, retry_after_s=120)
        self.sent_mails.append((self.clock.now(), mime))
        if misfortune is Misfortune.LOST_AFTER_EFFECT:
            raise AnswerLost("send mail", status=504)

    async def sent(self, mark: str, since: datetime) -> bool:
        """Whether a mail with that mark was sent since then and is listed by now."""
        now = self.clock.now()
        return any(
            since <= at <= now - self.lag and mark in str(message_from_bytes(mime)["Message-ID"])
            for at, mime in self.sent_mails
        )


@dataclass
class MemoryMail:
    """The `MailSource` port over one folder: pages of changes, in which a mail may stand again, even twice a page."""

    clock: Clock
    heads: dict[str, ReportHead] = field(default_factory=dict)
    originals: dict[str, bytes] = field(default_factory=dict)
    feed: list[str] = field(default_factory=list)
    silent: int = 0
    """So many reads of content fail."""

    def deliver(self, head: ReportHead, original: bytes) -> None:
        """Put a report into the folder."""
        self.heads[head.message_id] = head
        self.originals[head.message_id] = original
        self.feed.append(head.message_id)

    async def changes(self, mailbox: str, folder: str, resume: str | None) -> ReportPage:
        """The next page; `resume` counts the changes read so far."""
        del mailbox, folder
        start = int(resume or 0)
        page = self.feed[start : start + PAGE_REPORTS]
        end = start + len(page)
        return ReportPage(tuple(self.heads[one] for one in page), str(end), end == len(self.feed))

    async def listed(self, mailbox: str, folder: str, since: datetime, resume: str | None) -> ReportPage:
        """The reports received since then, the newest first."""
        del mailbox, folder
        found = [head for head in self.heads.values() if head.received_at >= since]
        found.sort(key=lambda head: head.received_at, reverse=True)
        end = int(resume or 0) + PAGE_REPORTS
        is_last = end >= len(found)
        return ReportPage(tuple(found[int(resume or 0) : end]), "" if is_last else str(end), is_last)

    async def head(self, mailbox: str, message_id: str) -> ReportHead | None:
        """The report with that id."""
        del mailbox
        return self.heads.get(message_id)

    async def outline(self, mailbox: str, message_id: str) -> MailOutline:
        """What Exchange writes into mail from inside, and the one original."""
        attachments = await self.attachments(mailbox, message_id)
        return MailOutline((("X-MS-Exchange-Organization-AuthAs", "Internal"),), tuple(attachments))

    async def text(self, mailbox: str, message_id: str) -> str:
        """No text."""
        del mailbox, message_id
        return ""

    async def attachments(self, mailbox: str, message_id: str) -> list[Attachment]:
        """The one original."""
        del mailbox
        if self.silent > 0:
            self.silent -= 1
            raise AnswerLost("list attachments", status=503)
        return [
            Attachment(
                id="original",
                name="original",
                content_type=None,
                size_bytes=len(self.originals[message_id]),
                is_inline=False,
                kind="item",
            )
        ]

    async def attachment_content(
        self, mailbox: str, message_id: str, attachment_id: str, limit_bytes: int
    ) -> bytes | None:
        """The original."""
        del mailbox, attachment_id
        content = self.originals[message_id]
        return content if len(content) <= limit_bytes else None

    async def find_by_id(self, mailbox: str, message_id: str) -> MessageFacts | None:
        """No mail: only reports stand here."""
        del mailbox, message_id
        return None

    async def find_by_internet_id(self, mailbox: str, internet_message_id: str) -> MessageFacts | None:
        """No mail: only reports stand here."""
        del mailbox, internet_message_id
        return None


def _item(order: SubmissionOrder) -> str:
    """What Microsoft counts: the URL, or network message id and recipient."""
    if order.url is not None:
        return order.url
    mail = message_from_bytes(order.content or b"")
    return f"{mail['X-MS-Exchange-Organization-Network-Message-Id']} {order.recipient}"
