"""The queue `manual-submissions`: what operators send, checked to the last field (contract, section 3).

A message becomes a valid `ManualRequest` or one `BadManualMessage` that names the field and its rule; no body, however
malformed, gets another exception out of here. Details repeat at most 100 cleaned characters of what was sent. Import
this module only where a message is read: pydantic is the dearest import of the app.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from ..domain.errors import DefenderSubmissionsError
from ..domain.model import Category, Kind, Priority
from ..domain.requests import ContentBlob, ManualRequest, MessageById, MessageByInternetId, RequestedFile
from ..domain.submissions import AllowOrBlock
from ..domain.text import MAX_ADDRESS, clean, is_address
from ..domain.urls import url_problem

SCHEMA_VERSION: Final = 1
MAX_BYTES = 48 * 1024
"""Size of the JSON text in UTF-8."""
LONGEST_ENTRY = timedelta(days=30)
"""How far ahead an allow or block entry may expire (Defender documentation, "Tenant Allow/Block List", 2026-07)."""
RESERVED_NAMES = frozenset({"id", "dequeuecount", "expirationtime", "insertiontime", "nextvisibletime", "popreceipt"})
"""Top-level names, in lower case, that the Functions host takes for metadata of the queue message, in any case."""

REQUEST_ID = r"[A-Za-z0-9._-]{1,64}"
_MESSAGE_ID = r"<[!-;=?-~]{1,996}>"
_GRAPH_ID = r"[A-Za-z0-9+/=_-]{1,1024}"
_SUBMISSION_ID = "^[0-9a-f]{32}$"
_A_SUBMISSION_ID = "must be a SubmissionId: 32 characters, digits and a to f"
_PATTERNS_IN_WORDS = {
    "requestId": "must have 1 to 64 letters, digits, dots, dashes and underscores",
    "disputes": _A_SUBMISSION_ID,
    "review.submissionId": _A_SUBMISSION_ID,
    "message.messageId": "must be Graph's id: letters, digits and + / = _ -, at most 1,024",
    "message.internetMessageId": "must be the Message-ID with its angle brackets, such as <abc@mail.example>: no white "
    "space, no further < or >, nothing but ASCII, at most 998 characters",
}

_BYTE_ORDER_MARK = "\ufeff"
_MAX_PATH = 25
_MAX_ERRORS = 4


class BadManualMessage(DefenderSubmissionsError):
    """The message breaks a rule and always will. `reason` is a code, `detail` names the field and the rule.

    Codes: `too_long`, `not_json`, `not_an_object`, `duplicate_field`, `reserved_field`, `unsupported_version`,
    `missing_field`, `unknown_field`, `invalid_field`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class EntryOutOfTime(BadManualMessage):
    """The allow or block entry expires too soon or too late; `request` is valid otherwise.

    It is a rule for new requests: one that was accepted before stays the same request when its message comes again.
    """

    def __init__(self, request: ManualRequest) -> None:
        self.request = request
        detail = f"allowOrBlock.expiresAt: must lie ahead, by {LONGEST_ENTRY.days} days at most"
        super().__init__("invalid_field", detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadableFacts:
    """The part of a bad message that can be believed."""

    kind: Kind | None = None
    category: Category | None = None
    requested_by: str | None = None
    request_id: str | None = None
    mailbox: str | None = None
    message_id: str | None = None
    internet_message_id: str | None = None


# --- The message as it is sent --------------------------------------------------------------------------------------


def _mail_address(value: str) -> str:
    if not is_address(value):
        raise ValueError("must be a mail address")
    return value


def _web_url(value: str) -> str:
    problem = url_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def _blob_name(value: str) -> str:
    if clean(value, len(value)) != value or value.startswith("/") or ".." in value or "\\" in value:
        raise ValueError("must be a blob name without a leading slash, '..', backslash or control character")
    return value


def _file_name(value: str) -> str:
    if not clean(value, len(value)).strip() or re.search(r"[/\\]", value):
        raise ValueError("must be a file name without path separators, not of invisible characters alone")
    return value


def _instant(value: object) -> datetime:
    text = value if isinstance(value, str) else ""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", text, re.ASCII):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a time with its offset, such as 2026-12-20T00:00:00Z")


