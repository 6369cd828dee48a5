"""What the tests of publishing have in common: a small package, `az` as a program, and the app's own functions."""

import functools
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.infra.azure_stand_in import SUBSCRIPTION, AzureStandIn

ROOT = Path(__file__).resolve().parents[2]
SITE_PACKAGES = ".python_packages/lib/site-packages/"
PERMISSIONS = {one["name"]: one["id"] for one in json.loads((ROOT / "infra" / "graph-permissions.json").read_text())}
SUBMIT, ALERTS = "ThreatSubmission.ReadWrite.All", "SecurityAlert.Read.All"


@functools.cache
def functions() -> list[str]:
    """Return the functions that azure.functions finds in function_app.py, in a process of its own."""
    code = "import function_app; print(*(one.get_function_name() for one in function_app.app.get_functions()))"
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    environment = {"PATH": os.environ["PATH"], **example}
    command = [sys.executable, "-W", "ignore", "-c", code]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return sorted(ran.stdout.split())


def write_package(file: Path, python_version: str = "3.13", leave_out: str = "") -> Path:
    """Write a package like that of `make package`, small; `leave_out` is what the names of files begin with."""
    tag = python_version.replace(".", "")
    entries = {
        "function_app.py": (ROOT / "function_app.py").read_text(),
        "host.json": "{}",
        f"__pycache__/function_app.cpython-{tag}.pyc": "byte code",
        f"{SITE_PACKAGES}aiohttp/_parser.cpython-{tag}-x86_64-linux-gnu.so": "machine code",
        f"{SITE_PACKAGES}cryptography/_rust.abi3.so": "machine code",
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            if not leave_out or not name.startswith(leave_out):
                archive.writestr(name, content)
    return file


def write_program(folder: Path, name: str, *words: str | Path) -> None:
    """Write a program of that name, which runs this Python with some words before its own."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    quoted = " ".join(f'"{word}"' for word in (sys.executable, *words))
    program.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    program.chmod(0o755)


def write_az(folder: Path, azure: AzureStandIn) -> Path:
    """Write `az`, signed in to a stand-in, into the folder `bin`; return the file that says who is signed in."""
    account = folder / "account.json"
    told = {"endpoints": azure.endpoints(), "subscription": SUBSCRIPTION, "signed_in": True, "no_token_for": []}
    account.write_text(json.dumps(told))
    write_program(folder / "bin", "az", "-S", Path(__file__).with_name("fake_az.py"), account)
    return account
