"""What operators write, by arguments and in files: which request becomes which message, and why another does not."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cli.contents import MOST_BYTES, UnusableContent, open_mail, recipient_named_in
from shared.cli.request_files import COLUMNS, MOST_LINE_BYTES, UnreadableFile, read_drafts
from shared.cli.requests import Checked, Draft, Examiner, Ready, Refused, Repeated
from shared.codecs.manual_message import manual_message_schema, read_manual_message
from tests.support.reports import ANNA, BEN, original

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
DEFAULTS = {"category": "phishing", "requestedBy": "soc@contoso.example", "priority": "urgent"}


def check_file(content: bytes | str, kind: str = "url", folder: Path = Path(), **defaults: Any) -> list[Checked]:
    """Check all lines of a file."""
    octets = content.encode() if isinstance(content, str) else content
    return list(examiner(kind, defaults).check_all(read_drafts(io.BytesIO(octets), folder)))


def examiner(kind: str, defaults: Mapping[str, Any]) -> Examiner:
    """An examiner that has seen nothing yet."""
    return Examiner(kind, {**DEFAULTS, **defaults}, NOW)


def sent(one: Checked) -> dict[str, Any]:
    """The fields of the message that goes out; fails where none does."""
    assert isinstance(one, Ready), one
    fields = json.loads(one.body)
    assert isinstance(fields, dict)
    return fields


def refusals(found: list[Checked]) -> list[tuple[str, str]]:
    """Where something was refused, and what begins the reason: the field."""
    return [(one.place, one.detail.partition(":")[0]) for one in found if isinstance(one, Refused)]


# --- CSV ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_a_csv_is_read_however_a_spreadsheet_saved_it(mark: bytes, end: str, delimiter: str) -> None:
    """A byte order mark, either line end and the delimiters of all countries give the same messages."""
    lines = (["url", "reason"], ["https://a.test/?a=1,2;3", 'she said "urgent"'])
    quoted = (delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    (one,) = check_file(mark + end.join([*quoted, ""]).encode())
    assert sent(one)["url"] == "https://a.test/?a=1,2;3"
    assert sent(one)["reason"] == 'she said "urgent"'


def test_a_bad_line_is_named_and_the_others_go_on() -> None:
    """Each by the line where it begins, counting the header, empty lines and line breaks within quotes."""
    found = check_file(
        "url,reason,category\n"
        "https://a.test/,,\n"
        "\n"
        "=HYPERLINK(),,\n"  # line 4
        ",,\n"
        'https://b.test/,"two\nlines",\n'
        "ftp://c.test/,,\n"  # line 8
        "https://d.test/,,worms\n"  # line 9
        "https://e.test/,a,phishing,surplus\n"  # line 10
        '"https://f.test/"x,,\n'  # line 11
        ",why,\n"  # line 12
        "https://g.test/\n"
        '"https://never.test/,,\n'  # lines 14 and 15: the quote never ends
        "https://h.test/,,\n"
    )
    assert refusals(found) == [
        ("line 4", "url"),
        ("line 8", "url"),
        ("line 9", "category"),
        ("line 10", "the line"),
        ("line 11", "the line"),
        ("line 12", "url"),
        ("lines 14 to 15", "the line"),
    ]
    assert isinstance(found[-1], Refused)
    assert found[-1].detail == "the line: a quote is opened and never closed"
    urls = [json.loads(one.body)["url"] for one in found if isinstance(one, Ready)]
    assert urls == ["https://a.test/", "https://b.test/", "https://g.test/"]


def test_a_line_goes_before_the_options() -> None:
    """What a line leaves out the options say, within an entry too."""
    entry = {"action": "block", "expiresAt": "2026-12-20T00:00:00Z"}
    found = check_file(
        "message.mailbox,message.messageId,recipient,category,allowOrBlock.note,requestId\n"
        "bob@contoso.com,AAMk=,bob@contoso.com,spam,case 7,case-7\n"
        "bob@contoso.com,AAMl=,bob@contoso.com,,,\n",
        kind="email",
        allowOrBlock=entry,
    )
    assert sent(found[0]) == {
        **DEFAULTS,
        "schemaVersion": 1,
        "kind": "email",
        "category": "spam",
        "recipient": "bob@contoso.com",
        "message": {"mailbox": "bob@contoso.com", "messageId": "AAMk="},
        "allowOrBlock": {**entry, "note": "case 7"},
        "requestId": "case-7",
    }
    assert sent(found[1])["category"] == "phishing"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("url\nhttps://a.test/\n".encode("utf-16"), "UTF-16"),
        ("url\nhttps://a.test/\n".encode("utf-16-le"), "UTF-16"),
        (b"PK\x03\x04\0\0", "no text"),
        (b"url,reason\nhttps://a.test/,\xfcber\n", "line 2: is not UTF-8"),
        (b"url,colour\nhttps://a.test/,red\n", "unknown: colour"),
        (b"https://a.test/\nhttps://b.test/\n", "must name columns"),
        (b"url,url\n", "twice"),
        (b"url,,reason\n", "(empty)"),
        (b"", "is empty"),
        (b'[{"url": "https://a.test/"}]', "JSON array"),
        (b"url\n" + b"x" * (MOST_LINE_BYTES + 1), "line 2: is longer"),
    ],
    ids=["UTF-16", "no mark", "workbook", "1252", "unknown", "headerless", "twice", "blank", "empty", "array", "long"],
)
def test_a_file_of_another_kind_is_named_as_such(content: bytes, told: str) -> None:
    """The whole file is refused, with what to do about it."""
    with pytest.raises(UnreadableFile, match=told.replace("(", r"\(").replace(")", r"\)")):
        check_file(content)


def test_the_columns_are_the_fields_of_the_message() -> None:
    """Every field of every kind, and the path of a file to upload; a new field of the message must come here too."""
    definitions = manual_message_schema()["$defs"]
    within = {
        "message": ["MessageByIdFields", "MessageByInternetIdFields", "MessageByContentFields"],
        "file": ["FileFields"],
        "allowOrBlock": ["AllowOrBlockFields"],
    }
    fields = {name for kind in ("Email", "Url", "File") for name in definitions[f"{kind}Request"]["properties"]}
    inner = {
        f"{outer}.{name}" for outer, parts in within.items() for one in parts for name in definitions[one]["properties"]
    }
    assert set(COLUMNS) == (fields - within.keys() - {"schemaVersion"}) | inner | {"path"}


# --- JSON lines -----------------------------------------------------------------------------------------------------


def test_json_lines_hold_messages_as_the_queue_takes_them() -> None:
    """Options fill in what is left out; a line that is no object of the message's fields is named."""
    found = check_file(
        '{"url": "https://a.test/", "priority": "low"}\n'
        "\n"
        "not json\n"
        "[1]\n"
        '{"url": "https://a.test/", "url": "https://b.test/"}\n'
        '{"url": "https://a.test/", "dequeueCount": 1}\n'
        '{"url": 1e999}\n'
        '{"schemaVersion": 2, "url": "https://a.test/"}\n'
        '{"kind": "file", "url": "https://a.test/"}\n' + '{"url": ' + "[" * 100_000 + "\n"
    )
    assert sent(found[0])["priority"] == "low"
    assert [place for place, _ in refusals(found)] == [f"line {number}" for number in range(3, 11)]
    assert refusals(found)[-2:] == [("line 9", "kind"), ("line 10", "the line")]


