"""Recording: the row says what its reporter was told, then the answer is taken off.

What a row says is a fact and no change of state, so it can wait. A row that has a slot, or may get one any moment, is
left alone: dispatch and submit hold it by its version, and a submission must not wait for an answer.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ...domain.answers import is_told
from ...domain.lifecycle import is_final
from ...domain.model import Outcome, State
from ...ports import Clock
from ...stores.answers import Answer, AnswerStore
from ...stores.ledger import KEPT, Ledger, Step, Stored

_ON_ITS_WAY = frozenset({State.PENDING, State.DISPATCHED, State.SUBMITTING})


class Recorder:
    """Ends answers."""

    def __init__(self, ledger: Ledger, answers: AnswerStore, clock: Clock) -> None:
        self._ledger = ledger
        self._answers = answers
        self._clock = clock

    async def end(self, answer: Answer, told: str) -> bool:
        """Let the row say what came of an answer, and take that off; False where the row cannot be written yet.

        Then the answer is kept with what there is to say: nothing is sent for it any more.
        """
        at = answer.sent_at or self._clock.now()
        is_recorded = await self._is_recorded(answer, told, at)
        await (self._answers.remove(answer) if is_recorded else self._answers.keep(answer, told))
        return is_recorded

    async def _is_recorded(self, answer: Answer, told: str, at: datetime) -> bool:
        stored = await self._ledger.get(answer.key)
        if stored is None or is_told(stored.outcome, answer.stage):
            return True
        if stored.outcome.state in _ON_ITS_WAY:
            return False
        after = replace(stored.outcome, reporter_told=told, reporter_told_at=at)
        if is_final(stored.outcome.state) and stored.outcome.state not in KEPT:
            return await self._ledger.amend(stored, after) is not None
        return await self._is_amended_with_its_entry(stored, after)

    async def _is_amended_with_its_entry(self, stored: Stored, after: Outcome) -> bool:
        """Whether the row was written and its entry with it, which knows the row by its version."""
        item = await self._ledger.find(stored.outcome)
        if item is None:
            return False
        if item.lags_behind(stored.outcome, stored.etag):
            await self._ledger.refile(item)
            return False
        return (await self._ledger.amend_filed([Step(item, after, stored)]))[0] is not None
