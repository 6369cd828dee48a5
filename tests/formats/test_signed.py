"""The mail inside a CMS signature, however BER may write it."""

import base64
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.signed import content_of_signed, is_cms, is_enveloped
from tests.support.report_formats import as_enveloped, as_opaque_signed

MAIL = b"Content-Type: text/plain\r\n\r\nhello"
SIGNED, DATA = b"\x06\x09*\x86H\x86\xf7\r\x01\x07\x02", b"\x06\x09*\x86H\x86\xf7\r\x01\x07\x01"
VERSION, ALGORITHMS = b"\x02\x01\x01", b"\x31\x00"


def tlv(tag: int, *content: bytes) -> bytes:
    """An element with a length of up to four octets."""
    body = b"".join(content)
    size = len(body)
    length = bytes([size]) if size < 0x80 else b"\x84" + size.to_bytes(4, "big")
    return bytes([tag]) + length + body


def open_ended(tag: int, *content: bytes) -> bytes:
    """An element without a length."""
    return bytes([tag, 0x80]) + b"".join(content) + b"\0\0"


def signed(octets: bytes) -> bytes:
    """Signed-data around an OCTET STRING, as DER writes it."""
    return tlv(0x30, SIGNED, tlv(0xA0, tlv(0x30, VERSION, ALGORITHMS, tlv(0x30, DATA, tlv(0xA0, octets)))))


def streamed(octets: bytes) -> bytes:
    """Signed-data as a program writes it that does not know the size beforehand."""
    inner = open_ended(0x30, DATA, open_ended(0xA0, octets))
    algorithms = open_ended(0x31, open_ended(0x30, b"\x05\x00"), tlv(0x30, b"\x05\x00"))
    return open_ended(0x30, SIGNED, open_ended(0xA0, open_ended(0x30, VERSION, algorithms, inner, tlv(0x31))))


PIECES = (tlv(0x04, MAIL[:5]), tlv(0x04, MAIL[5:9]), tlv(0x04, MAIL[9:]))
WRITTEN = {
    "der": signed(tlv(0x04, MAIL)),
    "in pieces": signed(tlv(0x24, *PIECES)),
    "streamed": streamed(open_ended(0x24, *PIECES)),
    "pieces of pieces": streamed(open_ended(0x24, PIECES[0], open_ended(0x24, PIECES[1]), tlv(0x24, PIECES[2]))),
    "cut off behind the content": signed(tlv(0x04, MAIL))[:-1] + MAIL[-1:],
    "base64": base64.encodebytes(signed(tlv(0x04, MAIL))),
    "pem": b"-----BEGIN PKCS7-----\n" + base64.encodebytes(streamed(tlv(0x04, MAIL))) + b"-----END PKCS7-----\n",
}


@pytest.mark.parametrize("p7m", WRITTEN.values(), ids=WRITTEN.keys())
def test_the_signed_mail_is_found(p7m: bytes) -> None:
    """DER, lengths left open, strings in pieces, base64 and PEM all hold the same mail."""
    assert (is_cms(p7m), is_enveloped(p7m), content_of_signed(p7m)) == (True, False, MAIL)


def test_what_another_program_signed_is_read() -> None:
    """Signed-data of a real library holds the report's body."""
    found = content_of_signed(as_opaque_signed(b"Subject: original\r\n\r\nx"))
    assert found is not None
    assert b"Subject: original" in found


def test_what_is_encrypted_is_told_and_not_read() -> None:
    """Enveloped-data of a real library is recognised, also in base64."""
    sealed = as_enveloped(b"Subject: original\r\n\r\nx")
    assert (is_cms(sealed), is_enveloped(sealed), content_of_signed(sealed)) == (True, True, None)
    assert is_enveloped(base64.encodebytes(sealed))


COMPRESSED, ZLIB = b"\x06\x0b*\x86H\x86\xf7\r\x01\x09\x10\x01\x09", b"\x06\x0b*\x86H\x86\xf7\r\x01\x09\x10\x03\x08"


def compressed(packed: bytes) -> bytes:
    """Compressed-data around these octets."""
    return tlv(0x30, COMPRESSED, tlv(0xA0, tlv(0x30, VERSION, tlv(0x30, ZLIB), tlv(0x30, DATA, tlv(0xA0, packed)))))


def test_a_compressed_mail_is_found() -> None:
    """S/MIME may compress (RFC 8551 section 3.6), whole or in pieces; what is damaged gives nothing."""
    packed = zlib.compress(MAIL)
    for octets in (tlv(0x04, packed), tlv(0x24, tlv(0x04, packed[:9]), tlv(0x04, packed[9:]))):
        p7z = compressed(octets)
        assert (is_cms(p7z), is_enveloped(p7z), content_of_signed(p7z)) == (True, False, MAIL)
    assert content_of_signed(compressed(tlv(0x04, packed[:-9]))) is None
    assert content_of_signed(compressed(tlv(0x04, b"x" + packed))) is None


def test_what_is_compressed_cannot_become_a_gigabyte() -> None:
    """It may grow by a factor, or to what few mails exceed."""
    assert content_of_signed(compressed(tlv(0x04, zlib.compress(bytes(500_000))))) == bytes(500_000)
    assert content_of_signed(compressed(tlv(0x04, zlib.compress(bytes(600_000))))) is None


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"0",
        b"0\x80",
        b"Subject: MIME mail\r\n\r\nMIIG",
        b"MIIGMIIGMIIGMIIGMIIGMIIGMIIGMIIG",
        tlv(0x30, b"\x06\x03abc"),
        tlv(0x30, SIGNED),
        tlv(0x30, SIGNED, tlv(0xA0, tlv(0x30, VERSION, ALGORITHMS, tlv(0x30, DATA)))),
    ],
)
def test_what_holds_nothing_gives_nothing(octets: bytes) -> None:
    """Detached signatures, cut-off ones and everything else have no content."""
    assert content_of_signed(octets) is None


@pytest.mark.parametrize(
    "p7m",
    [
        streamed(b"\x24\x80" * 20_000),
        streamed(open_ended(0x24, b"\x04\x00" * 20_000)),
        tlv(0x30, SIGNED, b"\x30\x80" * 20_000),
        open_ended(0x30, SIGNED, open_ended(0xA0, open_ended(0x30, b"\x31\x80" * 15_000 + b"\0\0" * 15_000))),
        signed(b"\x24" + b"\xff" * 50_000),
        base64.b64encode(signed(b"\x24\x80" * 20_000)),
    ],
    ids=["deep string", "many pieces", "deep elements", "deep and closed", "huge length", "base64"],
)
def test_hostile_nesting_costs_its_size(p7m: bytes) -> None:
    """A file made to be deep takes time and memory by its size."""
    tracemalloc.start()
    start = time.process_time()
    content_of_signed(p7m)
    spent_s, (_, peak_bytes) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent_s < 1
    assert peak_bytes < 10 * len(p7m) + 2**20


@given(st.binary(max_size=200), st.sampled_from([b"", SIGNED, signed(tlv(0x04, MAIL))[:40], streamed(b"")[:30]]))
def test_any_bytes_have_an_answer(octets: bytes, beginning: bytes) -> None:
    """Nothing raises, whatever stands where."""
    for content in (octets, beginning + octets, tlv(0x30, beginning, octets)):
        found = content_of_signed(content)
        assert found is None or len(found) <= len(content)
        is_enveloped(content)
