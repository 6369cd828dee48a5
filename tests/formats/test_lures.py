"""Two mails that differ only in where they lead are never one campaign, wherever and however that stands in them.

The lure is a copy of a mail that is known, with another target. Whoever writes one can choose how the target stands in
it, so what is tried here are kinds: where a target may stand, how a link may be written, what may keep a reader from
the end. In the end a mail that is not understood has no fingerprint, which is as good.
"""

import base64
import binascii
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.domain.campaigns import Fingerprint, belongs
from shared.domain.model import Category
from shared.domain.originals import OriginalFacts, read_original
from shared.domain.tenant import Tenant
from shared.formats.link_hosts import read_link
from shared.formats.mail_content import MAX_BODIES, MAX_BODY_BYTES, read_content
from shared.formats.mail_fingerprint import mail_fingerprint

TENANT = Tenant("11111111-2222-3333-4444-555555555555", frozenset({"contoso.example"}))
HEAD = (
    b"From: Desk <desk@sender.example>\r\nTo: Ben <ben@contoso.example>\r\nSubject: Your parcel\r\n"
    b"Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\nMIME-Version: 1.0\r\n"
)
WORDS = (
    "Dear customer, your parcel is waiting at our depot since Monday because the address on it could not be read. "
    "Please tell us where we shall bring it, and when somebody will be at home to take it from our driver. "
    "We keep it for ten days and send it back to the shop after that. With kind regards, your delivery team."
)


def known_by(mime: bytes) -> Fingerprint | None:
    """What the product knows a mail by."""
    facts = read_original(mime, tenant=TENANT, reporter="ben@contoso.example")
    assert isinstance(facts, OriginalFacts)
    return mail_fingerprint(Category.PHISHING, facts, mime)


def are_one_campaign(one: bytes, other: bytes) -> bool:
    """Whether the second mail would be covered by the first."""
    first, second = known_by(one), known_by(other)
    return first is not None and second is not None and belongs(first, second)


def page(html: str) -> bytes:
    """A mail of this page."""
    return HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + f"<p>{WORDS}</p>{html}".encode()


def plain(text: str) -> bytes:
    """A mail of this text."""
    return HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + f"{WORDS}\r\n{text}\r\n".encode()


def body(head: bytes, octets: bytes) -> bytes:
    """A mail of one part with these headers."""
    return HEAD + head + b"\r\n\r\n" + octets


def mixed(*parts: bytes, kind: bytes = b"mixed") -> bytes:
    """A mail of these parts."""
    opened = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return body(b"Content-Type: multipart/" + kind + b"; boundary=b", opened + b"--b--\r\n")


# --- Where a target may stand ---------------------------------------------------------------------------------------