# --- Ids ------------------------------------------------------------------------------------------------------------


def test_the_same_content_is_the_same_request() -> None:
    """Within a file the second one is told and not sent; another run gives the same ids."""
    text = "url,reason\nhttps://a.test/,\nhttps://b.test/,\nhttps://a.test/,\nhttps://a.test/,another\n"
    first, second = check_file(text), check_file(text)
    assert first == second
    assert first[2] == Repeated("line 4", "line 2", sent(first[0])["requestId"], first[0].submission_id)  # type: ignore[union-attr] # sent() proves it
    assert len({sent(first[number])["requestId"] for number in (0, 1, 3)}) == 3


def test_one_request_id_stands_for_one_content() -> None:
    """The intake would reject the second; it is refused before anything is sent."""
    found = check_file("url,requestId\nhttps://a.test/,case-1\nhttps://b.test/,case-1\nhttps://a.test/,case-1\n")
    assert [type(one) for one in found] == [Ready, Refused, Repeated]
    assert refusals(found) == [("line 3", "requestId")]


# --- Content --------------------------------------------------------------------------------------------------------


def test_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    """The blob by its hash, the file by its own name unless the line has another; paths start beside the file."""
    (tmp_path / "invoice.htm").write_bytes(b"<html>")
    found = check_file("path,file.name\ninvoice.htm,\ninvoice.htm,bill.htm\n", "file", tmp_path)
    blob = f"content/{hashlib.sha256(b'<html>').hexdigest()}"
    assert [sent(one)["file"] for one in found] == [
        {"name": "invoice.htm", "content": blob},
        {"name": "bill.htm", "content": blob},
    ]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"path": "absent"}, "path"),
        ({"path": "empty"}, "path"),
        ({"path": "large"}, "path"),
        ({"path": "."}, "path"),
        ({"path": "a\0b"}, "path"),
        ({"path": 7}, "path"),
        ({"path": "good", "file": {"content": "x"}}, "file"),
        ({"path": "good", "file": "x"}, "file"),
    ],
    ids=["absent", "empty", "large", "folder", "no path", "number", "both", "no object"],
)
def test_a_file_that_cannot_be_submitted_is_refused(tmp_path: Path, line: dict[str, object], field: str) -> None:
    """Before anything is sent, and with the reason."""
    (tmp_path / "good").write_bytes(b"x")
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(bytes(MOST_BYTES + 1))
    assert refusals(check_file(json.dumps(line), "file", tmp_path)) == [("line 1", field)]


