"""The GitHub workflows: least rights, no secret, and nothing named that is not there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PARAMETERS = ROOT / "infra" / "main.bicepparam"
OURS = re.compile(r"(?<![\w./-])\.?(?:infra|docs|local|shared|tests|\.github)/[\w./-]*\w")
SHELLS = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
"""How GitHub starts a shell that is named; one that is not named is `bash -e` (docs.github.com, workflow syntax)."""
PACKAGE_STEPS = ("make package", "make test-package", "actions/upload-artifact@")
by_file = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)


def read(file: Path) -> dict[str, Any]:
    """Return a YAML file's content."""
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every job of every workflow, with its name."""
    for file in WORKFLOWS:
        for name, job in read(file)["jobs"].items():
            yield f"{file.name}: {name}", job


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a job's steps; none for a job that is another workflow."""
    found: list[dict[str, Any]] = job.get("steps", [])
    return found


def signs_in(job: dict[str, Any]) -> bool:
    """Tell whether a job signs in to Azure."""
    return any(step.get("uses", "").startswith("azure/login@") for step in steps(job))


def test_there_are_two_workflows() -> None:
    """One that checks and one that deploys; the rules below look at both."""
    assert [file.name for file in WORKFLOWS] == ["ci.yml", "deploy.yml"]


@by_file
def test_no_secret_is_used(file: Path) -> None:
    """Not one secret: nothing to leak, nothing to rotate."""
    assert "secrets" not in file.read_text()


def test_rights_are_the_least() -> None:
    """Only jobs that sign in to Azure may ask for an OIDC token; no job may do more than read the repository."""
    assert {file.name: read(file)["permissions"] for file in WORKFLOWS} == {
        "ci.yml": {"contents": "read"},
        "deploy.yml": {},
    }
    for name, job in jobs():
        expected = {"contents": "read", **({"id-token": "write"} if signs_in(job) else {})}
        assert job.get("permissions", {"contents": "read"}) == expected, name


def test_who_signs_in_does_so_from_an_environment() -> None:
    """Azure trusts an environment of the repository, whose reviewers approve; and the deployment has its own."""
    environments = {name: job["environment"] for name, job in jobs() if signs_in(job)}
    assert environments == {
        "deploy.yml: what-if": "${{ inputs.target }}-what-if",
        "deploy.yml: deploy": "${{ inputs.target }}",
    }


def test_nothing_is_deployed_before_it_was_tested_and_shown() -> None:
    """The deployment waits for the what-if and the package, the what-if for the tests."""
    deploy = read(ROOT / ".github" / "workflows" / "deploy.yml")
    assert deploy["jobs"]["test"]["uses"] == "./.github/workflows/ci.yml"
    assert deploy["jobs"]["what-if"]["needs"] == "test"
    assert deploy["jobs"]["deploy"]["needs"] == ["package", "what-if"]
    assert deploy["concurrency"] == {"group": "deploy-${{ inputs.target }}", "cancel-in-progress": False}


def test_a_what_if_that_fails_ends_the_workflow(tmp_path: Path) -> None:
    """Nobody approves what could not be shown: `tee` hides a failed command unless the shell is told to look."""
    az = tmp_path / "az"
    az.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    az.chmod(0o755)
    deploy = read(ROOT / ".github" / "workflows" / "deploy.yml")
    script = next(step["run"] for step in steps(deploy["jobs"]["what-if"]) if "what-if" in step.get("run", ""))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    environment |= {"RESOURCE_GROUP": "group", "PARAMETERS": "infra/main.bicepparam"}
    command = [*SHELLS[deploy["defaults"]["run"]["shell"]], "-c", script]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 3
    assert "--validation-level ProviderNoRbac" in ran.stdout  # its identity may read, and nothing else


def test_no_checkout_leaves_credentials() -> None:
    """What a later step runs finds no token in the clone's configuration."""
    checkouts = [step for _, job in jobs() for step in steps(job) if "actions/checkout@" in step.get("uses", "")]
    assert len(checkouts) == 4
    assert [step["with"] for step in checkouts] == [{"persist-credentials": False}] * 4


