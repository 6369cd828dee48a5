"""Checks every Bicep and parameter file with the real compiler, where one is installed: builds, lint rules, format.

Also that each kept snapshot still tells what the templates make. Runs as `python -m local.bicep_check` in `make
check`; with `--age`, which only CI runs, it asks instead whether any API version has become too old by today's date.
Invariant: what could not be checked is said aloud and never passes as checked; a warning counts as a failure.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local.bicep_compiler import BicepCompiler
from local.bicep_snapshot import find_changes, snapshot_of
from local.setup import ROOT

_DIAGNOSTIC = re.compile(r" : (Error|Warning|Info) ")
_GRAPH_EXTENSION = re.compile(r"^extension microsoftGraph", re.MULTILINE)
_CANNOT_RESTORE = " : Error BCP192"
AGE_RULES = ROOT / ".ci" / "bicepconfig.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a file; `is_compiled` tells whether the compiler could look at all of it."""

    problems: tuple[str, ...]
    is_compiled: bool = True


def main(root: Path = ROOT) -> int:
    """Check all Bicep files under `root`; return the process's exit code."""
    files = sorted(find_bicep_files(root))
    if not files:
        return 0
    compiler = BicepCompiler.find()
    if compiler is None:
        print(f"NOT CHECKED: {len(files)} Bicep files, as neither `bicep` nor `az bicep` is installed here.")
        return 0
    with ThreadPoolExecutor() as threads:  # the compiler's own processes do the work
        findings = dict(zip(files, threads.map(partial(check, compiler), files), strict=True))
    # A module's diagnostics come again with each file that uses it.
    problems = dict.fromkeys(problem for finding in findings.values() for problem in finding.problems)
    uncompiled = [file for file, finding in findings.items() if not finding.is_compiled]
    for file in uncompiled:
        print(f"NOT COMPILED: {file}, only its format is checked: the Microsoft Graph extension cannot be downloaded.")
    built = len(files) - len(uncompiled)
    print("\n".join(problems) or f"{built} Bicep files build without a warning, and all {len(files)} are formatted.")
    return 1 if problems else 0


def main_age(root: Path = ROOT) -> int:
    """Check the age of what the templates under `root` use; return the process's exit code."""
    compiler = BicepCompiler.find()
    if compiler is None:
        print("NOT CHECKED: the age of API versions, as neither `bicep` nor `az bicep` is installed here.")
        return 0
    problems = find_aged(compiler, root)
    print("\n".join(problems) or "Nothing that the templates use is too old.")
    return 1 if problems else 0


def find_aged(compiler: BicepCompiler, root: Path) -> list[str]:
    """Return what the rules of `AGE_RULES` say against infra/main.bicep, by the date of this machine.

    The compiler takes the configuration that lies nearest to a file, so the templates are built from a copy.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(root / "infra", copy / "infra")
        shutil.copy(AGE_RULES, copy)
        told = find_build_problems(compiler, copy / "infra" / "main.bicep")
        return [line.removeprefix(f"{copy}/") for line in told]


def find_bicep_files(root: Path) -> Iterator[Path]:
    """Yield each .bicep and .bicepparam file outside hidden folders, which hold tools and caches."""
    for pattern in ("*.bicep", "*.bicepparam"):
        for path in root.rglob(pattern):
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path


def check(compiler: BicepCompiler, file: Path) -> Finding:
    """Return what the compiler says against a file: errors, lint rules, its format, and that its snapshot is old."""
    build_problems = list(find_build_problems(compiler, file))
    others = (*_format_problems(compiler, file), *_snapshot_problems(compiler, file))
    # The one extension that has to be downloaded; whatever else is then said of the file follows from its absence.
    if _GRAPH_EXTENSION.search(file.read_text()) and any(_CANNOT_RESTORE in line for line in build_problems):
        return Finding(others, is_compiled=False)
    return Finding((*build_problems, *others))


def find_build_problems(compiler: BicepCompiler, file: Path) -> Iterator[str]:
    """Yield what the compiler and its linter say against a file."""
    command = "build-params" if file.suffix == ".bicepparam" else "build"  # either runs the linter too
    built = compiler.run(command, file, "--stdout")
    diagnostics = [line for line in built.stderr.splitlines() if _DIAGNOSTIC.search(line)]
    yield from diagnostics
    if built.returncode != 0 and not diagnostics:
        yield f"{file}: {built.stderr.strip() or 'the compiler failed without a word'}"


def _format_problems(compiler: BicepCompiler, file: Path) -> Iterator[str]:
    formatted = compiler.run("format", file, "--stdout")
    # A file that does not parse cannot be formatted; its build says why.
    if formatted.returncode == 0 and formatted.stdout.rstrip() != file.read_text().rstrip():
        yield f"{file}: not formatted; run `bicep format {file.name}`"


def _snapshot_problems(compiler: BicepCompiler, file: Path) -> Iterator[str]:
    snapshot = snapshot_of(file)
    if file.suffix == ".bicepparam" and snapshot.exists() and (changes := find_changes(compiler, file)):
        yield f"{snapshot}: not what is predicted now; look at what changes, then run `make snapshot`\n{changes}"


if __name__ == "__main__":
    sys.exit(main_age() if sys.argv[1:] == ["--age"] else main())
