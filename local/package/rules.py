"""Which files are deployed: of the repo what `.funcignore` leaves, of the packages what can run.

All patterns here have gitignore's syntax, as `.funcignore` has. Invariant: a file is left out by a rule with a reason
or is of a kind that is expected; there is no third case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pathspec import GitIgnoreSpec


class PackageError(Exception):
    """The package cannot be built as it should be; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Files of the packages that are left out: `reason` is what the summary prints."""

    reason: str
    patterns: tuple[str, ...]

    def covers(self, path: str) -> bool:
        """Tell whether the rule leaves out this file of a wheel."""
        return _compiled(self.patterns).match_file(path)


LEFT_OUT = (
    Rule(
        "msgraph: models nobody imports; the client is built on msgraph_core",
        ("/msgraph/", "/msgraph_sdk-*.dist-info/"),
    ),
    Rule("tests of the packages", ("tests/",)),
    Rule("types, for checkers only", ("*.pyi", "py.typed")),
    Rule("C and Cython sources and what generates code", ("*.c", "*.h", "*.pyx", "*.pxd", "*.pxi", "*.cfg")),
    Rule("pages and pictures for browsers", ("*.js", "*.css", "*.png", "*.md")),
    Rule("notes of the installer, which list what is left out here", ("*.dist-info/RECORD", "*.dist-info/WHEEL")),
    Rule("lists of build materials", ("*.dist-info/sboms/",)),
)
"""The first rule that covers a file counts.

Of `*.dist-info` the names, versions and entry points stay: Kiota asks for its own version when it is imported, and
OpenTelemetry and pydantic look for entry points.
"""

EXPECTED_OF_PACKAGES = (
    "*.py",
    "*.so",
    "/certifi/cacert.pem",
    "/*.dist-info/METADATA",
    "/*.dist-info/entry_points.txt",
    "/*.dist-info/top_level.txt",
    "/*.dist-info/licenses/",  # a licence goes where its code goes
    "/*.dist-info/LICENSE*",
)
EXPECTED_OF_REPO = (
    "/function_app.py",
    "/host.json",
    "/requirements.txt",
    "/shared/**/*.py",
    "/shared/**/*.json",
    "/shared/texts/*.toml",
)


def rule_for(path: str) -> Rule | None:
    """Return the rule that leaves out a wheel's file, None if it is deployed.

    Raises PackageError for a file of a kind that was never looked at: decide, then add it to one of the tables above.
    """
    rule = next((rule for rule in LEFT_OUT if rule.covers(path)), None)
    if rule is None:
        _require_expected(path, EXPECTED_OF_PACKAGES)
    return rule


def deployed_files(root: Path) -> Iterator[str]:
    """Yield the paths, below `root` and in order, of what `.funcignore` leaves of the folder.

    Raises PackageError for a file that is neither ignored nor expected: name it in `.funcignore`, or expect it above.
    """
    for path in _walk(root, "", read_funcignore(root)):
        _require_expected(path, EXPECTED_OF_REPO)
        yield path


def read_funcignore(root: Path) -> GitIgnoreSpec:
    """Return the rules of the repo's `.funcignore` as git reads them; azd does so too, Core Tools do not."""
    return GitIgnoreSpec.from_lines((root / ".funcignore").read_text().splitlines())


def _walk(folder: Path, prefix: str, ignored: GitIgnoreSpec) -> Iterator[str]:
    # Looks into no folder that is ignored as a whole: some of them hold a hundred thousand files.
    for entry in sorted(folder.iterdir()):
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            if not ignored.match_file(f"{path}/"):
                yield from _walk(entry, f"{path}/", ignored)
        elif not ignored.match_file(path):
            yield path


def _require_expected(path: str, patterns: Iterable[str]) -> None:
    if not _compiled(tuple(patterns)).match_file(path):
        raise PackageError(f"{path} is of a kind that nobody expects in the package")


@cache
def _compiled(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(patterns)
