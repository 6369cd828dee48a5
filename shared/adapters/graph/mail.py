"""Mailboxes through Graph v1.0: a folder's changes, attachments, and single mails.

Reports are named by immutable ids, because reporting and sorting move mail and a regular id changes with the folder.
Only what the row needs is selected. Ids are case-sensitive and go out percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from ...domain.errors import AnswerLost, Refused
from ...domain.reports import Attachment
from ...domain.text import address
from ...ports import MailOutline, MessageFacts, ReportHead, ReportPage
from .transport import GraphTransport

PAGE_SIZE = 50
LIST_SIZE = 200
"""Of mails that are known already, nearly all; Graph's documentation warns of 504 on the largest pages."""
HEAD = "id,subject,from,receivedDateTime"
_HEAD_FIELDS = frozenset(HEAD.split(","))
ATTACHMENT = "id,name,contentType,size,isInline"
OUTLINE = f"$select=internetMessageHeaders&$expand=attachments($select={ATTACHMENT})"
"""Headers come with `$select` and attachments with `$expand` (Graph documentation, "message" and "List attachments").
That a selection inside `$expand` keeps the files' bytes out of the answer is not documented; a maintainer's advice that
worked for who had asked says so (msgraph-sdk-dotnet-core, issue 437), and on change feeds it was ignored
(microsoft-graph-docs-contrib, issue 8431)."""
_NOT_TOGETHER = frozenset({400, 500, 501})
"""How a service answers that does not take the two together; 500 also in passing."""
WELL_KNOWN_FOLDERS = frozenset({"inbox", "archive", "junkemail", "deleteditems", "msgfolderroot", "sentitems"})
LEAST_ID_LENGTH = 60
"""Graph's folder ids are far longer than any name that fits a setting."""
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
AS_TEXT = {"Prefer": 'IdType="ImmutableId", outlook.body-content-type="text"'}
PAGED = {"Prefer": f'IdType="ImmutableId", odata.maxpagesize={PAGE_SIZE}'}
_NETWORK_ID_HEADERS = ("x-ms-exchange-organization-network-message-id", "x-ms-office365-filtering-correlation-id")
_KINDS: dict[str, Literal["item", "file", "reference"]] = {
    "#microsoft.graph.itemattachment": "item",
    "#microsoft.graph.referenceattachment": "reference",
}


