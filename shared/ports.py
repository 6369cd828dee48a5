"""What the use cases and stores need from the world outside, as protocols.

Adapters implement these over Azure and Microsoft Graph; in-memory stand-ins implement them for simulated time. Both
are held to the same contract tests. Every method may raise the errors it names and nothing else that a caller should
handle; anything unexpected is left to rise to the function host, which repeats the message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from .domain.model import Kind
from .domain.reports import Attachment
from .domain.submissions import ReviewOrder, SubmissionOrder, ThreatSubmission
from .domain.user_submissions import UserSubmission

Value = str | int | bool | datetime
Entity = dict[str, Value]
"""One table row: `PartitionKey`, `RowKey` and its properties. Absent properties are absent, never None."""


class Clock(Protocol):
    """The time of day, and waiting."""

    def now(self) -> datetime:
        """The time now, aware UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read, with the ETag that guards its next write."""

    entity: Entity
    etag: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Write a new row; refused when the key is taken."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Replace:
    """Overwrite a whole row; with `etag` refused when it was changed since, without it whatever stands there."""

    entity: Entity
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Set some properties of a row that must exist, leaving the others."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a row that must exist; with `etag` refused when it was changed since."""

    partition: str
    row: str
    etag: str | None = None


Write = Insert | Replace | Merge | Delete
Place = tuple[str, str]
"""PartitionKey and RowKey: where a row stands. ("", "") is before all of them."""


