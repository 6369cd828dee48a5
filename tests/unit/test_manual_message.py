"""The operators' message: what is accepted, and which reason and field every other message gets."""

import base64
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.manual_message import (
    MAX_BYTES,
    BadManualMessage,
    ReadableFacts,
    manual_message_schema,
    read_manual_message,
    readable_facts,
)
from shared.domain.model import Category, Kind, Priority
from shared.domain.requests import ContentBlob, ManualRequest, MessageById, MessageByInternetId, RequestedFile
from shared.domain.submissions import AllowOrBlock

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
EMAIL: dict[str, Any] = {
    "schemaVersion": 1,
    "kind": "email",
    "category": "phishing",
    "requestId": "case-4711",
    "requestedBy": "alice@contoso.com",
    "reason": "seen in the wild",
    "priority": "urgent",
    "recipient": "bob@contoso.com",
    "message": {"mailbox": "bob@contoso.com", "internetMessageId": "<abc@evil.example>"},
    "allowOrBlock": {"action": "block", "expiresAt": "2026-12-20T00:00:00Z", "note": "case-4711"},
}
URL: dict[str, Any] = {
    "schemaVersion": 1,
    "kind": "url",
    "category": "malware",
    "requestedBy": "alice@contoso.com",
    "url": "https://user@evil.example:8443/a?b=c#d",
}
FILE: dict[str, Any] = {
    "schemaVersion": 1,
    "kind": "file",
    "category": "notJunk",
    "requestedBy": "alice@contoso.com",
    "file": {"name": "invoice (1).html", "content": "2026/12/invoice.html"},
}
REVIEW: dict[str, Any] = {
    "schemaVersion": 1,
    "kind": "review",
    "category": "spam",
    "requestedBy": "alice@contoso.com",
    "review": {"submissionId": "5d0c7a1e2b3f4a596877869504132231"},
}
REASONS = {
    *("too_long", "not_json", "not_an_object", "duplicate_field", "reserved_field", "unsupported_version"),
    *("missing_field", "unknown_field", "invalid_field"),
}


def read(message: object) -> ManualRequest:
    """Read a message that has to be accepted; strings are bodies, everything else is sent as JSON."""
    return read_manual_message(message if isinstance(message, str) else json.dumps(message), now=NOW)


def refusal(message: object) -> tuple[str, str]:
    """Return reason and detail of a message that has to be refused."""
    with pytest.raises(BadManualMessage) as caught:
        read(message)
    return caught.value.reason, caught.value.detail


