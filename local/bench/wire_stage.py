"""What a build meets on the wire: storage in memory and the Graph simulator, both in this process and both counted.

A build's own process is driven over the top of them. Its starting states are made once, by itself, from a row or two
of each kind (`starting_state`), and put under a process that has run every timer before: what it imports and connects
is in no figure.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from local.bench.builds import Build, DrivenApp, Took, driven
from local.bench.stand_ins import FROM_INSIDE, MARKUP, PLENTY, settings_of
from local.bench.starting_state import RowNames, aged
from local.bench.wire.counts import StorageCounts
from local.bench.wire.queues_and_blobs import QueuedMessage
from local.bench.wire.server import WireStorage
from local.bench.wire.state import StorageState
from local.graph_simulator import GraphSimulator, ItemAttachment, MailItem, SimulatedTenant, Submission, Verdict
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID

FIRST_NUMBER = 5_000_000_000
"""The number of the first mail: ten digits, so that no other text holds it by chance, nor those of its copies."""
UNDECIDED = Verdict("noThreatsFound", "goodReclassifiedAsGood", delay_s=30 * 86_400)
SIZE_BYTES = 20_000
MAILS_OF_A_SCENE = 2
_TIMERS = ("collect_reports", "dispatch", "settle_outcomes")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run took: of storage, of Graph, and of the app's process."""

    storage: StorageCounts
    graph_requests: tuple[str, ...]
    took: Took

    def graph_count(self, part: str = "") -> int:
        """How many requests to Graph had this in method and path."""
        return sum(part in one for one in self.graph_requests)


@dataclass(frozen=True, slots=True)
class Scene:
    """A starting state: what the account holds, and what Microsoft has."""

    state: StorageState
    submissions: tuple[Submission, ...] = ()

    def aged(self, by: timedelta) -> Scene:
        """The same, as if it had all happened earlier by that much."""
        older = (
            replace(one, created_at=one.created_at - by, settles_at=one.settles_at - by) for one in self.submissions
        )
        return Scene(aged(self.state, by), tuple(older))


@dataclass
class WireStage:
    """The running stand-ins and what they hold."""

    storage: WireStorage
    graph: GraphSimulator
    _delivered: dict[str, str] = field(default_factory=dict)

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """A build's whole environment: its settings, with these in place of the usual ones."""
        return {"PATH": os.environ["PATH"], **settings_of(self.storage.connection, self.graph.base_url), **settings}

    @asynccontextmanager
    async def app(self, build: Build, settings: Mapping[str, str] | None = None) -> AsyncIterator[DrivenApp]:
        """Yield a build's process over an empty account and an empty tenant, every timer run once."""
        self.clear()
        async with driven(build, self.environment(settings or {})) as app:
            for timer in _TIMERS:
                await app.run_timer(timer)
            yield app

    def clear(self) -> None:
        """Empty account, empty mailbox, nothing at Microsoft."""
        self.storage.state = StorageState()
        self.graph.control.reset()
        self.graph.control.set_quota_limits(PLENTY)
        self.graph.control.set_verdict("*", UNDECIDED)
        self.graph.control.add_mailbox(REPORTING_MAILBOX)
        self._delivered.clear()

    def deliver(self, number: int, original: bytes | None = None) -> None:
        """Put a report of a mail of that number into the mailbox; its original is one of its own if none is given."""
        item = report_of(number, original or original_of(number), datetime.now(UTC))
        self._delivered[str(number)] = self.graph.control.deliver(REPORTING_MAILBOX, item)

    def empty_mailbox(self) -> None:
        """Remove every report, as if somebody had tidied up."""
        for message_id in self._delivered.values():
            self.graph.control.remove(REPORTING_MAILBOX, message_id)
        self._delivered.clear()

    def scene(self) -> Scene:
        """How everything stands now."""
        return Scene(self.storage.state.copy(), self.graph.control.list_submissions())

    def set(self, scene: Scene) -> None:
        """Put a starting state in place of what is there; the reports that it comes from are gone from the mailbox."""
        for number in range(MAILS_OF_A_SCENE):  # a mailbox that has given their ids gives them to no other report
            self.deliver(number)
        self.empty_mailbox()
        self._hold(scene)

    def _hold(self, scene: Scene) -> None:
        self.storage.state = scene.state.copy()
        desk = self.graph.control.simulation.desk
        desk.clear()
        desk.verdicts.set_verdict("*", UNDECIDED)
        for submission in scene.submissions:
            desk.keep(submission)

    def change(self, change: Callable[[Scene], Scene]) -> None:
        """Let something happen to how everything stands."""
        self._hold(change(self.scene()))

    def age(self, by: timedelta) -> None:
        """Let time pass: everything in storage and at Microsoft happened earlier by that much."""
        self.change(lambda scene: scene.aged(by))

    async def submit_all(self, app: DrivenApp) -> Took | None:
        """Let the app handle every message of its queue; None where there was none."""
        queue = self.storage.state.queues["submissions"]
        now = datetime.now(UTC)
        taken = [one.body for one in queue.messages if one.visible_at <= now]
        queue.messages = [QueuedMessage(one.body, one.visible_at) for one in queue.messages if one.visible_at > now]
        return await app.run_messages("submit", taken) if taken else None

    async def spent(self, app: DrivenApp, timer: str) -> Spent:
        """Run a timer and tell what that took."""
        self.begin_counting()
        return self.counted(await app.run_timer(timer))

    def begin_counting(self) -> None:
        """Count from here on."""
        self.storage.take_counts()
        self.graph.control.clear_log()

    def counted(self, took: Took) -> Spent:
        """What was asked since `begin_counting`, beside what it took of the app's process."""
        asked = tuple(f"{one.method} {one.path}" for one in self.graph.control.read_log())
        return Spent(self.storage.take_counts(), asked, took)

    def states(self) -> dict[str, int]:
        """How many outcome rows are in each state."""
        found: dict[str, int] = {}
        for entity in self.storage.state.tables.get("outcomes", ()):
            state = str(entity.properties()["State"])
            found[state] = found.get(state, 0) + 1
        return found

    def names_of(self, number: int) -> RowNames:
        """The names of the row of the mail of that number."""
        sender = f"parcels{number}@"
        [outcome] = [one for one in self.storage.state.tables["outcomes"] if sender in one.text]
        return RowNames.of(outcome, str(number))


