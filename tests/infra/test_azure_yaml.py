"""azure.yaml keeps the rules that azd documents, and each of its hooks does what it is for, on POSIX and in PowerShell.

azd itself is not run here. Its rules are those of github.com/Azure/azure-dev: schemas/v1.0/azure.yaml.json, and of
cli/azd/pkg the files ext/models.go (how a hook becomes a script), ext/hooks_manager.go (which part of it counts) and
project/project_utils.go (which files of a folder are deployed).
"""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.azure_stand_in import APP, GROUP, AzureStandIn, AzureState
from tests.infra.publishing import PERMISSIONS, SUBMIT, functions, write_az, write_package, write_program

ROOT = Path(__file__).resolve().parents[2]
AZURE: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text())
HOOKS: dict[str, Any] = AZURE["hooks"]
PWSH = shutil.which("pwsh")
NAMES = {
    f"{when}{event}"
    for when in ("pre", "post")
    for event in ("provision", "infracreate", "infradelete", "down", "up", "package", "publish", "deploy", "restore")
}
KEYS_OF_A_HOOK = {
    "shell",
    "kind",
    "dir",
    "run",
    "continueOnError",
    "interactive",
    "windows",
    "posix",
    "secrets",
    "config",
}
LANGUAGES = {"dotnet", "csharp", "fsharp", "py", "python", "js", "ts", "java", "go", "golang", "docker"}
FIRST_WITH_REMOTE_BUILD = (1, 23, 5)
"""azd's release notes, pull request 6748."""
WITHOUT_A_PART_FOR_IMAGES = {"image", "docker", "k8s", "apiVersion", "env"}


def amiss_in(azure: dict[str, Any]) -> list[str]:
    """Return what azd's schema says against an azure.yaml: only for the parts that ours has."""
    found = list(amiss_in_services(azure.get("services", {})))
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", azure.get("name", "")):
        found.append("name")
    found += [f"unknown hook {name}" for name in azure.get("hooks", {}).keys() - NAMES]
    for name, hook in azure.get("hooks", {}).items():
        found += [f"{name}: {what}" for what in amiss_in_hook(hook)]
    workflows = azure.get("workflows", {})
    if workflows.keys() - {"up"} or not all(set(step) == {"azd"} for step in workflows["up"]["steps"]):
        found.append("workflows")
    if azure["requiredVersions"].keys() - {"azd", "extensions"}:
        found.append("requiredVersions")
    return found


def amiss_in_services(services: dict[str, Any]) -> Iterator[str]:
    """Yield what the schema says against services that are function apps."""
    for name, service in services.items():
        if service.get("host") != "function" or "project" not in service:
            yield f"{name}: a function needs host and project"
        if service.keys() & WITHOUT_A_PART_FOR_IMAGES:
            yield f"{name}: not for functions"
        if service.get("language") not in LANGUAGES:
            yield f"{name}: language"
        if not isinstance(service.get("remoteBuild", False), bool):
            yield f"{name}: remoteBuild"


def amiss_in_hook(hook: dict[str, Any]) -> Iterator[str]:
    """Yield what azd says against a hook, on whichever system it runs."""
    if hook.keys() - KEYS_OF_A_HOOK:
        yield "unknown key"
    parts = [hook[system] for system in ("posix", "windows") if system in hook]
    if len(parts) == 2 and hook.keys() - {"posix", "windows"}:
        yield "nothing may stand beside both parts"
    if len(parts) == 1 and "run" not in hook:
        yield "run is always required"  # on the other system
    for part in parts or [hook]:
        if "run" not in part:
            yield "run is always required"
        elif part.get("shell") not in {"sh", "pwsh"} and not (ROOT / part["run"]).is_file():
            yield "an inline script needs its shell"


