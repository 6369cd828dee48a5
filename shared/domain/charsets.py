"""The character sets that mail names, and the text in them: the one place for MIME, `.msg` and TNEF.

Labels and supersets are those of the WHATWG Encoding Standard (sections 4.2 and 9 to 13: what is called iso-8859-1 is
windows-1252, shift_jis is Windows' own code page 932, gb2312 is gb18030), and those that mail adds: numbers of Windows
code pages, DOS pages, UTF-7, HZ and ISO-2022-KR, which the Web does without. The package `webencodings` knows the first
half alone, and of iso-2022-jp and euc-jp not the rows that Microsoft added, so it would spare none of this.

A charset is named by a stranger: only what stands in the tables is ever decoded, since Python has codecs that warn, run
long or are no character set at all. Decoding is total.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Callable, Mapping

DEFAULT_CODEC = "cp1252"

# Python's codec by what labels of it have in common: letters and digits. Encoding Standard section 4.2, then mail's.
_LABELS = {
    "utf_8": "utf8 unicode11utf8 unicode20utf8 xunicode20utf8 csutf8 utf8mb4 utf8n cp65001",
    "utf_7": "utf7 unicode11utf7 csunicode11utf7 xunicode20utf7 cp65000",
    "utf_16_le": "utf16le unicodefeff csutf16le utf16 csunicode iso10646ucs2 ucs2 unicode csutf16 cp1200",
    "utf_16_be": "utf16be unicodefffe csutf16be cp1201",
    "utf_32_le": "utf32le csutf32le utf32 csutf32 ucs4 iso10646ucs4 cp12000",
    "utf_32_be": "utf32be csutf32be cp12001",
    "iso8859_2": "csisolatin2 iso88592 iso885921987 isoir101 l2 latin2 cp28592 cp912",
    "iso8859_3": "csisolatin3 iso88593 iso885931988 isoir109 l3 latin3 cp28593 cp913",
    "iso8859_4": "csisolatin4 iso88594 iso885941988 isoir110 l4 latin4 cp28594 cp914",
    "iso8859_5": "csisolatincyrillic cyrillic iso88595 iso885951988 isoir144 cp28595 cp915",
    "iso8859_6": "arabic asmo708 csiso88596e csiso88596i csisolatinarabic ecma114 iso88596 iso88596e iso88596i"
    " iso885961987 isoir127 cp28596 cp1089 cp708",
    "iso8859_7": "csisolatingreek ecma118 elot928 greek greek8 iso88597 iso885971987 isoir126 suneugreek cp28597 cp813",
    "iso8859_8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso88598 iso88598e iso88598i iso885981988 isoir138"
    " logical visual cp28598 cp38598 cp916",
    "iso8859_10": "csisolatin6 iso885910 isoir157 l6 latin6 cp28600 cp919",
    "iso8859_13": "iso885913 latin7 l7 cp28603 cp921",
    "iso8859_14": "iso885914 isoir199 latin8 l8 cp28604",
    "iso8859_15": "csisolatin9 iso885915 latin9 l9 cp28605 cp923",
    "iso8859_16": "iso885916 isoir226 latin10 l10 cp28606",
    "koi8_r": "koi koi8 koi8r cskoi8r cp20866 cp878",
    "koi8_u": "koi8ru koi8u cskoi8u cp21866 cp1168",
    "koi8_t": "koi8t",
    "mac_roman": "mac macintosh csmacintosh xmacroman macroman cp10000",
    "mac_cyrillic": "xmaccyrillic xmacukrainian maccyrillic cp10007 cp10017",
    "mac_greek": "xmacgreek macgreek cp10006",
    "mac_latin2": "xmacce maccentraleurope cp10029",
    "mac_turkish": "xmacturkish macturkish cp10081",
    "mac_iceland": "xmacicelandic maciceland cp10079",
    "cp874": "dos874 iso885911 tis620 tis6200 tis62025330 cstis620 isoir166 cp874 cp28601",
    "cp1250": "cp1250 cscp1250",
    "cp1251": "cp1251 cscp1251 ansi1251",
    "cp1252": "ansix341968 ansix341986 ascii usascii csascii us iso646us iso646irv1991 isoir6 cp367 cp20127 cp1252"
    " cp819"
    " csisolatin1 isoir100 iso88591 iso885911987 l1 latin1 cp28591 ansi1252",
    "cp1253": "cp1253",
    "cp1254": "cp1254 csisolatin5 iso88599 iso885991989 isoir148 l5 latin5 cp28599 cp920",
    "cp1255": "cp1255",
    "cp1256": "cp1256",
    "cp1257": "cp1257",
    "cp1258": "cp1258",
    "gb18030": "gb18030 gb180302000 gb180302005 cp54936 chinese csgb2312 csiso58gb231280 gb2312 gb231280 gbk csgbk"
    " isoir58 xgbk"
    " cngb euccn eucgb2312cn cp936 cp20936 cp51936",
    "hz": "hz hzgb hzgb2312 cp52936",
    "cp950": "big5 big5hkscs cnbig5 csbig5 csbig5hkscs xxbig5 big5eten bigfive cp950 cp951",
    "iso2022_jp": "csiso2022jp iso2022jp iso2022jp1 iso2022jpms csiso2022jp1 iso2022jp2 csiso2022jp2 iso2022jp3"
    " iso2022jpext jis jis7"
    " cp50220 cp50221 cp50222",
    "euc_jp": "cseucpkdfmtjapanese eucjp xeucjp eucjpms eucjpwin ujis extendedunixcodepackedformatforjapanese"
    " cp51932 cp20932",
    "cp932": "csshiftjis ms932 mskanji shiftjis sjis windows31j cswindows31j xsjis xmscp932 sjiswin cp932 cp943 cp943c",
    "cp949": "cseuckr csksc56011987 euckr isoir149 korean ksc56011987 ksc56011989 ksc5601 ksc560187 uhc cp949"
    " cp51949 cp20949",
    "iso2022_kr": "iso2022kr csiso2022kr cp50225",
    "johab": "johab ksc56011992 cp1361",
}  # fmt: skip
_DOS = (437, 720, 737, 775, 850, 852, 855, 856, 857, 858, 860, 861, 862, 863, 864, 865, 866, 869, 1125)
_CODECS: Mapping[str, str] = {
    **{label: codec for codec, labels in _LABELS.items() for label in labels.split()},
    **{f"cp{page}": f"cp{page}" for page in _DOS},
}
_NO_LETTER_OR_DIGIT = re.compile(r"[^a-z0-9]+")
# How else a code page is called: windows-1251, win1251, x-cp1250, ibm850, csIBM866, ms936.
_PAGE = re.compile(r"(?:x?cp|(?:cs|x)?(?:windows|ibm|win|ms)|dos|oem|codepage)?0{0,2}(\d{2,5})")
_LONGEST_LABEL = 60
_UNTOLD = frozenset({"unknown8bit", "xunknown", "unknown", "8bit", "binary", "none", "default", "defaultcharset"})
_ASCII = frozenset({"ansix341968", "ansix341986", "ascii", "usascii", "csascii", "us", "iso646us", "cp367", "cp20127"})
_MARKS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)


def codec_of(label: str) -> str | None:
    """Python's codec for a charset that mail names, whatever its spelling; None where there is none."""
    return _codec(label[:_LONGEST_LABEL])


