"""Whether the packages beside the app were built for the Python that runs it.

A package for another Python is indexed like any other, since the triggers need no compiled module; every invocation
then fails for the want of one, and messages end in poison. Asked at import, the app does not start instead, the host
tells why, and messages wait in their queues. Invariant: what is asked costs one look for one file.
"""

from __future__ import annotations

import re
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

PACKAGES = Path(".python_packages", "lib", "site-packages")
"""Where the platform looks for what the app brings along, whoever has installed it."""
_COMPILED = "pydantic_core/_pydantic_core"
"""A module that is compiled for one version of Python and one machine, as its file's name says (PEP 3149)."""
_NAME = r"_pydantic_core\.cpython-3(\d+)-(\w+)-linux-gnu\.so"  # compiled only where something is wrong


class BuiltForAnotherPython(Exception):
    """The app must not start; the text says what to build or set."""


def require_this_python(app: Path) -> None:
    """Raise BuiltForAnotherPython where the packages beside the app in folder `app` are for another Python.

    Where there are none, as in a clone, or none that is compiled, there is nothing to ask.
    """
    compiled = app / PACKAGES / _COMPILED
    wanted = compiled.with_name(compiled.name + EXTENSION_SUFFIXES[0])
    if wanted.exists() or not wanted.parent.is_dir():
        return
    this, found = re.fullmatch(_NAME, wanted.name), _built(compiled.parent)
    if this is None or found is None:
        return
    raise BuiltForAnotherPython(
        f"the packages beside the app were built for Python 3.{found[1]} on {found[2]}, and Python 3.{this[1]} on"
        f" {this[2]} runs it: deploy what `make package PACKAGE_PYTHON=3.{this[1]}` builds, or set the parameter"
        f" pythonVersion of the deployment to 3.{found[1]}"
    )


def _built(folder: Path) -> re.Match[str] | None:
    names = sorted(path.name for path in folder.iterdir())
    return next((found for name in names if (found := re.fullmatch(_NAME, name))), None)
