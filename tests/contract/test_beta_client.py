"""The official beta client against our hand-written shapes: it parses what we send, and we read what it writes.

The client is a test dependency only (its import costs seconds, and it loses words that it does not know), so it is
imported once, by the first test here that needs it.
"""

import base64
import importlib
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.graph.submissions import COLLECTIONS, ROOT
from shared.codecs.threat_submission import read_submission, write_order
from shared.domain.model import Category, Kind
from shared.domain.submissions import AllowOrBlock, SubmissionOrder, ThreatSubmission
from shared.domain.verdicts import CATEGORIES, DETAILS, judge

MODELS = "msgraph_beta.generated.models.security"
EXPIRES_AT = datetime(2026, 12, 20, 8, 30, tzinfo=UTC)
CREATED_AT = datetime(2026, 11, 23, 12, 0, 1, 234567, tzinfo=UTC)
MESSAGE_URL = "https://graph.microsoft.com/beta/users/bob@contoso.example/messages/AAMkAG%2BI_-x%3D"
HOST, DNS_HOST = "пример.example", "xn--e1afmkfd.example"
AWKWARD = [
    "plain",
    'quotes " and \\ and /',
    "line\nbreak\ttab",
    "żółć Ünïcödé",
    "日本語の件名",
    "\u202egpj.exe",
    "🎣👩\u200d💻",
    "e\u0301 against \u00e9",
    "\u2028",
    "2026-12-20T00:00:00Z",
    "6b9d2f4e-3c1a-4f7e-9a55-0d1c2e3f4a5b",
]
ENTRIES = [None, AllowOrBlock("block", EXPIRES_AT), AllowOrBlock("allow", EXPIRES_AT, "case-4711")]


class BetaClient:
    """The parts of the official client that the tests use, imported when it is made."""

    def __init__(self) -> None:
        kiota = importlib.import_module("kiota_serialization_json.json_parse_node_factory")
        writing = importlib.import_module("kiota_serialization_json.json_serialization_writer_factory")
        self._parsing = kiota.JsonParseNodeFactory()
        self._writing = writing.JsonSerializationWriterFactory()

    def model(self, name: str) -> Any:
        """Return a generated class by its name in the metadata, for example `emailThreatSubmission`."""
        words = "".join(f"_{one.lower()}" if one.isupper() else one for one in name)
        return getattr(importlib.import_module(f"{MODELS}.{words}"), f"{name[0].upper()}{name[1:]}")

    def parse(self, body: bytes, expected: str) -> Any:
        """Return the object that the client makes of a JSON body where it expects that type."""
        return self._parsing.get_root_parse_node("application/json", body).get_object_value(self.model(expected))

    def write(self, model: Any) -> Any:
        """Return a model as the JSON that the client would send, parsed."""
        writer = self._writing.get_serialization_writer("application/json")
        writer.write_object_value(None, model)
        return json.loads(writer.get_serialized_content())


@pytest.fixture(scope="session")
def beta() -> BetaClient:
    """Return the official client, imported once."""
    return BetaClient()


# --- What we send ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=["no entry", "block", "allow with note"])
@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("expected", ["emailThreatSubmission", "threatSubmission"])
def test_an_uploaded_mail(beta: BetaClient, expected: str, category: Category, entry: AllowOrBlock | None) -> None:
    """A mail with its content is an emailContentThreatSubmission, and each field is one that the client knows."""
    content = b"From: a@evil.example\r\n\r\n\x00\xff caf\xc3\xa9"
    order = SubmissionOrder(
        kind=Kind.EMAIL,
        category=category,
        attempt_id="a-1",
        recipient="bob@contoso.example",
        content=content,
        allow_or_block=entry,
    )
    sent = beta.parse(write_order(order), expected)
    assert type(sent) is beta.model("emailContentThreatSubmission")
    assert sent.additional_data == {}
    assert sent.category.value == category.value
    assert sent.recipient_email_address == "bob@contoso.example"
    assert base64.b64decode(sent.file_content, validate=True) == content
    assert_entry(sent.tenant_allow_or_block_list_action, entry)


