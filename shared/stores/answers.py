"""Answers that are still to be sent, in the partition of the worklist, in sections of their own.

    6-<lane>-<due ms>-<id>-<stage>   waiting, best first
    7-<id>-<stage>                   has its turn on the queue `notifications`, is being sent, or is to be recorded
    8-answers                        the pace: when the next turn is, and how many had one in the last day

The last step of a row takes its entry off the worklist and puts its answer here in one transaction, so neither is lost
nor done twice. An answer is moved, stamped and removed as it was read (If-Match). No stamp proves that nothing was
sent: whoever has the answer finds it moved. Whether a reporter was told stands in the row (`ReporterTold`), so an
answer that comes back, as a library repeats a write, is dropped.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..domain import keys
from ..domain.answers import MOST_A_DAY, AnswerRules, Lane, Stage, lane_of
from ..domain.errors import AlreadyExists, Changed, Missing
from ..domain.model import Outcome, OutcomeKey
from ..domain.planner import DayCount
from ..ports import Clock, Delete, Entity, Insert, Replace, Row, Table, Write
from .worklist import PARTITION, read_time

PACE_ROW = "8-answers"
TURNS_AT_ONCE = 40
"""Each is two writes of a transaction, which has at most a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is still to be done for one row and stage.

    `since` is when it became due, `due_at` when it may go. `turn_at` is its moment on the queue, None while it waits;
    `sent_at` is stamped before the mail leaves. `told` is what the row has to say of it, once that is known.
    """

    key: OutcomeKey
    stage: Stage
    lane: Lane
    since: datetime
    due_at: datetime
    tries: int = 0
    turn_at: datetime | None = None
    sent_at: datetime | None = None
    told: str | None = None
    etag: str | None = field(default=None, compare=False)

    @property
    def turn(self) -> str:
        """The name of its turn, in the message about it."""
        return "" if self.turn_at is None else f"{keys.epoch_ms(self.turn_at):013d}"

    @property
    def row_key(self) -> str:
        """Where it stands."""
        own = f"{self.key.submission_id}-{self.stage}"
        return f"6-{self.lane:d}-{keys.epoch_ms(self.due_at):013d}-{own}" if self.turn_at is None else f"7-{own}"


@dataclass(frozen=True, slots=True)
class AnswerPace:
    """When the next answer may leave, and how many had their turn in each minute of the last day."""

    next_at: datetime
    today: DayCount = field(default_factory=DayCount)
    etag: str | None = field(default=None, compare=False)

    def left(self, now: datetime) -> int:
        """How many may have their turn today."""
        return max(0, MOST_A_DAY - self.today.since_yesterday(now).total())

    def with_turn(self, at: datetime, next_at: datetime) -> AnswerPace:
        """The pace once an answer has its turn at that time."""
        return replace(self, next_at=next_at, today=self.today.with_sent(at))


class AnswerPlaces:
    """Where a row's answer stands first, for the step that puts it there."""

    def __init__(self, rules: AnswerRules) -> None:
        self._rules = rules

    def due(self, outcome: Outcome) -> list[Write]:
        """What puts the answer there that a row, as it stands, owes its reporter; nothing where it owes none."""
        answer = self._answer(outcome)
        return [] if answer is None else [Insert(_entity(answer))]

    def row_keys(self, outcome: Outcome) -> tuple[str, ...]:
        """Where the answer of a row stands that owes one: first, or once it has its turn."""
        answer = self._answer(outcome)
        return () if answer is None else (answer.row_key, replace(answer, turn_at=answer.due_at).row_key)

    def _answer(self, outcome: Outcome) -> Answer | None:
        stage = self._rules.due(outcome)
        if stage is None:
            return None
        at = outcome.collected_at if stage is Stage.RECEIVED else outcome.changed_at or outcome.collected_at
        return Answer(key=outcome.key, stage=stage, lane=lane_of(outcome, stage), since=at, due_at=at)