class GraphMail:
    """The `MailSource` port over Graph."""

    def __init__(self, transport: GraphTransport) -> None:
        self._transport = transport
        self._together = True

    async def changes(self, mailbox: str, folder: str, resume: str | None) -> ReportPage:
        """The next page of a folder's changes; see the port."""
        operation = "read a folder's changes"
        link = resume or f"{await self._folder(mailbox, folder)}/messages/delta?$select={HEAD}"
        page = await self._transport.get_json(operation, link, PAGED)
        delta_link = page.get("@odata.deltaLink")
        resume = delta_link or page.get("@odata.nextLink")
        if not isinstance(resume, str):
            raise AnswerLost(operation, status=200, code="no_link")
        return ReportPage(await self._heads(mailbox, page), resume, delta_link is not None)

    async def listed(self, mailbox: str, folder: str, since: datetime, resume: str | None) -> ReportPage:
        """The next page of the mails that stand in the folder and were received since then; see the port."""
        operation = "list a folder"
        link = resume or (
            f"{await self._folder(mailbox, folder)}/messages?$filter=receivedDateTime%20ge%20{_utc(since)}"
            f"&$orderby=receivedDateTime%20desc&$select={HEAD}&$top={LIST_SIZE}"
        )
        page = await self._transport.get_json(operation, link, IMMUTABLE)
        following = page.get("@odata.nextLink")
        if following is not None and (not isinstance(following, str) or following == link):
            raise AnswerLost(operation, code="endless_list")
        return ReportPage(await self._heads(mailbox, page), following or "", following is None)

    async def head(self, mailbox: str, message_id: str) -> ReportHead | None:
        """A mail by its immutable id; see the port."""
        try:
            path = f"{_message(mailbox, message_id)}?$select={HEAD}"
            return _head(await self._transport.get_json("read a mail", path, IMMUTABLE))
        except Refused:
            return None

    async def outline(self, mailbox: str, message_id: str) -> MailOutline:
        """The headers of a mail and what is attached to it; see the port.

        One request, or two more where Graph does not take that one. A service that refuses it is asked for the two
        apart from then on, and so is one that sends the files' bytes unasked.
        """
        path = _message(mailbox, message_id)
        if not self._together:
            return await self._outline_of(path, {})
        try:
            found = await self._transport.get_json("read a mail's outline", f"{path}?{OUTLINE}", IMMUTABLE)
        except (Refused, AnswerLost) as error:
            if error.status not in _NOT_TOGETHER:
                raise
            outline = await self._outline_of(path, {})
            if error.status != 500:
                self._together = False
            return outline
        outline = await self._outline_of(path, found)
        if any("contentBytes" in one for one in _objects(found.get("attachments") or [])):
            self._together = False
        return outline

    async def text(self, mailbox: str, message_id: str) -> str:
        """The body of a mail as plain text; see the port."""
        path = f"{_message(mailbox, message_id)}?$select=body"
        body = (await self._transport.get_json("read a mail's body", path, AS_TEXT)).get("body")
        content = body.get("content") if isinstance(body, dict) else None
        return content if isinstance(content, str) else ""

    async def attachments(self, mailbox: str, message_id: str) -> list[Attachment]:
        """The attachments of a mail, without their content."""
        return [_attachment(one) for one in await self._attachments(_message(mailbox, message_id))]

    async def attachment_content(
        self, mailbox: str, message_id: str, attachment_id: str, limit_bytes: int
    ) -> bytes | None:
        """The bytes of an attachment; None where they exceed `limit_bytes`."""
        path = f"{_message(mailbox, message_id)}/attachments/{quote(attachment_id, safe='')}/$value"
        headers = {**IMMUTABLE, "Accept": "*/*"}
        answer = await self._transport.get("read an attachment", path, headers)
        return answer.body if len(answer.body) <= limit_bytes else None

    async def find_by_id(self, mailbox: str, message_id: str) -> MessageFacts | None:
        """The mail with that id, or None."""
        path = f"{_message(mailbox, message_id)}?$select=id,internetMessageId,subject,from,internetMessageHeaders"
        try:
            found = await self._transport.get_json("find a mail by its id", path, {})
        except Refused as error:
            if error.status == 404 and error.code == "ErrorItemNotFound":
                return None
            raise
        return _facts(found)

    async def find_by_internet_id(self, mailbox: str, internet_message_id: str) -> MessageFacts | None:
        """The newest mail with that internet message id, or None."""
        wanted = quote(internet_message_id.replace("'", "''"), safe="")
        path = f"/v1.0/users/{quote(mailbox, safe='@')}/messages?$filter=internetMessageId%20eq%20'{wanted}'&$select=id"
        page = await self._transport.get_json("find a mail by its internet message id", path, {})
        ids = [one["id"] for one in _values(page) if isinstance(one.get("id"), str)]
        return await self.find_by_id(mailbox, ids[0]) if ids else None

    async def _outline_of(self, path: str, found: Mapping[str, Any]) -> MailOutline:
        """What an answer tells of a mail; what it leaves out, in whole or in part, is asked for by itself."""
        headers, attachments = found.get("internetMessageHeaders"), found.get("attachments")
        if headers is None:
            headers = await self._headers(path)
        if attachments is None or "attachments@odata.nextLink" in found:
            attachments = await self._attachments(path)
        return MailOutline(_pairs(headers), tuple(map(_attachment, _objects(attachments))))

    async def _headers(self, path: str) -> Any:
        found = await self._transport.get_json(
            "read a mail's headers", f"{path}?$select=internetMessageHeaders", IMMUTABLE
        )
        return found.get("internetMessageHeaders") or []

    async def _attachments(self, path: str) -> list[dict[str, Any]]:
        pages = self._transport.get_pages("list attachments", f"{path}/attachments?$select={ATTACHMENT}", IMMUTABLE)
        return [one async for page in pages for one in _values(page)]

    async def _folder(self, mailbox: str, folder: str) -> str:
        """The path of a folder. Graph takes its own names and ids; a name that people gave has to be looked up."""
        folders = f"/v1.0/users/{quote(mailbox, safe='@')}/mailFolders"
        if folder.lower() in WELL_KNOWN_FOLDERS or len(folder) >= LEAST_ID_LENGTH:
            return f"{folders}/{quote(folder, safe='')}"
        wanted = quote(folder.replace("'", "''"), safe="")
        for parent in (folders, f"{folders}/inbox/childFolders"):
            link = f"{parent}?$filter=displayName%20eq%20'{wanted}'&$select=id"
            for one in _values(await self._transport.get_json("find a folder", link, {})):
                return f"{folders}/{quote(str(one.get('id')), safe='')}"
        raise Refused("find a folder", status=404, code="no_such_folder")

    async def _heads(self, mailbox: str, page: Mapping[str, Any]) -> tuple[ReportHead, ...]:
        """The mails of a page. One that was removed is left out; one told incompletely is asked for.

        Of a changed mail Graph may tell only what changed; without its sender a report would look like a stranger's.
        """
        heads: list[ReportHead] = []
        for one in _values(page):
            if "@removed" in one or not isinstance(one.get("id"), str):
                continue
            head = _head(one) if one.keys() >= _HEAD_FIELDS else await self.head(mailbox, one["id"])
            if head is not None:
                heads.append(head)
        return tuple(heads)


