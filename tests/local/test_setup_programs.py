"""Which Node.js and which Python set-up takes, tried with programs that answer as version managers do."""

from pathlib import Path

import pytest

from local.programs import find_node_on_path, find_python_313


def put_program(folder: Path, name: str, script: str) -> Path:
    """Write a shell script that can be called by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that is all of PATH, and a home and a pyenv with nothing in them."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path / "bin"


@pytest.mark.parametrize("version", ["v20.0.0", "v22.11.0", "v100.0.0"])
def test_node_with_npm_is_taken(on_path: Path, version: str) -> None:
    """A Node.js that is new enough and has npm beside it is used as it is."""
    node = put_program(on_path, "node", f"echo {version}")
    put_program(on_path, "npm", "exit 0")
    assert find_node_on_path() == node


@pytest.mark.parametrize("script", ["echo v18.20.4", "echo no version set >&2; exit 126", "echo hello"])
def test_an_unfit_node_is_passed_over(on_path: Path, script: str) -> None:
    """Too old, or a version manager's stand-in that fails: set-up brings its own."""
    put_program(on_path, "node", script)
    put_program(on_path, "npm", "exit 0")
    assert find_node_on_path() is None


def test_node_without_npm_is_passed_over(on_path: Path) -> None:
    """Debian packages npm apart from Node.js; one without the other installs nothing."""
    put_program(on_path, "node", "echo v20.0.0")
    assert find_node_on_path() is None


def test_no_python_313_is_no_error(on_path: Path) -> None:
    """Where there is none, or only a stand-in that fails, the answer is None."""
    put_program(on_path, "python3.13", "echo not installed >&2; exit 127")
    assert find_python_313() is None


def test_pyenv_has_a_python_313_that_is_not_on_path(on_path: Path, tmp_path: Path) -> None:
    """A stand-in on PATH that fails does not hide the version that pyenv holds."""
    put_program(on_path, "python3.13", "exit 127")
    real = put_program(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin", "python3.13", "echo 3 13")
    assert find_python_313() == real
