"""What a mail says to its reader: the visible text, the hosts behind its links, its attachments."""

import hashlib
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.link_hosts import host_of
from shared.formats.mail_content import MAX_LINKS, MAX_TEXT, MailContent, read_content
from shared.formats.visible_html import read_html

SAFE_LINK = "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Flure.test%2Fpay%3Fa%3D1&data=05%7C02"
LOOKALIKE = "x.safelinks.protection.outlook.com.lure.test"


def page(html: str) -> bytes:
    """A mail of this page."""
    return b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode("utf-8", "surrogatepass")


def text_of(html: str) -> str:
    """What a reader sees of this page."""
    return read_content(page(html)).text


def mixed(*parts: bytes, kind: bytes = b"mixed") -> bytes:
    """A mail of these parts."""
    lines = [
        b"Content-Type: multipart/" + kind + b"; boundary=b",
        b"",
        *(b"--b\r\n" + part for part in parts),
        b"--b--",
    ]
    return b"\r\n".join(lines)


def digest(content: bytes) -> str:
    """The SHA-256 of an attachment."""
    return hashlib.sha256(content).hexdigest()


# --- Text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two<br>three</p>", "one two three"),
        ("pass<b>wo</b><span>rd</span>", "password"),
        ("a &amp; b &#252; &#xFC; &nbsp; &#0000065;", "a & b \u00fc \u00fc A"),
        ("a<!-- hidden -->b<!-->c<!--[if mso]>x<![endif]-->d<![if !mso]>e<![endif]>", "abcde"),
        ("<head><title>t</title><style>p {}</style></head><script>if (a < b) '</p>'</script>x", "x"),
        ("<SCRIPT>a</script >b<style></styles>c</style>d", "b d"),
        ("<a title='1 > 2' href=\"x>y\">link</a>", "link"),
        ("1 < 2 <3 << <", "1 < 2 <3 << <"),
        ("a\u200bb\u200cc\u00add\ufeffe\u2060f", "abcdef"),
        ("<p>unfinished <a href='", "unfinished"),
        ("<template>a<p>b</template>c", "c"),
    ],
)
def test_a_page_is_read_as_a_person_sees_it(html: str, text: str) -> None:
    """Markup, comments, scripts, styles and invisible characters are no text; inline elements divide no word."""
    assert text_of(html) == text


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "DISPLAY : None !important",
        "color:red;display:none;",
        "display:/**/none",
        "display&#58;none",
        "visibility:hidden",
        "font-size:0",
        "font-size:0.00px; color:red",
        "font:0/0 a",
        "opacity:0",
        "max-height:0px;overflow:hidden",
    ],
)
def test_text_that_its_own_style_hides_is_no_text(style: str) -> None:
    """What senders hide from people varies for each recipient, to look like another mail."""
    assert text_of(f'a <div style="{style}">xq7 <p>zk<br></p><div>2</div></div> b') == "a b"


@pytest.mark.parametrize(
    "style",
    [
        "mso-hide:all",
        "max-height:0",
        "font-size:10px",
        "max-height:0.5em",
        "opacity:0.9",
        "font-size:.8em",
        "display:block",
    ],
)
def test_text_of_any_size_is_text(style: str) -> None:
    """Only nothing hides: no number that begins with a zero, not what Word alone hides, no height that cuts nothing."""
    assert text_of(f"a <div style='{style}'>b</div>") == "a b"


def test_a_size_within_a_size_of_nothing_is_seen() -> None:
    """Newsletters set the size of a row to nothing and that of its cells to something."""
    assert text_of('<div style="font-size:0">a<span style="font-size:12px">b</span>c</div>d') == "b d"


def test_what_is_hidden_for_good_stays_so_within() -> None:
    """No style of an inner element shows what an outer one does not display."""
    assert text_of('<div style="display:none"><b style="display:block;font-size:12px">a</b></div>b') == "b"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div hidden>a</div>b", "b"),
        ("<td><span style=display:none>a</td>b", "b"),
        ("<span style=display:none>a</div>b</span>c", "c"),
        ("<p style=display:none>a<p>b", "b"),
        ("<img style=display:none>a", "a"),
    ],
)
def test_hiding_ends_with_its_element(html: str, text: str) -> None:
    """An end tag that is missing ends with its parent; one that was never opened ends nothing."""
    assert text_of(html) == text


