"""The script that grants Graph's permissions, run for real against a stand-in for `az` that keeps a tenant."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "infra" / "scripts" / "graph-access.sh"
FAKE_AZ = Path(__file__).with_name("fake_az.py")
IDENTITY = "11111111-2222-3333-4444-555555555555"
LISTED = {row["name"]: row["id"] for row in json.loads((ROOT / "infra" / "graph-permissions.json").read_text())}
SUBMIT, ALERTS, HUNTING = "ThreatSubmission.ReadWrite.All", "SecurityAlert.Read.All", "ThreatHunting.Read.All"
MAIL_READ = {"name": "Mail.Read", "id": "810c84a8-4a9e-49e6-bf7d-12d183f40d01"}


def role(name: str, role_id: str, kind: str = "Application") -> dict[str, object]:
    """Return an app role as Graph tells it."""
    return {"value": name, "id": role_id, "allowedMemberTypes": [kind]}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant in a file, and the script run against it."""

    file: Path
    environment: dict[str, str]

    def run(self, *options: str, identity: str = IDENTITY) -> subprocess.CompletedProcess[str]:
        """Run the script; its exit code and what it printed come back."""
        command = [str(SCRIPT), "--identity", identity, *options]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def state(self) -> dict[str, Any]:
        """Return what the tenant holds now."""
        held: dict[str, Any] = json.loads(self.file.read_text())
        return held

    def change(self, **parts: object) -> None:
        """Replace parts of the tenant."""
        self.file.write_text(json.dumps({**self.state(), **parts}))

    def held(self) -> set[str]:
        """Return the names of Graph's permissions that the identity holds."""
        names = {one["id"]: one["value"] for one in self.state()["graph"]["appRoles"]}
        return {names[one["appRoleId"]] for one in self.state()["assignments"] if one["appRoleId"] in names}

    def changes(self) -> list[str]:
        """Return the method of every call that was no GET."""
        return [method for method, _path in self.state()["calls"] if method != "get"]

    def give(self, role_id: str, resource: str = "Microsoft Graph") -> None:
        """Let the identity hold one more permission, granted by somebody else."""
        resource_id = self.state()["graph"]["id"] if resource == "Microsoft Graph" else "another"
        assignment = {"id": "by-hand", "appRoleId": role_id, "resourceId": resource_id, "resourceDisplayName": resource}
        self.change(assignments=[*self.state()["assignments"], assignment])


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    """Return a tenant whose identity holds nothing, and `az` on PATH that answers for it."""
    file = tmp_path / "tenant.json"
    roles = [role(MAIL_READ["name"], MAIL_READ["id"]), *(role(name, one) for name, one in LISTED.items())]
    delegated = role(SUBMIT, "8458e264-4eb9-4922-abe9-768d58f13c7f", "User")
    graph = {"id": "99999999-8888-7777-6666-555555555555", "appRoles": [delegated, *roles]}
    identity = {"id": IDENTITY, "displayName": "id-submissions", "servicePrincipalType": "ManagedIdentity"}
    file.write_text(json.dumps({"identity": identity, "graph": graph, "assignments": [], "calls": []}))
    az = tmp_path / "bin" / "az"
    az.parent.mkdir()
    az.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_AZ}" "{file}" "$@"\n')
    az.chmod(0o755)
    return Tenant(file, {**os.environ, "PATH": f"{az.parent}:{os.environ['PATH']}"})


def test_what_if_prints_the_grants_and_makes_none(tenant: Tenant) -> None:
    """A dry run names each grant that a real run would make, and only reads."""
    ran = tenant.run("--with-alerts", "--what-if")
    assert ran.returncode == 0, ran.stderr
    assert f"grant    {SUBMIT} ({LISTED[SUBMIT]})" in ran.stdout
    assert f"grant    {ALERTS}" in ran.stdout
    assert f"not now  {HUNTING}: only HUNTING_QUERY needs it" in ran.stdout
    assert "Nothing was changed" in ran.stdout
    assert tenant.changes() == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {SUBMIT}),
        (["--with-alerts"], {SUBMIT, ALERTS}),
        (["--with-hunting"], {SUBMIT, HUNTING}),
        (["--with-alerts", "--with-hunting"], {SUBMIT, ALERTS, HUNTING}),
    ],
)
def test_a_run_grants_what_the_settings_need(tenant: Tenant, options: list[str], expected: set[str]) -> None:
    """Without options the one permission that is always needed; each option adds that of its setting."""
    ran = tenant.run(*options)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert tenant.held() == expected
    assert {(one["principalId"], one["resourceId"]) for one in tenant.state()["assignments"]} == {
        (IDENTITY, tenant.state()["graph"]["id"])
    }