class AnswerStore:
    """Reads and moves answers."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def due(self, limit: int) -> list[Answer]:
        """Up to `limit` waiting answers that may go now: those of the best lane, of it the longest due first."""
        before = f"{keys.epoch_ms(self._clock.now()) + 1:013d}"
        found: list[Answer] = []
        for lane in Lane:
            if len(found) < limit:
                start = f"6-{lane:d}-"
                scan = self._table.scan(PARTITION, start, f"{start}{before}", limit - len(found))
                found += [_read(row) async for row in scan]
        return found

    async def having_turns(self) -> AsyncIterator[Answer]:
        """Every answer that has its turn, or had it."""
        async for row in self._table.scan(PARTITION, "7-", "8"):
            yield _read(row)

    async def having_turn(self, key: OutcomeKey, stage: Stage) -> Answer | None:
        """The answer of a row and stage that has its turn, or None."""
        row = await self._table.get(PARTITION, f"7-{key.submission_id}-{stage}")
        return None if row is None else _read(row)

    async def pace(self) -> AnswerPace:
        """The pace as it stands."""
        row = await self._table.get(PARTITION, PACE_ROW)
        if row is None:
            return AnswerPace(self._clock.now())
        minutes = {int(minute): int(count) for minute, count in json.loads(str(row.entity["Minutes"])).items()}
        return AnswerPace(read_time(row.entity["NextAt"]), DayCount(minutes), row.etag)

    async def give_turns(self, pace: AnswerPace, answers: Sequence[tuple[Answer, datetime]]) -> list[Answer]:
        """Give up to `TURNS_AT_ONCE` answers their turns, together with the pace after them; returns them with those.

        None where another run was faster, or where one of them has its turn already: then its double is dropped.
        """
        given = [replace(answer, turn_at=at) for answer, at in answers]
        moves: list[Write] = []
        for (answer, _), after in zip(answers, given, strict=True):
            moves += [_delete(answer), Insert(_entity(after))]
        if await self._written([self._pace_write(pace), *moves]):
            return given
        for answer, _ in answers:
            if await self.having_turn(answer.key, answer.stage) is not None:
                await self._written([_delete(answer)])
        return []

    async def rest(self, until: datetime) -> None:
        """Let no answer leave before then."""
        pace = await self.pace()
        if pace.next_at < until:
            await self._written([self._pace_write(replace(pace, next_at=until))])

    async def stamp(self, answer: Answer) -> Answer | None:
        """Write down that the mail is about to leave; the answer then, None where somebody else has moved it."""
        stamped = replace(answer, sent_at=self._clock.now())
        try:
            etag = await self._table.write(Replace(_entity(stamped), answer.etag))
        except (Changed, Missing):
            return None
        return replace(stamped, etag=etag)

    async def wait_again(self, answer: Answer, due_at: datetime) -> bool:
        """Let an answer of which nothing was sent wait until then; whether it was as it was read."""
        after = replace(answer, due_at=due_at, tries=answer.tries + 1, turn_at=None, sent_at=None)
        return await self._written([_delete(answer), Insert(_entity(after))])

    async def keep(self, answer: Answer, told: str) -> None:
        """Keep what the row has to say, for as long as that cannot be written there."""
        if answer.told != told:
            await self._written([Replace(_entity(replace(answer, told=told)), answer.etag)])

    async def remove(self, answer: Answer) -> None:
        """Take an answer off for good; one that has moved on stays."""
        await self._written([_delete(answer)])

    def _pace_write(self, pace: AnswerPace) -> Write:
        minutes = pace.today.since_yesterday(self._clock.now()).minutes
        entity: Entity = {
            "PartitionKey": PARTITION,
            "RowKey": PACE_ROW,
            "NextAt": pace.next_at,
            "Minutes": json.dumps({str(minute): count for minute, count in minutes.items()}),
        }
        return Insert(entity) if pace.etag is None else Replace(entity, pace.etag)

    async def _written(self, writes: Sequence[Write]) -> bool:
        try:
            await self._table.write_all(writes)
        except (AlreadyExists, Changed, Missing):
            return False
        return True


def _delete(answer: Answer) -> Delete:
    return Delete(PARTITION, answer.row_key, answer.etag)


def _entity(answer: Answer) -> Entity:
    entity: Entity = {
        "PartitionKey": PARTITION,
        "RowKey": answer.row_key,
        "OutcomePartition": answer.key.partition,
        "SubmissionId": answer.key.submission_id,
        "Stage": answer.stage.value,
        "Lane": int(answer.lane),
        "AnswerSince": answer.since,
        "DueAt": answer.due_at,
        "Tries": answer.tries,
    }
    known = {"TurnAt": answer.turn_at, "SentAt": answer.sent_at, "Told": answer.told}
    return entity | {name: value for name, value in known.items() if value is not None}


def _read(row: Row) -> Answer:
    entity = row.entity
    return Answer(
        key=OutcomeKey(str(entity["OutcomePartition"]), str(entity["SubmissionId"])),
        stage=Stage(str(entity["Stage"])),
        lane=Lane(int(str(entity["Lane"]))),
        since=read_time(entity["AnswerSince"]),
        due_at=read_time(entity["DueAt"]),
        tries=int(str(entity["Tries"])),
        turn_at=read_time(entity["TurnAt"]) if "TurnAt" in entity else None,
        sent_at=read_time(entity["SentAt"]) if "SentAt" in entity else None,
        told=str(entity["Told"]) if "Told" in entity else None,
        etag=row.etag,
    )
