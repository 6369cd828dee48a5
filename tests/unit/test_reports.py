"""Reports: what their subject says, which attachment is the original, and what an original's headers tell."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.headers import MAX_HEADER_BYTES, Headers
from shared.domain.model import Category, SkipReason
from shared.domain.originals import OriginalFacts, Unreadable, read_original
from shared.domain.reports import (
    Attachment,
    OriginalChoice,
    ReportSubject,
    choose_original,
    choose_sniffed,
    is_automatic_answer,
    looks_like_mail,
    may_be_automatic,
    read_subject,
    tells_of_teams,
)
from shared.domain.tenant import Tenant

NETWORK_ID = "49871234-6dc6-43e8-abcd-08d797f20abe"
OTHER_ID = "0f0e0d0c-0b0a-4908-8706-050403020100"
TENANT = Tenant(
    "0e5c3a52-6c1e-4b5e-9d3f-2f6a7b8c9d01",
    frozenset({"contoso.example"}),
    frozenset({"reports@contoso.example"}),
)
REPORTER = "rita@contoso.example"
NETWORK_ID_HEADER = re.compile(
    rb"^x-ms-\S+(?:network-message|correlation)-id:\s*[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*$",
    re.IGNORECASE | re.MULTILINE,
)
OUTLOOK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAIL = f"""\
Received: from mail.evil.example (192.0.2.7) by mx.contoso.example; Tue, 3 Nov 2026 08:00:01 +0000
X-MS-Exchange-Organization-Network-Message-Id: {NETWORK_ID.upper()}
X-Forefront-Antispam-Report: CIP:192.0.2.7;CTRY:NL;LANG:en;SCL:1;SFV:NSPM;
Delivered-To: Bob@CONTOSO.example
From: "IT <help@contoso.example>" <it@evil.example>
To: Everyone <all@contoso.example>
Cc: rita@contoso.example
Subject: =?utf-8?q?Your_pa=C3=9Fword?=
 expires
Message-ID:
 <abc.123@evil.example>
Date: Tue, 3 Nov 2026 09:00:00 +0100

Click here.
""".encode()


def facts_of(mime: bytes, *, reporter: str = REPORTER) -> OriginalFacts:
    """Return the facts of a mail that has to be readable."""
    facts = read_original(mime, tenant=TENANT, reporter=reporter)
    assert isinstance(facts, OriginalFacts)
    return facts


def mail(*headers: str) -> bytes:
    """Return a mail with these headers after a From."""
    return "\r\n".join(["From: it@evil.example", *headers, "", "Hello"]).encode()


# --- Subjects -------------------------------------------------------------------------------------------------------


def test_the_report_buttons_subject() -> None:
    """The button's subject gives the choice, the ids and the original subject, which may hold bars and brackets."""
    subject = f" 3|{NETWORK_ID.upper()}|192.0.2.7|it@Evil.example|(Pay (now)|or else)"
    assert read_subject(subject) == ReportSubject(
        category=Category.PHISHING,
        form="built_in",
        network_message_id=NETWORK_ID,
        sender_ip="192.0.2.7",
        sender="it@evil.example",
        original_subject="Pay (now)|or else",
    )


@pytest.mark.parametrize("tag", ["[EXTERNAL] ", "(extern) ", "EXT - ", "Mail from outside ", "Outside the firm: "])
def test_the_report_buttons_subject_is_known_behind_any_tag(tag: str) -> None:
    """Nothing else looks like it."""
    subject = f"2|{NETWORK_ID}|192.0.2.7|it@evil.example|(Pay [now])"
    assert read_subject(tag + subject) == read_subject(subject)
    assert read_subject(subject).form == "built_in"


@pytest.mark.parametrize("before", ["FW: ", "[EXTERNAL] WG: ", "Re: [EXTERNAL] ", "Fwd : x ", "fw:fw:"])
def test_what_is_forwarded_by_hand_claims_nothing(before: str) -> None:
    """The subject behind it may be the phisher's: he does not choose that his mail is called good."""
    for subject in ("2|Pay", f"2|{NETWORK_ID}|192.0.2.7|it@evil.example|(Pay)"):
        assert read_subject(before + subject).form == "unrecognised"


