"""The host that a link leads to, behind the services that rewrite links on their way into a mailbox.

A rewritten link holds its target in itself; no link is ever opened. Any text has an answer, in time proportional to
its length. Formats: Microsoft Learn, "Safe Links"; Proofpoint's "URL Defense decoder" for its three versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

MAX_LINK = 8_192
"""Characters of a link that are looked at; browsers and rewriters keep to less."""

_MOST_REWRITES = 5
_LINK = re.compile(r"\s*+https?:[/\\]*([^/\\?#]*)([^#]*)", re.IGNORECASE)
_LINK_IN_TEXT = re.compile(r"https?://[^\s<>\"'`|{}^]+", re.IGNORECASE)
_IGNORED = re.compile(r"[\t\r\n]")  # browsers leave these out of a link before they read it
_HOST = re.compile(r"[^\s\x00-\x20<>\"'`|{}^%/\\?#@]{1,253}")
_TARGET = re.compile(r"[?&](?:url|u)=([^&]*)", re.IGNORECASE)
_PROOFPOINT_3 = re.compile(r"/v3/__(.*?)(?:__;|\Z)", re.IGNORECASE | re.DOTALL)
_PROOFPOINT = frozenset({"urldefense.com", "urldefense.us", "urldefense.proofpoint.com"})
_SAFE_LINKS = (".safelinks.protection.outlook.com", ".safelinks.protection.office365.us")
_ENDS_OF_SENTENCE = ".,;:!?)]"


def hosts(links: Iterable[str], most: int) -> tuple[str, ...]:
    """The distinct hosts of those links that are http or https, in order, in lower case."""
    found: dict[str, None] = {}
    for link in links:
        host = host_of(link)
        if host:
            found.setdefault(host)
        if len(found) >= most:
            break
    return tuple(found)


def links_in(text: str) -> Iterable[str]:
    """The links that stand in a text as text."""
    return (found[0].rstrip(_ENDS_OF_SENTENCE) for found in _LINK_IN_TEXT.finditer(text))


def host_of(link: str) -> str | None:
    """The host in lower case; None where the text is no link to one over http or https."""
    for _ in range(_MOST_REWRITES):
        found = _LINK.match(_IGNORED.sub("", link[:MAX_LINK]))
        if found is None:
            return None
        host = _host(found[1])
        target = _target(host, found[2])
        if target is None:
            return host or None
        link = target
    return host or None


def _host(authority: str) -> str:
    """The host of what stands between the slashes: without credentials, port and a final dot."""
    text = authority.rpartition("@")[2]
    text = unquote(text) if "%" in text else text
    name = text.partition("]")[0].lstrip("[") if text.startswith("[") else text.partition(":")[0]
    name = name.rstrip(".").lower()
    return name if _HOST.fullmatch(name) else ""


def _target(host: str, rest: str) -> str | None:
    """The link that a rewriter replaced by its own; None where this is no rewritten one."""
    if host.endswith(_SAFE_LINKS):
        encoded = _TARGET.search(rest)
        return unquote(encoded[1]) if encoded else None
    return _proofpoint_target(rest) if host in _PROOFPOINT else None


def _proofpoint_target(rest: str) -> str | None:
    version = rest[:4].lower()
    if version == "/v3/":
        found = _PROOFPOINT_3.match(rest)
        return found[1] if found else None
    encoded = _TARGET.search(rest)
    if encoded is None:
        return None
    if version == "/v2/":
        return unquote(encoded[1].replace("-", "%").replace("_", "/"))
    return unquote(encoded[1])
