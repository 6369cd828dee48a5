"""The parts of a mail: where they stand, what they are called and what they hold, however the mail is made."""

import email
import email.message
import email.policy
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.mime_parts import MAX_DEPTH, MAX_PARTS, decode_base64, root, walk

LEVELS = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(200))


def mixed(*parts: bytes, boundary: bytes = b"b", end: bytes = b"\r\n") -> bytes:
    """A multipart of these parts."""
    lines = [b'Content-Type: multipart/mixed; boundary="' + boundary + b'"', b"", b"preamble"]
    for part in parts:
        lines += [b"--" + boundary, part]
    return end.join([*lines, b"--" + boundary + b"--", b"epilogue", b""])


def bodies(mime: bytes) -> list[bytes]:
    """What the parts of a mail hold."""
    return [part.content() for part in walk(mime)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_parts_are_what_stands_between_the_delimiters(end: bytes) -> None:
    """Neither preamble, epilogue nor the line break before a delimiter belongs to a part (RFC 2046, 5.1.1)."""
    parts = (end + b"one" + end, b"X: y" + end * 2 + b"two", end)
    assert bodies(mixed(*parts, end=end)) == [b"one" + end, b"two", b""]


def test_line_breaks_may_be_mixed() -> None:
    """A relay that rewrites some line breaks hides no part."""
    assert bodies(b"Content-Type: multipart/mixed; boundary=b\r\n\n--b\n\r\none\n--b\r\n\ntwo\r\n--b--\n") == [
        b"one",
        b"two",
    ]


def test_a_mail_without_parts_is_one() -> None:
    """What is no multipart is a part itself, of text unless it says otherwise."""
    (part,) = walk(b"Subject: hello\n\nbody")
    assert (part.content_type, part.content()) == ("text/plain", b"body")


def test_a_missing_closing_delimiter_ends_with_the_mail() -> None:
    """A mail that was cut off keeps the part in which it ends."""
    assert bodies(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo") == [b"one", b"two"]


def test_an_outer_delimiter_ends_what_stands_within() -> None:
    """An inner multipart that is never closed does not swallow the parts behind it."""
    inner = b"Content-Type: multipart/mixed; boundary=i\n\n--i\n\ninner"
    assert bodies(mixed(inner, b"\nouter", end=b"\n")) == [b"inner", b"outer"]


def test_a_boundary_is_taken_by_its_letters() -> None:
    """Characters that mean something in a regular expression are no more than characters."""
    assert bodies(mixed(b"\none", boundary=b".*(a+)+$[", end=b"\n")) == [b"one"]
    assert bodies(b'Content-Type: multipart/mixed; boundary=".*"\n\n--ab\n\none\n--.*\n\ntwo') == [b"two"]


def test_a_longer_boundary_is_another_one() -> None:
    """`--b2` is no delimiter of `b`, and white space behind a delimiter is passed over."""
    assert bodies(b"Content-Type: multipart/mixed; boundary=b\n\n--b  \t\n\n--b2\n--b--c\n--b\n\nx\n--b-- \nz") == [
        b"--b2\n--b--c",
        b"x",
    ]


def test_a_boundary_that_is_used_again_within_nests() -> None:
    """A delimiter belongs to the innermost multipart that has its boundary."""
    assert bodies(mixed(mixed(b"\ninner", end=b"\n"), b"\nouter", end=b"\n")) == [b"inner", b"outer"]


def test_an_attached_mail_with_its_carriers_boundary_stays_whole() -> None:
    """An attached mail is one part, even where it uses the same boundary."""
    mail = b"Subject: x\n" + mixed(b"\none", b"\ntwo", end=b"\n")
    found = list(walk(mixed(b"Content-Type: message/rfc822\n\n" + mail, b"\nnext", end=b"\n")))
    assert [(part.is_mail, part.content()) for part in found] == [(True, mail), (False, b"next")]


def test_an_unfinished_attached_mail_does_not_swallow_the_next_part() -> None:
    """What an attached mail leaves open ends with its carrier's delimiter."""
    mail = b"Content-Type: multipart/mixed; boundary=i\n\n--i\n\nnever closed"
    found = bodies(mixed(b"Content-Type: message/rfc822\n\n" + mail, b"\nnext", end=b"\n"))
    assert found == [mail, b"next"]


def test_parts_of_a_digest_are_mails() -> None:
    """In a digest a part is a mail unless it says otherwise (RFC 2046, 5.1.5)."""
    digest = b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b\nContent-Type: a/b\n\nz"
    assert [part.content_type for part in walk(digest)] == ["message/rfc822", "a/b"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b'Content-Disposition: attachment; filename="a;b\\"c.eml"', 'a;b"c.eml'),
        (b"Content-Type: a/b; name=plain.eml", "plain.eml"),
        (b'Content-Type: a/b; name="=?utf-8?q?caf=C3=A9=2Eeml?="', "caf\u00e9.eml"),
        (b"Content-Disposition: attachment; filename*=utf-8'en'caf%C3%A9.eml", "caf\u00e9.eml"),
        (b"Content-Disposition: x; filename*0*=iso-8859-1''caf%E9; filename*1=.e;\n filename*2=ml", "caf\u00e9.eml"),
        (b"Content-Disposition: attachment; filename=a\xe2\x80\xaelme.exe", "almee.exe".replace("ee", "e")),
        (b'Content-Disposition: attachment; filename="never closed.eml', "never closed.eml"),
        (b"Content-Type: a/b; name=report (1).pdf", "report (1).pdf"),
        (b"Content-Type: a/b (c; name=x) ; name=y", "y"),
        ("Content-Type: a/b; name=Grüße.pdf".encode("latin-1"), "Grüße.pdf"),
        ("Content-Type: a/b; name=Grüße.pdf".encode(), "Grüße.pdf"),
        (b"Content-Disposition: x; filename*=iso-8859-1''%93a%94.txt", "“a”.txt"),
        (b"Content-Type: a/b; x=" + b"y" * 9_000 + b"; name=far.pdf", "far.pdf"),
        (b"Content-Type: a/b", ""),
    ],
)
def test_names_are_decoded(header: bytes, name: str) -> None:
    """Names come quoted, in encoded words, in pieces (RFC 2047, 2231) and with marks that hide their end."""
    assert root(header + b"\n\n").name == name