@pytest.mark.parametrize("end", ["", "|", "|not an ip|nobody|", "|192.0.2.7|it@evil.example|(cut o"])
def test_a_cut_off_subject_still_tells(end: str) -> None:
    """The button cuts the subject off anywhere; what stands there is read, what does not is None."""
    subject = read_subject(f"1|{NETWORK_ID}{end}")
    assert (subject.category, subject.form, subject.network_message_id) == (Category.SPAM, "built_in", NETWORK_ID)
    assert subject.original_subject == ("cut o" if end.endswith("(cut o") else None)


@pytest.mark.parametrize(
    ("subject", "category", "original"),
    [
        ("1|Buy now", Category.SPAM, "Buy now"),
        ("2 | Buy | now", Category.NOT_JUNK, "Buy | now"),
        ("3|", Category.PHISHING, None),
        ("Junk: Buy now", Category.SPAM, "Buy now"),
        ("NOT JUNK:Buy now", Category.NOT_JUNK, "Buy now"),
        ("Not  junk : Buy now", Category.NOT_JUNK, "Buy now"),
        ("\u202dphishing: Buy: now", Category.PHISHING, "Buy: now"),
        ("[EXTERNAL] 2|Buy now", Category.NOT_JUNK, "Buy now"),
        ("[EXT][BULK] Junk: Buy now", Category.SPAM, "Buy now"),
        ("External: 1|Buy now", Category.SPAM, "Buy now"),
        ("*** Caution *** Not junk: [x] Buy", Category.NOT_JUNK, "[x] Buy"),
    ],
)
def test_a_prefix_is_the_choice(subject: str, category: Category, original: str | None) -> None:
    """Reporting tools put number or word first, in any case; the rest is the original's subject."""
    assert read_subject(subject) == ReportSubject(category=category, form="prefix", original_subject=original)


def test_the_older_add_ins_subject() -> None:
    """The add-in's form names message, sender and subject behind the word; the date at the end is dropped."""
    assert read_subject("Phishing:<a@b>|Eve <eve@evil.example>|(Hi (there)) 11/3/2026 8:00:00 AM") == ReportSubject(
        category=Category.PHISHING, form="prefix", sender="eve@evil.example", original_subject="Hi (there)"
    )
    cut_off = read_subject(f"Junk:{NETWORK_ID}|x|(Hi")
    assert (cut_off.network_message_id, cut_off.original_subject) == (NETWORK_ID, "Hi")


@pytest.mark.parametrize("subject", ["", "Suspicious mail", "4|x", "11|x", "Re: Junk: x", "Potential Phish: x", "|"])
def test_anything_else_counts_as_phishing(subject: str) -> None:
    """Microsoft takes a report in no known form for phishing, and so do we, with a mark."""
    assert read_subject(subject) == ReportSubject(category=Category.PHISHING, form="unrecognised")


@given(
    st.lists(st.sampled_from([*"123|:( )", "junk", "not", "phishing", NETWORK_ID]) | st.text(max_size=5)).map("".join)
)
def test_every_subject_is_read(subject: str) -> None:
    """Any string is read without an error, and only button and prefixes change the category."""
    read = read_subject(subject)
    assert read.category is Category.PHISHING or read.form != "unrecognised"
    assert (read.form == "built_in") <= (read.network_message_id == NETWORK_ID)


# --- Attachments ----------------------------------------------------------------------------------------------------


def item(name: str = "Your invoice") -> Attachment:
    """Return a mail as Outlook attaches it."""
    return attachment("item", name, None)


def file(name: str, content_type: str | None = None, *, is_inline: bool = False) -> Attachment:
    """Return a file attachment."""
    return attachment("file", name, content_type, is_inline=is_inline)


def attachment(
    kind: Literal["item", "file", "reference"], name: str, content_type: str | None, *, is_inline: bool = False
) -> Attachment:
    """Return an attachment whose id is its name."""
    return Attachment(id=name, name=name, content_type=content_type, size_bytes=1, is_inline=is_inline, kind=kind)


LOGO = file("logo.png", "image/png", is_inline=True)
LINK = attachment("reference", "mail.eml", None)


