"""The proxies that the environment names, for every connection that the product opens.

Who sets `HTTP_PROXY`, `HTTPS_PROXY` or `NO_PROXY` means all of an app: Graph, storage and sign-in go the same way. Left
to themselves the libraries differ: azure-core 1.41 has aiohttp read the environment and the user's `.netrc` anew, on a
thread, before every request, which cost a fifth of a submission's processor time; httpx 0.28 reads nothing where it is
given a transport.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from azure.core.pipeline.transport import AioHttpTransport


def proxy_for(url: str) -> str | None:
    """The proxy through which to reach an address, with its user and password if it has them; None for the direct way.

    What listens on loopback or on a link-local address, as a managed identity's endpoint does, is of this machine and
    never asked for through a proxy. Everything else is as urllib has it: `NO_PROXY` holds names and their endings.
    """
    parts = urlsplit(url)
    if not parts.hostname or _is_of_this_machine(parts.hostname) or proxy_bypass(parts.hostname):
        return None
    proxy = getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _is_of_this_machine(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_link_local


class ProxiedTransport(AioHttpTransport):  # type: ignore[misc]  # given out lazily, so without a type
    """The transport of one Azure client, which closes it. It reads the environment once for each origin."""

    def __init__(self) -> None:
        super().__init__(use_env_settings=False)
        self._proxy_for = lru_cache(proxy_for)

    async def send(self, request: Any, **options: Any) -> Any:
        """Send one request; see the base class."""
        origin = "/".join(request.url.split("/", 3)[:3])
        return await super().send(request, proxy=self._proxy_for(origin), **options)
