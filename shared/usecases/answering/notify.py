"""Notify: one answer to a reporter, at most once.

Sending a mail has no key against repetition and the queue delivers at least once, so the order is that of `submit`:

    stamp    the time of the mail, into the answer, as it was read; one that was taken back admits nothing
    send     once, never repeated by a library
    record   what the reporter was told, into the row; then the answer is taken off

A stop before the stamp is known to have sent nothing. After it, after a lost answer of Graph and after a 429, which was
seen to have sent the mail all the same (Microsoft Q&A 5629476), the answer stands still until the mail would be among
those that were sent, and is looked up there by its mark (`pacing`).
"""

from __future__ import annotations

from datetime import timedelta

from ...codecs.notification_message import NotificationMessage
from ...domain.answers import UNDELIVERABLE, AnswerRules, Stage, is_simulation, mark_of
from ...domain.errors import AnswerLost, GraphError, NotAllowed, NotSent, Throttled
from ...domain.model import Outcome, Verdict
from ...formats.answer_mail import AnswerLetter, answer_mime
from ...ports import AnswerMails, Clock
from ...stores.answers import Answer, AnswerStore
from ...stores.ledger import Ledger
from ...telemetry import Event, emit
from .recording import Recorder
from .texts import FeedbackTexts

STAMP_GOOD_FOR = timedelta(seconds=2)
"""A stamp older than this when the mail is about to leave is written again."""
RESTS_WITHOUT_RIGHT = timedelta(minutes=15)
RESTS_WHEN_THROTTLED = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=1)


class Notify:
    """The use case behind `notify`."""

    def __init__(
        self,
        rules: AnswerRules,
        *,
        ledger: Ledger,
        answers: AnswerStore,
        recorder: Recorder,
        texts: FeedbackTexts,
        mails: AnswerMails,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._answers = answers
        self._recorder = recorder
        self._texts = texts
        self._mails = mails
        self._clock = clock

    async def run(self, message: NotificationMessage) -> None:
        """Tell the reporter of the row that the message names, unless the message is stale or nothing is owed."""
        answer = await self._answers.having_turn(message.key, message.stage)
        if answer is None or answer.turn != message.turn or answer.sent_at is not None or answer.told is not None:
            return
        stored = await self._ledger.get(message.key)
        if stored is None or not self._rules.is_due(stored.outcome, message.stage):
            await self._answers.remove(answer)
            return
        mime = answer_mime(self._letter(stored.outcome, message.stage), await self._texts.now())
        stamped = await self._stamped(answer)
        if stamped is not None:
            await self._send(stamped, mime)

    def _letter(self, outcome: Outcome, stage: Stage) -> AnswerLetter:
        verdict = Verdict.SIMULATION if is_simulation(outcome) else outcome.verdict or Verdict.UNDETERMINED
        return AnswerLetter(
            text=stage.value if stage is Stage.RECEIVED else verdict.value,
            sender=self._rules.sender,
            recipient=outcome.reporter or "",
            mark=mark_of(outcome.key, stage),
            at=self._clock.now(),
            reported_subject=outcome.subject,
            reported_sender=outcome.sender,
        )

    async def _stamped(self, answer: Answer) -> Answer | None:
        """The answer as ours, its mail about to leave; None when it was taken back."""
        stamped: Answer | None = answer
        while stamped is not None:
            stamped = await self._answers.stamp(stamped)
            if stamped is not None and stamped.sent_at and self._clock.now() - stamped.sent_at <= STAMP_GOOD_FOR:
                return stamped
        return None

    async def _send(self, answer: Answer, mime: bytes) -> None:
        try:
            await self._mails.send(mime)
        except GraphError as error:
            await self._after(answer, error)
            return
        tell_told(answer)
        await self._recorder.end(answer, answer.stage)

    async def _after(self, answer: Answer, error: GraphError) -> None:
        """Act on a mail that was not simply sent. One that may have been stands still; see above."""
        rest = _rest(error)
        if rest is not None:
            _tell_rest(rest, error)
            await self._answers.rest(self._clock.now() + rest)
        if isinstance(error, NotAllowed):
            await self._answers.wait_again(answer, self._clock.now() + (rest or LONGEST_DELAY))
        elif isinstance(error, NotSent):
            await self._answers.wait_again(answer, self._clock.now() + delay_of(answer))
        elif isinstance(error, AnswerLost | Throttled):
            _tell(answer, error, is_lost=True)
        else:
            _tell(answer, error, is_lost=False)
            await self._recorder.end(answer, UNDELIVERABLE)


def delay_of(answer: Answer) -> timedelta:
    """How long an answer waits that could not be sent: a minute, then twice as long each time, up to an hour."""
    return min(timedelta(minutes=2 ** min(answer.tries, 10)), LONGEST_DELAY)


def tell_told(answer: Answer) -> None:
    """Write the event of an answer that was sent."""
    seconds = (answer.sent_at - answer.since).total_seconds() if answer.sent_at else 0.0
    emit(Event.NOTIFIED, submission_id=answer.key.submission_id, stage=answer.stage, seconds=max(0, int(seconds)))


def _rest(error: GraphError) -> timedelta | None:
    """How long no answer leaves, as the mailbox may not send now; None where the failure is about this mail alone."""
    if isinstance(error, Throttled):
        return timedelta(seconds=error.retry_after_s) if error.retry_after_s else RESTS_WHEN_THROTTLED
    return RESTS_WITHOUT_RIGHT if isinstance(error, NotAllowed) else None


def _tell_rest(rest: timedelta, error: GraphError) -> None:
    seconds, request_id = int(rest.total_seconds()), error.request_id
    emit(Event.NOTIFICATIONS_PAUSED, seconds=seconds, status=error.status, code=error.code, request_id=request_id)


def _tell(answer: Answer, error: GraphError, *, is_lost: bool) -> None:
    emit(
        Event.NOTIFICATION_LOST if is_lost else Event.NOTIFICATION_UNDELIVERABLE,
        submission_id=answer.key.submission_id,
        stage=answer.stage,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )
