r"""The HTML or text inside the rich text (RTF) that Outlook keeps as a message's body, and its compression.

Outlook wraps an HTML body as RTF: tags stand in `{\*\htmltag ...}`, what only RTF readers need between `\htmlrtf` and
`\htmlrtf0` ([MS-OXRTFEX]). Every function is total, in time proportional to the input; damage ends the text early.
Unpacking grows at most by `GROWTH` and reading does not grow, so that a few octets cannot become a gigabyte.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, replace

from .code_pages import DEFAULT_CHARSET, charset_of, decoder_of

GROWTH = 3
"""Octets of RTF that one compressed octet may become; the format allows 8, which memory could not hold."""

FREE_SIZE_BYTES = 192 * 1024
"""What may come out in any case: few bodies are longer."""

_MAX_GROUPS = 200
_HEADER = struct.Struct("<II4s4x")
_DICTIONARY_SIZE_BYTES = 4096
# What every compressed text may refer to before it said anything itself ([MS-OXRTFCP] section 2.1.2.1).
_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)

_TOKEN = re.compile(
    rb"\\(?P<word>[A-Za-z]{1,32})(?P<number>-?[0-9]{1,10})? ?"
    rb"|\\'(?P<hex>[0-9A-Fa-f]{2})"
    rb"|\\(?P<symbol>[^A-Za-z])"
    rb"|(?P<brace>[{}])"
    rb"|(?P<text>[^\\{}\r\n]{1,4096})"
    rb"|[\r\n]+|\\",
    re.DOTALL,
)
_TEXT_OF_WORD = {
    b"par": "\r\n",
    b"line": "\r\n",
    b"tab": "\t",
    b"lquote": "\u2018",
    b"rquote": "\u2019",
    b"ldblquote": "\u201c",
    b"rdblquote": "\u201d",
    b"bullet": "\u2022",
    b"endash": "\u2013",
    b"emdash": "\u2014",
}
_TEXT_OF_SYMBOL = {b"{": "{", b"}": "}", b"\\": "\\", b"~": "\xa0", b"_": "\xad", b"\n": "\r\n", b"\r": "\r\n"}
_UNSEEN = frozenset({b"colortbl", b"stylesheet", b"info", b"pict", b"header", b"footer", b"object", b"listtable"})
# Character sets of fonts ([MS-WMF] section 2.1.1.5) as code pages; the others are the document's own.
_PAGE_OF_FONT_CHARSET = {
    0: 1252, 77: 10000, 128: 932, 129: 949, 130: 1361, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255,
    178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250, 255: 437,
}  # fmt: skip


def decompress_rtf(compressed: bytes, limit_bytes: int) -> bytes:
    """The RTF inside PidTagRtfCompressed ([MS-OXRTFCP]), up to where it is damaged; empty if it is none.

    At most `limit_bytes`, nor more than GROWTH times the input, or FREE_SIZE_BYTES where that is more.
    """
    if len(compressed) < _HEADER.size:
        return b""
    _, size_bytes, kind = _HEADER.unpack_from(compressed)
    limit = min(size_bytes, limit_bytes, max(GROWTH * len(compressed), FREE_SIZE_BYTES))
    if kind == b"MELA":
        return compressed[_HEADER.size : _HEADER.size + limit]
    return _unpack(compressed, limit) if kind == b"LZFu" else b""


def html_of_rtf(rtf: bytes) -> bytes | None:
    """The HTML that the RTF wraps, as UTF-8 whatever its own `meta` says; None if it wraps none."""
    return _Reader(is_html=True).read(rtf) if rb"\fromhtml1" in rtf[:1024] else None


def text_of_rtf(rtf: bytes) -> bytes:
    r"""The text that a reader of the RTF would see, as UTF-8 with CRLF; empty if it does not begin with `{\rtf`."""
    return _Reader(is_html=False).read(rtf) if rtf.startswith(rb"{\rtf") else b""


def _unpack(compressed: bytes, limit: int) -> bytes:
    """Each control octet tells for eight tokens, lowest bit first, whether one is an octet or a reference back."""
    unpacked = bytearray(_DICTIONARY)
    place = _HEADER.size
    end = limit + len(_DICTIONARY)
    while place < len(compressed) and len(unpacked) < end:
        control = compressed[place]
        place += 1
        for bit in range(8):
            if not control >> bit & 1:
                unpacked += compressed[place : place + 1]
                place += 1
            elif place + 2 > len(compressed) or not _copy(unpacked, compressed[place] << 8 | compressed[place + 1]):
                return bytes(memoryview(unpacked)[len(_DICTIONARY) : end])
            else:
                place += 2
    return bytes(memoryview(unpacked)[len(_DICTIONARY) : end])


def _copy(unpacked: bytearray, reference: int) -> bool:
    """Append what the reference names: 12 bits of place in a ring of 4,096, 4 bits of length. False is the end."""
    distance = (len(unpacked) - (reference >> 4)) % _DICTIONARY_SIZE_BYTES
    if distance == 0 or distance > len(unpacked):
        return False
    start, length = len(unpacked) - distance, (reference & 0xF) + 2
    source = unpacked[start : start + length]
    unpacked += (source * length)[:length]  # a reference may reach into what it appends
    return True


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds until the closing brace."""

    charset: str
    is_unseen: bool = False
    is_fonts: bool = False
    is_htmlrtf: bool = False
    fallback_length: int = 1  # characters after \u that stand in for it


