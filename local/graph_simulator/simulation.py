"""The simulated service without a network: one call in, one answer out.

It joins the tenant and the five APIs and says which of them the app may use. Given the same calls at the same instants
it gives the same answers.
"""

from collections.abc import Callable
from datetime import datetime

from local.graph_simulator.alert import describe_report
from local.graph_simulator.alert_api import AlertApi, AlertTraps
from local.graph_simulator.answer import Answer, RefusedError, unknown_segment
from local.graph_simulator.call import GraphCall
from local.graph_simulator.hunting_api import HuntingApi
from local.graph_simulator.mail_api import MailApi
from local.graph_simulator.mail_delta import MailTraps
from local.graph_simulator.outbox import Outbox
from local.graph_simulator.send_api import SendApi
from local.graph_simulator.source_access import SourceAccess
from local.graph_simulator.submission import Submission
from local.graph_simulator.submission_api import SubmissionApi
from local.graph_simulator.submission_desk import SubmissionDesk, SubmissionTraps
from local.graph_simulator.tenant import SimulatedTenant
from local.graph_simulator.user_submission import UserSubmission

_VERSIONS = frozenset({"v1.0", "beta"})


class Simulation:
    """One tenant's Graph."""

    def __init__(
        self, tenant: SimulatedTenant, read_base_url: Callable[[], str], mail: MailTraps, submissions: SubmissionTraps
    ) -> None:
        self.tenant = tenant
        self.mail = MailApi(tenant, mail)
        self.outbox = Outbox(tenant)
        self.desk = SubmissionDesk(tenant, read_base_url, submissions)
        self.alerts = AlertApi(tenant, AlertTraps())
        self.hunting = HuntingApi()
        self.access = SourceAccess()
        self._submission_api = SubmissionApi(self.desk, tenant)
        self._send_api = SendApi(tenant, self.outbox)

    def submit_as_user(self, report: UserSubmission, now: datetime) -> Submission:
        """Accept a user's report to Microsoft, and raise its alert if they do. Raises RefusedError (400)."""
        submission = self.desk.submit_as_user(report, now)
        if self.alerts.traps.user_submissions_raise:
            self.alerts.raise_alert(describe_report(submission), now)
        return submission

    def answer(self, call: GraphCall) -> Answer:
        """Return the answer to a call. Raises RefusedError."""
        if call.target.version not in _VERSIONS:
            raise RefusedError(400, "BadRequest", f"Invalid version: {call.target.version}.")
        self.access.require(call)
        self.outbox.settle(call.at)
        match call.target.names:
            case ("security", "threatsubmission", *_):
                return self._submission_api.answer(call)
            case ("security", "alerts_v2", *_):
                return self.alerts.answer(call)
            case ("security", "runhuntingquery" | "microsoft.graph.security.runhuntingquery"):
                return self.hunting.answer(call)
            case ("users", _, "sendmail" | "microsoft.graph.sendmail"):
                return self._send_api.answer(call)
            case ("users", _, _, *_):
                return self.mail.answer(call)
        raise unknown_segment(call.target.segments[0] if call.target.segments else "")
