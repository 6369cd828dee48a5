"""Fills a simulator's tenant: a mailbox for everybody, the mails they received, and, if wanted, all the reports.

It is meant for a tenant without mailboxes: a second run delivers everything a second time. `populate` works on the
tenant in this process, `populate_remotely` on a simulator in another one; both do the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from local.graph_simulator.control_client import SimulatorControl
from local.graph_simulator.mail_item import MailItem
from local.sample_tenant.directory import PEOPLE, REPORTING_MAILBOX, SHARED_MAILBOXES
from local.sample_tenant.manual_messages import SIMULATED_VERDICTS
from local.sample_tenant.originals import ORIGINALS, Original, read_original
from local.sample_tenant.reports import sample_reports
from local.sample_tenant.wrappers import read_facts

_MAILBOXES = (*PEOPLE, *SHARED_MAILBOXES, REPORTING_MAILBOX)


class MailTarget(Protocol):
    """What can be given mailboxes and mail."""

    def add_mailbox(self, address: str) -> str:
        """Create the mailbox if it is not there."""
        ...

    def deliver(self, mailbox: str, item: MailItem, folder: str = "inbox") -> str:
        """Put a mail into a folder; returns its immutable id."""
        ...


def populate(tenant: MailTarget, now: datetime, *, with_reports: bool = True) -> Mapping[str, str]:
    """The immutable ids of the people's mails, by the name of the original.

    `now` is aware UTC; give the same one to `sample_reports` and `sample_manual_messages`. The verdicts of
    `SIMULATED_VERDICTS` are not set: a tenant has none.
    """
    for address in _MAILBOXES:
        tenant.add_mailbox(address)
    message_ids = {one.name: tenant.deliver(one.recipient, _delivered(one, now)) for one in ORIGINALS}
    for mail in _report_mails(now, with_reports=with_reports):
        tenant.deliver(REPORTING_MAILBOX, mail)
    return message_ids


async def populate_remotely(
    simulator: SimulatorControl, now: datetime, *, with_reports: bool = True
) -> Mapping[str, str]:
    """As `populate`, and tells the simulator the verdicts of URLs and files, too."""
    for address in _MAILBOXES:
        await simulator.add_mailbox(address)
    for item, verdict in SIMULATED_VERDICTS.items():
        await simulator.set_verdict(item, verdict)
    message_ids = {one.name: await simulator.deliver(one.recipient, _delivered(one, now)) for one in ORIGINALS}
    for mail in _report_mails(now, with_reports=with_reports):
        await simulator.deliver(REPORTING_MAILBOX, mail)
    return message_ids


def _report_mails(now: datetime, *, with_reports: bool) -> Iterator[MailItem]:
    return (report.mail for report in sample_reports(now)) if with_reports else iter(())


def _delivered(original: Original, now: datetime) -> MailItem:
    mime = read_original(original.name, now)
    facts = read_facts(mime)
    return MailItem(
        from_address=facts.sender,
        subject=facts.subject,
        received_at=parsedate_to_datetime(dict(facts.headers)["Date"]).astimezone(UTC),
        internet_message_id=facts.internet_message_id,
        to_addresses=(original.recipient,),
        headers=facts.headers,
        mime=mime,
    )
