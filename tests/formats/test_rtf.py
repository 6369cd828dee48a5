"""RTF: unpacked as Outlook packs it, and the HTML or text in it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats import rtf

WRAPPED = rb"""{\rtf1\ansi\ansicpg1251\fromhtml1 \deff0
{\fonttbl {\f0\fmodern Courier New;}{\f1\fswiss\fcharset0 Arial;}{\f2\fnil\fcharset128 MS Gothic;}}
{\colortbl\red0\green0\blue0;\red0\green0\blue255;}
{\*\generator Microsoft Exchange Server;}{\*\htmltag64}
\uc1\pard\plain\deftab360 \f0\fs24
{\*\htmltag <HTML>\par }{\*\htmltag84 <BODY style="a\{b\}">}\htmlrtf \lang1033 \htmlrtf0
{\*\htmltag148 <B>}\htmlrtf {\b \htmlrtf0 %b\htmlrtf }\htmlrtf0 {\*\htmltag156 </B>}{\*\mhtmltag64 hidden}
{\*\htmltag84 &nbsp;}\htmlrtf \'a0\htmlrtf0 \tab C:\\x
{\*\htmltag240 </BODY>}}"""


def wrapped(body: bytes) -> str:
    """The HTML in an RTF whose body is that."""
    html = rtf.html_of_rtf(WRAPPED.replace(b"%b", body))
    assert html is not None
    return html.decode()


def unpacked_from(compressed: bytes) -> bytes:
    """The RTF, with no limit but those of the format."""
    return rtf.decompress_rtf(compressed, 1 << 30)


def stored(content: bytes) -> bytes:
    """The content as PidTagRtfCompressed holds it uncompressed."""
    return struct.pack("<II4sI", len(content) + 12, len(content), b"MELA", 0) + content


@pytest.mark.parametrize(
    ("packed", "unpacked"),
    [
        (
            "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c09002062770 5b06c647d0a800fa0",
            b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
        ),
        ("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0", b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"),
    ],
)
def test_the_examples_of_the_specification_unpack(packed: str, unpacked: bytes) -> None:
    """[MS-OXRTFCP] section 4 tells what these octets are."""
    assert unpacked_from(bytes.fromhex(packed.replace(" ", ""))) == unpacked


def test_what_is_stored_uncompressed_comes_back() -> None:
    """A body of kind MELA is the RTF itself."""
    assert unpacked_from(stored(WRAPPED)) == WRAPPED


def test_unpacking_is_bounded() -> None:
    """References to what they append, which make eight octets of one, stop at the bound."""
    places = iter(range(len(rtf._DICTIONARY) + 7, 4096 * 1_000, 17))
    groups = [
        b"\xff" + b"".join(struct.pack(">H", next(places) % 4096 << 4 | 15) for _ in range(8)) for _ in range(5_000)
    ]
    tokens = b"\x00aaaaaaaa" + b"".join(groups)
    bomb = struct.pack("<II4sI", len(tokens) + 12, 0xFFFFFFFF, b"LZFu", 0) + tokens
    assert unpacked_from(bomb) == b"a" * (rtf.GROWTH * len(bomb))


def test_wrapped_html_comes_out_as_it_was() -> None:
    """Tags come out, what is for RTF readers alone does not, and the escapes are undone."""
    assert wrapped(b"bold") == '<HTML>\r\n<BODY style="a{b}"><B>bold</B>&nbsp;\tC:\\x</BODY>'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"\'cf\'f0\'e8", "При"),
        (rb"{\f1 \'e9}\'e9", "éй"),
        (rb"{\f2 \'93\'fa\'96\'7b}", "日本"),
        (rb"\u8364?", "€"),
        (rb"\u-10179?\u-8704?!", "😀!"),
        (rb"{\uc2\u233\'c3\'a9}x", "éx"),
        (rb"{\uc0\u233}x", "éx"),
        (rb"\lquote\rquote \emdash", "\u2018\u2019—"),
        (rb"a{\*\unknown b}c", "ac"),
        (rb"a\bin3 }x{b", "ab"),
        (rb"a\u-10179?b\u-8704?c", "ab?c"),
    ],
)
def test_characters_are_decoded(body: bytes, text: str) -> None:
    r"""\'hh is in the font's character set, \u in UTF-16 with a stand-in behind it that is left out."""
    assert wrapped(body).partition("<B>")[2].partition("</B>")[0] == text


def test_rtf_without_html_has_text() -> None:
    """What wraps no HTML gives its text."""
    plain = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title hidden}}\pard caf\'e9\par next\par}"
    assert rtf.html_of_rtf(plain) is None
    assert rtf.text_of_rtf(plain) == "café\r\nnext\r\n".encode()
    assert rtf.text_of_rtf(b"no rtf") == b""


def test_nesting_is_bounded() -> None:
    """Reading ends where groups nest too deep, and what stands before is kept."""
    assert rtf.text_of_rtf(rb"{\rtf1 before" + b"{" * 300 + b"after") == b"before"


def test_what_is_read_does_not_grow() -> None:
    """Octets that UTF-8 writes as three end the text early; RTF proper is ASCII."""
    octets = rb"{\rtf1 " + b"\x80" * 40_000
    assert len(octets) < len(rtf.text_of_rtf(octets)) < len(octets) + 3 * 4_096


@given(st.binary(max_size=300))
def test_anything_unpacks(octets: bytes) -> None:
    """Any octets unpack to something, bounded."""
    packed = struct.pack("<II4sI", 0, 0xFFFFFFFF, b"LZFu", 0) + octets
    assert len(unpacked_from(packed)) <= rtf.FREE_SIZE_BYTES
    assert unpacked_from(octets) is not None


TOKENS = [rb"\f1", rb"\u8364", rb"\'", rb"\'e9", b"{", b"}", rb"\*", rb"\htmltag", rb"\htmlrtf0 ", rb"\bin9 "]
TOKENS += [
    rb"\uc9",
    b"\\",
    rb"\fonttbl",
    rb"\fcharset128",
    rb"\f2",
    b"x",
    b"\xff",
    rb"\u-1",
    rb"\par",
    rb"\ansicpg65000 ",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=30))
def test_anything_is_read(tokens: list[bytes]) -> None:
    """Any RTF gives HTML and text that are UTF-8 and hardly longer than itself."""
    body = b"".join(tokens)
    for text in (rtf.text_of_rtf(rb"{\rtf1 " + body), rtf.html_of_rtf(rb"{\rtf1\fromhtml1 " + body)):
        assert text is not None
        assert len(text.decode()) <= len(body) + 20
