"""A local tenant with everything that a deployed one has, and the doctor sent to it, in this process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from local.graph_simulator import GraphSimulator, MailItem, SimulatedTenant
from local.sample_tenant import CONTROL_MAILBOX, DOMAINS, REPORTING_MAILBOX, TENANT_ID
from shared.bootstrap import ServiceClients, connect, open_storage
from shared.doctor.examination import examine
from shared.doctor.findings import FAILING, Finding, Mark
from shared.doctor.instruments import open_instruments
from shared.doctor.plan import Options, checks
from shared.doctor.ports import Instruments
from shared.settings import Settings
from tests.support.stage import START, settings_for

SUBJECT = "Quarterly figures, confidential"


@dataclass(frozen=True, slots=True)
class Clinic:
    """The tenant; `clients` look at its storage past whatever stands before it."""

    graph: GraphSimulator
    connection: str
    clients: ServiceClients
    environment: dict[str, str]

    async def examine(
        self,
        settings: Mapping[str, str] = {},
        *,
        write: bool = True,
        control_mailbox: str | None = CONTROL_MAILBOX,
        change: Callable[[Instruments], Instruments] = lambda tools: tools,
    ) -> list[Finding]:
        """Return the doctor's lines under these settings; `change` replaces some of its instruments."""
        parsed = Settings.load({**self.environment, **settings})
        async with AsyncExitStack() as resources:
            tools = change(await open_instruments(parsed, resources))
            return [one async for one in examine(checks(parsed, Options(write, control_mailbox), tools))]


@asynccontextmanager
async def clinic(connection: str) -> AsyncIterator[Clinic]:
    """Yield a healthy tenant: one report waits, and there is a mailbox that the app may not read."""
    tenant = SimulatedTenant(TENANT_ID, DOMAINS)
    tenant.add_mailbox(REPORTING_MAILBOX)
    tenant.add_mailbox(CONTROL_MAILBOX, app_may_read=False)
    report = MailItem(
        from_address="ann@contoso.example", subject=SUBJECT, received_at=START, internet_message_id="<1@x.example>"
    )
    tenant.deliver(REPORTING_MAILBOX, report)
    async with GraphSimulator(tenant) as graph, AsyncExitStack() as resources:
        environment = settings_for(graph.base_url, connection)
        settings = Settings.load(environment)
        await connect(settings, resources)
        clients = await open_storage(settings.submissions_storage, None, resources)
        yield Clinic(graph, connection, clients, environment)


def failing(findings: list[Finding]) -> list[tuple[str, Mark]]:
    """Return the names and marks of the lines that keep the tenant from being proven."""
    return [(finding.name, finding.mark) for finding in findings if finding.mark in FAILING]


def by_name(findings: list[Finding], name: str) -> Finding:
    """Return the only line of that name."""
    (found,) = (finding for finding in findings if finding.name == name)
    return found
