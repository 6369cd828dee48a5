"""Imports that import-linter cannot judge: those of a lone file, and everything that is not the standard library."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source_code import PACKAGE, ROOT, nodes

APP = ROOT / "function_app.py"
CORE = sorted((ROOT / "shared" / "domain").glob("*.py"))


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in it."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            within = (*above, *([node.module] if node.module else []))
            yield from (".".join([*within, alias.name]) for alias in node.names)


@pytest.mark.parametrize("file", CORE, ids=lambda file: file.name)
def test_the_core_needs_the_standard_library_alone(file: Path) -> None:
    """`shared.domain` imports itself and what comes with Python."""
    outside = {name for name in imported_modules(file) if not name.startswith("shared.domain")}
    assert {name for name in outside if name.split(".")[0] not in sys.stdlib_module_names} == set()


def test_the_app_file_only_wires() -> None:
    """`function_app.py` decodes and wires: of ours it knows no store, use case or adapter."""
    ours = {name for name in imported_modules(APP) if name.startswith("shared")}
    wiring = ("bootstrap", "built_for", "codecs", "doctor.in_app", "settings", "telemetry")
    assert {name for name in ours if not name.startswith(tuple(f"shared.{one}" for one in wiring))} == set()


def test_imports_within_the_package_are_relative() -> None:
    """It is deployed as `shared` and installed as `defender_submissions`: no module names the folder it lies in."""
    absolute = {
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in PACKAGE.rglob("*.py")
        for node in nodes(file)
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "shared"
    }
    assert absolute == set()


def test_every_package_is_installed() -> None:
    """What is installed is listed by name, since the folder has another one: none is forgotten."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        ".".join(["defender_submissions", *file.parent.relative_to(ROOT / "shared").parts])
        for file in (ROOT / "shared").rglob("__init__.py")
    }
    assert set(listed) == there
