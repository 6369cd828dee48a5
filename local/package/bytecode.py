"""Byte code for the deployed modules, made before deployment by a Python of the same version.

Without it in the package, each new instance would compile every module again before it serves its first message.
Invariant: the byte code is never checked against its source, as both come in one zip; a Python of another version
ignores it by its name.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local.package.rules import PackageError
from local.programs import ask
from local.setup import worker_python

DEPLOYED_AT = "/home/site/wwwroot"
"""Where the platform puts the app; tracebacks name its files there."""


def find_interpreter(python_version: str) -> Path | None:
    """Return a Python of that version on this machine, None if there is none."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    candidates = _candidates(python_version)
    return next((path for path in candidates if ask([str(path), "-c", question]) == python_version), None)


def _candidates(python_version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    if python := worker_python():
        yield python
    if found := shutil.which(f"python{python_version}"):
        yield Path(found)


def compile_folder(folder: Path, python: Path) -> None:
    """Write the byte code of every module below `folder` beside it.

    Raises PackageError where one does not compile.
    """
    compileall: list[str | Path] = [
        python,
        "-S",
        "-P",
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    command = [*compileall, "-s", folder, "-p", DEPLOYED_AT, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(f"not every module compiles with {python}:\n{done.stdout}{done.stderr}")
