"""Inputs made of other inputs: what breaks readers of mail and of containers, at the places that a seed chooses.

Every mutation takes chance and octets and gives octets. Those that know the format repair what would keep the reader
out (checksums of TNEF) or keep what leads it in (the headers of a multipart).
"""

import base64
import re
import struct
from collections.abc import Callable, Sequence
from random import Random

from tests.support.report_formats import delivered_report, file_part, mail_part, multipart, text_part

Mutation = Callable[[Random, bytes], bytes]

LARGEST = 3_000_000
"""The default of MAX_SUBMISSION_BYTES: larger attachments are not fetched."""
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 16, 63, 64, 127, 128, 255, 256, 512, 4095, 4096, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
           0x7FFFFFFF, 0x80000000, 0xFFFFFFFA, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
TOKENS = (
    *(
        b"\r\n\r\n",
        b"\n\n",
        b"\r",
        b"\n",
        b"\n ",
        b"\n\t",
        b"\0",
        b" ",
        b"\t",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xf0\x9f\x98\x80",
    ),
    *(
        b"\xe2\x80\xae",
        b"\xcc\x81",
        b"0",
        b"a",
        b".",
        b"-",
        b"_",
        b"--",
        b"\n--",
        b":",
        b";",
        b",",
        b'"',
        b"\\",
        b"(",
        b")",
    ),
    *(
        b"<",
        b">",
        b"=",
        b"[",
        b"]",
        b"@",
        b"|",
        b"%",
        b"%00",
        b"*0*=",
        b"=?",
        b"?=",
        b"=?utf-8?B?",
        b"=?utf-8?Q?=",
        b"=?x?q?",
    ),
    *(b"<!--", b"-->", b"<![", b"&", b"&#", b"&#x10FFFF;", b"<style>", b"</", b"<a href=", b'<p style="', b"<script"),
    *(b"{", b"}", b"{\\", b"\\'", b"\\u-1 ", b"\\bin9999999 ", b"http://", b"https://[", b"//", b"xn--"),
    *(
        b"begin 644 a\n",
        b"`\nend\n",
        b"=\r",
        b"= \n",
        b"QQ==",
        b"charset*0*=",
        b"''",
        b"<meta charset=",
        b"From ",
        b"12\n",
    ),
    *(b"\x1b$B", b"\x1b(I", b"\x0e", b"\x80", b"\x8f", b"~{", b"+AGE-", b"iso-2022-jp", b"x-uuencode", b"delsp=yes"),
    *(b"\x30\x80", b"\x24\x80", b"\xa0\x80", b"\x00\x00", b"MI", b"-----BEGIN PKCS7-----\n"),
)
HEADERS = (b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"Received", b"Delivered-To", b"Content-Type",
           b"Content-Transfer-Encoding", b"Content-Disposition", b"Content-ID", b"Authentication-Results",
           b"X-Forefront-Antispam-Report", b"X-MS-Exchange-Organization-AuthAs",
           b"X-MS-Exchange-Organization-Network-Message-Id", b"X-MS-Exchange-CrossTenant-Id", b"X-PHISHTEST",
           )  # fmt: skip
TNEF = b"\x78\x9f\x3e\x22"
CONTAINERS = (TNEF, b"\xd0\xcf\x11\xe0", b"\x30")
_BOUNDARY = re.compile(rb'boundary="?([^"\r\n;]{1,70})')
_BODY = re.compile(rb"\r?\n\r?\n")