def test_azure_yaml_keeps_azd_s_rules() -> None:
    """Nothing in it that the schema forbids, nothing missing that it asks for."""
    assert AZURE.keys() <= {"name", "infra", "services", "hooks", "requiredVersions", "workflows"}
    assert amiss_in(AZURE) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"hooks": {"postprovision": {"posix": {"shell": "sh", "run": "true"}}}},
            "postprovision: run is always required",
        ),
        ({"hooks": {"predeploy": {**HOOKS["predeploy"], "interactive": True}}}, "predeploy: nothing may stand beside"),
        ({"hooks": {"beforedeploy": HOOKS["predeploy"]}}, "unknown hook beforedeploy"),
        ({"hooks": {"predeploy": {"run": "true"}}}, "predeploy: an inline script needs its shell"),
        ({"services": {"app": {"host": "function", "language": "py"}}}, "app: a function needs host and project"),
        ({"services": {"app": {**AZURE["services"]["app"], "remoteBuild": "no"}}}, "app: remoteBuild"),
        ({"name": "Defender"}, "name"),
    ],
)
def test_a_broken_azure_yaml_is_found(change: dict[str, Any], expected: str) -> None:
    """The rules above find what azd would refuse, a hook for POSIX alone among it."""
    assert any(one.startswith(expected) for one in amiss_in({**AZURE, **change}))


def test_azd_finds_the_app_and_the_infrastructure() -> None:
    """It names main.bicep and one function app, whose Bicep carries the tag that azd looks for."""
    assert AZURE["infra"] == {"provider": "bicep", "path": "infra", "module": "main"}
    assert (ROOT / "infra" / "main.bicep").is_file()
    assert list(AZURE["services"]) == ["app"]
    assert "'azd-service-name': 'app'" in (ROOT / "infra" / "modules" / "app.bicep").read_text()


def test_azd_never_builds_the_app() -> None:
    """It deploys the folder as it is, and a version that would build it all the same refuses azure.yaml."""
    assert AZURE["services"]["app"] == {
        "project": "dist/azd",
        "language": "py",
        "host": "function",
        "remoteBuild": False,
    }
    oldest = re.fullmatch(r">= (\d+)\.(\d+)\.(\d+)", AZURE["requiredVersions"]["azd"])
    assert oldest
    assert tuple(map(int, oldest.groups())) >= FIRST_WITH_REMOTE_BUILD


def test_what_is_published_is_chosen_after_the_app_is_there() -> None:
    """`azd up` provisions first: the app tells its Python, and its identity whether the grants are made."""
    assert AZURE["workflows"]["up"]["steps"] == [{"azd": "provision"}, {"azd": "deploy --all"}]


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_does_the_same_on_both_systems(name: str) -> None:
    """One program is run either way; what it prints stays on the screen, and a failure ends azd."""
    posix, windows = HOOKS[name]["posix"], HOOKS[name]["windows"]
    assert posix["run"].removeprefix("python3 ") in windows["run"]
    assert (posix["shell"], windows["shell"]) == ("sh", "pwsh")
    for part in (posix, windows):
        # What a hook prints stays on the screen only so (Azure/azure-dev, issues 1551 and 6206).
        assert part["interactive"] is True
        assert "continueOnError" not in part


@dataclass(frozen=True)
class Clone:
    """A clone as azd would run its hooks in, and the Azure that they see."""

    folder: Path
    state: AzureState
    environment: dict[str, str]

    def run(self, name: str, system: str) -> subprocess.CompletedProcess[str]:
        """Run a hook's part for a system as azd does: as a script, from the folder of azure.yaml."""
        part = HOOKS[name][system]
        script = self.folder / ("hook.ps1" if part["shell"] == "pwsh" else "hook.sh")
        script.write_text(part["run"] if part["shell"] == "pwsh" else f"#!/bin/sh\nset -e\n{part['run']}\n")
        command = [str(PWSH), str(script)] if part["shell"] == "pwsh" else ["/bin/sh", str(script)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=100, check=False
        )

    def deployed(self) -> dict[str, bytes]:
        """Return what azd would deploy of the service's folder: all but .funcignore, which names nothing here."""
        folder = self.folder / AZURE["services"]["app"]["project"]
        rules = (folder / ".funcignore").read_text().splitlines()
        assert [rule for rule in rules if rule and not rule.startswith("#")] == []
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".funcignore")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def clone(azure: AzureStandIn, tmp_path: Path) -> Clone:
    """Return a clone with a package, in an azd environment that was provisioned; no grant is made yet."""
    azure.state.functions = [functions()]
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "local" / "publish", folder / "local" / "publish", ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("local/__init__.py", "infra/graph-permissions.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    write_package(folder / "dist" / "app-py313.zip")
    write_az(tmp_path, azure)
    for name in ("python", "python3"):
        write_program(tmp_path / "bin", name)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SSL_CERT_FILE": str(azure.certificate),
        "AZURE_RESOURCE_GROUP": GROUP,
        "functionAppName": APP,
        "tableServiceUri": "https://data.table.core.windows.net",
        "identityPrincipalId": "the-object-id",
        "identityClientId": "the-client-id",
        "REPORTING_MAILBOXES": "a@contoso.com/x",
    }
    return Clone(folder, azure.state, environment)