def test_html_comes_before_plain_text() -> None:
    """A mail program shows the page; the text beside it may say anything."""
    mail = mixed(b"\r\nplain http://decoy.test/", b"Content-Type: text/html\r\n\r\n<b>page</b>", kind=b"alternative")
    content = read_content(mail)
    assert (content.text, content.links, content.attachments) == ("page", (), ())
    assert content.unseen_links == ("decoy.test",)


def test_plain_text_is_read_where_there_is_no_page() -> None:
    """Text is decoded and put on one line."""
    mail = (
        b'Content-Type: text/plain; charset="iso-8859-1"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=FC\r\nb'
    )
    assert read_content(mail).text == "\u00fc b"


def test_text_is_bounded() -> None:
    """Of a novel the beginning is kept."""
    assert len(text_of("word " * 50_000)) in {MAX_TEXT, MAX_TEXT - 1}


# --- Links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("https://Lure.Test/a", "lure.test"),
        ("http://lure.test.:8080?x", "lure.test"),
        ("HTTPS:\\\\lure.test\\a", "lure.test"),
        (" ht\ntps://lu\tre.test/", "lure.test"),
        ("https://bank.example@lure.test/", "lure.test"),
        ("https://bank.example%2F@lure.test#@bank.example", "lure.test"),
        ("https://%6Cure.test/", "lure.test"),
        ("http://[2001:db8::1]:80/", "2001:db8::1"),
        ("mailto:a@lure.test", None),
        ("javascript:https://lure.test", None),
        ("//lure.test", None),
        ("https:///", None),
        ("", None),
        (SAFE_LINK, "lure.test"),
        (SAFE_LINK.replace("eur01.", "eur01.lure.test/"), "eur01.lure.test"),
        ("https://x.safelinks.protection.outlook.com.lure.test/?url=https%3A%2F%2Fa.test", LOOKALIKE),
        ("https://x.safelinks.protection.outlook.com/?data=1", "x.safelinks.protection.outlook.com"),
        ("https://urldefense.proofpoint.com/v1/url?u=http://lure.test/a&k=1", "lure.test"),
        ("https://urldefense.proofpoint.com/v2/url?u=https-3A__www.lure.test_a-5Fb&d=DwMF", "www.lure.test"),
        ("https://urldefense.com/v3/__https://lure.test/a*b__;Kw!!x$", "lure.test"),
        ("https://urldefense.com/v3/__https:/lure.test__;!!x$", "lure.test"),
        (f"https://urldefense.com/v3/__{SAFE_LINK}__;!!x$", "lure.test"),
    ],
)
def test_a_link_leads_to_its_host(link: str, host: str | None) -> None:
    """A link is read as a browser does, behind the services that rewrite links."""
    assert host_of(link) == host


def test_links_are_distinct_and_in_order() -> None:
    """Those of attributes come first, then those that stand in the text."""
    html = (
        '<a href="https://B.test/1">x</a><img src=http://a.test/i.gif><form action="https://c.test"></form>'
        "<a href='https://b.test/2'>https://d.test/.</a> (http&#58;//e.test) <!-- https://no.test --><a href='#'>y</a>"
    )
    assert read_content(page(html)).links == ("b.test", "a.test", "c.test", "d.test", "e.test")


def test_links_of_plain_text_are_read() -> None:
    """A link needs no page."""
    assert read_content(b"Subject: x\r\n\r\nsee <https://a.test/x>, http://b.test.").links == ("a.test", "b.test")


def test_links_are_bounded() -> None:
    """Of too many hosts the first are kept, and it is said."""
    content = read_content(page("".join(f"<a href=http://h{n}.test>" for n in range(3_000))))
    assert (len(content.links), content.links[-1]) == (MAX_LINKS, f"h{MAX_LINKS - 1}.test")
    assert content.gaps == ("too many links",)


# --- Attachments ----------------------------------------------------------------------------------------------------


