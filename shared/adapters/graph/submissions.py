"""Threat submissions through Graph beta.

Every call asks for `include-unknown-enum-members`: without it the everyday verdicts arrive as `unknownFutureValue`
(Graph documentation, "submissionResult"). Only documented query options are used: `$filter` on the creation time and
`$top`. A list is complete or it is an error.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ...codecs.threat_submission import read_submission, write_order, write_review
from ...domain.errors import AnswerLost, Refused
from ...domain.model import Kind
from ...domain.submissions import ReviewOrder, SubmissionOrder, ThreatSubmission
from .transport import GraphTransport

ROOT = "/beta/security/threatSubmission"
COLLECTIONS = {Kind.EMAIL: "emailThreats", Kind.URL: "urlThreats", Kind.FILE: "fileThreats"}
HEADERS = {"Prefer": "include-unknown-enum-members"}
PAGE_SIZE = 100


class GraphThreatSubmissions:
    """The `ThreatSubmissions` port over Graph."""

    def __init__(self, transport: GraphTransport) -> None:
        self._transport = transport

    async def submit(self, order: SubmissionOrder) -> ThreatSubmission:
        """Send one submission, once; see the port."""
        operation = f"submit a {order.kind}"
        body = write_order(order)
        path = f"{ROOT}/{COLLECTIONS[order.kind]}"
        answer = await self._transport.post_json(operation, path, HEADERS, body, attempt_id=order.attempt_id)
        try:
            return read_submission(answer, order.kind)
        except ValueError:
            raise AnswerLost(operation, code="answer_without_id") from None

    async def review(self, order: ReviewOrder) -> None:
        """Decide what a user's submission is; see the port. The answer, 204, says nothing more."""
        path = f"{ROOT}/{COLLECTIONS[Kind.EMAIL]}/{quote(order.submission_id, safe='')}/review"
        body = write_review(order.category)
        await self._transport.post(
            "review a submission", path, HEADERS, body, content_type="application/json", attempt_id=order.attempt_id
        )

    async def listed(self, kind: Kind, since: datetime) -> list[ThreatSubmission]:
        """Every submission of that kind created since then; see the port.

        Some tenants refuse the filter; then everything is read and what is older is left out.
        """
        start = f"{ROOT}/{COLLECTIONS[kind]}?$top={PAGE_SIZE}"
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            found = await self._pages(kind, f"{start}&$filter=createdDateTime%20ge%20{moment}")
        except Refused as error:
            if error.status != 400:
                raise
            found = await self._pages(kind, start)
        return [one for one in found if one.created_at is None or one.created_at >= since]

    async def reports_reach_microsoft(self) -> bool:
        """Whether the tenant's user-reported policy sends reports to Microsoft by itself."""
        path = f"{ROOT}/emailThreatSubmissionPolicies"
        policies = self._transport.get_pages("read the report policy", path, HEADERS)
        found = [one async for page in policies for one in page.get("value") or []]
        return any(isinstance(one, dict) and one.get("isReportToMicrosoftEnabled") is True for one in found)

    async def _pages(self, kind: Kind, path: str) -> list[ThreatSubmission]:
        operation = f"list {kind} submissions"
        pages = self._transport.get_pages(operation, path, HEADERS)
        return [one async for page in pages for one in _rows(operation, page, kind)]


def _rows(operation: str, page: dict[str, Any], kind: Kind) -> list[ThreatSubmission]:
    values = page.get("value")
    if not isinstance(values, list):
        raise AnswerLost(operation, status=200, code="no_value")
    try:
        return [read_submission(one, kind) for one in values]
    except ValueError:
        raise AnswerLost(operation, status=200, code="row_without_id") from None