def test_a_second_run_changes_nothing(tenant: Tenant) -> None:
    """What is held is left alone."""
    assert tenant.run("--with-hunting").returncode == 0
    tenant.change(calls=[])
    ran = tenant.run("--with-hunting")
    assert ran.returncode == 0
    assert f"held     {SUBMIT}" in ran.stdout
    assert tenant.changes() == []


def test_undo_removes_what_is_listed_and_nothing_else(tenant: Tenant) -> None:
    """Undo takes back the listed permissions, whichever are held; a dry run of it takes none."""
    tenant.give("some-other-role", "Some other API")
    tenant.run("--with-alerts")
    assert f"remove   {SUBMIT}" in tenant.run("--undo", "--what-if").stdout
    assert tenant.held() == {SUBMIT, ALERTS}
    ran = tenant.run("--undo")
    assert ran.returncode == 0
    assert f"not held {HUNTING}" in ran.stdout
    assert [one["appRoleId"] for one in tenant.state()["assignments"]] == ["some-other-role"]


def test_another_id_in_the_tenant_is_refused(tenant: Tenant) -> None:
    """When the tenant tells another id for a listed name, not even the other permissions are granted."""
    graph = tenant.state()["graph"]
    others = [one for one in graph["appRoles"] if one["value"] != HUNTING]
    tenant.change(graph={**graph, "appRoles": [*others, role(HUNTING, "926a6798-0000-0000-0000-000000000000")]})
    ran = tenant.run("--with-hunting")
    assert ran.returncode == 1
    assert f"{HUNTING} (for HUNTING_QUERY) is 926a6798-0000-0000-0000-000000000000 in this tenant" in ran.stderr
    assert tenant.changes() == []


def test_an_unknown_name_is_refused(tenant: Tenant) -> None:
    """A permission that the tenant knows only as a delegated one is no application permission."""
    graph = tenant.state()["graph"]
    delegated = [one for one in graph["appRoles"] if one["allowedMemberTypes"] == ["User"]]
    tenant.change(graph={**graph, "appRoles": delegated})
    ran = tenant.run()
    assert ran.returncode == 1
    assert f"{SUBMIT} (for always) is unknown in this tenant" in ran.stderr
    assert tenant.changes() == []


@pytest.mark.parametrize(
    ("role_id", "resource", "named"),
    [
        (MAIL_READ["id"], "Microsoft Graph", "holds Mail.Read in Entra"),
        ("dc890d15-9560-4a4c-9b7f-a736ec74ec40", "Office 365 Exchange Online", "holds Office 365 Exchange Online in"),
    ],
)
def test_a_permission_on_every_mailbox_is_an_alarm(tenant: Tenant, role_id: str, resource: str, named: str) -> None:
    """The rest is done, but the script fails with a code of its own and the command that removes the permission."""
    tenant.give(role_id, resource)
    ran = tenant.run()
    assert ran.returncode == 3
    assert named in ran.stderr
    assert f"--method delete --url https://graph.microsoft.com/v1.0/servicePrincipals/{IDENTITY}" in ran.stderr
    assert "appRoleAssignments/by-hand" in ran.stderr
    assert SUBMIT in tenant.held()


def test_an_identity_of_another_tenant_is_an_error(tenant: Tenant) -> None:
    """An object id that the tenant does not know ends the run and says what may be wrong."""
    ran = tenant.run(identity="00000000-2222-3333-4444-555555555555")
    assert ran.returncode == 1
    assert "is it the object id, and is az signed in to the app's tenant?" in ran.stderr


@pytest.mark.parametrize("options", [["--identity"], ["--identity", "my-app"], ["--force"], []])
def test_a_wrong_option_shows_the_usage(tenant: Tenant, options: list[str]) -> None:
    """No GUID, an option without its value, an unknown one: usage, exit code 2, and not one call."""
    ran = subprocess.run(
        [str(SCRIPT), *options], env=tenant.environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert ran.returncode == 2
    assert "Usage: graph-access.sh --identity OBJECT_ID" in ran.stderr
    assert tenant.state()["calls"] == []
