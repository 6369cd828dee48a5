"""Text from strangers: what is left of it can be stored, logged and shown, and the addresses in it are addresses."""

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.text import (
    LIMIT,
    MAX_ADDRESS,
    address,
    addresses,
    author,
    clean,
    decode_words,
    domain_of,
    is_address,
)

any_text = st.text(st.characters(exclude_categories=[]))
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(any_text)
@example("\ud800\udc00\x00\u202e\ufeff\U000e0041\x85\u2028")
def test_clean_text_is_one_visible_line(text: str) -> None:
    """Nothing that `clean` lets through breaks a line, is invisible or turns the direction; all of it is UTF-8."""
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert len(cleaned.splitlines()) <= 1
    assert all(unicodedata.category(one) not in {"Cc", "Cs", "Zl", "Zp"} for one in cleaned)
    assert TURNING.isdisjoint(map(unicodedata.bidirectional, cleaned))


@given(any_text, st.integers(0, 50))
def test_cleaning_is_done_once(text: str, limit: int) -> None:
    """Clean text stays as it is, and never grows beyond its limit."""
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert clean(cleaned, limit) == cleaned


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_ordinary_text_is_kept(text: str) -> None:
    """Letters, digits, punctuation and symbols of any script come through untouched."""
    assert clean(text, len(text)) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\r\nb\tc", "a  b c"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("exe\u202egpj.pdf", "exegpj.pdf"),
        ("pay\u200bpal\ufeff\u00ad", "paypal"),
        ("a\U000e0041b\ud800", "ab"),
        ("👩\u200d💻 می\u200cرود ❤\ufe0f", "👩\u200d💻 می\u200cرود ❤\ufe0f"),
        ("  two  blanks  ", "  two  blanks  "),
    ],
)
def test_clean_by_example(text: str, cleaned: str) -> None:
    """Breaks become spaces, invisible marks vanish, joiners that spell words and emoji stay, blanks are not touched."""
    assert clean(text) == cleaned


def test_a_cut_spares_letter_and_accent() -> None:
    """A cut falls before a letter with its accents or a joined emoji, unless that is absurdly long."""
    assert clean("abe\u0301", 3) == "ab"
    assert clean("ab👩\u200d💻", 4) == "ab"
    assert clean("a" + "\u0301" * 2_000) == "a" + "\u0301" * (LIMIT - 1)
    assert clean("a" * 2_000) == "a" * LIMIT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bob@Contoso.COM", "bob@contoso.com"),
        ("Bob <Bob@contoso.com>", "Bob@contoso.com"),
        ('"ceo@contoso.com" <evil@example.org>', "evil@example.org"),
        ('"a <ceo@contoso.com>" <evil@example.org>', "evil@example.org"),
        (r'"a \" <ceo@contoso.com>" <evil@example.org>', "evil@example.org"),
        ("evil@example.org (<ceo@contoso.com>)", "evil@example.org"),
        ('evil@example.org (6" <ceo@contoso.com>)', "evil@example.org"),
        ("a) evil@example.org (<ceo@contoso.com>)", "evil@example.org"),
        ("1 < 2 <evil@example.org>", "evil@example.org"),
        ("Team ,_<no-reply@example.org>", "no-reply@example.org"),
        ("Friends: a@example.org, b@example.org;", "a@example.org"),
        ('"never closed <bob@contoso.com>', "bob@contoso.com"),
        ("o'neil+tag@contoso.com", "o'neil+tag@contoso.com"),
        ("phishing@pot", "phishing@pot"),
        ("undisclosed-recipients:;", None),
        ("a@b@c.example", None),
        ("two@example.org words@example.org", None),
        ("<>", None),
        ("bob@-contoso.com", "bob@-contoso.com"),
        ("Bob <bob@contoso_>", "bob@contoso_"),
        ("Bob <bob@%contoso.com>", None),
        ("Bob <bob@--.com>", None),
        ('Bob <"bob top"@contoso.com>', '"bob top"@contoso.com'),
        ('Bob <"bob, (x); <y>"@contoso.com>', '"bob, (x); <y>"@contoso.com'),
        ('"bob"@contoso.com', "bob@contoso.com"),
        ('Bob <"bob@contoso.com">', None),
        ('"Bob <bob@contoso.com>"', None),
        ("Bob <b\u00f6b@contoso.com>", "b\u00f6b@contoso.com"),
        ("Bob <bob@k\u00f6ln.example>", "bob@k\u00f6ln.example"),
        ("Bob <bob@\U0001d41a\U0001d428\U0001d424.com>", None),
        ("Bob <b\u200bob@contoso.com>", None),
        ("Bob <@a.example,@b.example:bob@contoso.com>", "bob@contoso.com"),
        ("<bob@ contoso.com>", "bob@contoso.com"),
        ("bob@ contoso.com", "bob@contoso.com"),
        ("< bob @contoso. com >", "bob@contoso.com"),
        ("<the bob@contoso.com>", None),
        ("bob@contoso..com", None),
        ("x" * MAX_ADDRESS + "@contoso.com", None),
        ("", None),
    ],
)
def test_the_address_in_a_header(text: str, found: str | None) -> None:
    """The mailbox counts, not what its display name or a comment pretends; what is no plain address is none."""
    assert address(text) == found