UU = b"begin 644 a.txt\n%:&5L;&\\\n`\nend\n"


@pytest.mark.parametrize(
    ("encoding", "body", "content"),
    [
        (b"base64", b"aGVsbG8=", b"hello"),
        (b"BASE64 ", b"aGV\r\n!sbG8", b"hello"),
        (b"base64", b"aGVsbG8x2", b"hello1"),
        (b"base64 (of a file)", b"aGVsbG8=", b"hello"),
        (b"(x) base64", b"aGVsbG8=", b"hello"),
        (b"base64;", b"aGVsbG8=", b"hello"),
        (b"base64; charset=x", b"aGVsbG8=", b"hello"),
        (b'"base64"', b"aGVsbG8=", b"hello"),
        (b'"base64', b"aGVsbG8=", b"hello"),
        (b"base64 (never ends", b"aGVsbG8=", b"hello"),
        (b"base64", b"aGVsbG8gaA==\r\naGVsbG8=", b"hello hhello"),
        (b"base64", b"aGVs=bG8=\r\nbG8", b"hellolo"),
        (b"base64", b"aGVsbG8=\r\n\r\n", b"hello"),
        (b"quoted-printable", b"h=65llo=\r\n=XY", b"hello=XY"),
        (b"quoted-printable;", b"h=65llo", b"hello"),
        (b"quoted-printable", b"a=\rb\r\nc", b"a=\rb\r\nc"),
        (b"quoted-printable", b"a=  \r\nb=\t\nc", b"abc"),
        (b"quoted-printable", b"a==\r\n=3d=e9=", b"a==\xe9"),
        (b"quoted-printable", b"a=\n\nb \n", b"a\nb \n"),
        (b"x-uuencode", b"see\n" + UU + b"bye", b"hello"),
        (b"uuencode", UU.replace(b"\n", b"\r\n"), b"hello"),
        (b"x-uue", UU.replace(b"\\\n", b"\\`x\n"), b"hello"),
        (b"X-UUEncode", b"no file", b"no file"),
        (b"8bit", b"h\xe9", b"h\xe9"),
        (b"unheard-of", b"hello", b"hello"),
    ],
)
def test_transfer_encodings_are_taken_off_leniently(encoding: bytes, body: bytes, content: bytes) -> None:
    """Foreign characters, missing padding and wrong escapes cost no more than themselves, comments nothing."""
    assert root(b"Content-Transfer-Encoding: " + encoding + b"\n\n" + body).content() == content


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/mixed; boundary=bb",
        b"multipart/*; boundary=bb",
        b"multipart/x_y~z; boundary=bb",
        b"multipart / mixed; boundary=bb",
        b"(x) multipart/mixed (y); (z) boundary=bb (w)",
        b"multipart/mixed; boundary=bb(w)",
        b'multipart/mixed; boundary="bb',
        b"multipart/mixed; boundary*=us-ascii'en'b%62",
        b"multipart/mixed;\n boundary*0=b;\n boundary*1=b",
        b"multipart/mixed; boundary*0*=us-ascii''%62; boundary*1=b",
    ],
)
def test_a_multipart_is_opened_however_its_type_is_written(content_type: bytes) -> None:
    """Any token is a subtype; comments, blanks, quotes that never end and RFC 2231 hide no boundary."""
    assert bodies(b"Content-Type: " + content_type + b"\n\n--bb\n\none\n--bb\n\ntwo\n--bb--\n") == [b"one", b"two"]