def changed(message: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return the message with the field at the dotted path set, or left out where the value is `...`."""
    result = copy.deepcopy(message)
    *parents, name = path.split(".")
    target = result
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[name]
    else:
        target[name] = value
    return result


def test_the_contracts_example() -> None:
    """The contract's example becomes the request that it says."""
    request = read(EMAIL)
    assert request == ManualRequest(
        kind=Kind.EMAIL,
        category=Category.PHISHING,
        priority=Priority.URGENT,
        requested_by="alice@contoso.com",
        content_digest=request.content_digest,
        request_id="case-4711",
        reason="seen in the wild",
        recipient="bob@contoso.com",
        message=MessageByInternetId("bob@contoso.com", "<abc@evil.example>"),
        allow_or_block=AllowOrBlock("block", datetime(2026, 12, 20, tzinfo=UTC), "case-4711"),
    )


def test_url_and_file() -> None:
    """A URL and a file need no recipient and are urgent unless they say otherwise."""
    url, file = read(URL), read(FILE)
    assert (url.kind, url.category, url.priority, url.url) == (Kind.URL, Category.MALWARE, Priority.URGENT, URL["url"])
    assert (file.kind, file.category) == (Kind.FILE, Category.NOT_JUNK)
    assert file.file == RequestedFile("invoice (1).html", ContentBlob("2026/12/invoice.html"))
    assert (url.request_id, url.reason, url.message, url.file, file.url) == (None,) * 5


def test_three_ways_to_name_a_mail() -> None:
    """A mail is named by its Graph id, its Message-ID or the blob that holds it."""
    by_id = {"mailbox": "bob@contoso.com", "messageId": "AAMkAD-_=+/z"}
    assert read(changed(EMAIL, "message", by_id)).message == MessageById("bob@contoso.com", "AAMkAD-_=+/z")
    assert read(changed(EMAIL, "message", {"content": "mails/x.msg"})).message == ContentBlob("mails/x.msg")


@pytest.mark.parametrize("path", ["requestId", "reason", "priority", "allowOrBlock", "allowOrBlock.note"])
def test_optional_fields_may_be_left_out(path: str) -> None:
    """What the contract calls optional is."""
    assert read(changed(EMAIL, path, ...)).kind is Kind.EMAIL


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "byte order mark": lambda text: "\ufeff" + text,
    "white space": lambda text: f"\r\n {text}\t\n",
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "wrapped base64": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 of a byte order mark": lambda text: base64.b64encode(text.encode("utf-8-sig")).decode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_are_alike(encoding: str) -> None:
    """Plain or base64, however it was written: the same request with the same digest."""
    message = changed(EMAIL, "reason", "gesehen bei Größe 你好")
    for text in (json.dumps(message), json.dumps(message, indent=4, ensure_ascii=False, sort_keys=True)):
        assert read(ENCODINGS[encoding](text)) == read(message)


def test_other_content_has_another_digest() -> None:
    """Any changed field changes the digest, which is how a reused request id is caught."""
    messages = [EMAIL, changed(EMAIL, "reason", "other"), changed(EMAIL, "allowOrBlock.note", ...), URL, FILE]
    digests = {read(message).content_digest for message in messages}
    assert len(digests) == len(messages)
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not_json"),
        ("hello", "not_json"),
        ("{", "not_json"),
        ("{'kind': 1}", "not_json"),
        (base64.b64encode(b"hello").decode(), "not_json"),
        (base64.b64encode(b"{\xff}").decode(), "not_json"),
        ('{"schemaVersion": NaN}', "not_json"),
        ('{"schemaVersion": -Infinity}', "not_json"),
        ('{"schemaVersion": ' + "9" * 5_000 + "}", "not_json"),
        ('{"a": ' * 8_000, "not_json"),
        ("[" * 20_000, "not_json"),
        ("null", "not_an_object"),
        ("true", "not_an_object"),
        ("4711", "not_an_object"),
        ('"{}"', "not_an_object"),
        ("[{}]", "not_an_object"),
        ('{"kind": "email", "kind": "url"}', "duplicate_field"),
        (json.dumps(URL)[:-1] + ', "url": "https://b.example"}', "duplicate_field"),
        ("{}", "missing_field"),
    ],
)
def test_what_is_no_message(body: str, reason: str) -> None:
    """A body that is no JSON object, or not a clear one, is refused with the reason that fits."""
    assert refusal(body)[0] == reason


def test_the_size_is_that_of_the_json() -> None:
    """48 KiB of UTF-8 are read, one byte more is not, in base64 the same."""
    fits = json.dumps(URL) + " " * (MAX_BYTES - len(json.dumps(URL)))
    longest = json.dumps(URL)[:-1] + " " * (MAX_BYTES - len(json.dumps(URL))) + "}"
    assert read(fits) == read(URL)
    for text in (longest, base64.b64encode(longest.encode()).decode()):
        assert read(text) == read(URL)
    too_long = longest[:-1] + " }"
    for text in (too_long, base64.b64encode(too_long.encode()).decode()):
        assert refusal(text)[0] == "too_long"
    assert refusal(json.dumps({"reason": "é" * 25_000}, ensure_ascii=False))[0] == "too_long"


@pytest.mark.parametrize("name", ["id", "ID", "dequeueCount", "DEQUEUECOUNT", "expirationTime", "insertionTime",
                                  "nextVisibleTime", "popReceipt"])  # fmt: skip
