"""Threat submissions as JSON: what we POST is what Graph's documentation shows, what Graph shows is read whole."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.threat_submission import PIECE_BYTES, read_submission, write_order, write_review
from shared.domain.model import Category, Kind
from shared.domain.submissions import AllowOrBlock, SubmissionOrder

MAIL = {"category": "phishing", "recipientEmailAddress": "bob@contoso.example"}
ANSWER: dict[str, Any] = {
    "id": "49c5ef5b-1f65-444a-e6b9-08d772ea2059",
    "createdDateTime": "2026-11-23T12:00:00.1234567Z",
    "category": "phishing",
    "status": "succeeded",
    "result": {"category": "threatsFound", "detail": "itemFoundMalicious", "detectedUrls": []},
    "recipientEmailAddress": "bob@contoso.example",
    "sender": "mallory@evil.example",
    "subject": "Invoice",
    "internetMessageId": "<a@evil.example>",
    "webUrl": "https://evil.example/",
    "fileName": "a.html",
    "tenantAllowOrBlockListAction": {
        "action": "block",
        "results": [{"status": "succeeded"}, {"status": "running"}, {"status": "succeeded"}, {"status": None}],
    },
}


def order(kind: Kind, **facts: Any) -> SubmissionOrder:
    """Return an order of that kind."""
    return SubmissionOrder(**{"kind": kind, "category": Category.PHISHING, "attempt_id": "a-1", **facts})


def posted(wanted: SubmissionOrder) -> Any:
    """Return the body as Graph reads it."""
    return json.loads(write_order(wanted))


def test_a_mail_by_its_content() -> None:
    """The MIME text as base64, the recipient, and the type that names the form."""
    found = posted(order(Kind.EMAIL, recipient="bob@contoso.example", content=b"Subject: hi\r\n\r\n\xff"))
    content = base64.b64encode(b"Subject: hi\r\n\r\n\xff").decode()
    type_name = "#microsoft.graph.security.emailContentThreatSubmission"
    assert found == {"@odata.type": type_name, **MAIL, "fileContent": content}


@pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 1])
def test_content_of_any_length_is_one_base64_text(size_bytes: int) -> None:
    """Content is encoded piece by piece, and no seam shows: Graph decodes strictly."""
    content = bytes(number % 251 for number in range(size_bytes))
    found = posted(order(Kind.EMAIL, recipient="bob@contoso.example", content=content))
    assert base64.b64decode(found["fileContent"], validate=True) == content


def test_a_mail_by_its_place() -> None:
    """The address of the message in its mailbox, in place of the content."""
    url = "https://graph.microsoft.com/beta/users/bob@contoso.example/messages/AAMk%2F"
    found = posted(order(Kind.EMAIL, recipient="bob@contoso.example", message_url=url))
    assert found == {"@odata.type": "#microsoft.graph.security.emailUrlThreatSubmission", **MAIL, "messageUrl": url}


JAPAN = "%E6%97%A5%E6%9C%AC"


def test_a_url() -> None:
    """Percent-encoded, and otherwise as the operator gave it."""
    found = posted(order(Kind.URL, url='https://evil.example/?q="日本"'))
    type_name = "#microsoft.graph.security.urlThreatSubmission"
    assert found == {
        "@odata.type": type_name,
        "category": "phishing",
        "webUrl": f"https://evil.example/?q=%22{JAPAN}%22",
    }


def test_a_file() -> None:
    """Its name and its bytes; an empty one has empty content."""
    type_name = "#microsoft.graph.security.fileContentThreatSubmission"
    found = posted(order(Kind.FILE, file_name="Rechnung ü.html", content=b""))
    assert found == {
        "@odata.type": type_name,
        "category": "phishing",
        "fileName": "Rechnung ü.html",
        "fileContent": "",
    }


@pytest.mark.parametrize("category", Category)
def test_a_category_is_graphs_own_word(category: Category) -> None:
    """`notJunk`, never `notSpam` as in some samples."""
    assert posted(order(Kind.URL, category=category, url="https://a.example"))["category"] == category.value


@pytest.mark.parametrize("note", [None, "case-4711 ü"])
def test_a_wanted_list_entry_goes_along(note: str | None) -> None:
    """Action and end in UTC seconds; the note only where there is one."""
    at = datetime(2026, 12, 20, 1, 0, 0, 5, timezone(timedelta(hours=1)))
    wanted = AllowOrBlock("block", at, note)
    found = posted(order(Kind.EMAIL, recipient="bob@contoso.example", content=b"x", allow_or_block=wanted))
    expected = {"action": "block", "expirationDateTime": "2026-12-20T00:00:00Z"}
    assert found["tenantAllowOrBlockListAction"] == (expected if note is None else {**expected, "note": note})


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_content_survives_whatever_stands_beside_it(content: bytes, name: str) -> None:
    """Content is spliced into the text, which stays the JSON it was."""
    found = posted(order(Kind.FILE, file_name=name, content=content))
    assert (found["fileName"], base64.b64decode(found["fileContent"])) == (name, content)


def test_an_answer_is_read_whole() -> None:
    """Microsoft's words as they are; a time of seven digits to the microsecond; status words once each."""
    found = read_submission(ANSWER, Kind.EMAIL)
    assert found.submission_id == ANSWER["id"]
    assert found.created_at == datetime(2026, 11, 23, 12, 0, 0, 123_456, UTC)
    words = (found.category, found.status, found.result_category, found.result_detail)
    assert words == ("phishing", "succeeded", "threatsFound", "itemFoundMalicious")
    mail = (found.recipient, found.sender, found.subject, found.internet_message_id)
    assert mail == ("bob@contoso.example", "mallory@evil.example", "Invoice", "<a@evil.example>")
    assert (found.url, found.file_name) == (None, None)
    assert found.allow_or_block_status == "running,succeeded"


