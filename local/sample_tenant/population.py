"""Fills a simulator's tenant: a mailbox for everybody, the mails they received, and, if wanted, all the reports.

Works on the simulated tenant itself and on anything else that takes mail the same way. It is meant for a tenant
without mailboxes: a second run delivers everything a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from local.graph_simulator.mail_item import MailItem
from local.sample_tenant.directory import PEOPLE, REPORTING_MAILBOX, SHARED_MAILBOXES
from local.sample_tenant.originals import ORIGINALS, Original, read_original
from local.sample_tenant.reports import sample_reports
from local.sample_tenant.wrappers import read_facts


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

    `now` is aware UTC; give the same one to `sample_reports` and `sample_manual_messages`.
    """
    for address in (*PEOPLE, *SHARED_MAILBOXES, REPORTING_MAILBOX):
        tenant.add_mailbox(address)
    message_ids = {one.name: tenant.deliver(one.recipient, _delivered(one, now)) for one in ORIGINALS}
    for report in sample_reports(now) if with_reports else ():
        tenant.deliver(REPORTING_MAILBOX, report.mail)
    return message_ids


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
