"""Predicts what a deployment of the example parameters makes, and keeps it beside them, so that a review shows it.

Runs as `python -m local.bicep_snapshot` in `make snapshot`; offline, and no Azure is asked. Invariant: tenant,
subscription, group and region are made up and always the same, so that only a change of the templates or of the
parameters changes a snapshot.
"""

import json
import re
import sys
from pathlib import Path

from local.bicep_compiler import BicepCompiler
from local.setup import ROOT

EXAMPLES = tuple(ROOT / "infra" / f"{name}.bicepparam" for name in ("trial", "production"))
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MADE_UP = (
    "--tenant-id=3f1c7a52-8d0e-4b96-a4e7-0c5d9b2e6f18",
    "--subscription-id=00000000-0000-0000-0000-000000000001",
    "--resource-group=defender-submissions",
    "--location=westeurope",
)


class SnapshotError(Exception):
    """The compiler could not predict a deployment; the text is its own. Correct the template or the parameters."""


def main() -> int:
    """Predict every example anew; return the process's exit code."""
    compiler = BicepCompiler.find()
    if compiler is None:
        print("NOTHING WAS DONE: neither `bicep` nor `az bicep` is installed here.")
        return 1
    for parameters in EXAMPLES:
        print(f"{write_snapshot(compiler, parameters)} is up to date.")
    return 0


def snapshot_of(parameters: Path) -> Path:
    """Return where the compiler keeps the prediction for a parameter file."""
    return parameters.with_suffix(".snapshot.json")


def write_snapshot(compiler: BicepCompiler, parameters: Path) -> Path:
    """Predict a deployment, and return the file that tells it. Raises `SnapshotError` where that is impossible."""
    done = compiler.run("snapshot", parameters, "--mode=overwrite", *_MADE_UP)
    if done.returncode != 0:
        raise SnapshotError(done.stderr)
    file = snapshot_of(parameters)
    told = json.loads(file.read_text())
    # The compiler writes outputs in another order each time.
    told["outputs"] = dict(sorted(told["outputs"].items()))
    file.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return file


def find_changes(compiler: BicepCompiler, parameters: Path) -> str:
    """Return which resources would be predicted otherwise than the kept snapshot tells; "" if none.

    Where the compiler cannot compare, its reason is returned. It compares resources only: outputs that changed go
    unnoticed here.
    """
    done = compiler.run("snapshot", parameters, "--mode=validate", *_MADE_UP)
    return "" if done.returncode == 0 else _COLOUR.sub("", done.stderr + done.stdout).strip()


if __name__ == "__main__":
    sys.exit(main())
