"""Byte code for the deployed modules, made before deployment by a Python of the same version.

Without it in the package, each new instance would compile every module again before it serves its first message.
Invariant: the byte code is never checked against its source, as both come in one zip; a Python of another version
ignores it by its name.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local.package.rules import PackageError
from local.programs import find_python

DEPLOYED_AT = "/home/site/wwwroot"
"""Where the platform puts the app; tracebacks name its files there."""


def find_interpreter(python_version: str) -> Path | None:
    """Return a Python of that version on this machine, None if there is none."""
    if python_version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    return find_python(python_version)


def compile_folder(folder: Path, python: Path) -> None:
    """Write the byte code of every module below `folder` beside it.

    Raises PackageError where one does not compile.
    """
    compileall = ["-S", "-P", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command = [str(python), *compileall, "-s", str(folder), "-p", DEPLOYED_AT, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(f"not every module compiles with {python}:\n{done.stdout}{done.stderr}")
