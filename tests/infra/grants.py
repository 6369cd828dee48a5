"""The grants of a predicted deployment: who holds which role on what.

Read from the snapshot that the Bicep compiler makes of a parameter file, never from the Bicep text. The identity's id
is not known before a deployment, so the app is whom the snapshot names by the output of the module `identity`.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.operations import Operation, Resource
from tests.infra.roles import ROLES

INFRA = Path(__file__).resolve().parents[2] / "infra"
GROUPS = ("operators", "pipelines", "administrators")
_ACCOUNT = "Microsoft.Storage/storageAccounts"
_KINDS = {
    "queueServices/default/queues": "queue",
    "tableServices/default/tables": "table",
    "blobServices/default/containers": "container",
}
_APP = re.compile(r"\[reference\(.*'identity-\{0\}'.*\.outputs\.principalId\.value\]")
_SCOPE = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/(?P<type>[^/]+/[^/]+)/(?P<resource>[^/]+)"
    r"(?:/(?P<part>\w+/default/\w+)/(?P<name>[^/]+))?"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """One role assignment; `role` is the name of one of `ROLES`."""

    who: str
    role: str
    resource: Resource
    reason: str

    def allows(self, operation: Operation) -> bool:
        """Whether this grant suffices for an operation."""
        return self.resource.covers(operation.resource) and ROLES[self.role].allows(operation.name)


def read_grants(deployment: str) -> list[Grant]:
    """The grants that `trial` or `production` would make; raises where one is for nobody or nothing that is known."""
    predicted = json.loads((INFRA / f"{deployment}.snapshot.json").read_text())["predictedResources"]
    names = {id_: who for who, id_ in group_ids(deployment).items() if id_}
    accounts = _accounts(predicted)
    found = (one for one in predicted if one["type"] == "Microsoft.Authorization/roleAssignments")
    return [_grant(one, names, accounts) for one in found]


def group_ids(deployment: str) -> dict[str, str]:
    """The object id of each group as the parameter file gives it, empty for none."""
    text = (INFRA / f"{deployment}.bicepparam").read_text()
    told = dict(re.findall(r"^param (\w+)GroupId = '([^']*)'", text, re.MULTILINE))
    return {who: told.get(who, "") for who in GROUPS}


def _accounts(predicted: list[dict[str, Any]]) -> dict[str, str]:
    """The two storage accounts by their part: the one with the queues holds the data."""
    data = {one["id"].split("/")[8] for one in predicted if one["type"] == f"{_ACCOUNT}/queueServices/queues"}
    names = {one["name"] for one in predicted if one["type"] == _ACCOUNT}
    (data_name,), (host_name,) = data, names - data
    return {data_name: "data", host_name: "host"}


def _grant(assignment: dict[str, Any], names: dict[str, str], accounts: dict[str, str]) -> Grant:
    properties = assignment["properties"]
    role_id = properties["roleDefinitionId"].rpartition("/")[2]
    (role,) = (name for name, role in ROLES.items() if role.id == role_id)
    return Grant(_who(properties, names), role, _resource(assignment["id"], accounts), properties["description"])


def _who(properties: dict[str, Any], names: dict[str, str]) -> str:
    principal, kind = properties["principalId"], properties["principalType"]
    if kind == "ServicePrincipal" and _APP.fullmatch(principal):
        return "app"
    assert kind == "Group"
    return names[principal]


def _resource(assignment_id: str, accounts: dict[str, str]) -> Resource:
    scope = _SCOPE.fullmatch(assignment_id.rpartition("/providers/Microsoft.Authorization/roleAssignments/")[0])
    assert scope, f"a grant on something wider than a resource: {assignment_id}"
    if scope["type"] == "Microsoft.Insights/components":
        return Resource("applicationInsights")
    assert scope["type"] == _ACCOUNT
    account = accounts[scope["resource"]]
    if scope["part"] is None:
        return Resource(account)
    kind = _KINDS[scope["part"]]
    return Resource(account, kind, scope["name"])
