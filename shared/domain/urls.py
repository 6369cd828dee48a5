"""URLs of operators: what is one, how a defanged one was written, which spellings lead to one request.

Pure and total. A host is what browsers take for one (WHATWG URL Standard, "host parsing", as of 2026): names of any
script, numbers that are an address of version 4, an address of version 6 in brackets. Nothing is ever looked up.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote

from .text import clean

MOST_PORT = 65_535
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_LABEL = re.compile(r"[\w-]{1,63}")
_DOTS = re.compile("[\u3002\uff0e\uff61]")  # those that IDNA takes for a dot (UTS 46, section 2.3)
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{0,8}|[0-9]{1,11}")
_SAFE = "%/?#[]@!$&'()*+,;=:~"
_DEFANGED_SCHEME = re.compile(
    r"\s*h(?:xx|tx|xt|\*\*|__|tt)p(s?)\s*(?:\[:\]//|\[://\]|\(:\)//|:\[//\]|:[/\\]{2})", re.IGNORECASE
)
_DEFANGED_DOT = re.compile(r"\s*(?:[\[({]\s*(?:\.|dot)\s*[\])}]|\\\.|\[\.|\.\])\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Url:
    """The parts of a URL, as they stand; `host` is in the form in which it is asked for, without a dot at its end."""

    scheme: str
    credentials: str
    host: str
    port: str
    path: str
    query: str
    fragment: str


def url_problem(text: str) -> str | None:
    """What keeps the text from being an absolute http or https URL, in words for whoever wrote it; None where it is."""
    found = _URL.fullmatch(text)
    problem = None
    if found is None or clean(text, len(text)) != text or re.search(r"\s", text):
        problem = "must be an absolute http or https URL without white space or control characters"
    elif _host(_split(found[2])[1]) is None:
        problem = "must have a host: a name such as lure.example, or an address (version 6 in brackets)"
    elif _read(text) is None:
        problem = f"must have a port from 1 to {MOST_PORT}, or none"
    if problem and refanged(text) != text:
        return "is defanged: write it plainly, or have `submissions submit url --refang` do it"
    return problem


def refanged(text: str) -> str:
    """The URL that was defanged (`hxxps://lure[.]example`), as it was; the text itself where that gives no URL."""
    plain = _DEFANGED_DOT.sub(".", _DEFANGED_SCHEME.sub(r"http\1://", text, count=1)).strip()
    return plain if _read(text) is None and _read(plain) is not None else text


def one_spelling(text: str) -> str:
    """What all spellings of one request have in common: it itself, without what a browser adds or leaves out.

    These are case of scheme and host, a dot at the host's end, the port that goes without saying, the path of nothing,
    the fragment, and what is percent-encoded on the way. What is no URL stands as it is.
    """
    url = _read(text)
    if url is None:
        return text
    port = "" if url.port in ("", _DEFAULT_PORTS[url.scheme]) else f":{url.port}"
    return f"{url.scheme}://{url.credentials}{url.host}{port}{url.path or '/'}{url.query}"


def encoded(text: str) -> str:
    """The URL in ASCII (RFC 3986): names in IDNA's form, everything else percent-encoded."""
    url = _read(text)
    if url is None or (text.isascii() and "\\" not in text):  # a browser takes a backslash of the path for a slash
        return _quoted(text)
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.credentials}{url.host}{port}{url.path}{url.query}{url.fragment}"


def _read(text: str) -> _Url | None:
    found = _URL.fullmatch(text)
    if found is None:
        return None
    credentials, name, port = _split(found[2])
    host = _host(name)
    if host is None or not re.fullmatch(r"[0-9]{0,9}", port) or (port and not 0 < int(port) <= MOST_PORT):
        return None
    rest = [_quoted(part or "") for part in (found[3].replace("\\", "/"), found[4], found[5])]
    return _Url(found[1].lower(), _quoted(credentials), host, str(int(port)) if port else "", *rest)


def _split(authority: str) -> tuple[str, str, str]:
    """Credentials with their @, host and port, as they stand."""
    credentials, at, place = authority.rpartition("@")
    end = place.find("]") + 1 if place.startswith("[") else 0
    name, colon, port = place[end:].partition(":")
    return credentials + at, place[:end] + name, port if colon else ""


def _host(name: str) -> str | None:
    """The host in the form in which it is asked for; None where it is none."""
    if name.startswith("["):
        return _version_6(name)
    plain = unicodedata.normalize("NFKC", _DOTS.sub(".", unquote(name))).lower().removesuffix(".")
    labels = plain.split(".")
    if len(plain) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return None
    if _NUMBER.fullmatch(labels[-1]) or labels[-1].isdigit():
        return _version_4(labels)
    return ".".join(one if one.isascii() else f"xn--{one.encode('punycode').decode('ascii')}" for one in labels)


def _version_6(name: str) -> str | None:
    try:
        return f"[{ipaddress.IPv6Address(name[1:-1])}]" if name.endswith("]") and "%" not in name else None
    except ValueError:
        return None


def _version_4(labels: list[str]) -> str | None:
    """The address that up to four numbers are, the last of which fills what is left; decimal, octal or hexadecimal."""
    if len(labels) > 4 or not all(map(_NUMBER.fullmatch, labels)):
        return None
    try:
        *first, last = [_number(one) for one in labels]
    except ValueError:
        return None
    if any(one > 255 for one in first) or last >= 256 ** (5 - len(labels)):
        return None
    address = last + sum(one << (24 - 8 * place) for place, one in enumerate(first))
    return str(ipaddress.IPv4Address(address))


def _number(label: str) -> int:
    if label[:2] in ("0x", "0X"):
        return int(label[2:] or "0", 16)
    return int(label, 8) if len(label) > 1 and label.startswith("0") else int(label)


def _quoted(text: str) -> str:
    return quote(text, safe=_SAFE, errors="surrogatepass")
