"""The published schema of an operator's message takes what the app takes, and refuses what it refuses."""

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from shared.cli.schema import message_schema
from shared.codecs.manual_message import BadManualMessage, read_manual_message
from tests.support.command_line import ROOT, run

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
COMMON = {"schemaVersion": 1, "category": "phishing", "requestedBy": "alice@contoso.com"}
ENTRY = {"action": "block", "expiresAt": "2026-12-20T00:00:00Z", "note": "case"}
BY_ID = {"mailbox": "bob@contoso.com", "messageId": "AAMkAGI2THVSAAA="}
EMAIL = {**COMMON, "kind": "email", "recipient": "bob@contoso.com", "message": BY_ID, "allowOrBlock": ENTRY}
URL = {**COMMON, "kind": "url", "url": "https://user@evil.example:8443/a?b=c#d"}
REVIEW = {**COMMON, "kind": "review", "review": {"submissionId": "5d0c7a1e2b3f4a596877869504132231"}}
FILE = {**COMMON, "kind": "file", "file": {"name": "invoice (1).html", "content": "2026/12/invoice.html"}}
ACTIONS = ({**ENTRY, "action": "allow"}, ENTRY, None)
TEXTS = (
    *("", "a", "a@b", "a@b.example", "A.b+c@B.example", "a@b.example\n", "a@-b", "@b", "a@@b", "a b@c", "é@b", "a@é"),
    *(
        "x" * 64,
        "x" * 65,
        "x" * 200,
        "x" * 201,
        "x" * 500,
        "x" * 501,
        f"a@{'b' * 63}.c",
        f"a@{'b' * 64}.c",
        "case-1_2.3",
    ),
    *("http://x", "HTTPS://X", "https://", "https:///x", "ftp://x", "https://u@", "https://:80", "https://a b", "//x"),
    *("https://a@b@c/d", "https://a@b?c@d", "https://[::1]:8/", "https://a:b@c:8"),
    *("https://é.example/ü", "https://a/\u202eb", "https://a\x00", "a/b", "/a", "a//b", "a/../b", "..", "a\\b", "a\tb"),
    *("2026-12-20T00:00:00Z", "2026-12-20T00:00:00+01:00", "2026-12-20T00:00:00", "2026-12-20", "20261220T000000Z"),
    *(
        "email",
        "url",
        "file",
        "phishing",
        "malware",
        "spam",
        "notJunk",
        "urgent",
        "low",
        "allow",
        "block",
        "<a@b>",
        "<>",
    ),
)
VALUES: tuple[object, ...] = (
    *TEXTS,
    *ACTIONS,
    None,
    0,
    1,
    2,
    True,
    False,
    [],
    {},
    [1],
    BY_ID,
    {**BY_ID, "more": 1},
    {"content": "a.eml"},
)
PATHS = (
    *(
        "schemaVersion",
        "kind",
        "category",
        "requestId",
        "requestedBy",
        "reason",
        "priority",
        "recipient",
        "message",
        "url",
    ),
    *("url", "file", "file.name", "file.content", "message.mailbox", "message.messageId", "message.internetMessageId"),
    *("message.content", "allowOrBlock", "allowOrBlock.action", "allowOrBlock.expiresAt", "allowOrBlock.note", "id"),
    *("review", "review.submissionId"),
)


def _pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    """Check a pattern as ECMAScript does, whose `$` is the very end; Python's is also before a line end."""
    if isinstance(instance, str) and not re.search(pattern.replace("$)", r"\Z)").removesuffix("$") + r"\Z", instance):
        yield ValidationError(f"{instance!r} is not {pattern!r}")


VALIDATOR: Any = extend(Draft202012Validator, {"pattern": _pattern})(message_schema())  # type: ignore[no-untyped-call]


def app_refuses(message: object) -> str | None:
    """Return the app's refusal of a message, or None."""
    try:
        read_manual_message(json.dumps(message), now=NOW)
    except BadManualMessage as bad:
        return bad.detail
    return None


def changed(message: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return the message with the field at a dotted path set, where there is something to set it in."""
    result = copy.deepcopy(message)
    *parents, name = path.split(".")
    target: Any = result
    for parent in parents:
        target = target.get(parent) if isinstance(target, dict) else None
    if isinstance(target, dict):
        target[name] = value
    return result


def test_it_is_published_as_it_is_printed() -> None:
    """The file in docs/ is what the command prints: `submissions schema > docs/manual-message.schema.json`."""
    done = run(None, "schema")
    assert (done.code, done.err) == (0, "")
    assert Path(ROOT / "docs" / "manual-message.schema.json").read_text() == done.out


def test_it_is_a_schema() -> None:
    """It keeps the rules of JSON Schema 2020-12."""
    Draft202012Validator.check_schema(message_schema())


@pytest.mark.parametrize("message", [EMAIL, URL, FILE, REVIEW], ids=["email", "url", "file", "review"])
def test_one_change_anywhere_is_judged_alike(message: dict[str, Any]) -> None:
    """Each field with each value, absent ones and unknown ones too: the schema says what the app says."""
    assert app_refuses(message) is None
    differing = []
    for path in PATHS:
        for value in VALUES:
            sent = changed(message, path, value)
            if VALIDATOR.is_valid(sent) != (app_refuses(sent) is None):
                differing.append((path, value, app_refuses(sent)))
    assert differing == []


@pytest.mark.parametrize("message", [EMAIL, URL, FILE], ids=["email", "url", "file"])
def test_what_is_left_out_is_judged_alike(message: dict[str, Any]) -> None:
    """Required fields are required in both."""
    for name in message:
        sent = {key: value for key, value in message.items() if key != name}
        assert VALIDATOR.is_valid(sent) == (app_refuses(sent) is None), name


@pytest.mark.parametrize("category", ["phishing", "malware", "spam", "notJunk"])
@pytest.mark.parametrize("entry", ACTIONS, ids=["allow", "block", "none"])
def test_allow_and_block_go_with_the_category(category: str, entry: object) -> None:
    """Allow goes with notJunk alone, block with the others."""
    sent = {**EMAIL, "category": category, "allowOrBlock": entry}
    assert VALIDATOR.is_valid(sent) == (app_refuses(sent) is None)


@given(st.sampled_from([EMAIL, URL, FILE, REVIEW]), st.sampled_from(PATHS), st.text(max_size=30))
def test_what_the_app_takes_the_schema_takes(message: dict[str, Any], path: str, text: str) -> None:
    """No text that the app takes is refused by the schema."""
    sent = changed(message, path, text)
    assert app_refuses(sent) is not None or VALIDATOR.is_valid(sent)