def test_attachments_are_known_by_their_content() -> None:
    """Files, named texts, attached pages, attached mails and pictures that are shown count, by their decoded bytes."""
    mail = mixed(
        b"Content-Type: text/html\r\n\r\n<p>see <img src='cid:logo@x'></p>",
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==",
        b"Content-Type: text/html; name=invoice.html\r\n\r\n<p>log in</p>",
        b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nnote",
        b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny",
        b"Content-Type: image/png\r\nContent-ID: <logo@x>\r\n\r\nlogo",
        b"Content-Type: image/png\r\nContent-ID: <other@x>\r\n\r\nother",
        b"Content-Type: application/zip\r\nContent-ID: <logo@x>\r\n\r\nzip",
    )
    contents = [b"%PDF", b"<p>log in</p>", b"note", b"Subject: x\r\n\r\ny", b"logo", b"other", b"zip"]
    assert read_content(mail) == MailContent(text="see", links=(), attachments=tuple(map(digest, contents)))


# --- Any bytes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "html",
    [
        "<a " * 20_000,
        '<a x="' * 15_000,
        "<!--" * 20_000,
        "<!--" + "-" * 100_000,
        "<div>" * 4_000 + "</span>" * 8_000,
        "<i><b></i>" * 6_000,
        "<script></scrip>" * 15_000,
        '<p style="opacity:' + "0" * 100_000 + 'x">',
        '<p style="opacity:' + " " * 100_000 + 'x">',
        '<p style="' + "/*" * 100_000 + '">',
        '<p style="' + "font:0" * 30_000 + '">',
        "&#" + "1" * 100_000,
        "&" * 100_000,
        "<a =" + " " * 100_000,
        '<a href="http://' + "%" * 100_000,
        "http://" * 30_000,
        "<a href='" + "https://urldefense.com/v3/__" * 8_000,
    ],
)
def test_hostile_pages_cost_their_size(html: str) -> None:
    """No page is slow or costs more than ten times its size, however it is made."""
    mail = page(html)
    read_content(mail)
    tracemalloc.start()
    start = time.process_time()
    read_content(mail)
    spent_s, (_, peak_bytes) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent_s < 1
    assert peak_bytes < 10 * len(mail) + 2**20


TAGS = [
    "<p",
    "<a href=",
    "style='display:none",
    "'",
    '"',
    ">",
    "</p>",
    "<!--",
    "-->",
    "&#",
    ";",
    "<script>",
    "x",
    " ",
    "=",
]


@given(st.lists(st.one_of(st.sampled_from(TAGS), st.text(max_size=5))))
def test_any_page_has_a_text(pieces: list[str]) -> None:
    """Whatever the page, its text is on one line and nothing in it is invisible."""
    html = "".join(pieces)
    read_html(html)
    assert "\u200b" not in text_of(html)
    assert "\n" not in text_of(html)


@given(st.text(max_size=60), st.sampled_from(["", "http://", SAFE_LINK, "https://urldefense.com/v3/__", "https://["]))
def test_any_text_leads_somewhere_or_nowhere(text: str, beginning: str) -> None:
    """A host has no white space and no path, whatever the link."""
    host = host_of(beginning + text)
    assert host is None or not set(host) & set(" \t\r\n/\\?#<>\"'")


@given(st.binary(max_size=300))
def test_any_bytes_have_content(octets: bytes) -> None:
    """Nothing raises, as text, as a page or as a multipart."""
    for head in (
        b"",
        b"Content-Type: text/html; charset=utf-16\n\n",
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n",
    ):
        content = read_content(head + octets)
        assert len(content.text) <= MAX_TEXT


def test_real_mail_is_read_quickly(reported_mail: list[Path]) -> None:
    """At least 200 real mails a second; most of them show a text and link somewhere."""
    mails = [path.read_bytes() for path in reported_mail]
    start = time.process_time()
    contents = [read_content(mime) for mime in mails]
    assert len(mails) / (time.process_time() - start) > 200
    assert sum(bool(content.text) for content in contents) > 0.9 * len(mails)
    assert sum(bool(content.links) for content in contents) > 0.7 * len(mails)