def test_a_url_has_no_path(tmp_path: Path) -> None:
    """A path beside a URL is a mistake, not something to pass over."""
    assert refusals(check_file("url,path\nhttps://a.test/,x\n", folder=tmp_path)) == [("line 2", "path")]


def test_the_recipient_is_taken_from_the_mail_only_where_it_names_one(tmp_path: Path) -> None:
    """It is told that it was; an option or a cell goes before it."""
    (tmp_path / "lure.eml").write_bytes(original("lure"))
    taken, given = check_file("path,recipient\nlure.eml,\nlure.eml,bob@contoso.com\n", "email", tmp_path)
    assert isinstance(taken, Ready)
    assert isinstance(given, Ready)
    assert (sent(taken)["recipient"], taken.recipient) == (ANNA, ANNA)
    assert (sent(given)["recipient"], given.recipient) == ("bob@contoso.com", None)


def with_header(line: str) -> bytes:
    """The lure with a header more."""
    return line.encode() + b"\r\n" + original("lure")


def carrying_a_mail() -> bytes:
    """A mail with the lure attached, as a report has it."""
    head = b"From: a@contoso.example\r\nTo: reports@contoso.example\r\nSubject: x\r\nDate: x\r\nMIME-Version: 1.0\r\n"
    head += b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n'
    return head + original("lure") + b"\r\n--b--\r\n"


def test_an_upload_that_is_no_mail_is_refused(tmp_path: Path) -> None:
    """Whoever its recipient is said to be: the intake could not read it either."""
    (tmp_path / "note.eml").write_bytes(b"call me back")
    assert refusals(check_file("path,recipient\nnote.eml,bob@contoso.com\n", "email", tmp_path)) == [("line 2", "path")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (with_header(f"Cc: {BEN}"), "names 2 recipients"),
        (with_header(f"Delivered-To: {BEN}"), "names 2 recipients"),
        (original("lure").replace(f"To: <{ANNA}>".encode(), b"To: undisclosed-recipients:;"), "names 0 recipients"),
        (carrying_a_mail(), "carries another mail"),
        (b"just text", "no readable mail"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 broken", "no readable mail"),
    ],
    ids=["two", "delivered to another", "nobody", "report", "text", "broken .msg"],
)
def test_a_recipient_is_never_guessed(content: bytes, told: str) -> None:
    """Where the headers name none or several, or may be another mail's, the operator has to say it."""
    with pytest.raises(UnusableContent, match=told):
        recipient_named_in(open_mail(content))


