"""A stand-in for the part of Microsoft Graph the app talks to: for development and tests, never for production.

It serves mailboxes, sendMail, alerts and hunting (v1.0) and threat submissions (beta) over HTTP, refuses what the real
service would refuse, and shows its documented traps. Every trap, limit and fault can be switched while it runs; every
request is logged.

From documentation: paths, JSON shapes, enum values and the `Prefer` header they need, `$filter`/`$top`/`$skipToken`,
delta rounds with `@removed`, immutable ids, attachment kinds, bodies as text or HTML, `Retry-After`, the limits of 150
submissions in 15 minutes and 10,000 in 24 hours per tenant and 1 and 3 per item (the last are published for threat
assessment and for the portal), 45 hunting queries a minute; for sending see `outbox.py` and `send_api.py`.

Unconfirmed, never seen on a tenant: that the limits of submissions and a 429 with `Retry-After` hold for
threatSubmission, the 4 MiB body limit, the error codes for a bad recipient, message or category, the shape of
`createdBy` for an app, whether `messageUrl` takes an immutable id, whether a
selection inside `$expand` holds files' bytes back, whether late `detail` values need the header too,
the ids in alerts, page sizes, and all timings. Each of these is a field of `SubmissionTraps`, `MailTraps`,
`AlertTraps`, `SendTraps`, `QuotaLimits` or `HuntingLimits`, or a `Fault`.
"""

from local.graph_simulator.alert import (
    Alert,
    AnalyzedMessageEvidence,
    SubmissionMailEvidence,
    UrlEvidence,
    UserEvidence,
)
from local.graph_simulator.alert_api import AlertTraps
from local.graph_simulator.control_client import CommandFailedError, SimulatorControl
from local.graph_simulator.faults import Fault, FaultKind, Scope
from local.graph_simulator.hunting_api import HuntingLimits, HuntingQuery
from local.graph_simulator.mail_delta import MailTraps
from local.graph_simulator.mail_item import FileAttachment, ItemAttachment, MailItem, ReferenceAttachment
from local.graph_simulator.outbox import SendTraps, SentMail
from local.graph_simulator.quota import QuotaLimits
from local.graph_simulator.request_log import RequestRecord
from local.graph_simulator.server import GraphSimulator, serve_in_thread
from local.graph_simulator.source_access import Access, Source
from local.graph_simulator.submission import RowShape, Submission
from local.graph_simulator.submission_desk import SubmissionTraps
from local.graph_simulator.tenant import ReportDestination, SimulatedTenant, UnknownItemError
from local.graph_simulator.user_submission import UserSubmission
from local.graph_simulator.verdicts import Verdict, VerdictPolicy

__all__ = [
    "Access",
    "Alert",
    "AlertTraps",
    "AnalyzedMessageEvidence",
    "CommandFailedError",
    "Fault",
    "FaultKind",
    "FileAttachment",
    "GraphSimulator",
    "HuntingLimits",
    "HuntingQuery",
    "ItemAttachment",
    "MailItem",
    "MailTraps",
    "QuotaLimits",
    "ReferenceAttachment",
    "ReportDestination",
    "RequestRecord",
    "RowShape",
    "Scope",
    "SendTraps",
    "SentMail",
    "SimulatedTenant",
    "SimulatorControl",
    "Source",
    "Submission",
    "SubmissionMailEvidence",
    "SubmissionTraps",
    "UnknownItemError",
    "UrlEvidence",
    "UserEvidence",
    "UserSubmission",
    "Verdict",
    "VerdictPolicy",
    "serve_in_thread",
]
