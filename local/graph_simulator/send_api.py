"""`POST /users/{user}/sendMail` of Graph v1.0, in MIME and in JSON form.

From documentation ("user: sendMail", "Send Outlook messages from another user"): both forms, 202 without a body, the
refusal of what is no base64, and ErrorSendAsDenied for another's address in From. Who may send is decided mailbox by
mailbox, as RBAC for Applications does it.

Unconfirmed: that the right to send is looked at before the body is read; the codes of a bad JSON body.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from local.graph_simulator.answer import Answer, RefusedError, bad_request, not_simulated
from local.graph_simulator.call import GraphCall, require_method, require_options
from local.graph_simulator.mailbox import Mailbox
from local.graph_simulator.outbound_mail import OutboundMail, read_mime, require_recipients
from local.graph_simulator.outbox import Outbox
from local.graph_simulator.submission_intake import parse_body
from local.graph_simulator.tenant import SimulatedTenant

BODY_LIMIT_BYTES = 4 * 1024 * 1024

_RECIPIENTS = {"toRecipients": "To", "ccRecipients": "Cc", "bccRecipients": "Bcc"}
_MESSAGE = frozenset({"subject", "body", "from", "internetMessageHeaders", *_RECIPIENTS})
_OTHER = frozenset({"attachments", "importance", "replyTo", "sender", "categories", "flag", "isDraft"})
_MESSAGE_TYPE = "#microsoft.graph.message"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


class SendApi:
    """Takes mail from the mailboxes that the app may send from."""

    def __init__(self, tenant: SimulatedTenant, outbox: Outbox) -> None:
        self._tenant = tenant
        self._outbox = outbox

    def answer(self, call: GraphCall) -> Answer:
        """Return the answer to a call of `users/{user}/sendMail`. Raises RefusedError."""
        require_method(call, "POST")
        require_options(call, frozenset())
        mailbox = self._open_mailbox(call.target.segments[1])
        mail, is_kept = self._read(call)
        if mail.from_address is not None and mail.from_address.lower() != mailbox.address.lower():
            raise RefusedError(
                403,
                "ErrorSendAsDenied",
                "The user account which was used to submit this request does not have the right to send mail on"
                " behalf of the specified sending account., Cannot submit message.",
            )
        effect = self._outbox.take(mailbox, mail, call.at, is_kept=is_kept)
        return Answer(202, content_type="", effect=effect)

    def _open_mailbox(self, user: str) -> Mailbox:
        mailbox = self._tenant.find_mailbox(user)
        if mailbox is None:
            raise RefusedError(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")
        if not mailbox.app_may_send:
            raise RefusedError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return mailbox

    def _read(self, call: GraphCall) -> tuple[OutboundMail, bool]:
        if len(call.body) > BODY_LIMIT_BYTES:
            raise RefusedError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
        match call.content_type.partition(";")[0].strip().lower():
            case "text/plain":
                return read_mime(_decode(call.body)), True
            case "application/json":
                return _read_json(parse_body(call.body))
        raise RefusedError(415, "UnsupportedMediaType", "The content type must be application/json or text/plain.")


def _decode(body: bytes) -> bytes:
    if not _BASE64.fullmatch(body) or len(body) % 4:
        raise bad_request("Invalid base64 string for MIME content.", "ErrorMimeContentInvalidBase64String")
    return b64decode(body)


def _read_json(body: Mapping[str, object]) -> tuple[OutboundMail, bool]:
    given = {name.lower(): value for name, value in body.items()}  # actions take `Message` as well as `message`
    message, is_kept = given.get("message"), given.get("savetosentitems", True)
    if given.keys() - {"message", "savetosentitems"} or not isinstance(message, dict) or not isinstance(is_kept, bool):
        raise bad_request("The parameters of sendMail are Message and SaveToSentItems.", "RequestBodyRead")
    for name in message.keys() - _MESSAGE:
        if name == "@odata.type" and message[name] == _MESSAGE_TYPE:
            continue
        if name in _OTHER:
            raise not_simulated(f"the property {name} of a message that is sent")
        raise bad_request(f"The property '{name}' does not exist on type 'microsoft.graph.message'.", "RequestBodyRead")
    return read_mime(_write_mime(message)), is_kept


def _write_mime(message: Mapping[str, object]) -> bytes:
    mime = EmailMessage(policy=SMTP)
    mime["Subject"] = str(message.get("subject", ""))
    for name, header in _RECIPIENTS.items():
        addresses = [_address(one) for one in _list(message.get(name))]
        if addresses:
            require_recipients(addresses)
            mime[header] = [Address(addr_spec=one) for one in addresses]
    if message.get("from") is not None:
        mime["From"] = _address(message["from"])
    for one in _list(message.get("internetMessageHeaders")):
        _add_header(mime, one)
    _add_body(mime, message.get("body"))
    return mime.as_bytes()


def _list(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad_request("A collection is expected.", "RequestBodyRead")
    return value


def _address(value: object) -> str:
    found = value.get("emailAddress") if isinstance(value, dict) else None
    address = found.get("address") if isinstance(found, dict) else None
    if not isinstance(address, str):
        raise bad_request("At least one recipient is not valid.", "ErrorInvalidRecipients")
    return address


def _add_header(mime: EmailMessage, value: object) -> None:
    name, content = (value.get("name"), value.get("value")) if isinstance(value, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(content, str):
        raise bad_request("A header has a name and a value.", "RequestBodyRead")
    if not name.lower().startswith("x-"):
        raise bad_request(
            f"The internet message header name '{name}' should start with 'x-' or 'X-'.", "InvalidInternetMessageHeader"
        )
    mime[name] = content


def _add_body(mime: EmailMessage, value: object) -> None:
    body = value if isinstance(value, dict) else {}
    kind, content = str(body.get("contentType", "text")).lower(), body.get("content", "")
    if kind not in {"text", "html"} or not isinstance(content, str):
        raise bad_request("A body has a contentType, text or html, and a content.", "RequestBodyRead")
    mime.set_content(content, subtype="plain" if kind == "text" else "html")