@pytest.mark.parametrize("head", ["attachment", "(x) Attachment (y); z=1", '"attachment"', "attachment filename=a.pdf"])
def test_a_disposition_is_its_first_token(head: str) -> None:
    """What stands around it does not turn a file into a body."""
    assert root(f"Content-Disposition: {head}\n\n".encode()).disposition == "attachment"


@pytest.mark.parametrize("size_bytes", [70, 300, 998, 5_000])
def test_a_long_boundary_is_one(size_bytes: int) -> None:
    """RFC 2046 allows 70 characters; other readers open longer ones too."""
    assert bodies(mixed(b"\none", b"\ntwo", boundary=b"b" * size_bytes, end=b"\n")) == [b"one", b"two"]


RUSSIAN = "Привет".encode("koi8-r")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"text/plain; charset=koi8-r", RUSSIAN),
        (b"text/plain; charset=koi8-r (Russian)", RUSSIAN),
        (b'text/plain; charset="koi8-r', RUSSIAN),
        (b'text/plain; charset="koi8-r; format=flowed', RUSSIAN),
        (b"text/plain; charset*=us-ascii'en'koi8-r", RUSSIAN),
        (b"text/plain; charset*0=koi; charset*1=8-r", RUSSIAN),
        (b"text/html", b"<meta charset=koi8-r>" + RUSSIAN),
        (b"text/html; charset=us-ascii", b"<html><META  charset='koi8-r'/>" + RUSSIAN),
        (b"text/html; charset=x-unknown", b'<meta http-equiv=x content="text/html; charset=koi8-r">' + RUSSIAN),
        (b"text/html", b"<!-- <meta charset=big5> --><meta charset=koi8-r>" + RUSSIAN),
        (b"text/html; charset=koi8-r", b"<meta charset=utf-8>" + RUSSIAN),
        (b"text/html", b"<meta charset=utf-16>" + "Привет".encode()),
        (b"text/plain; charset=koi8-r", b"\xef\xbb\xbf" + "Привет".encode()),
        (b"text/plain", "Привет".encode("utf-16")),
        (b"text/html; charset=utf-8", b"\xff\xfe\0\0" + "Привет".encode("utf-32-le")),
    ],
)
def test_text_is_in_the_charset_that_is_told_best(head: bytes, body: bytes) -> None:
    """A byte order mark, then the header, however it is written, then HTML's own `meta`."""
    assert root(b"Content-Type: " + head + b"\n\n" + body).text(1_000).endswith("Привет")


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (b"; format=flowed; delsp=yes", "see https://evil.example/abc\n-- \nme"),
        (b"; delsp=yes", "see https://evil.exa \nmple/ab \nc\n-- \nme"),
        (b"; format=flowed", "see https://evil.exa \nmple/ab \nc\n-- \nme"),
        (b"", "see https://evil.exa \nmple/ab \nc\n-- \nme"),
    ],
)
def test_lines_that_were_broken_with_a_blank_are_joined(parameters: bytes, text: str) -> None:
    """With `delsp=yes` the blank that ends a line is none of the text, which hides no link (RFC 3676 section 4.2)."""
    body = b"see https://evil.exa \nmple/ab \nc\n-- \nme"
    assert root(b"Content-Type: text/plain" + parameters + b"\n\n" + body).text(1_000) == text


