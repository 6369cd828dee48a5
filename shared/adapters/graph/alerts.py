"""User submissions through Defender's alerts, Graph v1.0 `alerts_v2`.

An alert may gather reports for a while, so that it is asked for by its last change, not by its creation. Pages shift
when an alert is added meanwhile: one may be told twice, none is left out. An alert that cannot be read is counted; a
page of nothing else is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ...codecs.user_submission import read_alert
from ...domain.errors import AnswerLost
from ...domain.user_submissions import UserSubmission
from ...ports import ToldSubmissions
from .transport import GraphTransport
from .user_submissions import next_link, objects_of, utc

_OPERATION = "list alerts"
_PAGE_SIZE = 100
_MAIL_ALERTS = "serviceSource%20eq%20%27microsoftDefenderForOffice365%27"


class GraphAlerts:
    """The `UserSubmissions` port over alerts that carry a reported mail as evidence."""

    def __init__(self, transport: GraphTransport) -> None:
        self._transport = transport

    async def told_since(self, since: datetime, resume: str | None = None) -> ToldSubmissions:
        """The next page of user submissions in alerts that were changed since then; see the port."""
        condition = f"{_MAIL_ALERTS}%20and%20lastUpdateDateTime%20ge%20{utc(since)}"
        path = resume or f"/v1.0/security/alerts_v2?$top={_PAGE_SIZE}&$filter={condition}"
        page = await self._transport.get_json(_OPERATION, path, {})
        alerts = objects_of(_OPERATION, page)
        read, unreadable = _read(alerts)
        if alerts and unreadable == len(alerts):
            raise AnswerLost(_OPERATION, status=200, code="unreadable_evidence")
        each_once = {one.submission_id.lower(): one for one in read if one is not None}
        unusable = read.count(None) + unreadable
        return ToldSubmissions(tuple(each_once.values()), unusable, next_link(_OPERATION, page))


def _read(alerts: Sequence[Mapping[str, Any]]) -> tuple[list[UserSubmission | None], int]:
    """What the alerts tell, and how many of them cannot be read."""
    read: list[UserSubmission | None] = []
    unreadable = 0
    for alert in alerts:
        try:
            read += read_alert(alert)
        except ValueError:
            unreadable += 1
    return read, unreadable
