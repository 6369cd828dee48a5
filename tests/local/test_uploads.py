"""Whoever publishes this folder with azd or Core Tools uploads the app, all of it and nothing else."""

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator

import pytest

from local.package.rules import deployed_files
from local.setup import ROOT
from tests.support.uploads import azd_uploads, func_uploads

FUNCIGNORE = (ROOT / ".funcignore").read_text()
LYING_ABOUT = (
    ".azure/trial/.env",
    ".git/config",
    ".python_packages/lib/site-packages/parcel/__init__.py",
    ".tools/azurite/package.json",
    ".venv/lib/python3.13/site-packages/parcel/__init__.py",
    ".venv/pyvenv.cfg",
    ".vscode/settings.json",
    "__pycache__/function_app.cpython-313.pyc",
    "dist/defender-submissions-0.1.0-py313.zip",
    "findings/a-finding.sh",
    "local.settings.json",
    "local.settings.production.json",
    "node_modules/parcel/index.js",
    "shared/__pycache__/settings.cpython-313.pyc",
    "shared/adapters/graph/__pycache__/mail.cpython-313.pyc",
    "shared/cli/__pycache__/feed.cpython-313.pyc",
    "tests/unit/__pycache__/test_keys.cpython-313.pyc",
)
"""What lies in a clone that somebody works in, and is none of git's."""
Uploads = Callable[[Iterable[str], str], Iterator[str]]


@pytest.fixture(scope="module")
def lying_here() -> list[str]:
    """Return what git has of this repo and what else may lie in a clone; skip the test where there is no clone."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no clone of git's")
    listed = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted({*listed.stdout.splitlines(), *LYING_ABOUT})


@pytest.mark.parametrize("uploads", [azd_uploads, func_uploads])
def test_the_app_and_nothing_else_goes_up(lying_here: list[str], uploads: Uploads) -> None:
    """Each reads `.funcignore` in its own way, and both leave what `make package` packs of this folder."""
    assert sorted(uploads(lying_here, FUNCIGNORE)) == sorted(deployed_files(ROOT))


def test_core_tools_read_patterns_at_the_start_of_a_path() -> None:
    """Why `__pycache__` stands in `.funcignore` twice: Core Tools leave out that of the root alone, git every one."""
    paths = ["__pycache__/a.pyc", "shared/__pycache__/b.pyc"]
    assert list(func_uploads(paths, "__pycache__/\n")) == ["shared/__pycache__/b.pyc"]
    assert list(azd_uploads(paths, "__pycache__/\n")) == []
    assert list(func_uploads(paths, "__pycache__/\n**/__pycache__/\n")) == []


def test_a_star_stands_for_something() -> None:
    """Core Tools leave out the settings of this machine by name; by our pattern they would not."""
    assert list(func_uploads(["local.settings.json", "local.settings.example.json"], "local.settings*.json")) == []
    assert list(func_uploads(["notes.md", "docs/notes.md", "a.md.py"], "*.md")) == ["docs/notes.md"]


def test_a_pattern_that_undoes_another_is_refused() -> None:
    """Core Tools would read it in a way of their own."""
    with pytest.raises(ValueError, match=r"!kept\.py"):
        list(func_uploads(["kept.py"], "*\n!kept.py\n"))
