"""The turns of answers: what may do harm first, then by age, no more than Exchange admits; and what poison leaves."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from local.memory_storage import MemoryQueue, MemoryTable
from shared.domain.answers import MOST_A_DAY, ONE_EVERY, AnswerRules, Lane, Stage, lane_of
from shared.domain.model import Outcome, Priority, Source, State, Verdict
from shared.domain.tenant import Tenant
from shared.ports import Insert
from shared.stores.answers import AnswerPlaces, AnswerStore
from shared.stores.ledger import Ledger
from shared.usecases.answering.pacing import PaceAnswers
from shared.usecases.answering.poison import TURNS_AT_MOST, RecordPoisonNotification
from shared.usecases.answering.recording import Recorder
from tests.support.ledgers import new_ledger
from tests.support.memory_graph import MemoryAnswers
from tests.support.outcomes import make_outcome, submission_id
from tests.support.stage import START, StageClock

RULES = AnswerRules(Tenant("", frozenset({"contoso.example"})), "answers@contoso.example", tells_receipt=True)


def settled(number: int, at: datetime, **facts: object) -> Outcome:
    """Return a settled report of one of the tenant's people."""
    outcome = make_outcome()
    known = {
        "key": replace(outcome.key, submission_id=submission_id(number)),
        "source": Source.MAILBOX,
        "state": State.SETTLED,
        "reporter": "bob@contoso.example",
        "priority": Priority.NORMAL,
        "verdict": Verdict.SPAM,
        "changed_at": at,
    }
    return replace(outcome, **(known | facts))  # type: ignore[arg-type] # fields by name


class SilentQueue(MemoryQueue):
    """A queue whose service is away."""

    async def send(self, body: str, delay_s: int = 0) -> None:
        """Fail."""
        raise OSError(f"{len(body)} characters cannot be sent in {delay_s} s")


class Desk:
    """A table, a queue and the timer's run on them."""

    def __init__(self) -> None:
        self.clock = StageClock()
        self.table, self.queue = MemoryTable(), MemoryQueue(self.clock)
        self.poison_queue = MemoryQueue(self.clock)
        self.answers = AnswerStore(self.table, self.clock)
        self.ledger: Ledger = new_ledger(self.clock)
        self.recorder = Recorder(self.ledger, self.answers, self.clock)
        self.poison = RecordPoisonNotification(self.answers, self.recorder, self.poison_queue, self.clock)

    def pacer(self) -> PaceAnswers:
        """Return the timer's run in a process of its own."""
        mails = MemoryAnswers(self.clock)
        store = AnswerStore(self.table, self.clock)
        return PaceAnswers(answers=store, recorder=self.recorder, mails=mails, queue=self.queue, clock=self.clock)

    async def owe(self, *outcomes: Outcome) -> None:
        """Put these rows' answers in their places."""
        for outcome in outcomes:
            await self.table.write_all(AnswerPlaces(RULES).due(outcome))

    def given(self) -> list[str]:
        """Return the rows that got their turns, in the order of these."""
        messages = sorted((json.loads(one.body) for one in self.queue.messages), key=lambda body: body["turn"])
        return [body["submissionId"] for body in messages]


async def test_what_may_do_harm_goes_first_then_by_age() -> None:
    """Malicious or urgent before other verdicts, these before receipts, and each lane longest due first."""
    desk = Desk()
    ages = [settled(number, START - timedelta(hours=number)) for number in range(5)]
    malicious = [settled(10 + n, START - timedelta(minutes=n), verdict=Verdict.MALICIOUS) for n in range(3)]
    receipt = settled(20, START, state=State.PENDING, verdict=None, collected_at=START - timedelta(days=1))
    await desk.owe(receipt, *ages, *malicious)
    assert await desk.pacer().run() == 9
    wanted = [*reversed(malicious), *reversed(ages), receipt]
    assert desk.given() == [one.key.submission_id for one in wanted]
    assert lane_of(settled(1, START, priority=Priority.URGENT), Stage.VERDICT) is Lane.URGENT


async def test_a_storm_drains_at_the_pace_in_order_and_none_gets_two_turns() -> None:
    """Two timers run side by side, minute after minute: every turn is a step behind the one before."""
    desk = Desk()
    storm = [settled(number, START - timedelta(seconds=1_000 - number)) for number in range(300)]
    await desk.owe(*storm)
    for _ in range(14):
        await asyncio.gather(desk.pacer().run(), desk.pacer().run())
        desk.clock.advance(seconds=60)
    assert desk.given() == [one.key.submission_id for one in storm]
    turns = sorted(int(json.loads(one.body)["turn"]) for one in desk.queue.messages)
    least_ms = ONE_EVERY / timedelta(milliseconds=1)
    assert min(later - earlier for earlier, later in pairwise(turns)) >= least_ms - 1


async def test_a_day_has_its_end() -> None:
    """What the day admits is spent, and the next answer waits until a day has passed."""
    desk = Desk()
    minute = int(START.timestamp()) // 60
    spent = json.dumps({str(minute): MOST_A_DAY - 1})
    await desk.table.write(Insert({"PartitionKey": "live", "RowKey": "8-answers", "NextAt": START, "Minutes": spent}))
    await desk.owe(*(settled(number, START) for number in range(3)))
    assert await desk.pacer().run() == 1
    desk.clock.advance(hours=23)
    assert await desk.pacer().run() == 0
    desk.clock.advance(hours=2)
    assert await desk.pacer().run() >= 2


@pytest.mark.expects_error_log
async def test_a_run_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    """A storage that fails is told, and dispatch does not hear of it."""
    desk = Desk()
    await desk.owe(settled(1, START))

    desk.queue = SilentQueue(desk.clock)
    assert await desk.pacer().run() == 0
    assert [line.split()[0] for line in caplog.messages] == ["event=notifications_failed"]


async def test_poison_costs_turns_and_at_last_the_row_says_so() -> None:
    """Each time it waits longer; a message of another turn, or none of ours, changes nothing."""
    desk = Desk()
    await desk.owe(settled(1, START))
    for _ in range(TURNS_AT_MOST):
        assert await desk.pacer().run() == 1
        (message,) = desk.queue.messages
        desk.queue.delete(message)
        await desk.poison.run(message.body)
        await desk.poison.run(message.body)
        desk.clock.advance(hours=2)
    await desk.poison.run("{}")
    await desk.poison.run("no json")
    assert await desk.pacer().run() == 0
    assert [row["RowKey"] for row in desk.table.rows()] == ["8-answers"]
    assert desk.poison_queue.messages == []


def test_who_is_told() -> None:
    """Only a report of one of the tenant's people, who is not a mailbox of the app's own."""
    told = settled(1, START)
    assert RULES.due(told) is Stage.VERDICT
    others = Counter(
        RULES.due(replace(told, **{name: value}))  # type: ignore[arg-type] # fields by name
        for name, value in [
            ("source", Source.MANUAL),
            ("source", Source.MICROSOFT),
            ("reporter", None),
            ("reporter", "bob@elsewhere.test"),
            ("reporter", "bob@contoso.example.evil.test"),
            ("reporter", "Bob <bob@contoso.example>"),
            ("reporter", "answers@contoso.example"),
            ("reporter_told", "verdict"),
            ("verdict", Verdict.SIMULATION),
            ("state", State.EXPIRED),
            ("state", State.FAILED),
        ]
    )
    assert others == {None: 11}
