"""Which lines there are, in which order, and what each of them needs.

The order is that of cause and effect: network, clock, identity, roles, then what they carry. `NAMES` is the whole
list; a line for a source is there only where the source is switched on, and there is one for each reporting mailbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..settings import Settings, SettingsError
from . import graph_checks, ground_checks, learning, storage_checks
from .examination import Check, Run
from .findings import Finding, Mark, Result, not_tried, ok
from .ground_checks import answers, clocks, identity
from .ports import Instruments, Store
from .storage_checks import PRIVATE_TABLES, WRITTEN_CONTAINERS, poisoning, releasing, writing

NAMES = (
    "settings",
    "graph",
    "storage",
    "clock",
    "identity",
    "graph_roles",
    "mailbox",
    "control_mailbox",
    "threat_submissions",
    "report_destination",
    "user_submissions",
    "defender_alerts",
    "hunting",
    "feedback_mailbox",
    "feedback_send",
    "feedback_others",
    "feedback_texts",
    "queues",
    "tables",
    "containers",
    "queue_poison",
    "queue_release",
    "table_write",
    "container_write",
    "learned_filter",
    "learned_created_by",
    "learned_limits",
)
_SETTINGS_REMEDY = "Correct each of them in the app's settings; docs/settings.md tells what each must be."
_NETWORK = "Look at DNS, firewall and proxy between this place and there; in Azure, at the app's network integration."
_QUEUE_ROLE = "Storage Queue Data Contributor"
_TABLE_ROLE = "Storage Table Data Contributor"
_BLOB_ROLE = "Storage Blob Data Reader"
_BLOB = "Storage Blob Data Contributor"
_IN_GRAPH = ("graph", "identity")
_IN_STORAGE = ("storage", "identity")


@dataclass(frozen=True, slots=True)
class Options:
    """What the examination was asked for: `write` also tries effects; the control mailbox must not be readable."""

    write: bool = False
    control_mailbox: str | None = None


def wrong_settings(error: SettingsError) -> list[Finding]:
    """The lines where the settings are wrong: one tells all of it, the others cannot be tried."""
    first = Finding("settings", _told_settings(), Mark.WRONG, "; ".join(error.problems), _SETTINGS_REMEDY)
    others = [Finding(name, "-", Mark.NOT_TRIED, "settings comes first") for name in NAMES[1:]]
    return [first, *others]


def checks(settings: Settings, options: Options, tools: Instruments) -> Iterator[Check]:
    """Every line, in order."""
    yield Check("settings", _told_settings(), _all_right)
    yield from _ground(settings, tools)
    yield from _graph(settings, options, tools)
    yield from _sources(settings, tools)
    yield from _feedback(settings, options, tools)
    yield from _storage(tools)
    yield from _effects(options, tools)
    yield from _learning(tools)


def _told_settings() -> str:
    return "the app's settings"


async def _all_right() -> Result:
    return ok("each that is needed is there and right")


def _ground(settings: Settings, tools: Instruments) -> Iterator[Check]:
    graph = (ground_checks.probe_url(settings),)
    services = tools.service_urls
    yield Check("graph", f"GET {graph[0]}", partial(answers, tools.web, graph, _NETWORK))
    yield Check("storage", "GET queue, table and blob service", partial(answers, tools.web, services, _NETWORK))
    tell_time = partial(clocks, tools.web, tools.clock, (*graph, *services))
    yield Check("clock", "our clock against theirs", tell_time, ("graph", "storage"))
    yield Check("identity", "who asks", partial(identity, tools.tokens, settings))


def _graph(settings: Settings, options: Options, tools: Instruments) -> Iterator[Check]:
    list_today = partial(graph_checks.threat_submissions, tools.graph, tools.clock)
    destination = partial(graph_checks.report_destination, tools.graph, settings)
    yield Check("graph_roles", "permissions", _roles(settings, tools), _IN_GRAPH)
    for box in settings.reporting_mailboxes:
        read = partial(graph_checks.reporting_mailbox, tools.mail, box)
        yield Check("mailbox", f"read {box.address}/{box.folder}", read, _IN_GRAPH)
    yield _control(options.control_mailbox, tools)
    yield Check("threat_submissions", "list today's mail submissions in Graph beta", list_today, _IN_GRAPH)
    yield Check("report_destination", "report policy", destination, ("threat_submissions",))


def _roles(settings: Settings, tools: Instruments) -> Run:
    if settings.is_local:
        return partial(graph_checks.roles_by_refusals, tools, settings)
    return partial(graph_checks.roles_in_token, tools.tokens, settings)


def _control(address: str | None, tools: Instruments) -> Check:
    if address is None:
        remedy = "Name one with --control-mailbox ADDRESS; any person's will do."
        return _left_out("control_mailbox", "read a mailbox that the app must not read", "none is named", remedy)
    return Check(
        "control_mailbox", f"read {address}", partial(graph_checks.control_mailbox, tools.mail, address), _IN_GRAPH
    )


def _left_out(name: str, tried: str, why: str, remedy: str = "") -> Check:
    async def run() -> Result:
        return not_tried(why, remedy)

    return Check(name, tried, run)


def _sources(settings: Settings, tools: Instruments) -> Iterator[Check]:
    """The sources that are switched on; docs/sources.md tells what each needs."""
    told, clock = tools.sources, tools.clock
    if settings.user_submissions == "on":
        run = partial(graph_checks.teller, told.user_submissions, clock)
        yield Check("user_submissions", "what users reported in the last hour", run, ("threat_submissions",))
    if settings.defender_alerts == "on":
        run = partial(graph_checks.teller, told.defender_alerts, clock)
        yield Check("defender_alerts", "alerts of the last hour", run, _IN_GRAPH)
    if settings.hunting_query:
        hunt = partial(graph_checks.hunting, told.hunting, settings.hunting_query)
        yield Check("hunting", "run HUNTING_QUERY", hunt, _IN_GRAPH)


def _feedback(settings: Settings, options: Options, tools: Instruments) -> Iterator[Check]:
    """Answers to reporters, where they are switched on."""
    if not settings.answers_reporters:
        return
    from . import feedback_checks  # noqa: PLC0415

    own = settings.feedback_mailbox
    others = [box.address for box in settings.reporting_mailboxes]
    others += [options.control_mailbox] if options.control_mailbox else []
    others = list(dict.fromkeys(one for one in others if one.lower() != own.lower()))
    look = partial(feedback_checks.mailbox, tools.mail, tools.clock, own)
    send = partial(feedback_checks.sending, tools.graph, own)
    refused = partial(feedback_checks.other_senders, tools.graph, others)
    read = partial(feedback_checks.texts, tools.texts, settings.feedback_language)
    yield Check("feedback_mailbox", f"read what {own} sent", look, _IN_GRAPH)
    yield Check("feedback_send", f"ask for the right to send from {own}", send, ("feedback_mailbox",))
    yield Check("feedback_others", f"the same for {', '.join(others) or 'nobody'}", refused, _IN_GRAPH)
    yield Check("feedback_texts", f"texts of answers in {settings.feedback_language}", read, _IN_STORAGE)


def _storage(tools: Instruments) -> Iterator[Check]:
    kinds = (
        ("queues", tools.queues, _QUEUE_ROLE),
        ("tables", tools.tables, _TABLE_ROLE),
        ("containers", tools.containers, _BLOB_ROLE),
    )
    for name, stores, role in kinds:
        yield Check(name, f"read {len(stores)} {name}", partial(storage_checks.reading, stores, role), _IN_STORAGE)


def _effects(options: Options, tools: Instruments) -> Iterator[Check]:
    """What leaves nothing behind; the pipelines' tables are not among it."""
    tables = [table for table in tools.tables if table.name in PRIVATE_TABLES]
    containers = [container for container in tools.containers if container.name in WRITTEN_CONTAINERS]
    move = "put and delete a message in each poison queue"
    release = "put, give back and delete a message in each queue"
    row = f"insert, merge, delete in {_names(tables)}"
    blob = f"write, delete in {_names(containers)}"
    each = (
        Check("queue_poison", move, partial(poisoning, tools.queues, _QUEUE_ROLE), ("queues",)),
        Check("queue_release", release, partial(releasing, tools.queues, _QUEUE_ROLE), ("queues",)),
        Check("table_write", row, partial(writing, tables, _TABLE_ROLE), ("tables",)),
        Check("container_write", blob, partial(writing, containers, _BLOB), ("containers",)),
    )
    for check in each:
        yield check if options.write else _left_out(check.name, check.tried, "only with --write")


def _names(stores: Sequence[Store]) -> str:
    return ", ".join(store.name for store in stores)


def _learning(tools: Instruments) -> Iterator[Check]:
    needs = ("threat_submissions",)
    yield Check("learned_filter", "the list's $filter", partial(learning.filters, tools.web, tools.clock), needs)
    yield Check("learned_created_by", "shape of createdBy", partial(learning.creators, tools.web), needs)
    yield Check("learned_limits", "limits told in headers", partial(learning.limits, tools.web), needs)
