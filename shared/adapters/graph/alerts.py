"""User submissions through Defender's alerts, Graph v1.0 `alerts_v2`.

An alert may gather reports for a while, so that it is asked for by its last change, not by its creation. Pages shift
when an alert is added meanwhile: one may be told twice, none is left out. A list is complete or it is an error.
"""

from __future__ import annotations

from datetime import datetime

from shared.adapters.graph.transport import GraphTransport
from shared.adapters.graph.user_submissions import objects_of, utc
from shared.codecs.user_submission import read_alert
from shared.domain.errors import AnswerLost
from shared.domain.user_submissions import UserSubmission
from shared.ports import ToldSubmissions

_OPERATION = "list alerts"
_PAGE_SIZE = 100
_MAIL_ALERTS = "serviceSource%20eq%20%27microsoftDefenderForOffice365%27"


class GraphAlerts:
    """The `UserSubmissions` port over alerts that carry a reported mail as evidence."""

    def __init__(self, transport: GraphTransport) -> None:
        self._transport = transport

    async def told_since(self, since: datetime) -> ToldSubmissions:
        """Every user submission in an alert that was changed since then; see the port."""
        condition = f"{_MAIL_ALERTS}%20and%20lastUpdateDateTime%20ge%20{utc(since)}"
        path = f"/v1.0/security/alerts_v2?$top={_PAGE_SIZE}&$filter={condition}"
        read: list[UserSubmission | None] = []
        async for page in self._transport.get_pages(_OPERATION, path, {}):
            for alert in objects_of(_OPERATION, page):
                try:
                    read += read_alert(alert)
                except ValueError:
                    raise AnswerLost(_OPERATION, status=200, code="unreadable_evidence") from None
        each_once = {one.submission_id.lower(): one for one in read if one is not None}
        return ToldSubmissions(tuple(each_once.values()), read.count(None))
