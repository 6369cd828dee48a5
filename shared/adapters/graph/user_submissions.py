"""User submissions through Microsoft's own list, Graph beta.

Only documented filters are used: `source` and `createdDateTime`. What the service should have left out is left out
here again, so that a submission of an admin or of this app is never taken for a user's. A page is read whole or it is
an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...codecs.user_submission import is_user_submission, read_listed
from ...domain.errors import AnswerLost, Refused
from ...ports import ToldSubmissions
from .submissions import HEADERS, PAGE_SIZE, ROOT
from .transport import GraphTransport

_OPERATION = "list user submissions"
_LIST = f"{ROOT}/emailThreats?$top={PAGE_SIZE}"


class GraphUserSubmissions:
    """The `UserSubmissions` port over the list of mail submissions."""

    def __init__(self, transport: GraphTransport) -> None:
        self._transport = transport

    async def told_since(self, since: datetime, resume: str | None = None) -> ToldSubmissions:
        """The next page of user submissions created since then; see the port.

        Some tenants refuse the filter; then everything is read.
        """
        page = await (self._first_page(since) if resume is None else self._page(resume))
        marked = [(one, is_user_submission(one)) for one in objects_of(_OPERATION, page)]
        read = [read_listed(one) if is_theirs else None for one, is_theirs in marked if is_theirs is not False]
        usable = [one for one in read if one is not None]
        recent = tuple(one for one in usable if one.created_at >= since)
        return ToldSubmissions(recent, len(read) - len(usable), next_link(_OPERATION, page))

    async def _first_page(self, since: datetime) -> dict[str, Any]:
        condition = f"source%20eq%20%27user%27%20and%20createdDateTime%20ge%20{utc(since)}"
        try:
            return await self._page(f"{_LIST}&$filter={condition}")
        except Refused as error:
            if error.status != 400:
                raise
            return await self._page(_LIST)

    async def _page(self, path_or_link: str) -> dict[str, Any]:
        return await self._transport.get_json(_OPERATION, path_or_link, HEADERS)


def objects_of(operation: str, page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of a page; raises `AnswerLost` where it is no list of objects."""
    values = page.get("value")
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise AnswerLost(operation, status=200, code="no_list_of_objects")
    return values


def next_link(operation: str, page: Mapping[str, Any]) -> str | None:
    """Where a list goes on, None at its end; raises `AnswerLost` where the link is no text."""
    link = page.get("@odata.nextLink")
    if link is not None and not isinstance(link, str):
        raise AnswerLost(operation, status=200, code="unreadable_link")
    return link


def utc(at: datetime) -> str:
    """A time as Graph's filters take it, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