_Address = Annotated[
    str, Field(max_length=MAX_ADDRESS, json_schema_extra={"format": "email"}), AfterValidator(_mail_address)
]
_Url = Annotated[str, Field(max_length=2_048, json_schema_extra={"format": "uri"}), AfterValidator(_web_url)]
_BlobName = Annotated[str, Field(min_length=1, max_length=1_024), AfterValidator(_blob_name)]
_FileName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_file_name)]
_Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]


class _Model(BaseModel):
    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        field_title_generator=lambda name, _: to_camel(name),
    )


class MessageByIdFields(_Model):
    """A mail by its Graph id in one mailbox."""

    mailbox: _Address
    message_id: str = Field(pattern=f"^{_GRAPH_ID}$", description="Graph's id, case-sensitive")


class MessageByInternetIdFields(_Model):
    """A mail by its Message-ID header in one mailbox."""

    mailbox: _Address
    internet_message_id: str = Field(pattern=f"^{_MESSAGE_ID}$", description="the Message-ID, with < and >")


class MessageByContentFields(_Model):
    """A mail that the operator has uploaded."""

    content: _BlobName = Field(description="a blob in the container submission-content that holds the .eml")


_FORMS = ("messageId", "internetMessageId", "content")


def _one_form(value: object) -> object:
    if not isinstance(value, dict) or len(value.keys() & set(_FORMS)) != 1:
        raise ValueError("must be one of {mailbox, messageId}, {mailbox, internetMessageId} and {content}")
    return value


def _form(value: dict[str, object]) -> str:
    return next(name for name in _FORMS if name in value)


_Message = Annotated[
    Annotated[MessageByIdFields, Tag("messageId")]
    | Annotated[MessageByInternetIdFields, Tag("internetMessageId")]
    | Annotated[MessageByContentFields, Tag("content")],
    Discriminator(_form),
    BeforeValidator(_one_form),
]


class AllowOrBlockFields(_Model):
    """An entry wanted on the tenant's allow/block list: allow with notJunk, block with the others."""

    action: Literal["allow", "block"]
    expires_at: _Instant = Field(description="at most 30 days ahead")
    note: str | None = Field(None, max_length=200)


class FileFields(_Model):
    """A file that the operator has uploaded."""

    name: _FileName
    content: _BlobName = Field(description="a blob in the container submission-content")


class ReviewFields(_Model):
    """A row that a user brought to Microsoft."""

    submission_id: str = Field(
        pattern=_SUBMISSION_ID, description="the SubmissionId of a row with Source microsoft, of the last 30 days"
    )


class _Request(_Model):
    schema_version: Literal[1]
    request_id: str | None = Field(None, pattern=f"^{REQUEST_ID}$")
    requested_by: _Address
    reason: str | None = Field(None, max_length=500)
    priority: Literal["urgent", "normal", "low"] = "urgent"


class _Submission(_Request):
    disputes: str | None = Field(
        None,
        pattern=_SUBMISSION_ID,
        description="a SubmissionId whose verdict refuted the claim: the item is submitted anew, never covered",
    )


class EmailRequest(_Submission):
    """A mail to submit."""

    kind: Literal["email"]
    category: Literal["phishing", "malware", "spam", "notJunk"]
    recipient: _Address = Field(description="who received the message")
    message: _Message
    allow_or_block: AllowOrBlockFields | None = None


class UrlRequest(_Submission):
    """A URL to submit."""

    kind: Literal["url"]
    category: Literal["phishing", "malware", "notJunk"]
    url: _Url


class FileRequest(_Submission):
    """A file to submit."""

    kind: Literal["file"]
    category: Literal["phishing", "malware", "notJunk"]
    file: FileFields


