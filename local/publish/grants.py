"""The grants that Azure cannot make: which of them the app's identity lacks, and how each is made.

Azure keeps a managed identity's token, with the permissions of the moment it was issued, for about a day; an app that
is published before its grants are made gets nothing through for that long. Microsoft Graph can be asked for its part.
Exchange's part cannot be asked for here: it takes a session of Exchange Online PowerShell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local.publish.azure import Azure, Identity
from local.publish.trouble import Trouble
from local.publish.web import NoAnswer

_LIST = Path(__file__).resolve().parents[2] / "infra" / "graph-permissions.json"
_OPTIONS = {"DEFENDER_ALERTS": "--with-alerts", "HUNTING_QUERY": "--with-hunting"}
_STEPS = """1. Microsoft Graph, as Privileged Role Administrator (--what-if shows what it would do; on Windows in WSL):

   infra/scripts/graph-access.sh --identity {principal_id}{options}

2. Exchange Online, in PowerShell, as member of Organization Management and, for -SecOpsMailbox, Security Administrator
   (-WhatIf shows what it would do):

   infra/scripts/exchange-access.ps1 -Connect -SecOpsMailbox -AppId {client_id} `
     -ObjectId {principal_id} `
     -ReportingMailbox '{mailboxes}' -ControlMailbox 'SOMEBODY_ELSE'{feedback}
"""


def wanted_by(settings: Mapping[str, str]) -> frozenset[str]:
    """Return when each permission is needed, as graph-permissions.json words it: `always`, and the sources in use."""
    sources = {
        "DEFENDER_ALERTS": settings.get("DEFENDER_ALERTS") == "on",
        "HUNTING_QUERY": bool(settings.get("HUNTING_QUERY")),
    }
    return frozenset({"always", *(name for name, is_used in sources.items() if is_used)})


def how_to_grant(identity: Identity, wanted: Iterable[str], settings: Mapping[str, str]) -> str:
    """Return the commands of both administrators, with the ids filled in."""
    options = "".join(f" {option}" for source, option in _OPTIONS.items() if source in wanted)
    is_answering = settings.get("REPORTER_FEEDBACK", "off") not in {"", "off"}
    return _STEPS.format(
        principal_id=identity.principal_id,
        client_id=identity.client_id,
        options=options,
        mailboxes=settings.get("REPORTING_MAILBOXES") or "MAILBOXES",
        feedback=f" `\n     -FeedbackMailbox '{settings.get('FEEDBACK_MAILBOX', '')}'" if is_answering else "",
    )


def require_grants(azure: Azure, identity: Identity, wanted: frozenset[str], *, are_made: bool) -> None:
    """Raise Trouble where Graph says that the identity lacks a permission, or does not let us ask.

    `are_made` is the word of whoever publishes; it counts where Graph does not let us ask, and nowhere else.
    """
    steps = how_to_grant(identity, wanted, os.environ)
    try:
        answer = azure.graph(f"servicePrincipals/{identity.principal_id}/appRoleAssignments?$top=999")
    except NoAnswer as error:
        raise Trouble("network", f"no answer from Microsoft Graph: {error}", "Look at DNS and proxy.") from None
    except Trouble as trouble:  # a workflow's sign-in gives out no further kind of token after some minutes
        _require_word(trouble.seen, steps, are_made=are_made)
        return
    if answer.status != 200:
        _require_word(answer.told(), steps, are_made=are_made)
        return
    missing = _missing(answer.json(), wanted)
    if missing:
        do = f"Make the grants, in the tenant, then run this again:\n\n{steps}"
        raise Trouble("grants_missing", f"the app's identity lacks {', '.join(missing)}", do)
    print("granted  Microsoft Graph's permissions. Exchange Online's cannot be asked for here: the doctor tries it")


def _missing(told: dict[str, Any], wanted: frozenset[str]) -> list[str]:
    held = {one["appRoleId"] for one in told["value"]}
    permissions = json.loads(_LIST.read_text(encoding="utf-8"))
    return [one["name"] for one in permissions if one["when"] in wanted and one["id"] not in held]


def _require_word(why: str, steps: str, *, are_made: bool) -> None:
    seen = f"Microsoft Graph does not tell which permissions the app's identity holds: {why}"
    if are_made:
        print(f"unknown  {seen}; you say that they are granted")
        return
    do = f"If they are granted, say so: --grants-made, with azd `azd env set GRANTS_MADE yes`. Else:\n\n{steps}"
    raise Trouble("grants_unknown", seen, do)
