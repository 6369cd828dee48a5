"""What was asked of Microsoft and what became of it: the records behind the threat submission API.

A request is what passed validation; a submission is that plus id, time and verdict. Neither keeps the content, just
as the service keeps only metadata.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["email", "url", "file"]
CreatedByShape = Literal["flat", "nested"]
SubjectKey = Literal["subject", "emailSubject"]
MessageIdShown = Literal["always", "outside_lists", "never"]


@dataclass(frozen=True, slots=True)
class AllowOrBlock:
    """A request to add to the Tenant Allow/Block List."""

    action: Literal["allow", "block"]
    expires_at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRequest:
    """A valid POST. `item_key` is what the per-item limit counts: mail and recipient, url, or file hash.

    The fields of other kinds are empty; `verdict_marker` and `verdict_delay_s` are the sample headers of the mail.
    """

    kind: Kind
    category: str
    item_key: str
    recipient: str = ""
    url: str = ""
    file_name: str = ""
    network_message_id: str = ""
    internet_message_id: str = ""
    subject: str = ""
    sender: str = ""
    sender_ip: str = ""
    received_at: datetime | None = None
    by_message_url: bool = False
    allow_or_block: AllowOrBlock | None = None
    verdict_marker: str = ""
    verdict_delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who submitted: an app has no address."""

    id: str
    display_name: str
    email: str = ""


@dataclass(frozen=True, slots=True)
class RowShape:
    """How one submission is shown where documentation and field differ; None leaves it to `SubmissionTraps`."""

    created_by: CreatedByShape | None = None
    subject_key: SubjectKey | None = None
    message_id: MessageIdShown | None = None


USUAL_SHAPE = RowShape()


@dataclass(frozen=True, slots=True)
class Review:
    """An admin's review of a user's report."""

    category: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One accepted submission. Until `settles_at` it is running, then it has `result_category` and the rest.

    `original_category` is the filter's verdict at delivery, empty for one like the claim; `attack_simulation_id` is
    empty unless the mail was a phishing simulation.
    """

    id: str
    request: SubmissionRequest
    created_at: datetime
    created_by: Submitter
    source: Literal["administrator", "user"]
    settles_at: datetime
    result_category: str
    result_detail: str
    final_status: str
    review: Review | None = None
    original_category: str = ""
    attack_simulation_id: str = ""
    shape: RowShape = USUAL_SHAPE

    def read_status(self, at: datetime) -> str:
        """Return the status a client sees at this instant."""
        return self.final_status if at >= self.settles_at else "running"