class _Reader:
    def __init__(self, *, is_html: bool) -> None:
        self._is_html = is_html
        self._group = _Group(DEFAULT_CHARSET)
        self._is_start = False  # nothing came yet in the group that could name its destination
        self._is_ignorable = False  # \* came: whoever does not know the destination skips it
        self._outer: list[_Group] = []
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._default_charset = DEFAULT_CHARSET
        self._decoder = decoder_of(DEFAULT_CHARSET)
        self._high_surrogate = 0
        self._to_skip = 0
        self._written = io.BytesIO()

    def read(self, rtf: bytes) -> bytes:
        place = 0
        while (token := _TOKEN.match(rtf, place)) is not None and self._may_go_on(len(rtf)):
            place = token.end()
            if token["word"] == b"bin":
                place += max(int(token["number"] or 0), 0)
            else:
                self._take(token)
        self._end_character()
        return self._written.getvalue()

    def _may_go_on(self, size_bytes: int) -> bool:
        return len(self._outer) <= _MAX_GROUPS and self._written.tell() <= size_bytes

    def _take(self, token: re.Match[bytes]) -> None:
        match token.lastgroup:
            case "word" | "number":
                self._read_word(token["word"], None if token["number"] is None else int(token["number"]))
            case "hex":
                self._write_octets(bytes([int(token["hex"], 16)]))
            case "symbol":
                self._read_symbol(token["symbol"])
            case "brace":
                self._open() if token["brace"] == b"{" else self._close()
            case "text":
                self._write_octets(token["text"])

    def _open(self) -> None:
        self._to_skip = 0
        self._outer.append(self._group)
        self._is_start, self._is_ignorable = True, False

    def _close(self) -> None:
        self._to_skip = 0
        self._is_start = False
        if self._outer:
            self._switch(self._outer.pop())

    def _read_symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._is_ignorable = self._is_start
        elif symbol in _TEXT_OF_SYMBOL:
            self._write(_TEXT_OF_SYMBOL[symbol])

    def _read_word(self, word: bytes, number: int | None) -> None:
        if self._is_start:
            self._name_destination(word)
        if word in _TEXT_OF_WORD:
            self._write(_TEXT_OF_WORD[word])
        elif word == b"u" and number is not None:
            self._write_unicode(number & 0xFFFF)
        elif word == b"uc":
            self._group = replace(self._group, fallback_length=min(max(number or 0, 0), 16))
        elif word == b"htmlrtf":
            self._group = replace(self._group, is_htmlrtf=number != 0)
        else:
            self._read_charset(word, number or 0)

    def _name_destination(self, word: bytes) -> None:
        self._is_start = False
        is_tag = self._is_html and word == b"htmltag"
        if word == b"fonttbl":
            self._group = replace(self._group, is_unseen=True, is_fonts=True)
        elif word in _UNSEEN or (self._is_ignorable and not is_tag):
            self._group = replace(self._group, is_unseen=True)

    def _read_charset(self, word: bytes, number: int) -> None:
        if word == b"ansicpg":
            self._default_charset = charset_of(number) or DEFAULT_CHARSET
            self._change_charset(self._default_charset)
        elif word == b"f" and self._group.is_fonts:
            self._font = number
        elif word == b"f":
            self._change_charset(self._fonts.get(number, self._default_charset))
        elif word in {b"fcharset", b"cpg"} and self._group.is_fonts and len(self._fonts) < _MAX_GROUPS:
            page = _PAGE_OF_FONT_CHARSET.get(number) if word == b"fcharset" else number
            self._fonts[self._font] = charset_of(page) or self._default_charset

    def _change_charset(self, charset: str) -> None:
        if charset != self._group.charset:
            self._switch(replace(self._group, charset=charset))

    def _switch(self, group: _Group) -> None:
        if group.charset != self._group.charset:
            self._end_character()
            self._decoder = decoder_of(group.charset)
        self._group = group

    def _is_silent(self) -> bool:
        group = self._group
        return group.is_unseen or (self._is_html and group.is_htmlrtf)

    def _write_octets(self, octets: bytes) -> None:
        """One character may be spread over several tokens: the decoder keeps what is incomplete."""
        skipped = min(self._to_skip, len(octets))
        self._to_skip -= skipped
        if not self._is_silent():
            self._put(self._decoder.decode(octets[skipped:]))

    def _write(self, text: str) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif not self._is_silent():
            self._end_character()
            self._put(text)

    def _write_unicode(self, unit: int) -> None:
        """One UTF-16 unit; characters beyond U+FFFF come as two."""
        self._to_skip = self._group.fallback_length
        if self._is_silent():
            return
        self._end_character()
        high = self._high_surrogate
        if 0xD800 <= unit < 0xDC00:
            self._high_surrogate = unit
        elif 0xDC00 <= unit < 0xE000 and high:
            self._put(chr(0x10000 + (high - 0xD800 << 10) + unit - 0xDC00))
        else:
            self._put(chr(unit))

    def _end_character(self) -> None:
        self._put(self._decoder.decode(b"", final=True))

    def _put(self, text: str) -> None:
        if text:
            self._high_surrogate = 0
            self._written.write(text.encode("utf-8", "replace"))
