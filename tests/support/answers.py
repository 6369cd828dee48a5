"""Answers to reporters on stage: the settings that switch them on, and the mails that left."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from shared.domain.answers import Stage as AnswerStage
from shared.domain.answers import mark_of
from shared.domain.model import Outcome, OutcomeKey
from tests.support.stage import Stage, stage

BOX = "answers@contoso.example"
BOTH = "received,verdict"


def answering(
    feedback: str = "verdict", *, connection: str | None = None, **settings: str
) -> AbstractAsyncContextManager[Stage]:
    """Return a stage on which reporters are told."""
    named: Any = {"REPORTER_FEEDBACK": feedback, "FEEDBACK_MAILBOX": BOX, **settings}
    return stage(connection=connection, **named)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that left: to whom, with what mark, and the whole mail."""

    recipient: str
    mark: str
    mail: EmailMessage

    def text(self, kind: str = "plain") -> str:
        """The mail's text, or its HTML."""
        body = self.mail.get_body((kind,))
        assert body is not None
        return str(body.get_content())


def told(on: Stage) -> list[Told]:
    """Return the answers that have left, oldest first."""
    return [read_told(one.mime) for one in on.graph.control.list_sent_mails()]


def read_told(mime: bytes) -> Told:
    """Return an answer as it was sent."""
    mail = message_from_bytes(mime, policy=default)
    return Told(str(mail["To"]), str(mail["Message-ID"]).strip("<>").partition("@")[0], mail)


def marks(outcomes: Sequence[Outcome], stage: AnswerStage = AnswerStage.VERDICT) -> Counter[str]:
    """Return the marks that these rows' answers have, each once."""
    return Counter(mark_of(outcome.key, stage) for outcome in outcomes)


def mark(key: OutcomeKey, stage: AnswerStage = AnswerStage.VERDICT) -> str:
    """Return the mark of a row's answer."""
    return mark_of(key, stage)


async def tell_everybody(on: Stage, rounds: int = 40, minutes: float = 5) -> None:
    """Let the timers and queues of answers run until none is left."""
    for _ in range(rounds):
        await on.round()
        if not [row for row in await on.rows("worklist") if str(row["RowKey"])[0] in "67"]:
            on.clock.time += timedelta(minutes=2)
            return
        on.clock.time += timedelta(minutes=minutes)
    raise AssertionError([row["RowKey"] for row in await on.rows("worklist") if str(row["RowKey"])[0] in "67"])


def links(html: str) -> Iterator[str]:
    """Yield whatever in an HTML text would be fetched or opened."""
    for sign in ("href", "src", "url(", "@import", "<img", "<script", "<link", "<form", "srcset", "background="):
        if sign in html.lower():
            yield sign
