"""The two Bicep files that no snapshot covers: main.bicepparam, which reads the environment, and graph/main.bicep.

Both with the real compiler. What graph/main.bicep takes from the Microsoft Graph extension, which no offline machine
has, is put in as a parameter, so that everything else of the file is compiled and evaluated as it stands.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
LISTED = json.loads((INFRA / "graph-permissions.json").read_text())
IDENTITY = "11111111-2222-3333-4444-555555555555"
BICEP = shutil.which("bicep")
needs_bicep = pytest.mark.skipif(BICEP is None, reason="NOT RUN: no Bicep compiler on PATH")


def run_bicep(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the compiler with these environment variables and none that our parameters read."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run([str(BICEP), *arguments], env=kept | variables, capture_output=True, text=True, check=False)


def parameters(**variables: str) -> dict[str, Any]:
    """Return the value of each parameter of main.bicepparam under these environment variables."""
    ran = run_bicep("build-params", str(INFRA / "main.bicepparam"), "--stdout", **variables)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(json.loads(ran.stdout)["parametersJson"])["parameters"]
    return {name: held["value"] for name, held in found.items()}


def defaults() -> dict[str, Any]:
    """Return the default of each parameter of main.bicep that has one; the others may be null."""
    ran = run_bicep("build", str(INFRA / "main.bicep"), "--stdout")
    found = json.loads(ran.stdout)["parameters"]
    return {name: one["defaultValue"] for name, one in found.items() if "defaultValue" in one}


@needs_bicep
def test_without_variables_the_defaults_hold() -> None:
    """Nothing set leaves every default of main.bicep, but for the mode: nobody goes live by forgetting a variable."""
    unset = parameters()
    assert unset.pop("submissionMode") == "shadow"
    refused = (unset.pop("reportingMailboxes"), unset.pop("tenantDomains"), unset.pop("simulationMarks"))
    assert refused == ([], [], ""), "what main.bicep refuses"
    known = defaults()
    assert unset == {name: known.get(name) for name in unset}


@needs_bicep
def test_an_empty_variable_is_none() -> None:
    """A variable of GitHub that nobody set arrives as an empty one."""
    names = re.findall(r"readEnvironmentVariable\('(\w+)'", (INFRA / "main.bicepparam").read_text())
    assert parameters(**dict.fromkeys(names, "")) == parameters()


@needs_bicep
def test_variables_arrive_in_their_types() -> None:
    """Lists are split at commas, numbers and switches are no texts."""
    told = parameters(
        REPORTING_MAILBOXES=" a@contoso.com/reports, b@contoso.com ,",
        SUBMISSION_MODE="live",
        EVIDENCE_DAYS="7",
        PRIVATE_NETWORKING="true",
    )
    assert told["reportingMailboxes"] == ["a@contoso.com/reports", "b@contoso.com"]
    assert (told["submissionMode"], told["evidenceDays"], told["privateNetworking"]) == ("live", 7, True)


@needs_bicep
@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"TENANT_DOMAINS": "contoso.com"}, "reportingMailboxes"),
        ({"TENANT_DOMAINS": "contoso.com", "REPORTING_MAILBOXES": "a@contoso.com", "SUBMISSION_MODE": "Live"}, "Live"),
    ],
)
def test_a_deployment_refuses_what_is_missing_or_wrong(tmp_path: Path, variables: dict[str, str], named: str) -> None:
    """No mailbox, or a mode that does not exist, ends the deployment before it begins."""
    shutil.copytree(INFRA, tmp_path / "infra")
    shutil.copy(ROOT / "host.json", tmp_path)
    ran = run_bicep("snapshot", str(tmp_path / "infra" / "main.bicepparam"), "--mode", "overwrite", **variables)
    assert ran.returncode != 0
    assert named in ran.stderr
    assert "is not valid" in ran.stderr or "not part of the allowed value" in ran.stderr


def without_extension(text: str) -> str:
    """Return graph/main.bicep with Graph as a parameter, and what it would assign as an output."""
    text = text.replace("extension microsoftGraphV1\n", "param graph object\n")
    text = re.sub(r"@description\([^\n]*\)\nresource graph '[^}]*\}\n", "", text)
    return text.replace(
        "resource assignments 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [", "output assigned array = ["
    )


def grant(folder: Path, roles: Iterable[dict[str, Any]], **switches: bool) -> subprocess.CompletedProcess[str]:
    """Predict, in grant.snapshot.json, what graph/main.bicep assigns in a tenant whose Graph has these roles."""
    (folder / "graph").mkdir()
    shutil.copy(INFRA / "graph-permissions.json", folder)
    (folder / "graph" / "main.bicep").write_text(without_extension((INFRA / "graph" / "main.bicep").read_text()))
    given = {"identityPrincipalId": IDENTITY, "graph": {"id": "the-graph", "appRoles": list(roles)}, **switches}
    lines = [f"param {name} = json('{json.dumps(value)}')" for name, value in given.items()]
    file = folder / "graph" / "grant.bicepparam"
    file.write_text("\n".join(["using 'main.bicep'", *lines, ""]))
    return run_bicep("snapshot", str(file), "--mode", "overwrite")


def as_role(row: dict[str, str], **changes: object) -> dict[str, object]:
    """Return a row of graph-permissions.json as Graph tells the role."""
    return {"value": row["name"], "id": row["id"], "allowedMemberTypes": ["Application"], **changes}


@needs_bicep
@pytest.mark.parametrize(
    ("switches", "wanted"),
    [
        ({}, {"always"}),
        ({"withAlerts": True}, {"always", "DEFENDER_ALERTS"}),
        ({"withHunting": True}, {"always", "HUNTING_QUERY"}),
    ],
)
def test_bicep_grants_what_the_settings_need(tmp_path: Path, switches: dict[str, bool], wanted: set[str]) -> None:
    """One assignment for each row that is asked for, of the application role and not of its delegated namesake."""
    delegated = [as_role(row, id="0", allowedMemberTypes=["User"]) for row in LISTED]
    ran = grant(tmp_path, [*delegated, *map(as_role, LISTED)], **switches)
    assert ran.returncode == 0, ran.stderr
    assigned = json.loads((tmp_path / "graph" / "grant.snapshot.json").read_text())["outputs"]["assigned"]
    assert assigned == [
        {"appRoleId": row["id"], "principalId": IDENTITY, "resourceId": "the-graph"}
        for row in LISTED
        if row["when"] in wanted
    ]


@needs_bicep
@pytest.mark.parametrize("changes", [{"id": "another"}, {"value": "Another.Name"}, {"allowedMemberTypes": ["User"]}])
def test_bicep_refuses_a_role_that_is_another_here(tmp_path: Path, changes: dict[str, object]) -> None:
    """A name that the tenant does not know, or knows by another id, fails the deployment."""
    ran = grant(tmp_path, [as_role(row, **changes) for row in LISTED])
    assert ran.returncode != 0
    assert "can't be evaluated" in ran.stderr
