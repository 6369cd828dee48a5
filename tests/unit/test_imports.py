"""Imports that import-linter cannot judge: those of a lone file, and everything that is not the standard library."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "function_app.py"
CORE = sorted((ROOT / "shared" / "domain").glob("*.py"))


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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