LINK_PLACES: dict[str, Callable[[str], bytes]] = {
    "href": lambda link: page(f'<a href="{link}">go</a>'),
    "href unquoted": lambda link: page(f"<a href={link}>go</a>"),
    "href in upper case": lambda link: page(f"<A HREF='{link}'>go</A>"),
    "form": lambda link: page(f'<form action="{link}"><input></form>'),
    "button": lambda link: page(f'<button formaction="{link}">go</button>'),
    "map": lambda link: page(f'<map name=m><area href="{link}"></map>'),
    "drawing": lambda link: page(f'<svg><a xlink:href="{link}"><text>go</text></a></svg>'),
    "base": lambda link: page(f'<base href="{link}"><a href="x">go</a>'),
    "refresh": lambda link: page(f'<meta http-equiv="refresh" content="0; url={link}">'),
    "frame": lambda link: page(f'<iframe srcdoc="<a href={link}>go</a>"></iframe>'),
    "for Outlook alone": lambda link: page(f'<!--[if mso]><v:roundrect href="{link}">go</v:roundrect><![endif]-->'),
    "within hidden": lambda link: page(f'<div style="display:none"><a href="{link}">go</a></div>'),
    "behind an open comment": lambda link: page(f'<!--> <a href="{link}">go</a>'),
    "in an open title": lambda link: page(f'<title>x<a href="{link}">go</a>'),
    "in a style without an end": lambda link: page(f'<style>p {{}}<a href="{link}">go</a>'),
    "behind plaintext": lambda link: page(f"<plaintext> {link} "),
    "text": lambda link: plain(f"go to {link} now"),
    "text of a page": lambda link: page(f"<p>go to {link} now</p>"),
    "text in brackets": lambda link: plain(f"go to <{link}>"),
    "behind a link and a comma": lambda link: plain(f"see https://shop.example/a,{link}"),
    "behind a link in brackets": lambda link: plain(f"see (https://shop.example/a){link}"),
    "behind a link and a bracket": lambda link: plain(f"see [https://shop.example]{link}"),
    "text beside the page": lambda link: mixed(
        b"Content-Type: text/html\r\n\r\n<p>" + WORDS.encode(), b"Content-Type: text/plain\r\n\r\n" + link.encode()
    ),
    "text that the page stands for": lambda link: mixed(
        b"Content-Type: text/plain\r\n\r\n" + link.encode(),
        b"Content-Type: text/html\r\n\r\n<p>" + WORDS.encode(),
        kind=b"alternative",
    ),
    "a second page": lambda link: mixed(
        b"Content-Type: text/html\r\n\r\n<p>" + WORDS.encode(),
        b"Content-Type: text/html\r\n\r\n<a href='" + link.encode() + b"'>go</a>",
    ),
    "an attached page": lambda link: mixed(
        b"Content-Type: text/plain\r\n\r\n" + WORDS.encode(),
        b"Content-Type: text/html; name=a.html\r\n\r\n<a href='" + link.encode() + b"'>go</a>",
    ),
    "an attached mail": lambda link: mixed(
        b"Content-Type: text/plain\r\n\r\n" + WORDS.encode(),
        b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n" + link.encode(),
    ),
    "before the parts": lambda link: body(
        b"Content-Type: multipart/mixed; boundary=b",
        link.encode() + b"\r\n--b\r\n\r\n" + WORDS.encode() + b"\r\n--b--\r\n",
    ),
    "behind the parts": lambda link: body(
        b"Content-Type: multipart/mixed; boundary=b",
        b"--b\r\n\r\n" + WORDS.encode() + b"\r\n--b--\r\n" + link.encode(),
    ),
    "page called text": lambda link: plain(f"<html><a href='{link}'>go</a></html>"),
}
LINKS: dict[str, Callable[[str], str]] = {
    "http": lambda host: f"https://{host}/pay/now",
    "with a port": lambda host: f"http://{host}:8080/pay",
    "with credentials": lambda host: f"https://bank.example@{host}/",
    "of an address": lambda host: f"http://{'203.0.113.7' if host < 'l' else '198.51.100.9'}/",
    "www": lambda host: f"www.{host}/pay",
    "ftp": lambda host: f"ftp://{host}/pay",
    "file": lambda host: f"file://{host}/share/a.lnk",
    "share": lambda host: f"\\\\{host}\\share\\a.lnk",
    "unwrapped": lambda host: f"https://www.google.com/url?q=https%3A%2F%2F{host}%2F",
    "of a shortener": lambda host: f"https://bit.ly/{host[0]}A1b2",
    "of a form": lambda host: f"https://docs.google.com/forms/d/e/1FAIpQ{host[0]}42abc/viewform",
    "of a tracker": lambda host: f"https://u1.ct.sendgrid.net/ls/click?upn={host[0]}abc",
    "of a rewriter that looks it up": lambda host: f"https://protect-eu.mimecast.com/s/{host[0]}Ab?domain=bank.example",
    "of an unknown redirect": lambda host: f"https://sender.example/redirect?to=x{host[0]}",
    "of an unknown rewriter": lambda host: f"https://guard.example/{host[0]}4bC9dE",
}
ONLY_IN_MARKUP: dict[str, Callable[[str], str]] = {
    "of the same scheme": lambda host: f"//{host}/pay",
    "of no scheme": lambda host: f"{host}/pay",
    "to a mailbox": lambda host: f"mailto:help@{host}",
    "to a telephone": lambda host: f"tel:+4930{ord(host[0])}5551234",
    "to a message": lambda host: f"sms:+4930{ord(host[0])}5551234",
    "to a chat": lambda host: f"whatsapp://send?phone=4930{ord(host[0])}5551234",
    "to a program": lambda host: f"ms-word:ofe|u|https://{host}/a.docx",
    "to a search": lambda host: f"search-ms:query=a&crumb=location:\\\\{host}\\share",
    "with its data": lambda host: f"data:text/html,<script>location='{host}'</script>",
    "that is a script": lambda host: f"javascript:location='{host}'",
}
MARKUP = ("href", "form", "button", "map", "drawing", "for Outlook alone", "within hidden")


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("place", LINK_PLACES)
def test_another_link_is_another_campaign(place: str, link: str) -> None:
    """In each place a link may stand, with each form that it may have, its target counts."""
    write, form = LINK_PLACES[place], LINKS[link]
    assert not are_one_campaign(write(form("harmless.example")), write(form("lure.click")))


