"""What a test or a demo can do to the simulator from outside, in one place.

`LocalControl` does it in the simulator's own process; `SimulatorControl` has the same methods as coroutines and does it
over HTTP. Neither uses the simulated API, and neither shows in the request log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.graph_simulator.alert import Alert
from local.graph_simulator.alert_api import AlertTraps
from local.graph_simulator.faults import OUTAGE, Fault, FaultPlan, fail_everything
from local.graph_simulator.hunting_api import HuntingLimits, HuntingQuery, HuntingRow
from local.graph_simulator.instants import Clock
from local.graph_simulator.mail_delta import MailTraps
from local.graph_simulator.mail_item import MailItem
from local.graph_simulator.outbox import SendTraps, SentMail
from local.graph_simulator.quota import QuotaLimits
from local.graph_simulator.request_log import RequestLog, RequestRecord
from local.graph_simulator.simulation import Simulation
from local.graph_simulator.source_access import Access, Source
from local.graph_simulator.submission import Submission
from local.graph_simulator.submission_desk import PORTAL_ADMIN, SubmissionTraps
from local.graph_simulator.tenant import ReportDestination
from local.graph_simulator.user_submission import UserSubmission
from local.graph_simulator.verdicts import UsualVerdicts, Verdict

COMMANDS = (
    "add_fault",
    "add_mailbox",
    "clear_faults",
    "clear_log",
    "deliver",
    "end_outage",
    "expire_delta_links",
    "list_hunting_queries",
    "list_sent_mails",
    "list_submissions",
    "mark_read",
    "move",
    "raise_alert",
    "read_log",
    "read_regular_id",
    "remove",
    "remove_fault",
    "reset",
    "set_alert_traps",
    "set_hunting_limits",
    "set_hunting_rows",
    "set_mail_traps",
    "set_quota_limits",
    "set_report_destination",
    "set_send_traps",
    "set_source_access",
    "set_submission_traps",
    "set_usual_verdicts",
    "set_verdict",
    "start_outage",
    "submit_as_user",
    "submit_in_portal",
    "use_portal_quota",
)


@dataclass(frozen=True, slots=True)
class LocalControl:
    """The commands, in process. Errors are UnknownItemError, ValueError, or RefusedError for a submission."""

    simulation: Simulation
    faults: FaultPlan
    log: RequestLog
    clock: Clock

    def add_mailbox(self, address: str, *, app_may_read: bool = True, app_may_send: bool = False) -> str:
        """Return the user id of a mailbox, new or known."""
        return self.simulation.tenant.add_mailbox(address, app_may_read=app_may_read, app_may_send=app_may_send)

    def deliver(self, mailbox: str, item: MailItem, folder: str = "inbox") -> str:
        """Put a mail into a folder and return its immutable id."""
        return self.simulation.tenant.deliver(mailbox, item, folder)

    def move(self, mailbox: str, message_id: str, folder: str) -> str:
        """Move a message and return its new regular id."""
        return self.simulation.tenant.move(mailbox, message_id, folder)

    def mark_read(self, mailbox: str, message_id: str, *, is_read: bool = True) -> None:
        """Change a message, so that delta shows it again."""
        self.simulation.tenant.mark_read(mailbox, message_id, is_read=is_read)

    def remove(self, mailbox: str, message_id: str) -> None:
        """Delete a message for good."""
        self.simulation.tenant.remove(mailbox, message_id)

    def read_regular_id(self, mailbox: str, message_id: str) -> str:
        """Return a message's present regular id."""
        return self.simulation.tenant.read_regular_id(mailbox, message_id)

    def expire_delta_links(self) -> None:
        """Make every nextLink and deltaLink handed out so far answer 410."""
        self.simulation.tenant.expire_delta_links()

    def set_report_destination(self, destination: ReportDestination) -> None:
        """Change where users' reports go; the policy endpoint and the lists follow."""
        self.simulation.tenant.destination = destination

    def set_mail_traps(self, traps: MailTraps) -> None:
        """Replace what the mail API does to its clients."""
        self.simulation.mail.traps = traps

    def set_send_traps(self, traps: SendTraps) -> None:
        """Replace what Exchange does with mail that is sent; what is under way leaves as it would have."""
        self.simulation.outbox.traps = traps

    def list_sent_mails(self) -> tuple[SentMail, ...]:
        """Return the mails that have left by now, oldest first."""
        self.simulation.outbox.settle(self.clock())
        return self.simulation.outbox.sent

    def set_submission_traps(self, traps: SubmissionTraps) -> None:
        """Replace what the submission API does to its clients."""
        self.simulation.desk.traps = traps

    def set_quota_limits(self, limits: QuotaLimits) -> None:
        """Replace the limits; what was used stays counted."""
        self.simulation.desk.quota.limits = limits

    def set_verdict(self, item: str, verdict: Verdict) -> None:
        """Set the verdict of a URL, a file name, a network message id, or of everything (`*`), from now on."""
        self.simulation.desk.verdicts.set_verdict(item, verdict)

    def set_usual_verdicts(self, least_s: float, most_s: float) -> None:
        """Let all other verdicts be the usual ones, after a time between these."""
        self.simulation.desk.verdicts.policy = UsualVerdicts(least_s, most_s)

    def use_portal_quota(self, count: int = 1) -> None:
        """Let a person in the portal submit `count` other items: they use the tenant's quota."""
        for _ in range(count):
            self.simulation.desk.quota.use_tenant(self.clock())

    def submit_in_portal(self, collection: str, body: Mapping[str, object]) -> str:
        """Let a person submit this POST body in the portal; return the submission's id."""
        return self.simulation.desk.submit(collection.lower(), body, self.clock(), PORTAL_ADMIN).id

    def submit_as_user(self, report: UserSubmission) -> str:
        """Let a user's Report button send a mail to Microsoft; return the submission's id."""
        return self.simulation.submit_as_user(report, self.clock()).id

    def set_alert_traps(self, traps: AlertTraps) -> None:
        """Replace what Defender does with alerts."""
        self.simulation.alerts.traps = traps

    def raise_alert(self, alert: Alert) -> str:
        """Let Defender raise an alert; return its id."""
        return self.simulation.alerts.raise_alert(alert, self.clock())

    def set_hunting_rows(self, query: str, rows: Sequence[HuntingRow]) -> None:
        """Answer this hunting query (`*`: every other) with these rows, from now on; white space does not matter."""
        self.simulation.hunting.set_rows(query, rows)

    def set_hunting_limits(self, limits: HuntingLimits) -> None:
        """Replace the limits of hunting; what was used stays counted."""
        self.simulation.hunting.limits = limits

    def list_hunting_queries(self) -> tuple[HuntingQuery, ...]:
        """Return the hunting queries that were answered with rows, oldest first."""
        return self.simulation.hunting.queries

    def set_source_access(self, source: Source, access: Access) -> None:
        """Let one source answer as if a token, grant, licence or endpoint were missing; the others stay as they are."""
        self.simulation.access.set(source, access)

    def list_submissions(self) -> tuple[Submission, ...]:
        """Return all accepted submissions, oldest first."""
        return self.simulation.desk.submissions

    def add_fault(self, fault: Fault) -> int:
        """Set a fault and return a handle to remove it by."""
        return self.faults.add(fault)

    def remove_fault(self, handle: int) -> None:
        """Remove a fault."""
        self.faults.remove(handle)

    def clear_faults(self) -> None:
        """Remove all faults, an outage too."""
        self.faults.clear()

    def start_outage(self, status: int | None = 503) -> None:
        """Answer every request with this status, or cut its connection for None."""
        self.faults.remove_named(OUTAGE)
        self.faults.add(fail_everything(status))

    def end_outage(self) -> None:
        """End the outage; other faults stay."""
        self.faults.remove_named(OUTAGE)

    def read_log(self, after_sequence: int = 0) -> tuple[RequestRecord, ...]:
        """Return the request records after a sequence number."""
        return self.log.select(after_sequence=after_sequence)

    def clear_log(self) -> None:
        """Forget the request records."""
        self.log.clear()

    def reset(self) -> None:
        """Forget all that was put in and all that happened; traps, limits and access go back to the defaults."""
        self.simulation.tenant.reset()
        self.simulation.outbox.clear()
        self.simulation.desk.clear()
        self.simulation.alerts.clear()
        self.simulation.hunting.clear()
        self.simulation.access.clear()
        self.simulation.desk.verdicts.policy = UsualVerdicts()
        self.faults.clear()
        self.log.clear()
        self.set_mail_traps(MailTraps())
        self.set_send_traps(SendTraps())
        self.set_submission_traps(SubmissionTraps())
        self.set_quota_limits(QuotaLimits())
        self.set_alert_traps(AlertTraps())
        self.set_hunting_limits(HuntingLimits())
