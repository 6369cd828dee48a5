"""Set-up as a user meets it: run as a command in a copy of the repo whose requirements are empty, with a fake npm."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.setup import ROOT

INSTALL = "mkdir -p node_modules/azurite/dist/src && touch node_modules/azurite/dist/src/azurite.js"


class Clone:
    """A copy of what set-up needs, with programs of its own on PATH, so that no registry is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        shutil.copytree(ROOT / "local" / "npm", folder / "local" / "npm")
        for name in ("__init__.py", "setup.py", "pip_wheel.py", "programs.py"):
            shutil.copy(ROOT / "local" / name, folder / "local")
        for name in ("requirements.txt", "requirements-dev.txt", "requirements-worker.txt"):
            (folder / name).touch()
        self.put_program("node", "echo v20.0.0")

    def put_program(self, name: str, script: str) -> None:
        """Put a shell script on the PATH of set-up."""
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def put_python_313(self) -> None:
        """Put a Python 3.13 on PATH whose environments are copies of itself; what else it runs, it writes down."""
        venv = "for folder; do :; done; mkdir $folder/bin && cp $0 $folder/bin/python"
        older = "mkdir $7/azure_functions_runtime && touch $7/azure_functions_runtime/version.py"
        cases = f'"-m venv "*) {venv};; -c*) echo 3 13;; *--target*) {older};; *) echo "$@" >> {self.folder}/ran-313;;'
        script = f'case "$*" in {cases} esac'
        self.put_program("python3.13", script)

    def start(self, python: str = sys.executable, *options: str) -> subprocess.Popen[str]:
        """Start set-up without waiting for its end."""
        return subprocess.Popen(
            [python, "-m", "local.setup", *options],
            cwd=self.folder,
            env={"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, python: str = sys.executable, *options: str) -> tuple[int, str]:
        """Run set-up to its end; return its exit code and all it printed."""
        with self.start(python, *options) as process:
            output, _ = process.communicate()
        return process.returncode, output

    def interrupt_in_npm(self, ending: signal.Signals) -> tuple[int, str]:
        """End set-up while npm has done half its work, which npm tells through a named pipe."""
        pipe = self.folder / "half-way"
        os.mkfifo(pipe)
        self.put_program("npm", f"mkdir node_modules && touch node_modules/half && echo > {pipe} && exec sleep 30")
        with self.start() as process:
            pipe.read_text()
            process.send_signal(ending)
            output, _ = process.communicate()
        pipe.unlink()
        return process.returncode, output

    @property
    def azurite(self) -> Path:
        """Where set-up installs Azurite."""
        return self.folder / ".tools" / "azurite"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Set a clone up once; its virtual environment takes seconds."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.put_program("npm", INSTALL)
    assert clone.run()[0] == 0
    return clone


@pytest.fixture
def clone(prepared: Clone) -> Clone:
    """Give a clone whose virtual environment stands and whose Azurite is still to come."""
    shutil.rmtree(prepared.azurite, ignore_errors=True)
    prepared.put_program("npm", INSTALL)
    prepared.put_program("node", "echo v20.0.0")
    return prepared


def test_names_each_step_and_skips_what_stands(clone: Clone) -> None:
    """The first run times what it builds, the second builds nothing."""
    _, first = clone.run()
    clone.put_program("npm", "exit 1")
    code, second = clone.run()
    azurite = next(line for line in first.splitlines() if "Azurite" in line)
    assert azurite.endswith(" s")
    assert code == 0
    assert [line.split()[-1] for line in second.splitlines()] == ["stands", "stands"]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_step_is_built_anew(clone: Clone, ending: signal.Signals) -> None:
    """What an interrupted run left half-made is gone after the next."""
    code, _ = clone.interrupt_in_npm(ending)
    assert code != 0
    assert (clone.azurite / "node_modules" / "half").exists()
    clone.put_program("npm", INSTALL)
    assert clone.run()[0] == 0
    assert not (clone.azurite / "node_modules" / "half").exists()


def test_ctrl_c_ends_in_one_sentence(clone: Clone) -> None:
    """Ctrl-C shows no traceback and exits as a shell expects it."""
    code, output = clone.interrupt_in_npm(signal.SIGINT)
    assert code == 130
    assert output.endswith("Interrupted; the next run goes on from here.\n")
    assert "Traceback" not in output


def test_a_failed_step_says_what_to_do_and_keeps_the_output(clone: Clone) -> None:
    """The user reads the step, the tool's last words and the advice; the rest is in the named log."""
    clone.put_program("npm", "echo E404 not in this registry; exit 1")
    code, output = clone.run()
    assert code == 1
    assert "Azurite from npm (.tools/azurite) failed" in output
    assert "| E404 not in this registry" in output
    assert "Check that npm reaches its registry" in output
    assert "Traceback" not in output
    assert "E404" in (clone.folder / ".tools" / "setup.log").read_text()


def test_a_tool_that_lies_about_success_is_not_believed(clone: Clone) -> None:
    """Where npm ends well but Azurite is absent, the step has failed."""
    clone.put_program("npm", "exit 0")
    code, output = clone.run()
    assert code == 1
    assert "azurite.js is missing" in output


def test_new_versions_are_installed(clone: Clone) -> None:
    """A changed lock file builds Azurite anew, and nothing else."""
    clone.run()
    (clone.azurite / "old").touch()
    with (clone.folder / "local" / "npm" / "package-lock.json").open("a") as lock:
        lock.write("\n")
    _, output = clone.run()
    assert not (clone.azurite / "old").exists()
    assert [line.split()[-1] for line in output.splitlines()] == ["stands", "s"]


def test_changed_requirements_build_the_environment_from_nothing(clone: Clone) -> None:
    """What older requirements installed does not linger."""
    (clone.folder / ".venv" / "lingering").touch()
    with (clone.folder / "requirements.txt").open("a") as requirements:
        requirements.write("# changed\n")
    assert clone.run()[0] == 0
    assert not (clone.folder / ".venv" / "lingering").exists()


def test_python_313_gets_packages_of_its_own(clone: Clone) -> None:
    """Asked for, they are installed once, and anew when the versions of the tests' packages change."""
    clone.put_python_313()
    runs = [clone.run(sys.executable, "--worker") for _ in range(2)]
    assert "-r " + str(clone.folder / "requirements-worker.txt") in (clone.folder / "ran-313").read_text()
    with (clone.folder / "requirements-dev.txt").open("a") as requirements:
        requirements.write("# changed\n")
    runs.append(clone.run(sys.executable, "--worker"))
    last_lines = [output.splitlines()[-2:] for _, output in runs]
    assert [code for code, _ in runs] == [0, 0, 0]
    assert all(".tools/py313" in newest and ".tools/older-worker" in older for newest, older in last_lines)
    assert [newest.split()[-1] for newest, _ in last_lines] == ["s", "stands", "s"]
    assert [older.split()[-1] for _, older in last_lines] == ["s", "stands", "stands"]


def test_two_at_once_build_once(clone: Clone) -> None:
    """The second run waits for the first and then finds its work done."""
    clone.put_program("npm", f"echo ran >> {clone.folder}/runs; sleep 0.3; {INSTALL}")
    with clone.start() as first, clone.start() as second:
        assert (first.wait(), second.wait()) == (0, 0)
    assert (clone.folder / "runs").read_text() == "ran\n"


def test_an_active_environment_may_rebuild_itself(clone: Clone) -> None:
    """Run by the very environment that is out of date, set-up builds it with the Python it came from."""
    (clone.folder / ".venv" / ".set-up-from").unlink()
    code, _ = clone.run(python=".venv/bin/python")
    assert code == 0
    assert (clone.folder / ".venv" / "bin" / "python").exists()


def test_an_old_python_is_told_so() -> None:
    """A Python before 3.11 gets one sentence with the way out, not a traceback."""
    source = (ROOT / "local" / "setup.py").read_text()
    program = f"import sys; sys.version_info = (3, 9, 2); exec({source!r}, {{'__name__': 'local.setup'}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed")
    assert "Traceback" not in done.stderr
