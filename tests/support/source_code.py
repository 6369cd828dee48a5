"""The product's own source, for tests that hold all of it to a rule."""

import ast
import functools
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "shared"
DEPLOYED: Sequence[Path] = (ROOT / "function_app.py", *sorted(PACKAGE.rglob("*.py")))


@functools.cache
def parsed(file: Path) -> ast.Module:
    """The tree of a file, parsed once for all tests of the process."""
    return ast.parse(file.read_text("utf-8"))


@functools.cache
def nodes(file: Path) -> Sequence[ast.AST]:
    """Every node of a file's tree."""
    return tuple(ast.walk(parsed(file)))
