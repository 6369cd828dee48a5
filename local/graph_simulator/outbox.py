"""What becomes of a mail that was sent: it waits in Drafts, leaves, and stands in Sent Items some time later.

From documentation ("Overview of the Microsoft Graph send mail process", Graph): 202 says that the mail stands in
Drafts; transport takes it from there, moves it to Sent Items, and tells a failure by a non-delivery report in the
sender's inbox. 30 messages a minute, and what is more is carried over to the next; 10,000 recipients in 24 hours, and
what is more comes back (Exchange Online limits). A mail may ask for no automatic answers ([MS-OXOMSG], 2.2.1.77).
[MS-OXCMAIL] 2.1.3.2.11 lets a server replace the Message-ID: `replace_message_id`.

Unconfirmed: the times; whether Exchange Online ever refuses what is over the rate (`refuse_excess`); whether a mail
that transport gave back stays in Drafts.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import ConfigDict

from local.graph_simulator.answer import RefusedError
from local.graph_simulator.mail_item import OVER_CONTROL, MailItem
from local.graph_simulator.mailbox import Mailbox, StoredMessage
from local.graph_simulator.outbound_mail import OutboundMail, make_item
from local.graph_simulator.tenant import SimulatedTenant

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SendTraps:
    """What Exchange does with mail that is sent.

    `sent_items_lag_s`: how long a mail takes from Drafts to Sent Items. `replace_message_id`: the mail leaves, and
    stands in Sent Items, under an id of the server's. `bounced`: addresses that a report comes back for.
    `auto_replying`: addresses that answer by themselves. `refuse_excess`: 429 for more than `messages_per_minute`,
    which are carried over otherwise. More than `recipients_per_day` come back.
    """

    sent_items_lag_s: float = 5.0
    replace_message_id: bool = False
    bounced: tuple[str, ...] = ()
    auto_replying: tuple[str, ...] = ()
    messages_per_minute: int = 30
    recipients_per_day: int = 10_000
    refuse_excess: bool = False


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail that left: `mime` as it was given to Graph, `message_id` the one that it left under."""

    __pydantic_config__: ClassVar[ConfigDict] = OVER_CONTROL

    sender: str
    recipients: tuple[str, ...]
    mime: bytes
    message_id: str
    at: datetime


@dataclass(slots=True)
class _Waiting:
    mailbox: Mailbox
    mail: OutboundMail
    draft: StoredMessage
    leaves_at: datetime
    is_kept: bool


@dataclass(slots=True)
class _Usage:
    """What a mailbox sent: when each of its last mails leaves, and when each recipient of a day was used."""

    leaving: deque[datetime] = field(default_factory=deque)
    recipients: deque[datetime] = field(default_factory=deque)


