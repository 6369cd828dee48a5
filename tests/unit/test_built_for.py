"""Packages for another Python are named before anything of them is needed."""

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from shared.built_for import PACKAGES, BuiltForAnotherPython, require_this_python

OWN = EXTENSION_SUFFIXES[0]
VERSION = f"3.{sys.version_info.minor}"
ON_LINUX = pytest.mark.skipif("-linux-gnu" not in OWN, reason="the app is deployed on Linux")


def put(app: Path, *names: str) -> None:
    """Put files where the compiled module lies in a package."""
    folder = app / PACKAGES / "pydantic_core"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def test_a_clone_has_no_packages_beside_it(tmp_path: Path) -> None:
    """Nothing was deployed with the app, so nothing can be for another Python."""
    require_this_python(tmp_path)


@pytest.mark.parametrize("names", [(), ("__init__.py",), (f"_pydantic_core{OWN}",), ("_pydantic_core.abi3.so",)])
def test_what_any_python_loads_passes(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Modules of this Python, and packages without a module that is compiled for one version."""
    put(tmp_path, *names)
    require_this_python(tmp_path)


def test_built_for_several_one_of_which_runs(tmp_path: Path) -> None:
    """What is there besides does no harm."""
    put(tmp_path, "_pydantic_core.cpython-39-x86_64-linux-gnu.so", f"_pydantic_core{OWN}")
    require_this_python(tmp_path)


@ON_LINUX
def test_another_version_says_what_to_build_or_set(tmp_path: Path) -> None:
    """The error names both versions and both ways out."""
    put(tmp_path, "__init__.py", "_pydantic_core.cpython-39-x86_64-linux-gnu.so")
    with pytest.raises(BuiltForAnotherPython) as caught:
        require_this_python(tmp_path)
    for words in (
        "built for Python 3.9 on x86_64",
        f"and Python {VERSION} on",
        f"`make package PACKAGE_PYTHON={VERSION}`",
        "pythonVersion of the deployment to 3.9",
    ):
        assert words in str(caught.value)


@ON_LINUX
def test_another_machine_is_named_too(tmp_path: Path) -> None:
    """The same version for another processor loads no better."""
    put(tmp_path, f"_pydantic_core.cpython-3{sys.version_info.minor}-sparc64-linux-gnu.so")
    with pytest.raises(BuiltForAnotherPython, match=f"built for Python {VERSION} on sparc64"):
        require_this_python(tmp_path)