@pytest.mark.parametrize("entry", ENTRIES, ids=["no entry", "block", "allow with note"])
def test_a_mail_in_a_mailbox(beta: BetaClient, entry: AllowOrBlock | None) -> None:
    """A mail that Microsoft shall fetch is an emailUrlThreatSubmission with its messageUrl untouched."""
    order = SubmissionOrder(
        kind=Kind.EMAIL,
        category=Category.NOT_JUNK,
        attempt_id="a-1",
        recipient="bob@contoso.example",
        message_url=MESSAGE_URL,
        allow_or_block=entry,
    )
    sent = beta.parse(write_order(order), "emailThreatSubmission")
    assert type(sent) is beta.model("emailUrlThreatSubmission")
    assert sent.additional_data == {}
    assert (sent.category.value, sent.message_url) == ("notJunk", MESSAGE_URL)
    assert sent.recipient_email_address == "bob@contoso.example"
    assert_entry(sent.tenant_allow_or_block_list_action, entry)


@pytest.mark.parametrize("path", AWKWARD)
def test_a_url(beta: BetaClient, path: str) -> None:
    """A URL is a urlThreatSubmission, whatever characters are in it: percent-encoded, its host as DNS has it.

    A backslash is a slash, as browsers take it (WHATWG URL Standard, "path state").
    """
    url = f"https://{HOST}/{path}"
    order = SubmissionOrder(kind=Kind.URL, category=Category.PHISHING, attempt_id="a-1", url=url)
    sent = beta.parse(write_order(order), "threatSubmission")
    assert type(sent) is beta.model("urlThreatSubmission")
    told = sent.web_url
    assert (sent.additional_data, sent.category.value, unquote(told)) == (
        {},
        "phishing",
        url.replace(HOST, DNS_HOST).replace("\\", "/"),
    )
    assert told.isascii()
    assert told.isprintable()


@pytest.mark.parametrize("content", [b"", b"MZ\x90\x00", bytes(range(256)) * 40])
def test_a_file(beta: BetaClient, content: bytes) -> None:
    """A file is a fileContentThreatSubmission with the very bytes."""
    order = SubmissionOrder(
        kind=Kind.FILE, category=Category.MALWARE, attempt_id="a-1", content=content, file_name="invoice.exe"
    )
    sent = beta.parse(write_order(order), "fileThreatSubmission")
    assert type(sent) is beta.model("fileContentThreatSubmission")
    assert (sent.additional_data, sent.category.value, sent.file_name) == ({}, "malware", "invoice.exe")
    assert base64.b64decode(sent.file_content, validate=True) == content


@given(text=st.sampled_from(AWKWARD) | st.text(max_size=60))
def test_text_arrives_as_it_was_given(beta: BetaClient, text: str) -> None:
    """Names and notes reach the client character by character, also those that look like times or ids."""
    file = SubmissionOrder(
        kind=Kind.FILE, category=Category.PHISHING, attempt_id="a", content=b"x", file_name=f"{text}.exe"
    )
    mail = SubmissionOrder(
        kind=Kind.EMAIL,
        category=Category.SPAM,
        attempt_id="a",
        recipient="bob@contoso.example",
        content=b"x",
        allow_or_block=AllowOrBlock("block", EXPIRES_AT, f"-{text}"),
    )
    assert beta.parse(write_order(file), "fileThreatSubmission").file_name == f"{text}.exe"
    sent = beta.parse(write_order(mail), "emailThreatSubmission")
    assert sent.tenant_allow_or_block_list_action.note == f"-{text}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:kiota_abstractions")  # the client warns of itself
@pytest.mark.filterwarnings("ignore::DeprecationWarning:msgraph_beta")
@pytest.mark.parametrize("kind", COLLECTIONS)
def test_where_it_is_sent(kind: Kind) -> None:
    """The client itself would send each kind to the collection that we send it to."""
    name = {Kind.EMAIL: "email_threats", Kind.URL: "url_threats", Kind.FILE: "file_threats"}[kind]
    path = f"msgraph_beta.generated.security.threat_submission.{name}.{name}_request_builder"
    builder = getattr(importlib.import_module(path), f"{kind.value.title()}ThreatsRequestBuilder")
    template = builder("no adapter", {}).url_template
    assert template.removeprefix("{+baseurl}").partition("{")[0] == f"{ROOT.removeprefix('/beta')}/{COLLECTIONS[kind]}"


