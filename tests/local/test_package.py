"""The rules of the deployment package, on a small repo and small wheels; tests/app runs what `make package` builds."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from local.package.build import PACKAGES, Package, build_package, package_name
from local.package.bytecode import DEPLOYED_AT, find_interpreter
from local.package.rules import LEFT_OUT, PackageError, deployed_files, read_funcignore
from local.package.summary import describe
from local.package.wheels import PYTHON_VERSIONS, choose_pins
from local.setup import ROOT

COMMAND_LINE = "shared/cli/"  # runs on an administrator's machine
OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
COMPILED = f"__pycache__/{{}}.{sys.implementation.cache_tag}.pyc"
KEPT = {
    "parcel/__init__.py": "def has(name: str) -> bool:\n    return name in {'amber', 'blue', 'cyan', 'green', 'red'}\n",
    "parcel/fast.so": "machine code",
    "parcel-1.0.dist-info/METADATA": "Name: parcel\nVersion: 1.0\n",
    "parcel-1.0.dist-info/entry_points.txt": "[parcel]\na = parcel\n",
    "parcel-1.0.dist-info/licenses/LICENSE": "Take it.",
}
DROPPED = {
    "parcel/__init__.pyi": "",
    "parcel/py.typed": "",
    "parcel/fast.pyx": "",
    "parcel/tests/test_parcel.py": "",
    "parcel-1.0.dist-info/RECORD": "",
    "parcel-1.0.dist-info/WHEEL": "",
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A small repo and a folder of wheels, to build packages from."""

    folder: Path

    @property
    def root(self) -> Path:
        """The repo."""
        return self.folder / "repo"

    def put_wheel(self, name: str, files: dict[str, str]) -> None:
        """Put a wheel with these files among the others."""
        with ZipFile(self.folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)

    def build(self, python: Path | None = None, **limits: int) -> Package:
        """Build the package."""
        return build_package(self.root, self.folder, python, self.folder / "dist" / "app.zip", **limits)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a repo with the real `.funcignore`, one module, files that are not deployed, and one wheel."""
    bench = Bench(tmp_path)
    for path in (
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared/model.py",
        "tests/test_app.py",
        ".venv/x.py",
    ):
        (bench.root / path).parent.mkdir(parents=True, exist_ok=True)
        (bench.root / path).touch()
    shutil.copy(ROOT / ".funcignore", bench.root)
    bench.put_wheel("parcel", KEPT | DROPPED)
    return bench


# --- Which files ----------------------------------------------------------------------------------------------------


def tracked_files() -> list[str]:
    """Return the files that git has of this repo; skip the test where there is no clone."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no clone of git's")
    listed = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def test_funcignore_leaves_what_is_deployed() -> None:
    """Of the repo's files, `func`, azd and `make package` deploy the app's and all of them; not the command line."""
    tracked = set(tracked_files())
    left = set(read_funcignore(ROOT).match_files(tracked, negate=True))
    own = {path for path in tracked if path.startswith("shared/") and not path.startswith(COMMAND_LINE)}
    assert left == {"function_app.py", "host.json", "requirements.txt"} | own


@pytest.mark.parametrize("pattern", (ROOT / ".gitignore").read_text().split())
def test_what_git_ignores_is_not_deployed(pattern: str) -> None:
    """Tools' folders, settings with a tenant's values and packages built before stay here."""
    path = f"{pattern}x.py" if pattern.endswith("/") else pattern.replace("*", "x")
    assert read_funcignore(ROOT).match_file(path) or path == "x.pyc"


def test_only_the_apps_files_and_what_runs_of_a_wheel(bench: Bench) -> None:
    """The zip has the app's files at its root and the packages where the worker looks for them."""
    package = bench.build()
    own = {"function_app.py", "host.json", "requirements.txt", "shared/model.py"}
    assert {one.path for one in package.packed} == own | {f"{PACKAGES}/{path}" for path in KEPT}
    assert {one.path for one in package.left_out} == DROPPED.keys()


def test_a_file_of_an_unknown_kind_stops_the_build(bench: Bench) -> None:
    """A wheel that brings something new is looked at before it is deployed."""
    bench.put_wheel("parcel", {"parcel/start.pth": "import parcel"})
    with pytest.raises(PackageError, match=r"parcel/start\.pth"):
        bench.build()


@pytest.mark.parametrize("path", ["dump.csv", "scratch.py", "shared/notes.txt", "private/key.pem"])
def test_a_stray_file_in_the_repo_stops_the_build(bench: Bench, path: str) -> None:
    """Nothing is deployed because it happened to lie there."""
    (bench.root / path).parent.mkdir(exist_ok=True)
    (bench.root / path).touch()
    with pytest.raises(PackageError, match=re.escape(path)):
        list(deployed_files(bench.root))


def test_two_wheels_with_one_file_stop_the_build(bench: Bench) -> None:
    """Which of the two would win is nobody's guess."""
    bench.put_wheel("other", {"parcel/__init__.py": ""})
    with pytest.raises(PackageError, match="two wheels"):
        bench.build()


