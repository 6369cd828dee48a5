"""The addresses that a deployed app reaches, on this machine: its storage account, Graph and its identity.

The app's settings are those that are deployed, every one. What is added is what the platform gives to every app with an
identity, and the way here: a proxy that leads each address of the account to Azurite and Graph's to the simulator, and
the certificate that is shown there.
Azurite takes a token of Entra ID by its issuer, audience and dates. Invariant: an address that no stand-in answers for
is refused and remembered.
"""

import asyncio
import base64
import ipaddress
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, TCPConnector, web
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yarl import URL

from local.azurite import Azurite, EntraAccounts
from shared.adapters.storage import API_VERSION
from tests.infra.predicted import CLIENT_ID, EXAMPLES, STORAGE, Prediction, read_prediction

SERVICES = ("blob", "queue", "table")
ADDED = frozenset({"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "HTTPS_PROXY", "SSL_CERT_FILE"})
"""All that an app finds in its environment here beside its settings; the platform gives it the first two as well."""
GRAPH_HOST = "graph.microsoft.com"
_HEADER = "known to the platform and the app alone"
_CHUNK_BYTES = 65_536
_OF_ONE_CONNECTION = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}
_Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for every storage account and Graph, and its private key, as PEM files; it vouches for itself."""

    file: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> "Certificate":
        """Write a new one into a folder; it holds for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = cls(folder / "certificate.pem", folder / "key.pem")
        made.file.write_bytes(_self_signed(key).public_bytes(Encoding.PEM))
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return made


@dataclass(frozen=True, slots=True)
class DeployedStorage:
    """The examples' data accounts, reached as in Azure; to look into from a test there is the account's key as well."""

    azurite: Azurite
    certificate: Certificate

    def tables(self, prediction: Prediction) -> TableServiceClient:
        """Return a client of the account's tables."""
        return TableServiceClient.from_connection_string(self._connection(prediction), **self._trust())

    def queues(self, prediction: Prediction) -> QueueServiceClient:
        """Return a client of the account's queues."""
        text = self._connection(prediction)
        return QueueServiceClient.from_connection_string(text, api_version=API_VERSION, **self._trust())

    def refill(self, prediction: Prediction) -> None:
        """Remove everything from the account, then make what the template makes in it, and nothing else."""
        text = self._connection(prediction)
        blobs = BlobServiceClient.from_connection_string(text, api_version=API_VERSION, **self._trust())
        with self.tables(prediction) as tables, self.queues(prediction) as queues, blobs:
            for table in list(tables.list_tables()):
                tables.delete_table(table.name)
            for queue in list(queues.list_queues()):
                queues.delete_queue(queue)
            for container in list(blobs.list_containers()):
                blobs.delete_container(container)
            for name in _made(prediction, "tableServices/tables"):
                tables.create_table(name)
            for name in _made(prediction, "queueServices/queues"):
                queues.create_queue(name)
            for name in _made(prediction, "blobServices/containers"):
                blobs.create_container(name)

    def _connection(self, prediction: Prediction) -> str:
        return self.azurite.account(prediction.data_account())

    def _trust(self) -> dict[str, Any]:
        return {"connection_verify": str(self.certificate.file)}


@contextmanager
def deployed_storage(folder: Path) -> Iterator[DeployedStorage]:
    """Run an Azurite that holds the examples' data accounts; the certificate is written into `folder`."""
    certificate = Certificate.make(folder)
    names = [read_prediction(example).data_account() for example in EXAMPLES]
    with Azurite(entra=EntraAccounts(certificate.file, certificate.key, names)) as azurite:
        yield DeployedStorage(azurite, certificate)


def _made(prediction: Prediction, kind: str) -> list[str]:
    return [one.name for one in prediction.of(f"{STORAGE}/{kind}", prediction.data_account())]


@dataclass(slots=True)
class AzureAddresses:
    """The way to the stand-ins: `environment` is added to an app's settings; `refused` is what nothing answered for."""

    environment: Mapping[str, str]
    refused: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """The audiences that a token was given for."""


@asynccontextmanager
async def azure_addresses(
    storage: DeployedStorage, account: str, tenant_id: str, simulator: str
) -> AsyncIterator[AzureAddresses]:
    """Lead the addresses of a storage account, of Graph and of the identity to their stand-ins until the block ends."""
    found = AzureAddresses({})
    async with AsyncExitStack() as resources:
        ports = {service: storage.azurite.port(service) for service in SERVICES}
        ports["table"] = await _table_front(resources, storage, account)
        ways = {f"{account}.{service}.core.windows.net:443": port for service, port in ports.items()}
        ways[f"{GRAPH_HOST}:443"] = await _graph_front(resources, storage.certificate, simulator)
        proxy = await _proxy(resources, ways, found)
        found.environment = {
            "IDENTITY_ENDPOINT": await _identity_endpoint(resources, tenant_id, found),
            "IDENTITY_HEADER": _HEADER,
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
            "SSL_CERT_FILE": str(storage.certificate.file),
        }
        assert set(found.environment) == ADDED
        yield found


async def _identity_endpoint(resources: AsyncExitStack, tenant_id: str, told: AzureAddresses) -> str:
    """Serves tokens as App Service does for the one identity of the app; returns its address."""

    async def handle(request: web.BaseRequest) -> web.Response:
        asked = request.query
        right = (asked.get("api-version"), asked.get("client_id")) == ("2019-08-01", CLIENT_ID)
        if not right or request.headers.get("X-IDENTITY-HEADER") != _HEADER:
            return web.json_response({"statusCode": 400, "message": "no such identity"}, status=400)
        told.tokens.append(asked["resource"])
        expires = int(time.time()) + 86_400
        token = _token(asked["resource"], tenant_id, expires)
        answer = {"access_token": token, "expires_on": str(expires), "resource": asked["resource"]}
        return web.json_response({**answer, "token_type": "Bearer", "client_id": CLIENT_ID})

    return f"http://127.0.0.1:{await _serve(resources, handle)}/msi/token"


async def _table_front(resources: AsyncExitStack, storage: DeployedStorage, account: str) -> int:
    """Serves the account's tables at their own host name; returns the port.

    Azurite 3.35 finds no table in a transaction whose requests name the account in the host, as Azure's clients do: it
    looks for it behind the account in the path (Azurite #2322). There they are led.
    """
    host = f"https://{account}.table.core.windows.net/"
    azurite = f"https://127.0.0.1:{storage.azurite.port('table')}/{account}"
    return await _front(resources, storage.certificate, azurite, sent=("/$batch", host, f"{azurite}/"))


async def _graph_front(resources: AsyncExitStack, certificate: Certificate, simulator: str) -> int:
    """Serves the Graph simulator at Graph's own host name, which its links then name; returns the port."""
    return await _front(resources, certificate, simulator, answered=(simulator, f"https://{GRAPH_HOST}"))


async def _front(
    resources: AsyncExitStack,
    certificate: Certificate,
    onward: str,
    *,
    sent: tuple[str, str, str] = ("", "", ""),
    answered: tuple[str, str] = ("", ""),
) -> int:
    """Serves TLS and passes every request on; returns the port.

    `sent` is a path, and what is put in place of what in its requests; `answered` the same for every answer.
    """
    path, here, there = sent
    connector = TCPConnector(ssl=ssl.create_default_context(cafile=certificate.file))
    session = await resources.enter_async_context(ClientSession(connector=connector, auto_decompress=False))

    async def handle(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if request.path == path:
            body = body.replace(here.encode(), there.encode())
        url = URL(f"{onward}{request.raw_path}", encoded=True)
        async with session.request(request.method, url, data=body, headers=_onward(request.headers)) as answer:
            content = await answer.read()
            if answered[0]:
                content = content.replace(answered[0].encode(), answered[1].encode())
            return web.Response(status=answer.status, headers=_onward(answer.headers), body=content)

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate.file, certificate.key)
    return await _serve(resources, handle, tls)


def _onward(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}


async def _serve(
    resources: AsyncExitStack,
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    tls: ssl.SSLContext | None = None,
) -> int:
    """Serve HTTP on a free port until the resources are closed; returns the port."""
    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.2)
    await runner.setup()
    resources.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port: int = runner.addresses[0][1]
    return port