systems = pytest.mark.parametrize(
    "system",
    [
        "posix",
        pytest.param(
            "windows",
            marks=pytest.mark.skipif(PWSH is None, reason="NOT RUN: the hooks' parts for Windows, no pwsh is on PATH"),
        ),
    ],
)


@systems
def test_after_provisioning_the_grants_are_printed(clone: Clone, system: str) -> None:
    """The commands to copy are whole: ids, mailboxes, and the options of the sources that are switched on."""
    clone.environment.update({"DEFENDER_ALERTS": "on", "HUNTING_QUERY": "T"})
    ran = clone.run("postprovision", system)
    assert ran.returncode == 0, ran.stderr
    assert "graph-access.sh --identity the-object-id --with-alerts --with-hunting\n" in ran.stdout
    assert "-AppId the-client-id `\n     -ObjectId the-object-id `\n" in ran.stdout
    assert "-ReportingMailbox 'a@contoso.com/x'" in ran.stdout
    for name in ("graph-access.sh", "exchange-access.ps1"):
        assert (ROOT / "infra" / "scripts" / name).is_file()
        assert f"infra/scripts/{name}" in ran.stdout


@systems
def test_where_reporters_are_answered_their_mailbox_is_granted_too(clone: Clone, system: str) -> None:
    """With its address; otherwise the command says nothing of it."""
    assert "-FeedbackMailbox" not in clone.run("postprovision", system).stdout
    clone.environment.update({"REPORTER_FEEDBACK": "verdict", "FEEDBACK_MAILBOX": "answers@contoso.com"})
    ran = clone.run("postprovision", system)
    assert "-ControlMailbox 'SOMEBODY_ELSE' `\n     -FeedbackMailbox 'answers@contoso.com'\n" in ran.stdout


@systems
def test_the_first_azd_up_stops_before_it_publishes_and_the_second_does_not(clone: Clone, system: str) -> None:
    """Without grants nothing is laid out for azd; with them it is the package, whole, and at last all is listed."""
    first = clone.run("predeploy", system)
    assert first.returncode == 1
    assert f"STOPPED grants_missing: the app's identity lacks {SUBMIT}" in first.stderr
    assert not (clone.folder / "dist" / "azd").exists()
    clone.state.roles = [PERMISSIONS[SUBMIT]]
    second = clone.run("predeploy", system)
    assert second.returncode == 0, second.stderr
    with zipfile.ZipFile(clone.folder / "dist" / "app-py313.zip") as package:
        assert clone.deployed() == {name: package.read(name) for name in package.namelist()}
    last = clone.run("postdeploy", system)
    assert last.returncode == 0, last.stderr
    assert "listed " in last.stdout
    assert "--table-service-uri https://data.table.core.windows.net" in last.stdout


@systems
def test_a_hook_that_fails_ends_azd(clone: Clone, system: str) -> None:
    """A package for another Python is refused by `azd package` and `azd deploy`; no Python at all is no success."""
    clone.state.python_version, clone.state.roles = "3.12", [PERMISSIONS[SUBMIT]]
    for name in ("prepackage", "predeploy", "postdeploy"):
        ran = clone.run(name, system)
        assert (ran.returncode, "STOPPED package_missing: " in ran.stderr) == (1, True), name
    clone.environment["PATH"] = "/nowhere"
    assert clone.run("predeploy", system).returncode != 0


def test_the_next_steps_are_told_without_ids(clone: Clone) -> None:
    """Run by hand, with nothing set, it prints what to fill in; a source that is off adds no option."""
    clone.environment.update({"DEFENDER_ALERTS": "off", "HUNTING_QUERY": ""})
    for name in ("identityPrincipalId", "identityClientId"):
        del clone.environment[name]
    printed = clone.run("postprovision", "posix").stdout
    assert "--identity OBJECT_ID\n" in printed
    assert "-AppId CLIENT_ID" in printed
    assert "--with" not in printed
