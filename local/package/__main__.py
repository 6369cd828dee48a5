"""`python -m local.package`: downloads the wheels that are missing, builds the zip into `dist/`, tells what is in it.

Invariant: exit code 0 means that the zip may be deployed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from local.package.build import build_package, package_name
from local.package.bytecode import find_interpreter
from local.package.rules import PackageError
from local.package.summary import describe
from local.package.wheels import PYTHON_VERSIONS, wheels_step
from local.setup import ROOT, SetupError, only_run, report

NEWEST = PYTHON_VERSIONS[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the package for one Python version; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.package", description="Build the deployment package.")
    parser.add_argument("--python", choices=PYTHON_VERSIONS, default=NEWEST, help="the app's Python, as deployed")
    parser.add_argument("--wheels-only", action="store_true", help="download what the package is made of, and stop")
    wanted = parser.parse_args(arguments)
    step = wheels_step(wanted.python)
    try:
        with only_run():
            report(step)
        if not wanted.wheels_only:
            _build(wanted.python)
    except (PackageError, SetupError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _build(python_version: str) -> None:
    interpreter = find_interpreter(python_version)
    if interpreter is None:
        print(f"NOT COMPILED: no Python {python_version} was found here; instances will take thrice as long to start.")
    file = ROOT / "dist" / package_name(ROOT, python_version)
    package = build_package(ROOT, wheels_step(python_version).folder, interpreter, file)
    print("\n".join(describe(package)))


if __name__ == "__main__":
    sys.exit(main())
