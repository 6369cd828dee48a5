"""What azd and Core Tools would upload of a folder, by the rules in their sources; neither program is needed.

Both read `.funcignore`, and read it differently. azd (since 1.18, `pkg/project/project_utils.go`) takes it for a
.gitignore. Core Tools (4, `Common/FileSystemHelpers.cs` and `GitIgnoreParser.cs`) say so too, but look for a pattern at
the start of the path alone, let `*` stand for one character at least, and want the match to end at the boundary of a
word (azure-functions-core-tools #1745, #2701).
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pathspec import GitIgnoreSpec

IGNORE_FILE = ".funcignore"
_NEVER_BY_AZD = {IGNORE_FILE, "local.settings.json"}
_NEVER_BY_FUNC = {IGNORE_FILE, ".gitignore", "local.settings.json", "project.lock.json"}
_FOLDERS_NEVER_BY_FUNC = {".git", ".vscode"}


def azd_uploads(paths: Iterable[str], funcignore: str) -> Iterator[str]:
    """Yield those of a folder's files that azd uploads for a service that has the folder as its project."""
    ignored = GitIgnoreSpec.from_lines(funcignore.splitlines())
    for path in paths:
        parts = PurePosixPath(path).parts
        if ".azure" not in parts[:-1] and parts[-1] not in _NEVER_BY_AZD and not ignored.match_file(path):
            yield path


def func_uploads(paths: Iterable[str], funcignore: str) -> Iterator[str]:
    """Yield those of a folder's files that `func azure functionapp publish` uploads from it."""
    lines = (line.strip() for line in funcignore.splitlines())
    patterns = [re.compile(_as_func_reads(line), re.ASCII) for line in lines if line and not line.startswith("#")]
    for path in paths:
        *folders, name = PurePosixPath(path).parts
        never = name in _NEVER_BY_FUNC or not _FOLDERS_NEVER_BY_FUNC.isdisjoint(folders)
        if not never and not any(pattern.match(path) for pattern in patterns):
            yield path


def _as_func_reads(line: str) -> str:
    """Return the expression that Core Tools make of a line; raises ValueError for one that they read otherwise."""
    if line.startswith("!"):
        raise ValueError(f"{line}: Core Tools do not undo one pattern by another as git does (#4240)")
    return re.escape(line.removeprefix("/")).replace(r"\*\*", ".+").replace(r"\*", "[^/]+") + r"\b"
