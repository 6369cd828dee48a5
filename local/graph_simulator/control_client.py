"""The control commands from another process: the methods of `LocalControl` as coroutines over HTTP."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import ClientSession
from pydantic import TypeAdapter
from pydantic_core import to_json

from local.graph_simulator.alert import Alert
from local.graph_simulator.alert_api import AlertTraps
from local.graph_simulator.control_server import PREFIX
from local.graph_simulator.faults import Fault
from local.graph_simulator.hunting_api import HuntingLimits, HuntingQuery, HuntingRow
from local.graph_simulator.mail_delta import MailTraps
from local.graph_simulator.mail_item import MailItem
from local.graph_simulator.outbox import SendTraps, SentMail
from local.graph_simulator.quota import QuotaLimits
from local.graph_simulator.request_log import RequestRecord
from local.graph_simulator.source_access import Access, Source
from local.graph_simulator.submission import Submission
from local.graph_simulator.submission_desk import SubmissionTraps
from local.graph_simulator.tenant import ReportDestination
from local.graph_simulator.user_submission import UserSubmission
from local.graph_simulator.verdicts import Verdict

ResultT = TypeVar("ResultT")

_TEXT = TypeAdapter(str)
_NUMBER = TypeAdapter(int)
_NOTHING = TypeAdapter[None](None)
_SUBMISSIONS = TypeAdapter(tuple[Submission, ...])
_SENT_MAILS = TypeAdapter(tuple[SentMail, ...])
_QUERIES = TypeAdapter(tuple[HuntingQuery, ...])
_RECORDS = TypeAdapter(tuple[RequestRecord, ...])


class CommandFailedError(Exception):
    """The simulator did not carry out a command; the text says why. A mistake of the caller, not worth a retry."""


class SimulatorControl:
    """Drives a simulator in another process; use as an async context manager."""

    def __init__(self, base_url: str) -> None:
        self._url = base_url.rstrip("/") + PREFIX
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def add_mailbox(self, address: str, *, app_may_read: bool = True, app_may_send: bool = False) -> str:
        """Return the user id of a mailbox, new or known."""
        rights = {"app_may_read": app_may_read, "app_may_send": app_may_send}
        return await self._run(_TEXT, "add_mailbox", address=address, **rights)

    async def deliver(self, mailbox: str, item: MailItem, folder: str = "inbox") -> str:
        """Put a mail into a folder and return its immutable id."""
        return await self._run(_TEXT, "deliver", mailbox=mailbox, item=item, folder=folder)

    async def move(self, mailbox: str, message_id: str, folder: str) -> str:
        """Move a message and return its new regular id."""
        return await self._run(_TEXT, "move", mailbox=mailbox, message_id=message_id, folder=folder)

    async def mark_read(self, mailbox: str, message_id: str, *, is_read: bool = True) -> None:
        """Change a message, so that delta shows it again."""
        await self._run(_NOTHING, "mark_read", mailbox=mailbox, message_id=message_id, is_read=is_read)

    async def remove(self, mailbox: str, message_id: str) -> None:
        """Delete a message for good."""
        await self._run(_NOTHING, "remove", mailbox=mailbox, message_id=message_id)

    async def read_regular_id(self, mailbox: str, message_id: str) -> str:
        """Return a message's present regular id."""
        return await self._run(_TEXT, "read_regular_id", mailbox=mailbox, message_id=message_id)

    async def expire_delta_links(self) -> None:
        """Make every nextLink and deltaLink handed out so far answer 410."""
        await self._run(_NOTHING, "expire_delta_links")

    async def set_report_destination(self, destination: ReportDestination) -> None:
        """Change where users' reports go; the policy endpoint and the lists follow."""
        await self._run(_NOTHING, "set_report_destination", destination=destination)

    async def set_mail_traps(self, traps: MailTraps) -> None:
        """Replace what the mail API does to its clients."""
        await self._run(_NOTHING, "set_mail_traps", traps=traps)

    async def set_send_traps(self, traps: SendTraps) -> None:
        """Replace what Exchange does with mail that is sent; what is under way leaves as it would have."""
        await self._run(_NOTHING, "set_send_traps", traps=traps)

    async def list_sent_mails(self) -> tuple[SentMail, ...]:
        """Return the mails that have left by now, oldest first."""
        return await self._run(_SENT_MAILS, "list_sent_mails")

    async def set_submission_traps(self, traps: SubmissionTraps) -> None:
        """Replace what the submission API does to its clients."""
        await self._run(_NOTHING, "set_submission_traps", traps=traps)

    async def set_quota_limits(self, limits: QuotaLimits) -> None:
        """Replace the limits; what was used stays counted."""
        await self._run(_NOTHING, "set_quota_limits", limits=limits)

    async def set_verdict(self, item: str, verdict: Verdict) -> None:
        """Set the verdict of a URL, a file name, a network message id, or of everything (`*`), from now on."""
        await self._run(_NOTHING, "set_verdict", item=item, verdict=verdict)

    async def set_usual_verdicts(self, least_s: float, most_s: float) -> None:
        """Let all other verdicts be the usual ones, after a time between these."""
        await self._run(_NOTHING, "set_usual_verdicts", least_s=least_s, most_s=most_s)

    async def use_portal_quota(self, count: int = 1) -> None:
        """Let a person in the portal submit `count` other items: they use the tenant's quota."""
        await self._run(_NOTHING, "use_portal_quota", count=count)

    async def submit_in_portal(self, collection: str, body: Mapping[str, object]) -> str:
        """Let a person submit this POST body in the portal; return the submission's id."""
        return await self._run(_TEXT, "submit_in_portal", collection=collection, body=body)

    async def submit_as_user(self, report: UserSubmission) -> str:
        """Let a user's Report button send a mail to Microsoft; return the submission's id."""
        return await self._run(_TEXT, "submit_as_user", report=report)

    async def set_alert_traps(self, traps: AlertTraps) -> None:
        """Replace what Defender does with alerts."""
        await self._run(_NOTHING, "set_alert_traps", traps=traps)

    async def raise_alert(self, alert: Alert) -> str:
        """Let Defender raise an alert; return its id."""
        return await self._run(_TEXT, "raise_alert", alert=alert)

    async def set_hunting_rows(self, query: str, rows: Sequence[HuntingRow]) -> None:
        """Answer this hunting query (`*`: every other) with these rows, from now on; white space does not matter."""
        await self._run(_NOTHING, "set_hunting_rows", query=query, rows=rows)

    async def set_hunting_limits(self, limits: HuntingLimits) -> None:
        """Replace the limits of hunting; what was used stays counted."""
        await self._run(_NOTHING, "set_hunting_limits", limits=limits)

    async def list_hunting_queries(self) -> tuple[HuntingQuery, ...]:
        """Return the hunting queries that were answered with rows, oldest first."""
        return await self._run(_QUERIES, "list_hunting_queries")

    async def set_source_access(self, source: Source, access: Access) -> None:
        """Let one source answer as if a token, grant, licence or endpoint were missing; the others stay as they are."""
        await self._run(_NOTHING, "set_source_access", source=source, access=access)

    async def list_submissions(self) -> tuple[Submission, ...]:
        """Return all accepted submissions, oldest first."""
        return await self._run(_SUBMISSIONS, "list_submissions")

    async def add_fault(self, fault: Fault) -> int:
        """Set a fault and return a handle to remove it by."""
        return await self._run(_NUMBER, "add_fault", fault=fault)

    async def remove_fault(self, handle: int) -> None:
        """Remove a fault."""
        await self._run(_NOTHING, "remove_fault", handle=handle)

    async def clear_faults(self) -> None:
        """Remove all faults, an outage too."""
        await self._run(_NOTHING, "clear_faults")

    async def start_outage(self, status: int | None = 503) -> None:
        """Answer every request with this status, or cut its connection for None."""
        await self._run(_NOTHING, "start_outage", status=status)

    async def end_outage(self) -> None:
        """End the outage; other faults stay."""
        await self._run(_NOTHING, "end_outage")

    async def read_log(self, after_sequence: int = 0) -> tuple[RequestRecord, ...]:
        """Return the request records after a sequence number."""
        return await self._run(_RECORDS, "read_log", after_sequence=after_sequence)

    async def clear_log(self) -> None:
        """Forget the request records."""
        await self._run(_NOTHING, "clear_log")

    async def reset(self) -> None:
        """Forget all that was put in and all that happened; traps, limits and access go back to the defaults."""
        await self._run(_NOTHING, "reset")

    async def _run(self, result: TypeAdapter[ResultT], command: str, **arguments: object) -> ResultT:
        assert self._session is not None, "use SimulatorControl as an async context manager"
        body = to_json(arguments, bytes_mode="base64")
        async with self._session.post(self._url + command, data=body) as response:
            answer = await response.read()
        if response.status != 200:
            raise CommandFailedError(answer.decode())
        return result.validate_json(answer)
