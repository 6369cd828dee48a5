"""The tenant whose mail is submitted: what decides who is one of its people."""

from __future__ import annotations

from dataclasses import dataclass

from .text import domain_of


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant by its id (a GUID in lower case), its accepted domains and its reporting mailboxes, in lower case."""

    tenant_id: str
    domains: frozenset[str]
    reporting_mailboxes: frozenset[str] = frozenset()

    def owns(self, mail_address: str | None) -> bool:
        """Whether the address is in one of the tenant's domains. It says nothing about who wrote it there."""
        return domain_of(mail_address or "") in self.domains