def assert_entry(sent: Any, wanted: AllowOrBlock | None) -> None:
    """Fail unless the wanted allow or block entry is what the client understood."""
    if wanted is None:
        assert sent is None
        return
    assert sent.additional_data == {}
    assert (sent.action.value, sent.note, sent.expiration_date_time) == (wanted.action, wanted.note, wanted.expires_at)


# --- What we read ---------------------------------------------------------------------------------------------------


def answered_mail(beta: BetaClient, **fields: Any) -> Any:
    """Return a mail submission as the client's own model, every field filled that we read."""
    model = beta.model("emailContentThreatSubmission")()
    model.id = "49c5ef5b-1f65-444a-e6b9-08d772ea2059"
    model.category = beta.model("submissionCategory")("phishing")
    model.content_type = beta.model("submissionContentType")("email")
    model.source = beta.model("submissionSource")("administrator")
    model.status = beta.model("longRunningOperationStatus")("succeeded")
    model.created_date_time = CREATED_AT
    model.received_date_time = CREATED_AT
    model.recipient_email_address = "bob@contoso.example"
    model.sender = "a@evil.example"
    model.sender_i_p = "203.0.113.7"
    model.subject = "Your parcel \u2013 日本"
    model.internet_message_id = "<abc@evil.example>"
    for name, value in fields.items():
        setattr(model, name, value)
    return model


READ_MAIL = ThreatSubmission(
    submission_id="49c5ef5b-1f65-444a-e6b9-08d772ea2059",
    created_at=CREATED_AT,
    category="phishing",
    status="succeeded",
    recipient="bob@contoso.example",
    sender="a@evil.example",
    subject="Your parcel \u2013 日本",
    internet_message_id="<abc@evil.example>",
)


def result_of(beta: BetaClient, category: str | None, detail: str | None) -> Any:
    """Return a submissionResult with these words."""
    result = beta.model("submissionResult")()
    result.category = beta.model("submissionResultCategory")(category) if category else None
    result.detail = beta.model("submissionResultDetail")(detail) if detail else None
    result.detected_urls = ["https://evil.example/"]
    return result


def test_a_mail_submission_is_read(beta: BetaClient) -> None:
    """Every field of the client's model arrives in the field of ours, and what is absent is None."""
    assert read_submission(beta.write(answered_mail(beta)), Kind.EMAIL) == READ_MAIL


def test_a_url_and_a_file_submission_are_read(beta: BetaClient) -> None:
    """A URL's and a file's own fields are read for their kind, and for no other."""
    url, file = beta.model("urlThreatSubmission")(), beta.model("fileContentThreatSubmission")()
    url.id, url.web_url = "1", "https://evil.example/ä"
    file.id, file.file_name = "2", "invoice.exe"
    assert read_submission(beta.write(url), Kind.URL) == ThreatSubmission(
        submission_id="1", url="https://evil.example/ä"
    )
    assert read_submission(beta.write(file), Kind.FILE) == ThreatSubmission(submission_id="2", file_name="invoice.exe")


def test_every_result_word_is_read_untouched(beta: BetaClient) -> None:
    """Each of the client's categories and details comes out of our reader letter by letter."""
    words = {"category": "submissionResultCategory", "detail": "submissionResultDetail"}
    for field, name in words.items():
        for word in beta.model(name):
            result = result_of(beta, **{"category": None, "detail": None, field: word.value})
            read = read_submission(beta.write(answered_mail(beta, result=result)), Kind.EMAIL)
            assert (read.result_category, read.result_detail) == (
                (word.value, None) if field == "category" else (None, word.value)
            )