@functools.lru_cache(maxsize=256)
def _codec(label: str) -> str | None:
    key = _key(label)
    codec = _CODECS.get(key)
    if codec is None and (page := _PAGE.fullmatch(key)) is not None:
        codec = _CODECS.get(f"cp{page[1]}")
    return codec


def is_telling(label: str) -> bool:
    """Whether the label names a charset. US-ASCII tells nothing: mailers write it that do not know."""
    return codec_of(label) is not None and _key(label) not in _ASCII


def decode(octets: bytes, codec: str) -> str:
    """The text, with U+FFFD for what is none; `codec` is one that `codec_of` gave."""
    if codec in _OWN_DECODERS:
        return _OWN_DECODERS[codec](octets)
    try:
        text = octets.decode(codec, "replace")
        # Mending costs a call for each place: what is no text of this charset at all is left as it is.
        if codec in _ERRORS and 0 < text.count("\ufffd") <= _MOST_MENDED:
            text = octets.decode(codec, _ERRORS[codec])
    except UnicodeError:  # a few codecs raise whatever they are told
        return octets.decode("ascii", "replace")
    return text


def decode_labelled(octets: bytes, label: str | None) -> str:
    """The text of a body: by its byte order mark, its label, else as UTF-8 where that fits, else as windows-1252.

    A byte order mark counts more than a label (Encoding Standard section 6, "decode"). US-ASCII is what mailers write
    that do not know: text beyond it is looked at.
    """
    marked = _decode_marked(octets)
    if marked is not None:
        return marked
    codec_told = codec_of(label) if label and is_telling(label) else None
    return decode(octets, codec_told) if codec_told is not None else _decode_likely(octets)


