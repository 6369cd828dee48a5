"""Stands in for Azure Resource Manager, a Flex Consumption app's publishing site and Microsoft Graph, over real HTTPS.

It knows only the requests that Microsoft's own publishers make (Azure/functions-action, Azure/azure-cli,
Azure/azure-dev) and refuses every other, so that a program cannot pass by asking for something that does not exist: no
token or one of another audience is 401, a body that is no zip 400, a wrong type of content 415, no version of the
interface 400, a closed site 403. What a program sees of a deployment, and when the app's functions are known, is what a
test says.
"""

import datetime
import io
import ipaddress
import json
import ssl
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SUBSCRIPTION = "00000000-1111-2222-3333-444444444444"
GROUP, APP = "rg-submissions", "defendersub-app-abc"
SITE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Web/sites/{APP}"
PRINCIPAL, CLIENT = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
OWN_IDENTITY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ManagedIdentity/ours"
PLACEHOLDER = "WarmUp"
MANAGEMENT, PUBLISHING = "https://management.core.windows.net/", "https://appservice.azure.com"
"""What tokens for Azure Resource Manager and for publishing sites are issued for."""
DEPLOYMENT = "b2f2a7c1-deployment"
ELSEWHERE = "/elsewhere"
"""Where a redirection points."""
GONE = 404
"""In place of a deployment's status: the publishing site does not know the deployment."""


@dataclass
class AzureState:
    """What the stand-in answers, and what it was asked; `sent` are the packages that the publishing site took."""

    python_version: str = "3.13"
    runtime: str = "python"
    is_public: bool = True
    knocks: list[int] = field(default_factory=list)
    """Statuses of the next questions for the latest deployment in place of 404; 0 ends the connection."""
    publishing: list[int] = field(default_factory=list)
    """Statuses of the next uploads in place of 202; 0 ends the connection without an answer."""
    taken: str | bytes = f'"{DEPLOYMENT}"'.encode()
    """What the publishing site answers to an upload that it has taken."""
    deployment: list[int] = field(default_factory=lambda: [0, 1, 4])
    """Statuses of the deployment, question by question; the last one stays."""
    syncs: list[int] = field(default_factory=list)
    """Statuses of the next readings of triggers in place of 204."""
    functions: list[list[str]] = field(default_factory=lambda: [[PLACEHOLDER]])
    """What is listed after the first reading of the triggers, the second and so on; the last one stays."""
    refuses: set[str] = field(default_factory=set)
    """`site`, `sync`, `list` or `graph`: what whoever is signed in may not do."""
    roles: list[str] = field(default_factory=list)
    audiences: list[str] = field(default_factory=lambda: [PUBLISHING])
    """Whose tokens the publishing site takes."""
    builds_remotely: bool = False
    requests: list[str] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    readings: int = 0

    def next_of(self, answers: list[int], otherwise: int) -> int:
        """Return the next of some answers and take it off; the one that is given when there is none left."""
        return answers.pop(0) if answers else otherwise


