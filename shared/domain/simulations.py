"""Phishing simulations: which original is one of the tenant's own exercises, so that Microsoft need not look at it.

To call a mail a simulation suppresses its report, so that is what an attacker would want, and a vendor's header is in
every public list. The one invariant: a mark counts only together with something that a stranger cannot have, an origin
that Exchange vouches for (`exchange.py`) or a secret that the tenant chose. What is not recognised here is submitted,
and Microsoft's verdict then says `simulation`.

Microsoft's own Attack simulation training is left to that verdict on purpose. Its mails do not go through transport,
have about four headers and none that names it (issue 10497 of MicrosoftDocs/microsoft-365-docs, December 2022):
whatever a rule here believed, anybody could write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from .exchange import ExchangeFacts
from .headers import Headers
from .text import is_domain

Network = IPv4Network | IPv6Network

OWN_MARK = "SIMULATION_MARKS"
"""What `simulation_of` names where the tenant's own mark was found."""
SHORTEST_SECRET = 16
"""Characters of a secret. White space is not allowed in it, because the texts that vendors publish have some."""

_WIDEST = {4: 16, 6: 32}
"""The shortest prefix of an own network, by IP version: a slip of the pen must not suppress every report."""
_ENTRY_RULE = "must be entries separated by commas: `Header-Name=secret`, `@domain`, an IP address or a network"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,75}")
_SECRET = re.compile(rf"[!-+\--~]{{{SHORTEST_SECRET},200}}")


@dataclass(frozen=True, slots=True)
class SimulationMark:
    """A vendor's mails: one of these headers, if it has fixed ones, and one of these origins.

    Header names and domains are in lower case. A vendor without fixed headers publishes addresses from which nothing
    but its exercises and their notices come.
    """

    vendor: str
    headers: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnMarks:
    """The tenant's own marks: header names in lower case with the secret each has to hold, domains and networks."""

    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    domains: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()


def _mark(vendor: str, headers: str = "", domains: str = "", networks: str = "") -> SimulationMark:
    return SimulationMark(
        vendor, frozenset(headers.split()), frozenset(domains.split()), tuple(map(ip_network, networks.split()))
    )


# Each row's source; "undated" where the copy that was read shows no date. Not here, because no origin of theirs could
# be confirmed or it belongs to whoever rents it: GoPhish (anybody runs it), Infosec IQ, Mimecast, Sophos, usecure.
# Their customers name the origin in SIMULATION_MARKS.
MARKS: tuple[SimulationMark, ...] = (
    # "Whitelisting Guide", support.knowbe4.com 203645138 (undated), for header and domain; the addresses are those of
    # the SPF record of psm.knowbe4.com as several public copies show it. The header's name can be changed there.
    _mark(
        "KnowBe4",
        headers="x-phishtest",
        domains="knowbe4.com",
        networks="23.21.109.197 23.21.109.212 147.160.167.0/26 52.49.201.246 52.49.235.189",
    ),
    # "Safelisting/Whitelisting Basics", support.phishingbox.com 360024055754 (undated).
    _mark("PhishingBox", headers="x-phishtest", networks="64.191.166.196"),
    # "Allowlisting Darktrace solutions", support.hoxhunt.com 20902982505884 (undated). Headers are each customer's.
    _mark("Hoxhunt", networks="35.156.0.138 37.139.12.94 193.3.183.0/25"),
    # Headers: "Acing Org Phishing Training", wesl.ee (undated), and others that cite a reseller's FAQ. Addresses: US
    # from Cloudflare One, "Allow policies" (September 2026, "Wombat"), EU and AP from one public runbook: unconfirmed.
    _mark(
        "Proofpoint",
        headers="x-threatsim-header x-threatsim-id",
        networks="107.23.16.222 54.173.83.138 52.17.45.98 52.16.190.81 13.55.65.8 13.55.54.143",
    ),
    # Headers: as Proofpoint's. The domains are the company's own; that exercises are sent from them is unconfirmed.
    _mark("Cofense", headers="x-phishme x-phishmetracking", domains="cofense.com phishme.com"),
    # "Email Allow List and Best Practices", campus.barracuda.com 78153005 (undated, its example is of 2022).
    _mark("Barracuda", domains="spearphish.com", networks="3.145.232.16/28"),
)


def simulation_of(headers: Headers, facts: ExchangeFacts, own_marks: OwnMarks) -> str | None:
    """The vendor whose exercise this original is, `OWN_MARK` for the tenant's own marks, or None.

    `headers` have to be those of the mail that was delivered, read with `mark_headers`, and `facts` what
    `exchange_facts` says of the same headers; never those of a mail found inside it, which its sender wrote.
    """
    if _is_own(headers, facts, own_marks):
        return OWN_MARK
    return next((mark.vendor for mark in MARKS if _bears(headers, mark) and _comes_from(facts, mark)), None)


def mark_headers(own_marks: OwnMarks) -> frozenset[str]:
    """All header names that `simulation_of` looks at, to be kept by `read_headers`; in lower case."""
    return frozenset(name for mark in MARKS for name in mark.headers) | {name for name, _ in own_marks.secrets}


def read_own_marks(text: str) -> OwnMarks:
    """The tenant's marks as the setting SIMULATION_MARKS has them; the empty text has none.

    Raises ValueError with the rule and the number of the entry that breaks it, never with what it holds.
    """
    secrets: list[tuple[str, str]] = []
    domains: list[str] = []
    networks: list[Network] = []
    for number, entry in enumerate(map(str.strip, text.split(",") if text.strip() else ()), start=1):
        try:
            if entry.startswith("@"):
                domains.append(_domain(entry.removeprefix("@").lower()))
            elif "=" in entry:
                secrets.append(_secret(entry))
            else:
                networks.append(_network(entry))
        except ValueError as error:
            raise ValueError(f"{_ENTRY_RULE}; entry {number} {error}") from None
    return OwnMarks(tuple(secrets), frozenset(domains), tuple(networks))


def _is_own(headers: Headers, facts: ExchangeFacts, own_marks: OwnMarks) -> bool:
    return (
        any(secret in headers.values(name) for name, secret in own_marks.secrets)
        or any(map(facts.vouches_for, own_marks.domains))
        or _is_within(facts.connecting_ip, own_marks.networks)
    )


def _bears(headers: Headers, mark: SimulationMark) -> bool:
    return not mark.headers or any(True for _ in headers.values(*mark.headers))


def _comes_from(facts: ExchangeFacts, mark: SimulationMark) -> bool:
    return any(map(facts.vouches_for, mark.domains)) or _is_within(facts.connecting_ip, mark.networks)


def _is_within(ip: str | None, networks: Iterable[Network]) -> bool:
    return ip is not None and any(ip_address(ip) in network for network in networks)


def _domain(text: str) -> str:
    if not is_domain(text) or "." not in text:
        raise ValueError("is no domain behind its @")
    return text


def _secret(entry: str) -> tuple[str, str]:
    name, _, secret = (part.strip() for part in entry.partition("="))
    if not _NAME.fullmatch(name):
        raise ValueError("has no header name before its =")
    if not _SECRET.fullmatch(secret):
        raise ValueError(f"needs a secret of {SHORTEST_SECRET} to 200 ASCII characters without white space")
    return name.lower(), secret


def _network(text: str) -> Network:
    if _NAME.fullmatch(text):
        raise ValueError("is a header without a secret, and anybody can write a header")
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError("is none of these") from None
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError(f"is wider than /{_WIDEST[network.version]}")
    return network
