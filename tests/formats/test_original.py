"""Which mail is the original: through every wrapper, and never the one that an attacker put into his own."""

import base64
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sample_tenant import REPORTING_MAILBOX
from shared.domain.model import Category, SkipReason
from shared.domain.originals import Closed, Form, Opened
from shared.formats.original import MAX_DEPTH, open_original
from shared.formats.outlook_message import OutlookAttachment, OutlookMessage, Property
from tests.support.outlook_writer import message_from_mime, write_msg, write_winmail
from tests.support.report_formats import (
    RIGHTS_PROTECTED,
    as_clear_signed,
    as_dragged_msg,
    as_enveloped,
    as_msg,
    as_opaque_signed,
    as_winmail_eml,
    as_winmail_item,
    delivered_report,
    file_part,
    in_winmail,
    mail_part,
    multipart,
    report_body,
    report_of_report,
    tenant_of,
    text_part,
)

TENANT = tenant_of("contoso.example")
MAIL = (
    b"Received: from mx.lure.test by contoso.example\r\nFrom: Desk <desk@lure.test>\r\nTo: <anna@contoso.example>\r\n"
    b"Subject: Your parcel\r\nMessage-ID: <1@lure.test>\r\nX-MS-Exchange-Organization-AuthAs: Anonymous\r\n"
    b"Content-Type: text/plain\r\n\r\nPlease pay.\r\n"
)
OTHER = MAIL.replace(b"<1@", b"<2@")
PASSED = (
    "Authentication-Results: spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=contoso.example; dkim=pass (signature was"
    " verified) header.d=contoso.example;dmarc=pass action=none header.from=contoso.example;"
    "compauth=pass reason=100\r\n"
)
NO_ORIGINAL, MULTIPLE = Closed(SkipReason.NO_ORIGINAL), Closed(SkipReason.MULTIPLE_ORIGINALS)
CALENDAR = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


def opened(content: bytes) -> Opened | Closed:
    """What the sample tenant makes of these bytes."""
    return open_original(content, TENANT)


def form_of(content: bytes) -> tuple[Form, str] | Closed:
    """What the original was read from, and its Message-ID."""
    found = opened(content)
    if isinstance(found, Closed):
        return found
    ids = [line for line in found.mime.partition(b"\r\n\r\n")[0].split(b"\r\n") if line.startswith(b"Message-ID:")]
    return found.form, ids[0].decode().partition(":")[2].strip()


def as_opaque_signed_of(body: bytes) -> bytes:
    """Signed-data around this very body, with lengths left open."""
    signed = bytes.fromhex("06092a864886f70d010702")
    data = bytes.fromhex("06092a864886f70d010701")
    octets = b"\x04\x84" + len(body).to_bytes(4, "big") + body
    return (
        b"\x30\x80" + signed + b"\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80" + data + b"\xa0\x80" + octets + bytes(12)
    )


# --- Wrappers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (MAIL, Form.MIME),
        (as_msg(MAIL), Form.OUTLOOK_MSG),
        (as_dragged_msg(MAIL), Form.OUTLOOK_MSG),
        (as_winmail_item(MAIL), Form.WINMAIL),
        (as_winmail_eml(MAIL), Form.WINMAIL),
        (in_winmail(OutlookAttachment(as_msg(MAIL), name="a.msg")), Form.OUTLOOK_MSG),
        (as_clear_signed(MAIL), Form.SIGNED),
        (as_opaque_signed(MAIL), Form.SIGNED),
        (base64.encodebytes(as_opaque_signed(MAIL)), Form.SIGNED),
        (file_part(as_opaque_signed(MAIL), "application/pkcs7-mime", "smime.p7m"), Form.SIGNED),
        (multipart("mixed", text_part(), mail_part(MAIL)), Form.MIME),
        (multipart("mixed", text_part(), file_part(MAIL, "application/octet-stream", "mail")), Form.MIME),
        (multipart("mixed", text_part(), file_part(as_msg(MAIL), "text/plain", "mail.MSG")), Form.OUTLOOK_MSG),
        (multipart("mixed", file_part(as_winmail_item(MAIL), "application/ms-tnef", "winmail.dat")), Form.WINMAIL),
        (file_part(as_winmail_item(MAIL), "application/ms-tnef", "winmail.dat"), Form.WINMAIL),
        (mail_part(MAIL), Form.MIME),
        (report_of_report(MAIL), Form.REPORT),
        (report_of_report(report_of_report(MAIL)), Form.REPORT),
        (as_msg(report_of_report(MAIL)), Form.REPORT),
        (as_clear_signed(report_of_report(MAIL)), Form.REPORT),
        (delivered_report(multipart("mixed", file_part(as_msg(MAIL), "a/b", "o.msg"))), Form.OUTLOOK_MSG),
        (delivered_report(file_part(as_opaque_signed(MAIL), "application/pkcs7-mime", "smime.p7m")), Form.SIGNED),
        (delivered_report(file_part(as_winmail_item(MAIL), "application/ms-tnef", "winmail.dat")), Form.WINMAIL),
    ],
)
def test_the_original_is_found_in_every_wrapper(content: bytes, form: Form) -> None:
    """One mail in whatever wraps it is the original; the innermost wrapper is told."""
    assert form_of(content) == (form, "<1@lure.test>")


