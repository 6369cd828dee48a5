"""The command line, installed as docs/operators.md says, from a clone's own files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.package.rules import deployed_files
from tests.support.command_line import ROOT

OPERATORS = (ROOT / "docs" / "operators.md").read_text()
PARTS = (
    "shared",
    "local",
    "function_app.py",
    "host.json",
    "requirements.txt",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what an installation needs of a clone."""
    folder = tmp_path_factory.mktemp("clone")
    for name in (*PARTS, ".funcignore"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, clone: Path) -> Path:
    """Return the home folder of a person who has typed the page's first lines."""
    home = tmp_path_factory.mktemp("home")
    block = next(one for one in re.findall(r"^```sh\n(.*?)^```$", OPERATORS, re.MULTILINE | re.DOTALL) if "pip" in one)
    lines = [line for line in block.splitlines() if re.search(r"-m venv|bin/pip install", line)]
    assert len(lines) == 2
    script = "set -e\n" + "\n".join(lines).replace("python3 -m venv", f"{sys.executable} -m venv")
    subprocess.run(["/bin/bash", "-c", script.replace("~", str(home))], cwd=clone, check=True, capture_output=True)
    return home


def test_the_installed_command_runs(home: Path, tmp_path: Path) -> None:
    """It needs nothing of the clone, and tells its commands."""
    command = home / "submissions" / "bin" / "submissions"
    done = subprocess.run([command, "--help"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "submit" in done.stdout
    listed = subprocess.run([command, "list", "--help"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "--since" in listed.stdout


def test_it_takes_no_name_but_its_own(home: Path) -> None:
    """Of the clone's folders there is one package, under the name of the project."""
    [packages] = (home / "submissions" / "lib").glob("python*/site-packages")
    assert (packages / "defender_submissions" / "cli" / "__main__.py").exists()
    assert [name for name in ("shared", "local", "tests", "build") if (packages / name).exists()] == []


def test_what_pip_leaves_in_the_clone_is_not_deployed(home: Path, clone: Path) -> None:
    """The deployment package is built of the same files before and after."""
    assert home.exists()
    for name in ("build/lib/defender_submissions/telemetry.py", "defender_submissions.egg-info/PKG-INFO"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    assert sorted(deployed_files(clone)) == sorted(deployed_files(ROOT))
