"""Who a token speaks for, read from its claims.

The signature is not verified: the token came from our own credential, and its audience verifies it. Only tenant, ids,
roles and kind of the caller are read; the token itself goes nowhere.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The claims `tid`, `appid` (or `azp`), `oid`, `roles`, and whether the token is a person's (it has `scp`)."""

    tenant_id: str
    app_id: str
    object_id: str
    roles: frozenset[str]
    is_person: bool


def read_caller(token: str) -> Caller:
    """The caller that a JWT names; raises ValueError where it is no JWT with claims."""
    pieces = token.split(".")
    if len(pieces) != 3:
        raise ValueError("no JWT")
    claims = json.loads(base64.urlsafe_b64decode(pieces[1] + "=" * (-len(pieces[1]) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("no claims")  # noqa: TRY004 - callers know one error
    roles = claims.get("roles")
    return Caller(
        tenant_id=str(claims.get("tid", "")).lower(),
        app_id=str(claims.get("appid") or claims.get("azp") or ""),
        object_id=str(claims.get("oid", "")),
        roles=frozenset(map(str, roles)) if isinstance(roles, list) else frozenset(),
        is_person="scp" in claims,
    )