@pytest.mark.parametrize("wrap", [bytes, as_winmail_eml, as_clear_signed, as_opaque_signed, report_of_report])
def test_an_original_in_mime_comes_out_octet_for_octet(wrap: type[bytes]) -> None:
    """What only wraps a mail changes nothing in it: Microsoft judges the very bytes."""
    found = opened(wrap(MAIL))
    assert isinstance(found, Opened)
    assert found.mime.rstrip() == MAIL.rstrip()


@pytest.mark.parametrize(
    "content",
    [
        multipart("mixed", mail_part(MAIL), mail_part(OTHER)),
        multipart("mixed", mail_part(MAIL), multipart("mixed", mail_part(OTHER), boundary="inner")),
        as_clear_signed(MAIL).replace(
            b"--=_part_5be1--", b"--=_part_5be1\r\n" + mail_part(OTHER) + b"\r\n--=_part_5be1--"
        ),
        delivered_report(multipart("mixed", mail_part(MAIL), file_part(OTHER, "a/b", "second.eml"))),
        write_winmail(
            OutlookMessage(
                {Property.MESSAGE_CLASS: "IPM.Note"},
                attachments=(OutlookAttachment(MAIL, name="1.eml"), OutlookAttachment(message_from_mime(OTHER))),
            )
        ),
    ],
)
def test_two_originals_are_refused(content: bytes) -> None:
    """Microsoft discards reports of several mails, and a guess would submit the wrong one."""
    assert opened(content) == MULTIPLE


@pytest.mark.parametrize(
    "content",
    [
        multipart("mixed", text_part(), file_part(b"GIF89a", "image/gif", "a.gif")),
        multipart("signed", text_part(), boundary="sig"),
        as_opaque_signed_of(text_part()),
        as_opaque_signed_of(b"From: anna@contoso.example\r\n\r\nlook"),
        in_winmail(OutlookAttachment(b"GIF89a", name="a.gif", mime_type="image/gif")),
        write_winmail(OutlookMessage({Property.MESSAGE_CLASS: "IPM.Note"})),
    ],
)
def test_a_body_without_a_mail_has_no_original(content: bytes) -> None:
    """A note, a picture or nothing at all is no original, whatever it is wrapped in."""
    assert opened(content) == NO_ORIGINAL


@pytest.mark.parametrize("content", [as_enveloped(MAIL), RIGHTS_PROTECTED, base64.b64encode(as_enveloped(MAIL))])
def test_what_is_encrypted_is_told(content: bytes) -> None:
    """Nobody but the recipient can read it, which the operator has to know."""
    found = opened(content)
    assert isinstance(found, Closed)
    assert found.reason is SkipReason.UNREADABLE_ORIGINAL
    assert (found.detail or "").startswith("encrypted: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", SkipReason.UNREADABLE_ORIGINAL),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), SkipReason.UNREADABLE_ORIGINAL),
        (b"\x78\x9f\x3e\x22", SkipReason.UNREADABLE_ORIGINAL),
        (CALENDAR, SkipReason.NOT_EMAIL),
        (b"BEGIN:VCARD\r\nEND:VCARD\r\n", SkipReason.NOT_EMAIL),
        (multipart("mixed", mail_part(CALENDAR)), SkipReason.NOT_EMAIL),
    ],
)
def test_what_cannot_be_read_has_a_reason(content: bytes, reason: SkipReason) -> None:
    """Damaged files and items that are no mail are told apart, in words where there is more to tell."""
    found = opened(content)
    assert isinstance(found, Closed)
    assert found.reason is reason
    assert found.detail or reason is SkipReason.NOT_EMAIL