def test_reserved_names_are_refused(name: str) -> None:
    """A top-level name that the Functions host takes for metadata is refused in any case, whatever its value."""
    reason, detail = refusal({**URL, name: "never"})
    assert reason == "reserved_field"
    assert name.lower() in detail
    assert read(changed(EMAIL, "allowOrBlock.note", "id")).kind is Kind.EMAIL


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None, [1]])
def test_only_version_1_is_known(version: object) -> None:
    """The version is the number 1; anything else may mean something else."""
    assert refusal({**URL, "schemaVersion": version}) == ("unsupported_version", "schemaVersion: must be 1")


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (URL, "kind"),
        (URL, "category"),
        (URL, "requestedBy"),
        (URL, "url"),
        (FILE, "file"),
        (FILE, "file.name"),
        (FILE, "file.content"),
        (EMAIL, "recipient"),
        (EMAIL, "message"),
        (EMAIL, "message.mailbox"),
        (EMAIL, "allowOrBlock.action"),
        (EMAIL, "allowOrBlock.expiresAt"),
    ],
)
def test_required_fields_are_missed_by_name(message: dict[str, Any], path: str) -> None:
    """A missing field is named as the operator writes it."""
    reason, detail = refusal(changed(message, path, ...))
    assert reason == "missing_field"
    assert detail.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (URL, "severity"),
        (URL, "recipient"),
        (URL, "allowOrBlock"),
        (URL, "schema_version"),
        (FILE, "url"),
        (FILE, "file.size"),
        (EMAIL, "url"),
        (EMAIL, "message.folder"),
        (EMAIL, "allowOrBlock.until"),
    ],
)
def test_unknown_fields_are_refused(message: dict[str, Any], path: str) -> None:
    """A field that does not belong there, or to another kind, is an error: it may be a misspelt one."""
    reason, detail = refusal(changed(message, path, "x"))
    assert reason == "unknown_field"
    assert detail.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("message", "path", "value"),
    [
        (URL, "kind", "mail"),
        (URL, "kind", ["url"]),
        (URL, "category", "spam"),
        (FILE, "category", "spam"),
        (EMAIL, "category", "Phishing"),
        (URL, "requestedBy", "alice"),
        (URL, "requestedBy", "Alice <alice@contoso.com>"),
        (URL, "requestedBy", 4711),
        (URL, "requestId", ""),
        (URL, "requestId", "x" * 65),
        (URL, "requestId", "a/b"),
        (URL, "requestId", "a\n"),
        (URL, "reason", "x" * 501),
        (URL, "reason", "\ud800"),
        (URL, "priority", "high"),
        (URL, "url", "www.evil.example"),
        (URL, "url", "/a"),
        (URL, "url", "ftp://evil.example"),
        (URL, "url", "javascript:alert(1)"),
        (URL, "url", "https://"),
        (URL, "url", "https://:80/"),
        (URL, "url", "https://[evil"),
        (URL, "url", "https://evil.example/a b"),
        (URL, "url", "https://evil.example/\u00a0"),
        (URL, "url", "https://evil.example/\x00"),
        (URL, "url", "https://evil.example/\u202egpj"),
        (URL, "url", "https://evil.example/" + "x" * 2_028),
        (FILE, "file", "x"),
        (FILE, "file.name", ""),
        (FILE, "file.name", "a/b"),
        (FILE, "file.name", "a\\b"),
        (FILE, "file.name", "\u202e\u200b "),
        (FILE, "file.name", "\u202ea/b"),
        (FILE, "file.name", "x" * 256),
        (FILE, "file.content", "/x"),
        (FILE, "file.content", "a/../b"),
        (FILE, "file.content", "a\\b"),
        (FILE, "file.content", "a\tb"),
        (FILE, "file.content", "x" * 1_025),
        (EMAIL, "recipient", "bob@contoso.com, eve@contoso.com"),
        (EMAIL, "message", {}),
        (EMAIL, "message", "x"),
        (EMAIL, "message", {"mailbox": "b@c.example", "messageId": "x", "internetMessageId": "<x@y>"}),
        (EMAIL, "message", {"content": "x", "messageId": "x", "mailbox": "b@c.example"}),
        (EMAIL, "message.mailbox", "inbox"),
        (EMAIL, "message.internetMessageId", "abc@evil.example"),
        (EMAIL, "message.internetMessageId", "<a b@evil.example>"),
        (EMAIL, "allowOrBlock", []),
        (EMAIL, "allowOrBlock.action", "allow"),
        (EMAIL, "allowOrBlock.action", "delete"),
        (EMAIL, "allowOrBlock.note", "x" * 201),
        (EMAIL, "allowOrBlock.expiresAt", "2026-12-20"),
        (EMAIL, "allowOrBlock.expiresAt", "2026-12-20T00:00:00"),
        (EMAIL, "allowOrBlock.expiresAt", "2026-12-32T00:00:00Z"),
        (EMAIL, "allowOrBlock.expiresAt", "0001-01-01T00:00:00+23:00"),
        (EMAIL, "allowOrBlock.expiresAt", 1_797_724_800),
        (EMAIL, "allowOrBlock.expiresAt", "2026-12-01T12:00:00Z"),
        (EMAIL, "allowOrBlock.expiresAt", "2026-12-31T12:00:01Z"),
    ],
)
def test_wrong_values_are_named(message: dict[str, Any], path: str, value: object) -> None:
    """A value that breaks its field's rule is refused under the field's name."""
    reason, detail = refusal(changed(message, path, value))
    assert reason == "invalid_field"
    assert detail.startswith(f"{path}: ")


