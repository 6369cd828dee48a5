"""The function app in Azure, through Azure Resource Manager and the app's own publishing site.

Requests and answers are those of Microsoft's own publishers: Azure/functions-action (OneDeployFlex), Azure/azure-cli
(enable_zip_deploy_flex) and Azure/azure-dev (funcapp_host_client.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from local.publish.account import Account
from local.publish.trouble import Trouble
from local.publish.web import Answer, NoAnswer, send

API_VERSION = "2025-03-01"
"""Of Microsoft.Web, the one that infra/modules/app.bicep deploys with."""
_OURS = "Name the app that infra/main.bicep deploys."
_RIGHT = "Sign in as somebody with Website Contributor on the app (az login), or ask for that right."


@dataclass(frozen=True, slots=True)
class Identity:
    """The app's managed identity."""

    principal_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class App:
    """The function app as Azure tells it; `path` is its resource id, `site` the host of its publishing site."""

    path: str
    name: str
    site: str
    python_version: str
    is_public: bool
    identity: Identity


class Azure:
    """What publishing asks of Azure, as whoever is signed in."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._cloud = account.cloud()
        self._audience = self._cloud.management_audience  # of tokens for publishing sites, until `knock` knows better

    def manage(self, method: str, path: str) -> Answer:
        """Send a request about a resource; `path` is its id and what follows, or a whole address of a next page."""
        root = self._cloud.resource_manager.rstrip("/")
        url = f"{root}{quote(path)}?api-version={API_VERSION}" if path.startswith("/") else path
        if not url.startswith(f"{root}/"):
            raise NoAnswer(f"an address of another host than {root}")
        return send(method, url, self._token())

    def knock(self, app: App) -> Answer:
        """Ask the publishing site for its latest deployment, with a token of each kind, until one kind is taken.

        That kind is used from then on. It is found out here because a site that refuses a token may end the connection
        in the midst of an upload, and then nobody hears why.
        """
        *others, self._audience = self._cloud.publishing_audiences
        for audience in others:
            try:
                answer = send("GET", f"https://{app.site}/api/deployments/latest", self._account.token(audience))
            except Trouble:  # not every sign-in gives out every kind of token
                continue
            if answer.status != 401:
                self._audience = audience
                return answer
        return self.deployment(app, "latest")

    def publish(self, app: App, content: bytes) -> Answer:
        """Send a package to the app's publishing site, to be deployed as it is."""
        query = urlencode({"RemoteBuild": "false", "Deployer": "defender-submissions"})
        return send("POST", f"https://{app.site}/api/publish?{query}", self._account.token(self._audience), content)

    def deployment(self, app: App, deployment_id: str) -> Answer:
        """Ask the publishing site what became of a deployment."""
        url = f"https://{app.site}/api/deployments/{quote(deployment_id, safe='')}"
        return send("GET", url, self._account.token(self._audience))

    def graph(self, path: str) -> Answer:
        """Read from Microsoft Graph."""
        root = self._cloud.graph
        return send("GET", f"{root.rstrip('/')}/v1.0/{path}", self._account.token(root))

    def subscription_id(self) -> str:
        """Return the id of the subscription that is published to."""
        return self._account.subscription_id(self._cloud.management_audience)

    def _token(self) -> str:
        return self._account.token(self._cloud.management_audience)


def find_app(azure: Azure, group: str, name: str) -> App:
    """Return the app of that name in a resource group.

    Raises Trouble where it is not there, cannot be read, or is none that this program can publish to.
    """
    path = f"/subscriptions/{azure.subscription_id()}/resourceGroups/{group}/providers/Microsoft.Web/sites/{name}"
    try:
        answer = azure.manage("GET", path)
    except NoAnswer as error:
        raise Trouble("network", f"no answer from Azure Resource Manager: {error}", "Look at DNS and proxy.") from None
    require_right(answer, f"read {name}")
    if answer.status == 404:
        seen = f"no function app {name} in the resource group {group} of subscription {azure.subscription_id()}"
        raise Trouble("app_not_found", seen, "Deploy the resources first, or correct group, name and subscription.")
    if answer.status != 200:
        raise Trouble("azure_ill", f"reading {name}: {answer.told()}", "Run it again in a few minutes.")
    return _read(path, name, answer.json())


def require_right(answer: Answer, to_do: str) -> None:
    """Raise Trouble where Azure says that whoever is signed in may not do this."""
    if answer.status in {401, 403}:
        raise Trouble("no_right", f"Azure does not let you {to_do}: {answer.told()}", _RIGHT)


def _read(path: str, name: str, told: dict[str, Any]) -> App:
    properties = told["properties"]
    config = properties.get("functionAppConfig") or {}
    runtime = config.get("runtime") or {}
    if runtime.get("name") != "python":
        seen = f"{name} is no Python app on Flex Consumption: its runtime is {runtime or 'not told'}"
        raise Trouble("other_plan", seen, _OURS)
    return App(
        path,
        name,
        _publishing_site(properties, name),
        runtime["version"],
        properties.get("publicNetworkAccess") != "Disabled",
        _own_identity(config, told.get("identity") or {}, name),
    )


def _own_identity(config: dict[str, Any], identity: dict[str, Any], name: str) -> Identity:
    """The identity that the app runs and reads its package as; a policy of the tenant may have added others."""
    own = (config.get("deployment") or {}).get("storage", {}).get("authentication", {})
    own_id = str(own.get("userAssignedIdentityResourceId")).casefold()
    for resource_id, ids in (identity.get("userAssignedIdentities") or {}).items():
        if resource_id.casefold() == own_id:
            return Identity(ids["principalId"], ids["clientId"])
    raise Trouble("other_plan", f"{name} does not read its package as an identity of its own", _OURS)


def _publishing_site(properties: dict[str, Any], name: str) -> str:
    names = properties.get("hostNameSslStates") or []
    site = next((one["name"] for one in names if one.get("hostType") == "Repository"), None)
    if site is None:
        raise Trouble("azure_ill", f"Azure tells no publishing site of {name}", "Run it again in a few minutes.")
    return str(site)
