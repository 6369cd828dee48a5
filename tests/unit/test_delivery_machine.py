"""Any order of arrivals, repeats, stops, faults and pauses: one effect for each claim, and every row ends.

A Hypothesis state machine drives the real use cases over storage in memory and a strict Microsoft behind the ports.
The process may end at any call; messages are delivered late, out of order, and again.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from local.memory_storage import MemoryBlobs, MemoryQueue, MemoryTable
from local.sample_tenant import PEOPLE
from shared.bootstrap import CONTAINERS, QUEUES, TABLES, App, build
from shared.codecs.rows import read_outcome
from shared.codecs.submission_message import read_message
from shared.domain.lifecycle import is_final
from shared.domain.model import Outcome, OutcomeKey, State
from shared.domain.planner import WINDOW
from shared.ports import Ports, ReportHead
from shared.settings import Settings
from shared.stores.replays import ReplayRequest, Replays
from shared.stores.worklist import KEPT
from tests.support.memory_graph import MemoryMail, MemorySubmissions, Misfortune
from tests.support.reports import original, url_request
from tests.support.stage import ProcessStoppedError, StageClock, Steps, settings_for, stepped

QUOTA = {"QUOTA_PER_15_MIN": "5", "QUOTA_RESERVED_FOR_PEOPLE": "1", "QUOTA_RESERVED_FOR_URGENT": "1"}
FOR_ANYONE = 4
SUBJECTS = {"phishing": "3|Your parcel", "spam": "1|Your parcel"}
MOST_DELIVERIES = 5
LOCK = timedelta(minutes=10)


class Delivery(RuleBasedStateMachine):
    """The whole product, and everything that may happen around it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = StageClock()
        self.graph = MemorySubmissions(self.clock)
        self.mail = MemoryMail(self.clock)
        self.tables = {name: MemoryTable() for name in TABLES}
        self.queues = {name: MemoryQueue(self.clock) for name in QUEUES}
        self.ports = Ports(
            tables=dict(self.tables),
            queues=dict(self.queues),
            containers={name: MemoryBlobs(self.clock) for name in CONTAINERS},
            mail=self.mail,
            submissions=self.graph,
            clock=self.clock,
        )
        self.settings = Settings.load({**settings_for("http://127.0.0.1:1", None), **QUOTA})
        self.app = build(self.settings, self.ports)
        self.replays = Replays(self.tables["runstate"], self.clock)
        self.requests: set[str] = set()
        self.asked: dict[OutcomeKey, list[str]] = {}

    # What arrives.

    @rule(name=st.sampled_from("ab"), category=st.sampled_from(sorted(SUBJECTS)), person=st.sampled_from(PEOPLE[:2]))
    def a_report_arrives(self, name: str, category: str, person: str) -> None:
        """Somebody reports a mail; others report the same one, some as something else."""
        head = ReportHead(f"report-{len(self.mail.heads)}", self.clock.now(), SUBJECTS[category], person)
        self.mail.deliver(head, original(name, recipient=PEOPLE[0]))

    @precondition(lambda self: self.mail.feed)
    @rule(number=st.integers(0, 10))
    def a_report_stands_in_the_feed_again(self, number: int) -> None:
        """It was read, moved or flagged: the change feed tells it once more."""
        self.mail.feed.append(self.mail.feed[number % len(self.mail.feed)])

    @rule(name=st.sampled_from("xyz"), priority=st.sampled_from(["urgent", "normal", "low"]))
    def a_request_arrives(self, name: str, priority: str) -> None:
        """An operator asks for a URL, perhaps for one that was asked for before."""
        body = json.dumps(url_request(name, priority=priority, requestId=f"case-{name}-{priority}"))
        self.requests.add(body)
        self.run(self.queues["manual-submissions"].send(body))

    @precondition(lambda self: self.ended())
    @rule(number=st.integers(0, 10), behind=st.integers(0, 1))
    def replay(self, number: int, behind: int) -> None:
        """An administrator asks for a row that failed or was rejected, perhaps as it was before."""
        ended = self.ended()
        key = ended[number % len(ended)]
        seen = self.asked.setdefault(key, ["never was"])
        version = self.version(key)
        if seen[-1] != version:
            seen.append(version)
        self.run(self.replays.ask([ReplayRequest(key, seen[-1 - behind], self.clock.now())]))

    # What runs.

    @rule()
    def collect(self) -> None:
        """The timer, and the dispatch after it."""
        self.run_app(lambda app: app.collect_reports.run())

    @rule()
    def dispatch(self) -> None:
        """The timer."""
        self.run_app(lambda app: app.dispatch.run())

    @rule()
    def settle(self) -> None:
        """The timer."""
        self.run_app(lambda app: app.settle_outcomes.run())

    @rule(number=st.integers(0, 10), again=st.booleans())
    def a_request_is_delivered(self, number: int, again: bool) -> None:
        """Any visible one; the host may fail to delete it, then it comes again."""
        self.deliver("manual-submissions", number, again=again)

    @rule(number=st.integers(0, 10), again=st.booleans())
    def a_submission_is_delivered(self, number: int, again: bool) -> None:
        """Any visible one; the host may fail to delete it, then it comes again."""
        self.deliver("submissions", number, again=again)

    @rule()
    def everything_is_delivered(self) -> None:
        """Both queues are worked off, and what runs after them."""
        self.deliver_all()

    @rule(minutes=st.sampled_from([0.5, 1.0, 2.0, 5.0, 7.0, 12.0, 16.0, 61.0]))
    def time_passes(self, minutes: float) -> None:
        """Nobody does anything meanwhile."""
        self.clock.advance(minutes=minutes)

    @rule(timer=st.sampled_from(["collect_reports", "dispatch", "settle_outcomes"]), seconds=st.integers(1, 59))
    def a_timer_runs_during_the_next_post(self, timer: str, seconds: int) -> None:
        """The answer takes its time, and somebody else looks at the row that waits for it."""

        async def meanwhile() -> None:
            self.clock.advance(seconds=seconds)
            await getattr(self.app, timer).run()

        self.graph.meanwhile = meanwhile

    # What goes wrong.

    @rule(steps=st.integers(0, 30), after_effect=st.booleans())
    def the_process_will_end(self, steps: int, after_effect: bool) -> None:
        """At some call to come, before or after its effect; the next one starts from storage alone."""
        self.app = build(self.settings, stepped(self.ports, Steps(stop_at=steps, after_effect=after_effect)))

    @rule(misfortunes=st.lists(st.sampled_from(Misfortune), min_size=1, max_size=3))
    def posts_will_fail(self, misfortunes: list[Misfortune]) -> None:
        """The next ones, each in its way."""
        self.graph.misfortunes = misfortunes

    @rule(minutes=st.sampled_from([3, 20]))
    def the_token_is_refused(self, minutes: int) -> None:
        """For a while."""
        self.graph.closed_until = self.clock.now() + timedelta(minutes=minutes)

    @rule(reads=st.integers(1, 3))
    def reports_will_not_open(self, reads: int) -> None:
        """The next reads of a report's content fail."""
        self.mail.silent = reads

    # What holds at every step.

    @invariant()
    def nothing_is_submitted_twice(self) -> None:
        """No claim about an item has two effects at Microsoft."""
        effects = Counter(effect.claim for effect in self.graph.effects)
        assert not effects or max(effects.values()) == 1, effects

    @invariant()
    def no_window_is_broken(self) -> None:
        """No 15 minutes hold more POSTs than there are for anyone."""
        arrivals = self.graph.arrivals
        for start in arrivals:
            assert sum(start <= at < start + WINDOW for at in arrivals) <= FOR_ANYONE

    @invariant()
    def no_item_comes_too_early(self) -> None:
        """Rows on one item keep 15 minutes between them, so that no POST is spent on a refusal."""
        assert self.graph.item_refusals == 0

    @invariant()
    def every_source_has_one_row(self) -> None:
        """A report or a request seen again is the same row."""
        outcomes = self.outcomes()
        reports = [one.report_message_id for one in outcomes if one.report_message_id]
        requests = [one.request_id for one in outcomes if one.request_id]
        assert len(set(reports)) == len(reports)
        assert len(set(requests)) == len(requests)
        assert len(reports) + len(requests) == len(outcomes)

    @invariant()
    def the_feed_is_a_chain(self) -> None:
        """Every event follows on the one before it; at most the last is still owed."""
        events = defaultdict(list)
        for row in sorted(self.tables["outcomelog"].rows(), key=lambda row: (row["PartitionKey"], row["RowKey"])):
            events[row["SubmissionId"]].append((row.get("PreviousState"), row["Event"]))
        for chain in events.values():
            assert [previous for previous, _ in chain] == [None, *(event for _, event in chain[:-1])], chain

    def teardown(self) -> None:
        """Once nothing goes wrong any more, every row becomes final, and each claim is at Microsoft or given up."""
        try:
            self.run_to_the_end()
        finally:
            self.loop.close()

    def run_to_the_end(self) -> None:
        """Everything works: run every function until all rows are final, then check what came of them."""
        self.app = build(self.settings, self.ports)
        self.graph.misfortunes, self.graph.closed_until, self.mail.silent = [], None, 0
        for _ in range(200):
            self.collect()
            self.deliver_all()
            self.settle()
            self.check_invariants_now()
            if self.is_at_the_end():
                break
            self.clock.advance(minutes=5)
        outcomes = self.outcomes()
        assert self.is_at_the_end(), [(one.state, one.state_reason) for one in outcomes]
        assert len(outcomes) == len(self.mail.heads) + len(self.requests)
        self.check_endings(outcomes)

    def check_endings(self, outcomes: list[Outcome]) -> None:
        """A settled row's submission is really there; nothing of the worklist is left but what can be replayed."""
        known = {effect.submission.submission_id for effect in self.graph.effects}
        assert {one.graph_submission_id for one in outcomes if one.state is State.SETTLED} <= known
        left = {str(row["RowKey"]) for row in self.tables["worklist"].rows() if str(row["RowKey"])[0] != "0"}
        assert left <= {f"9-{one.key.submission_id}" for one in outcomes if one.state in KEPT}
        assert not [row for row in self.tables["runstate"].rows() if row["PartitionKey"] == "replay"]
        events = {str(row["SubmissionId"]): row["Event"] for row in self.feed()}
        assert events == {one.key.submission_id: one.state.value for one in outcomes}

    def check_invariants_now(self) -> None:
        """Check between the runs of the end what is checked after every rule."""
        self.nothing_is_submitted_twice()
        self.no_window_is_broken()
        self.no_item_comes_too_early()
        self.the_feed_is_a_chain()

    # How it is done.

    def is_at_the_end(self) -> bool:
        """Tell whether every source has its row, all are final, and no message is left."""
        outcomes = self.outcomes()
        is_whole = len(outcomes) == len(self.mail.heads) + len(self.requests)
        return is_whole and all(is_final(one.state) for one in outcomes) and not self.queues["submissions"].messages

    def ended(self) -> list[OutcomeKey]:
        """Return the rows that could be asked for again."""
        return [one.key for one in self.outcomes() if one.state in KEPT]

    def version(self, key: OutcomeKey) -> str:
        """Return the version of a row as it stands."""
        row = self.loop.run_until_complete(self.tables["outcomes"].get(key.partition, key.submission_id))
        assert row is not None
        return row.etag

    def outcomes(self) -> list[Outcome]:
        """Return every row of the table `outcomes`."""
        return [read_outcome(row) for row in self.tables["outcomes"].rows()]

    def feed(self) -> list[dict[str, object]]:
        """Return the feed as a consumer reads it."""
        rows: list[dict[str, object]] = [dict(row) for row in self.tables["outcomelog"].rows()]
        return sorted(rows, key=lambda row: (str(row["PartitionKey"]), str(row["RowKey"])))

    def deliver_all(self) -> None:
        """Deliver every visible message, the dispatch in between."""
        while self.deliver("manual-submissions", 0, again=False):
            pass
        self.dispatch()
        while self.deliver("submissions", 0, again=False):
            pass

    def deliver(self, name: str, number: int, *, again: bool) -> bool:
        """Deliver one visible message, as the host does; tell whether there was one."""
        queue = self.queues[name]
        visible = [message for message in queue.messages if message.visible_at <= self.clock.now()]
        if not visible:
            return False
        message = visible[number % len(visible)]
        message.dequeue_count += 1
        message.visible_at = self.clock.now() + LOCK
        handlers = self.poison_handlers() if message.dequeue_count > MOST_DELIVERIES else self.handlers()
        if self.run_app(lambda app: handlers[name](app, message.body)) and not again:
            queue.delete(message)
        return True

    def handlers(self) -> dict[str, Callable[[App, str], Awaitable[object]]]:
        """Return what each queue's function does."""
        return {
            "manual-submissions": lambda app, body: app.intake_manual.run(body),
            "submissions": lambda app, body: app.submit.run(read_message(body)),
        }

    def poison_handlers(self) -> dict[str, Callable[[App, str], Awaitable[object]]]:
        """Return what each poison queue's function does."""
        return {
            "manual-submissions": lambda app, body: app.record_poison_manual.run(body),
            "submissions": lambda app, body: app.record_poison_submission.run(body),
        }

    def run_app(self, call: Callable[[App], Awaitable[object]]) -> bool:
        """Run a function of the app; tell whether the process lived through it, else begin another."""
        with suppress(ProcessStoppedError):
            self.run(call(self.app))
            return True
        self.app = build(self.settings, self.ports)
        return False

    def run(self, work: Awaitable[object]) -> None:
        """Run something to its end, and whatever it left running."""

        async def whole() -> None:
            try:
                await work
            finally:
                others = asyncio.all_tasks() - {asyncio.current_task()}
                await asyncio.gather(*others, return_exceptions=True)

        self.loop.run_until_complete(whole())