def test_limits_are_inclusive() -> None:
    """The longest allowed values are accepted, and an entry may last 30 days to the second, in any offset."""
    assert read(changed(URL, "url", "https://evil.example/" + "x" * 2_027)).url
    assert read(changed(URL, "requestId", "Aa0._-" + "x" * 58)).request_id
    assert read(changed(URL, "reason", "x" * 500)).reason == "x" * 500
    entry = read(changed(EMAIL, "allowOrBlock.expiresAt", "2026-12-31T13:00:00.0000000+01:00")).allow_or_block
    assert entry == AllowOrBlock("block", datetime(2026, 12, 31, 12, tzinfo=UTC), "case-4711")


@pytest.mark.parametrize("category", ["phishing", "malware", "spam", "notJunk"])
@pytest.mark.parametrize("action", ["allow", "block"])
def test_the_entry_fits_the_claim(category: str, action: str) -> None:
    """Only good mail may be allowed, only bad mail blocked."""
    message = changed(changed(EMAIL, "category", category), "allowOrBlock.action", action)
    if (action == "allow") == (category == "notJunk"):
        assert read(message).category == category
    else:
        assert refusal(message)[1].startswith("allowOrBlock.action: ")


def test_text_is_cleaned() -> None:
    """Reason and note lose what could spoof a table; if nothing is left, there is none."""
    request = read(changed(changed(EMAIL, "reason", " a\nb\u202e "), "allowOrBlock.note", "\u200b"))
    assert request.reason == "a b"
    assert request.allow_or_block is not None
    assert request.allow_or_block.note is None


def test_several_problems_are_named_together() -> None:
    """An operator sees up to four problems at once, and the reason is that of the first."""
    reason, detail = refusal({"schemaVersion": 1, "kind": "url", "x": 1})
    assert reason == "missing_field"
    assert [part.partition(":")[0] for part in detail.split("; ")] == ["requestedBy", "category", "url", "x"]


def test_little_of_a_hostile_message_is_repeated() -> None:
    """A detail repeats at most 100 characters of what was sent, without control or bidi characters."""
    hostile = {f"\u202e\n{number}" + "Z" * 1_000: "Z" * 1_000 for number in range(20)}
    for message in (
        {**URL, **hostile},
        {**URL, "kind": "Z" * 1_000},
        {**URL, "url": "Z" * 1_000},
        {**EMAIL, "message": hostile},
        {**FILE, "file": {**FILE["file"], **hostile}},
        '{"' + "Z" * 1_000 + '":1,"' + "Z" * 1_000 + '":1}',
        "Z" * 1_000,
    ):
        _, detail = refusal(message)
        assert detail.count("Z") <= 100
        assert detail.isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from([*EMAIL]), inner),
    max_leaves=6,
)


