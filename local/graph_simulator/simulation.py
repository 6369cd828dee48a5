"""The simulated service without a network: one call in, one answer out.

It joins tenant, mail API and submission API, and turns refusals into Graph's error answers. Given the same calls at
the same instants it gives the same answers.
"""

from collections.abc import Callable

from local.graph_simulator.answer import Answer, RefusedError, unknown_segment
from local.graph_simulator.call import GraphCall
from local.graph_simulator.mail_api import MailApi
from local.graph_simulator.mail_delta import MailTraps
from local.graph_simulator.submission_api import SubmissionApi
from local.graph_simulator.submission_desk import SubmissionDesk, SubmissionTraps
from local.graph_simulator.tenant import SimulatedTenant

_VERSIONS = frozenset({"v1.0", "beta"})


class Simulation:
    """One tenant's Graph."""

    def __init__(
        self, tenant: SimulatedTenant, read_base_url: Callable[[], str], mail: MailTraps, submissions: SubmissionTraps
    ) -> None:
        self.tenant = tenant
        self.mail = MailApi(tenant, mail)
        self.desk = SubmissionDesk(tenant, read_base_url, submissions)
        self._submission_api = SubmissionApi(self.desk, tenant)

    def answer(self, call: GraphCall) -> Answer:
        """Return the answer to a call. Raises RefusedError."""
        if call.target.version not in _VERSIONS:
            raise RefusedError(400, "BadRequest", f"Invalid version: {call.target.version}.")
        match call.target.names:
            case ("security", "threatsubmission", *_):
                return self._submission_api.answer(call)
            case ("users", _, _, *_):
                return self.mail.answer(call)
        raise unknown_segment(call.target.segments[0] if call.target.segments else "")
