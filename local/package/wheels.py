"""The wheels of requirements.txt for the platform: Linux on x86-64, and the Python that the app is deployed on.

pip evaluates the markers of a requirements file for the Python it runs on, whatever `--python-version` says; so the
lines are chosen here, for the target, before pip sees them. Invariant: the folder holds exactly the pinned versions,
and what is packed is read from the wheels themselves, never from an environment that somebody may have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from local.package.rules import rule_for
from local.setup import ROOT, TOOLS_FOLDER, Step, fingerprint, run

PYTHON_VERSIONS = ("3.11", "3.12", "3.13")
"""The Python versions that the app is tested on and that Flex Consumption serves."""
REQUIREMENTS = ROOT / "requirements.txt"
_NEWEST_GLIBC_MINOR = 28  # glibc 2.28; the oldest image of these Python versions, on Debian 11, has 2.31
_PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(_NEWEST_GLIBC_MINOR, 4, -1)),
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"),
)


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file of a wheel. `part` is the distribution's name, `reason` why it is left out, None if it is deployed."""

    wheel: Path
    part: str
    path: str
    size_bytes: int
    zipped_bytes: int
    reason: str | None


def choose_pins(requirements: str, python_version: str) -> list[str]:
    """Return the lines of a requirements file that hold for the deployed platform, markers and comments off."""
    target = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python_version}.0",
        "python_version": python_version,
        "sys_platform": "linux",
    }
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    found = [Requirement(line) for line in lines if line]
    return [f"{one.name}{one.specifier}" for one in found if one.marker is None or one.marker.evaluate(target)]


def wheels_step(python_version: str) -> Step:
    """The step of set-up that downloads the wheels, skipped while requirements.txt is the same."""
    pins = choose_pins(REQUIREMENTS.read_text(), python_version)
    name = f"wheels-py{python_version.replace('.', '')}"
    return Step(
        f"Wheels for Python {python_version} (.tools/{name})",
        TOOLS_FOLDER / name,
        fingerprint(*pins, *_PLATFORMS),
        ".",
        lambda folder: _download(folder, pins, python_version),
        "Check that pip reaches its index (pip config, PIP_INDEX_URL, proxy), then repeat.",
    )


def list_files(wheels: Path) -> Iterator[WheelFile]:
    """Yield what the wheels in a folder hold, in the order of the wheels' names.

    Raises PackageError for a file of a kind that nobody expects.
    """
    for wheel in sorted(wheels.glob("*.whl")):
        part = parse_wheel_filename(wheel.name)[0]
        with ZipFile(wheel) as archive:
            for one in archive.infolist():
                if not one.is_dir():
                    rule = rule_for(one.filename)
                    reason = rule.reason if rule else None
                    yield WheelFile(wheel, part, one.filename, one.file_size, one.compress_size, reason)


def _download(folder: Path, pins: list[str], python_version: str) -> None:
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python_version]
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    # The pins are closed, which tests/app/test_requirements.py holds; so pip has nothing to resolve.
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    run([*pip, *target, *platforms, "--dest", folder, *pins])
