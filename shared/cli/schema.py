"""`submissions schema`: the JSON schema of an operator's message, for editors and for programs that write messages.

It is made from the code that reads messages and completed with the rules that pydantic does not write down. The
invariant: what the app takes, the schema takes. The other way round a few rules remain that JSON Schema cannot say; its
description names them.
"""

from __future__ import annotations

import json
from typing import Any, Final

import click

from .output import write

TITLE = "A message on the queue manual-submissions"
DESCRIPTION = (
    "What an operator asks Defender Submissions for, as JSON in UTF-8 or as base64 of it. Beyond this schema the app "
    "refuses: more than 48 KiB, a name given twice, schemaVersion written as 1.0, a time that is in no calendar, "
    "allowOrBlock.expiresAt in the past or more than 30 days ahead, a host in url that no URL can have, and other "
    "invisible characters than the patterns name."
)
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_UNSEEN = r"\u0000-\u001f\u007f-\u009f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_USER = rf"[^\s/?#{_UNSEEN}]*"
_HOST = rf"[^\s/?#@{_UNSEEN}]*"
PATTERNS: Final = {
    "email": rf"^{_ATOM}(?:\.{_ATOM})*@(?=.{{1,255}}$){_LABEL}(?:\.{_LABEL})*$",
    "uri": rf"^[Hh][Tt][Tt][Pp][Ss]?://(?:{_USER}@)?[^\s/?#@:{_UNSEEN}]{_HOST}(?:[/?#][^\s{_UNSEEN}]*)?$",
    "date-time": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})$",
    "content": rf"^(?!/)(?!.*\.\.)[^\\{_UNSEEN}]+$",
    "name": rf"^[^/\\]*[^/\\\s{_UNSEEN}][^/\\]*$",
}
"""What texts look like, by their format or else by their field's name."""


@click.command("schema")
def print_schema() -> None:
    """Print the JSON schema of an operator's message.

    It is the same as docs/manual-message.schema.json. No account is needed, and --output changes nothing.

    \b
    Examples:
      submissions schema > manual-message.schema.json
    """  # noqa: D301 - \b keeps click from joining the lines
    write(schema_text())


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(message_schema(), indent=2)


def message_schema() -> dict[str, Any]:
    """The schema, JSON Schema 2020-12."""
    from ..codecs.manual_message import manual_message_schema  # noqa: PLC0415 - loads pydantic

    known = manual_message_schema()
    definitions = {name: _definition(one) for name, one in known["$defs"].items()}
    definitions["EmailRequest"] |= _action_by_category()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        "description": DESCRIPTION,
        "type": "object",
        "oneOf": known["oneOf"],
        "$defs": definitions,
    }


def _definition(known: dict[str, Any]) -> dict[str, Any]:
    """A definition without pydantic's titles, its texts with their patterns."""
    properties = {name: _field(name, one) for name, one in known["properties"].items()}
    return {**{key: value for key, value in known.items() if key != "title"}, "properties": properties}


def _field(name: str, known: dict[str, Any]) -> dict[str, Any]:
    field = {key: value for key, value in known.items() if key != "title" and (key, value) != ("default", None)}
    pattern = PATTERNS.get(field.get("format", name))
    return field if pattern is None else {**field, "pattern": pattern}


def _action_by_category() -> dict[str, Any]:
    """Allow goes only with the category notJunk, block only with the others."""
    return {
        "if": {"properties": {"category": {"const": "notJunk"}}},
        "then": {"properties": {"allowOrBlock": {"properties": {"action": {"const": "allow"}}}}},
        "else": {"properties": {"allowOrBlock": {"properties": {"action": {"const": "block"}}}}},
    }
