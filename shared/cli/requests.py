"""What an operator wrote, by arguments or as a line of a file, made into a message for the queue.

The invariant: what is `Ready` holds the very body that the intake's own codec has accepted, so that nothing is sent
whose fields the intake refuses. Every request has a `requestId`, the operator's or one derived from its content,
because that makes the second copy of a message harmless. Nothing here reaches the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..codecs.manual_message import SCHEMA_VERSION, BadManualMessage, read_manual_message
from ..domain import keys
from ..domain.model import Kind
from ..domain.requests import ManualRequest
from ..domain.text import clean
from ..domain.urls import refanged
from .contents import Content, UnusableContent, open_mail, read_content, recipient_named_in

PATH = "path"
"""The one field that no message has: a file here, whose content is uploaded and named in the message instead."""

_PLACES = {Kind.EMAIL.value: "message", Kind.FILE.value: "file"}


@dataclass(frozen=True, slots=True)
class Draft:
    """One request as it was written. `place` tells the operator where; `fields` are the message's, and `path`."""

    place: str
    fields: Mapping[str, Any]
    folder: Path = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A request that may be sent.

    `recipient` is the one that was taken from the mail's own headers, `refanged` the URL that was written defanged,
    `renamed` the name of a file whose own has characters that are not what they seem.
    """

    place: str
    body: str
    request_id: str
    submission_id: str
    content_digest: str
    content: Content | None = None
    recipient: str | None = None
    refanged: str | None = None
    renamed: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is not sent; `detail` names the field and its rule."""

    place: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same request as the one at `first`, which is sent once."""

    place: str
    first: str
    request_id: str
    submission_id: str


Checked = Ready | Refused | Repeated


@dataclass(frozen=True, slots=True)
class Examiner:
    """Checks drafts one by one, and remembers of each request only what tells that it came before.

    `defaults` are the fields that hold where a draft says nothing; `kind` is what all of them must be; `now` (aware) is
    what expiry times are held against.
    """

    kind: str
    defaults: Mapping[str, Any]
    now: datetime
    is_refanging: bool = False
    """Whether a defanged URL is sent as it was; else it is refused."""
    _seen: dict[str, tuple[str, str]] = field(default_factory=dict)

    def check_all(self, drafts: Iterable[Draft | Refused]) -> Iterator[Checked]:
        """Each draft's fate, in order; what could not even be read stays refused."""
        return (draft if isinstance(draft, Refused) else self.check(draft) for draft in drafts)

    def check(self, draft: Draft) -> Checked:
        """Whether the request may be sent, as what, and why not."""
        try:
            ready = self._ready(draft)
        except BadManualMessage as error:
            return Refused(draft.place, error.reason, error.detail)
        first, digest = self._seen.setdefault(ready.submission_id, (draft.place, ready.content_digest))
        if first == draft.place:
            return ready
        if digest != ready.content_digest:
            return Refused(draft.place, "request_id_conflict", f"requestId: stands for other content, {first}")
        return Repeated(draft.place, first, ready.request_id, ready.submission_id)

    def _ready(self, draft: Draft) -> Ready:
        fields = {"schemaVersion": SCHEMA_VERSION, "kind": self.kind, **_merged(self.defaults, draft.fields)}
        if fields["kind"] != self.kind:
            raise BadManualMessage("invalid_field", f"kind: must be {self.kind} here")
        content, recipient = _take_content(fields, draft.folder)
        plain = _refang(fields) if self.is_refanging else None
        body, request = _with_id(fields, self.now)
        return Ready(
            place=draft.place,
            body=body,
            request_id=request.request_id or "",
            submission_id=keys.request_id(request.request_id or ""),
            content_digest=request.content_digest,
            content=content,
            recipient=recipient,
            refanged=plain,
            renamed=_renamed(draft, fields),
        )


def derived_id(content_digest: str) -> str:
    """The `requestId` of a request to which nobody gave one: the same content is the same request."""
    return f"cli-{content_digest[:32]}"


def _refang(fields: dict[str, Any]) -> str | None:
    """Put the URL as it was in place of a defanged one; returns it, or None where nothing was to be done."""
    written = fields.get("url")
    if not isinstance(written, str) or refanged(written) == written:
        return None
    fields["url"] = refanged(written)
    return refanged(written)


def _with_id(fields: dict[str, Any], now: datetime) -> tuple[str, ManualRequest]:
    """The body to send, and what the intake will read in it; raises `BadManualMessage`."""
    body = _body(fields)
    request = read_manual_message(body, now=now)
    if request.request_id is not None:
        return body, request
    body = _body({**fields, "requestId": derived_id(request.content_digest)})
    return body, read_manual_message(body, now=now)


def _body(fields: Mapping[str, Any]) -> str:
    try:
        return json.dumps(fields, separators=(",", ":"))
    except RecursionError:
        raise BadManualMessage("not_json", "the message: nested too deeply") from None


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The draft's own fields before the defaults, within an object too: a line may give an entry's note alone."""
    merged = {**defaults, **own}
    for name in defaults.keys() & own.keys():
        if isinstance(defaults[name], dict) and isinstance(own[name], dict):
            merged[name] = {**defaults[name], **own[name]}
    return merged


def _take_content(fields: dict[str, Any], folder: Path) -> tuple[Content | None, str | None]:
    """Put the uploaded file's name in place of `path`; returns it, and the recipient that a mail itself names."""
    if PATH not in fields:
        return None, None
    path, place = fields.pop(PATH), _PLACES.get(str(fields["kind"]))
    if place is None:
        raise BadManualMessage("unknown_field", f"{PATH}: a URL has no content")
    if not isinstance(path, str) or not path:
        raise BadManualMessage("invalid_field", f"{PATH}: must be the path of a file")
    given = fields.get(place, {})
    if not isinstance(given, dict) or given.keys() - {"name"}:
        raise BadManualMessage("invalid_field", f"{place}: must not be given beside {PATH}")
    return _uploaded(fields, place, folder / path)


def _plain_name(path: Path) -> str:
    """The file's name without what hides or turns its end, and without the other system's separator.

    Such a name is a lure's own (`invoice\u202efdp.exe`), so the file is what one wants to submit. The intake
    cleans names too, but refuses a separator.
    """
    return clean(path.name).replace("\\", "_").strip()


def _renamed(draft: Draft, fields: Mapping[str, Any]) -> str | None:
    """The name under which a file is sent that has another one here; None where it keeps its own, or was given one."""
    given = draft.fields.get("file")
    if fields["kind"] != Kind.FILE.value or PATH not in draft.fields or (isinstance(given, dict) and "name" in given):
        return None
    name = fields["file"]["name"]
    return None if name == Path(draft.fields[PATH]).name else name


def _uploaded(fields: dict[str, Any], place: str, path: Path) -> tuple[Content, str | None]:
    try:
        content, octets = read_content(path)
        if place == "file":
            fields[place] = {"name": _plain_name(path), **fields.get(place, {}), "content": content.name}
            return content, None
        fields[place] = {**fields.get(place, {}), "content": content.name}
        mail = open_mail(octets)
        if "recipient" in fields:
            return content, None
        fields["recipient"] = recipient_named_in(mail)
        return content, fields["recipient"]
    except UnusableContent as error:
        raise BadManualMessage(error.reason, str(error)) from None
