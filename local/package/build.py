"""Builds the zip from the repo's files and the wheels.

Files are laid out in a temporary folder as they will lie on the platform, compiled there, and packed in the order of
their names with one date and one mode. Invariant: there is a zip only where every check has passed.
"""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from local.package.bytecode import compile_folder
from local.package.rules import PackageError, deployed_files
from local.package.wheels import WheelFile, list_files
from shared import built_for

PACKAGES = built_for.PACKAGES.as_posix()
MOST_ZIPPED_BYTES = 40_000_000
"""Twice what it is today, and less than it would be with Graph's generated models."""
OWN_PART = "the app itself"
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the oldest that a zip can tell
_MODE = 0o100644  # a file that its owner may write and all may read
_UNIX = 3


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One file in the zip; `part` is the distribution it comes from."""

    part: str
    path: str
    size_bytes: int
    zipped_bytes: int


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was built: its zip, what is in it, and what of the wheels is not."""

    file: Path
    sha256: str
    size_bytes: int
    packed: tuple[PackedFile, ...]
    left_out: tuple[WheelFile, ...]


def package_name(root: Path, python_version: str) -> str:
    """Return the zip's name: the product, its version by pyproject.toml, the Python it is for."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return f"{project['name']}-{project['version']}-py{python_version.replace('.', '')}.zip"


def build_package(
    root: Path, wheels: Path, python: Path | None, file: Path, *, most_zipped_bytes: int = MOST_ZIPPED_BYTES
) -> Package:
    """Build the package of the repo at `root` and a folder of wheels into `file`.

    `python` compiles the modules; with None they are deployed as sources only. Raises PackageError for a file that
    nobody expects, two wheels that bring the same file, a module that does not compile, and a zip that is too large.
    """
    file.unlink(missing_ok=True)
    found = tuple(list_files(wheels))
    with tempfile.TemporaryDirectory() as name:
        folder, draft = Path(name, "wwwroot"), Path(name, file.name)
        parts = dict(_lay_out(root, [one for one in found if one.reason is None], folder))
        if python:
            compile_folder(folder, python)
        packed = tuple(_pack(folder, parts, draft))
        content = draft.read_bytes()
    _require_small(file.name, len(content), most_zipped_bytes)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    left_out = tuple(one for one in found if one.reason)
    return Package(file, hashlib.sha256(content).hexdigest(), len(content), packed, left_out)


def _lay_out(root: Path, deployed: Sequence[WheelFile], folder: Path) -> Iterator[tuple[str, str]]:
    """Copies what is deployed into `folder`; yields each path with the part it belongs to."""
    for path in deployed_files(root):
        _write(folder / path, (root / path).read_bytes())
        yield path, OWN_PART
    for wheel, files in itertools.groupby(deployed, lambda one: one.wheel):
        with ZipFile(wheel) as archive:
            for one in files:
                path = f"{PACKAGES}/{one.path}"
                _write(folder / path, archive.read(one.path))
                yield path, one.part


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise PackageError(f"two wheels bring {target.name}, and only one of them would win: {target}") from None


def _pack(folder: Path, parts: dict[str, str], file: Path) -> Iterator[PackedFile]:
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with ZipFile(file, "w") as archive:
        for path in paths:
            entry = ZipInfo(path, _FIRST_DATE)
            entry.create_system = _UNIX
            entry.external_attr = _MODE << 16
            archive.writestr(entry, (folder / path).read_bytes(), ZIP_DEFLATED)
            yield PackedFile(parts[_source_of(path)], path, entry.file_size, entry.compress_size)


def _source_of(path: str) -> str:
    """Byte code belongs to the module it was made of, `a/__pycache__/b.cpython-313.pyc` to `a/b.py`."""
    before, pycache, name = path.rpartition("__pycache__/")
    return f"{before}{name.split('.')[0]}.py" if pycache else path


def _require_small(name: str, size_bytes: int, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise PackageError(
            f"{name} would have {size_bytes:,} bytes, more than {most_bytes:,}: find out what grew, then leave it out"
            " or raise the limit"
        )
