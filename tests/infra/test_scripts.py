"""Every shell script passes shellcheck and can be run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [
    ROOT / ".ci" / "run",
    *sorted((ROOT / "findings").glob("*.sh")),
    *sorted((ROOT / "infra" / "scripts").glob("*.sh")),
]


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
