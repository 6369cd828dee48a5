"""Charsets as mail uses them: labels in every spelling, the wider set behind each, and text in what Python lacks."""

import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.charsets import (
    codec_of,
    decode,
    decode_labelled,
    decode_unlabelled,
    decode_word,
    incremental_decoder,
)


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        ("CAC7D1CAB4D5", "windows-874", "สวัสดี"),
        ("CAC7D1CAB4D5", "TIS-620", "สวัสดี"),
        ("CAC7D1CAB4D5", "iso-8859-11", "สวัสดี"),
        ("D6ECE946BBF9", "gb2312", "朱镕基"),
        ("80", "GBK", "€"),
        ("8740", "shift_jis", "①"),
        ("8740", "windows-31j", "①"),
        ("8740", "x-sjis", "①"),
        ("8740", "CP932", "①"),
        ("8C63", "euc-kr", "똠"),
        ("8C63", "ks_c_5601-1987", "똠"),
        ("8C63", "CP51949", "똠"),
        ("F9D6", "big5", "碁"),
        ("939480", "iso-8859-1", "“”€"),
        ("939480", "latin1", "“”€"),
        ("81", "windows-1252", "\x81"),
        ("D2", "windows-1253", "\ufffd"),
        ("F0", "iso-8859-9", "ğ"),
        ("F9ECE5ED", "iso-8859-8-i", "שלום"),
        ("F9ECE5ED", "iso-8859-8-e", "שלום"),
        ("1B2442234E1B2842", "csISO2022JP", "\uff2e"),
        ("1B24422D211B2842", "iso-2022-jp", "①"),
        ("1B24427C721B2842", "CP50220", "ⅱ"),
        ("1B284931321B2842", "iso-2022-jp", "ｱｲ"),
        ("0E31320F41", "CP50222", "ｱｲA"),
        ("1B2442234E0D0A234E1B2842", "iso-2022-jp", "\uff2e\r\n\uff2e"),
        ("1B24284430211B2842", "iso-2022-jp-1", "丂"),
        ("ADA1418EB1", "euc-jp", "①Aｱ"),
        ("CFF0E8E2E5F2", "win-1251", "Привет"),
        ("8FE0A8A2A5E2", "866", "Привет"),
        ("8FE0A8A2A5E2", "csIBM866", "Привет"),
        ("C3BC", "UTF8", "ü"),
        ("2B414B512D", "unicode-1-1-utf-7", "¤"),
        ("7E7B56507E7D", "hz-gb-2312", "中"),
        ("FC", "x-unheard-of", "ü"),
        ("C3BC", "us-ascii", "ü"),
        ("FF", None, "ÿ"),
        ("6162E282", None, "ab\ufffd"),
        ("FFFE4100", None, "A"),
        ("FEFF0041", "us-ascii", "A"),
        ("FFFE000041000000", "utf-8", "A"),
        ("EFBBBFC3BC", "iso-8859-1", "ü"),
    ],
)  # fmt: skip
def test_text_is_read_by_its_label(octets: str, label: str | None, text: str) -> None:
    """What a label stands for on the Web and in mail, a byte order mark before any label."""
    assert decode_labelled(bytes.fromhex(octets), label) == text


@pytest.mark.parametrize(
    "label", ["", "idna", "rot13", "zlib", "hex", "unicode_escape", "undefined", "mbcs", "cp999", "x" * 10_000]
)
def test_what_is_no_charset_reaches_no_codec(label: str) -> None:
    """Python has codecs that warn, run long or are no character set; no name of a stranger's leads there."""
    assert codec_of(label) is None
    assert decode_labelled(b"ab", label) == "ab"


def test_every_codec_exists_and_takes_any_octets() -> None:
    """Each label of the tables leads to a codec of Python's that answers for all octets, whole and in pieces."""
    every = bytes(range(256)) + bytes(reversed(range(256)))
    for label in (
        "utf-16",
        "koi8-t",
        "x-mac-ce",
        "cp1125",
        "johab",
        "iso-2022-kr",
        "utf-32be",
        "latin10",
        "hz",
        "big5",
        "gbk",
    ):
        codec = codec_of(label)
        assert codec is not None
        codecs.lookup(codec)
        assert isinstance(decode(every, codec), str)
        assert isinstance(incremental_decoder(codec).decode(every, final=True), str)


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        (b"TEST", "NONE", "TEST"),
        (b"\xfe\xff\0A", "utf-16", "A"),
        (b"A\0", "utf-16", "A"),
        (b"J\xf6rg", "unknown-8bit", "Jörg"),
        ("Jörg".encode(), "unknown-8bit", "Jörg"),
        ("Jörg".encode(), "x-unheard-of", "Jörg"),
        (b"J\xf6rg", "x-unheard-of", "Jörg"),
        (b"\x78\x9c\x03\x00\x00\x00\x00\x01", "zlib", None),
    ],
)
def test_an_unknown_label_is_no_reason_not_to_read(octets: bytes, label: str, text: str | None) -> None:
    """Under a label that nobody knows, text is read as what it most likely is; what is no text stays undecoded."""
    assert decode_word(octets, label) == text


def test_two_charsets_in_one_header() -> None:
    """UTF-8 is read where it is that, and what stands beside it as windows-1252."""
    assert decode_unlabelled("Grüße ".encode() + "Köln €".encode("cp1252")) == "Grüße Köln €"


@pytest.mark.parametrize(
    ("label", "piece"),
    [
        ("iso-2022-jp", b"a\x1b(B"),
        ("iso-2022-jp", b"\x1b$B!!\n"),
        ("iso-2022-jp", b"! "),
        ("iso-2022-jp", b"\x0e1\x0f"),
        ("euc-jp", b"\xa1\xa1a"),
        ("euc-jp", b"\xad\xa1"),
        ("big5", b"\xff"),
        ("big5", b"\x88\x62"),
        ("gbk", b"\x80"),
        ("windows-1253", b"\xd2"),
        (None, b"\xc3\xa4\xff"),
    ],
)
def test_hostile_text_costs_its_size(label: str | None, piece: bytes) -> None:
    """A mebibyte made to be slow takes a fraction of a second."""
    octets = (b"\x1b$B" if piece == b"! " else b"") + piece * (2**20 // len(piece))
    start = time.process_time()
    decode_labelled(octets, label)
    assert time.process_time() - start < 1


@given(
    st.binary(max_size=60),
    st.sampled_from(["iso-2022-jp", "euc-jp", "gbk", "big5", "windows-1253", "utf-7", "hz", None]),
)
def test_any_octets_are_text(octets: bytes, label: str | None) -> None:
    """No octets raise."""
    assert isinstance(decode_labelled(octets, label), str)
    assert isinstance(decode_labelled(b"\x1b$B" + octets, label), str)