class ReviewRequest(_Request):
    """What an administrator decides of a mail that a user has submitted; Microsoft tells the user."""

    kind: Literal["review"]
    category: Literal["phishing", "malware", "spam", "notJunk"]
    review: ReviewFields


_AnyRequest = EmailRequest | UrlRequest | FileRequest | ReviewRequest
_ADAPTER: TypeAdapter[_AnyRequest] = TypeAdapter(Annotated[_AnyRequest, Field(discriminator="kind")])


def manual_message_schema() -> dict[str, Any]:
    """The JSON schema of a message; rules that span fields or need the time of day are not in it."""
    return _ADAPTER.json_schema(by_alias=True)


# --- Reading it -----------------------------------------------------------------------------------------------------


def read_manual_message(body: str, *, now: datetime) -> ManualRequest:
    """The request in a queue message: JSON, or base64 of it; a byte order mark is passed over.

    `now` (aware) is what `expiresAt` is held against. Raises `BadManualMessage`, its kind `EntryOutOfTime` only where
    every other rule is kept.
    """
    text = _json_text(body)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise BadManualMessage("too_long", f"the message: at most {MAX_BYTES} bytes of UTF-8")
    fields = _object(text)
    _check_envelope(fields)
    try:
        sent = _ADAPTER.validate_python(fields, by_alias=True)
    except ValidationError as error:
        raise _bad_message(error) from None
    request = _request(sent, _digest(fields))
    if request.allow_or_block:
        _check_entry(request, request.allow_or_block, now)
    return request


def readable_facts(body: str) -> ReadableFacts:
    """What a message that broke a rule still tells, so that its sender finds the row; each fact is good by itself."""
    try:
        fields = _object(_json_text(body))
    except BadManualMessage:
        return ReadableFacts()
    told = {name: value for name, value in fields.items() if isinstance(value, str)}
    requested_by, request_id = told.get("requestedBy", ""), told.get("requestId", "")
    place = fields.get("message")
    named = {name: value for name, value in place.items() if isinstance(value, str)} if isinstance(place, dict) else {}
    mailbox, internet_id = named.get("mailbox", ""), named.get("internetMessageId", "")
    message_id = named.get("messageId", "")
    return ReadableFacts(
        kind=Kind(told["kind"]) if told.get("kind") in set(Kind) else None,
        category=Category(told["category"]) if told.get("category") in set(Category) else None,
        requested_by=requested_by if is_address(requested_by) else None,
        request_id=request_id if re.fullmatch(REQUEST_ID, request_id) else None,
        mailbox=mailbox if is_address(mailbox) else None,
        message_id=message_id if re.fullmatch(_GRAPH_ID, message_id) else None,
        internet_message_id=internet_id if re.fullmatch(_MESSAGE_ID, internet_id) else None,
    )


