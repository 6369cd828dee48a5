"""Says what a package holds: sizes, the largest parts, what was left out and why, and the checksum.

Invariant: every number is counted from the zip that was written and the wheels it was made of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

from local.package.build import Package

LARGEST_PARTS = 5
_BYTES_PER_MB = 1_000_000


class Sized(Protocol):
    """A file in a zip."""

    @property
    def size_bytes(self) -> int:
        """Its size, unpacked."""

    @property
    def zipped_bytes(self) -> int:
        """What it takes in the zip."""


def describe(package: Package) -> Iterator[str]:
    """Yield the lines of the summary."""
    yield f"{package.file.name}: {package.size_bytes / _BYTES_PER_MB:.1f} MB zipped"
    yield f"sha256 {package.sha256}"
    yield ""
    yield _row("in it", "files", "MB zipped", "MB unpacked")
    yield _total("all", package.packed)
    yield _total("of which byte code", [one for one in package.packed if one.path.endswith(".pyc")])
    yield ""
    yield _row("largest parts", "files", "MB zipped", "MB unpacked")
    yield from _groups(((one.part, one) for one in package.packed), most=LARGEST_PARTS)
    yield ""
    yield _row("left out", "files", "MB zipped", "MB unpacked")
    yield _total("all", package.left_out)
    yield from _groups((one.reason or "", one) for one in package.left_out)


def _groups(named: Iterable[tuple[str, Sized]], *, most: int | None = None) -> Iterator[str]:
    """Yields one row for each name, the largest first."""
    groups: dict[str, list[Sized]] = defaultdict(list)
    for name, one in named:
        groups[name].append(one)
    by_size = sorted(groups.items(), key=lambda group: sum(one.size_bytes for one in group[1]), reverse=True)
    for name, files in by_size[:most]:
        yield _total(name, files)


def _total(name: str, files: Iterable[Sized]) -> str:
    listed = list(files)
    zipped = sum(one.zipped_bytes for one in listed) / _BYTES_PER_MB
    unpacked = sum(one.size_bytes for one in listed) / _BYTES_PER_MB
    return _row(f"  {name}", f"{len(listed):,}", f"{zipped:.2f}", f"{unpacked:.2f}")


def _row(name: str, files: str, zipped: str, unpacked: str) -> str:
    return f"{name:<68}{files:>8}{zipped:>11}{unpacked:>13}"
