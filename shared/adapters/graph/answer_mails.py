"""The mailbox that answers to reporters leave from, through Graph v1.0: `sendMail` in MIME form, and what became of it.

Graph takes a mail by putting it into Drafts; transport moves it to Sent Items, up to minutes later where more than 30
are sent in a minute (Graph documentation, "Overview of the Microsoft Graph send mail process"; Exchange Online limits).
So a mail with the mark in either folder was taken. A mark is looked for in the Message-ID and in the text: a server may
replace the former ([MS-OXCMAIL] 2.1.3.2.11), and headers of one's own can be missing from what was sent in MIME form
(microsoft-graph-docs-contrib, issue 424).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from ...domain.errors import AnswerLost, NotAllowed, Refused
from .transport import GraphTransport

FOLDERS = ("drafts", "sentitems")
"""In the order of a mail's way, so that one that is moved between two looks is met in the second."""
PAGE_SIZE = 200
TEXT = {"Prefer": 'IdType="ImmutableId", outlook.body-content-type="text"'}
_MAILBOX_IS_FULL = "ErrorQuotaExceeded"
_LOOK = "look for an answer"


class GraphAnswerMails:
    """The `AnswerMails` port over Graph, for one mailbox."""

    def __init__(self, transport: GraphTransport, mailbox: str) -> None:
        self._transport = transport
        self._mailbox = f"/v1.0/users/{quote(mailbox, safe='@')}"
        self._domain = mailbox.rpartition("@")[2]

    async def send(self, mime: bytes) -> None:
        """Send a mail, once; see the port.

        Raises `NotAllowed` for what is the mailbox's fault and no mail's. A `Throttled` mail was seen to arrive all the
        same (Microsoft Q&A 5629476): look for it before it is sent again.
        """
        operation, path = "send an answer", f"{self._mailbox}/sendMail"
        attempt_id = sha256(mime).hexdigest()
        try:
            answer = await self._transport.post(
                operation, path, {}, b64encode(mime), content_type="text/plain", attempt_id=attempt_id
            )
        except Refused as error:
            if error.status == 404 or error.code == _MAILBOX_IS_FULL:
                raise NotAllowed(operation, error.status, error.code, error.message, error.request_id) from None
            raise
        if answer.status != 202:
            raise AnswerLost(operation, answer.status, "not_accepted", request_id=answer.request_id)

    async def sent(self, mark: str, since: datetime) -> bool:
        """Whether Graph took a mail of since then with that mark; see the port.

        A mail that was moved out of both folders, or deleted, is not found.
        """
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = quote(f"'<{mark}@{self._domain}>'", safe="")
        looks = [("sentitems", f"$filter=internetMessageId%20eq%20{wanted}")]
        looks += [
            (one, f"$filter=receivedDateTime%20ge%20{moment}&$orderby=receivedDateTime%20desc") for one in FOLDERS
        ]
        for folder, which in looks:
            async for text in self._texts(folder, which):
                if mark in text:
                    return True
        return False

    async def _texts(self, folder: str, which: str) -> AsyncIterator[str]:
        """Message-ID and text of the mails in a folder, without white space: a converted text may be broken anew."""
        path = f"{self._mailbox}/mailFolders/{folder}/messages?{which}&$select=internetMessageId,body&$top={PAGE_SIZE}"
        async for page in self._transport.get_pages(_LOOK, path, TEXT):
            for row in _rows(page):
                yield "".join(_text(row).split())


def _rows(page: Mapping[str, Any]) -> list[Any]:
    rows = page.get("value")
    if not isinstance(rows, list):
        raise AnswerLost(_LOOK, status=200, code="no_value")
    return rows


def _text(row: Any) -> str:
    """What a mail says of itself. One that cannot be read might be the one that is looked for."""
    try:
        return f"{row['internetMessageId']} {row['body']['content'] + ''}"
    except (TypeError, KeyError):
        raise AnswerLost(_LOOK, status=200, code="unreadable_mail") from None