@pytest.mark.parametrize("link", ONLY_IN_MARKUP)
@pytest.mark.parametrize("place", MARKUP)
def test_another_link_of_another_scheme_is_another_campaign(place: str, link: str) -> None:
    """What only markup makes a link of counts as well."""
    write, form = LINK_PLACES[place], ONLY_IN_MARKUP[link]
    if '"' not in (form("harmless.example") + form("lure.click")):
        assert not are_one_campaign(write(form("harmless.example")), write(form("lure.click")))


@pytest.mark.parametrize("place", LINK_PLACES)
def test_the_same_mail_is_the_same_campaign(place: str) -> None:
    """It is not for want of understanding that two mails are told apart: a copy joins."""
    mime = LINK_PLACES[place]("https://lure.click/pay/now")
    assert are_one_campaign(mime, mime.replace(b"<1@sender", b"<2@sender"))


SHOWN: dict[str, Callable[[str], bytes]] = {
    "a picture": lambda link: page(f"<img src='{link}'>"),
    "a style sheet": lambda link: page(f"<style>@import '{link}'; p {{ background: url({link}) }}</style>"),
    "what one leaves a list by": lambda link: HEAD + f"List-Unsubscribe: <{link}>\r\n\r\n{WORDS}".encode(),
}


@pytest.mark.parametrize("link", ["https://{}/a.png", "https://bit.ly/{}", "https://i.imgur.com/{}.png"])
@pytest.mark.parametrize("place", SHOWN)
def test_what_is_shown_from_elsewhere_counts(place: str, link: str) -> None:
    """Of pictures the host counts, and the path where strangers' pictures share it; no pixel counts."""
    write = SHOWN[place]
    assert not are_one_campaign(write(link.format("harmless.example")), write(link.format("lure.click")))
    pixels = (write(f"https://u1.ct.sendgrid.net/wf/open?upn={number}") for number in ("1a", "2b"))
    assert are_one_campaign(*pixels)


# --- Where a number or a name may stand -----------------------------------------------------------------------------

HIDDEN = (
    "display:none",
    "visibility:hidden",
    "font-size:0",
    "opacity:0",
    "max-height:0;overflow:hidden",
    "mso-hide:all",
)


