"""The Bicep compiler, where one is installed: found on PATH, or as the Azure CLI's.

Invariant: nothing here installs or updates a compiler; `az bicep` downloads one only when it is told to.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class BicepCompiler:
    """A compiler; `words` is what each of its commands starts with: `bicep`, or `az bicep`."""

    words: tuple[str, ...]

    @classmethod
    def find(cls) -> Self | None:
        """Return the compiler that is installed here; None where there is none."""
        if bicep := shutil.which("bicep"):
            return cls((bicep,))
        az = shutil.which("az")
        # `az bicep build` would download a compiler where none is installed; asking for the version does not.
        if az and _run(az, "bicep", "version").returncode == 0:
            return cls((az, "bicep"))
        return None

    def run(self, command: str, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a file; return its exit code and what it wrote."""
        named = ["--file"] if len(self.words) > 1 else []  # the Azure CLI takes files by an option only
        return _run(*self.words, command, *named, str(file), *options)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)
