"""Whoever is signed in with the Azure CLI: tokens, the subscription, the addresses of the cloud.

Invariant: a token is asked of `az` alone, kept in memory for less time than it is valid for, and never shown.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from local.publish.trouble import Trouble, excerpt

_KEPT_S = 240  # az gives no token out that is valid for less than five minutes
_LONGEST_S = 120
_SIGN_IN = "az login --tenant <tenant id>, then az account set --subscription <subscription id>"


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds as az tells it: two addresses, and what tokens for management and publishing are for.

    Publishing sites are to be asked with tokens for App Service; those for management are deprecated there and still
    taken (microsoft/vscode-azuretools, pull request 2258). An older az does not tell the former, so there may be one.
    """

    resource_manager: str
    graph: str
    management_audience: str
    publishing_audiences: tuple[str, ...]


class Account:
    """An account of the Azure CLI; `subscription` is an id or a name, empty for the one that is set."""

    def __init__(self, subscription: str) -> None:
        self._chosen = ["--subscription", subscription] if subscription else []
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    def cloud(self) -> Cloud:
        """Return the cloud that az is set to. Raises Trouble where az is absent."""
        endpoints = _ask("cloud", "show")["endpoints"]
        management = endpoints["activeDirectoryResourceId"]
        audiences = dict.fromkeys([endpoints.get("appServiceResourceId") or management, management])
        return Cloud(endpoints["resourceManager"], endpoints["microsoftGraphResourceId"], management, tuple(audiences))

    def token(self, audience: str) -> str:
        """Return a token for an audience, valid for minutes at least. Raises Trouble where nobody is signed in."""
        token: str = self._answer(audience)["accessToken"]
        return token

    def subscription_id(self, audience: str) -> str:
        """Return the id of the subscription that tokens are for."""
        found: str = self._answer(audience)["subscription"]
        return found

    def _answer(self, audience: str) -> dict[str, Any]:
        until_s, answer = self._kept.get(audience, (0.0, {}))
        if time.monotonic() >= until_s:
            answer = _ask("account", "get-access-token", "--resource", audience, *self._chosen)
            self._kept[audience] = (time.monotonic() + _KEPT_S, answer)
        return answer


def _ask(*words: str) -> dict[str, Any]:
    """Returns what a command of az answers. `az` is `az.cmd` on Windows, which only its whole path starts."""
    az = shutil.which("az")
    if az is None:
        raise Trouble("az_missing", "the Azure CLI is not installed", "Install it (https://aka.ms/azure-cli), sign in.")
    command = [az, *words, "--output", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise Trouble("az_hangs", f"az {words[0]} {words[1]} did not end in {_LONGEST_S} s", _SIGN_IN) from None
    if done.returncode:
        raise Trouble("not_signed_in", f"az {words[0]} {words[1]}: {excerpt(done.stderr)}", _SIGN_IN)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