def decode_word(octets: bytes, label: str) -> str | None:
    """The text of an encoded word, or of a parameter that names its charset; None where nobody can tell.

    Under a label that nobody knows, as under `unknown-8bit` (RFC 1428), stands UTF-8 or windows-1252.
    """
    key = _key(label)
    codec = codec_of(label) if key not in _ASCII else None
    if codec is not None:
        marked = _decode_marked(octets) if codec.startswith(("utf_16", "utf_32")) else None
        return decode(octets, codec) if marked is None else marked
    text = decode_unlabelled(octets)
    is_text = key in _ASCII or key in _UNTOLD or _CONTROL.search(text) is None
    return text if is_text else None


def decode_unlabelled(octets: bytes) -> str:
    """The text of a header as it stands: UTF-8 (RFC 6532), and windows-1252 wherever it is none."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:  # no handler of our own, which would be called for each of a million odd octets
        return octets.decode("utf-8", "surrogateescape").translate(_ESCAPED)


def decode_texts(octets: bytes, codec: str) -> str:
    """As `decode`; what claims to be UTF-8 and is not is windows-1252, as programs write that do not convert."""
    return _decode_likely(octets) if codec == "utf_8" else decode(octets, codec)


def incremental_decoder(codec: str) -> codecs.IncrementalDecoder:
    """A decoder for text that comes in pieces."""
    return codecs.getincrementaldecoder(codec)(_ERRORS.get(codec, "replace"))


def _decode_marked(octets: bytes) -> str | None:
    """The text by the byte order mark that it begins with, without that; None where there is none."""
    for mark, codec in _MARKS:
        if octets.startswith(mark):
            return decode(octets[len(mark) :], codec)
    return None


def _key(label: str) -> str:
    return _NO_LETTER_OR_DIGIT.sub("", label[:_LONGEST_LABEL].lower())


def _decode_likely(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        is_cut_off = error.reason == "unexpected end of data"
        return octets.decode("utf-8", "replace") if is_cut_off else decode(octets, DEFAULT_CODEC)


# --- What Python's codecs lack --------------------------------------------------------------------------------------

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_GAPS = "defender_submissions.gaps"
_EURO = "defender_submissions.euro"
_BIG5 = "defender_submissions.big5"
_MOST_MENDED = 10_000


def _gap(error: UnicodeError) -> tuple[str, int]:
    """Where a one-byte table has no character, octets up to 9F are control characters (Encoding Standard 9)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    octet = error.object[error.start]
    return chr(octet) if octet < 0xA0 else "\ufffd", error.start + 1


def _euro(error: UnicodeError) -> tuple[str, int]:
    """In gb18030, 80 alone is the euro sign of Windows' code page 936 (Encoding Standard section 10.2.1)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    is_euro = error.object[error.start] == 0x80
    return ("\u20ac", error.start + 1) if is_euro else codecs.replace_errors(error)  # type: ignore[return-value]


def _hong_kong(error: UnicodeError) -> tuple[str, int]:
    """What code page 950 lacks may be of the Hong Kong Supplementary Character Set (Encoding Standard section 11.1)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    try:
        return error.object[error.start : error.start + 2].decode("big5hkscs"), min(error.start + 2, len(error.object))
    except UnicodeDecodeError:
        return codecs.replace_errors(error)  # type: ignore[return-value]


codecs.register_error(_GAPS, _gap)
codecs.register_error(_EURO, _euro)
codecs.register_error(_BIG5, _hong_kong)

_ERRORS: Mapping[str, str] = {
    **dict.fromkeys((f"cp{page}" for page in (874, *range(1250, 1259))), _GAPS),
    "gb18030": _EURO,
    "cp950": _BIG5,
}
_ESCAPED = dict(zip(range(0xDC80, 0xDD00), bytes(range(0x80, 0x100)).decode(DEFAULT_CODEC, _GAPS), strict=True))
"""What stands for an octet that is no UTF-8, as the codec escapes it, in windows-1252."""

# Two octets of JIS X 0208, seven bits each, as the two of Shift_JIS (JIS X 0208:1997, annex 1): by row, then by cell.
_LEADS = bytes(((row + 1) >> 1) + (0x70 if row < 0x5F else 0xB0) if 0x21 <= row <= 0x7E else 0xFF for row in range(256))
_TRAILS = tuple(
    bytes(cell + (0x7E if not row % 2 else 0x1F if cell < 0x60 else 0x20) if 0x21 <= cell <= 0x7E else 0xFF
          for cell in range(256))
    for row in range(2)
)  # fmt: skip
_JIS_PIECE = re.compile(rb"\x1b(?:\$\(?[@BD]|\([BJIH])|[^\x1b]+|\x1b")
_EUC_PIECE = re.compile(rb"(?:[\xa1-\xfe]{2})+|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\x00-\x8d]+|.", re.DOTALL)
_SEVEN_BITS = bytes(octet & 0x7F for octet in range(256))
_JIS_RUN = re.compile(r"[\x21-\x7e]+")
_MOST_PIECES = 30_000
_HALF_WIDTH = bytes(octet | 0x80 if 0x21 <= octet < 0x60 else octet for octet in range(256))
# Six characters of JIS X 0208 that Microsoft maps to full-width forms.
_AS_MICROSOFT = {0x301C: 0xFF5E, 0x2016: 0x2225, 0x2212: 0xFF0D, 0xA2: 0xFFE0, 0xA3: 0xFFE1, 0xAC: 0xFFE2}