def test_a_package_too_large_is_none(bench: Bench) -> None:
    """Above the limit there is no zip, not even that of an earlier build."""
    file = bench.build().file
    with pytest.raises(PackageError, match="more than 100"):
        bench.build(most_zipped_bytes=100)
    assert not file.exists()


# --- Which versions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("python_version", "bindings"), [("3.11", "1.26.0"), ("3.12", "1.26.0"), ("3.13", "2.3.0")])
def test_markers_are_evaluated_for_the_deployed_python(python_version: str, bindings: str) -> None:
    """Each Python gets the bindings that the platform serves it with, whichever Python builds the package."""
    pins = choose_pins((ROOT / "requirements.txt").read_text(), python_version)
    assert [pin for pin in pins if pin.startswith("azure-functions==")] == [f"azure-functions=={bindings}"]


def test_markers_are_evaluated_for_the_deployed_platform() -> None:
    """What only another system or machine needs is no part of it."""
    lines = (
        'a==1; sys_platform == "win32"\nb==2; platform_machine == "x86_64" and os_name == "posix"  # why\n\n# c==3\n'
    )
    assert choose_pins(lines, "3.13") == ["b==2"]


def test_the_versions_are_those_of_the_infrastructure() -> None:
    """A package can be built for each Python that main.bicep offers, and by default for its default."""
    bicep = (ROOT / "infra" / "main.bicep").read_text()
    offered = re.search(r"@allowed\(\[(.+)\]\)\nparam pythonVersion string = '(.+)'", bicep)
    assert offered is not None
    assert tuple(re.findall(r"'([\d.]+)'", offered[1])) == PYTHON_VERSIONS
    assert f"PACKAGE_PYTHON ?= {offered[2]}\n" in (ROOT / "Makefile").read_text()


# --- The zip --------------------------------------------------------------------------------------------------------


def test_the_same_inputs_give_the_same_bytes(bench: Bench) -> None:
    """Neither dates and modes of files, nor a wheel's order, nor Python's seed of hashes shows in the zip."""
    first = bench.build(Path(sys.executable))
    bench.put_wheel("parcel", dict(reversed((KEPT | DROPPED).items())))
    mask = os.umask(0o077)
    try:
        second = bench.build(Path(sys.executable))
    finally:
        os.umask(mask)
    assert second.sha256 == first.sha256
    with ZipFile(second.file) as archive:
        entries = archive.infolist()
    assert [one.filename for one in entries] == sorted(one.filename for one in entries)
    assert {(one.date_time, one.external_attr >> 16) for one in entries} == {((1980, 1, 1, 0, 0, 0), 0o100644)}


def test_byte_code_tells_where_the_app_will_lie(bench: Bench) -> None:
    """Every module is compiled, and a traceback names no folder of the machine that built it."""
    package = bench.build(Path(sys.executable))
    compiled = f"{PACKAGES}/parcel/{COMPILED.format('__init__')}"
    assert {one.path for one in package.packed if one.path.endswith(".pyc")} == {
        COMPILED.format("function_app"),
        f"shared/{COMPILED.format('model')}",
        compiled,
    }
    with ZipFile(package.file) as archive:
        content = archive.read(compiled)
    assert f"{DEPLOYED_AT}/{PACKAGES}/parcel/__init__.py".encode() in content
    assert str(bench.folder.parent).encode() not in content


def test_a_module_that_does_not_compile_stops_the_build(bench: Bench) -> None:
    """A wheel that is not for this Python is found before it is deployed."""
    bench.put_wheel("parcel", {"parcel/__init__.py": "print 'hello'\n"})
    with pytest.raises(PackageError, match="not every module compiles"):
        bench.build(Path(sys.executable))


def test_the_compiling_python_is_of_the_deployed_version() -> None:
    """Byte code of another version would be ignored."""
    assert find_interpreter(OWN_VERSION) == Path(sys.executable)
    assert find_interpreter("2.6") is None


def test_its_name_tells_product_version_and_python() -> None:
    """Whoever finds the zip knows what it is."""
    assert re.fullmatch(r"defender-submissions-\d+\.\d+\.\d+-py312\.zip", package_name(ROOT, "3.12"))


def test_the_summary_counts_what_is_there(bench: Bench) -> None:
    """Sizes, checksum, parts and what was left out are those of the zip and the wheels."""
    package = bench.build()
    lines = list(describe(package))
    assert f"sha256 {package.sha256}" in lines
    counts = {line.strip().rsplit(maxsplit=3)[0]: line.split()[-3] for line in lines if line.startswith("  ")}
    assert counts["parcel"] == str(len(KEPT))
    assert counts["the app itself"] == "4"
    reasons = {rule.reason for rule in LEFT_OUT}
    assert sum(int(count) for name, count in counts.items() if name in reasons) == len(DROPPED)


def test_clean_removes_it() -> None:
    """`make clean` leaves no package behind."""
    make = shutil.which("make")
    assert make is not None
    told = subprocess.run([make, "-n", "clean"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"rm -rf .*\bdist\b", told)
