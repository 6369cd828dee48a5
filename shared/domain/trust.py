"""Who may report: decides whether a report mail comes from one of the tenant's people.

A report makes the app act (a submission to Microsoft, later perhaps a block), and anybody can send mail to the
reporting mailbox with a colleague's address in From. The one invariant: nobody is trusted for what the sender wrote,
only for what Exchange wrote (`exchange.py`). docs/trust.md tells administrators the same rules and their limits.
"""

from __future__ import annotations

from .exchange import ExchangeFacts, exchange_facts
from .headers import Headers
from .tenant import Tenant
from .text import addresses, domain_of, guid


def distrust(headers: Headers, sender: str | None, tenant: Tenant) -> str | None:
    """Why this report is not acted on, in words for the operator; None where its sender is trusted.

    `headers` are the report mail's own, as Graph shows them, and `sender` is its From address. Trusted is an address
    of the tenant that Exchange authenticated (AuthAs Internal), or, for buttons that send through their maker's
    servers, one whose domain passed DMARC and Microsoft's own judgement.

    What arrives by SMTP always has headers, because Exchange adds some itself. A mail without any was put into the
    mailbox by a program, or Graph keeps them back: nothing tells who sent it, so it is not trusted.
    """
    if sender is None or not tenant.owns(sender):
        return "the report's From is not an address in TENANT_DOMAINS"
    if headers.is_empty:
        return "Graph shows no headers of the report, so nothing tells who sent it"
    facts = exchange_facts(headers)
    if facts.auth_as is None:
        return "Exchange's word on who sent the report (X-MS-Exchange-Organization-AuthAs) is missing or ambiguous"
    return _mismatch(headers, facts, tenant) or (
        _unlike_internal(headers, tenant) if facts.auth_as == "internal" else _unlike_ours(facts, sender)
    )


def _mismatch(headers: Headers, facts: ExchangeFacts, tenant: Tenant) -> str | None:
    """What is wrong with From itself: mail programs and filters pick different ones where there are several."""
    written = list(headers.values("from"))
    if len(written) > 1:
        return "the report has several From headers"
    named = [list(addresses(value)) for value in written]
    if any(len(found) != 1 or not tenant.owns(found[0]) for found in named):
        return "the report's From header does not name one address in TENANT_DOMAINS"
    if facts.from_domain and facts.from_domain not in tenant.domains:
        return "Exchange saw a From of another domain (header.from in Authentication-Results)"
    return None


def _unlike_internal(headers: Headers, tenant: Tenant) -> str | None:
    """What contradicts `AuthAs: Internal`.

    Mail that crossed from one tenant to another carries what the first one said of it. These headers need not be
    there; where they are, every copy has to agree.
    """
    if any(value.lower() != "internal" for value in headers.values("x-ms-exchange-crosstenant-authas")):
        return "Exchange's two words on who sent the report contradict each other (AuthAs)"
    if any(guid(value) != tenant.tenant_id for value in headers.values("x-ms-exchange-crosstenant-id")):
        return "the report was authenticated in another tenant (X-MS-Exchange-CrossTenant-Id)"
    return None


def _unlike_ours(facts: ExchangeFacts, sender: str) -> str | None:
    """What is missing for a report that came from outside in the tenant's name."""
    if facts.from_domain is None:
        return "the report came from outside without readable Authentication-Results of Exchange"
    if facts.from_domain != domain_of(sender):
        return "the report came from outside and Exchange checked another domain than its From"
    if (facts.dmarc, facts.composite) != ("pass", "pass"):
        return "the report came from outside and did not pass both DMARC and compauth for the tenant's domain"
    return None
