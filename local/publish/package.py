"""What a deployment package says of itself: the Python it was made for, the functions it holds, its checksum.

Read from the zip alone, without running anything in it. Invariant: a package that is read here has everything the
platform needs, so that a zip of something else is refused by name before it is sent.
"""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.publish.trouble import Trouble

DIST = Path(__file__).resolve().parents[2] / "dist"
_APP = "function_app.py"
_PACKAGES = ".python_packages/lib/site-packages/"
_MADE_FOR = re.compile(r"\.cpython-3(\d+)[-.]")
_KEPT_WHOLE = "# azd reads this file in place of its own rules, which would leave out the byte code.\n"
_MAKE = "make package PACKAGE_PYTHON={} (Linux, macOS, WSL), or take the artifact `package` of the Deploy workflow."


@dataclass(frozen=True, slots=True)
class Package:
    """A package that may be published; `python_version` is like 3.13."""

    file: Path
    content: bytes
    python_version: str
    functions: frozenset[str]

    def told(self) -> str:
        """Return what is published, for people."""
        sha256 = hashlib.sha256(self.content).hexdigest()
        return (
            f"{self.file.name}, {len(self.content) / 1_000_000:.1f} MB, for Python {self.python_version},"
            f" {len(self.functions)} functions, sha256 {sha256}"
        )


def read_package(file: Path) -> Package:
    """Return the package in a file.

    Raises Trouble for a file that is no zip, and for a zip that `make package` did not make.
    """
    try:
        content = file.read_bytes()
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            _require_whole(file, names)
            source = archive.read(_APP)
    except (OSError, zipfile.BadZipFile) as error:
        raise Trouble("package_unreadable", f"{file}: {error}", _MAKE.format("3.13")) from None
    return Package(file, content, _python_version(file, names), frozenset(_functions(source)))


def choose_package(folder: Path, python_version: str) -> Package:
    """Return the one package in a folder that was made for a Python version; raises Trouble where it is not one."""
    packages = [read_package(file) for file in sorted(folder.glob("*.zip"))]
    fitting = [one for one in packages if one.python_version == python_version]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(f"{one.file.name} (Python {one.python_version})" for one in packages) or "no package"
    if fitting:
        raise Trouble("package_ambiguous", f"{folder.name}/ holds {found}", "Name one of them with --package.")
    seen = f"the app runs Python {python_version}, and {folder.name}/ holds {found}"
    raise Trouble("package_missing", seen, _MAKE.format(python_version))


def require_python(package: Package, python_version: str) -> None:
    """Raise Trouble where the app runs another Python than the package was made for: little could be imported."""
    if package.python_version != python_version:
        raise Trouble(
            "package_python",
            f"{package.file.name} was made for Python {package.python_version}, and the app runs {python_version}",
            f"{_MAKE.format(python_version)}\nOr deploy the app with pythonVersion {package.python_version}.",
        )


def unpack(package: Package, folder: Path) -> None:
    """Lay the package out in a folder for `azd deploy`, which packs it again; whatever stood there is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(package.file) as archive:
        archive.extractall(folder)
    (folder / ".funcignore").write_text(_KEPT_WHOLE, encoding="utf-8")


def _require_whole(file: Path, names: list[str]) -> None:
    missing = [name for name in (_APP, "host.json") if name not in names]
    if not any(name.startswith(_PACKAGES) for name in names):
        missing.append(_PACKAGES)
    if missing:
        raise Trouble("package_unreadable", f"{file.name} has no {', no '.join(missing)}", _MAKE.format("3.13"))


def _python_version(file: Path, names: list[str]) -> str:
    """What was compiled tells it by its name: `_speedups.cpython-313-x86_64-linux-gnu.so`."""
    found = {match[1] for match in map(_MADE_FOR.search, names) if match}
    if len(found) != 1:
        versions = " and ".join(f"3.{minor}" for minor in sorted(found)) or "no Python"
        raise Trouble("package_unreadable", f"{file.name} holds modules made for {versions}", _MAKE.format("3.13"))
    return f"3.{found.pop()}"


def _functions(source: bytes) -> Iterator[str]:
    """The functions that the worker indexes: each with a trigger, under the name that azure.functions gives it."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = {_name_of(one.func): one for one in node.decorator_list if isinstance(one, ast.Call)}
            if any(name.endswith("_trigger") for name in decorators):
                yield _named(decorators.get("function_name")) or node.name


def _name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else ""


def _named(call: ast.Call | None) -> str:
    """The name that `@app.function_name(...)` gives, empty where there is no such decorator."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)] if call else []
    return next((str(one.value) for one in given if isinstance(one, ast.Constant)), "")