@pytest.mark.parametrize("style", [*HIDDEN, "max-height:0", "visibility:hidden'><b style='visibility:visible"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("call +1 (888) 555-0199", "call +1 (888) 555-0142"),
        ("write to a@harmless.example", "write to a@lure.example"),
        ("pay to DE89370400440532013000", "pay to GB29NWBK60161331926819"),
        ("visit harmless.click", "visit lure.click"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ("find us as @harmlessdesk", "find us as @luredesk"),
    ],
)
def test_what_is_taken_for_hidden_leads_all_the_same(style: str, one: str, other: str) -> None:
    """Mail programs differ in what they hide, so what a hidden text leads to counts, if not its words."""
    assert not are_one_campaign(*(page(f"<div style='{style}'>{text}</div>") for text in (one, other)))


@pytest.mark.parametrize("attribute", ["alt", "title", "value", "placeholder"])
def test_what_stands_for_a_picture_leads(attribute: str) -> None:
    """Pictures are blocked at first, and their text is what people see."""
    one, other = (page(f'<img src="cid:a" {attribute}="call +1 888-555-{number}">') for number in ("0199", "0142"))
    assert not are_one_campaign(one, other)


# --- What keeps a reader from the end -------------------------------------------------------------------------------


def in_base64(html: str) -> bytes:
    """The page in base64."""
    return base64.encodebytes(f"<p>{WORDS}</p>{html}".encode())


def uuencoded(html: str) -> bytes:
    """The page as uuencode writes it."""
    octets = f"<p>{WORDS}</p>{html}".encode()
    lines = b"".join(binascii.b2a_uu(octets[start : start + 45]) for start in range(0, len(octets), 45))
    return b"begin 644 a.html\r\n" + lines + b"`\r\nend\r\n"


UNREAD: dict[str, Callable[[str], bytes]] = {
    "an encoding with a comment": lambda html: body(
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64 (x)", in_base64(html)
    ),
    "an encoding nobody knows": lambda html: body(
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: x-squeezed", in_base64(html)
    ),
    "an encoding in a page": lambda html: body(b"Content-Type: text/html", in_base64(html)),
    "an encoding in a text": lambda html: body(b"Content-Type: text/plain", in_base64(html)),
    "uuencode in a text": lambda html: body(b"Content-Type: text/plain", uuencoded(html)),
    "padding within": lambda html: body(
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64",
        base64.b64encode(f"<p>{WORDS}</p>!".encode()) + b"=\r\n" + in_base64(html),
    ),
    "a bare carriage return": lambda html: body(
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable",
        f"<p>{WORDS}</p>=\r{html}".encode().replace(b'="', b'=3D"') + b"\r\n",
    ),
    "a charset nobody knows": lambda html: body(
        b"Content-Type: text/html; charset=x-nobody", f"<p>{WORDS}</p>\u00e9{html}".encode("cp037")
    ),
    "a boundary that does not come": lambda html: body(
        b"Content-Type: multipart/mixed; boundary=a",
        f"--b\r\nContent-Type: text/html\r\n\r\n<p>{WORDS}</p>{html}\r\n--b--\r\n".encode(),
    ),
    "no boundary": lambda html: body(
        b"Content-Type: multipart/mixed", f"--b\r\nContent-Type: text/html\r\n\r\n<p>{WORDS}</p>{html}".encode()
    ),
    "too many bodies": lambda html: mixed(
        *[b"Content-Type: text/html\r\n\r\n<p>x"] * MAX_BODIES, b"Content-Type: text/html\r\n\r\n" + html.encode()
    ),
    "too many parts": lambda html: mixed(
        *[b"Content-Type: a/b\r\n\r\nx"] * 1_100, b"Content-Type: text/html\r\n\r\n" + html.encode()
    ),
    "too many levels": lambda html: body(
        b"Content-Type: multipart/mixed; boundary=b0",
        b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(30))
        + b"--b30\r\nContent-Type: text/html\r\n\r\n"
        + html.encode(),
    ),
    "too many links": lambda html: page("".join(f"<a href=http://h{n}.example>" for n in range(2_500)) + html),
    "too many links of one host": lambda html: page("<a href=http://h.example>" * 30_000 + html),
    "much hidden": lambda html: page(f"<p hidden>{'word ' * 50_000}{html}</p>"),
    "much text": lambda html: page(f"{'word ' * 50_000}{html}"),
    "much markup": lambda html: page(f"<!--{'x' * MAX_BODY_BYTES}-->{html}"),
    "deep markup": lambda html: page(f"<div hidden>{'<div>' * 600}{html}"),
    "frames in frames": lambda html: page("<noframes>" * 12 + html),
}