class Outbox:
    """The mail of all mailboxes that is under way, and what has left."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        self.traps = SendTraps()
        self._tenant = tenant
        self._waiting: list[_Waiting] = []
        self._usage: defaultdict[str, _Usage] = defaultdict(_Usage)
        self._sent: list[SentMail] = []
        self._taken = 0

    @property
    def sent(self) -> tuple[SentMail, ...]:
        """What has left, oldest first."""
        return tuple(self._sent)

    def clear(self) -> None:
        """Forget everything that was sent or is under way."""
        self._waiting.clear()
        self._usage.clear()
        self._sent.clear()

    def take(self, mailbox: Mailbox, mail: OutboundMail, at: datetime, *, is_kept: bool) -> str:
        """Put a mail into Drafts, to leave from there; return its immutable id. Raises RefusedError (429)."""
        leaves_at = self._find_leave(mailbox, at)
        self._taken += 1
        draft = mailbox.store(make_item(mail, mailbox.address, self._name(mail), at, transported=False), "drafts")
        self._usage[mailbox.user_id].leaving.append(leaves_at)
        self._waiting.append(_Waiting(mailbox, mail, draft, leaves_at, is_kept))
        return draft.immutable_id

    def settle(self, at: datetime) -> None:
        """Let everything happen that is due by now."""
        due = [one for one in self._waiting if one.leaves_at <= at]
        self._waiting = [one for one in self._waiting if one.leaves_at > at]
        for one in sorted(due, key=lambda waiting: waiting.leaves_at):
            self._leave(one)

    def _name(self, mail: OutboundMail) -> str:
        given = str(mail.parsed.get("Message-ID", "")).strip()
        if given and not self.traps.replace_message_id:
            return given
        return f"<SIM{self._taken:012d}@outbound.exchange.example>"

    def _find_leave(self, mailbox: Mailbox, at: datetime) -> datetime:
        leaves_at = at + timedelta(seconds=self.traps.sent_items_lag_s)
        times = self._usage[mailbox.user_id].leaving
        limit = self.traps.messages_per_minute
        if len(times) < limit or times[-limit] + _MINUTE <= leaves_at:
            return leaves_at
        if self.traps.refuse_excess:
            wait = times[-limit] + _MINUTE - leaves_at
            raise RefusedError(
                429,
                "ApplicationThrottled",
                "Application is over its message rate limit.",
                retry_after=str(-(-wait // timedelta(seconds=1))),
                throttle="mailbox_1_min",
            )
        return times[-limit] + _MINUTE

    def _leave(self, one: _Waiting) -> None:
        if not self._admit(one):
            self._bounce(
                one, one.mail.recipients, "550 5.1.90 Your message can't be sent: you've reached your daily limit"
            )
            return
        if one.is_kept:
            one.mailbox.move(one.draft, "sentitems")
        else:
            one.mailbox.remove(one.draft)
        message_id = one.draft.item.internet_message_id
        self._sent.append(SentMail(one.mailbox.address, one.mail.recipients, one.mail.mime, message_id, one.leaves_at))
        for recipient in one.mail.recipients:
            self._deliver(one, recipient, message_id)

    def _admit(self, one: _Waiting) -> bool:
        """Count the recipients of the last 24 hours; a mail that takes too many does not count."""
        used = self._usage[one.mailbox.user_id].recipients
        while used and used[0] <= one.leaves_at - _DAY:
            used.popleft()
        if len(used) + len(one.mail.recipients) > self.traps.recipients_per_day:
            return False
        used.extend([one.leaves_at] * len(one.mail.recipients))
        return True

    def _deliver(self, one: _Waiting, recipient: str, message_id: str) -> None:
        if recipient.lower() in map(str.lower, self.traps.bounced):
            self._bounce(one, (recipient,), "550 5.1.10 RESOLVER.ADR.RecipientNotFound")
            return
        mailbox = self._tenant.find_mailbox(recipient)
        if mailbox is not None:
            item = make_item(one.mail, one.mailbox.address, message_id, one.leaves_at, transported=True)
            mailbox.store(item, "inbox")
        if recipient.lower() in map(str.lower, self.traps.auto_replying):
            self._reply(one, recipient)

    def _bounce(self, one: _Waiting, recipients: tuple[str, ...], why: str) -> None:
        if not one.mail.suppressed & {"all", "ndr"}:
            text = f"Your message to {', '.join(recipients)} couldn't be delivered. {why}"
            self._answer(one, "Undeliverable: ", f"postmaster@{_domain(one.mailbox.address)}", text, "auto-replied")

    def _reply(self, one: _Waiting, recipient: str) -> None:
        if not one.mail.suppressed & {"all", "oof", "autoreply"}:
            self._answer(one, "Automatic reply: ", recipient, "I am out of office.", "auto-generated")

    def _answer(self, one: _Waiting, beginning: str, sender: str, text: str, submitted: str) -> None:
        number = len(self._sent)
        one.mailbox.store(
            MailItem(
                from_address=sender,
                subject=f"{beginning}{one.mail.parsed.get('Subject', '')}",
                received_at=one.leaves_at,
                internet_message_id=f"<{number}.{beginning.split(maxsplit=1)[0].lower()}@exchange.example>",
                to_addresses=(one.mailbox.address,),
                body=text,
                headers=(
                    ("Auto-Submitted", submitted),
                    ("In-Reply-To", one.draft.item.internet_message_id),
                    ("X-MS-Exchange-Organization-AuthAs", "Internal"),
                ),
            ),
            "inbox",
        )


def _domain(address: str) -> str:
    return address.rpartition("@")[2]