def _jis_text(jis: bytes) -> str:
    """JIS X 0208 as Windows has it, with NEC's row 13 and IBM's 89 to 92 (Encoding Standard, index jis0208)."""
    shift_jis = bytearray(len(jis) // 2 * 2)
    leads, trails = jis[: len(shift_jis) : 2], jis[1::2]
    shift_jis[0::2] = leads.translate(_LEADS)
    shift_jis[1::2] = bytes([_TRAILS[lead & 1][trail] for lead, trail in zip(leads, trails, strict=True)])
    return shift_jis.decode("cp932", "replace")


def _decode_iso_2022_jp(octets: bytes) -> str:
    """ISO-2022-JP (RFC 1468) with Microsoft's characters; half-width katakana by escape, SO or the eighth bit.

    JIS X 0212 is of ISO-2022-JP-1 (RFC 2237). A line break ends no mode here: mail folds within one. Text that changes
    its mode too often is left to Python's codec, which has none of Microsoft's characters.
    """
    if octets.count(b"\x1b") > _MOST_PIECES:
        return octets.decode("iso2022_jp_ext", "replace").translate(_AS_MICROSOFT)
    written: list[str] = []
    decoder: Callable[[bytes], str] = _one_octet
    for found in _JIS_PIECE.finditer(octets):
        piece = found[0]
        if piece[:1] == b"\x1b":
            decoder = _JIS_MODES.get(piece, _one_octet)
        else:
            written.append(decoder(piece))
    return "".join(written)


def _two_octets(piece: bytes) -> str:
    """What stands in a mode of two octets, where line breaks and blanks are themselves."""
    if len(piece) > _MOST_PIECES and len(piece.split(maxsplit=_MOST_PIECES)) > _MOST_PIECES:
        return (b"\x1b$B" + piece).decode("iso2022_jp", "replace").translate(_AS_MICROSOFT)
    return _JIS_RUN.sub(_jis_run, piece.decode("latin-1"))


def _jis_run(run: re.Match[str]) -> str:
    return _jis_text(run[0].encode("latin-1")) + ("\ufffd" if len(run[0]) % 2 else "")


def _supplementary(piece: bytes) -> str:
    return (b"\x1b$(D" + piece).decode("iso2022_jp_ext", "replace")


def _half_width(piece: bytes) -> str:
    return piece.translate(_HALF_WIDTH).decode("cp932", "replace")


def _one_octet(piece: bytes) -> str:
    if not 0 < piece.count(b"\x0e") <= _MOST_PIECES:
        return piece.decode("cp932", "replace")
    shifted = re.sub(rb"\x0e([^\x0f]*)\x0f?", lambda run: run[1].translate(_HALF_WIDTH), piece)
    return shifted.decode("cp932", "replace")


_JIS_MODES: Mapping[bytes, Callable[[bytes], str]] = {
    **dict.fromkeys((b"\x1b$@", b"\x1b$B", b"\x1b$(B", b"\x1b$(@"), _two_octets),
    **dict.fromkeys((b"\x1b$(D", b"\x1b$D"), _supplementary),
    b"\x1b(I": _half_width,
}


def _decode_euc_jp(octets: bytes) -> str:
    """EUC-JP with Microsoft's characters (code page 51932; Encoding Standard section 12.1), where there are any.

    Of text that is cut into very many pieces, the rest is left to Python's codec, which has none of these.
    """
    try:
        return octets.decode("euc_jp").translate(_AS_MICROSOFT)
    except UnicodeDecodeError:
        written: list[str] = []
        for number, found in enumerate(_EUC_PIECE.finditer(octets)):
            if number == _MOST_PIECES:
                written.append(octets[found.start() :].decode("euc_jp", "replace"))
                break
            written.append(_euc_text(found[0]))
        return "".join(written)


def _euc_text(piece: bytes) -> str:
    if piece[0] < 0x8E:
        return piece.decode("ascii", "replace")
    if piece[0] > 0xA0 and len(piece) > 1:
        return _jis_text(piece.translate(_SEVEN_BITS))
    return piece.decode("euc_jp", "replace")


_OWN_DECODERS: Mapping[str, Callable[[bytes], str]] = {"iso2022_jp": _decode_iso_2022_jp, "euc_jp": _decode_euc_jp}