@pytest.mark.parametrize(
    "original",
    [
        item(),
        item("mail.pdf"),
        file("x", "message/rfc822"),
        file("x", "Message/RFC822; charset=x", is_inline=True),
        file("x", "application/vnd.ms-outlook"),
        file("Mail.EML", "application/octet-stream"),
        file("mail.msg", None),
        file("mail\u200b.eml. ", "text/plain"),
    ],
)
def test_the_only_mail_is_the_original(original: Attachment) -> None:
    """An attached item, or a file that type or name call a mail, is the original, whatever else hangs on."""
    pdf, untyped = file("terms.pdf", "application/pdf"), file("x1")
    assert choose_original([LOGO, pdf, untyped, original, LINK]) == OriginalChoice(attachment_id=original.id)


def test_two_mails_are_too_many() -> None:
    """With two originals nobody knows which one is meant, so neither is submitted."""
    refused = OriginalChoice(reason=SkipReason.MULTIPLE_ORIGINALS)
    assert choose_original([item("a"), item("b")]) == refused
    assert choose_original([item("a"), file("b.eml")]) == refused


def test_no_mail_is_no_original() -> None:
    """A forward, pictures or documents are no original; a link to one is, but cannot be followed."""
    assert choose_original([]) == OriginalChoice(reason=SkipReason.NO_ORIGINAL)
    assert choose_original([LOGO, file("mail.pdf", "application/octet-stream")]).reason is SkipReason.NO_ORIGINAL
    assert choose_original([file("text", "text/plain")]).reason is SkipReason.NO_ORIGINAL
    assert choose_original([LOGO, LINK]).reason is SkipReason.REFERENCE_ATTACHMENT


def test_untyped_files_are_looked_into() -> None:
    """Files that neither type nor name describe may be the mail: the first three are to be fetched, others counted."""
    untyped = [file("pdf"), file("Re: v1.2 released", ""), file("c.bin", "application/octet-stream"), file("d")]
    inline = file("e", is_inline=True)
    assert choose_original([inline, LINK, *untyped]) == OriginalChoice(
        sniff_ids=("pdf", "Re: v1.2 released", "c.bin"), left_out=1
    )


def test_what_was_looked_into_is_chosen_alike() -> None:
    """One mail among the fetched files is the original, none or several have the usual reasons."""
    assert choose_sniffed(["a"]) == OriginalChoice(attachment_id="a")
    assert choose_sniffed([]).reason is SkipReason.NO_ORIGINAL
    assert choose_sniffed(["a", "b"]).reason is SkipReason.MULTIPLE_ORIGINALS


def test_a_mail_is_known_by_its_bytes() -> None:
    """Content counts: headers of a mail at the very start, or an Outlook message; not any text, not any OLE file."""
    outlook_message = OUTLOOK + b"\x00" * 99 + "__substg1.0_0037001F".encode("utf-16-le")
    assert looks_like_mail(MAIL)
    assert looks_like_mail(b"\xef\xbb\xbf\r\n" + MAIL.replace(b"\n", b"\r\n"))
    assert looks_like_mail(outlook_message)
    assert not looks_like_mail(OUTLOOK + b"Word")
    assert not looks_like_mail(b"Dear all\n" + MAIL)
    assert not looks_like_mail(b"From: nobody\n\nSubject: no header")
    assert not looks_like_mail(b"")


# --- Originals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_the_facts_of_a_mail(line_end: bytes) -> None:
    """Headers are unfolded, decoded and validated; ids are in lower case, times in UTC."""
    assert facts_of(MAIL.replace(b"\n", line_end)) == OriginalFacts(
        recipient=REPORTER,
        internet_message_id="<abc.123@evil.example>",
        network_message_id=NETWORK_ID,
        sender="it@evil.example",
        sender_ip="192.0.2.7",
        subject="Your paßword expires",
        sent_at=datetime(2026, 11, 3, 8, 0, tzinfo=UTC),
        headers=Headers({}),
    )


def test_the_body_is_not_read() -> None:
    """What looks like a header below the blank line is none."""
    facts = facts_of(mail() + f"\r\nSubject: x\r\nX-Sender-IP: 192.0.2.1\r\nDelivered-To: {REPORTER}".encode())
    assert (facts.subject, facts.sender_ip, facts.sent_at, facts.internet_message_id) == (None, None, None, None)