def _message(mailbox: str, message_id: str) -> str:
    return f"/v1.0/users/{quote(mailbox, safe='@')}/messages/{quote(message_id, safe='')}"


def _values(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _objects(page.get("value"))


def _objects(values: Any) -> list[dict[str, Any]]:
    if not isinstance(values, list):
        raise AnswerLost("read a page", status=200, code="no_value")
    return [one for one in values if isinstance(one, dict)]


def _pairs(headers: Any) -> tuple[tuple[str, str], ...]:
    """Headers as Graph tells them. What is no header is an error, never left out: it may say who is believed."""
    try:
        return tuple((str(one["name"]), str(one["value"] or "")) for one in headers)
    except (TypeError, KeyError):
        raise AnswerLost("read a mail's headers", status=200, code="unreadable_headers") from None


def _head(found: Mapping[str, Any]) -> ReportHead | None:
    received_at = _time(found.get("receivedDateTime"))
    if received_at is None:
        return None
    return ReportHead(found["id"], received_at, found.get("subject") or "", _sender(found))


def _facts(found: Mapping[str, Any]) -> MessageFacts:
    headers = {
        str(one.get("name", "")).lower(): str(one.get("value", ""))
        for one in found.get("internetMessageHeaders") or []
        if isinstance(one, dict)
    }
    network_ids = [headers[name] for name in _NETWORK_ID_HEADERS if name in headers]
    return MessageFacts(
        message_id=str(found.get("id")),
        internet_message_id=found.get("internetMessageId"),
        network_message_id=network_ids[0].strip().lower() if network_ids else None,
        subject=found.get("subject"),
        sender=_sender(found),
    )


def _sender(found: Mapping[str, Any]) -> str | None:
    sender = found.get("from")
    told = sender.get("emailAddress") if isinstance(sender, dict) else None
    return address(str(told.get("address") or "")) if isinstance(told, dict) else None


def _attachment(found: Mapping[str, Any]) -> Attachment:
    content_type, size = found.get("contentType"), found.get("size")
    return Attachment(
        id=str(found.get("id")),
        name=str(found.get("name") or ""),
        content_type=content_type if isinstance(content_type, str) else None,
        size_bytes=size if isinstance(size, int) else 0,
        is_inline=bool(found.get("isInline")),
        kind=_KINDS.get(str(found.get("@odata.type")).lower(), "file"),
    )


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