@pytest.mark.parametrize("kind", UNREAD)
@pytest.mark.parametrize("form", ['<a href="https://{}/pay">go</a>', "<p>call +1 (888) 555-{} now</p>"])
def test_what_was_not_read_to_the_end_stands_alone(kind: str, form: str) -> None:
    """Behind each bound, and in each form that is not understood, another target is another campaign."""
    first, second = ("harmless.example", "lure.click") if "https" in form else ("0199", "0142")
    write = UNREAD[kind]
    assert not are_one_campaign(write(form.format(first)), write(form.format(second)))


# --- Any form -------------------------------------------------------------------------------------------------------

HOST_LETTERS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=3, max_size=12)
HOSTS = st.builds(
    "x{}x.{}".format, HOST_LETTERS, st.sampled_from(["example", "test", "click", "zip", "co.uk", "xn--p1ai"])
)
GLUE = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "L", "N", "M", "Cf"]), max_size=3)


@settings(max_examples=150)
@given(
    HOSTS,
    HOSTS,
    st.sampled_from(sorted(LINK_PLACES)),
    st.sampled_from(["https://", "HTTP://", "http:\\\\", "www.", "ftp://"]),
)
def test_two_hosts_are_two_campaigns(one: str, other: str, place: str, scheme: str) -> None:
    """Whatever the hosts, two of them are never one campaign."""
    first, second = (known_by(LINK_PLACES[place](f"{scheme}{host}/a")) for host in (one, other))
    if one != other:
        assert first is None or second is None or not belongs(first, second)


@settings(max_examples=150)
@given(GLUE, GLUE, st.sampled_from(["https://{}/x", "http://{}", "www.{}", "{}/x", "a@{}", "ftp://{}"]))
def test_whatever_stands_around_a_link_in_text_hides_none(before: str, after: str, form: str) -> None:
    """Signs around a link, or between it and another one, do not keep it from counting.

    What stands before an @ is no host: it is who signs in at the one behind it.
    """
    assume("@" not in after or form.endswith("/x"))
    one, other = (
        plain(f"https://shop.example/a {before}{form.format(host)}{after}") for host in ("harmless.click", "lure.click")
    )
    if not before.endswith(("@", "\\", "/", "-", "_", ".", "=", "%", "#", "?", "&", ":", "+", "~")):
        assert not are_one_campaign(one, other)


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_links_that_lead_apart_are_never_alike(one: str, other: str) -> None:
    """What is no link that is understood stands for itself, to the letter."""
    first, second = read_link(f"x-app:{one}"), read_link(f"x-app:{other}")
    if "".join(one.split()) != "".join(other.split()) and one.isprintable() and other.isprintable():
        assert first != second


# --- Mails that came ------------------------------------------------------------------------------------------------


def test_few_real_mails_stand_alone(reported_mail: list[Path]) -> None:
    """Of 160 real mails at most three are not understood to the end."""
    gaps = {path.name: read_content(path.read_bytes()).gaps for path in reported_mail}
    assert sum(map(bool, gaps.values())) <= 3, {name: gap for name, gap in gaps.items() if gap}


def test_seen_pairs_are_two_campaigns() -> None:
    """Pairs that were one campaign once, where they are at hand."""
    folder = Path(os.environ.get("MIME_CASES_DIR", Path(__file__).parents[3] / "shared" / "cases" / "mime"))
    if not folder.is_dir():
        pytest.skip("no pairs here")
    cases = [case for case in json.loads((folder / "cases.json").read_text()) if case["ask"] == "pair"]
    joined = [
        case["file"] for case in cases if are_one_campaign(*(_read_case(folder, case["file"], one) for one in "ab"))
    ]
    assert joined == []


def _read_case(folder: Path, name: str, one: str) -> bytes:
    path = folder / name.replace("{a,b}", one)
    return path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