def flip_bits(chance: Random, content: bytes) -> bytes:
    """A few bits are wrong."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16)) if content else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(chance: Random, content: bytes) -> bytes:
    """The end is missing, or the beginning."""
    at = _place(chance, content)
    return content[:at] if chance.random() < 0.8 else content[at:]


def cut_out(chance: Random, content: bytes) -> bytes:
    """A piece is missing."""
    start, end = _piece(chance, content)
    return content[:start] + content[end:]


def duplicate(chance: Random, content: bytes) -> bytes:
    """A piece stands there twice, or a hundred times."""
    start, end = _piece(chance, content)
    times = chance.choice((2, 2, 3, 10, 100))
    return (content[:start] + content[start:end] * times + content[end:])[:LARGEST]


def insert(chance: Random, content: bytes) -> bytes:
    """Something that means something stands where it does not belong."""
    at, token = _place(chance, content), chance.choice(TOKENS)
    return content[:at] + token * chance.choice((1, 1, 1, 2, 30)) + content[at:]


def overwrite(chance: Random, content: bytes) -> bytes:
    """Something that means something takes the place of what stood there."""
    at, token = _place(chance, content), chance.choice(TOKENS)
    return content[:at] + token + content[at + len(token) :]


def flood(chance: Random, content: bytes) -> bytes:
    """The same few octets over and over: what makes a reader go over them again and again."""
    at, end = _place(chance, content), _place(chance, content)
    unit = (
        b"".join(chance.choices(TOKENS, k=chance.choice((1, 1, 2, 3))))
        if chance.random() < 0.7
        else content[at : at + 30]
    )
    size_bytes = chance.choice((1_000, 10_000, 30_000, 100_000)) if chance.random() < 0.97 else LARGEST
    run = unit * (size_bytes // max(len(unit), 1))
    return content[:at] + run + content[end if chance.random() < 0.2 else at :]


def edit_number(chance: Random, content: bytes) -> bytes:
    """A length, a count or a pointer tells something else."""
    width, order = chance.choice((1, 2, 4)), chance.choice(("<", ">"))
    number = chance.choice(NUMBERS) if chance.random() < 0.8 else chance.getrandbits(32)
    octets = struct.pack(f"{order}I", number & ((1 << 8 * width) - 1))
    octets = octets[:width] if order == "<" else octets[-width:]
    at = _place(chance, content)
    if chance.random() < 0.6:
        at = min(at // 64 * 64 + chance.choice((0, 4, 8, 44, 48, 52, 60)), len(content))
    return content[:at] + octets + content[at + width :]


def copy_over(chance: Random, content: bytes) -> bytes:
    """A piece stands in the place of another: sectors, entries and properties are shared, doubled or swapped."""
    size_bytes = chance.choice((4, 8, 16, 64, 128, 512))
    source, target = (_place(chance, content) // size_bytes * size_bytes for _ in range(2))
    return content[:target] + content[source : source + size_bytes] + content[target + size_bytes :]


def nest(chance: Random, content: bytes) -> bytes:
    """The same within itself, deeper than anybody looks."""
    depth = chance.choice((2, 5, 9, 21, 40))
    wrap = chance.choice((_in_multipart, _in_mail, _in_report, _in_base64))
    for level in range(depth):
        if len(content) > LARGEST // 2:
            return content
        content = wrap(content, level)
    return content


def fill_headers(chance: Random, content: bytes) -> bytes:
    """One header more, which is very long or stands there very often."""
    name, token = chance.choice(HEADERS), chance.choice(TOKENS)
    if chance.random() < 0.5:
        extra = name + b": " + token * chance.choice((100, 5_000, 60_000)) + b"\r\n"
    else:
        extra = (name + b": " + token + b"\r\n") * chance.choice((10, 150, 5_000))
    return (
        extra + content if chance.random() < 0.5 else _BODY.sub(lambda _: b"\r\n" + extra + b"\r\n", content, count=1)
    )


def play_with_boundaries(chance: Random, content: bytes) -> bytes:
    """Delimiters are lost, doubled, of another multipart, or cut short."""
    found = _BOUNDARY.findall(content)
    if not found:
        return multipart("mixed", text_part(), content, boundary=chance.choice(("", " ", "--", "a", "b" * 70)))
    boundary = chance.choice(found)
    delimiter = b"\r\n--" + boundary
    other = chance.choice(
        (b"", delimiter + b"--", delimiter * 500, delimiter[:-1], b"\r\n--" + chance.choice(found), b"\n--")
    )
    return content.replace(chance.choice((delimiter, delimiter[1:], boundary)), other, chance.choice((1, 2, -1)))[
        :LARGEST
    ]


def repair(content: bytes) -> bytes:
    """TNEF streams, one in another, with the checksums that their attributes have now; other octets as they are."""
    if not content.startswith(TNEF):
        return content
    repaired, place = bytearray(content), content.rfind(TNEF)
    while place >= 0:
        _repair_stream(repaired, place + 6)
        place = repaired.rfind(TNEF, 0, place)
    return bytes(repaired)


def _repair_stream(octets: bytearray, place: int) -> None:
    """Each attribute is level, number, length, octets and their sum ([MS-OXTNEF] section 2.1.3.1)."""
    while place + 9 <= len(octets) and octets[place] in {1, 2}:
        start = place + 9
        end = start + int.from_bytes(octets[place + 5 : start], "little")
        if end + 2 > len(octets):
            return
        octets[end : end + 2] = (sum(octets[start:end]) & 0xFFFF).to_bytes(2, "little")
        place = end + 2


def splice(chance: Random, content: bytes, other: bytes) -> bytes:
    """The beginning of one and the end of another."""
    return (content[: _place(chance, content)] + other[_place(chance, other) :])[:LARGEST]


MUTATIONS: Sequence[Mutation] = (
    *(flip_bits, truncate, cut_out, duplicate, insert, overwrite, flood),
    *(edit_number, nest, fill_headers, play_with_boundaries),
)
BINARY_MUTATIONS: Sequence[Mutation] = (
    *(flip_bits, flip_bits, overwrite, copy_over, copy_over),
    *(edit_number, edit_number, edit_number, truncate, flood),
)
"""For containers: what moves the rest of the file away from its tables only shows that a broken one is refused."""


def mutate(chance: Random, seeds: Sequence[bytes]) -> bytes:
    """An input made of these, by one to six mutations."""
    content = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        if chance.random() < 0.1:
            content = splice(chance, content, chance.choice(seeds))
        else:
            content = chance.choice(BINARY_MUTATIONS if content.startswith(CONTAINERS) else MUTATIONS)(chance, content)
    return (repair(content) if chance.random() < 0.9 else content)[:LARGEST]


def _place(chance: Random, content: bytes) -> int:
    """Anywhere, or rather near the beginning, where headers and tables are, but past a container's signature."""
    first = 8 if content.startswith(CONTAINERS[:2]) and len(content) > 8 else 0
    return chance.randint(first, max(first, min(len(content), chance.choice((64, 2_000, LARGEST, LARGEST)))))


def _piece(chance: Random, content: bytes) -> tuple[int, int]:
    start = _place(chance, content)
    return start, start + chance.choice((1, 4, 64, 500, 4_000))


def _in_multipart(content: bytes, level: int) -> bytes:
    return multipart("mixed", text_part(), content, boundary=f"=_{level}")


def _in_mail(content: bytes, level: int) -> bytes:
    return multipart("mixed", mail_part(content), boundary=f"=_{level}")


def _in_report(content: bytes, level: int) -> bytes:
    return delivered_report(multipart("mixed", text_part(), mail_part(content), boundary=f"=_{level}"))


def _in_base64(content: bytes, level: int) -> bytes:
    encoded = file_part(content, "message/rfc822", "original.eml") if level % 2 else base64.encodebytes(content)
    return delivered_report(multipart("mixed", encoded, boundary=f"=_{level}"))