def test_every_status_is_read_and_known(beta: BetaClient) -> None:
    """Each of the client's statuses is read, and `judge` knows it, but for the one that stands for newer words."""
    for status in beta.model("longRunningOperationStatus"):
        read = read_submission(beta.write(answered_mail(beta, status=status)), Kind.EMAIL)
        assert read.status == status.value
        is_known = judge(Category.PHISHING, read.status, "threatsFound", None).is_known
        assert is_known is (status.value != "unknownFutureValue")


def test_who_submitted_it_does_not_matter(beta: BetaClient) -> None:
    """`createdBy` flat (metadata), nested (documentation) or absent: the same submission is read."""
    flat, nested = beta.model("submissionUserIdentity")(), beta.model("submissionUserIdentity")()
    flat.id, flat.display_name, flat.email = "77", "Alice", "alice@contoso.example"
    nested.additional_data = {"user": {"identity": "77", "displayName": "Alice", "email": "alice@contoso.example"}}
    for created_by in (flat, nested, None):
        shown = beta.write(answered_mail(beta, created_by=created_by))
        assert shown.get("createdBy", {}).keys() == {
            id(flat): {"@odata.type", "id", "displayName", "email"},
            id(nested): {"@odata.type", "user"},
        }.get(id(created_by), set())
        assert read_submission(shown, Kind.EMAIL) == READ_MAIL


def test_the_allow_or_block_results_are_read(beta: BetaClient) -> None:
    """What came of the wanted entries is each status word once; none before Microsoft has acted."""
    action = beta.model("tenantAllowOrBlockListAction")()
    action.action = beta.model("tenantAllowBlockListAction")("block")
    shown = beta.write(answered_mail(beta, tenant_allow_or_block_list_action=action))
    assert read_submission(shown, Kind.EMAIL).allow_or_block_status is None
    action.results = [entry_result(beta, status) for status in ("succeeded", "failed", "succeeded", None)]
    shown = beta.write(answered_mail(beta, tenant_allow_or_block_list_action=action))
    assert read_submission(shown, Kind.EMAIL).allow_or_block_status == "failed,succeeded"


def entry_result(beta: BetaClient, status: str | None) -> Any:
    """Return the result of one list entry."""
    result = beta.model("tenantAllowBlockListEntryResult")()
    result.value = "evil.example"
    result.entry_type = beta.model("tenantAllowBlockListEntryType")("sender")
    result.status = beta.model("longRunningOperationStatus")(status) if status else None
    return result


def test_a_list_page(beta: BetaClient) -> None:
    """A page of the client's has its rows and its link under the names that our listing looks for."""
    page = beta.model("emailThreatSubmissionCollectionResponse")()
    page.value = [answered_mail(beta), answered_mail(beta, id="2")]
    page.odata_next_link = "https://graph.microsoft.com/beta/next"
    shown = beta.write(page)
    assert shown["@odata.nextLink"] == "https://graph.microsoft.com/beta/next"
    assert [read_submission(one, Kind.EMAIL).submission_id for one in shown["value"]] == [READ_MAIL.submission_id, "2"]


def test_the_report_policy(beta: BetaClient) -> None:
    """The one field of the user-reported policy that decides has the name that we ask for."""
    policy = beta.model("emailThreatSubmissionPolicy")()
    policy.is_report_to_microsoft_enabled = True
    assert beta.write(policy)["isReportToMicrosoftEnabled"] is True


# --- The words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "count"),
    [("submissionResultCategory", CATEGORIES, 28), ("submissionResultDetail", DETAILS, 71)],
)
def test_the_verdict_tables_know_the_clients_words(
    beta: BetaClient, name: str, known: dict[str, object], count: int
) -> None:
    """The mapping knows exactly the words that the official client knows."""
    words = {word.value for word in beta.model(name)}
    assert words == set(known)
    assert len(words) == count


def test_the_claims_are_the_clients(beta: BetaClient) -> None:
    """What can be claimed is what the client's enum holds, without the word that stands for newer ones."""
    words = {word.value for word in beta.model("submissionCategory")}
    assert {category.value for category in Category} == words - {"unknownFutureValue"}
