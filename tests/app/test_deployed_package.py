"""The deployment package as `make package` builds it, unpacked into an empty folder: what is in it, and that it runs.

The worker is the platform's own library on Python 3.13; it can import from the package, from itself and from the
standard library. Its settings are those that the template deploys. Storage is Azurite, Graph the simulator, each in
another process than the app.
"""

import ast
import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.utils import canonicalize_name

from local.package.build import PACKAGES, Package, build_package, package_name
from local.package.rules import LEFT_OUT
from local.package.wheels import REQUIREMENTS, choose_pins, wheels_step
from local.setup import ROOT, WORKER_FOLDER, only_run, worker_python
from tests.support.azure_addresses import DeployedStorage
from tests.support.worker_site import (
    DRIVER,
    NO_WORKER,
    RELEASES,
    assert_all_indexed,
    assert_only_deployed_settings,
    library_folders,
    live_through_a_report,
    run_site,
)

PYTHON_VERSION = "3.13"
WORKER_PACKAGES = ("azure_functions_runtime", "azurefunctions")
NOT_DEPLOYED = {"msgraph-sdk"}


@dataclass(frozen=True, slots=True)
class Deployed:
    """The package, and the folder that it was unpacked into."""

    package: Package
    folder: Path

    @property
    def packages(self) -> Path:
        """Where the app's own packages lie."""
        return self.folder / PACKAGES

    def files(self) -> set[str]:
        """Return all files in the folder, as paths in the package."""
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Build the package and unpack it; skip the test where it cannot run."""
    python = worker_python()
    if python is None:
        pytest.skip(NO_WORKER)
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the package is made for Linux on x86-64")
    step = wheels_step(PYTHON_VERSION)
    with only_run():
        if not step.stands():
            step.carry_out()
    folder = tmp_path_factory.mktemp("deployed")
    package = build_package(ROOT, step.folder, python, folder / package_name(ROOT, PYTHON_VERSION))
    with ZipFile(package.file) as archive:
        archive.extractall(folder / "wwwroot")
    return Deployed(package, folder / "wwwroot")


def worker_folder(folder: Path, release: str) -> Path:
    """Return a folder with a release of the worker's library and nothing of what the app brings along."""
    installed = WORKER_FOLDER / "lib" / f"python{PYTHON_VERSION}" / "site-packages"
    for name in WORKER_PACKAGES:
        places = (*library_folders(release), installed)
        (folder / name).symlink_to(next(place / name for place in places if (place / name).exists()))
    return folder


def modules_of(folder: Path) -> Iterator[str]:
    """Yield the names of all modules of `shared` below a folder, those left out that run when imported."""
    for path in sorted((folder / "shared").rglob("*.py")):
        if path.name != "__main__.py":
            yield ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")


def imports_of(folder: Path) -> set[str]:
    """Return the modules of others that any line of `shared`, in a function or not, takes names from."""
    trees = (ast.parse(path.read_text()) for path in (folder / "shared").rglob("*.py"))
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}


def test_it_holds_what_runs_and_nothing_else(deployed: Deployed) -> None:
    """Beside the app's own files there are packages only, and of these no tests, types, sources in C or models."""
    files = deployed.files()
    assert {path.split("/")[0] for path in files} == {
        *("function_app.py", "__pycache__", "host.json", "requirements.txt", "shared", ".python_packages")
    }
    unwanted = (
        r"/tests?/|\.pyi$|\.(c|h|pyx|pxd)$|/RECORD$|/INSTALLER$|kiota-dom-export|/generated/|local\.settings|/msgraph/"
    )
    assert [path for path in files if re.search(unwanted, path)] == []
    assert {path.name for path in deployed.packages.iterdir()} >= {"azure", "msgraph_core", "kiota_http", "pydantic"}


def test_every_rule_leaves_something_out(deployed: Deployed) -> None:
    """A rule that covers nothing any more is taken away."""
    assert {one.reason for one in deployed.package.left_out} == {rule.reason for rule in LEFT_OUT}