def _json_text(body: str) -> str:
    text = body.removeprefix(_BYTE_ORDER_MARK).strip()
    if text.startswith("{"):
        return text
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True).decode("utf-8-sig").strip()
    except ValueError:
        return text
    return decoded if decoded.startswith("{") else text


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadManualMessage(
            "not_json", f"the message: must be JSON or base64 of it ({clean(str(error), 100)})"
        ) from None
    except RecursionError:
        raise BadManualMessage("not_json", "the message: nested too deeply") from None
    if not isinstance(found, dict):
        raise BadManualMessage("not_an_object", "the message: must be a JSON object")
    return found


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadManualMessage("duplicate_field", f"{clean(name, _MAX_PATH)}: given twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_envelope(fields: dict[str, Any]) -> None:
    reserved = sorted(RESERVED_NAMES & {name.lower() for name in fields})
    if reserved:
        detail = f"{', '.join(reserved)}: the Functions host takes it for metadata of the queue message"
        raise BadManualMessage("reserved_field", detail)
    if "schemaVersion" not in fields:
        raise BadManualMessage("missing_field", "schemaVersion: is required")
    version = fields["schemaVersion"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BadManualMessage("unsupported_version", f"schemaVersion: must be {SCHEMA_VERSION}")


def _bad_message(error: ValidationError) -> BadManualMessage:
    found = error.errors(include_url=False, include_input=False)[:_MAX_ERRORS]
    problems = [_problem(one) for one in found]
    return BadManualMessage(problems[0][0], "; ".join(detail for _, detail in problems))


def _problem(error: ErrorDetails) -> tuple[str, str]:
    if error["type"].startswith("union_tag"):
        reason = "missing_field" if error["type"] == "union_tag_not_found" else "invalid_field"
        return reason, "kind: must be email, url, file or review"
    path = _path(error["loc"])
    match error["type"]:
        case "missing":
            return "missing_field", f"{path}: is required"
        case "extra_forbidden":
            return "unknown_field", f"{path}: is not a field of this message"
        case "model_type":
            return "invalid_field", f"{path}: must be an object"
        case "string_pattern_mismatch" if path in _PATTERNS_IN_WORDS:
            return "invalid_field", f"{path}: {_PATTERNS_IN_WORDS[path]}"
    return "invalid_field", f"{path}: {error['msg'].removeprefix('Value error, ')}"


def _path(location: tuple[int | str, ...]) -> str:
    """The field as the operator wrote it: without pydantic's marks for the chosen kind and form of message."""
    _, *names = location
    if names[:1] == ["message"]:
        names = [names[0], *names[2:]]
    return clean(".".join(map(str, names)), _MAX_PATH)


def _check_entry(request: ManualRequest, entry: AllowOrBlock, now: datetime) -> None:
    if (entry.action == "allow") != (request.category is Category.NOT_JUNK):
        detail = "allowOrBlock.action: allow goes only with the category notJunk, block only with the others"
        raise BadManualMessage("invalid_field", detail)
    if not now < entry.expires_at <= now + LONGEST_ENTRY:
        raise EntryOutOfTime(request)


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _request(sent: _AnyRequest, content_digest: str) -> ManualRequest:
    email = sent if isinstance(sent, EmailRequest) else None
    return ManualRequest(
        kind=Kind(sent.kind),
        category=Category(sent.category),
        priority=Priority(sent.priority),
        requested_by=sent.requested_by,
        content_digest=content_digest,
        request_id=sent.request_id,
        reason=_text(sent.reason),
        disputes=None if isinstance(sent, ReviewRequest) else sent.disputes,
        recipient=email.recipient if email else None,
        message=_message(email.message) if email else None,
        allow_or_block=_entry(email.allow_or_block) if email else None,
        url=sent.url if isinstance(sent, UrlRequest) else None,
        file=_file(sent.file) if isinstance(sent, FileRequest) else None,
        reviews=sent.review.submission_id if isinstance(sent, ReviewRequest) else None,
    )


def _file(sent: FileFields) -> RequestedFile:
    """The file under a name that is what it seems: one that hides or turns its end is a lure's own."""
    name = clean(sent.name, len(sent.name)).strip()
    return RequestedFile(name, ContentBlob(sent.content), is_renamed=name != sent.name)


def _message(
    sent: MessageByIdFields | MessageByInternetIdFields | MessageByContentFields,
) -> MessageById | MessageByInternetId | ContentBlob:
    if isinstance(sent, MessageByIdFields):
        return MessageById(sent.mailbox, sent.message_id)
    if isinstance(sent, MessageByInternetIdFields):
        return MessageByInternetId(sent.mailbox, sent.internet_message_id)
    return ContentBlob(sent.content)


def _entry(sent: AllowOrBlockFields | None) -> AllowOrBlock | None:
    return AllowOrBlock(sent.action, sent.expires_at, _text(sent.note)) if sent else None


def _text(value: str | None) -> str | None:
    return clean(value).strip() or None if value else None
