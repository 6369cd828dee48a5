"""Which way every connection goes: a real proxy on loopback sees what is asked of it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.adapters.graph.identity import graph_authentication, managed_credential
from shared.adapters.graph.transport import GraphTransport
from shared.adapters.proxies import ProxiedTransport, proxy_for
from shared.adapters.storage import AzureTable, make_missing
from shared.bootstrap import open_storage
from shared.doctor.ports import NoAnswerError
from shared.doctor.probes import CredentialTokens, HttpWeb
from shared.domain.errors import NotSent
from shared.ports import Insert
from shared.settings import StorageAccess

NOBODY = "http://127.0.0.1:9"
"""A proxy that is not there: whoever asks it fails."""


@dataclass
class Proxy:
    """What a proxy was asked for, each as its request line; it opens no way."""

    url: str
    asked: list[str] = field(default_factory=list)
    credentials: set[str] = field(default_factory=set)


@asynccontextmanager
async def refusing_every_way() -> AsyncIterator[Proxy]:
    """Yield a proxy that writes down what it is asked for, and refuses it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            proxy.asked.append(line)
            told = dict(one.lower().split(": ", 1) for one in headers if one)
            proxy.credentials.add(told.get("proxy-authorization", ""))
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        proxy = Proxy(f"http://user:pass%20word@127.0.0.1:{port}")
        yield proxy


@pytest.fixture(autouse=True)
def no_proxies_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the machine's own proxies out of the environment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://graph.microsoft.com", "http://proxy.contoso.example:8080"),
        ("https://data.table.core.windows.net/outcomes?x=y", "http://proxy.contoso.example:8080"),
        ("http://login.contoso.example", "http://user:word@plain.contoso.example:3128"),
        ("https://inside.contoso.example", None),
        ("https://data.privatelink.table.core.windows.net", None),
        ("http://127.0.0.1:10002/devstoreaccount1", None),
        ("http://localhost:8080", None),
        ("http://[::1]:8080", None),
        ("http://169.254.169.254/metadata/identity/oauth2/token", None),
    ],
)
def test_the_environment_names_the_way(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None) -> None:
    """By scheme, with or without `http://` in the setting; not for what `NO_PROXY` names or this machine serves."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.contoso.example:8080")
    monkeypatch.setenv("HTTP_PROXY", "http://user:word@plain.contoso.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.contoso.example, .privatelink.table.core.windows.net")
    assert proxy_for(url) == proxy


async def test_graph_storage_and_the_doctor_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asks the proxy, with its user and password, for a way to its own host; a way refused is nothing sent."""
    async with refusing_every_way() as proxy, AsyncExitStack() as resources:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        graph_url = "https://graph.microsoft.com"
        graph = GraphTransport(graph_url, graph_authentication(graph_url, None))
        resources.push_async_callback(graph.aclose)
        with pytest.raises(NotSent):
            await graph.post_json("submit", "/beta", {}, b"{}", attempt_id="a")
        with pytest.raises(NoAnswerError):
            await HttpWeb(graph_url, CredentialTokens(None)).get("https://data.queue.core.windows.net")
        transport = await resources.enter_async_context(ProxiedTransport())
        with pytest.raises(AzureError):
            await transport.send(HttpRequest("GET", "https://data.table.core.windows.net/outcomes"))
        with pytest.raises(AzureError):
            await transport.send(HttpRequest("PUT", "https://data.blob.core.windows.net/evidence/a", content=b"x"))
    hosts = ("graph.microsoft.com", "data.queue.core.windows.net", "data.table.core.windows.net")
    assert [line.split(" HTTP/")[0] for line in proxy.asked] == [
        f"CONNECT {host}:443" for host in (*hosts, "data.blob.core.windows.net")
    ]
    assert proxy.credentials == {f"basic {base64.b64encode(b'user:pass word').decode()}".lower()}


async def test_what_this_machine_serves_is_reached_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, storage_connection: str
) -> None:
    """The emulator, and the endpoint where the platform gives tokens to a managed identity."""

    async def give(request: web.BaseRequest) -> web.Response:
        answer = {"access_token": "t", "expires_on": "4102444800", "resource": "r", "token_type": "Bearer"}
        return web.json_response(answer if request.query["resource"] == "https://storage.azure.com" else {})

    async with AsyncExitStack() as resources:
        runner = web.ServerRunner(web.Server(give, access_log=None))
        await runner.setup()
        resources.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "h")
        monkeypatch.setenv("HTTP_PROXY", NOBODY)
        credential = await resources.enter_async_context(managed_credential("managedidentity", None))
        assert (await credential.get_token("https://storage.azure.com/.default")).token == "t"
        clients = await open_storage(StorageAccess(storage_connection), None, resources)
        await make_missing(clients.tables, clients.queues, clients.blobs, ["a" * 3], ["b" * 3], ["c" * 3])
        assert [table.name async for table in clients.tables.list_tables()] == ["aaa"]


async def test_no_request_to_storage_waits_for_a_thread(storage_connection: str) -> None:
    """What azure-core does on its own, twice a request: aiohttp's `trust_env` asks the environment on a thread."""
    threads = CountingThreads()
    asyncio.get_running_loop().set_default_executor(threads)
    async with AsyncExitStack() as resources:
        clients = await open_storage(StorageAccess(storage_connection), None, resources)
        await make_missing(clients.tables, clients.queues, clients.blobs, ["aaa"], ["bbb"], ["ccc"])
        await AzureTable(clients.tables.get_table_client("aaa")).write(Insert({"PartitionKey": "p", "RowKey": "r"}))
        await clients.queues.get_queue_client("bbb").send_message("m")
        await clients.blobs.get_container_client("ccc").upload_blob("n", b"content")
    assert threads.asked == 0


class CountingThreads(ThreadPoolExecutor):
    """The loop's threads, which count what they are asked to do."""

    asked = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Do it, and count it."""
        self.asked += 1
        return super().submit(*args, **kwargs)