def test_a_finished_look_alike_is_not_adopted() -> None:
    """Two mails that Microsoft's list does not tell apart: the lost POST of one is not found in the other's."""
    machine = Delivery()
    machine.a_report_arrives(name="a", category="phishing", person=PEOPLE[0])
    machine.collect()
    machine.everything_is_delivered()
    machine.a_report_arrives(name="b", category="phishing", person=PEOPLE[0])
    machine.collect()
    machine.posts_will_fail([Misfortune.LOST_BEFORE_EFFECT])
    machine.everything_is_delivered()
    machine.time_passes(minutes=8)
    machine.settle()
    machine.time_passes(minutes=8)
    machine.settle()
    machine.teardown()
    assert len(machine.graph.effects) == 2


def test_a_rows_successor_keeps_the_items_time() -> None:
    """A claim is refused, another one about the same item goes, then the refused row's successor: 15 minutes later."""
    machine = Delivery()
    machine.a_report_arrives(name="a", category="spam", person=PEOPLE[0])
    machine.posts_will_fail([Misfortune.REFUSED])
    machine.collect()
    machine.everything_is_delivered()
    machine.a_report_arrives(name="a", category="phishing", person=PEOPLE[0])
    machine.collect()
    machine.everything_is_delivered()
    machine.a_report_arrives(name="a", category="spam", person=PEOPLE[0])
    machine.teardown()
    assert len(machine.graph.effects) == 2


def test_a_deferred_report_cut_off_at_any_call_is_not_forgotten() -> None:
    """Its row may be half admitted, and its mail silent again, when the folder's checkpoint has long moved on."""
    for steps in range(10, 30):
        machine = Delivery()
        machine.reports_will_not_open(reads=2)
        machine.a_report_arrives(name="a", category="phishing", person=PEOPLE[0])
        machine.a_report_arrives(name="b", category="phishing", person=PEOPLE[0])
        machine.collect()
        machine.the_process_will_end(steps=steps - 10, after_effect=True)
        machine.collect()
        machine.reports_will_not_open(reads=1)
        machine.time_passes(minutes=6)
        machine.collect()
        machine.teardown()


Delivery.TestCase.settings = settings(max_examples=45, stateful_step_count=40, deadline=None)
TestDelivery = Delivery.TestCase