def test_the_network_message_id_is_the_most_trusted_guid() -> None:
    """Exchange's own header comes before the filter's, and what is no GUID does not count."""
    organization, correlation = (
        "X-MS-Exchange-Organization-Network-Message-Id",
        "x-ms-office365-filtering-correlation-id",
    )
    cross_tenant = "X-MS-Exchange-CrossTenant-Network-Message-Id"
    assert (
        facts_of(mail(f"{correlation}: {OTHER_ID}", f"{organization}: {NETWORK_ID}")).network_message_id == NETWORK_ID
    )
    assert facts_of(mail(f"{organization}: x", f"{cross_tenant}: {OTHER_ID}")).network_message_id == OTHER_ID
    assert facts_of(mail(f"{organization}: {NETWORK_ID}0")).network_message_id is None


@pytest.mark.parametrize(
    ("headers", "sender_ip"),
    [
        (["X-Sender-IP: 2001:DB8::1"], "2001:db8::1"),
        (["X-Sender-IP: 10.0.0.1", "X-Forefront-Antispam-Report: SFV:SPM;CIP:192.0.2.7;SCL:5"], "192.0.2.7"),
        (["X-Forefront-Antispam-Report: CIP:192.0.2.7;", "X-Forefront-Antispam-Report: CIP:192.0.2.8;"], "192.0.2.7"),
        (["X-Forefront-Antispam-Report: CIP:255.255.255.256;", "X-Sender-IP: [192.0.2.9]"], "192.0.2.9"),
        (["X-Forefront-Antispam-Report: XCIP:192.0.2.7"], None),
        (["X-Sender-IP: 69.175.12.phishing@pot"], None),
    ],
)
def test_the_senders_ip_is_what_exchange_wrote(headers: list[str], sender_ip: str | None) -> None:
    """The topmost filter report counts, then Exchange's sender header; only a valid address is one."""
    assert facts_of(mail(*headers)).sender_ip == sender_ip


@pytest.mark.parametrize(
    ("headers", "recipient"),
    [
        (["To: a@contoso.example", "Delivered-To: b@contoso.example"], "a@contoso.example"),
        (["To: RITA@contoso.example", "Delivered-To: b@contoso.example"], REPORTER),
        (["X-Original-To: b@contoso.example", "X-Envelope-To: c@contoso.example"], REPORTER),
        (["To: Reports@Contoso.example, c@contoso.example"], "c@contoso.example"),
        (["To: reports+a@contoso.example", "Delivered-To: reports@contoso.example"], REPORTER),
        (["To: a@contoso.example, rita+shop@contoso.example"], REPORTER),
        (["To: bob+shop@contoso.example"], "bob@contoso.example"),
        (["To: all@contoso.example", "List-Id: Everyone <ALL.contoso.example>"], REPORTER),
        (
            ["To: all@contoso.example, c@contoso.example", "List-Post: <mailto:all@contoso.example>"],
            "c@contoso.example",
        ),
        (["To: c@contoso.example", "List-Id: <news.evil.example>"], "c@contoso.example"),
        (["Delivered-To: b@fabrikam.example", "To: x@fabrikam.example, c@contoso.example"], "c@contoso.example"),
        (["To: a@contoso.example, RITA@contoso.example"], REPORTER),
        (["To: a@contoso.example", f'Cc: "Doe, R" <{REPORTER}>'], REPORTER),
        (["To: x@fabrikam.example", "Cc: c@contoso.example"], "c@contoso.example"),
        (["To: undisclosed-recipients:;"], REPORTER),
        (["To: x@evil-contoso.example", "Cc: y@contoso.example.evil"], REPORTER),
        ([], REPORTER),
    ],
)
def test_the_recipient_is_who_got_it(headers: list[str], recipient: str) -> None:
    """The reporter before others of the tenant, never a list that says so, a reporting mailbox, somebody outside."""
    assert facts_of(mail(*headers)).recipient == recipient


