"""The sample tenant: invented people, the mail they received, and what they and their operators report of it.

Everything is written for this project, about companies that do not exist, with addresses that are reserved for
examples (RFC 2606, 5737, 3849). Each report and each queue message comes with the row it must end in.
"""

from local.sample_tenant.directory import (
    CONTROL_MAILBOX,
    DOMAINS,
    PEOPLE,
    REPORTING_MAILBOX,
    SHARED_MAILBOXES,
    TENANT_ID,
)
from local.sample_tenant.manual_messages import (
    SIMULATED_VERDICTS,
    SampleManualMessage,
    sample_manual_messages,
)
from local.sample_tenant.originals import ORIGINALS, Original, read_original
from local.sample_tenant.population import MailTarget, populate, populate_remotely
from local.sample_tenant.reports import SampleReport, sample_reports
from local.sample_tenant.wrappers import (
    MailFacts,
    attach_as_file,
    read_facts,
    wrap_as_report_button,
    wrap_as_third_party,
    write_report,
)

__all__ = [
    "CONTROL_MAILBOX",
    "DOMAINS",
    "ORIGINALS",
    "PEOPLE",
    "REPORTING_MAILBOX",
    "SHARED_MAILBOXES",
    "SIMULATED_VERDICTS",
    "TENANT_ID",
    "MailFacts",
    "MailTarget",
    "Original",
    "SampleManualMessage",
    "SampleReport",
    "attach_as_file",
    "populate",
    "populate_remotely",
    "read_facts",
    "read_original",
    "sample_manual_messages",
    "sample_reports",
    "wrap_as_report_button",
    "wrap_as_third_party",
    "write_report",
]
