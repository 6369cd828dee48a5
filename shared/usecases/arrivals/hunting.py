"""Hunting: what the operator's query finds is asked for on the operators' own queue.

So intake holds it to the same rules as a person's message, gives it a row and links it with what is known of the item.
What was asked for is remembered after its message was sent: a stop in between sends it twice, which its `requestId`
makes harmless. A query that finds too much at once is taken in portions, never cut off in silence.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ...domain import keys
from ...domain.hunting import MESSAGE, HuntingRules, message_of
from ...ports import Clock, HuntingQueries, WorkQueue
from ...stores.looks import AskedFor
from ...telemetry import Event, emit, raised_at
from .sources import Look, Taken

SENT_TOGETHER = 20
MOST_REQUESTS = 1_000
"""In one look. Each costs a slot of the quota, which admits 10,000 submissions a day."""
ASKED_FOR_IS_KEPT = timedelta(days=31)
"""Hunting data is kept for 30 days, so that nothing asked for before that can be found again."""


class HuntingSource:
    """The source behind `HUNTING_QUERY`."""

    name = "hunting_query"

    def __init__(
        self, rules: HuntingRules, *, hunting: HuntingQueries, requests: WorkQueue, asked_for: AskedFor, clock: Clock
    ) -> None:
        self._rules = rules
        self._hunting = hunting
        self._requests = requests
        self._asked_for = asked_for
        self._clock = clock

    async def take(self, look: Look) -> Taken:
        """Ask for everything that the query finds and that was not asked for yet; see the protocol.

        The query itself says how far it looks back, and its answer is one part; what there is no time to ask for is
        found by the next look.
        """
        read = [self._read(row) for row in await self._hunting.run(self._rules.query)]
        asked_for = await self._asked_for.since(self._clock.now() - ASKED_FOR_IS_KEPT)
        new = {str(one["requestId"]): one for one in read if one is not None and one["requestId"] not in asked_for}
        valid = [one for one in new.values() if self._is_valid(one)]
        asked = await self._ask_for(valid[:MOST_REQUESTS], look.until)
        self._tell(asked, left=len(valid) - asked, unusable=read.count(None) + len(new) - len(valid))
        return Taken(asked)

    async def _ask_for(self, messages: Sequence[MESSAGE], until: datetime | None) -> int:
        """Ask for as many as there is time for; returns how many. One that cannot be sent stops no other."""
        asked = 0
        for start in range(0, len(messages), SENT_TOGETHER):
            if until is not None and self._clock.now() >= until:
                break
            batch = messages[start : start + SENT_TOGETHER]
            done = await asyncio.gather(*(self._ask(one) for one in batch), return_exceptions=True)
            for message, error in zip(batch, done, strict=True):
                if isinstance(error, Exception):
                    self._tell_unsent(message, error)
                elif error is not None:
                    raise error
            asked += done.count(None)
        return asked

    async def _ask(self, message: MESSAGE) -> None:
        await self._requests.send(json.dumps(message))
        await self._asked_for.add(str(message["requestId"]), self._clock.now())

    def _tell_unsent(self, message: MESSAGE, error: Exception) -> None:
        row = keys.request_id(str(message["requestId"]))
        emit(
            Event.SOURCE_ROW_FAILED,
            source=self.name,
            submission_id=row,
            error=type(error).__name__,
            where=raised_at(error),
        )

    def _read(self, row: Mapping[str, object]) -> MESSAGE | None:
        try:
            return message_of(row, self._rules)
        except Exception:  # noqa: BLE001 - a row that cannot be read is counted with those that name nothing
            return None

    def _is_valid(self, message: MESSAGE) -> bool:
        """Whether intake would take it: a row that breaks a rule today breaks it every day."""
        # pydantic is imported when the first row arrives: a cold start does not have to pay for it.
        from ...codecs.manual_message import BadManualMessage, read_manual_message  # noqa: PLC0415

        try:
            read_manual_message(json.dumps(message), now=self._clock.now())
        except BadManualMessage:
            return False
        except Exception:  # noqa: BLE001 - intake would fail on it as well
            return False
        return True

    def _tell(self, asked: int, *, left: int, unusable: int) -> None:
        if unusable:
            emit(Event.SOURCE_ROWS_UNUSABLE, source=self.name, count=unusable)
        if asked:
            emit(Event.SOURCE_READ, source=self.name, count=asked)
        if left:
            emit(Event.HUNTING_LIMITED, left=left)