@pytest.mark.parametrize(
    ("sender", "read"),
    [
        ('"a@contoso.example" <eve@Evil.example>', "eve@evil.example"),
        ("Prize,(<noreply@evil.example>)", "Prize,(<noreply@evil.example>)"),
        ("=?utf-8?q?F=C3=A9dex?=\u202e <>", "Fédex <>"),
        ("", None),
    ],
)
def test_a_sender_that_is_no_address_is_shown(sender: str, read: str | None) -> None:
    """Forgers write From headers without an address; then its cleaned text stands for the sender."""
    assert facts_of(f"Subject: x\nFrom: {sender}\n\n".encode()).sender == read


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("<a@b>", "<a@b>"),
        ("junk <a@b> <c@d>", "<a@b>"),
        ("Up58GQl7@hotmail.example", "Up58GQl7@hotmail.example"),
        ("", None),
    ],
)
def test_the_internet_message_id_keeps_its_brackets(header: str, read: str | None) -> None:
    """The id is what Graph knows the mail by: with its angle brackets where it has any."""
    assert facts_of(mail(f"Message-ID: {header}")).internet_message_id == read


@pytest.mark.parametrize(
    "date", ["", "01-12-2024", "Tue, 99 Nov 2026 09:00:00", "Fri, 31 Dec 9999 23:59:59 -1200", "9" * 99]
)
def test_an_impossible_date_is_none(date: str) -> None:
    """A date that is none is left out; the mail is read all the same."""
    assert facts_of(mail(f"Date: {date}")).sent_at is None


@pytest.mark.parametrize(
    ("date", "hour", "year"),
    [
        ("Tue, 7 Jan 2020 03:43:59 PM +0000", 15, 2020),
        ("Tue, 7 Jan 2020 03:43:59pm +0000", 15, 2020),
        ("Tue, 7 Jan 2020 12:43:59 AM +0000", 0, 2020),
        ("Tue, 7 Jan 2020 12:43:59 PM +0000", 12, 2020),
        ("Tue, 7 Jan 2020 15:43:59 PM +0000", 15, 2020),
        ("Tue, 7 Jan 120 15:43:59 +0000", 15, 2020),
        ("Tue, 7 Jan 20 15:43:59 +0000", 15, 2020),
        ("Tue, 7 Jan 1999 15:43:59 +0000", 15, 1999),
    ],
)
def test_odd_dates_are_read(date: str, hour: int, year: int) -> None:
    """Years of two and three digits as RFC 5322 section 4.3 says; halves of the day as people mean them."""
    sent_at = facts_of(mail(f"Date: {date}")).sent_at
    assert sent_at is not None
    assert (sent_at.hour, sent_at.year) == (hour, year)


@pytest.mark.parametrize(
    "to",
    [
        "\r\n Anna\r\n <anna@contoso.example>",
        "Anna <anna@\r\n contoso.example>",
        "anna\r\n @contoso.example",
        "Anna <\r\n anna@contoso.\r\n example>",
        '"A,\r\n B" <anna@contoso.example>',
        "<@relay.example:anna@contoso.example>",
    ],
)
def test_a_folded_address_is_the_recipient(to: str) -> None:
    """A fold hides nobody: the reporter stands in only where nobody of the tenant is named."""
    assert facts_of(mail(f"To: {to}")).recipient == "anna@contoso.example"


