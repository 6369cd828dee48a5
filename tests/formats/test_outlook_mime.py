"""An Outlook message becomes the mail that it was, whichever of the two files held it."""

import email
import email.message
import email.policy
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.formats.outlook_message import OutlookAttachment, OutlookMessage, OutlookRecipient, Property, RecipientKind
from shared.formats.outlook_mime import MAX_RTF_BYTES, write_mime
from shared.formats.outlook_msg import read_outlook_msg
from shared.formats.winmail import read_winmail
from tests.support.outlook_writer import message_from_mime, write_msg, write_winmail

PATHS: dict[str, Callable[[OutlookMessage], OutlookMessage]] = {
    "msg": lambda message: read_outlook_msg(write_msg(message)),
    "winmail": lambda message: read_winmail(write_winmail(message)),
}
through = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)

STRUCTURE = ("mime-version:", "content-type:", "content-transfer-encoding:", "content-disposition:", "content-id:",
             "content-location:", "content-base:", "content-description:", "content-md5:", "content-length:",
             )  # fmt: skip
HEADERS = (
    b"Received: from a.example (203.0.113.9)\r\n by b.example; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"X-MS-Exchange-Organization-Network-Message-Id: 11111111-2222-3333-4444-555555555555\r\n"
    b"From: =?utf-8?B?SsO8cmdlbg==?= <j@a.example>\r\nTo: Anna <anna@contoso.example>\r\n"
    b"Subject: A parcel\r\n for you\r\nMessage-ID: <1@a.example>\r\nX-Twice: one\r\nX-Twice: two\r\n"
)