class Table(Protocol):
    """One table of the data account."""

    async def get(self, partition: str, row: str) -> Row | None:
        """The row, or None."""

    async def write(self, write: Write) -> str:
        """Do one write; returns the new ETag ("" for a delete).

        Raises `AlreadyExists`, `Changed` or `Missing`.
        """

    async def write_all(self, writes: Sequence[Write]) -> list[str]:
        """Do 1 to 100 writes to one partition, all or none; returns their new ETags in order.

        Raises `AlreadyExists`, `Changed` or `Missing` for the first write that was refused; then nothing was written.
        """

    def scan(
        self,
        partition: str,
        from_row: str,
        below_row: str,
        limit: int | None = None,
        *,
        only: tuple[str, str] | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows with `from_row` <= RowKey < `below_row`, ascending; at most `limit`.

        `only` names a property and the text that it must hold; the service still reads every row in between. With
        `select` a row comes back with its keys, its ETag and, of its properties, those that are named and there.
        """

    async def behind(self, place: Place, below_partition: str, limit: int) -> list[Row]:
        """At most `limit` rows whose keys are greater than `place`, ascending by both, in partitions below that one."""


class WorkQueue(Protocol):
    """One queue of the data account."""

    async def send(self, body: str, delay_s: int = 0) -> None:
        """Put a message that becomes visible after `delay_s` seconds and stays until it is handled, however long."""


class BlobStore(Protocol):
    """One container of the data account."""

    async def put(self, name: str, content: bytes) -> None:
        """Write a blob, replacing what was there."""

    async def get(self, name: str, limit_bytes: int) -> bytes | None:
        """The content, or None where there is no such blob.

        Content over `limit_bytes` comes back cut to `limit_bytes` + 1 bytes, so that the caller can tell.
        """

    async def renew(self, name: str) -> None:
        """Let a blob's age count from now on; one that is gone stays away."""

    async def names(self, prefix: str, page: str | None) -> tuple[list[str], str | None]:
        """Some names that begin with that, and the page that goes on behind them, None at their end."""

    async def delete(self, name: str) -> bool:
        """Delete a blob for good; whether it was there."""


@dataclass(frozen=True, slots=True)
class ReportHead:
    """A mail in a reporting mailbox, without its content. `message_id` is the immutable id."""

    message_id: str
    received_at: datetime
    subject: str
    sender: str | None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """One page of a folder's changes; `resume` is the checkpoint to store once its reports are durable."""

    reports: tuple[ReportHead, ...]
    resume: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What Graph says of a mail in somebody's mailbox. `message_id` is the regular id, good for `messageUrl`."""

    message_id: str
    internet_message_id: str | None
    network_message_id: str | None
    subject: str | None
    sender: str | None


@dataclass(frozen=True, slots=True)
class MailOutline:
    """What a mail holds, without its text and its attachments' content.

    `headers` are as transport left them, name and value in their order; none for a mail that was put there directly.
    """

    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


class MailSource(Protocol):
    """Mailboxes, read through Graph v1.0. Every method may raise any `GraphError`."""

    async def changes(self, mailbox: str, folder: str, resume: str | None) -> ReportPage:
        """The next page of changes; from the folder's beginning where `resume` is None.

        Raises `Gone` when `resume` has expired: begin again with None.
        """

    async def listed(self, mailbox: str, folder: str, since: datetime, resume: str | None) -> ReportPage:
        """The next page of the mails that stand in the folder and were received since then; the newest come first.

        It finds what a change feed may miss: a mail that was moved into the folder. The list begins where `resume` is
        None; `resume` of its last page is "". Mail that comes or goes meanwhile may shift what is told twice, or not.
        """

    async def head(self, mailbox: str, message_id: str) -> ReportHead | None:
        """A mail by its immutable id, wherever in the mailbox it stands; or None."""

    async def outline(self, mailbox: str, message_id: str) -> MailOutline:
        """The headers of a mail and what is attached to it."""

    async def attachments(self, mailbox: str, message_id: str) -> list[Attachment]:
        """The attachments of a mail, without their content."""

    async def text(self, mailbox: str, message_id: str) -> str:
        """The body of a mail as plain text."""

    async def attachment_content(
        self, mailbox: str, message_id: str, attachment_id: str, limit_bytes: int
    ) -> bytes | None:
        """The bytes of an attachment (an attached mail as MIME); None where they exceed `limit_bytes`."""

    async def find_by_id(self, mailbox: str, message_id: str) -> MessageFacts | None:
        """The mail with that id, or None."""

    async def find_by_internet_id(self, mailbox: str, internet_message_id: str) -> MessageFacts | None:
        """The newest mail with that internet message id, or None."""


class ThreatSubmissions(Protocol):
    """Microsoft's threat submissions, Graph beta. Every method may raise any `GraphError`."""

    async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
        """Send one submission, once, never repeated by a library.

        Raises `AnswerLost` when it may have arrived all the same.
        """

    async def review(self, order: ReviewOrder) -> None:
        """Decide what a user's submission is; Microsoft tells the user. Said again, it changes nothing.

        Raises `AnswerLost` when it may have taken effect all the same, `Refused` where it is no user's submission.
        """

    async def listed(self, kind: Kind, since: datetime) -> list[ThreatSubmission]:
        """Every submission of that kind created since then. Complete, or an error is raised.

        Reviews are in no list of Microsoft's: do not ask for them.
        """

    async def reports_reach_microsoft(self) -> bool:
        """Whether the tenant's user-reported policy sends reports to Microsoft by itself."""


@dataclass(frozen=True, slots=True)
class ToldSubmissions:
    """A page of the user submissions that a source tells of.

    `unusable` counts those that lack what makes them one; `resume` is where the list goes on, None at its end.
    """

    submissions: tuple[UserSubmission, ...]
    unusable: int = 0
    resume: str | None = None


class UserSubmissions(Protocol):
    """Whoever tells of user submissions: Microsoft's own list, or Defender's alerts."""

    async def told_since(self, since: datetime, resume: str | None = None) -> ToldSubmissions:
        """The next page of the user submissions told of since then, from the beginning where `resume` is None.

        Raises any `GraphError`; `Gone` or `Refused` where `resume` is not good any more: begin again.
        """


class HuntingQueries(Protocol):
    """Advanced hunting, Graph v1.0."""

    async def run(self, query: str) -> list[Mapping[str, object]]:
        """The rows of a query's answer, all of them; a query has no effect and may be repeated.

        Raises any `GraphError`.
        """


class AnswerMails(Protocol):
    """The mailbox that answers leave from, through Graph v1.0. Every method may raise any `GraphError`."""

    async def send(self, mime: bytes) -> None:
        """Send a mail, whole as it is in MIME form, once, never repeated by a library.

        Returns when Exchange has taken it, which says nothing of its delivery. Raises `AnswerLost` when it may have
        been sent all the same, as it may have been after `Throttled`; `Refused` when this mail never will be, and
        `NotAllowed` for what is the mailbox's fault.
        """

    async def sent(self, mark: str, since: datetime) -> bool:
        """Whether Sent Items hold a mail of since then with that mark: in its Message-ID, or in its text.

        A mark is `answer-` and 40 hex digits. The Message-ID is `<MARK@domain>`, and the mark stands once in the text
        as a word of its own. Complete, or an error is raised; a mail stands there some time after it was sent.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePorts:
    """The sources beside the mailbox."""

    user_submissions: UserSubmissions
    defender_alerts: UserSubmissions
    hunting: HuntingQueries


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside, by the name of its table, queue or container."""

    tables: dict[str, Table]
    queues: dict[str, WorkQueue]
    containers: dict[str, BlobStore]
    mail: MailSource
    submissions: ThreatSubmissions
    clock: Clock
    sources: SourcePorts | None = None
    """None where only mailboxes are read, as in most stand-ins."""
    answers: AnswerMails | None = None
    """None where reporters are not answered."""
