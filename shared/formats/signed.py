"""What S/MIME wraps without a key: the mail in CMS signed-data or compressed-data (RFC 5652, 3274; RFC 8551 section 3).

Nothing is verified; the signature is only taken off, as every mail program does before it shows the mail. Of BER
(X.690) just enough is read to find the content: each octet is looked at once, lengths that claim more than there is
are cut to what is there, and nesting is bounded. Any bytes have an answer.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from .mime_parts import decode_base64

_SIGNED = bytes.fromhex("2a864886f70d010702")
_COMPRESSED = bytes.fromhex("2a864886f70d0109100109")  # RFC 3274
_ENVELOPED = frozenset(
    {
        bytes.fromhex("2a864886f70d010703"),  # enveloped-data
        bytes.fromhex("2a864886f70d010706"),  # encrypted-data
        bytes.fromhex("2a864886f70d0109100117"),  # authenticated-enveloped-data (RFC 5083)
    }
)
_SEQUENCE, _CONTEXT_0, _OBJECT_ID = 0x30, 0xA0, 0x06
_OCTETS, _OCTETS_IN_PIECES = 0x04, 0x24
_MAX_DEPTH = 16
_GROWTH = 8
_FREE_SIZE_BYTES = 512 * 1024
_PEM = re.compile(rb"\s*-----BEGIN [A-Z0-9 ]{1,40}-----\s(.*?)(?:-----END|\Z)", re.DOTALL)
_BASE64 = re.compile(rb"\s*M[A-Za-z0-9+/\s]{21}")


class _BrokenBer(Exception):
    """The bytes end, or nest too deep, where an element should stand."""


class _Element(NamedTuple):
    """One element: its tag octet and where its content stands; `end` is the enclosing one's if it has no length."""

    tag: int
    start: int
    end: int
    has_length: bool


def is_cms(content: bytes) -> bool:
    """Whether the bytes are signed, compressed or encrypted CMS, binary or in base64."""
    kind = _kind(_binary(content))
    return kind in {_SIGNED, _COMPRESSED} or kind in _ENVELOPED


def is_enveloped(p7m: bytes) -> bool:
    """Whether the bytes are CMS that nobody can read without a key."""
    return _kind(_binary(p7m)) in _ENVELOPED


def content_of_signed(p7m: bytes) -> bytes | None:
    """The MIME entity that was signed or compressed; None where the bytes are neither, or the content is elsewhere.

    Compressed content may grow by `_GROWTH`, or to `_FREE_SIZE_BYTES`: a few octets cannot become a gigabyte. What is
    larger is left alone, as is what is damaged.
    """
    ber = _binary(p7m)
    try:
        return _compressed_content(ber) if _kind(ber) == _COMPRESSED else _signed_content(ber)
    except (_BrokenBer, zlib.error):
        return None


def _binary(content: bytes) -> bytes:
    pem = _PEM.match(content)
    if pem:
        return decode_base64(pem[1])
    return decode_base64(content) if _BASE64.match(content) else content


def _kind(ber: bytes) -> bytes | None:
    """The object identifier that a ContentInfo begins with."""
    try:
        outer = _read(ber, 0, len(ber))
        inner = _read(ber, outer.start, outer.end)
    except _BrokenBer:
        return None
    is_content_info = outer.tag == _SEQUENCE and inner.tag == _OBJECT_ID
    return ber[inner.start : inner.end] if is_content_info else None


def _signed_content(ber: bytes) -> bytes | None:
    """ContentInfo, [0], SignedData, its third field EncapsulatedContentInfo, [0], OCTET STRING."""
    if _kind(ber) != _SIGNED:
        return None
    signed_data = _descend(ber, _read(ber, 0, len(ber)), _CONTEXT_0, _SEQUENCE)
    return _encapsulated(ber, _child(ber, signed_data, _SEQUENCE))


def _compressed_content(ber: bytes) -> bytes | None:
    """ContentInfo, [0], CompressedData, its third field EncapsulatedContentInfo: ZLIB (RFC 3274)."""
    compressed_data = _descend(ber, _read(ber, 0, len(ber)), _CONTEXT_0, _SEQUENCE)
    algorithm = _child(ber, compressed_data, _SEQUENCE)
    rest = _Element(_SEQUENCE, _end(ber, algorithm), compressed_data.end, compressed_data.has_length)
    packed = _encapsulated(ber, _child(ber, rest, _SEQUENCE))
    inflater = zlib.decompressobj()
    content = inflater.decompress(packed, max(_GROWTH * len(packed), _FREE_SIZE_BYTES))
    return content if inflater.eof else None


def _encapsulated(ber: bytes, encapsulated: _Element) -> bytes:
    wrapped = _child(ber, encapsulated, _CONTEXT_0)
    octets = _read(ber, wrapped.start, wrapped.end)
    content = bytearray()  # not joined from a list, which would cost more than the content where pieces are tiny
    for start, end in _spans(ber, octets):
        content += ber[start:end]
    return bytes(content)


def _descend(ber: bytes, element: _Element, *tags: int) -> _Element:
    for tag in tags:
        element = _child(ber, element, tag)
    return element


def _child(ber: bytes, parent: _Element, tag: int) -> _Element:
    """The first child with this tag; raises `_BrokenBer` where there is none."""
    position = parent.start
    while True:
        child = _read(ber, position, parent.end)
        if child.tag == tag:
            return child
        position = _end(ber, child)


def _end(ber: bytes, element: _Element) -> int:
    """Where the next element stands; what has no length ends where its end-of-contents octets balance."""
    if element.has_length:
        return element.end
    position, depth = element.start, 1
    while depth:
        child = _read(ber, position, element.end)
        depth += (not child.has_length) - (child.tag == 0)
        position = child.end if child.has_length else child.start
    return position


def _spans(ber: bytes, octets: _Element) -> Iterator[tuple[int, int]]:
    """Where the pieces of an OCTET STRING stand, which may itself be made of such strings."""
    if octets.tag == _OCTETS:
        yield octets.start, octets.end
        return
    ends = [octets.end]
    position = octets.start
    while ends and octets.tag == _OCTETS_IN_PIECES:
        if position >= ends[-1]:
            ends.pop()
            continue
        piece = _read(ber, position, ends[-1])
        position = piece.end
        if piece.tag == _OCTETS:
            yield piece.start, piece.end
        elif piece.tag == _OCTETS_IN_PIECES and len(ends) < _MAX_DEPTH:
            ends.append(piece.end)
            position = piece.start
        else:  # end-of-contents, or nothing that belongs here
            ends.pop()


def _read(ber: bytes, position: int, end: int) -> _Element:
    """The element at this place. Tags of more than one octet do not occur in what is read here."""
    if position + 2 > end:
        raise _BrokenBer
    tag, length = ber[position], ber[position + 1]
    start = position + 2
    if length == 0x80:
        return _Element(tag, start, end, has_length=False)
    if length > 0x80:
        size_bytes = length & 0x7F
        length = int.from_bytes(ber[start : min(start + size_bytes, end)], "big")
        start = min(start + size_bytes, end)
    return _Element(tag, start, min(start + length, end), has_length=True)
