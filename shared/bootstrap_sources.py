"""The sources beside the mailbox, joined to their ports; imported only where one of them is switched on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .adapters.graph.alerts import GraphAlerts
from .adapters.graph.hunting import GraphHunting
from .adapters.graph.user_submissions import GraphUserSubmissions
from .domain.hunting import HuntingRules
from .domain.model import Category
from .ports import Ports, SourcePorts
from .settings import Settings
from .stores.already_at_microsoft import AlreadyAtMicrosoft
from .stores.ledger import Ledger
from .stores.looks import AskedFor
from .usecases.arrivals.destination import ReportDestination
from .usecases.arrivals.hunting import HuntingSource
from .usecases.arrivals.sources import ReportSource
from .usecases.arrivals.user_submissions import UserSubmissionSource

if TYPE_CHECKING:
    from .adapters.graph.transport import GraphTransport


def source_ports(transport: GraphTransport) -> SourcePorts:
    """The sources as Graph tells of them."""
    return SourcePorts(
        user_submissions=GraphUserSubmissions(transport),
        defender_alerts=GraphAlerts(transport),
        hunting=GraphHunting(transport),
    )


def sources(settings: Settings, ports: Ports, ledger: Ledger) -> Iterator[ReportSource]:
    """Those that the settings switch on, in the order in which they are looked at."""
    if ports.sources is not None:
        yield from _user_submissions(settings, ports, ports.sources, ledger)
        yield from _hunting(settings, ports, ports.sources)


def _user_submissions(
    settings: Settings, ports: Ports, told: SourcePorts, ledger: Ledger
) -> Iterator[UserSubmissionSource]:
    """Microsoft lists only what is at Microsoft; alerts also tell of reports that went to the mailbox alone."""
    destination = ReportDestination(settings.report_destination, ports.submissions)
    tellers = (
        ("user_submissions", settings.user_submissions, told.user_submissions, None),
        ("defender_alerts", settings.defender_alerts, told.defender_alerts, destination.reaches_microsoft),
    )
    for name, switch, told_by, counts in tellers:
        if switch == "on":
            yield UserSubmissionSource(
                name,
                told_by,
                counts=counts,
                ledger=ledger,
                at_microsoft=AlreadyAtMicrosoft(ports.tables["items"]),
                clock=ports.clock,
            )


def _hunting(settings: Settings, ports: Ports, told: SourcePorts) -> Iterator[HuntingSource]:
    if settings.hunting_query:
        rules = HuntingRules(
            settings.hunting_query, Category(settings.hunting_category), settings.reporting_mailboxes[0].address
        )
        yield HuntingSource(
            rules,
            hunting=told.hunting,
            requests=ports.queues["manual-submissions"],
            asked_for=AskedFor(ports.tables["runstate"], HuntingSource.name),
            clock=ports.clock,
        )
