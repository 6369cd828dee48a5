"""The texts of answers as they stand now: the shipped ones, and those that an administrator put in their places."""

from __future__ import annotations

from datetime import datetime, timedelta

from ...formats.answer_texts import (
    MOST_BYTES,
    AnswerTexts,
    file_of,
    replaced_texts,
)
from ...ports import BlobStore, Clock
from ...telemetry import Event, emit

READ_EVERY = timedelta(minutes=5)
"""How long a changed text may take to be used."""


class FeedbackTexts:
    """Reads the texts of one language, at most every few minutes."""

    def __init__(self, language: str, container: BlobStore, clock: Clock) -> None:
        self._language = language
        self._container = container
        self._clock = clock
        self._read_at: datetime | None = None
        self._content: bytes | None = None
        self._texts: AnswerTexts | None = None

    async def now(self) -> AnswerTexts:
        """The texts. What is wrong with a file is told when it is first read; shipped texts stand in."""
        if self._texts is None or self._read_at is None or self._clock.now() - self._read_at >= READ_EVERY:
            content = await self._container.get(file_of(self._language), MOST_BYTES) or b""
            self._read_at = self._clock.now()
            if self._texts is None or content != self._content:
                self._content, self._texts = content, self._checked(content)
        return self._texts

    def _checked(self, content: bytes) -> AnswerTexts:
        texts, problems = replaced_texts(self._language, content)
        for one in problems:
            emit(Event.FEEDBACK_TEXT_UNUSABLE, file=one.file, on=one.text or None, reason=one.rule)
        return texts