@pytest.mark.parametrize(
    "before",
    [
        b"From desk@lure.test Mon Nov 23 09:00:00 2026\r\n",
        b">From desk@lure.test Mon Nov 23 09:00:00 2026\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\r\n",
        b"\r\n\n\r\n",
        b" " * 80 + b"\r\n",
        b" \t ",
        b"2817\r\n",
        b"* 1 FETCH (BODY[] {2817}\r\n",
        b"Microsoft Mail Internet Headers Version 2.0\r\n",
        b"This mail was released from quarantine.\r\nAsk the help desk.\r\n\r\n",
        b"2817\n\xef\xbb\xbf\nFrom desk Mon Nov 23\n",
    ],
)
def test_a_mail_begins_with_its_first_header(before: bytes) -> None:
    """What transports, stores and gateways put before it is neither read nor submitted."""
    assert opened(before + MAIL) == Opened(MAIL, Form.MIME)
    assert opened(report_of_report(before + MAIL)) == Opened(MAIL, Form.REPORT)


@pytest.mark.parametrize(
    "content",
    [
        b"Please look.\r\n\r\n-----Original Message-----\r\n" + MAIL,
        b"Please look.\r\n\r\n________________________________\r\n" + MAIL,
        b"Hi,\r\n" * 20 + MAIL,
        b"Hello\r\nFrom: me\r\n\r\nSubject: x",
        b"From : Desk <desk@lure.test>\r\n" + MAIL,
    ],
)
def test_text_around_a_mail_stays_where_it_is(content: bytes) -> None:
    """A note above a quoted mail is no banner, and a header with a blank before its colon no line of a mail store."""
    assert opened(content) == Opened(content, Form.MIME)


OTHER_CLASSES = (
    "IPM.Contact", "ipm.contact.Custom", "IPM.DistList", "IPM.Appointment", "IPM.Task", "IPM.StickyNote",
    "IPM.Activity", "IPM.OLE.CLASS.{00061055-0000-0000-C000-000000000046}",
)  # fmt: skip
MAIL_CLASSES = (
    "IPM.Note", "IPM.Note.Custom", "IPM.Post", "IPM.Schedule.Meeting.Request", "IPM.TaskRequest", "REPORT.IPM.Note.NDR",
    "IPM.Contacted", "", "Custom",
)  # fmt: skip


@pytest.mark.parametrize("name", OTHER_CLASSES + MAIL_CLASSES)
def test_an_outlook_item_is_a_mail_by_its_class(name: str) -> None:
    """Contacts, groups, appointments, tasks, notes and journal entries are none, alone or in a winmail.dat."""
    item = OutlookMessage({Property.MESSAGE_CLASS: name, Property.SUBJECT: "x"})
    wrapped = write_winmail(OutlookMessage({}, (), (OutlookAttachment(item),)))
    for content in (write_msg(item), wrapped):
        found = opened(content)
        assert (found == Closed(SkipReason.NOT_EMAIL)) == (name in OTHER_CLASSES)
        assert isinstance(found, Opened) == (name in MAIL_CLASSES)