async def _proxy(resources: AsyncExitStack, ways: Mapping[str, int], told: AzureAddresses) -> int:
    """Serves CONNECT to the addresses in `ways` and to no other; returns its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        target = head.split()[1]
        if target not in ways:
            told.refused.append(target)
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _lead(reader, writer, ways[target])

    return await _listen(resources, handle)


async def _listen(resources: AsyncExitStack, handle: _Handler) -> int:
    """Serve on a free port until the resources are closed, connections and all."""
    serving: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handle(reader, writer)
        writer.transport.abort()
        serving.discard(task)

    async def stop() -> None:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    resources.push_async_callback(stop)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carry bytes both ways between a connection and a port, until either end closes."""
    onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
    ways = [
        asyncio.ensure_future(_carry(reader, onward_writer)),
        asyncio.ensure_future(_carry(onward_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        onward_writer.transport.abort()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(_CHUNK_BYTES):
            writer.write(content)
            await writer.drain()


def _token(resource: str, tenant_id: str, expires: int) -> str:
    """Return a token of the shape that Entra ID gives an identity; its signature is none."""
    claims = {
        "aud": resource,
        "iss": f"https://sts.windows.net/{tenant_id}/",
        "iat": expires - 90_000,
        "nbf": expires - 90_000,
        "exp": expires,
        "appid": CLIENT_ID,
        "tid": tenant_id,
    }
    parts = (json.dumps(one).encode() for one in ({"alg": "RS256", "typ": "JWT"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in parts), "bm9uZQ"])


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Python 3.13 verifies by RFC 5280 to the letter, so every extension that it asks for is there."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "storage on this machine")])
    now = datetime.now(UTC)
    hosts = (f"*.{service}.core.windows.net" for service in SERVICES)
    names = [*map(x509.DNSName, [*hosts, GRAPH_HOST]), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    signs = dict.fromkeys(("digital_signature", "key_encipherment", "key_cert_sign", "crl_sign"), True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **signs), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, SHA256())
    )
