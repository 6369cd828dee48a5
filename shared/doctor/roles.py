"""Which of Graph's application permissions the app needs under its settings, and which it must not have.

Grants add up: a tenant-wide `Mail.*` permission opens every mailbox, whatever Exchange scopes. So more than is needed
is as wrong as less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..settings import Settings

SUBMIT = "ThreatSubmission.ReadWrite.All"
ALERTS = "SecurityAlert.Read.All"
HUNT = "ThreatHunting.Read.All"
NEEDED_BY: Mapping[str, tuple[str, ...]] = {
    SUBMIT: ("threat_submissions",),
    ALERTS: ("defender_alerts",),
    HUNT: ("hunting",),
}
"""The checks that can only fail without the role."""


@dataclass(frozen=True, slots=True)
class RoleGap:
    """What a token lacks, and what it has too many of; both sorted."""

    missing: tuple[str, ...]
    needless: tuple[str, ...]

    @property
    def opens_mailboxes(self) -> bool:
        """Whether one of the needless ones opens mailboxes of the whole tenant."""
        return any(role.lower().startswith("mail") for role in self.needless)


def needed_roles(settings: Settings) -> tuple[str, ...]:
    """The permissions that the settings call for."""
    alerts = (ALERTS,) if settings.defender_alerts == "on" else ()
    hunt = (HUNT,) if settings.hunting_query else ()
    return (SUBMIT, *alerts, *hunt)


def compare(needed: tuple[str, ...], held: frozenset[str]) -> RoleGap:
    """What is missing and what is needless."""
    return RoleGap(tuple(sorted(set(needed) - held)), tuple(sorted(held - set(needed))))
