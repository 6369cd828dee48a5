"""Finds on this machine the programs that set-up can build on: Node.js with npm, and Pythons.

Standard library only, as set-up runs before anything is installed. Invariant: a program that is named here was run
once and answered, because version managers put names on PATH that fail when called.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

OLDEST_NODE = 20  # Azurite declares 10, but packages it needs declare 20


def find_node_on_path() -> Path | None:
    """Node.js on PATH, if it is new enough and has npm beside it; Debian packages the two apart."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or major_version(node) < OLDEST_NODE:
        return None
    return Path(node)


def major_version(node: str) -> int:
    """Return the major version that Node.js at this path states, 0 if it does not answer."""
    found = re.match(r"v(\d+)\.", ask([node, "--version"]))
    return int(found[1]) if found else 0


def find_python_313() -> Path | None:
    """Return the first Python 3.13 with pip that `find_python` knows; None if there is none."""
    return find_python("3.13", "venv", "ensurepip")


def find_python(version: str, *modules: str) -> Path | None:
    """Return the first Python of a version such as 3.12 on PATH or among pyenv's that runs and has these modules."""
    question = f"import {', '.join(('sys', *modules))}; print(*sys.version_info[:2])"
    candidates = (
        path for folder in _python_folders(version) for path in [folder / f"python{version}"] if path.exists()
    )
    return next((path for path in candidates if ask([str(path), "-c", question]).split() == version.split(".")), None)


def _python_folders(version: str) -> Iterator[Path]:
    yield from map(Path, os.get_exec_path())
    pyenv_root = os.environ.get("PYENV_ROOT") or ask(["pyenv", "root"]) or Path.home() / ".pyenv"
    yield from sorted(Path(pyenv_root).glob(f"versions/{version}.*/bin"), reverse=True)


def ask(command: Sequence[str]) -> str:
    """Run a program that only tells something; return its output without blanks around it, or "" if it fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