def test_urls_and_files_are_told_by_their_collection() -> None:
    """Never by a type name, which the list may leave abstract."""
    assert read_submission(ANSWER, Kind.URL).url == "https://evil.example/"
    assert read_submission(ANSWER, Kind.FILE).file_name == "a.html"


@pytest.mark.parametrize(("source", "is_users"), [("user", True), ("administrator", False), (None, False), (5, False)])
def test_who_submitted_is_told_by_the_source(source: Any, is_users: bool) -> None:
    """A word that is not known does not make a submission a user's."""
    assert read_submission({"id": "x", "source": source}, Kind.EMAIL).is_users is is_users


def test_the_documentations_other_name_of_the_subject_is_read() -> None:
    """Samples say `emailSubject`; it is cleaned like any text of a stranger."""
    found = read_submission({"id": "x", "emailSubject": "a\nb\u202e"}, Kind.EMAIL)
    assert found.subject == "a b"


@pytest.mark.parametrize("found", [None, [], "x", 1, {}, {"id": None}, {"id": ""}, {"id": 5}, {"value": []}])
def test_an_answer_without_an_id_is_none(found: Any) -> None:
    """It cannot be followed, so it is no submission."""
    with pytest.raises(ValueError, match="no threat submission"):
        read_submission(found, Kind.EMAIL)


@pytest.mark.parametrize(
    ("category", "word"),
    [
        (Category.PHISHING, "phishing"),
        (Category.MALWARE, "malware"),
        (Category.SPAM, "junk"),
        (Category.NOT_JUNK, "notSpam"),
    ],
)
def test_a_review_has_words_of_its_own(category: Category, word: str) -> None:
    """As Graph documents them for this action; a submission's category has others."""
    assert json.loads(write_review(category)) == {"category": word}


junk: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2) | st.just({})
)


@given(st.dictionaries(st.sampled_from([*ANSWER, "emailSubject"]), junk), st.sampled_from(Kind))
def test_fields_of_the_wrong_form_count_as_absent(fields: dict[str, Any], kind: Kind) -> None:
    """With an id, every answer can be read."""
    found = read_submission({**fields, "id": "x"}, kind)
    assert found.submission_id == "x"


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("2026-11-23T12:00:00Z", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23T13:00:00+01:00", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23T12:00:00", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("yesterday", None),
        (17, None),
    ],
)
def test_times_are_read_as_utc(told: Any, read: datetime | None) -> None:
    """With a zone, without one, and none at all."""
    assert read_submission({"id": "x", "createdDateTime": told}, Kind.EMAIL).created_at == read
