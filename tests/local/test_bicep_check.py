"""What `make check` says about Bicep files, with the real compiler where there is one and without any."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from local import bicep_snapshot
from local.bicep_check import AGE_RULES, check, find_aged, find_build_problems, main, main_age
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
AgedCompiler = Callable[[int], BicepCompiler]
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
def aged_compiler(compiler: BicepCompiler, tmp_path: Path) -> AgedCompiler:
    """Run the real compiler with the clock some years on; skip where `faketime` is not installed."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime, which moves the clock of a process, is not installed")

    def aged(years: int) -> BicepCompiler:
        words = shlex.join((faketime, "-f", f"+{years}y", compiler.words[0]))
        program = put_file(tmp_path, f"in-{years}-years/bicep", f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
        return BicepCompiler((str(program), *compiler.words[1:]))

    return aged


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


def rules_of(config: Path) -> dict[str, str]:
    """Return the level of each linter rule that a configuration names."""
    lines = (line for line in config.read_text().splitlines() if not line.lstrip().startswith("//"))
    told = json.loads("\n".join(lines))["analyzers"]["core"]["rules"]
    return {name: rule["level"] for name, rule in told.items()}


def test_no_linter_rule_stops_a_deployment() -> None:
    """Every rule warns, which `make check` fails on; those that go by the date are CI's alone, and errors there."""
    deployed, ci = rules_of(ROOT / "bicepconfig.json"), rules_of(AGE_RULES)
    assert len(deployed) == 53
    assert {name for name, level in deployed.items() if level != "warning"} == set(ci)
    assert {deployed[name] for name in ci} == {"off"}
    assert set(ci.values()) == {"error"}
    assert "use-recent-api-versions" in ci


@pytest.mark.parametrize(("years", "file"), [(2, "main.bicepparam"), (10, "main.bicep"), (10, "production.bicepparam")])
def test_the_templates_build_on_any_day(aged_compiler: AgedCompiler, years: int, file: str) -> None:
    """Nobody who deploys years from now is stopped by the date."""
    assert list(find_build_problems(aged_compiler(years), ROOT / "infra" / file)) == []


def test_ci_is_told_when_an_api_version_is_too_old(aged_compiler: AgedCompiler) -> None:
    """The same templates ten years on: CI names what is too old, without the folder that it built in."""
    told = find_aged(aged_compiler(10), ROOT)
    assert all(line.startswith("infra/") for line in told)
    assert any("use-recent-api-versions" in line for line in told)


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_no_age_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """CI without a compiler says that it did not look."""
    assert main_age() == 0
    assert capsys.readouterr().out.startswith("NOT CHECKED")
