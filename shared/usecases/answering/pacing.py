"""Pacing: answers get their turns, below what Exchange Online admits, and those that were left behind are looked after.

    has a turn, no stamp, nobody came   waits again; whoever comes late finds it moved
    stamped, and no word of it          looked up among the mails that were sent, once it would be there: recorded, or
                                        sent again
    sent, the row not yet written       recorded

The run never raises and comes after dispatching: no submission waits for an answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from ...codecs.notification_message import NotificationMessage, write_notification
from ...domain.answers import GIVEN_UP_AFTER, ONE_EVERY, UNDELIVERABLE, mark_of
from ...domain.errors import GraphError
from ...ports import AnswerMails, Clock, WorkQueue
from ...stores.answers import TURNS_AT_ONCE, Answer, AnswerPace, AnswerStore
from ...telemetry import Event, emit, raised_at
from .notify import tell_told
from .recording import Recorder

HORIZON = timedelta(seconds=75)
"""Turns are given this far ahead, as slots are: the next run is a minute away."""
STRAY_AFTER = timedelta(minutes=15)
"""A turn that nobody took in this time will not be taken: an invocation lives ten minutes."""
LOOK_AFTER = timedelta(minutes=30)
"""How long after its stamp a mail is looked up: a stopped worker may send it ten minutes late at most, and it stands
among the mails that were sent a while after."""
SENT_BEFORE = timedelta(minutes=10)
"""What Exchange's clock may be behind ours."""
RECORDS_A_RUN = 100
LOOKS_A_RUN = 50


class PaceAnswers:
    """Run by the timer of `dispatch`."""

    def __init__(
        self, *, answers: AnswerStore, recorder: Recorder, mails: AnswerMails, queue: WorkQueue, clock: Clock
    ) -> None:
        self._answers = answers
        self._recorder = recorder
        self._mails = mails
        self._queue = queue
        self._clock = clock

    async def run(self) -> int:
        """Look after what was left behind and give the turns that fall due before the next run; returns how many.

        Whatever fails is told, and tried at the next run.
        """
        try:
            await self._look_after([answer async for answer in self._answers.having_turns()])
            return await self._give_turns()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no trouble of the submissions
            emit(Event.NOTIFICATIONS_FAILED, error=type(error).__name__, where=raised_at(error))
            return 0

    async def _look_after(self, answers: Sequence[Answer]) -> None:
        now = self._clock.now()
        for answer in _some(answers, now):
            await self._recorder.end(answer, answer.told or UNDELIVERABLE)
        for answer in answers:
            is_stray = answer.sent_at is None and answer.turn_at is not None and now - answer.turn_at > STRAY_AFTER
            if is_stray and answer.told is None:
                await self._answers.wait_again(answer, answer.due_at)
        lost = [one for one in answers if one.told is None and one.sent_at and now - one.sent_at >= LOOK_AFTER]
        for answer in lost[:LOOKS_A_RUN]:
            if not await self._is_looked_up(answer):
                break

    async def _is_looked_up(self, answer: Answer) -> bool:
        """Whether it could be found out what became of a mail; then its answer is ended or waits again."""
        is_old = self._clock.now() - answer.since > GIVEN_UP_AFTER
        try:
            is_sent = await self._mails.sent(mark_of(answer.key, answer.stage), answer.since - SENT_BEFORE)
        except GraphError as error:
            emit(Event.NOTIFICATIONS_UNREAD, status=error.status, code=error.code, request_id=error.request_id)
            if is_old:
                await self._give_up(answer)
            return False
        if is_sent:
            tell_told(answer)
            await self._recorder.end(answer, answer.stage)
        elif is_old:
            await self._give_up(answer)
        else:
            await self._answers.wait_again(answer, self._clock.now())
        return True

    async def _give_up(self, answer: Answer) -> None:
        emit(Event.NOTIFICATION_UNDELIVERABLE, submission_id=answer.key.submission_id, stage=answer.stage)
        await self._recorder.end(answer, UNDELIVERABLE)

    async def _give_turns(self) -> int:
        now = self._clock.now()
        pace = await self._answers.pace()
        at = max(now, pace.next_at)
        room = min(pace.left(now), math.floor((now + HORIZON - at) / ONE_EVERY) + 1, TURNS_AT_ONCE)
        due = await self._answers.due(room) if room > 0 else []
        old = [answer for answer in due if now - answer.since > GIVEN_UP_AFTER]
        for answer in old:
            await self._give_up(answer)
        wanted: list[tuple[Answer, datetime]] = []
        for answer in due:
            if answer not in old:
                wanted.append((answer, at))
                pace, at = pace.with_turn(at, at + ONE_EVERY), at + ONE_EVERY
        return await self._given(pace, wanted)

    async def _given(self, pace: AnswerPace, wanted: Sequence[tuple[Answer, datetime]]) -> int:
        given = await self._answers.give_turns(pace, wanted) if wanted else []
        for answer in given:
            await self._put(answer)
        return len(given)

    async def _put(self, answer: Answer) -> None:
        delay = (answer.turn_at or self._clock.now()) - self._clock.now()
        message = NotificationMessage(answer.key, answer.stage, answer.turn)
        await self._queue.send(write_notification(message), max(0, math.ceil(delay.total_seconds())))


def _some(answers: Sequence[Answer], now: datetime) -> list[Answer]:
    """Some of those that only have to be recorded, others at each run: their rows may be on their way for hours."""
    told = [one for one in answers if one.told is not None]
    start = int(now.timestamp() // 60) * RECORDS_A_RUN % len(told) if told else 0
    return [*told[start:], *told[:start]][:RECORDS_A_RUN]