@asynccontextmanager
async def wire_stage() -> AsyncIterator[WireStage]:
    """Yield both stand-ins, serving on free ports."""
    async with AsyncExitStack() as resources:
        storage = await resources.enter_async_context(WireStorage())
        tenant = SimulatedTenant(TENANT_ID, DOMAINS)
        graph = await resources.enter_async_context(GraphSimulator(tenant))
        yield WireStage(storage, graph)


def report_of(number: int, original: bytes, now: datetime) -> MailItem:
    """A report of the built-in button."""
    sender, subject = f"parcels{number}@parcels.example", f"Your parcel {number} is waiting"
    return MailItem(
        from_address=f"reporter{number}@{DOMAINS[0]}",
        subject=f"3|{network_message_id(number)}|192.0.2.7|{sender}|({subject})",
        received_at=now - timedelta(minutes=30) + timedelta(milliseconds=number % 1_000_000),
        internet_message_id=f"<report-{number}@{DOMAINS[0]}>",
        headers=FROM_INSIDE,
        attachments=(ItemAttachment(subject, original),),
    )


def network_message_id(number: int) -> str:
    """A GUID that holds the number."""
    return f"{number % 10**8:08d}-0000-4000-8000-{number:012d}"


def original_of(number: int, words: str | None = None) -> bytes:
    """A mail of that number; with other words than any other one's, unless they are given."""
    told = words or f"Pay the customs fee for {_words(number)} today, or it goes back to the sender."
    headers = (
        f"Received: from mail.parcels.example (192.0.2.7) by mx.{DOMAINS[0]}; Mon, 23 Nov 2026 08:00:00 +0000\r\n"
        f"X-MS-Exchange-Organization-Network-Message-Id: {network_message_id(number)}\r\n"
        f"From: Parcels <parcels{number}@parcels.example>\r\nTo: reporter{number}@{DOMAINS[0]}\r\n"
        f"Subject: Your parcel {number} is waiting\r\nMessage-ID: <{number}@parcels.example>\r\n"
        "Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        f"<p>{told}</p>\r\n"
    ).encode()
    return (headers + MARKUP * (SIZE_BYTES // len(MARKUP) + 1))[:SIZE_BYTES]


def _words(number: int) -> str:
    """Thirty words of that number's own: no two originals are one campaign."""
    return " ".join(
        "".join(chr(ord("a") + int(digit)) for digit in f"{number * (place + 7919):014d}"[-8:]) for place in range(30)
    )
