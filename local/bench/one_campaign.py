"""A mailbox full of reports of one campaign and a Microsoft that takes every submission, both behind the ports.

Nothing here takes time worth mentioning. Each report carries a mail of its own: another recipient, another link, other
ids, one lure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from local.sample_tenant import DOMAINS
from shared.domain.model import Kind
from shared.domain.reports import Attachment
from shared.domain.submissions import ReviewOrder, SubmissionOrder, ThreatSubmission
from shared.ports import MailOutline, MessageFacts, ReportHead, ReportPage

SIZE_BYTES = 20_000
_LURE = (
    "<p>Dear {name}, your parcel is held at customs. Pay the fee within two days, or it goes back to the sender.</p>"
    '<p><a href="https://pay.parcels.example/fee?token={number:08x}">Pay now</a></p>\r\n'
)
_MARKUP = (
    '<table width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;font-family:Arial,sans-serif">'
    '<tr><td align="center" style="padding:24px 16px;background-color:#f4f4f4;color:#333333;line-height:150%">'
    "You get this because a parcel is on its way.</td></tr></table>\r\n"
)


@dataclass
class CampaignMailbox:
    """The `MailSource` port over `reports` reports of one campaign."""

    reports: int
    page: int
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=1))
    size_bytes: int = SIZE_BYTES

    async def changes(self, mailbox: str, folder: str, resume: str | None) -> ReportPage:
        """The next page; `resume` counts the reports read so far."""
        del mailbox, folder
        start = int(resume or 0)
        end = min(start + self.page, self.reports)
        return ReportPage(tuple(map(self.head_of, range(start, end))), str(end), end == self.reports)

    async def listed(self, mailbox: str, folder: str, since: datetime, resume: str | None) -> ReportPage:
        """None that the changes did not tell."""
        del mailbox, folder, since, resume
        return ReportPage((), "", is_last=True)

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
        del mailbox, message_id
        return [
            Attachment(
                id="original",
                name="original",
                content_type=None,
                size_bytes=self.size_bytes,
                is_inline=False,
                kind="item",
            )
        ]

    async def attachment_content(
        self, mailbox: str, message_id: str, attachment_id: str, limit_bytes: int
    ) -> bytes | None:
        """The original."""
        del mailbox, attachment_id, limit_bytes
        return _original(int(message_id), self.size_bytes)

    async def find_by_id(self, mailbox: str, message_id: str) -> MessageFacts | None:
        """No mail: only reports stand here."""
        del mailbox, message_id
        return None

    async def find_by_internet_id(self, mailbox: str, internet_message_id: str) -> MessageFacts | None:
        """No mail: only reports stand here."""
        del mailbox, internet_message_id
        return None

    def head_of(self, number: int) -> ReportHead:
        """The report of that number, the oldest first."""
        received_at = self.began_at + timedelta(milliseconds=number)
        return ReportHead(str(number), received_at, f"3|Parcel {number} is waiting", _person(number))


@dataclass
class EasyMicrosoft:
    """The `ThreatSubmissions` port: takes everything and finds it malicious at once."""

    submissions: list[ThreatSubmission] = field(default_factory=list)

    @property
    def posts(self) -> int:
        """How many submissions came."""
        return len(self.submissions)

    async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
        """Take a submission."""
        submission = ThreatSubmission(
            submission_id=f"at-microsoft-{self.posts}",
            created_at=datetime.now(UTC),
            category=order.category.value,
            status="succeeded",
            result_category="phishing",
            recipient=order.recipient,
        )
        self.submissions.append(submission)
        return submission

    async def review(self, order: ReviewOrder) -> None:
        """Nothing is reviewed here."""
        raise NotImplementedError

    async def listed(self, kind: Kind, since: datetime) -> list[ThreatSubmission]:
        """Everything since then, with its verdict."""
        return [one for one in self.submissions if kind is Kind.EMAIL and (one.created_at or since) >= since]

    async def reports_reach_microsoft(self) -> bool:
        """Reports go to the reporting mailbox only."""
        return False


def _person(number: int) -> str:
    return f"employee{number}@{DOMAINS[0]}"


def _original(number: int, size_bytes: int) -> bytes:
    person = _person(number)
    headers = (
        f"Received: from mail.parcels.example (192.0.2.7) by mx.{DOMAINS[0]}; Mon, 23 Nov 2026 08:00:00 +0000\r\n"
        f"X-MS-Exchange-Organization-Network-Message-Id: {number:08x}-0000-4000-8000-000000000000\r\n"
        f"From: Parcels <billing@parcels.example>\r\nTo: {person}\r\nSubject: Parcel {number} is waiting\r\n"
        f"Message-ID: <{number}@parcels.example>\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n"
        "Content-Type: text/html; charset=utf-8\r\n\r\n"
    )
    start = headers + _LURE.format(name=person, number=number)
    return (start + _MARKUP * ((size_bytes - len(start)) // len(_MARKUP))).encode()
