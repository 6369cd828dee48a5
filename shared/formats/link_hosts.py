"""Where a link leads: to a host, to a target that only the whole link names, or to a mail address.

A link that a service rewrote on its way into a mailbox holds its target in itself, and that counts; no link is ever
opened. Where the target stands nowhere in the link, as behind shorteners, click trackers and rewriters that look it up,
the whole link stands for it: such links have a host in common and nothing else. Any text has an answer, in time
proportional to its length.

Formats: Microsoft Learn, "Safe Links"; Proofpoint's "URL Defense decoder" for its three versions; for the others what
their links show. Links are read as browsers do (URL standard, 4.4), hosts of numbers too (3.5).
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from .link_services import (
    LOOKED_UP,
    NAMED_BY_PATH,
    REDIRECT_HOST,
    REDIRECT_PARAMETER,
    REDIRECT_PATH,
    SHORTENERS,
    TARGET_PARAMETERS,
)

MAX_LINK = 8_192
"""Characters of a link that are looked at; browsers and rewriters keep to less. A longer one stands for itself."""

_MOST_REWRITES = 5
_WEB = re.compile(r"https?:[/\\]*([^/\\?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*+):", re.IGNORECASE)
_WITH_HOST = re.compile(r"(?:ftps?|sftp|file):[/\\]*([^/\\?#]*)|[/\\]{2,}([^/\\?#]*)", re.IGNORECASE)
_BARE_HOST = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?=[/?#:]|\Z)")
_TOLD_BY_SCHEME = re.compile(r"://|\\\\(?=\w)")
_WITHOUT_SCHEME = re.compile(r"www\.")
_SCHEME_BEFORE = re.compile(r"[a-z][a-z0-9+.-]*+\Z", re.IGNORECASE)
_LONGEST_SCHEME = 31
_END_OF_RUN = re.compile(r"[\s<>\"`|{}^]")
_LINK_IN_RUN = re.compile(
    r"(?:https?|ftp|file)://|(?<![\w.-])www\.|\\\\(?=\w)|(?<=[),;\]])(?=(?:[\w-]+\.)+[a-z]{2,}(?:[/?#),;\]]|\Z))",
    re.IGNORECASE,
)
_BEFORE_EMBEDDED = "=/_"
_IGNORED = re.compile(r"[\t\r\n]")  # browsers leave these out of a link before they read it
_SURROUNDING = "".join(map(chr, range(0x21)))  # and these at its ends
_HOST = re.compile(r"[\w.:-]{1,253}")  # with any other sign in it, programs differ in where a link ends
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))  # what browsers take for a dot (UTS 46)
_PARAMETER = re.compile(r"[?&]([^=&#]*)=([^&#]*)")
_PROOFPOINT_3 = re.compile(r"/v3/__(.*?)(?:__;|\Z)", re.IGNORECASE | re.DOTALL)
_TARGET_IN_PATH = re.compile(r"/[^/?#]+/(https?%3a.*)", re.IGNORECASE | re.DOTALL)
_BETWEEN_UNDERSCORES = re.compile(r"/v2/___(https?:.+?)___(?:\.|\Z)", re.IGNORECASE | re.DOTALL)
_PROOFPOINT = frozenset({"urldefense.com", "urldefense.us", "urldefense.proofpoint.com"})
_CISCO = "secure-web.cisco.com"
_CHECK_POINT = frozenset({"protect.checkpoint.com", "url.avanan.click"})
_ID = re.compile(r"/(?=[^/?#]*\d)[\w-]{8,}")
_OPAQUE = re.compile(r"[\w~%+-]{40,}")  # long enough to hold a link
_PATH_END = re.compile(r"[?#]")
_READABLE = re.compile(r"/[^/]*?(?<![^/._-])[^\W\d_]{3,}(?![^/.?_-])")  # a word that a page may be called by
_PICTURE_FILE = re.compile(r"\.(?:avif|bmp|gif|jpe?g|png|svg|webp)\Z", re.IGNORECASE)
_SIGNS_OF_A_LINK = ("http:", "https:", "http%3a", "https%3a", "ahr0c")  # the last one is how base64 of one begins
_NOWHERE = frozenset({"cid", "mid", "about", "blob"})  # within the mail
_CALLED = frozenset({"tel", "sms", "smsto", "callto", "facetime", "facetime-audio", "fax", "mms"})
_ENDS_OF_SENTENCE = ".,;:!?)]"
_END_OF_HOST_IN_TEXT = re.compile(
    r"(\w[\w+.-]*:[/\\]*)([\w.:@%~\x80-\U0010ffff-]*)[^\w.:@%~/\\?#\x80-\U0010ffff-].*", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Lead:
    """Where a link leads; what does not apply is empty.

    `host` is in lower case. `exactly` is what has to be the same, to the letter, for two links to lead to one place:
    the host alone does not say. `addresses` is text with the mail addresses of a `mailto:`.
    """

    host: str = ""
    exactly: str = ""
    addresses: str = ""


def read_link(link: str, *, is_picture: bool = False) -> Lead:
    """Where this link leads. What it cannot tell is in `exactly`, so that no other link is taken for the same.

    Nobody is led on by a picture: of one that is shown the whole link counts only where strangers' files share a host.
    """
    text = link if link.isprintable() and not link.startswith(" ") and not link.endswith(" ") else _trimmed(link)
    if len(text) > MAX_LINK:
        return Lead(exactly=text)
    web = _WEB.match(text)
    if web is not None:
        return _read_web(text, web, is_picture)
    other = _WITH_HOST.match(text)
    if other is not None:
        host = _host(other[1] or other[2] or "")
        return Lead(host, "" if host else text)
    if not text or text.startswith("#"):
        return Lead()
    scheme = _SCHEME.match(text)
    if _BARE_HOST.match(text.translate(_DOTS)) or text[:4].lower() == "www.":
        return read_link(f"http://{text}", is_picture=is_picture)
    return Lead(exactly=text) if scheme is None else _read_scheme(scheme[1].lower(), text[scheme.end() :], text)


def host_of(link: str) -> str | None:
    """The host in lower case; None where the text is no link to one over http or https."""
    text = _trimmed(link[:MAX_LINK])
    return (read_link(text).host or None) if _WEB.match(text) else None


def _trimmed(link: str) -> str:
    """The link without what browsers leave out of it before they read it."""
    return _IGNORED.sub("", link).strip(_SURROUNDING)


def links_in(text: str) -> Iterator[str]:
    """The links that stand in a text as text; one right behind another is one more."""
    end = 0
    for mark in _marks(text):
        if mark < end:
            continue
        start = mark
        if text.startswith("://", mark):
            before = _SCHEME_BEFORE.search(text, max(end, mark - _LONGEST_SCHEME), mark)
            start = before.start() if before else mark
        stop = _END_OF_RUN.search(text, mark)
        end = stop.start() if stop else len(text)
        yield from _links_in_run(text[start:end])


def _marks(text: str) -> list[int]:
    """Where something like a link may be told by a mark, in order."""
    marks = [found.start() for found in _TOLD_BY_SCHEME.finditer(text)] if "://" in text or "\\\\" in text else []
    lowered = text.lower()
    if "www." in lowered and len(lowered) == len(text):  # a few letters are longer in lower case
        marks += [found.start() for found in _WITHOUT_SCHEME.finditer(lowered)]
    elif "www." in lowered:
        marks += [found.start() for found in re.finditer(r"www\.", text, re.IGNORECASE)]
    return sorted(marks)


def _links_in_run(run: str) -> Iterator[str]:
    if len(run) > MAX_LINK:
        yield run
        return
    starts = [0, *(found.start() for found in _LINK_IN_RUN.finditer(run) if found.start()), len(run)]
    place = 0
    while place < len(starts) - 1:
        last = place + 1
        while last < len(starts) - 1 and run[starts[last] - 1] in _BEFORE_EMBEDDED:
            last += 1
        link = _of_text(run[starts[place] : starts[last]])
        yield link
        if not _is_rewritten(link):
            yield from (_of_text(run[one:end]) for one, end in itertools.pairwise(starts[place + 1 : last + 1]))
        place = last


def _is_rewritten(link: str) -> bool:
    """Whether what stands embedded in the link is its target."""
    web = _WEB.match(link[:MAX_LINK])
    return web is not None and _target(_host(web[1]), web[2]) is not None


def _of_text(link: str) -> str:
    """The link without what belongs to the sentence around it."""
    return _END_OF_HOST_IN_TEXT.sub(r"\1\2", link.rstrip(_ENDS_OF_SENTENCE + "'"), 1)


def _read_scheme(scheme: str, rest: str, text: str) -> Lead:
    if scheme in _NOWHERE:
        return Lead()
    if scheme == "mailto":
        return Lead(addresses=re.sub(r"[?&=,;<>\s]+", " ", unquote(rest)))
    digits = "".join(char for char in unquote(rest) if char.isdecimal())
    return Lead(exactly=f"tel:{digits}" if scheme in _CALLED and digits else text)


# --- Links over http ------------------------------------------------------------------------------------------------


def _read_web(text: str, web: re.Match[str], is_picture: bool) -> Lead:
    for _ in range(_MOST_REWRITES):
        host, rest = _host(web[1]), web[2]
        target = _target(host, rest)
        if target is None:
            return Lead(host, _exactly(host, rest, is_picture) if host else text)
        inner = _WEB.match(_trimmed(target))
        if inner is None or "*" in inner[1]:  # Proofpoint's sign for a character that stands elsewhere
            return Lead(host, f"{host}{rest}")
        web = inner
    return Lead(_host(web[1]), text)


def _host(authority: str) -> str:
    """The host of what stands between the slashes: without credentials, port and a final dot."""
    text = authority.rpartition("@")[2]
    text = unquote(text) if "%" in text else text
    name = text.partition("]")[0].lstrip("[") if text.startswith("[") else text.partition(":")[0]
    name = (name if name.isascii() else name.translate(_DOTS)).rstrip(".").lower()
    if not _HOST.fullmatch(name):
        return ""
    return _address_of_numbers(name) if name.rpartition(".")[2][:1].isdecimal() else name


def _address_of_numbers(name: str) -> str:
    """A host that ends in a number, as the IPv4 address that it is (URL standard, 3.5); unchanged if it is none."""
    labels = name.split(".")
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) and len(label) <= 40 for label in labels):
        return name
    try:
        *first, last = [_number(label) for label in labels]
        whole = sum(number << 8 * (3 - place) for place, number in enumerate(first)) + last
        return str(ipaddress.IPv4Address(whole)) if all(number < 256 for number in first) else name
    except ValueError:
        return name


def _number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if len(label) > 1 and label.startswith("0") else 10)


def _target(host: str, rest: str) -> str | None:
    """The link that a rewriter replaced by its own; None where this is no rewritten one, or does not hold it."""
    if host in _PROOFPOINT:
        return _proofpoint_target(rest)
    found = None
    if host == _CISCO:
        found = _TARGET_IN_PATH.match(rest)
    elif host in _CHECK_POINT:
        found = _BETWEEN_UNDERSCORES.match(rest)
    if found is not None:
        return unquote(found[1])
    return _parameter(rest, _target_parameters(host, rest))


def _target_parameters(host: str, rest: str) -> tuple[str, ...]:
    path, parameters = _service(host).target
    if parameters:
        return parameters if rest.startswith(path) else ()
    return ("q", "url") if _is_google(host) and rest.startswith("/url?") else ()


@dataclass(frozen=True, slots=True)
class _Service:
    """What is known of whose links these are."""

    target: tuple[str, tuple[str, ...]] = ("", ())
    is_shortener: bool = False
    is_named_by_path: bool = False
    is_looked_up: bool = False


@functools.lru_cache(maxsize=1_024)
def _service(host: str) -> _Service:
    parents = tuple(_with_parents(host))
    return _Service(
        next((TARGET_PARAMETERS[name] for name in parents if name in TARGET_PARAMETERS), ("", ())),
        not SHORTENERS.isdisjoint(parents),
        not NAMED_BY_PATH.isdisjoint(parents),
        not LOOKED_UP.isdisjoint(parents),
    )


def _is_google(host: str) -> bool:
    return host.startswith(("www.google.", "google.")) and len(host) <= len("www.google.com.xx")


def _parameter(rest: str, names: tuple[str, ...]) -> str | None:
    """The parameter of one of these names, decoded; None where there is none, or it is not clear which one counts."""
    found = [value for name, value in _PARAMETER.findall(rest) if name.lower() in names] if names else []
    return unquote(found[0]) if len(found) == 1 else None


def _proofpoint_target(rest: str) -> str | None:
    version = rest[:4].lower()
    if version == "/v3/":
        found = _PROOFPOINT_3.match(rest)
        return found[1] if found else None
    encoded = re.search(r"[?&]u=([^&#]*)", rest, re.IGNORECASE)
    if encoded is None:
        return None
    return unquote(encoded[1].replace("-", "%").replace("_", "/") if version == "/v2/" else encoded[1])


def _exactly(host: str, rest: str, is_picture: bool) -> str:
    """The whole link where its host does not say where it leads; else nothing."""
    if len(rest) <= 1:
        return ""
    service = _service(host)
    path = _PATH_END.split(rest, maxsplit=1)[0]
    if service.is_shortener:
        return f"{host}{path.rstrip('/')}"
    if service.is_named_by_path:
        return f"{host}{path.rstrip('/') if _ID.search(path) else rest}"
    if is_picture:
        return f"{host}{path}" if service.is_looked_up and _PICTURE_FILE.search(path) else ""
    return f"{host}{rest}" if service.is_looked_up or _looks_like_redirect(host, path, rest) else ""


def _looks_like_redirect(host: str, path: str, rest: str) -> bool:
    """Whether a service that nobody told us of may lead on from here, as nothing in the link tells where it leads."""
    lowered = rest.lower()
    return bool(
        (rest[1:2] != "#" and not _READABLE.search(path))
        or REDIRECT_HOST.search(host)
        or REDIRECT_PATH.search(lowered)
        or REDIRECT_PARAMETER.search(lowered)
        or any(sign in lowered for sign in _SIGNS_OF_A_LINK)
        or _OPAQUE.search(rest)
    )


def _with_parents(host: str) -> Iterable[str]:
    """The host and the domains that it is below, the longest first."""
    labels = host.split(".")
    return (".".join(labels[start:]) for start in range(max(len(labels) - 6, 0), len(labels) - 1))
