"""The character sets that Windows numbers, as the names that MIME and Python share.

Only what stands in the table is ever decoded: a number from a stranger must not reach the codecs that warn, run long
or are no character set at all. Decoding is total.
"""

from __future__ import annotations

import codecs

_WINDOWS = {page: f"windows-{page}" for page in range(1250, 1259)}
_ISO = {28590 + part: f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))}
_DOS_PAGES = (437, 720, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864, 865, 866, 869, 1125)
_DOS = {page: f"cp{page}" for page in _DOS_PAGES}
_EAST_ASIA = {
    932: "shift_jis",
    936: "gbk",
    949: "ks_c_5601-1987",
    950: "big5",
    1361: "johab",
    20932: "euc-jp",
    20936: "gb2312",
    50220: "iso-2022-jp",
    50221: "iso-2022-jp",
    50222: "iso-2022-jp",
    50225: "iso-2022-kr",
    51932: "euc-jp",
    51936: "gb2312",
    51949: "euc-kr",
    52936: "hz-gb-2312",
    54936: "gb18030",
}
_OTHERS = {
    874: "tis-620",
    10000: "macintosh",
    20127: "us-ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    38598: "iso-8859-8",
    65000: "utf-7",
    65001: "utf-8",
}
_CHARSETS = {**_WINDOWS, **_ISO, **_DOS, **_EAST_ASIA, **_OTHERS}

# What Windows decodes under these names is more than Python does: characters that Microsoft added.
_WIDER = {"shift_jis": "cp932", "ks_c_5601-1987": "cp949", "gb2312": "gbk", "big5": "cp950", "tis-620": "cp874"}

DEFAULT_CHARSET = "windows-1252"


def charset_of(code_page: object) -> str | None:
    """The MIME name of a Windows code page (such as 65001), or None where it is unknown or no number."""
    return _CHARSETS.get(code_page) if isinstance(code_page, int) else None


def decode(octets: bytes | bytearray, charset: str) -> str:
    """The text, with U+FFFD for what is none; `charset` is a name that `charset_of` gave."""
    return codecs.decode(octets, _WIDER.get(charset, charset), "replace")


def decoder_of(charset: str) -> codecs.IncrementalDecoder:
    """A decoder for text that comes in pieces, alike."""
    return codecs.getincrementaldecoder(_WIDER.get(charset, charset))("replace")