def test_depth_is_bounded() -> None:
    """Beyond the deepest level a multipart is one part."""
    (part,) = walk(LEVELS + b"\nx")
    assert part.boundary == b"b%d" % MAX_DEPTH


def test_the_number_of_parts_is_bounded() -> None:
    """A mail of a million parts is read to the bound."""
    assert sum(1 for _ in walk(b"Content-Type: multipart/mixed; boundary=b\n" + b"\n--b\n" * 20_000)) == MAX_PARTS - 1


@pytest.mark.parametrize(
    "mime",
    [
        LEVELS + b"\n--b1x" * 100_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + b"\n--" * 300_000,
        b"Content-Type: multipart/mixed; boundary=b\n" + b'\n--b\nContent-Type: a/b;x="\\"' * 50_000,
        b"Content-Type: message/rfc822\n\n" * 40_000,
        b"Content-Type: a/b; x=" + b'"' * 1_000_000,
        b"Content-Type: a/b; x=" + b"(" * 60_000 + b"\n\n",
        b"Content-Type: multipart/mixed; boundary=" + b"b" * 60_000 + b"\n\n" + b"\n--b" * 200_000,
        b"Content-Type: a/b" + b"; x*%d=y" * 100_000,
    ],
    ids=[
        "nested",
        "dashes",
        "quotes",
        "mails in mails",
        "a long value",
        "comments",
        "a long boundary",
        "many parameters",
    ],
)
def test_hostile_mail_costs_its_size(mime: bytes) -> None:
    """A mail made to be slow takes a fraction of a second."""
    start = time.process_time()
    list(walk(mime))
    assert time.process_time() - start < 1


@given(st.lists(st.sampled_from([b"--b", b"--c", b"--", b"\r\n", b"\n", b"x", b"; boundary=c", b": ", b"\xff"])))
def test_any_bytes_have_parts(pieces: list[bytes]) -> None:
    """Whatever the bytes, parts stand within them, in order, and can be read."""
    mime = b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed" + b"".join(pieces)
    end = 0
    for part in walk(mime):
        assert end <= part.body_start <= part.end <= len(mime)
        end = part.end
        part.content()
        part.text(100)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"base64", b"QQ==" * 300_000),
        (b"quoted-printable", b"= \t" * 300_000),
        (b"quoted-printable", b"=" + b" " * 1_000_000),
        (b"x-uuencode", b"begin 644 a\n" + b"M\n" * 300_000),
        (b"x-uuencode", b"begin 644" * 100_000),
    ],
)
def test_a_hostile_encoding_costs_its_size(encoding: bytes, body: bytes) -> None:
    """A body made to be slow is decoded in a fraction of a second."""
    part = root(b"Content-Transfer-Encoding: " + encoding + b"\n\n" + body)
    start = time.process_time()
    part.content()
    assert time.process_time() - start < 1


@given(st.binary())
def test_any_bytes_are_decoded(octets: bytes) -> None:
    """No bytes are refused as base64 or as a mail."""
    decode_base64(octets)
    list(walk(octets))


def test_real_mail_has_the_parts_that_the_standard_library_sees(reported_mail: list[Path]) -> None:
    """On mail that is not made to confuse, another parser finds the same parts with the same bytes."""
    for path in reported_mail:
        mime = path.read_bytes()
        ours = [(part.content_type, None if part.is_mail else part.content()) for part in walk(mime)]
        assert ours == list(stdlib_parts(email.message_from_bytes(mime, policy=email.policy.compat32))), path.name


def stdlib_parts(message: email.message.Message) -> Iterator[tuple[str, bytes | None]]:
    """The parts as the email package finds them."""
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        for part in message.get_payload():
            assert isinstance(part, email.message.Message)
            yield from stdlib_parts(part)
    else:
        content = message.get_payload(decode=True)
        yield message.get_content_type(), content if isinstance(content, bytes) else None