@pytest.mark.parametrize(
    "sender",
    [
        "undisclosed:;",
        '"Angela" :;',
        "Friends: ;",
        "Angela Sample",
        '"Angela"',
        "Angela </O=CONTOSO/OU=X (Y)/CN=RECIPIENTS/CN=ANGELA>",
        "</o=Contoso/cn=Recipients/cn=angela@contoso.example>",
        "/o=Contoso/cn=Recipients/cn=angela@contoso.example",
    ],
)
def test_a_from_without_an_address_is_no_sender(sender: str) -> None:
    """Names, empty groups and paths within Exchange leave the sender to what the report tells."""
    assert facts_of(f"From: {sender}\r\nSubject: x\r\n\r\n".encode()).sender is None


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-0000` means that the zone is unknown: the time is taken as UTC, wherever this machine stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    facts = facts_of(mail("Date: Tue, 3 Nov 2026 09:00:00 -0000"))
    monkeypatch.undo()
    time.tzset()
    assert facts.sent_at == datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


def test_a_mail_without_a_body_is_one() -> None:
    """A body is optional (RFC 5322 section 3.5): only headers that end within a line are cut off."""
    assert facts_of(b"From: x@evil.example\r\nSubject: y\r\n").subject == "y"


def test_a_subject_is_harmless() -> None:
    """NUL bytes, bidi marks and undecodable bytes leave a readable subject of at most 1,000 characters."""
    hostile = b"Subject: pay\0 =?utf-8?q?=E2=80=AEnow?= " + b"\xe9" + b"x" * 5_000
    subject = facts_of(hostile + b"\n\n").subject
    assert subject is not None
    assert subject.startswith("pay now éxx")
    assert len(subject) == 1_000


def test_a_malformed_line_hides_nothing() -> None:
    """A line that is no header is passed over; those below it still count."""
    assert facts_of(mail("no header at all", ": neither", "Subject : yes")).subject == "yes"


@pytest.mark.parametrize(
    ("mime", "words"),
    [
        (b"", "empty"),
        (b"\r\n\r\n", "empty"),
        (b"Hello\n\nFrom: x\n\n", "none of the headers"),
        (b"X-Header: only\n\nbody", "none of the headers"),
        (bytes(range(256)) * 5_000, "none of the headers"),
        (MAIL[:200], "ends within its headers"),
        (b"From: x\r\nSubject: y", "ends within its headers"),
    ],
)
def test_what_cannot_be_read_has_a_reason(mime: bytes, words: str) -> None:
    """Nothing, something else, or half a mail is unreadable, and the detail says which."""
    unreadable = read_original(mime, tenant=TENANT, reporter=REPORTER)
    assert isinstance(unreadable, Unreadable)
    assert words in unreadable.detail


@given(
    st.binary(max_size=300)
    | st.builds(
        lambda at, junk: MAIL[:at] + junk + MAIL[at + len(junk) :], st.integers(0, len(MAIL)), st.binary(max_size=40)
    )
    | st.builds(lambda start, end: MAIL[start:end], st.integers(0, 900), st.integers(0, 900))
    | st.permutations(MAIL.split(b"\n")).map(b"\n".join)
)
def test_any_bytes_are_read(mime: bytes) -> None:
    """Random and mutated mail gives facts or a reason, never an error, and the recipient is one of us."""
    facts = read_original(mime, tenant=TENANT, reporter=REPORTER)
    looks_like_mail(mime)
    if isinstance(facts, OriginalFacts):
        assert facts.recipient.rpartition("@")[2] in TENANT.domains
        assert facts.sent_at is None or facts.sent_at.tzinfo is UTC
        assert facts.network_message_id is None or len(facts.network_message_id) == 36
    else:
        assert facts.detail


HUGE: dict[str, Callable[[], bytes]] = {
    "5,000 recipients": lambda: mail(
        "To: " + ",\r\n ".join(f'"User {i}" <u{i}@contoso.example>' for i in range(5_000))
    ),
    "60,000 headers": lambda: mail(*["To:"] * 60_000),
    "one endless fold": lambda: mail("Subject: x", *[" y"] * 80_000),
    "quotes": lambda: mail("To: " + '"\\' * 125_000),
    "encoded words": lambda: mail("Subject: " + "=?utf-8?q?x" * 22_000),
    "no line end": lambda: b"From: x\n" + b"A" * 3_000_000,
    "30 MB of body": lambda: mail() + b"\r\nx" * 10_000_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_mail_is_quick(name: str) -> None:
    """Whatever its headers or size, a mail is read in a fraction of a second: only its first 256 KiB count."""
    mime = HUGE[name]()
    started_s = time.process_time()
    assert isinstance(read_original(mime, tenant=TENANT, reporter=REPORTER), OriginalFacts)
    looks_like_mail(mime)
    assert time.process_time() - started_s < 0.5


def test_headers_beyond_the_limit_are_not_read() -> None:
    """The limit holds: a header behind 256 KiB of others does not exist, and the mail is no truncated one."""
    facts = facts_of(mail("X-Padding: " + "x" * MAX_HEADER_BYTES, "Subject: late"))
    assert facts.subject is None


def test_real_reported_mail(reported_mail: list[Path]) -> None:
    """Each real mail has its message id and sender, and its network message id just where a header holds a GUID."""
    started_s = time.process_time()
    for path in reported_mail:
        mime = path.read_bytes()
        facts = facts_of(mime)
        assert facts.internet_message_id
        assert facts.sender
        assert looks_like_mail(mime)
        head = re.split(rb"\r?\n\r?\n", mime, maxsplit=1)[0]
        assert (facts.network_message_id is not None) == (NETWORK_ID_HEADER.search(head) is not None)
    assert len(reported_mail) / (time.process_time() - started_s) > 500


# --- Teams ----------------------------------------------------------------------------------------------------------

TEAMS = "https://teams.microsoft.com/l/message/19:abc@thread.v2/1700000000000"


@pytest.mark.parametrize(
    ("subject", "text", "is_teams"),
    [
        ("3|A message was reported", f"Reported message: {TEAMS}", True),
        ("A message was reported", f"From: Eve\n{TEAMS}", True),
        ("3|x", "https://teams.microsoft.com/l/meetup-join/19%3ameeting", False),
        ("3|Microsoft Teams: you were mentioned", "Click here", False),
        ("FW: A message", TEAMS, False),
        ("3|WG: A message", TEAMS, False),
        ("3|x", f"Look!\r\n\r\n> *From:* Teams\r\n> Sent: now\r\n> Subject: x\r\n\r\n{TEAMS}", False),
        ("3|x", f"Von: Teams\nGesendet: heute\nAn: Rita\nBetreff: x\n{TEAMS}", False),
    ],
)
def test_only_a_report_of_a_teams_message_is_one(subject: str, text: str, *, is_teams: bool) -> None:
    """What was forwarded by hand is a mail whose original is missing, whatever links it holds."""
    assert tells_of_teams(subject, text) is is_teams


def test_text_that_is_slow_to_search_is_quick() -> None:
    """However often it begins to look like a forwarded mail."""
    started_s = time.process_time()
    for piece in ("from:\n", "from:" + "x" * 400 + "\n", "> " * 9 + "from:\n\n\n\n", " " * 50 + "\n"):
        tells_of_teams("3|x", piece * (100_000 // len(piece)) + TEAMS)
        tells_of_teams("3|x", TEAMS + "\n" + piece * (100_000 // len(piece)))
    assert time.process_time() - started_s < 1


MARK = "<answer-" + 20 * "0a" + "@contoso.example>"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Auto-Submitted", "auto-replied (vacation)")], True),
        ([("auto-submitted", "Auto-Replied; owner-email=x")], True),
        ([("Auto-Submitted", "auto-generated"), ("In-Reply-To", MARK)], True),
        ([("Auto-Submitted", "auto-generated"), ("References", f"<1@x.example> {MARK}")], True),
        ([("Auto-Submitted", "auto-generated")], False),
        ([("Auto-Submitted", "auto-generated"), ("In-Reply-To", "<1@x.example>")], False),
        ([("Auto-Submitted", "no"), ("In-Reply-To", MARK)], False),
        ([("In-Reply-To", MARK)], False),
        ([("Content-Type", 'multipart/report; boundary="b"; report-type=delivery-status')], True),
        ([("Content-Type", "multipart/report; report-type=feedback-report")], False),
        ([("Content-Type", "multipart/mixed; x=report-type=delivery-status")], False),
        ([], False),
    ],
)
def test_what_no_person_wrote_is_known_by_its_headers(headers: list[tuple[str, str]], expected: bool) -> None:
    """A person's reply to an answer and a report that a program passes on are not among it, nor is abuse feedback."""
    assert is_automatic_answer(headers) == expected


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("postmaster@contoso.onmicrosoft.com", True),
        ("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.example", True),
        ("anna@contoso.example", False),
        (None, False),
    ],
)
def test_a_mail_system_is_known_by_its_address(sender: str | None, expected: bool) -> None:
    """So that headers are asked for that a stranger's report is not asked for."""
    assert may_be_automatic(sender) == expected
