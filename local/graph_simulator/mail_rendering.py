"""Messages and attachments as the JSON of Graph v1.0.

A property is computed only when it is selected: a benchmark reads thousands of these.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

from local.graph_simulator.answer import RefusedError, not_simulated
from local.graph_simulator.call import Preferences
from local.graph_simulator.instants import format_mail_instant
from local.graph_simulator.mail_item import (
    Attachment,
    FileAttachment,
    ItemAttachment,
    MailItem,
    ReferenceAttachment,
    measure_attachment,
)
from local.graph_simulator.mailbox import StoredMessage

Json = dict[str, object]

_ATTACHMENT_PROPERTIES = frozenset({"id", "name", "contentType", "size", "isInline", "lastModifiedDateTime"})
_OTHER_RELATIONS = frozenset({"extensions", "singleValueExtendedProperties", "multiValueExtendedProperties"})
_EXPANSION = re.compile(r"(\w+)(?:\((.*)\))?")
_CONTENT_BYTES_CAST = "microsoft.graph.fileAttachment/contentBytes"


def _render_address(address: str, name: str = "") -> Json:
    return {"emailAddress": {"name": name or address, "address": address}}


def _render_sent_at(message: StoredMessage) -> str:
    return format_mail_instant(message.item.received_at)


def _read_html(item: MailItem) -> str:
    return item.body_html or f"<html><head></head><body><div>{escape(item.body)}</div></body></html>"


_PROPERTIES: Mapping[str, Callable[[StoredMessage], object]] = {
    "createdDateTime": _render_sent_at,
    "lastModifiedDateTime": _render_sent_at,
    "receivedDateTime": _render_sent_at,
    "sentDateTime": _render_sent_at,
    "changeKey": lambda message: f"CQAAABYAAAA{message.revision:04d}",
    "categories": lambda _: [],
    "hasAttachments": lambda message: bool(message.item.attachments),
    "internetMessageId": lambda message: message.item.internet_message_id,
    "subject": lambda message: message.item.subject,
    "bodyPreview": lambda message: message.item.body[:255],
    "importance": lambda _: "normal",
    "parentFolderId": lambda message: message.folder.folder_id,
    "conversationId": lambda message: f"AAQkAGI_{message.immutable_id[-24:]}",
    "isDeliveryReceiptRequested": lambda _: False,
    "isReadReceiptRequested": lambda _: False,
    "isRead": lambda message: message.is_read,
    "isDraft": lambda message: message.folder.display_name == "Drafts",
    "webLink": lambda message: f"https://outlook.office365.com/owa/?ItemID={message.regular_id}",
    "inferenceClassification": lambda _: "focused",
    "body": lambda message: {"contentType": "html", "content": _read_html(message.item)},
    "from": lambda message: _render_address(message.item.from_address, message.item.from_name),
    "sender": lambda message: _render_address(message.item.sender_address or message.item.from_address),
    "toRecipients": lambda message: [_render_address(address) for address in message.item.to_addresses],
    "ccRecipients": lambda _: [],
    "bccRecipients": lambda _: [],
    "replyTo": lambda _: [],
    "flag": lambda _: {"flagStatus": "notFlagged"},
    "internetMessageHeaders": lambda message: [{"name": name, "value": value} for name, value in message.item.headers],
}
_ONLY_WHEN_SELECTED = frozenset({"internetMessageHeaders"})
_BY_DEFAULT = tuple(name for name in _PROPERTIES if name not in _ONLY_WHEN_SELECTED)


def parse_select(text: str | None) -> tuple[str, ...] | None:
    """Return the message properties to show, None for the default set. Raises RefusedError for an unknown one."""
    return _parse_select(text, frozenset(_PROPERTIES) | {"id"}, "microsoft.graph.message")


def parse_attachment_select(text: str | None) -> tuple[str, ...] | None:
    """Return the attachment properties to show. Bare `contentBytes` is refused: it belongs to a derived type."""
    return _parse_select(text, _ATTACHMENT_PROPERTIES | {_CONTENT_BYTES_CAST}, "microsoft.graph.attachment")


@dataclass(frozen=True, slots=True)
class Expansion:
    """Attachments shown with their message: their selected properties, None for all."""

    select: tuple[str, ...] | None


def parse_expand(text: str) -> Expansion:
    """Return what `$expand` on one message shows. Raises RefusedError.

    `$expand=attachments` is documented ("List attachments", Graph v1.0). A selection inside it is OData's and said to
    work by a maintainer and who had asked (msgraph-sdk-dotnet-core, issue 437); a property of a derived type is refused
    in it (microsoft-graph-explorer-v4, issue 3916). What else OData has there is not simulated.
    """
    match = _EXPANSION.fullmatch(text.strip())
    if match is None or match[1] in _OTHER_RELATIONS or match[1] in _PROPERTIES:
        raise not_simulated(f"$expand={text}")
    if match[1] != "attachments":
        raise _unknown_property(match[1], "microsoft.graph.message")
    if match[2] is None:
        return Expansion(None)
    name, _, value = match[2].partition("=")
    if name.strip() != "$select" or ";" in value:
        raise not_simulated(f"$expand={text}")
    return Expansion(parse_attachment_select(value))


def _parse_select(text: str | None, known: frozenset[str], type_name: str) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in known:
            raise _unknown_property(name, type_name)
    return names


def _unknown_property(name: str, type_name: str) -> RefusedError:
    message = f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type"
    return RefusedError(400, "RequestBroker--ParseUri", f"{message} '{type_name}'.")


def show_id(message: StoredMessage, prefer: Preferences) -> str:
    """Return the id of the kind the request asked for."""
    return message.immutable_id if prefer.immutable_ids else message.regular_id


def render_message(message: StoredMessage, select: tuple[str, ...] | None, prefer: Preferences) -> Json:
    """Return a message with the selected properties and its id."""
    names = _BY_DEFAULT if select is None else select
    shown: Json = {"@odata.etag": f'W/"CQAAABYAAAA{message.revision:04d}"', "id": show_id(message, prefer)}
    shown.update((name, _PROPERTIES[name](message)) for name in names if name != "id")
    if "body" in shown and prefer.text_bodies:
        shown["body"] = {"contentType": "text", "content": message.item.body}
    if not message.item.headers:
        shown.pop("internetMessageHeaders", None)
    return shown


def render_attachments(message: StoredMessage, select: tuple[str, ...] | None) -> list[Json]:
    """Return everything attached to a message, in its order."""
    pairs = zip(message.attachment_ids, message.item.attachments, strict=True)
    return [render_attachment(message, key, attachment, select) for key, attachment in pairs]


def render_attachment(
    message: StoredMessage, attachment_id: str, attachment: Attachment, select: tuple[str, ...] | None
) -> Json:
    """Return an attachment of its own type; a file's bytes come along unless a `$select` leaves them out."""
    whole: Json = {
        "id": attachment_id,
        "lastModifiedDateTime": format_mail_instant(message.item.received_at),
        "name": attachment.name,
        "contentType": attachment.content_type if isinstance(attachment, FileAttachment) else None,
        "size": measure_attachment(attachment),
        "isInline": isinstance(attachment, FileAttachment) and attachment.is_inline,
    }
    shown = whole if select is None else {name: whole[name] for name in select if name in whole} | {"id": attachment_id}
    return {"@odata.type": _name_type(attachment)} | shown | _render_content(attachment, select)


def _render_content(attachment: Attachment, select: tuple[str, ...] | None) -> Json:
    if isinstance(attachment, ItemAttachment) or (select is not None and _CONTENT_BYTES_CAST not in select):
        return {}
    if isinstance(attachment, ReferenceAttachment):
        return {"sourceUrl": attachment.url} if select is None else {}
    content: Json = {"contentBytes": b64encode(attachment.content).decode()}
    return content if select is not None else {"contentId": None, "contentLocation": None} | content


def _name_type(attachment: Attachment) -> str:
    kind = type(attachment).__name__
    return f"#microsoft.graph.{kind[0].lower()}{kind[1:]}"
