"""Checks every Bicep file of the repo with the real compiler, where one is installed: builds, lint rules, format.

Runs as `python -m local.bicep_check` in `make check`. Invariant: what could not be checked is said aloud and never
passes as checked; a warning counts as a failure.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.setup import ROOT

_DIAGNOSTIC = re.compile(r" : (Error|Warning|Info) ")


def main(root: Path = ROOT) -> int:
    """Check all Bicep files under `root`; return the process's exit code."""
    files = sorted(find_bicep_files(root))
    if not files:
        return 0
    compiler = find_compiler()
    if compiler is None:
        print(f"NOT CHECKED: {len(files)} Bicep files, as neither `bicep` nor `az bicep` is installed here.")
        return 0
    problems = [problem for file in files for problem in find_problems(compiler, file)]
    print("\n".join(problems) or f"{len(files)} Bicep files build without a warning and are formatted.")
    return 1 if problems else 0


def find_bicep_files(root: Path) -> Iterator[Path]:
    """Yield each .bicep and .bicepparam file outside hidden folders, which hold tools and caches."""
    for pattern in ("*.bicep", "*.bicepparam"):
        for path in root.rglob(pattern):
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path


def find_compiler() -> list[str] | None:
    """Return the words that a Bicep command starts with; None where no compiler is installed."""
    if bicep := shutil.which("bicep"):
        return [bicep]
    az = shutil.which("az")
    # `az bicep build` would download a compiler where none is installed; asking for the version does not.
    if az and _run([az, "bicep", "version"]).returncode == 0:
        return [az, "bicep"]
    return None


def find_problems(compiler: Sequence[str], file: Path) -> Iterator[str]:
    """Yield what the compiler says against one file: errors, warnings of its linter, and a format of its own."""
    build = "build-params" if file.suffix == ".bicepparam" else "build"  # either runs the linter too
    built = _run([*compiler, build, *_file(compiler, file), "--stdout"])
    diagnostics = [line for line in built.stderr.splitlines() if _DIAGNOSTIC.search(line)]
    yield from diagnostics
    if built.returncode != 0 and not diagnostics:
        yield f"{file}: {built.stderr.strip() or 'the compiler failed without a word'}"
    formatted = _run([*compiler, "format", *_file(compiler, file), "--stdout"])
    if formatted.returncode == 0 and formatted.stdout.rstrip() != file.read_text().rstrip():
        yield f"{file}: not formatted; run `bicep format {file.name}`"


def _file(compiler: Sequence[str], file: Path) -> list[str]:
    return [str(file)] if len(compiler) == 1 else ["--file", str(file)]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