@by_file
def test_every_make_target_exists(file: Path) -> None:
    """A workflow calls no target that the Makefile lacks."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = set(re.findall(r"\bmake ([\w-]+)", file.read_text()))
    assert called
    assert called - targets == set()


@pytest.mark.parametrize("file", [*WORKFLOWS, ROOT / "azure.yaml"], ids=lambda file: file.name)
def test_every_path_exists(file: Path) -> None:
    """A workflow and azure.yaml name no file of ours that is not there."""
    named = set(OURS.findall(file.read_text()))
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_the_deployment_passes_every_variable_that_the_parameters_read() -> None:
    """What main.bicepparam reads arrives under its own name, in the what-if and in the deployment alike."""
    read_there = set(re.findall(r"readEnvironmentVariable\('(\w+)'", PARAMETERS.read_text()))
    assert len(read_there) > 15
    found = {name: job["env"] for name, job in jobs() if signs_in(job)}
    for name, environment in found.items():
        passed = {key for key, value in environment.items() if value == f"${{{{ vars.{key} }}}}"}
        assert passed - {"RESOURCE_GROUP"} == read_there, name


def test_every_action_is_pinned_to_a_commit() -> None:
    """A tag can be moved to other code; a commit cannot. The tag that it had stands beside it."""
    used = [line for file in WORKFLOWS for line in file.read_text().splitlines() if "uses:" in line]
    assert len(used) > 8
    pinned = re.compile(r"\s*(- )?uses: (\./\S+|[\w/-]+@[0-9a-f]{40} # v[\d.]+)")
    assert [line for line in used if not pinned.fullmatch(line)] == []


def test_what_is_published_is_what_was_tested() -> None:
    """The package's job tests what it uploads; no other step builds one, and our own program publishes it."""
    jobs_of = read(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"]
    package = [step.get("run", step.get("uses", "")) for step in steps(jobs_of["package"])]
    order = [next(i for i, ran in enumerate(package) if ran.startswith(one)) for one in PACKAGE_STEPS]
    assert order == sorted(order)
    deploy = " ".join(step.get("run", "") for step in steps(jobs_of["deploy"]))
    assert "make package" not in deploy
    assert "python3 -m local.publish --grants-made" in deploy


def test_tokens_for_publishing_are_fetched_right_after_the_sign_in(tmp_path: Path) -> None:
    """After some minutes the sign-in gives out no new kind of token; az keeps the ones that it has."""
    deploy = steps(read(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"]["deploy"])
    login = next(i for i, step in enumerate(deploy) if step.get("uses", "").startswith("azure/login@"))
    az = tmp_path / "az"
    az.write_text(
        f'#!/bin/sh\n[ "$1" != cloud ] || echo "$4"\n[ "$1" = cloud ] || echo "$5 $6" >> "{tmp_path}/asked"\n'
    )
    az.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([*SHELLS["bash"], "-c", deploy[login + 1]["run"]], env=environment, check=True)
    asked = (tmp_path / "asked").read_text().split()
    assert asked == ["--resource", "endpoints.appServiceResourceId", "--resource", "endpoints.microsoftGraphResourceId"]


@pytest.mark.parametrize(("version", "code"), [("0.47.16", 0), ("0.36.1", 1), ("0.47.160", 1)])
def test_a_bicep_of_another_version_ends_the_job(tmp_path: Path, version: str, code: int) -> None:
    """Where az takes the runner's own Bicep all the same (Azure/azure-cli, issue 32098), it compiles nothing."""
    scripts = [step["run"] for _, job in jobs() for step in steps(job) if "az bicep" in step.get("run", "")]
    assert len(scripts) == 3
    az = tmp_path / "az"
    az.write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n[ "$2" != version ] || echo "Bicep CLI version {version} (3f)"\n'
    )
    az.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/home", "GITHUB_PATH": str(tmp_path / "path")}
    for script in scripts:
        ran = subprocess.run([*SHELLS["bash"], "-c", script], env=environment, capture_output=True, check=False)
        assert ran.returncode == code
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:2] == ["config set bicep.use_binary_from_path=false", "bicep install --version v0.47.16"]


def test_zizmor_finds_nothing() -> None:
    """No injection, no credential left behind, no action that is not pinned, says the linter for workflows."""
    zizmor = Path(sys.executable).with_name("zizmor")  # requirements-dev.txt brings it
    command = [
        str(zizmor),
        "--offline",
        "--no-progress",
        "--quiet",
        "--config",
        ".github/zizmor.yml",
        ".github/workflows",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
