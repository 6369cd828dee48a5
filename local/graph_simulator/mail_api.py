"""The mail part of Graph v1.0: delta, lists, messages, attachments.

Reads only; what is in the mailboxes is changed through the tenant. Each public answer is computed in one go from the
tenant's state, so that a request is either answered whole or refused.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import quote

from local.graph_simulator.answer import (
    Answer,
    RefusedError,
    answer_json,
    bad_request,
    method_not_allowed,
    unknown_segment,
)
from local.graph_simulator.call import GraphCall, read_count_option, require_options
from local.graph_simulator.mail_delta import DeltaRound, MailTraps, read_page, seal_round, unseal_round
from local.graph_simulator.mail_item import FileAttachment, ReferenceAttachment
from local.graph_simulator.mail_rendering import (
    Expansion,
    Json,
    parse_attachment_select,
    parse_expand,
    parse_select,
    render_attachment,
    render_attachments,
    render_message,
    show_id,
)
from local.graph_simulator.mailbox import Change, ChangeKind, Folder, Mailbox, StoredMessage
from local.graph_simulator.odata import Comparison, Condition, FieldRule, FieldValue, parse_filter
from local.graph_simulator.tenant import SimulatedTenant

MAX_TOP = 1000

_BAD_QUERY = "ErrorInvalidUrlQuery"
_ORDERED = frozenset({"ge", "gt", "le", "lt"})
_LIST_FIELDS = {
    "receivedDateTime": FieldRule("instant", _ORDERED | {"eq"}),
    "sentDateTime": FieldRule("instant", _ORDERED | {"eq"}),
    "internetMessageId": FieldRule("text", frozenset({"eq"})),
    "subject": FieldRule("text", frozenset({"eq"})),
    "isRead": FieldRule("boolean", frozenset({"eq"})),
    "hasAttachments": FieldRule("boolean", frozenset({"eq"})),
    "from/emailAddress/address": FieldRule("text", frozenset({"eq"})),
}
_DELTA_FIELDS = {"receivedDateTime": FieldRule("instant", frozenset({"ge", "gt"}))}
_FOLDER_FIELDS = {"displayName": FieldRule("text", frozenset({"eq"}))}

_DELTA_OPTIONS = frozenset({"$select", "$top", "$filter", "$orderby", "changetype"})
_TOKEN_OPTIONS = frozenset({"$skiptoken", "$deltatoken"})
_LIST_OPTIONS = frozenset({"$select", "$top", "$skip", "$filter", "$orderby"})
_ORDER = re.compile(r"receivedDateTime( asc| desc)?")


class MailApi:
    """Answers what lies under `/users/{user}`."""

    def __init__(self, tenant: SimulatedTenant, traps: MailTraps) -> None:
        self._tenant = tenant
        self.traps = traps

    def answer(self, call: GraphCall) -> Answer:
        """Return the answer to a call whose first segment is `users`. Raises RefusedError."""
        if call.method != "GET":
            raise method_not_allowed(call.method)
        mailbox = self._open_mailbox(call.target.segments[1])
        return self._route(call, mailbox)

    def _open_mailbox(self, user: str) -> Mailbox:
        mailbox = self._tenant.find_mailbox(user)
        if mailbox is None:
            raise RefusedError(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")
        if not mailbox.app_may_read:
            raise RefusedError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return mailbox

    def _route(self, call: GraphCall, mailbox: Mailbox) -> Answer:
        segments = call.target.segments
        match call.target.names[2:]:
            case ("mailfolders",) | ("mailfolders", _, "childfolders"):
                # Folders here have no folders in them.
                return _list_folders(call, mailbox.folders if len(segments) == 3 else ())
            case ("mailfolders", _):
                require_options(call, frozenset())
                return answer_json(_render_folder(_open_folder(mailbox, segments[3])))
            case ("mailfolders", _, "messages"):
                folder = _open_folder(mailbox, segments[3])
                return self._list_messages(call, mailbox, folder.messages.values())
            case ("mailfolders", _, "messages", "delta"):
                return self._answer_delta(call, mailbox, _open_folder(mailbox, segments[3]))
            case ("messages", "delta"):
                raise bad_request("Change tracking is not supported against 'microsoft.graph.message'.")
            case ("messages",):
                return self._list_messages(call, mailbox, mailbox.messages)
            case ("messages", _, *rest) | ("mailfolders", _, "messages", _, *rest):
                place = len(segments) - len(rest) - 1
                return self._answer_message(call, _open_message(mailbox, segments[place]), segments[place + 1 :])
        raise unknown_segment(segments[-1])

    def _link(self, call: GraphCall, path: str, query: str) -> str:
        base = self.traps.link_base_url or call.base_url
        return f"{base}/{call.target.version}/{path}?{query}"

    def _list_messages(self, call: GraphCall, mailbox: Mailbox, messages: Iterable[StoredMessage]) -> Answer:
        require_options(call, _LIST_OPTIONS)
        query = call.target.query
        select = parse_select(query.get("$select"))
        condition = _parse_list_filter(query.get("$filter"), query.get("$orderby"))
        top = read_count_option(query, "$top", MAX_TOP) or call.prefer.page_size or self.traps.default_page_size
        skip = read_count_option(query, "$skip", 0) or 0
        found = [message for message in messages if condition is None or condition.holds(_read_fields(message))]
        newest_first = query.get("$orderby", "receivedDateTime desc").endswith(" desc")
        found.sort(key=lambda message: message.item.received_at, reverse=newest_first)
        payload: Json = {
            "@odata.context": f"{call.base_url}/{call.target.version}/$metadata#users('{mailbox.user_id}')/messages",
            "value": [render_message(message, select, call.prefer) for message in found[skip : skip + top]],
        }
        if len(found) > skip + top:
            options = {**query, "$top": str(top), "$skip": str(skip + top)}
            path = "/".join(quote(segment) for segment in call.target.segments)
            payload["@odata.nextLink"] = self._link(call, path, _encode(options))
        return answer_json(payload)

    def _answer_message(self, call: GraphCall, message: StoredMessage, rest: tuple[str, ...]) -> Answer:
        match tuple(map(str.lower, rest)):
            case ():
                return self._answer_one(call, message)
            case ("$value",):
                return Answer(200, message.item.mime, "text/plain")
            case ("attachments",):
                return _list_attachments(call, message)
            case ("attachments", _):
                return _answer_attachment(call, message, rest[1])
            case ("attachments", _, "$value"):
                return _answer_content(message, rest[1])
        raise unknown_segment(rest[-1])

    def _answer_one(self, call: GraphCall, message: StoredMessage) -> Answer:
        require_options(call, frozenset({"$select", "$expand"}))
        query = call.target.query
        shown = render_message(message, parse_select(query.get("$select")), call.prefer)
        expansion = self._read_expand(query.get("$expand"))
        if expansion is not None:
            owner = show_id(message, call.prefer)
            shown["attachments@odata.context"] = f"{call.base_url}/v1.0/$metadata#users/messages('{owner}')/attachments"
            shown["attachments"] = render_attachments(message, None if self.traps.expand_whole else expansion.select)
        return answer_json(shown)

    def _read_expand(self, text: str | None) -> Expansion | None:
        if text is None:
            return None
        if self.traps.refuse_expand:
            raise bad_request("The query parameter '$expand' is not supported.", _BAD_QUERY)
        return parse_expand(text)

    def _answer_delta(self, call: GraphCall, mailbox: Mailbox, folder: Folder) -> Answer:
        tokens = _TOKEN_OPTIONS & call.target.query.keys()
        state = self._resume_round(call, mailbox, folder) if tokens else self._open_round(call, mailbox, folder)
        size = call.prefer.page_size or self.traps.default_page_size
        page = read_page(folder, state, self.traps, size, immutable=call.prefer.immutable_ids)
        kind, option = ("deltaLink", "$deltatoken") if page.is_last else ("nextLink", "$skiptoken")
        path = f"users/{quote(call.target.segments[1])}/mailFolders('{folder.folder_id}')/messages/delta"
        return answer_json(
            {
                "@odata.context": f"{call.base_url}/{call.target.version}/$metadata#Collection(message)",
                "value": [_render_change(change, state.select, call) for change in page.changes],
                f"@odata.{kind}": self._link(call, path, f"{option}={seal_round(page.next_round)}"),
            }
        )

    def _open_round(self, call: GraphCall, mailbox: Mailbox, folder: Folder) -> DeltaRound:
        require_options(call, _DELTA_OPTIONS)
        query = call.target.query
        if query.get("$orderby", "receivedDateTime desc") != "receivedDateTime desc":
            raise bad_request("The query parameter '$orderby' is not supported as given.", _BAD_QUERY)
        return DeltaRound(
            generation=self._tenant.delta_generation,
            user_id=mailbox.user_id,
            folder_id=folder.folder_id,
            page_size=read_count_option(query, "$top", MAX_TOP),
            change_kind=_read_change_kind(query.get("changetype")),
            select=parse_select(query.get("$select")),
            received_from=self._read_delta_filter(query.get("$filter")),
        )

    def _read_delta_filter(self, text: str | None) -> str | None:
        if text is None:
            return None
        if self.traps.refuse_received_filter:
            raise bad_request("The query filter specified in the request is not supported.", _BAD_QUERY)
        condition = parse_filter(text, _DELTA_FIELDS, _BAD_QUERY)
        if not isinstance(condition, Comparison) or not isinstance(condition.value, datetime):
            raise bad_request("Only one comparison is supported for delta.", _BAD_QUERY)
        least = timedelta(microseconds=condition.operator == "gt")
        return (condition.value + least).isoformat()

    def _resume_round(self, call: GraphCall, mailbox: Mailbox, folder: Folder) -> DeltaRound:
        query = call.target.query
        if len(query) != 1:
            raise bad_request("A token cannot be combined with other query options.", _BAD_QUERY)
        state = unseal_round(next(iter(query.values())), generation=self._tenant.delta_generation)
        if (state.user_id, state.folder_id) != (mailbox.user_id, folder.folder_id):
            raise bad_request("The token belongs to another folder.", _BAD_QUERY)
        return state


def _encode(options: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())


def _parse_list_filter(text: str | None, order: str | None) -> Condition | None:
    if order is not None and not _ORDER.fullmatch(order):
        raise bad_request("Only receivedDateTime is simulated for $orderby.", _BAD_QUERY)
    if text is None:
        return None
    condition = parse_filter(text, _LIST_FIELDS, _BAD_QUERY)
    if order is not None and condition.list_fields()[0] != "receivedDateTime":
        raise bad_request("The restriction or sort order is too complex for this operation.", "InefficientFilter")
    return condition


def _read_fields(message: StoredMessage) -> Callable[[str], FieldValue]:
    item = message.item
    values: dict[str, FieldValue] = {
        "receivedDateTime": item.received_at,
        "sentDateTime": item.received_at,
        "internetMessageId": item.internet_message_id,
        "subject": item.subject,
        "isRead": message.is_read,
        "hasAttachments": bool(item.attachments),
        "from/emailAddress/address": item.from_address,
    }
    return values.__getitem__


def _read_change_kind(text: str | None) -> ChangeKind | None:
    if text is None:
        return None
    if text not in {"created", "updated", "deleted"}:
        raise bad_request(f"'{text}' is not a change type.", _BAD_QUERY)
    return cast("ChangeKind", text)


def _open_folder(mailbox: Mailbox, reference: str) -> Folder:
    folder = mailbox.find_folder(reference)
    if folder is None:
        raise bad_request("Id is malformed.", "ErrorInvalidIdMalformed")
    return folder


def _open_message(mailbox: Mailbox, message_id: str) -> StoredMessage:
    message = mailbox.find_message(message_id)
    if message is None:
        raise RefusedError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return message


def _render_folder(folder: Folder) -> Json:
    unread = sum(not message.is_read for message in folder.messages.values())
    return {
        "id": folder.folder_id,
        "displayName": folder.display_name,
        "totalItemCount": len(folder.messages),
        "unreadItemCount": unread,
    }


def _list_folders(call: GraphCall, folders: Iterable[Folder]) -> Answer:
    require_options(call, frozenset({"$filter", "$top", "$select"}))
    if call.target.query.get("$select", "id") != "id":
        raise bad_request("Only `$select=id` is simulated here.", "NotSimulated")
    read_count_option(call.target.query, "$top", MAX_TOP)
    text = call.target.query.get("$filter")
    condition = None if text is None else parse_filter(text, _FOLDER_FIELDS, _BAD_QUERY)
    rows = [
        _render_folder(folder)
        for folder in folders
        if condition is None or condition.holds({"displayName": folder.display_name}.__getitem__)
    ]
    return answer_json({"value": rows})


def _render_change(change: Change, select: tuple[str, ...] | None, call: GraphCall) -> Json:
    if change.kind != "deleted":
        return render_message(change.message, select, call.prefer)
    shown = change.message.immutable_id if call.prefer.immutable_ids else change.regular_id
    return {"@odata.type": "#microsoft.graph.message", "id": shown, "@removed": {"reason": "deleted"}}


def _list_attachments(call: GraphCall, message: StoredMessage) -> Answer:
    require_options(call, frozenset({"$select"}))
    select = parse_attachment_select(call.target.query.get("$select"))
    owner = show_id(message, call.prefer)
    return answer_json(
        {
            "@odata.context": f"{call.base_url}/v1.0/$metadata#users/messages('{owner}')/attachments",
            "value": render_attachments(message, select),
        }
    )


def _answer_attachment(call: GraphCall, message: StoredMessage, attachment_id: str) -> Answer:
    require_options(call, frozenset({"$select"}))
    attachment = message.find_attachment(attachment_id)
    if attachment is None:
        raise RefusedError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    select = parse_attachment_select(call.target.query.get("$select"))
    return answer_json(render_attachment(message, attachment_id, attachment, select))


def _answer_content(message: StoredMessage, attachment_id: str) -> Answer:
    attachment = message.find_attachment(attachment_id)
    if attachment is None:
        raise RefusedError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    if isinstance(attachment, ReferenceAttachment):
        raise RefusedError(405, "ErrorInvalidRequest", "A reference attachment has no raw contents.")
    if isinstance(attachment, FileAttachment):
        return Answer(200, attachment.content, attachment.content_type or "application/octet-stream")
    return Answer(200, attachment.mime, "text/plain")
