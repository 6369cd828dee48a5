"""What `make check` says about Bicep files, with the real compiler where there is one and without any."""

import json
from pathlib import Path

import pytest

from local import bicep_snapshot
from local.bicep_check import check, main
from local.bicep_compiler import BicepCompiler
from local.bicep_snapshot import EXAMPLES, SnapshotError, find_changes, snapshot_of, write_snapshot
from local.setup import ROOT

CLEAN = "param location string\n\noutput place string = location\n"
PARAMETERS = "using 'main.bicep'\n\nparam location = 'westeurope'\n"
RESOURCE = """param location string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'first'
  location: location
}
"""
WITH_EXTENSION = "extension microsoftGraphV1\n\nparam location string\n\noutput place string = location\n"
RESTORE_FAILED = "main.bicep(1,11) : Error BCP192: Unable to restore the artifact with reference"
"""What compiler 0.47.16 says offline, without the end of the line."""


@pytest.fixture
def compiler() -> BicepCompiler:
    """Name the real compiler; skip where it is not installed."""
    found = BicepCompiler.find()
    if found is None:
        pytest.skip("no Bicep compiler is installed")
    return found


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave nothing on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def offline_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put a stand-in on PATH that cannot restore an extension and, formatting, gives the text back."""
    bicep = put_file(
        tmp_path,
        "bin/bicep",
        f'#!/bin/sh\nif [ "$1" = format ]; then exec /bin/cat "$2"; fi\necho "{RESTORE_FAILED}" >&2\nexit 1\n',
    )
    bicep.chmod(0o755)
    monkeypatch.setenv("PATH", str(bicep.parent))


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


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_nothing_is_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks for new snapshots and gets none is told so, and the command fails."""
    assert bicep_snapshot.main() == 1
    assert capsys.readouterr().out.startswith("NOTHING WAS DONE")


@pytest.mark.usefixtures("compiler")
def test_clean_files_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A template and its parameters that build without a word are counted."""
    put_file(tmp_path, "infra/main.bicep", CLEAN)
    put_file(tmp_path, "infra/main.bicepparam", PARAMETERS)
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
def test_errors_warnings_and_format_are_problems(
    compiler: BicepCompiler, tmp_path: Path, text: str, problem: str
) -> None:
    """Each of the three alone is a problem, and the only one."""
    (only,) = check(compiler, put_file(tmp_path, "main.bicep", text)).problems
    assert problem in only


def test_a_compiler_that_fails_without_a_word_is_a_problem(tmp_path: Path) -> None:
    """An exit code is believed even where no diagnostic comes with it."""
    (only,) = check(BicepCompiler(("/bin/false",)), put_file(tmp_path, "main.bicep", CLEAN)).problems
    assert "failed without a word" in only


@pytest.mark.usefixtures("offline_compiler")
def test_what_needs_a_download_is_named_as_not_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Offline, a file that needs the Graph extension fails nothing and is not counted as built."""
    file = put_file(tmp_path, "infra/graph/main.bicep", WITH_EXTENSION)
    assert main(tmp_path) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"NOT COMPILED: {file}")
    assert second == "0 Bicep files build without a warning, and all 1 are formatted."


@pytest.mark.usefixtures("offline_compiler")
def test_only_the_graph_extension_may_be_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any other file that needs a download stands in the way of compiling offline, and fails."""
    put_file(tmp_path, "main.bicep", CLEAN)
    assert main(tmp_path) == 1
    assert RESTORE_FAILED in capsys.readouterr().out


def test_an_old_snapshot_is_a_problem(compiler: BicepCompiler, tmp_path: Path) -> None:
    """A kept prediction must tell what the template makes now; the problem says what changes."""
    template = put_file(tmp_path, "main.bicep", RESOURCE)
    parameters = put_file(tmp_path, "main.bicepparam", PARAMETERS)
    write_snapshot(compiler, parameters)
    assert check(compiler, parameters).problems == ()
    template.write_text(RESOURCE.replace("first", "second"))
    (only,) = check(compiler, parameters).problems
    assert only.startswith(f"{snapshot_of(parameters)}: not what is predicted now")
    assert "userAssignedIdentities/second" in only


def test_a_snapshot_is_the_same_each_time(compiler: BicepCompiler, tmp_path: Path) -> None:
    """Only a change of the template changes a snapshot: outputs stand in the order of their names."""
    names = ["gamma", "alpha", "delta", "beta", "epsilon"]
    put_file(tmp_path, "main.bicep", CLEAN + "".join(f"output {name} string = location\n" for name in names))
    snapshot = write_snapshot(compiler, put_file(tmp_path, "main.bicepparam", PARAMETERS))
    outputs = list(json.loads(snapshot.read_text())["outputs"])
    assert outputs == sorted([*names, "place"])


def test_what_cannot_be_predicted_raises(compiler: BicepCompiler, tmp_path: Path) -> None:
    """A parameter file that does not compile leaves no snapshot and says why."""
    put_file(tmp_path, "main.bicep", CLEAN)
    with pytest.raises(SnapshotError, match="BCP258"):
        write_snapshot(compiler, put_file(tmp_path, "main.bicepparam", "using 'main.bicep'\n"))


@pytest.mark.parametrize("parameters", EXAMPLES, ids=lambda file: file.stem)
def test_the_kept_snapshots_are_current(compiler: BicepCompiler, parameters: Path) -> None:
    """What a reviewer reads beside the example parameters is what they would deploy."""
    assert find_changes(compiler, parameters) == ""


def test_every_linter_rule_that_is_configured_is_an_error() -> None:
    """A lint rule that only warns would be let stand."""
    lines = (ROOT / "bicepconfig.json").read_text().splitlines()
    config = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    rules = config["analyzers"]["core"]["rules"]
    assert {rule["level"] for rule in rules.values()} == {"error"}
    assert len(rules) == 53