class Handler(BaseHTTPRequestHandler):
    """One request to any of the three hosts, which share an address here."""

    state: AzureState
    address: str

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer(None)

    def do_POST(self) -> None:
        """Answer a request that changes something."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal."""

    def _answer(self, body: bytes | None) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.state.requests.append(f"{self.command} {path}")
        status, told = self._route(path, query, body)
        if status == 0:
            self.close_connection = True
            return
        content = told if isinstance(told, bytes) else json.dumps(told).encode() if told is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if 300 <= status < 400:
            self.send_header("Location", f"https://{self.address}{ELSEWHERE}")
        self.end_headers()
        self.wfile.write(content)

    def _route(self, path: str, query: dict[str, str], body: bytes | None) -> tuple[int, Any]:
        if path.startswith("/subscriptions/"):
            return self._resource_manager(path, query)
        if path.startswith("/graph/v1.0/"):
            return self._graph(path.removeprefix("/graph/v1.0/"), query)
        return self._publishing_site(path, query, body)

    def _has_token(self, audience: str) -> bool:
        return self.headers["Authorization"] == f"Bearer token-for-{audience}"

    def _resource_manager(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if not self._has_token(MANAGEMENT):
            return 401, {"error": {"code": "InvalidAuthenticationToken"}}
        if "api-version" not in query:
            return 400, {"error": {"code": "MissingApiVersionParameter"}}
        if not path.startswith(SITE):
            return 404, {"error": {"code": "ResourceNotFound"}}
        known: dict[str, Callable[[], tuple[int, Any]]] = {
            "GET ": self._site,
            "POST /host/default/sync": self._sync,
            "POST /syncfunctiontriggers": self._sync,
            "GET /functions": lambda: self._functions(query),
        }
        answer = known.get(f"{self.command} {path.removeprefix(SITE)}")
        return answer() if answer else (404, {"error": {"code": "InvalidResourceType"}})

    def _site(self) -> tuple[int, Any]:
        if "site" in self.state.refuses:
            return 403, {"error": {"code": "AuthorizationFailed"}}
        authentication = {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": OWN_IDENTITY}
        properties = {
            "publicNetworkAccess": "Enabled" if self.state.is_public else "Disabled",
            "functionAppConfig": {
                "runtime": {"name": self.state.runtime, "version": self.state.python_version},
                "deployment": {"storage": {"type": "blobContainer", "authentication": authentication}},
            },
            "hostNameSslStates": [
                {"name": f"{APP}.azurewebsites.net", "hostType": "Standard"},
                {"name": self.address, "hostType": "Repository"},
            ],
        }
        identities = {
            "/a/policy/s/identity": {"principalId": "another", "clientId": "another"},
            OWN_IDENTITY.lower(): {"principalId": PRINCIPAL, "clientId": CLIENT},  # case is not told alike
        }
        identity = {"type": "UserAssigned", "userAssignedIdentities": identities}
        return 200, {"id": SITE, "name": APP, "identity": identity, "properties": properties}

    def _sync(self) -> tuple[int, Any]:
        if "sync" in self.state.refuses:
            return 403, {"error": {"code": "AuthorizationFailed"}}
        status = self.state.next_of(self.state.syncs, 204)
        if status != 204:
            return status, {"error": {"message": "Encountered an error (ServiceUnavailable) from host runtime."}}
        self.state.readings += 1
        return 204, None

    def _functions(self, query: dict[str, str]) -> tuple[int, Any]:
        if "list" in self.state.refuses:
            return 403, {"error": {"code": "AuthorizationFailed"}}
        lists = self.state.functions
        listed = lists[min(max(self.state.readings, 1), len(lists)) - 1] if self.state.readings else [PLACEHOLDER]
        first, rest = listed[:3], listed[3:]
        shown = rest if "page" in query else first
        page: dict[str, Any] = {"value": [{"id": f"{SITE}/functions/{one}", "name": f"{APP}/{one}"} for one in shown]}
        if rest and "page" not in query:
            page["nextLink"] = f"https://{self.address}{SITE}/functions?api-version={query['api-version']}&page=2"
        return 200, page

    def _graph(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if not self._has_token(f"https://{self.address}/graph/"):
            return 401, {"error": {"code": "InvalidAuthenticationToken"}}
        if path != f"servicePrincipals/{PRINCIPAL}/appRoleAssignments" or query != {"$top": "999"}:
            return 404, {"error": {"code": "Request_ResourceNotFound"}}
        if "graph" in self.state.refuses:
            return 403, {"error": {"code": "Authorization_RequestDenied"}}
        return 200, {"value": [{"id": f"assignment-{role}", "appRoleId": role} for role in self.state.roles]}

    def _publishing_site(self, path: str, query: dict[str, str], body: bytes | None) -> tuple[int, Any]:
        if not self.state.is_public:
            return 403, {"Message": "Ip Forbidden"}
        if not any(map(self._has_token, self.state.audiences)):
            return 401, None
        if (self.command, path) == ("POST", "/api/publish"):
            return self._publish(query, body or b"")
        if (self.command, path) == ("GET", "/api/deployments/latest") and not self.state.sent:
            return self.state.next_of(self.state.knocks, 404), None
        known = ("latest", DEPLOYMENT) if self.state.sent else ()
        if self.command == "GET" and path.removeprefix("/api/deployments/") in known:
            return self._deployment()
        return 404, None

    def _publish(self, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        if self.headers["Content-Type"] != "application/zip":
            return 415, None
        if not zipfile.is_zipfile(io.BytesIO(body)):
            return 400, {"Message": "The package is no zip"}
        status = self.state.next_of(self.state.publishing, 202)
        if status != 202:
            return status, {"Message": f"answer {status}"} if status else None
        self.state.builds_remotely |= query.get("RemoteBuild") != "false"
        self.state.sent.append(body)
        return 202, self.state.taken

    def _deployment(self) -> tuple[int, Any]:
        statuses = self.state.deployment
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status >= 100:
            return status, None
        texts = {3: "Deployment failed", -1: "Cancelled", 6: "Partially successful"}
        told = {"id": DEPLOYMENT, "status": status, "status_text": texts.get(status, "")}
        errors = ["the step that failed"] if status == 3 else []
        return 200, {**told, "remoteBuild": self.state.builds_remotely, "build_summary": {"errors": errors}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went away."""


@dataclass(frozen=True)
class AzureStandIn:
    """A stand-in that runs: its state, its address, and the certificate to trust."""

    state: AzureState
    address: str
    certificate: Path

    def endpoints(self) -> dict[str, str]:
        """Return the cloud's addresses, as `az cloud show` tells them."""
        return {
            "resourceManager": f"https://{self.address}/",
            "activeDirectoryResourceId": MANAGEMENT,
            "appServiceResourceId": PUBLISHING,
            "microsoftGraphResourceId": f"https://{self.address}/graph/",
        }


@contextmanager
def azure_stand_in(folder: Path) -> Iterator[AzureStandIn]:
    """Run a stand-in; its certificate is written into a folder."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    _write_certificate(certificate, key)
    state = AzureState()
    server = _Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"state": state}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    address = f"127.0.0.1:{server.server_address[1]}"
    server.RequestHandlerClass.address = address  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield AzureStandIn(state, address, certificate)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _write_certificate(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Azure's stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(address, critical=False)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    pem = serialization.Encoding.PEM
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_file.write_bytes(key.private_bytes(pem, *plain))