def test_every_pinned_version_is_in_it(deployed: Deployed) -> None:
    """Each line of requirements.txt for this Python is there in its version, but the SDK of which nothing runs."""
    pins = dict(line.split("==") for line in choose_pins(REQUIREMENTS.read_text(), PYTHON_VERSION))
    expected = {canonicalize_name(name): version for name, version in pins.items()}
    found = {canonicalize_name(one.name): one.version for one in distributions(path=[str(deployed.packages)])}
    assert found == {name: version for name, version in expected.items() if name not in NOT_DEPLOYED}


def test_it_can_tell_which_python_it_is_for(deployed: Deployed) -> None:
    """The file that the app looks for at its start is there, with the version in its name."""
    compiled = {path.name for path in (deployed.packages / "pydantic_core").glob("*.so")}
    assert compiled == {"_pydantic_core.cpython-313-x86_64-linux-gnu.so"}


def test_every_module_is_compiled(deployed: Deployed) -> None:
    """Each module has byte code for the deployed Python that is never checked, wherever the file's date says."""
    files = deployed.files()
    sources = {path for path in files if path.endswith(".py")}
    compiled = {path for path in files if path.endswith(".pyc")}
    assert {re.sub(r"__pycache__/(.+)\.cpython-313\.pyc$", r"\1.py", path) for path in compiled} == sources
    flags = {int.from_bytes((deployed.folder / path).read_bytes()[4:8], "little") for path in compiled}
    assert flags == {0b01}  # PEP 552: by hash, not checked


@pytest.mark.parametrize("release", RELEASES)
async def test_a_report_reaches_its_verdict_from_the_package_alone(
    deployed: Deployed, deployed_storage: DeployedStorage, tmp_path: Path, release: str
) -> None:
    """All functions are indexed, a report ends settled, and no module came from anywhere else."""
    before = deployed.files()
    library = worker_folder(tmp_path, release)
    folders = (deployed.packages, library)
    async with run_site(deployed.folder, deployed_storage, release=release, alone_with=folders) as site:
        assert_all_indexed(site)
        await assert_only_deployed_settings(site)
        await live_through_a_report(site)
        places = await site.worker.modules()
    allowed = [deployed.folder, library, DRIVER, standard_library()]
    # Extension modules make a few more in memory; those have no place.
    lying = {name: Path(place) for name, place in places.items() if place}
    strangers = {name: path for name, path in lying.items() if not any(path.is_relative_to(one) for one in allowed)}
    assert strangers == {}
    assert {
        "azure.functions",
        "azure.data.tables.aio",
        "msgraph_core",
        "shared.usecases.outcomes.settle",
    } <= places.keys()
    assert deployed.files() == before


def test_every_module_imports_from_the_package_alone(deployed: Deployed) -> None:
    """What a life cycle does not touch, such as the doctor and imports inside of functions, finds its packages too."""
    paths = [str(deployed.folder), str(deployed.packages)]
    names = [*modules_of(deployed.folder), *sorted(imports_of(deployed.folder))]
    code = f"import importlib, sys\nsys.path[:0] = {paths}\nfor name in {names}: importlib.import_module(name)"
    python = worker_python() or sys.executable
    done = subprocess.run([python, "-I", "-S", "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def standard_library() -> Path:
    """Return the folder of the worker's standard library."""
    question = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    python = worker_python() or sys.executable
    return Path(subprocess.run([python, "-c", question], capture_output=True, text=True, check=True).stdout.strip())


def test_the_package_that_is_published_is_this_one(deployed: Deployed) -> None:
    """What `make package` left in dist/ has the bytes that these tests ran; `make test-package` asks for it."""
    published = os.environ.get("PUBLISHED_PACKAGE")
    if published is None:
        pytest.skip("only for a package that is about to be published: make test-package")
    assert hashlib.sha256(Path(published).read_bytes()).hexdigest() == deployed.package.sha256
