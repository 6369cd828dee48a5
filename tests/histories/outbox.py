"""The mailbox that answers leave from: what really left, and what Sent Items show of it.

It loses requests and answers, refuses now and then, and shows a mail up to ten minutes after it was sent.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes

from shared.domain.errors import AnswerLost, NotAllowed, NotSent, Refused, Throttled
from tests.histories.virtual_time import VirtualTimeLoop


@dataclass(frozen=True, slots=True)
class Left:
    """A mail that left."""

    at: datetime
    mark: str
    recipient: str
    subject: str
    listed_at: datetime


@dataclass
class Outbox:
    """The `AnswerMails` port; `left` is the truth."""

    loop: VirtualTimeLoop
    chance: random.Random
    left: list[Left] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Marks of mails that were refused for good."""
    trouble: float = -1.0

    def __post_init__(self) -> None:
        self.trouble = self.chance.choice((0.0, 0.1, 0.5))

    def become_quiet(self) -> None:
        """No trouble any more."""
        self.trouble = 0.0

    async def send(self, mime: bytes) -> None:
        """See the port."""
        mail = message_from_bytes(mime)
        mark = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        fate = self.chance.random() / self.trouble if self.trouble else 1.0
        if fate < 0.15:
            raise NotSent("send", code="ConnectError")
        if fate < 0.3:
            raise AnswerLost("send", code="ReadTimeout")
        if fate < 0.35:
            raise NotAllowed("send", status=403)
        if fate < 0.4:
            self.refused.add(mark)
            raise Refused("send", status=400, code="ErrorInvalidRecipients")
        if fate < 0.5:
            raise Throttled("send", status=429, retry_after_s=20.0)
        now = self.loop.now()
        listed_at = now + timedelta(seconds=self.chance.choice((1.0, 60.0, 600.0)))
        self.left.append(Left(now, mark, str(mail["To"]), str(mail["Subject"]), listed_at))
        if fate < 0.6:
            raise Throttled("send", status=429)
        if fate < 1.0:
            raise AnswerLost("send", status=503)

    async def sent(self, mark: str, since: datetime) -> bool:
        """See the port."""
        if self.trouble and self.chance.random() < self.trouble / 2:
            raise AnswerLost("look", status=503)
        now = self.loop.now()
        return any(one.mark == mark and since <= one.at and one.listed_at <= now for one in self.left)