def parsed(mime: bytes) -> EmailMessage:
    """The mail as the standard library sees it."""
    mail = email.message_from_bytes(mime, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert not any(part.defects for part in mail.walk())
    return mail


def content_of(part: email.message.Message | None) -> bytes:
    """The octets of a leaf."""
    assert part is not None
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def converted(mime: bytes, path: Callable[[OutlookMessage], OutlookMessage]) -> EmailMessage:
    """The mail after a journey through Outlook."""
    return parsed(write_mime(path(message_from_mime(mime))))


def message(**properties: object) -> OutlookMessage:
    """A message with those properties."""
    return OutlookMessage({Property[name.upper()]: value for name, value in properties.items()})


@through
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252", "iso-8859-15"])
def test_text_and_html_become_alternatives(path: Callable[[OutlookMessage], OutlookMessage], charset: str) -> None:
    """Both bodies come back, in whatever character set they were."""
    html = "<p>Grüße</p>".encode(charset)
    mime = HEADERS + (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: text/plain; charset="
        + charset.encode()
        + b"\r\n\r\n"
        + "Grüße".encode(charset)
        + b"\r\n--x\r\n"
        b"Content-Type: text/html; charset=" + charset.encode() + b"\r\n\r\n" + html + b"\r\n--x--\r\n"
    )
    mail = converted(mime, path)
    assert mail.get_content_type() == "multipart/alternative"
    text_part, html_part = mail.iter_parts()
    assert content_of(text_part).decode() == "Grüße"
    assert content_of(html_part) == html
    assert html_part.get_content_charset() == charset


@through
@pytest.mark.parametrize(("kind", "code_page"), [("koi8-r", 20866), ("shift_jis", 932), ("gb2312", 936)])
def test_html_alone_is_no_multipart(
    path: Callable[[OutlookMessage], OutlookMessage], kind: str, code_page: int
) -> None:
    """HTML without text is the body itself, its octets untouched."""
    html = {"koi8-r": "Привет", "shift_jis": "日本", "gb2312": "中国"}[kind].encode(kind)
    mail = converted(HEADERS + b"Content-Type: text/html; charset=" + kind.encode() + b"\r\n\r\n" + html, path)
    assert (mail.get_content_type(), content_of(mail)) == ("text/html", html)
    assert content_of(mail).decode(str(mail.get_content_charset())) == html.decode(kind), code_page


@through
def test_text_alone_is_no_multipart(path: Callable[[OutlookMessage], OutlookMessage]) -> None:
    """Text without HTML is the body itself, and so is an empty one."""
    for text in (b"Hello\r\n", b""):
        mail = converted(HEADERS + b"\r\n" + text, path)
        assert (mail.get_content_type(), content_of(mail)) == ("text/plain", text)


@through
def test_transport_headers_come_first_and_verbatim(path: Callable[[OutlookMessage], OutlookMessage]) -> None:
    """Every header stays as it stands, folds, order and repetition included; only the structure's are new."""
    mime = HEADERS + b"MIME-Version: 1.0 (old)\r\ncontent-TYPE: text/plain;\r\n charset=x\r\nX-Last: y\r\n\r\nHello"
    written = write_mime(path(message_from_mime(mime)))
    assert written.startswith(
        HEADERS + b"X-Last: y\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    )


def test_a_line_that_is_no_header_is_dropped() -> None:
    """Outlook's own first line would end the headers for a reader; a lone CR or a NUL would break them."""
    text = "Microsoft Mail Internet Headers Version 2.0\r\nA: 1\rX-Forged: 2\0\r\n\r\nX-Body: 3"
    assert write_mime(message(transport_headers=text)).startswith(b"A: 1 X-Forged: 2 \r\nMIME-Version: 1.0\r\n")


@through
def test_rtf_body_becomes_html(path: Callable[[OutlookMessage], OutlookMessage]) -> None:
    """HTML that Outlook keeps as RTF comes out; without HTML in it, its text does."""
    for content, kind, body in (
        (rb"{\rtf1\ansi\fromhtml1 {\*\htmltag <p>}caf\'e9{\*\htmltag </p>}}", "text/html", "<p>café</p>"),
        (rb"{\rtf1\ansi caf\'e9}", "text/plain", "café"),
    ):
        packed = struct.pack("<II4sI", len(content) + 12, len(content), b"MELA", 0) + content
        mail = parsed(write_mime(path(message(compressed_rtf=packed))))
        assert (mail.get_content_type(), content_of(mail).decode()) == (kind, body)


def test_reading_rtf_is_bounded_for_the_whole_mail() -> None:
    """Embedded mails share one limit of RTF, however much theirs unpacks to in all."""
    content = rb"{\rtf1 " + b"x" * (MAX_RTF_BYTES // 4)
    packed = struct.pack("<II4sI", len(content) + 12, len(content), b"MELA", 0) + content
    inner = tuple(OutlookAttachment(message(compressed_rtf=packed)) for _ in range(6))
    mail = parsed(write_mime(OutlookMessage({Property.BODY: "outer"}, (), inner)))
    _, *attached = mail.iter_parts()
    texts = [content_of(next(one.iter_parts())) for one in attached]
    assert [len(text) for text in texts[:3]] == [MAX_RTF_BYTES // 4] * 3
    assert sum(map(len, texts)) < MAX_RTF_BYTES
    assert texts[-1] == b""


@through
def test_attachments_keep_name_and_content(path: Callable[[OutlookMessage], OutlookMessage]) -> None:
    """Inline images stay beside the HTML that shows them, files follow, with names of any script and length."""
    image = OutlookAttachment(b"\x89PNG" * 900, "logo.png", "image/png", "logo@x", is_inline=True)
    files = [
        OutlookAttachment(bytes(range(256)) * 400, "Rechnung für März, 日本語.pdf", "application/pdf"),
        OutlookAttachment(b"", 'quo"te\\d.txt', "text/plain"),
        OutlookAttachment(b"x", "ä" * 120 + ".bin", "multipart/mixed"),
    ]
    whole = OutlookMessage({Property.HTML: b"<img src='cid:logo@x'>"}, (), (image, *files))
    mail = parsed(write_mime(path(whole)))
    related, *attached = mail.iter_parts()
    html, inline = related.iter_parts()
    assert (html.get_content_type(), content_of(inline)) == ("text/html", image.content)
    assert (inline["Content-ID"], inline.get_content_disposition()) == ("<logo@x>", "inline")
    assert [(one.get_filename(), content_of(one)) for one in attached] == [(one.name, one.content) for one in files]
    types = ["application/pdf", "text/plain", "application/octet-stream"]
    assert [one.get_content_type() for one in attached] == types


@through
def test_a_mail_in_a_mail_in_a_mail_stays_a_mail(path: Callable[[OutlookMessage], OutlookMessage]) -> None:
    """Embedded messages become message/rfc822 with their own transport headers, however often."""
    innermost = message_from_mime(b"X-Depth: 2\r\n" + HEADERS + b"\r\ninnermost")
    inner = message_from_mime(b"X-Depth: 1\r\n" + HEADERS + b"\r\ninner")
    inner = OutlookMessage(inner.properties, inner.recipients, (OutlookAttachment(innermost, "two"),))
    outer = OutlookMessage({Property.BODY: "see below"}, (), (OutlookAttachment(inner, "one"),))
    _, attached = parsed(write_mime(path(outer))).iter_parts()
    assert (attached.get_content_type(), attached.get_filename()) == ("message/rfc822", "one")
    (first,) = attached.iter_parts()
    assert first["X-Depth"] == "1"
    (second,) = list(first.iter_parts())[1].iter_parts()
    assert (second["X-Depth"], content_of(second)) == ("2", b"innermost")


def test_an_attached_mail_file_is_not_encoded() -> None:
    """A file of type message/rfc822 is written as it stands, as that type demands."""
    mail = OutlookMessage({}, (), (OutlookAttachment(HEADERS + b"\r\nhi", "a.eml", "message/rfc822"),))
    (attached,) = list(parsed(write_mime(mail)).iter_parts())[1].iter_parts()
    assert (attached["X-MS-Exchange-Organization-Network-Message-Id"] or "").startswith("1111")


@through
def test_signed_mail_keeps_what_was_signed(path: Callable[[OutlookMessage], OutlookMessage]) -> None:
    """The one attachment of a clear-signed message is the body, octet for octet; no header slips in with it."""
    body = b"--s\r\nContent-Type: text/plain\r\n\r\nsigned\r\n--s\r\n\r\nsignature\r\n--s--\r\n"
    entity = b'X-Slip: in\r\nContent-Type: multipart/signed;\r\n boundary="s"\r\n\r\n' + body
    whole = OutlookMessage(
        {Property.MESSAGE_CLASS: "IPM.Note.SMIME.MultipartSigned", Property.TRANSPORT_HEADERS: HEADERS.decode()},
        (),
        (OutlookAttachment(entity, "smime.p7m", "multipart/signed"),),
    )
    written = write_mime(path(whole))
    assert written == HEADERS + b'MIME-Version: 1.0\r\nContent-Type: multipart/signed;\r\n boundary="s"\r\n\r\n' + body


def test_encrypted_mail_is_its_container() -> None:
    """The one attachment of an opaque message, which has no headers of its own, becomes the body."""
    whole = OutlookMessage(
        {Property.MESSAGE_CLASS: "IPM.Note.SMIME"}, (), (OutlookAttachment(b"\x30\x80", "smime.p7m"),)
    )
    mail = parsed(write_mime(whole))
    assert (mail.get_content_type(), content_of(mail)) == ("application/pkcs7-mime", b"\x30\x80")


@through
def test_without_transport_headers_the_properties_tell(path: Callable[[OutlookMessage], OutlookMessage]) -> None:
    """From, To, Cc, Date, Subject and Message-ID are made of what Outlook knows."""
    sent = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    properties = message(
        sender_name="Jürgen, Parcel desk", sender_smtp_address="desk@a.example", subject="Grüße aus 東京 " * 9,
        client_submit_time=sent, internet_message_id="<1@a.example>", references="<a@x>\r\n <b@x>",
    ).properties  # fmt: skip
    people = (
        OutlookRecipient(RecipientKind.TO, 'An"na', "anna@contoso.example"),
        OutlookRecipient(RecipientKind.CC, "", "ben@contoso.example"),
        OutlookRecipient(RecipientKind.BCC, "", "hidden@contoso.example"),
        OutlookRecipient(RecipientKind.TO, "Internal", ""),
    )
    mime = write_mime(path(OutlookMessage(properties, people)))
    mail = parsed(mime)
    assert mail["From"].addresses[0].display_name == "Jürgen, Parcel desk"
    assert mail["From"].addresses[0].addr_spec == "desk@a.example"
    assert [one.addr_spec for one in mail["To"].addresses] == ["anna@contoso.example"]
    assert mail["To"].addresses[0].display_name == 'An"na'
    assert [str(one) for one in mail["Cc"].addresses] == ["ben@contoso.example"]
    assert mail["Subject"] == ("Grüße aus 東京 " * 9).strip()
    assert (mail["Date"].datetime, mail["Message-ID"], mail["References"]) == (sent, "<1@a.example>", "<a@x> <b@x>")
    assert b"hidden@" not in mime
    assert max(map(len, mime.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("properties", "sender"),
    [
        ({"sender_smtp_address": "desk@lure.test", "sender_name": "Desk"}, '"Desk" <desk@lure.test>'),
        ({"sender_address": "Parcel <desk@lure.test>"}, "<desk@lure.test>"),
        ({"sender_address": "SMTP:desk@lure.test"}, "<desk@lure.test>"),
        ({"sender_address": "/O=CONTOSO/OU=X (Y)/CN=RECIPIENTS/CN=ANNA", "sender_name": "Anna"}, '"Anna":;'),
        ({"sender_address": "/o=Contoso/cn=Recipients/cn=anna@contoso.example", "sender_name": "Anna"}, '"Anna":;'),
        ({"sender_address": "EX:/o=Two Words/cn=Users/cn=anna@contoso.example", "sender_name": "Anna"}, '"Anna":;'),
        ({"sender_address": "IMCEAEX-_O=CONTOSO_CN=ANNA@contoso.example", "sender_name": "Anna"}, '"Anna":;'),
        ({"sender_address": "someone at lure@lure.test", "sender_name": "Desk"}, '"Desk":;'),
        ({"sent_representing_name": "Boss", "sender_smtp_address": "pa@lure.test"}, "<pa@lure.test>"),
        ({}, "undisclosed:;"),
    ],
)
def test_the_sender_is_an_address_or_a_name(properties: dict[str, object], sender: str) -> None:
    """An address as it stands, never an X.500 path nor one that is cut out of something else."""
    mime = write_mime(message(**properties))
    assert mime.partition(b"\r\n")[0].decode() == f"From: {sender}"


SENT = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)


@through
@pytest.mark.parametrize(
    ("fragment", "lines"),
    [
        (
            "X-Mailer: y\r\n\r\n",
            [
                'From: "Desk" <desk@a.example>',
                'To: "Ben" <ben@contoso.example>',
                "Date: Sat, 03 Feb 2024 04:05:06 +0000",
                "Subject: Hello",
                "Message-ID: <1@a.example>",
            ],
        ),
        ("From: Desk\r\nTo: Ben\r\nCc: Jo\r\nSubject: x\r\nDate: y\r\n\r\n", [
            'From: "Desk" <desk@a.example>', 'To: "Ben" <ben@contoso.example>', "Message-ID: <1@a.example>"]),
        ("From: x@b.example\r\nTo: undisclosed-recipients:;\r\nSubject: x\r\nDate: y\r\nMessage-ID: z\r\n\r\n", [
            'To: "Ben" <ben@contoso.example>']),
        ("from: x@b.example\r\nCC: y@b.example\r\nsubject:\r\ndate: y\r\nmessage-id: z\r\n\r\n", []),
    ],
    ids=["nothing told", "names alone", "nobody told", "all told"],
)  # fmt: skip
def test_properties_fill_in_what_headers_lack(
    path: Callable[[OutlookMessage], OutlookMessage], fragment: str, lines: list[str]
) -> None:
    """Fragments of transport headers, as of a sent item, stay; what they do not tell comes behind them."""
    known = message(
        transport_headers=fragment, sender_name="Desk", sender_smtp_address="desk@a.example", subject="Hello",
        client_submit_time=SENT, internet_message_id="<1@a.example>",
    )  # fmt: skip
    people = (OutlookRecipient(RecipientKind.TO, "Ben", "ben@contoso.example"),)
    head = write_mime(path(OutlookMessage(known.properties, people))).decode().partition("\r\nMIME-Version")[0]
    replaced = {line.partition(":")[0] for line in lines}
    kept = [line for line in fragment.split("\r\n") if line and line.partition(":")[0] not in replaced]
    assert head.split("\r\n") == kept + lines


@given(st.text(max_size=40), st.text(max_size=300), st.sampled_from(["", "\u2028X-Forged: 1\x85X-Forged: 1"]))
@example("", "", "")
def test_no_property_brings_a_header(name: str, text: str, more: str) -> None:
    """Line breaks of any kind in names, ids and subjects neither end a header nor begin one."""
    attack = f"{text}\r\n{name}\nX-Forged: 1\rX-Forged: 1\x0bX-Forged: 1{more}"
    people = tuple(OutlookRecipient(kind, attack, attack + "@") for kind in RecipientKind)
    properties = message(subject=attack, sender_name=attack, sender_address="@" + attack, internet_message_id=attack)
    file = OutlookAttachment(b"", attack, attack, attack)
    written = write_mime(OutlookMessage(properties.properties, people, (file,)))
    assert not any(line.startswith(b"X-Forged") for line in written.splitlines())
    names = [line.partition(b":")[0] for line in written.partition(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] != b" "]
    assert names == [b"From", b"To", b"Cc", b"Subject", b"Message-ID", b"MIME-Version", b"Content-Type"]


def test_boundaries_do_not_occur_inside() -> None:
    """An embedded mail that knows a boundary in advance cannot end the part that it is in; none changes by chance."""
    once = write_mime(OutlookMessage({Property.BODY: "x"}, (), (OutlookAttachment(message(body="y")),)))
    assert once == write_mime(OutlookMessage({Property.BODY: "x"}, (), (OutlookAttachment(message(body="y")),)))
    boundary = parsed(once).get_boundary()
    inner = message(transport_headers=f"A: 1\r\n--{boundary}--: 2\r\n")
    again = parsed(write_mime(OutlookMessage({Property.BODY: "x"}, (), (OutlookAttachment(inner),))))
    assert len(list(again.iter_parts())) == 2
    assert str(again.get_boundary())[:34] != str(boundary)[:34]


def test_real_mail_survives_outlook(reported_mail: list[Path]) -> None:
    """Every header value, both bodies and every file of a real mail are the same after either format."""
    for file in reported_mail:
        original = message_from_mime(file.read_bytes())
        assert all(path(original) == original for path in PATHS.values()), file.name
        assert same_mail(message_from_mime(write_mime(original)), original), file.name


def same_mail(one: OutlookMessage, two: OutlookMessage) -> bool:
    """Whether both have the same headers, less those of the structure, the same bodies and the same files."""
    bodies = [
        [whole.properties.get(kind, empty) for kind, empty in ((Property.BODY, ""), (Property.HTML, b""))]
        for whole in (one, two)
    ]
    return (
        header_fields(one) == header_fields(two)
        and bodies[0] == bodies[1]
        and len(one.attachments) == len(two.attachments)
        and all(map(same_file, sorted_files(one), sorted_files(two)))
    )


def header_fields(whole: OutlookMessage) -> list[str]:
    """The headers, each with its folds, less those that describe the body."""
    fields = (
        str(whole.properties[Property.TRANSPORT_HEADERS]).rstrip().replace("\r\n ", "\0 ").replace("\r\n\t", "\0\t")
    )
    return [one for one in fields.split("\r\n") if not one.lower().startswith(STRUCTURE)]


def sorted_files(whole: OutlookMessage) -> list[OutlookAttachment]:
    """Inline files first, as they stand in the mail."""
    return sorted(whole.attachments, key=lambda file: not file.is_inline)


def same_file(one: OutlookAttachment, two: OutlookAttachment) -> bool:
    """Whether name and content are the same."""
    if isinstance(one.content, OutlookMessage) and isinstance(two.content, OutlookMessage):
        return same_mail(one.content, two.content)
    return (one.name, one.content) == (two.name, two.content)
