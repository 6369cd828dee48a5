"""Every shell script passes shellcheck and can be run; the last of a deployment prints the commands that are left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / ".ci" / "run", *sorted((ROOT / "infra" / "scripts").glob("*.sh"))]
NEXT_STEPS = ROOT / "infra" / "scripts" / "next-steps.sh"
OUTPUTS = {"identityPrincipalId": "the-object-id", "identityClientId": "the-client-id"}


def test_no_shell_script_is_overlooked() -> None:
    """Whatever begins as a shell script and is the repo's own is on the list."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    files = [ROOT / name for name in tracked.stdout.splitlines()]
    shells = (b"#!/bin/sh\n", b"#!/usr/bin/env bash\n", b"#!/bin/bash\n")
    assert [file for file in files if file.is_file() and file.read_bytes().startswith(shells)] == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    """Not even a remark on style."""
    shellcheck = Path(sys.executable).with_name("shellcheck")  # requirements-dev.txt brings it
    command = [str(shellcheck), "--severity=style", "--external-sources", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_can_be_run(script: Path) -> None:
    """Each may be started by its name."""
    assert os.access(script, os.X_OK)


def next_steps(**variables: str) -> str:
    """Return what the script prints with these variables and no other."""
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run([str(NEXT_STEPS)], env=environment, capture_output=True, text=True, check=True).stdout


def test_the_next_steps_carry_the_ids() -> None:
    """The commands to copy are whole: ids, mailboxes, and the options of the sources that are switched on."""
    printed = next_steps(**OUTPUTS, REPORTING_MAILBOXES="a@contoso.com/x", DEFENDER_ALERTS="on", HUNTING_QUERY="T")
    assert "graph-access.sh --identity the-object-id --with-alerts --with-hunting\n" in printed
    assert "-AppId the-client-id `\n     -ObjectId the-object-id `\n" in printed
    assert "-ReportingMailbox 'a@contoso.com/x'" in printed
    assert "Organization Management and, for -SecOpsMailbox, Security Administrator" in printed
    assert "--with" not in next_steps(**OUTPUTS, DEFENDER_ALERTS="off", HUNTING_QUERY="").replace("--what-if", "")
    for name in ("graph-access.sh", "exchange-access.ps1"):
        assert (NEXT_STEPS.with_name(name)).is_file()
        assert f"infra/scripts/{name}" in printed


def test_the_next_steps_are_told_without_ids() -> None:
    """Run by hand, with nothing set, it prints what to fill in."""
    printed = next_steps()
    assert "--identity OBJECT_ID\n" in printed
    assert "-AppId CLIENT_ID" in printed
