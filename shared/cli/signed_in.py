"""Who runs the command, as the token of their sign-in tells it.

Only a default for `requestedBy`, which anybody may fill in: nothing is decided by it, so that the token is read and not
verified. It is sent nowhere and never shown.
"""

from __future__ import annotations

import base64
import json

from ..domain.text import is_address

_SCOPE = "https://storage.azure.com/.default"
_CLAIMS = ("upn", "preferred_username", "unique_name", "email")


async def signed_in_address() -> str | None:
    """The mail address of whoever is signed in to Azure; None where the token tells none, as a program's does not."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - dear, and not needed with --requested-by

    async with DefaultAzureCredential() as credential:
        return address_in((await credential.get_token(_SCOPE)).token)


def address_in(token: str) -> str | None:
    """The mail address in a token's claims, in the order of how surely they name the person; or None."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        told = [str(claims.get(name, "")) for name in _CLAIMS]
    except (ValueError, IndexError, AttributeError):
        return None
    return next((one for one in told if is_address(one)), None)
