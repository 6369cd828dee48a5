"""Who we are to Graph and to storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    AuthenticationProvider,
    BaseBearerTokenAuthenticationProvider,
)

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

LOCAL_TOKEN = "local"  # noqa: S105 - what a simulator on loopback is sent; it opens nothing


class LocalTokenProvider(AccessTokenProvider):
    """The fixed token for a Graph simulator on loopback; no credential is asked for."""

    def __init__(self, host: str) -> None:
        self._hosts = AllowedHostsValidator([host])

    async def get_authorization_token(
        self, uri: str, additional_authentication_context: dict[str, Any] | None = None
    ) -> str:
        """The token, for the simulator's host only."""
        del additional_authentication_context
        return LOCAL_TOKEN if self._hosts.is_url_host_valid(uri) else ""

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        """The one host that gets the token."""
        return self._hosts


def graph_authentication(base_url: str, credential: AsyncTokenCredential | None) -> AuthenticationProvider:
    """What puts the token on requests to `base_url`'s host, and on no other."""
    host = urlsplit(base_url).hostname or ""
    if credential is None:
        return BaseBearerTokenAuthenticationProvider(LocalTokenProvider(host))
    from kiota_authentication_azure.azure_identity_authentication_provider import (  # noqa: PLC0415 - not needed locally
        AzureIdentityAuthenticationProvider,
    )

    return AzureIdentityAuthenticationProvider(credential, scopes=[f"{base_url}/.default"], allowed_hosts=[host])


def managed_credential(kind: str | None, client_id: str | None) -> AsyncTokenCredential:
    """The app's own identity in Azure; imported here because a local run never needs it."""
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential  # noqa: PLC0415

    from ..proxies import ProxiedTransport  # noqa: PLC0415

    if kind == "managedidentity":
        return ManagedIdentityCredential(client_id=client_id, transport=ProxiedTransport())
    return DefaultAzureCredential(managed_identity_client_id=client_id)
