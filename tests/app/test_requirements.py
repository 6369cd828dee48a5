"""`requirements.txt` is all that a deployment installs: everything pinned, every import covered, all of it tested."""

import ast
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
NOT_DEPLOYED = ROOT / "shared" / "cli"
SHARED = [file for file in sorted((ROOT / "shared").rglob("*.py")) if not file.is_relative_to(NOT_DEPLOYED)]
DEPLOYED = [ROOT / "function_app.py", *SHARED]
OURS = {"shared", *sys.stdlib_module_names}


def listed(file: str) -> list[Requirement]:
    """Return the requirements of a file, for whichever Python, without those of the files it names."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def without_version(file: str) -> set[str]:
    """Return the canonical names of what a file does not pin to one exact version."""
    loose = [one for one in listed(file) if [two.operator for two in one.specifier] != ["=="] or "*" in str(one)]
    return {canonicalize_name(one.name) for one in loose}


def pins() -> dict[str, str]:
    """Return the version of every distribution that requirements.txt pins for this Python, by canonical name."""
    here = [one for one in listed("requirements.txt") if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


def imported_modules() -> Iterator[str]:
    """Yield every module that what is deployed imports from outside it and the standard library."""
    for file in DEPLOYED:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name.split(".")[0] not in OURS)
            elif isinstance(node, ast.ImportFrom) and not node.level and str(node.module).split(".")[0] not in OURS:
                yield str(node.module)


def pinned_files() -> set[str]:
    """Return the files of all pinned distributions, as paths below site-packages."""
    return {str(path) for name in pins() for path in importlib.metadata.distribution(name).files or ()}


def file_of(module: str) -> str:
    """Return a module's file as a path below site-packages."""
    found = importlib.util.find_spec(module)
    assert found is not None, f"{module} is not installed"
    assert found.origin is not None, f"{module} is no module"
    return str(Path(found.origin).relative_to(sysconfig.get_path("purelib")))


def required_by(name: str, extras: set[str]) -> Iterator[Requirement]:
    """Yield what an installed distribution needs on this Python, with these extras."""
    for text in importlib.metadata.requires(name) or ():
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield one


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_line_is_one_exact_version(file: str) -> None:
    """No line leaves a choice: a deployment of tomorrow installs what was tested today."""
    assert without_version(file) == set()


def test_python_313_tests_with_the_same_versions() -> None:
    """What requirements-worker.txt leaves open, its constraints pin: requirements-dev.txt."""
    assert "-c requirements-dev.txt" in (ROOT / "requirements-worker.txt").read_text().splitlines()
    pinned = {canonicalize_name(one.name) for one in listed("requirements-dev.txt")}
    assert without_version("requirements-worker.txt") - pinned == set()
    assert "pytest" in without_version("requirements-worker.txt")


def test_the_pins_are_what_the_tests_run_on() -> None:
    """Each pinned version is the installed one."""
    assert {name: importlib.metadata.version(name) for name in pins()} == pins()


def test_every_import_is_pinned() -> None:
    """Whatever `function_app.py` and `shared/` import comes from a distribution that requirements.txt pins."""
    modules = set(imported_modules())
    assert {"azure.functions", "azure.data.tables.aio", "kiota_abstractions.method", "pydantic"} <= modules
    files = pinned_files()
    assert {module for module in modules if file_of(module) not in files} == set()


def test_everything_brought_along_is_pinned() -> None:
    """The pins are closed: each pinned distribution's own requirements are pinned too."""
    missing = {
        f"{name} needs {needed}"
        for name in pins()
        for needed in required_by(name, set())
        if canonicalize_name(needed.name) not in pins()
    }
    assert missing == set()


def test_no_tool_is_deployed() -> None:
    """What tests and checks need stays in requirements-dev.txt."""
    tools = {canonicalize_name(one.name) for one in listed("requirements-dev.txt")}
    assert tools & set(pins()) == set()
