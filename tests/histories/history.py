"""One random history: what arrives, what goes wrong, and how it ends when nothing goes wrong any more.

Everything is drawn from the seed, so that a seed replays its history. A history has a temper: which troubles it has,
and how many. It ends with hours and days without trouble, in which every row has to become final.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from local.memory_storage import MemoryBlobs, MemoryTable
from shared.bootstrap import CONTAINERS, FEEDBACK_CONTAINERS, FEEDBACK_QUEUES, QUEUES, TABLES
from shared.domain.model import OutcomeKey
from shared.ports import Entity, Ports, ReportHead, SourcePorts
from shared.settings import Settings
from shared.stores.replays import ReplayRequest, Replays
from tests.histories.character import Character, Focus, answers, character, drawn
from tests.histories.host import Failure, Habits, Host, HostQueue
from tests.histories.items import OPERATORS, PEOPLE, Document, Item, Link, Mail
from tests.histories.microsoft import Alerts, Delivered, Hour, Mailboxes, Microsoft
from tests.histories.outbox import Outbox
from tests.histories.virtual_time import VirtualTimeLoop, run
from tests.histories.witness import WitnessedLog, WitnessedOutcomes
from tests.histories.workers import Pace, Weather, Worker
from tests.support.stage import settings_for

FINAL = frozenset({"settled", "skipped", "rejected", "failed", "expired"})
REPLAYABLE = ("failed", "rejected")
LEAST_ROUNDS = 7
"""Of five minutes each: by then every source has been looked at."""


@dataclass
class Expected:
    """What must have come of all that was put in."""

    reports: dict[tuple[str, str], Mail | None] = field(default_factory=dict)
    """Mailbox and message id to the mail that was reported."""
    moved_in: set[tuple[str, str]] = field(default_factory=set)
    """Those that the change feed does not tell of."""
    requests: dict[str, Item] = field(default_factory=dict)
    """`requestId` to the item that was asked for."""
    nameless: dict[str, Item] = field(default_factory=dict)
    """Requests without a `requestId`: canonical content to the item."""
    conflicts: set[str] = field(default_factory=set)
    """Contents under a `requestId` that stood for another."""
    unreadable: set[str] = field(default_factory=set)
    """Bodies that break a rule."""
    user_submissions: dict[str, Mail] = field(default_factory=dict)


_FOCUSED = {
    Focus.TWINS: ("_twins", "_a_report"),
    Focus.LOST: ("_a_report", "_a_request"),
    Focus.REQUESTS: ("_a_request", "_a_request_again", "_a_replay"),
}


class History:
    """One history and all that is in it."""

    def __init__(self, seed: int, *, tells: bool = False, given: Character | None = None) -> None:
        self.seed = seed
        self.loop = VirtualTimeLoop()
        self.character = given or character(drawn(seed, "character"))
        self.chance = drawn(seed, "arrivals")
        self.expected = Expected()
        self.items: dict[str, Item] = {}
        self._draw_arrivals()
        self._make_items()
        self.microsoft = Microsoft(self.loop, drawn(seed, "microsoft"), self.character.temper, self.items)
        self.mailboxes = Mailboxes(self.microsoft)
        self.outcomes = WitnessedOutcomes(self.loop)
        self.log = WitnessedLog()
        self.tables: dict[str, MemoryTable] = {name: MemoryTable() for name in TABLES}
        self.tables |= {"outcomes": self.outcomes, "outcomelog": self.log}
        self.queues = {name: HostQueue(name, self.loop) for name in (*QUEUES, *FEEDBACK_QUEUES)}
        containers = (*CONTAINERS, *FEEDBACK_CONTAINERS)
        self.containers = {name: MemoryBlobs(_TrueClock(self.loop)) for name in containers}
        self.outbox = Outbox(self.loop, drawn(seed, "outbox"))
        self.pace = Pace(self.loop, drawn(seed, "pace"), self.character.weather, tells=tells)
        answering = {} if given else answers(drawn(seed, "answers"))
        known = settings_for("http://127.0.0.1:1", None) | self.character.settings | answering
        self.settings = Settings.load(known)
        self.host = Host(
            self.loop,
            self._workers(),
            self.queues,
            self.pace,
            drawn(seed, "host"),
            self.character.habits,
        )
        self._put_mails_into_mailboxes()
        self.rounds = 0
        self.quiet_since_s: float | None = None
        self.failures_in_quiet: list[Failure] = []

    # How it is made.

    def _draw_arrivals(self) -> None:
        """What arrives, and how often: a history has much of some kinds and nothing of others."""
        kinds: list[tuple[float, Callable[[], None]]] = [
            (5.0, self._a_report),
            (1.5, self._twins),
            (0.7, self._a_report_moves_in),
            (0.7, self._the_feed_repeats),
            (2.5, self._a_request),
            (0.7, self._a_request_again),
            (0.3, self._a_conflict),
            (0.3, self._nonsense),
            (0.5, self._a_dispute),
            (0.15, self._a_report_that_breaks_its_reader),
            (0.8, self._a_user_submits),
            (0.6, self._hunting_finds),
            (1.5, self._a_replay),
        ]
        self._kinds = [what for _, what in kinds]
        self._weights = [weight * self.chance.choice((0.0, 1.0, 1.0, 3.0)) for weight, _ in kinds]
        if not any(self._weights):
            self._weights = [weight for weight, _ in kinds]
        if self.character.focus in _FOCUSED:
            self._kinds = [getattr(self, name) for name in _FOCUSED[self.character.focus]]
            self._weights = [1.0 for _ in self._kinds]

    def _make_items(self) -> None:
        chance, known = self.chance, self.character
        mails = [
            Mail(f"m{number}", number, chance.choice(PEOPLE[:3]), "customs" if known.is_campaign else None)
            for number in range(known.mails + (3 if known.is_campaign else 0))
        ]
        start = len(mails)
        links = [Link(f"u{number}", start + number) for number in range(2)]
        files = [Document(f"f{number}", start + 2 + number) for number in range(2)]
        self.mails, self.links, self.files = mails, links, files
        self.items = {one.key: one for one in (*mails, *links, *files)}

    def _put_mails_into_mailboxes(self) -> None:
        for mail in self.mails:
            self.microsoft.mails[f"{mail.recipient}/id-{mail.name}"] = mail
        if self.character.unreadable_mailbox:
            self.mailboxes.unreadable = frozenset({PEOPLE[0]})
        for mail in self.mails:
            self.containers["submission-content"].blobs[f"{mail.name}.eml"] = mail.content
        for document in self.files:
            self.containers["submission-content"].blobs[document.file_name] = document.content

    def _workers(self) -> list[Worker]:
        ports = Ports(
            tables=dict(self.tables),
            queues=dict(self.queues),
            containers=dict(self.containers),
            mail=self.mailboxes,
            submissions=self.microsoft,
            clock=_NoClock(),
            sources=SourcePorts(
                user_submissions=self.microsoft, defender_alerts=Alerts(self.microsoft), hunting=self.microsoft
            ),
            answers=self.outbox,
        )
        skews = [timedelta(seconds=skew) for skew in self.character.skews_s]
        return [Worker(f"w{number}", self.settings, ports, self.pace, skew) for number, skew in enumerate(skews)]

    # What happens.

    def live(self) -> None:
        """Run it to its end."""
        run(self.play(), self.loop)

    async def play(self) -> None:
        """Everything that happens, in its order."""
        troubles = [asyncio.ensure_future(one) for one in self._troubles()]
        for stretch in range(self.character.days + 1):
            if stretch:
                await self._pass_days()
            await self._busy_stretch()
        for one in troubles:
            one.cancel()
        await self.become_quiet()

    async def _busy_stretch(self) -> None:
        """Things arrive while the timers run, at their true pace."""
        arrivals = asyncio.ensure_future(self._arrivals())
        while not arrivals.done():
            await self.host.run_timers(300.0)
        await arrivals
        await self.host.run_timers(self.chance.choice((300.0, 1_200.0)))

    async def _arrivals(self) -> None:
        if (
            self.character.focus is Focus.TWINS or self.chance.random() < 0.3
        ):  # the folder is listed every hour, while things are under way
            await asyncio.sleep(self.chance.uniform(3_300.0, 3_600.0))
        for _ in range(self.character.arrivals):
            await asyncio.sleep(self.chance.uniform(*self.character.gap_s[:2]))
            self._something_arrives()

    async def _pass_days(self) -> None:
        """Half a day to three, in which the app runs now and then."""
        end_s = self.loop.time() + self.chance.choice((13.0, 23.9, 24.5, 30.0, 75.0)) * 3_600.0
        while self.loop.time() < end_s:
            await self.host.run_all_once()
            await asyncio.sleep(self.chance.choice((600.0, 3_600.0, 6 * 3_600.0)))

    def _troubles(self) -> list[Any]:
        """What goes wrong at moments of its own."""
        ends = [self._end_a_process() for _ in range(self.character.ends)]
        freezes = [self._freeze_a_worker() for _ in range(self.character.freezes)]
        hours = [self._a_bad_hour() for _ in range(self.character.hours)]
        tables = [self._tables_go_down() for _ in range(self.character.tables_down)]
        return [*ends, *freezes, *hours, *tables]

    async def _end_a_process(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, 5_400.0))
        self.chance.choice(self.host.workers).end()

    async def _freeze_a_worker(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, 5_400.0))
        self.chance.choice(self.host.workers).process.freeze(self.chance.uniform(30.0, 540.0))

    async def _tables_go_down(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, 5_400.0))
        self.pace.tell("TABLES DOWN")
        self.pace.tables_down_until_s = self.loop.time() + self.chance.uniform(60.0, 600.0)

    async def _a_bad_hour(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, 5_400.0))
        span = timedelta(seconds=self.chance.choice((120.0, 900.0, 4_500.0)))
        now = self.loop.now()
        self.microsoft.hours.append((now, now + span, self.chance.choice(list(Hour))))

    def _something_arrives(self) -> None:
        (what,) = self.chance.choices(self._kinds, self._weights)
        what()

    def _a_report(self, *, is_told: bool = True, mail: Mail | None = None, category: str | None = None) -> None:
        """Somebody reports a mail; now and then one report has no original."""
        chance = self.chance
        mail = mail or chance.choice(self.mails)
        mailbox = chance.choice(self.settings.reporting_mailboxes).address
        reported = None if chance.random() < 0.04 else mail
        prefix = category or chance.choice(("3|", "3|", "3|", "1|", "2|"))
        built_in = f"{prefix}{mail.network_id}|203.0.113.9|{mail.sender}|({mail.subject})"
        subject = built_in if chance.random() < 0.5 else f"{prefix}{mail.subject}"
        now = self.loop.now()
        # A report of the last thirty days: most are new, some waited while the app was down.
        received_at = now - timedelta(seconds=chance.choice((1.0, 60.0, 60.0, 2 * 3_600.0, 26 * 3_600.0)))
        if self.character.focus is Focus.LOST:
            received_at = now - timedelta(hours=2)
        if not is_told:
            received_at = now - timedelta(seconds=chance.choice((60.0, 3_600.0)))
        reporter = mail.recipient if chance.random() < 0.7 else chance.choice(PEOPLE)
        head = ReportHead(f"report-{len(self.expected.reports)}", received_at, subject, reporter)
        readable_at = now + timedelta(seconds=400.0 if chance.random() < 0.04 else 0.0)
        self.mailboxes.deliver(mailbox, Delivered(head, reported, readable_at), is_told=is_told)
        self.expected.reports[mailbox, head.message_id] = reported
        if not is_told:
            self.expected.moved_in.add((mailbox, head.message_id))
        self.pace.tell(f"ARRIVES {head.message_id} {subject[:2]} {mail.name} told={is_told}")

    def _a_report_that_breaks_its_reader(self) -> None:
        """A mistake of the product's own, or an answer of Graph that nobody foresaw: it is that report's alone."""
        self._a_report()
        mailbox, message_id = list(self.expected.reports)[-1]
        self.mailboxes.broken.add((mailbox, message_id))

    def _twins(self) -> None:
        """The same mail is reported twice, with the same claim."""
        mail = self.chance.choice(self.mails)
        for _ in range(2):
            self._a_report(mail=mail, category="3|")

    def _a_report_moves_in(self) -> None:
        """A mail that the change feed does not tell of: only a list of the folder finds it."""
        self._a_report(is_told=False)

    def _the_feed_repeats(self) -> None:
        """A report was read or flagged: the change feed tells of it once more."""
        for mailbox in sorted(self.mailboxes.feeds):
            feed = self.mailboxes.feeds[mailbox]
            feed.append(self.chance.choice(feed))

    def _a_request(self) -> None:
        chance = self.chance
        request_id = None if chance.random() < 0.15 else f"case-{len(self.expected.requests)}-{chance.randint(0, 9)}"
        item = chance.choice([*self.mails, *self.links, *self.links, *self.files])
        request = self._request_about(item)
        if request_id is not None:
            request["requestId"] = request_id
        self.send(request, item)

    def _request_about(self, item: Item) -> dict[str, Any]:
        chance = self.chance
        request: dict[str, Any] = {
            "schemaVersion": 1,
            "category": chance.choice(("phishing", "phishing", "malware", "notJunk")),
            "requestedBy": chance.choice(OPERATORS),
            "priority": chance.choice(("urgent", "urgent", "normal", "low")),
        }
        if isinstance(item, Link):
            return {**request, "kind": "url", "url": item.url}
        if isinstance(item, Document):
            return {**request, "kind": "file", "file": {"name": item.file_name, "content": item.file_name}}
        assert isinstance(item, Mail)
        message = chance.choice(
            (
                {"content": f"{item.name}.eml"},
                {"mailbox": item.recipient, "messageId": f"id-{item.name}"},
                {"mailbox": item.recipient, "internetMessageId": item.internet_id},
            )
        )
        request |= {"kind": "email", "recipient": item.recipient, "message": message}
        if chance.random() < 0.4:
            action = "allow" if request["category"] == "notJunk" else "block"
            expires_at = (self.loop.now() + timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
            request["allowOrBlock"] = {"action": action, "expiresAt": expires_at}
        return request

    def send(self, request: dict[str, Any], item: Item) -> None:
        """Put a request about an item on the operators' queue."""
        body = json.dumps(request)
        request_id = request.get("requestId")
        if request_id is None:
            self.expected.nameless[json.dumps(request, sort_keys=True)] = item
        else:
            self.expected.requests[request_id] = item
        self.queues["manual-submissions"].put(body)
        self.pace.tell(f"ARRIVES request {request_id} {request['category']} {item.name}")

    def _a_dispute(self) -> None:
        """An operator disputes a verdict: the item is asked for anew."""
        settled = [row for row in self.outcomes.rows() if row["State"] == "settled"]
        names = {item.key: item for item in self.links}
        known = sorted((str(row["RowKey"]), names[str(row.get("Url"))]) for row in settled if row.get("Url") in names)
        if known:
            submission_id, item = self.chance.choice(known)
            request = {**self._request_about(item), "disputes": submission_id}
            request["requestId"] = f"dispute-{len(self.expected.requests)}"
            self.send(request, item)

    def _a_request_again(self) -> None:
        """The operator's script sends the same message once more."""
        queue = self.queues["manual-submissions"]
        if queue.messages:
            queue.put(self.chance.choice(queue.messages).body)

    def _a_conflict(self) -> None:
        """A `requestId` is used for something else."""
        known = sorted(one for one in self.expected.requests if one.startswith("case-"))
        if not known:
            return
        request_id = self.chance.choice(known)
        request = {**self._request_about(self.chance.choice(self.links)), "requestId": request_id, "reason": "other"}
        request["reason"] = f"other {len(self.expected.conflicts)}"
        self.expected.conflicts.add(json.dumps(request, sort_keys=True))
        self.queues["manual-submissions"].put(json.dumps(request), 1_200.0)

    def _nonsense(self) -> None:
        """A message that breaks a rule."""
        body = self.chance.choice(('{"schemaVersion": 1}', "no json", '{"schemaVersion": 7, "kind": "url"}'))
        self.expected.unreadable.add(body)
        self.queues["manual-submissions"].put(body)

    def _a_user_submits(self) -> None:
        """A person reports to Microsoft itself; the list tells of it, or an alert, a while later."""
        mail = self.chance.choice(self.mails)
        category = self.chance.choice(("phishing", "phishing", "notJunk"))
        listed_s, alerted_s = (self.chance.choice((5.0, 300.0, 1_200.0)) for _ in range(2))
        told = self.microsoft.a_user_submits(mail, category, listed_s, alerted_s)
        self.expected.user_submissions[told.submission_id] = mail
        self.pace.tell(f"ARRIVES user submission {told.submission_id} {category} {mail.name}")

    def _hunting_finds(self) -> None:
        """The operator's query finds a URL or a mail."""
        if self.chance.random() < 0.5:
            self.microsoft.hunted.append({"Url": self.chance.choice(self.links).url})
            return
        mail = self.chance.choice(self.mails)
        self.microsoft.hunted.append(
            {
                "InternetMessageId": mail.internet_id,
                "RecipientEmailAddress": mail.recipient,
                "NetworkMessageId": mail.network_id,
            }
        )

    def _a_replay(self) -> None:
        """An administrator asks for every row that failed or was rejected, perhaps as one was a while ago."""
        found = [row for row in self.outcomes.rows() if row["State"] in REPLAYABLE]
        if found:
            asyncio.ensure_future(self._ask_again(sorted(found, key=lambda row: str(row["RowKey"]))))  # noqa: RUF006

    async def _ask_again(self, found: list[Entity]) -> None:
        replays = Replays(self.tables["runstate"], _TrueClock(self.loop))
        requests = []
        for row in found:
            stored = await self.outcomes.get(str(row["PartitionKey"]), str(row["RowKey"]))
            assert stored is not None
            key = OutcomeKey(str(row["PartitionKey"]), str(row["RowKey"]))
            requests.append(ReplayRequest(key, stored.etag, self.loop.now()))
        await replays.ask(requests)
        self.pace.tell(f"ARRIVES replay of {len(requests)} rows")

    # How it ends.

    async def become_quiet(self) -> None:
        """No trouble any more: everything has to become final, then the windows and slots of a day pass."""
        self.pace.tell("QUIET")
        self.pace.weather = Weather(is_slow=0.0)
        self.host.habits = Habits(0.0, 0.0, 0.0, 0.0)
        self.microsoft.temper.fates = {}
        self.microsoft.temper.list_fails = self.microsoft.temper.mail_fails = 0.0
        self.microsoft.hours.clear()
        self.outbox.become_quiet()
        self.pace.tables_down_until_s = 0.0
        self.quiet_since_s = self.loop.time()
        for number in range(200):
            await self.host.run_all_once()
            self.rounds = number
            if number >= LEAST_ROUNDS and self.is_settled():
                break
            await asyncio.sleep(300.0 if number < 40 else 3_600.0)
        for hours in (2.0, 25.0):
            await asyncio.sleep(hours * 3_600.0)
            await self.host.run_all_once()
        self.failures_in_quiet = [one for one in self.host.failures if one.began_s >= self.quiet_since_s]

    def is_settled(self) -> bool:
        """Whether all that arrived has a final row, and nothing is on a queue."""
        rows = self.outcomes.rows()
        if any(queue.messages for queue in self.queues.values()) or not self.host.is_idle:
            return False
        told = {(row.get("Mailbox"), row.get("ReportMessageId")) for row in rows}
        if not all(place in told for place in self.expected.reports):
            return False
        if not self._wanted_user_submissions() <= {row.get("GraphSubmissionId") for row in rows}:
            return False
        return all(row["State"] in FINAL for row in rows) and not self.answers_left()

    def answers_left(self) -> list[str]:
        """What still stands in the places of answers."""
        keys = (str(row["RowKey"]) for row in self.tables["worklist"].rows())
        return [key for key in keys if key[0] in "67"]

    def _wanted_user_submissions(self) -> set[str]:
        """Those that a source tells of which is switched on."""
        return set(self.expected.user_submissions) if self.tells_of_user_submissions else set()

    @property
    def tells_of_user_submissions(self) -> bool:
        """Whether a source is switched on that tells of every user submission."""
        settings = self.settings
        by_alert = settings.defender_alerts == "on" and self.microsoft.temper.reports_reach_microsoft
        return settings.user_submissions == "on" or by_alert

    def digest(self) -> str:
        """What a history came to, to see that a seed replays it."""
        rows = sorted(json.dumps(row, default=str, sort_keys=True) for row in self.outcomes.rows())
        log = sorted(json.dumps(row, default=str, sort_keys=True) for row in self.log.rows())
        return hashlib.sha256("\n".join((*rows, *log)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _TrueClock:
    """The clock of who stands outside."""

    loop: VirtualTimeLoop

    def now(self) -> Any:
        return self.loop.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _NoClock:
    """Each worker has its own."""

    def now(self) -> Any:
        raise AssertionError("a worker without a clock of its own")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)
