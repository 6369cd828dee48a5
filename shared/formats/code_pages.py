"""The character sets that Windows numbers, as the names that MIME and Python share.

Only what stands in the tables is ever decoded (`shared.domain.charsets`). Decoding is total.
"""

from __future__ import annotations

import codecs

from ..domain import charsets

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
    874: "windows-874",
    10000: "macintosh",
    20127: "us-ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    38598: "iso-8859-8-i",
    65000: "utf-7",
    65001: "utf-8",
}
_CHARSETS = {**_WINDOWS, **_ISO, **_DOS, **_EAST_ASIA, **_OTHERS}

DEFAULT_CHARSET = "windows-1252"

# The ANSI code page of a language, by the lower ten bits of its locale ([MS-LCID] section 2.2; the pages are those of
# LOCALE_IDEFAULTANSICODEPAGE in Windows). Languages that Windows has in Unicode only are absent.
_LANGUAGES = {
    874: (0x1E,),
    932: (0x11,),
    949: (0x12,),
    1250: (0x05, 0x0E, 0x15, 0x18, 0x1A, 0x1B, 0x1C, 0x24, 0x42),
    1251: (0x02, 0x19, 0x22, 0x23, 0x28, 0x2F, 0x3F, 0x40, 0x44, 0x50, 0x6D, 0x85),
    1252: (0x03, 0x06, 0x07, 0x09, 0x0A, 0x0B, 0x0C, 0x0F, 0x10, 0x13, 0x14, 0x16, 0x17, 0x1D, 0x21, 0x2D, 0x2E, 0x32,
           0x34, 0x35, 0x36, 0x38, 0x3B, 0x3C, 0x3E, 0x41, 0x52, 0x56, 0x62, 0x64, 0x68, 0x6A, 0x6B, 0x6C, 0x6E, 0x6F,
           0x70, 0x7A, 0x7C, 0x7E, 0x82, 0x83, 0x84, 0x86, 0x87, 0x88, 0x91),
    1253: (0x08,),
    1254: (0x1F, 0x2C, 0x43),
    1255: (0x0D,),
    1256: (0x01, 0x20, 0x29, 0x59, 0x80, 0x8C, 0x92),
    1257: (0x25, 0x26, 0x27),
    1258: (0x2A,),
}  # fmt: skip
_PAGE_OF_LANGUAGE = {language: page for page, languages in _LANGUAGES.items() for language in languages}
# Chinese in its countries; Serbian, Bosnian, Azeri and Uzbek in Cyrillic.
_PAGE_OF_LOCALE = {
    **dict.fromkeys((0x0004, 0x0804, 0x1004), 936),
    **dict.fromkeys((0x0404, 0x0C04, 0x1404, 0x7C04), 950),
    **dict.fromkeys((0x0C1A, 0x1C1A, 0x201A, 0x281A, 0x301A, 0x082C, 0x0843), 1251),
}

# The code page in which Windows itself keeps text that goes out in one of these ("family code page" of MLang).
_FAMILIES = {
    932: (20932, 50220, 50221, 50222, 51932),
    936: (20936, 50227, 51936, 52936, 54936),
    949: (1361, 50225, 51949),
    1250: (852, 28592, 10029),
    1251: (855, 866, 20866, 21866, 28595, 10007),
    1252: (850, 858, 437, 20127, 28591, 28605, 10000),
    1253: (737, 869, 28597),
    1254: (857, 28599),
    1255: (862, 28598, 38598),
    1256: (720, 864, 28596),
    1257: (775, 28594, 28603),
    874: (28601,),
}
_FAMILY_OF_PAGE = {page: family for family, pages in _FAMILIES.items() for page in pages}


def charset_of(code_page: object) -> str | None:
    """The MIME name of a Windows code page (such as 65001), or None where it is unknown or no number."""
    return _CHARSETS.get(code_page) if isinstance(code_page, int) else None


def charset_of_locale(locale: object) -> str | None:
    """The MIME name of the code page in which programs keep 8-bit text in that locale (such as 1041 for Japan)."""
    if not isinstance(locale, int):
        return None
    return charset_of(_PAGE_OF_LOCALE.get(locale & 0xFFFF, _PAGE_OF_LANGUAGE.get(locale & 0x3FF)))


def charset_of_family(code_page: object) -> str | None:
    """The MIME name of the code page that Windows itself uses for text that goes out in this one."""
    return charset_of(_FAMILY_OF_PAGE.get(code_page, code_page)) if isinstance(code_page, int) else None


def decode(octets: bytes | bytearray, charset: str) -> str:
    """The text, with U+FFFD for what is none; `charset` is a name that `charset_of` gave."""
    return charsets.decode_texts(bytes(octets), _codec_of(charset))


def decoder_of(charset: str) -> codecs.IncrementalDecoder:
    """A decoder for text that comes in pieces, alike."""
    return charsets.incremental_decoder(_codec_of(charset))


def _codec_of(charset: str) -> str:
    return charsets.codec_of(charset) or charsets.DEFAULT_CODEC
