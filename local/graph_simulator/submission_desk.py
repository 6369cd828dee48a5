"""Microsoft's side of a submission: the limits, the accepted submissions, their verdicts, and the lists of them.

A submission is stored and counted in one step, after every check; a refused one leaves no trace but its log record.
Lists come in the order of the ids, which is no order a client could use.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Literal
from uuid import UUID, uuid5

from local.graph_simulator.answer import RefusedError, bad_request
from local.graph_simulator.quota import Exhaustion, Quota
from local.graph_simulator.submission import (
    CreatedByShape,
    Kind,
    Review,
    SubjectKey,
    Submission,
    SubmissionRequest,
    Submitter,
)
from local.graph_simulator.submission_intake import Body, MessageIds, SubmissionIntake
from local.graph_simulator.tenant import SimulatedTenant
from local.graph_simulator.user_submission import UserSubmission
from local.graph_simulator.verdicts import ScriptedVerdicts, UsualVerdicts, Verdict
from local.graph_simulator.vocabulary import REVIEW_CATEGORIES

KIND_OF_COLLECTION: dict[str, Kind] = {"emailthreats": "email", "urlthreats": "url", "filethreats": "file"}

APP = Submitter("5c9d1f6e-3a47-4c0b-8d52-9e1f0a7b6c34", "Defender Submissions")
PORTAL_ADMIN = Submitter("b7e2c1d0-95f3-4a68-b1c4-d2a3e4f56789", "Portal Admin", "portal.admin@contoso.com")

_IDS = UUID("3f0c2f5e-64a1-4b7c-9e59-0d8f7a6b5c4d")


@dataclass(frozen=True, slots=True)
class SubmissionTraps:
    """What the submission API does to its clients.

    `retry_after` of a quota 429: `exact` seconds until the limit frees, `absent`, `date` (HTTP-date of that instant),
    or a fixed number of seconds as text. `created_by`: shape of createdBy. `settle_at_once`: POST answers `succeeded`.
    `empty_message_id_share`: share of list rows without internetMessageId, from 0 to 1, fixed for each id.
    `message_ids`: which ids `messageUrl` takes. `default_page_size`: rows of a list page without `$top`.
    `subject_key`: `emailSubject` as in the doc samples. `throttled_calls_count`: a refused POST uses quota too.
    `spam_for_email_only`: refuse that category for URLs and files. `list_lag_s`: a new submission appears in lists
    only after so many seconds. `body_limit_bytes`: longer bodies are answered 413.
    """

    retry_after: str = "exact"
    created_by: CreatedByShape = "flat"
    settle_at_once: bool = False
    empty_message_id_share: float = 0.5
    message_ids: MessageIds = "both"
    default_page_size: int = 100
    subject_key: SubjectKey = "subject"
    throttled_calls_count: bool = False
    spam_for_email_only: bool = True
    list_lag_s: float = 0.0
    body_limit_bytes: int = 4 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.retry_after not in {"exact", "absent", "date"} and not self.retry_after.isdigit():
            raise ValueError("retry_after is exact, absent, date or a number of seconds")


class SubmissionDesk:
    """Takes submissions for one tenant and answers what became of them."""

    def __init__(self, tenant: SimulatedTenant, read_base_url: Callable[[], str], traps: SubmissionTraps) -> None:
        self.traps = traps
        self.quota = Quota()
        self.verdicts = ScriptedVerdicts(UsualVerdicts())
        self._tenant = tenant
        self._intake = SubmissionIntake(tenant, read_base_url)
        self._submissions: dict[str, Submission] = {}
        self._order: dict[Kind, list[str]] = {"email": [], "url": [], "file": []}
        self._accepted = 0

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """All submissions, oldest first."""
        return tuple(self._submissions.values())

    def submit(self, collection: str, body: Body, at: datetime, by: Submitter = APP) -> Submission:
        """Accept an admin's or the app's submission. Raises RefusedError: 400, 404, or 429 with the limit's name."""
        request = self._intake.read(
            collection,
            body,
            at,
            message_ids=self.traps.message_ids,
            spam_for_email_only=self.traps.spam_for_email_only,
        )
        exhaustion = self.quota.find_exhaustion(request.item_key, at)
        if exhaustion is None or self.traps.throttled_calls_count:
            self.quota.use(request.item_key, at)
        if exhaustion is not None:
            raise self._throttle(exhaustion, at)
        submission = self._judge(request, at, by, "administrator")
        self.keep(submission)
        return submission

    def submit_as_user(self, report: UserSubmission, now: datetime) -> Submission:
        """Accept what a user reported to Microsoft with the Report button. Raises RefusedError (400)."""
        at = report.at or now
        body = report.render_body()
        request = self._intake.read("emailthreats", body, at, message_ids="both", spam_for_email_only=True)
        user = report.reporter
        submitter = Submitter(str(uuid5(_IDS, user)), user.partition("@")[0], user)
        submission = replace(
            self._judge(request, at, submitter, "user", report.fixed_verdict),
            original_category=report.original_category,
            attack_simulation_id=report.attack_simulation_id,
            shape=report.shape,
        )
        self.keep(submission)
        return submission

    def find(self, kind: Kind, submission_id: str) -> Submission:
        """Return a submission. Raises RefusedError (404)."""
        submission = self._submissions.get(submission_id)
        if submission is None or submission.request.kind != kind or not self._reached_microsoft(submission):
            raise RefusedError(404, "ResourceNotFound", "The threat submission was not found.")
        return submission

    def review(self, submission_id: str, category: object, at: datetime) -> None:
        """Keep an admin's review of a user's report. Raises RefusedError: 404, or 400 for other submissions."""
        submission = self.find("email", submission_id)
        if submission.source != "user":
            raise bad_request("Only submissions of users can be reviewed.")
        verdict = REVIEW_CATEGORIES.get(category.lower()) if isinstance(category, str) else None
        if verdict is None:
            raise bad_request("The value of 'category' is not notSpam, junk, phishing or malware.")
        self._submissions[submission_id] = replace(submission, review=Review(verdict, at, APP.display_name))

    def list_after(self, kind: Kind, last_id: str, at: datetime) -> Iterator[Submission]:
        """Yield what a list shows behind an id ("" for all); users' rows only if their reports reach Microsoft."""
        order = self._order[kind]
        newest = at - timedelta(seconds=self.traps.list_lag_s)
        for place in range(bisect_right(order, last_id), len(order)):
            submission = self._submissions[order[place]]
            if submission.created_at <= newest and self._reached_microsoft(submission):
                yield submission

    def hides_message_id(self, submission: Submission) -> bool:
        """Return whether list rows of this submission lack their internetMessageId."""
        if submission.shape.message_id is not None:
            return submission.shape.message_id != "always"
        return int(submission.id[:8], 16) < self.traps.empty_message_id_share * 0x1_0000_0000

    def keep(self, submission: Submission) -> None:
        """Let a submission stand here as it is, in place of one with the same id: nothing is checked or counted."""
        if submission.id not in self._submissions:
            insort(self._order[submission.request.kind], submission.id)
        self._submissions[submission.id] = submission

    def clear(self) -> None:
        """Forget all submissions, the quota they used and the verdicts set for them."""
        self._submissions.clear()
        self.quota.clear()
        self.verdicts.clear()
        for order in self._order.values():
            order.clear()

    def _reached_microsoft(self, submission: Submission) -> bool:
        return submission.source != "user" or self._tenant.destination.to_microsoft

    def _judge(
        self,
        request: SubmissionRequest,
        at: datetime,
        by: Submitter,
        source: Literal["administrator", "user"],
        fixed: Verdict | None = None,
    ) -> Submission:
        verdict = fixed or self.verdicts.decide(request)
        self._accepted += 1
        return Submission(
            id=str(uuid5(_IDS, f"{self._tenant.tenant_id}/{self._accepted}")),
            request=request,
            created_at=at,
            created_by=by,
            source=source,
            settles_at=at if self.traps.settle_at_once else at + timedelta(seconds=verdict.delay_s),
            result_category=verdict.category,
            result_detail=verdict.detail,
            final_status=verdict.status,
        )

    def _throttle(self, exhaustion: Exhaustion, at: datetime) -> RefusedError:
        shown = {
            "absent": None,
            "exact": str(math.ceil(exhaustion.free_in.total_seconds())),
            "date": format_datetime(at + exhaustion.free_in, usegmt=True),
        }
        retry_after = shown.get(self.traps.retry_after, self.traps.retry_after)
        return RefusedError(
            429, "TooManyRequests", "Please retry again later.", retry_after=retry_after, throttle=exhaustion.rule
        )
