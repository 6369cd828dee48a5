"""Reporting folders: well-known names and the names that people gave."""

from datetime import timedelta

from local.graph_simulator import SimulatedTenant
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID, read_original, wrap_as_report_button
from shared.domain.model import Category
from tests.support.stage import START, stage


async def test_a_folder_is_found_by_the_name_that_people_gave_it() -> None:
    """A report that a rule files into `Reported` is collected from there, one in the inbox is not."""
    tenant = SimulatedTenant(tenant_id=TENANT_ID, domains=DOMAINS)
    tenant.add_mailbox(REPORTING_MAILBOX)
    for folder, name in (("Reported", "card-suspended-ja"), ("inbox", "bank-details-change-invoice")):
        mail = wrap_as_report_button(
            read_original(name, START),
            reporter="alice.meyer@contoso.example",
            category=Category.PHISHING,
            received_at=START - timedelta(minutes=1),
            mailbox=REPORTING_MAILBOX,
        )
        tenant.deliver(REPORTING_MAILBOX, mail, folder)
    async with stage(tenant=tenant, REPORTING_MAILBOXES=f"{REPORTING_MAILBOX}/Reported") as on:
        outcomes = await on.finish(rows=1)
    assert [outcome.state for outcome in outcomes] == ["settled"]