def test_all_addresses_of_a_header() -> None:
    """Every mailbox of a list is found in order, commas in display names notwithstanding."""
    assert list(addresses('"Doe, Jane" <jane@a.example>, junk, bob@b.example; (x, y) c@c.example')) == [
        "jane@a.example",
        "bob@b.example",
        "c@c.example",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Alert bank@bank.example, now <desk@lure.example>", "desk@lure.example"),
        ("bank@bank.example, <desk@lure.example>", "desk@lure.example"),
        ("Alert <desk@lure.example>, bank@bank.example", "desk@lure.example"),
        ("A <desk@lure.example>, B <bank@bank.example>", "desk@lure.example"),
        ("desk@lure.example, bank@bank.example", "desk@lure.example"),
        ('"News" <"desk@lure.example">', None),
        ("nobody", None),
    ],
)
def test_the_author_is_whom_exchange_reads(text: str, found: str | None) -> None:
    """An address in brackets counts before one that stands bare in the text around it."""
    assert author(text) == found


@given(any_text)
@example('"\ue020"@a')
def test_what_is_found_is_an_address(text: str) -> None:
    """Any string is searched without an error, and what comes out is in its normal form."""
    for found in addresses(text):
        assert len(found) <= MAX_ADDRESS
        assert clean(found) == found
        assert address(found) == found
        assert domain_of(found) == found.rpartition("@")[2]


@given(st.from_regex(r"[a-z0-9._+-]{1,20}@[a-z0-9.-]{1,20}", fullmatch=True).filter(is_address), any_text)
def test_a_bracketed_address_is_found_behind_any_name(mailbox: str, name: str) -> None:
    """A quoted display name can hold anything and never hides or replaces the mailbox behind it."""
    quoted = name.replace("\\", "").replace('"', "")
    assert address(f'"{quoted}" <{mailbox}>') == mailbox


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("plain", "plain"),
        ("=?UTF-8?B?w6k=?=", "é"),
        ("a =?utf-8?q?b_=C3=A9?= c", "a b é c"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("=?utf-8?q?a?=  =?iso-8859-1?q?=E9?=", "aé"),
        ("=?utf-8*en?Q?x?=", "x"),
        ("=?utf-8?b?w6k?=", "é"),
        ("=?utf-8?b?w?=", "=?utf-8?b?w?="),
        ("=?zlib?b?eJwDAAAAAAE=?=", "=?zlib?b?eJwDAAAAAAE=?="),
        ("=?unicode_escape?q?=5Cd?=", "\\d"),
        ("=?NONE?B?VEVTVA=?=", "TEST"),
        ("=?unknown-8bit?q?J=F6rg?=", "J\u00f6rg"),
        ("=?utf-8?q?=FF?= raw é", "\ufffd raw é"),
        ("=?cp999?q?=E9?=", "é"),
    ],
)
def test_encoded_words(text: str, decoded: str) -> None:
    """Encoded words are decoded and joined as RFC 2047 says; broken or odd ones stay readable."""
    assert decode_words(text) == decoded


@given(
    st.lists(
        st.sampled_from(["=?", "?=", "utf-8", "cp1252", "utf-16", "utf-7", "?", "q", "b", "=C3", "=", "w6k", " ", "é"])
    )
)
def test_decoding_never_fails(pieces: list[str]) -> None:
    """Any arrangement of the pieces of encoded words is decoded without an error or a warning."""
    assert isinstance(decode_words("".join(pieces)), str)


@given(any_text)
def test_text_without_encoded_words_is_not_touched(text: str) -> None:
    """Decoding changes nothing where there is nothing to decode, lone surrogates included."""
    if "=?" not in text:
        assert decode_words(text) == text


@pytest.mark.parametrize(
    "text", ['"', "(", '\\"', "<", "@,", "a.", "=?utf-8?q?x", "=?a?q?", "\u0301", "a@", "<@a,", "a @ ", " .", '"a"@']
)
def test_no_input_is_slow(text: str) -> None:
    """250,000 characters made to provoke backtracking take well under a second in every function."""
    long_text = text * (250_000 // len(text))
    started_s = time.process_time()
    clean(long_text)
    list(addresses(long_text))
    decode_words(long_text)
    assert time.process_time() - started_s < 1
