"""What `make check` says about Bicep files, with the real compiler where there is one and without any."""

import shutil
from pathlib import Path

import pytest

from local.bicep_check import find_problems, main

CLEAN = "param location string\n\noutput place string = location\n"


@pytest.fixture
def compiler() -> list[str]:
    """Name the real compiler; skip where it is not installed."""
    bicep = shutil.which("bicep")
    if bicep is None:
        pytest.skip("no Bicep compiler on PATH")
    return [bicep]


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave nothing on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def put_file(folder: Path, name: str, text: str) -> Path:
    """Write a file and return its path."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.usefixtures("no_compiler")
def test_without_bicep_files_there_is_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, no word, no failure; files in hidden folders are not ours."""
    put_file(tmp_path, ".tools/other.bicep", "nonsense")
    assert main(tmp_path) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unchecked files never pass in silence."""
    put_file(tmp_path, "infra/main.bicep", "nonsense")
    assert main(tmp_path) == 0
    assert capsys.readouterr().out.startswith("NOT CHECKED: 1 Bicep files")


@pytest.mark.usefixtures("compiler")
def test_clean_files_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A template and its parameters that build without a word are counted."""
    put_file(tmp_path, "infra/main.bicep", CLEAN)
    put_file(tmp_path, "infra/main.bicepparam", "using 'main.bicep'\n\nparam location = 'westeurope'\n")
    assert main(tmp_path) == 0
    assert capsys.readouterr().out.startswith("2 Bicep files build without a warning")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CLEAN + "output wrong int = location\n", "Error BCP033"),
        (CLEAN + "param unused string\n", "Warning no-unused-params"),
        (CLEAN.replace(" = ", "    =  "), "not formatted"),
    ],
)
def test_errors_warnings_and_format_are_problems(compiler: list[str], tmp_path: Path, text: str, problem: str) -> None:
    """Each of the three alone is a problem, and the only one."""
    (only,) = find_problems(compiler, put_file(tmp_path, "main.bicep", text))
    assert problem in only


def test_a_compiler_that_fails_without_a_word_is_a_problem(tmp_path: Path) -> None:
    """An exit code is believed even where no diagnostic comes with it."""
    (only,) = find_problems(["/bin/false"], put_file(tmp_path, "main.bicep", CLEAN))
    assert "failed without a word" in only
