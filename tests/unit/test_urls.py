"""URLs of operators: what is none and why, how defanged ones were written, and which spellings are one request."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import keys
from shared.domain.urls import encoded, one_spelling, refanged, url_problem

HOST = "must have a host"
PORT = "must have a port"
DEFANGED = "is defanged"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://lure(.)example/", DEFANGED),
        ("https://lure(dot)example/", DEFANGED),
        ("hxxps://lure[.]example/a", DEFANGED),
        ("hXXp://lure.example", DEFANGED),
        ("https[:]//lure.example", DEFANGED),
        ("https://lure[dot]example", DEFANGED),
        ("https://lure [.] example/", DEFANGED),
        ("https://lure\\.example/", DEFANGED),
        ("https://lure[.example/", DEFANGED),
        ("https://lure,example/", HOST),
        ("https://lure..example/", HOST),
        ("https://.lure.example/", HOST),
        ("https://*.lure.example/", HOST),
        ("https://lure.example:65536/", PORT),
        ("https://lure.example:0/", PORT),
        ("https://lure.example:http/", PORT),
        ("https://2001:db8::1/", PORT),
        ("https://db8::1/", PORT),
        ("https://[2001:db8::g]/", HOST),
        ("https://[2001:db8::1%eth0]/", HOST),
        ("https://192.0.2.256/", HOST),
        ("https://192.0.2.1.1/", HOST),
        ("https://user@/", HOST),
        ("https://<lure.example>/", HOST),
        (f"https://{'a' * 64}.example/", HOST),
        ("https://lure.example/a b", "without white space"),
        ("ftp://lure.example/", "must be an absolute"),
    ],
)
def test_what_is_no_url_is_told_why(url: str, told: str) -> None:
    """The operator reads what to mend, and never a live link."""
    assert (url_problem(url) or "").startswith(told) or told in (url_problem(url) or "")


@pytest.mark.parametrize(
    "url",
    [
        "https://lure.example",
        "HTTP://user:pw@Lure.Example.:8080/a[.]b?c=[x]#d",
        "https://[2001:DB8::1]:443/",
        "https://192.0.2.1/",
        "http://3221225985/",
        "http://0xc0.0x0.0x2.0x1/",
        "https://bücher.example/ä?ö",
        "https://intranet/",
        "https://_dmarc.lure-.example/",
        "https://%6Cure.example/",
        "https://lure.example/\U0001f468\u200d\U0001f469",
    ],
)
def test_what_browsers_open_is_a_url(url: str) -> None:
    """Also in the spellings that lures use."""
    assert url_problem(url) is None
    assert refanged(url) == url


@pytest.mark.parametrize(
    ("defanged", "url"),
    [
        ("hxxps://lure[.]example/a?b", "https://lure.example/a?b"),
        ("hxxp[:]//www(.)lure(dot)example", "http://www.lure.example"),
        ("https[://]lure{.}example/", "https://lure.example/"),
        ("h**ps://lure [dot] example/", "https://lure.example/"),
        ("hxxps://192[.]0[.]2[.]1:8443/", "https://192.0.2.1:8443/"),
        ("https://lure,example/", "https://lure,example/"),
        ("lure[.]example", "lure[.]example"),
        ("javascript[:]alert(1)", "javascript[:]alert(1)"),
    ],
)
def test_a_defanged_url_is_read_as_it_was(defanged: str, url: str) -> None:
    """What gives no URL stays as it is, and is refused for what it is."""
    assert refanged(defanged) == url


SPELLINGS = [
    "https://lure.example/",
    "https://lure.example",
    "HTTPS://LURE.example",
    "https://lure.example:443/",
    "https://lure.example:00443",
    "https://lure.example:/",
    "https://lure.example./",
    "https://lure.example/#top",
    "https://lure.example#",
    "https://l%75re.example/",
]


def test_spellings_of_one_request_are_one_item() -> None:
    """What a browser adds or keeps to itself makes no other request."""
    assert {one_spelling(one) for one in SPELLINGS} == {"https://lure.example/"}
    assert {keys.url_item(one) for one in SPELLINGS} == {keys.url_item_as_written("https://lure.example/")}
    assert one_spelling("http://0xc0000201:80") == one_spelling("http://192.0.2.1/")
    assert one_spelling("https://bücher.example/ü") == one_spelling("https://xn--bcher-kva.example/%C3%BC")


@pytest.mark.parametrize(
    "other",
    [
        "http://lure.example/",
        "https://lure.example:80/",
        "https://lure.example/?",
        "https://lure.example//",
        "https://lure.example/A",
        "https://www.lure.example/",
        "https://user@lure.example/",
    ],
)
def test_another_request_is_another_item(other: str) -> None:
    """A verdict on one says nothing of the other."""
    assert keys.url_item(other) != keys.url_item("https://lure.example/")


@pytest.mark.parametrize("url", [*SPELLINGS, "https://lure.example/a#b", "https://lure.example/ä"])
def test_the_key_of_an_earlier_version_is_found(url: str) -> None:
    """Under the spelling of the request; where that is the key of now, nothing else is asked."""
    assert keys.url_item_as_written(url) in {keys.url_item(url), *keys.earlier_url_items(url)}
    assert keys.url_item(url) not in keys.earlier_url_items(url)
    assert keys.earlier_url_items("https://lure.example/a?b=c") == ()


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://Lure.example/a?b=%41&c[]=d#e", "https://Lure.example/a?b=%41&c[]=d#e"),
        ("https://lure.example/ä?ö#ü", "https://lure.example/%C3%A4?%C3%B6#%C3%BC"),
        ('https://lure.example/"<>`{|}^', "https://lure.example/%22%3C%3E%60%7B%7C%7D%5E"),
        ("https://bücher。example:8080/ä", "https://xn--bcher-kva.example:8080/%C3%A4"),
    ],
)
def test_what_microsoft_gets_is_percent_encoded(url: str, sent: str) -> None:
    """In ASCII, and otherwise as the operator wrote it."""
    assert encoded(url) == sent


@example("HTTP://0/\\")
@given(st.text(max_size=60) | st.text("htps:/[]().@#?%01xdot\\ ä。", max_size=30).map("https://".__add__))
def test_any_text_has_an_answer(text: str) -> None:
    """Whatever somebody pastes; one spelling of one spelling is itself, and what is sent is ASCII."""
    url_problem(text)
    assert one_spelling(one_spelling(text)) == one_spelling(text)
    assert one_spelling(encoded(text)) == one_spelling(text) or url_problem(text) is not None
    assert encoded(text).isascii()
    assert refanged(refanged(text)) == refanged(text)
