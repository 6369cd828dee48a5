"""What Exchange Online itself wrote into a mail on its way into a mailbox, and nothing a stranger can write.

A stranger may put any header into his mail. Exchange removes `X-MS-Exchange-Organization-*` from what comes from
outside and renames foreign copies of the headers it is about to write (`Authentication-Results-Original`,
`X-Forefront-Antispam-Report-Untrusted`), so of these a delivered mail shows Exchange's own, once. The one invariant:
a header that stands twice, has another form than Exchange's, or contradicts its neighbour gives no fact at all.

Sources: "Header firewall" (Exchange Server 2013 documentation, January 2013, and later editions) for what is removed;
"Anti-spam message headers in cloud organizations" (Defender for Office 365 documentation, undated copy) for what the
fields mean. Nothing official describes the renaming and the exact form; they are from 157 mails that Exchange Online
delivered from 2023 to 2026: each has one `Authentication-Results`, and foreign ones, in 17, are renamed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .headers import Headers
from .text import ip_address

AUTH_AS = "x-ms-exchange-organization-authas"
_RESULTS = "authentication-results"
_REPORT = "x-forefront-antispam-report"
_LONGEST = 8_192
"""Characters of a header that are read. Exchange's own are a tenth of that; a longer one is not Exchange's."""

# The whole value has to match. Strangers choose the domains in it: those of the envelope and of signatures hold no `;`,
# and From's, which may hold anything, comes behind all that is believed but compauth, which must not stand twice. With
# `smtp.helo` a stranger chose any word he liked: that gives nothing, like another provider's form (its own name and a
# `;` come first) and the encoded words that Exchange writes for a domain that is not ASCII. The part about SPF is
# missing where a mail was sent from inside.
_DOMAIN = r"[A-Za-z0-9._-]{1,255}"
_REMARK = r"(?:\s*\([^()=;]{0,200}\))?"
_EXCHANGES_RESULTS = re.compile(
    rf"(?:spf=(?P<spf>[a-z]+)\s+\(sender IP is (?P<ip>[0-9A-Fa-f.:]+)\)"
    rf"\s+smtp\.mailfrom=(?P<spf_domain>{_DOMAIN});\s*)?"
    rf"(?P<dkim>(?:dkim=[a-z]+{_REMARK}\s+header\.d=(?:{_DOMAIN});\s*)+)"
    rf"dmarc=(?P<dmarc>[a-z]+)\s+action=[a-z.]+\s+header\.from=(?P<from_domain>{_DOMAIN})"
    rf"(?:;\s*compauth=(?P<composite>[a-z]+)\s+reason=[0-9]{{3}})?;?\s*"
)
_VERIFIED_SIGNATURE = re.compile(rf"dkim=pass{_REMARK}\s+header\.d=({_DOMAIN});")
_CONNECTING_IP = re.compile(r"(?:^|;)\s*CIP:([^;]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFacts:
    """What Exchange says of a mail; None, or an empty set, where it says nothing that can be believed.

    Domains are in lower case. `auth_as` tells whether the sender was authenticated as one of the organisation; the
    rest, but for `from_domain`, is only known of mail from outside. `spf_domain` is the envelope sender's, if SPF
    passed; `dkim_domains` are those whose signature was verified; `composite` is Microsoft's overall judgement.
    """

    auth_as: Literal["internal", "anonymous"] | None = None
    from_domain: str | None = None
    dmarc: str | None = None
    composite: str | None = None
    spf_domain: str | None = None
    dkim_domains: frozenset[str] = frozenset()
    connecting_ip: str | None = None

    def vouches_for(self, domain: str) -> bool:
        """Whether SPF or DKIM passed for this domain, given in lower case, or for one below it."""
        passed = {*self.dkim_domains, *([self.spf_domain] if self.spf_domain else ())}
        return any(one == domain or one.endswith(f".{domain}") for one in passed)


def exchange_facts(headers: Headers) -> ExchangeFacts:
    """What Exchange wrote into a mail that was delivered to a mailbox of Exchange Online.

    Only of a mail whose headers are as Exchange delivered them: who attaches a file can write all of this himself, and
    so can the sender of a mail inside a mail.
    """
    auth_as = _auth_as(headers)
    found = _results(headers)
    if auth_as is None or found is None:
        return ExchangeFacts(auth_as=auth_as)
    from_domain = found["from_domain"].lower()
    if auth_as == "internal":
        # Exchange checks nothing there, and whoever may send from inside may have written these results himself.
        return ExchangeFacts(auth_as=auth_as, from_domain=from_domain)
    return ExchangeFacts(
        auth_as=auth_as,
        from_domain=from_domain,
        dmarc=found["dmarc"],
        composite=found["composite"],
        spf_domain=found["spf_domain"].lower() if found["spf"] == "pass" else None,
        dkim_domains=frozenset(domain.lower() for domain in _VERIFIED_SIGNATURE.findall(found["dkim"])),
        connecting_ip=_connecting_ip(headers, found["ip"]),
    )


def _auth_as(headers: Headers) -> Literal["internal", "anonymous"] | None:
    value = (headers.only(AUTH_AS) or "").lower()
    if value == "internal":
        return "internal"
    return "anonymous" if value == "anonymous" else None


def _results(headers: Headers) -> re.Match[str] | None:
    value = headers.only(_RESULTS) or ""
    return _EXCHANGES_RESULTS.fullmatch(value) if len(value) <= _LONGEST else None


def _connecting_ip(headers: Headers, spf_checked: str | None) -> str | None:
    """The address that both headers name. With two witnesses a forger has to be there to be believed."""
    named = _CONNECTING_IP.findall((headers.only(_REPORT) or "")[:_LONGEST])
    ip = ip_address(named[0]) if len(named) == 1 else None
    return ip if ip and spf_checked and ip == ip_address(spf_checked) else None
