"""The body of a POST, read as strictly as the service might: a valid request or a refusal.

Every rule is checked before anything is counted or stored. Sources: the metadata of microsoft.graph.security and the
pages of the three POST methods; the wording of messages is this stand-in's own.
"""

import binascii
import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

from local.graph_simulator.answer import RefusedError, bad_request
from local.graph_simulator.instants import parse_instant
from local.graph_simulator.submission import AllowOrBlock, SubmissionRequest
from local.graph_simulator.submitted_mail import MailHeaders, begins_like_mail, read_header_pairs, read_mail_headers
from local.graph_simulator.tenant import SimulatedTenant
from local.graph_simulator.vocabulary import CATEGORIES

Body = Mapping[str, object]
MessageIds = Literal["both", "regular", "immutable"]
ReadMessage = Callable[[str], MailHeaders]

LONGEST_EXPIRY = timedelta(days=30)

_TYPE_PREFIX = "#microsoft.graph.security."
_SHARED = frozenset({"@odata.type", "category"})
_EMAIL = _SHARED | {"recipientEmailAddress", "tenantAllowOrBlockListAction"}
_PROPERTIES = {
    "emailContentThreatSubmission": _EMAIL | {"fileContent"},
    "emailUrlThreatSubmission": _EMAIL | {"messageUrl"},
    "urlThreatSubmission": _SHARED | {"webUrl"},
    "fileContentThreatSubmission": _SHARED | {"fileName", "fileContent"},
}
_TYPES = {
    "emailthreats": frozenset({"emailContentThreatSubmission", "emailUrlThreatSubmission"}),
    "urlthreats": frozenset({"urlThreatSubmission"}),
    "filethreats": frozenset({"fileContentThreatSubmission"}),
}
_ADDRESS = re.compile(r"[^@\s<>,;\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_MESSAGE_PATH = re.compile(r"/(?:beta|v1\.0)/users/(?P<user>[^/]+)/messages/(?P<message>[^/]+)", re.IGNORECASE)


def parse_body(body: bytes) -> Body:
    """Return the JSON object of a request. Raises RefusedError (400) if it is none."""
    try:
        payload = json.loads(body)
    except ValueError as error:
        raise bad_request("Unable to read JSON request payload.") from error
    if not isinstance(payload, dict):
        raise bad_request("The request payload is not a JSON object.")
    return payload


class SubmissionIntake:
    """Reads POST bodies for one tenant."""

    def __init__(self, tenant: SimulatedTenant, read_base_url: Callable[[], str]) -> None:
        self._tenant = tenant
        self._read_base_url = read_base_url

    def read(
        self, collection: str, body: Body, at: datetime, *, message_ids: MessageIds, spam_for_email_only: bool
    ) -> SubmissionRequest:
        """Return the request that `body`, posted to `collection` (lower case), makes. Raises RefusedError."""
        type_name = _read_type(collection, body)
        for name in body.keys() - _PROPERTIES[type_name]:
            raise bad_request(f"The property '{name}' does not exist on type '{_TYPE_PREFIX[1:]}{type_name}'.")
        category = _read_category(body, spam_allowed=collection == "emailthreats" or not spam_for_email_only)
        match type_name:
            case "urlThreatSubmission":
                return _read_url(body, category)
            case "fileContentThreatSubmission":
                return _read_file(body, category)
            case "emailContentThreatSubmission":
                return self._read_email(body, category, at, _read_content_headers, "fileContent")
        return self._read_email(body, category, at, lambda url: self._find_headers(url, message_ids), "messageUrl")

    def _read_email(
        self, body: Body, category: str, at: datetime, read_message: ReadMessage, property_name: str
    ) -> SubmissionRequest:
        recipient = self._read_recipient(body)
        text = _require_text(body, property_name)
        headers = read_message(text)
        mail_key = headers.network_message_id or hashlib.sha256(text.encode()).hexdigest()
        return SubmissionRequest(
            kind="email",
            category=category,
            item_key=f"{mail_key}|{recipient.lower()}",
            recipient=recipient,
            network_message_id=headers.network_message_id,
            internet_message_id=headers.internet_message_id,
            subject=headers.subject,
            sender=headers.sender,
            sender_ip=headers.sender_ip,
            received_at=headers.received_at,
            by_message_url=property_name == "messageUrl",
            allow_or_block=_read_allow_or_block(body, category, at),
            verdict_marker=headers.verdict_marker,
            verdict_delay_s=headers.verdict_delay_s,
        )

    def _read_recipient(self, body: Body) -> str:
        recipient = _require_text(body, "recipientEmailAddress")
        if not _ADDRESS.fullmatch(recipient):
            raise bad_request("The value of 'recipientEmailAddress' is not an email address.")
        if not self._tenant.owns_address(recipient):
            raise bad_request("The recipient does not belong to the tenant.")
        return recipient

    def _find_headers(self, url: str, message_ids: MessageIds) -> MailHeaders:
        user, message_id = self._split_message_url(url)
        mailbox = self._tenant.find_mailbox(user)
        message = None if mailbox is None else mailbox.find_message(message_id)
        if message is not None and message_ids != "both":
            accepted = message.regular_id if message_ids == "regular" else message.immutable_id
            message = message if message_id == accepted else None
        if message is None:
            raise RefusedError(404, "ResourceNotFound", "The message of 'messageUrl' was not found.")
        item = message.item
        found = read_mail_headers(item.mime) if item.mime else read_header_pairs(item.headers)
        return _complete(found, item.from_address, item.subject, item.internet_message_id, item.received_at)

    def _split_message_url(self, url: str) -> tuple[str, str]:
        parts = urlsplit(url)
        match = _MESSAGE_PATH.fullmatch(parts.path)
        origin = f"{parts.scheme}://{parts.netloc}"
        if match is None or parts.query or origin not in {"https://graph.microsoft.com", self._read_base_url()}:
            raise bad_request("The value of 'messageUrl' is not the URL of a message.")
        return unquote(match["user"]), unquote(match["message"])


def _complete(
    found: MailHeaders, sender: str, subject: str, internet_message_id: str, received_at: datetime
) -> MailHeaders:
    return MailHeaders(
        network_message_id=found.network_message_id,
        internet_message_id=found.internet_message_id or internet_message_id,
        subject=found.subject or subject,
        sender=found.sender or sender,
        sender_ip=found.sender_ip,
        received_at=received_at,
        verdict_marker=found.verdict_marker,
        verdict_delay_s=found.verdict_delay_s,
    )


def _read_type(collection: str, body: Body) -> str:
    declared = body.get("@odata.type")
    if declared is None and collection == "urlthreats":
        return "urlThreatSubmission"  # The one concrete type: the metadata does not ask for a declaration.
    if not isinstance(declared, str):
        raise bad_request("The payload has no '@odata.type' and the declared type is abstract.")
    type_name = declared.removeprefix(_TYPE_PREFIX)
    if type_name not in _TYPES[collection] or declared != _TYPE_PREFIX + type_name:
        raise bad_request(f"The type '{declared}' does not exist in the model or does not fit this collection.")
    return type_name


def _read_category(body: Body, *, spam_allowed: bool) -> str:
    category = _require_text(body, "category")
    if category not in CATEGORIES:
        raise bad_request(f"The value '{category}' is not a member of 'microsoft.graph.security.submissionCategory'.")
    if category == "spam" and not spam_allowed:
        raise bad_request("The category 'spam' applies to email only.")
    return category


def _read_url(body: Body, category: str) -> SubmissionRequest:
    url = _require_text(body, "webUrl")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise bad_request("The value of 'webUrl' is not an absolute http or https URL.")
    return SubmissionRequest(kind="url", category=category, item_key=f"url|{url}", url=url)


def _read_file(body: Body, category: str) -> SubmissionRequest:
    name = _require_text(body, "fileName")
    digest = hashlib.sha256(_decode_content(_require_text(body, "fileContent"))).hexdigest()
    return SubmissionRequest(kind="file", category=category, item_key=f"file|{digest}", file_name=name)


def _read_content_headers(text: str) -> MailHeaders:
    content = _decode_content(text)
    if not begins_like_mail(content):
        raise bad_request("The content of 'fileContent' is not an email message.")
    return read_mail_headers(content)


def _decode_content(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_request("The value of 'fileContent' is not base64.") from error


def _require_text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise bad_request(f"The required property '{name}' is missing, empty or not a string.")
    return value


def _read_allow_or_block(body: Body, category: str, at: datetime) -> AllowOrBlock | None:
    asked = body.get("tenantAllowOrBlockListAction")
    if asked is None:
        return None
    if not isinstance(asked, dict) or asked.keys() - {"@odata.type", "action", "expirationDateTime", "note"}:
        raise bad_request("The value of 'tenantAllowOrBlockListAction' has unknown properties.")
    action = asked.get("action")
    if action not in {"allow", "block"}:
        raise bad_request("The action is not a member of 'microsoft.graph.security.tenantAllowBlockListAction'.")
    if (action == "allow") != (category == "notJunk"):
        raise bad_request(f"The action '{action}' cannot be combined with the category '{category}'.")
    note = asked.get("note")
    if note is not None and not isinstance(note, str):
        raise bad_request("The value of 'note' is not a string.")
    return AllowOrBlock(
        cast("Literal['allow', 'block']", action), _read_expiry(asked.get("expirationDateTime"), at), note
    )


def _read_expiry(text: object, at: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        expires_at = parse_instant(text if isinstance(text, str) else "")
    except ValueError as error:
        raise bad_request("The value of 'expirationDateTime' is not an instant.") from error
    if not at < expires_at <= at + LONGEST_EXPIRY:
        raise bad_request("The value of 'expirationDateTime' is not within the next 30 days.")
    return expires_at