# --- Defanged URLs ----------------------------------------------------------------------------------------------------


def test_a_defanged_url_is_refused_and_says_how_it_is_taken() -> None:
    """Nothing is sent that the operator did not see."""
    (found,) = check_file("url\nhxxps://lure[.]example/a\n")
    assert isinstance(found, Refused)
    assert (found.reason, found.detail.partition(":")[0]) == ("invalid_field", "url")
    assert "--refang" in found.detail


def test_refanging_is_told_and_makes_the_same_request() -> None:
    """However the URL was written down; a good one stays as it is."""
    lines = "url\nhxxps://lure[.]example/a\nhttps://lure.example/b[.]c\nhttps://lure,example/\n"
    refanging = replace(examiner("url", {}), is_refanging=True)
    first, second, third = refanging.check_all(read_drafts(io.BytesIO(lines.encode()), Path()))
    (plain,) = check_file("url\nhttps://lure.example/a\n")
    assert isinstance(first, Ready)
    assert isinstance(second, Ready)
    assert isinstance(third, Refused)
    assert (first.refanged, second.refanged) == ("https://lure.example/a", None)
    assert sent(first) == sent(plain)
    assert sent(second)["url"] == "https://lure.example/b[.]c"


# --- Names of files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sent_as"),
    [
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u200bb\nc.htm", "ab c.htm"),
        ("a\\b.htm", "a_b.htm"),
        ("请求付款.exe", None),
    ],
)
def test_a_file_whose_name_hides_is_sent_under_a_plain_one(tmp_path: Path, name: str, sent_as: str | None) -> None:
    """Such files are what one submits: the name is told, the content is whole."""
    (tmp_path / name).write_bytes(b"MZ")
    (found,) = examiner("file", {}).check_all([Draft("argument 1", {"path": name}, tmp_path)])
    assert isinstance(found, Ready), found
    assert found.renamed == sent_as
    assert sent(found)["file"]["name"] == (sent_as or name)
    assert found.content is not None
    assert found.content.path.read_bytes() == b"MZ"


# --- Any input ------------------------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "https://a.test/", "phishing", "case-1", "a@b.test", "=1+1", '"', "allow", "2026-12-20T00:00:00Z"]
    ),
)
ROWS = st.lists(st.lists(CELLS, max_size=6), max_size=6)


@given(
    st.lists(st.sampled_from(COLUMNS[:-1]), min_size=1, max_size=5, unique=True),
    ROWS,
    st.sampled_from(["url", "email"]),
)
def test_what_is_let_through_the_intake_accepts(header: list[str], rows: list[list[str]], kind: str) -> None:
    """Whatever stands in a CSV, each of its lines is accepted by the intake's codec, or refused with a reason."""
    file = io.StringIO()
    csv.writer(file).writerows([header, *rows])
    try:
        found = check_file(file.getvalue().encode("utf-8", "replace"), kind)
    except UnreadableFile:
        return
    for one in found:
        if isinstance(one, Ready):
            request = read_manual_message(one.body, now=NOW)
            assert (request.request_id, request.content_digest) == (one.request_id, one.content_digest)
        else:
            assert one.place.startswith("line")


@given(
    st.dictionaries(st.text(max_size=8), st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=3))
)
def test_any_object_is_ready_or_refused(fields: dict[str, Any]) -> None:
    """No field that anybody writes makes the examiner fail."""
    checked = examiner("url", {}).check(Draft("line 1", {"url": "https://a.test/", **fields}))
    assert isinstance(checked, Ready | Refused)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_none(content: bytes) -> None:
    """A file of anything gives lines or is named unreadable."""
    with suppress(UnreadableFile):
        check_file(content)