def test_a_cut_off_winmail_says_so() -> None:
    """Where what is left holds no mail, it is the damage that hides it."""
    whole = as_winmail_item(MAIL)
    found = opened(whole[: len(whole) // 2])
    assert isinstance(found, Closed)
    assert (found.reason, found.detail) == (
        SkipReason.UNREADABLE_ORIGINAL,
        "the winmail.dat cannot be read: it ends inside a value",
    )


@pytest.mark.parametrize(
    "content", [b"hello", b"<html>Subject: x</html>", b"\xff" * 99, b"Content-Type: text/html\r\n\r\nx"]
)
def test_text_that_is_no_mail_is_left_to_the_reader_of_headers(content: bytes) -> None:
    """Whether text is a mail is decided in one place, which also says why not."""
    assert opened(content) == Opened(content, Form.MIME)


# --- Attacks --------------------------------------------------------------------------------------------------------


def attack(
    *, auth_as: str = "Anonymous", sender: str = "eve@lure.test", subject: str = "3|reported", more: str = ""
) -> bytes:
    """A mail that carries another one and looks like a report."""
    mail = delivered_report(report_body(OTHER), auth_as=auth_as, reporter=sender, subject=subject)
    return more.encode() + mail


@pytest.mark.parametrize(
    "mail",
    [
        attack(),
        attack(sender="anna@contoso.example"),
        attack(subject="3|0c9be1de-39a2-4e0f-9d27-5f6b5d2d6f51|192.0.2.1|a@b.test|(x)", sender="anna@contoso.example"),
        attack(sender="anna@contoso.example", more=PASSED),
        attack(auth_as="Internal"),
        attack(
            auth_as="Internal", sender="anna@contoso.example", more="X-MS-Exchange-Organization-AuthAs: Anonymous\r\n"
        ),
        attack(
            auth_as="Internal", sender="anna@contoso.example", more="X-MS-Exchange-Organization-AuthAs: Internal\r\n"
        ),
        attack(auth_as="Internal", sender="anna@contoso.example", more="From: <eve@lure.test>\r\n"),
        attack(
            auth_as="Internal", sender="anna@contoso.example", more="X-MS-Exchange-CrossTenant-AuthAs: Anonymous\r\n"
        ),
        attack(auth_as="Internal, Internal", sender="anna@contoso.example"),
        attack(auth_as="Partner", sender="anna@contoso.example"),
        attack(auth_as="Internal", sender="anna@contoso.example.lure.test"),
    ],
    ids=[
        "from outside",
        "spoofed internal sender",
        "the button's own subject",
        "in the tenant's name with DMARC passed",
        "a stranger with the header",
        "forged header above Exchange's",
        "forged header twice",
        "two senders",
        "another tenant's word",
        "a list of words",
        "another word",
        "a lookalike domain",
    ],
)
def test_an_attackers_mail_that_carries_another_is_the_original(mail: bytes) -> None:
    """Whoever was not authenticated as one of the tenant's people does not choose what is submitted in his place."""
    assert opened(mail) == Opened(mail, Form.MIME)


@pytest.mark.parametrize("wrap", [as_msg, as_winmail_item, as_winmail_eml, as_clear_signed, as_opaque_signed])
def test_an_attackers_mail_stays_whole_in_every_wrapper(wrap: type[bytes]) -> None:
    """A wrapper that a reporter's program made gives the attacker's mail no more trust than before."""
    found = form_of(wrap(attack(sender="anna@contoso.example")))
    assert not isinstance(found, Closed)
    assert found[1].startswith("<report-again@")


def test_an_attackers_mail_in_a_report_is_unwrapped_no_further() -> None:
    """A true report of an attacker's forged report ends at the forged one: that was delivered."""
    assert form_of(report_of_report(attack())) == (Form.REPORT, "<report-again@lure.test>")


def test_an_outlook_file_without_headers_is_no_wrapper() -> None:
    """A file that Outlook saved is the mail itself, even where it says nothing of its sender or subject."""
    properties: dict[int, object] = {
        Property.MESSAGE_CLASS: "IPM.Note",
        Property.TRANSPORT_HEADERS: "X-Odd: yes\r\n\r\n",
    }
    found = opened(write_msg(OutlookMessage(properties, attachments=(OutlookAttachment(MAIL, name="1.eml"),))))
    assert isinstance(found, Opened)
    assert found.form is Form.OUTLOOK_MSG
    assert found.mime.startswith(b"X-Odd: yes\r\n")


def test_headers_that_were_signed_with_a_body_make_it_no_mail() -> None:
    """Some programs repeat the report's own headers in what they sign; the report is not the original."""
    body = b"From: anna@contoso.example\r\nSubject: 3|look\r\n" + report_body(MAIL)
    assert opened(as_opaque_signed_of(body)) == Opened(MAIL, Form.SIGNED)


def lost(mail: bytes) -> bytes:
    """The mail without what Exchange wrote into it."""
    return b"".join(line for line in mail.splitlines(keepends=True) if not line.startswith(b"X-MS-Exchange-Org"))


@pytest.mark.parametrize("wrap", [bytes, report_of_report, as_msg])
@pytest.mark.parametrize(("subject", "to"), [("2|look", "soc@contoso.example"), ("look", REPORTING_MAILBOX)])
def test_a_report_that_lost_exchanges_headers_is_never_the_original(
    subject: str, to: str, wrap: Callable[[bytes], bytes]
) -> None:
    """Nothing tells who sent it, so nobody chose the mail in it; and it is no phish itself."""
    found = opened(wrap(lost(delivered_report(report_body(MAIL), subject=subject, to=to))))
    assert isinstance(found, Closed)
    assert (found.reason, found.detail) == (
        SkipReason.NO_ORIGINAL,
        "a report that lost the headers of Exchange: nothing tells who sent it",
    )


@pytest.mark.parametrize(
    "mail",
    [
        PASSED.encode() + lost(delivered_report(report_body(MAIL))),
        b"X-MS-Exchange-CrossTenant-AuthAs: Anonymous\r\n" + lost(delivered_report(report_body(MAIL))),
        lost(delivered_report(report_body(MAIL), reporter="eve@lure.test")),
        lost(delivered_report(report_body(MAIL), subject="look", to="soc@contoso.example")),
        lost(delivered_report(text_part())),
    ],
    ids=["checked", "from outside", "a stranger's", "no report", "no mail in it"],
)
def test_a_mail_that_only_lacks_headers_is_the_original(mail: bytes) -> None:
    """A stranger's mail stays one: it is submitted, whatever it looks like."""
    assert opened(mail) == Opened(mail, Form.MIME)


# --- Reports of reports ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "to", "is_report"),
    [
        ("3|reported", "soc@contoso.example", True),
        ("Phishing: reported", "soc@contoso.example", True),
        ("=?utf-8?q?3=7Creported?=", "soc@contoso.example", True),
        ("look", REPORTING_MAILBOX.upper(), True),
        ("look", "soc@contoso.example", False),
        ("FW: 3|reported", "soc@contoso.example", False),
    ],
)
def test_a_report_is_known_by_its_subject_or_its_mailbox(subject: str, to: str, *, is_report: bool) -> None:
    """A colleague's mail with a mail in it is a report only if it was sent as one."""
    mail = delivered_report(report_body(MAIL), subject=subject, to=to)
    assert opened(mail) == (Opened(MAIL, Form.REPORT) if is_report else Opened(mail, Form.MIME))


@pytest.mark.parametrize(
    ("subjects", "category"),
    [
        (["2|look"], Category.NOT_JUNK),
        (["FW: 2|look", "2|look"], Category.NOT_JUNK),
        (["1|look", "2|look"], Category.SPAM),
        (["look"], None),
        ([], None),
    ],
)
def test_the_outermost_choice_of_the_buttons_within_is_told(subjects: list[str], category: Category | None) -> None:
    """For whoever forwarded a report chose nothing himself."""
    content = MAIL
    for subject in reversed(subjects):
        content = delivered_report(report_body(content), subject=subject)
    found = opened(content)
    assert isinstance(found, Opened)
    assert (found.mime, found.category) == (MAIL, category)


@pytest.mark.parametrize(
    "body",
    [
        text_part(),
        multipart("mixed", text_part(), file_part(b"GIF89a", "image/gif", "a.gif")),
        multipart("mixed", text_part(), file_part(in_winmail(OutlookAttachment(b"x", "a.gif")), "a/b", "winmail.dat")),
    ],
    ids=["text", "a picture", "winmail.dat without a mail"],
)
def test_a_colleagues_mail_without_a_mail_in_it_is_the_original(body: bytes) -> None:
    """A mail to the reporting mailbox that carries nothing was itself reported."""
    mail = delivered_report(body)
    assert opened(mail) == Opened(mail, Form.MIME)


def test_nesting_is_bounded() -> None:
    """As many wrappers as the bound are taken off; one more is refused with the reason."""
    content = MAIL
    for _ in range(MAX_DEPTH):
        content = delivered_report(multipart("mixed", file_part(content, "message/rfc822", "o.eml")))
    assert opened(content) == Opened(MAIL, Form.REPORT)
    found = opened(report_of_report(content))
    assert isinstance(found, Closed)
    assert found.reason is SkipReason.UNREADABLE_ORIGINAL
    assert str(MAX_DEPTH) in (found.detail or "")


@pytest.mark.parametrize(
    "content",
    [
        delivered_report(multipart("mixed", *[file_part(b"", "application/octet-stream", "a")] * 1_200)),
        delivered_report(multipart("mixed", file_part(MAIL + b"x" * 1_000_000, "message/rfc822", "a"))),
        delivered_report(multipart("mixed", mail_part(b"--" * 300_000))),
        delivered_report(b"Content-Type: multipart/mixed; boundary=b\n" + b"\n--b\n" * 50_000),
        write_msg(OutlookMessage({Property.SUBJECT: "x", Property.BODY: "x" * 300_000})),
    ],
    ids=["many files", "a large mail", "dashes", "many parts", "a large msg"],
)
def test_hostile_reports_cost_their_size(content: bytes) -> None:
    """Time and memory stay within the bounds, whatever is wrapped in what."""
    tracemalloc.start()
    start = time.process_time()
    opened(content)
    spent_s, (_, peak_bytes) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent_s < 1
    assert peak_bytes < 10 * len(content) + 2**20


PIECES = [
    report_of_report(MAIL),
    as_clear_signed(MAIL),
    as_msg(MAIL),
    as_winmail_eml(MAIL),
    as_opaque_signed(MAIL),
    b"\x30\x80",
    b"--=_part_5be1\r\n",
]


@given(st.sampled_from(PIECES), st.integers(0, 4_000), st.binary(max_size=30), st.sampled_from([b"", *PIECES]))
def test_any_bytes_have_an_answer(content: bytes, place: int, damage: bytes, rest: bytes) -> None:
    """Damaged wrappers give an original or the reason why not, and nothing else."""
    found = opened(content[:place] + damage + content[place + len(damage) :] + rest)
    assert isinstance(found, Opened | Closed)