@given(st.sampled_from([EMAIL, URL, FILE]), st.dictionaries(st.sampled_from([*EMAIL, "url", "file", "x"]), json_values))
def test_any_object_is_read_or_refused(message: dict[str, Any], changes: dict[str, Any]) -> None:
    """Whatever is put into the fields: a valid request, or one of the reasons with a detail."""
    try:
        outcome = read({**message, **changes}).content_digest
    except BadManualMessage as error:
        outcome = error.reason if error.detail else "no detail"
    assert outcome in REASONS or len(outcome) == 64


@given(
    st.text(st.characters(exclude_categories=[])) | st.binary().map(lambda octets: base64.b64encode(octets).decode())
)
def test_any_body_is_read_or_refused(body: str) -> None:
    """Whatever is put onto the queue: nothing but a reason comes out."""
    assert refusal(body)[0] in REASONS


def test_a_review_names_the_row_that_it_is_about() -> None:
    """It takes all four categories, and nothing of what is submitted."""
    for category in Category:
        found = read({**REVIEW, "category": category.value})
        assert (found.kind, found.category, found.reviews) == (Kind.REVIEW, category, REVIEW["review"]["submissionId"])
    assert refusal({**REVIEW, "disputes": "5" * 32}) == ("unknown_field", "disputes: is not a field of this message")
    assert refusal({**REVIEW, "review": {}}) == ("missing_field", "review.submissionId: is required")
    assert refusal(changed(EMAIL, "review", REVIEW["review"]))[0] == "unknown_field"


def test_the_schema_can_be_published() -> None:
    """The JSON schema names the four kinds, their fields as sent, and forbids all others."""
    schema = manual_message_schema()
    definitions = schema["$defs"]
    assert {entry["$ref"].rpartition("/")[2] for entry in schema["oneOf"]} == {
        "EmailRequest",
        "UrlRequest",
        "FileRequest",
        "ReviewRequest",
    }
    assert set(definitions["EmailRequest"]["properties"]) == {*EMAIL, "disputes"}
    assert set(definitions["EmailRequest"]["required"]) == {*EMAIL} - {
        "requestId",
        "reason",
        "priority",
        "allowOrBlock",
    }
    assert all(one["additionalProperties"] is False for one in definitions.values())
    assert not any(name.startswith("_") for name in definitions)
    json.dumps(schema)


def test_a_bad_message_still_tells_whose_it_is() -> None:
    """Of a message that breaks a rule, each fact that is good by itself is kept; the others are left out."""
    bad = json.dumps({**URL, "requestId": "case-1", "kind": "telegram", "surprise": 1})
    told = readable_facts(bad)
    assert (told.request_id, told.kind) == ("case-1", None)
    assert told.requested_by == URL["requestedBy"]
    assert readable_facts("{") == ReadableFacts()


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (changed(EMAIL, "requestId", "a b"), "requestId"),
        (changed(URL, "disputes", "X"), "disputes"),
        (changed(REVIEW, "review.submissionId", "5D0C"), "review.submissionId"),
        (changed(EMAIL, "message", {"mailbox": "bob@contoso.com", "messageId": "a b"}), "message.messageId"),
        (changed(EMAIL, "message.internetMessageId", "abc@evil.example"), "message.internetMessageId"),
    ],
)
def test_a_broken_pattern_is_told_in_words(message: dict[str, Any], path: str) -> None:
    """An operator mends what he can read."""
    reason, detail = refusal(message)
    assert reason == "invalid_field"
    assert detail.startswith(f"{path}: must ")
    assert "^" not in detail


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        (" a\tb\u200b.lnk ", "a b.lnk"),
        ("a\x00\ufeff.exe", "a.exe"),
        ("\u8acb\u6c42\u66f8.pdf", "\u8acb\u6c42\u66f8.pdf"),
    ],
)
def test_a_file_is_sent_under_a_name_that_is_what_it_seems(given: str, sent: str) -> None:
    """A name that hides or turns its end is a lure's own: the file is taken, its name cleaned, and that is known."""
    file = read(changed(FILE, "file.name", given)).file
    assert file is not None
    assert (file.name, file.is_renamed) == (sent, sent != given)
