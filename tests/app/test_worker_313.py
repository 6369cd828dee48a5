"""The deployed files under the platform's own worker library on Python 3.13: indexed, and each function run.

The platform serves Python 3.13 with `azure-functions-runtime`, in a release of its own choice: two of them run here,
under the very settings that the template deploys. Storage is Azurite, Graph the simulator. Only what is deployed lies
in the app's folder; tests/app/test_deployed_package.py does the same with the zip.
"""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.package.rules import deployed_files, read_funcignore
from local.setup import worker_python
from shared.built_for import PACKAGES
from shared.domain.model import State
from tests.infra.predicted import EXAMPLES, read_prediction
from tests.support.azure_addresses import DeployedStorage
from tests.support.platform_reads import REFUSED_SETTINGS
from tests.support.worker_site import (
    NEWEST,
    NO_WORKER,
    OLDER,
    QUEUES,
    RELEASES,
    TIMERS,
    Site,
    assert_all_indexed,
    assert_only_deployed_settings,
    deliver_report,
    invocation,
    live_through_a_report,
    run_site,
    worker,
)

ROOT = Path(__file__).resolve().parents[2]
URL_REQUEST: dict[str, object] = {
    "schemaVersion": 1,
    "kind": "url",
    "category": "phishing",
    "requestedBy": "soc@contoso.example",
    "url": "https://login.contoso-example.test/reset",
}
SWITCHED_OFF = "AttributeError: 'NoneType' object has no attribute 'extract'"
AS_OBJECT = '''
import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="manual-submissions", connection="Store")
async def intake_manual(message: func.QueueMessage) -> None:
    """Take a message as an object."""
'''


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """Return a folder that holds what is deployed and nothing else, as azd and Core Tools upload it from a clone."""
    folder = tmp_path / "wwwroot"
    for path in deployed_files(ROOT):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    return folder


@pytest.fixture(params=RELEASES)
async def site(
    request: pytest.FixtureRequest, deployed: Path, deployed_storage: DeployedStorage
) -> AsyncIterator[Site]:
    """Return the app in a worker of each release, with an empty account and a tenant whose verdicts come at once."""
    async with run_site(deployed, deployed_storage, release=request.param) as running:
        yield running


@pytest.mark.parametrize(("release", "ended"), [(NEWEST, 0), (OLDER, 7)])
async def test_why_the_opentelemetry_switch_is_refused(
    deployed: Path, deployed_storage: DeployedStorage, release: str, ended: int
) -> None:
    """A switch that was deployed once ends every invocation before our code in one release, and none in the next."""
    switch = {"PYTHON_ENABLE_OPENTELEMETRY": "true"}
    assert switch.keys() <= REFUSED_SETTINGS.keys()
    async with run_site(deployed, deployed_storage, release=release, added=switch) as site:
        everything = [*map(invocation, TIMERS), *(invocation(name, "{}") for name in QUEUES)]
        errors = [one["error"] for one in await site.worker.invoke(*everything)]
    assert (errors.count(SWITCHED_OFF), len(errors)) == (ended, 7)


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("release", RELEASES)
async def test_the_worker_indexes_under_the_deployed_settings(
    deployed: Path, deployed_storage: DeployedStorage, release: str, example: str
) -> None:
    """The worker finds the seven functions with their queues and schedules; its settings are the template's alone."""
    async with run_site(deployed, deployed_storage, release=release, example=example) as site:
        assert_all_indexed(site)
        await assert_only_deployed_settings(site)


async def test_a_report_reaches_its_verdict(site: Site) -> None:
    """Collect, dispatch, submit and settle run in the worker, and a report ends settled; a second delivery is quiet."""
    await live_through_a_report(site)


async def test_the_trial_submits_nothing(deployed: Path, deployed_storage: DeployedStorage) -> None:
    """Under the settings of the trial a report ends in a row that says so, and nothing goes to Microsoft."""
    async with run_site(deployed, deployed_storage, example="trial") as site:
        deliver_report(site)
        await site.run("collect_reports")
        await site.run("submit", site.taken("submissions")[0])
        assert [(one.state, one.state_reason) for one in site.outcomes()] == [(State.SKIPPED, "shadow_mode")]
        assert site.graph.control.list_submissions() == ()


async def test_operators_messages(site: Site) -> None:
    """A request is submitted; a body whose key takes a metadata name arrives all the same and is rejected in words."""
    await site.run("intake_manual", json.dumps(URL_REQUEST))
    await site.run("submit", site.taken("submissions")[0])
    await site.run("settle_outcomes")
    await site.run("intake_manual", '{"expirationTime":"never"}')
    await site.run("intake_manual", '{"dequeueCount":"x","schemaVersion":1}')
    await site.run("intake_manual", "")
    found = sorted((one.state, one.state_reason) for one in site.outcomes())
    assert found == [
        (State.REJECTED, "not_json"),
        (State.REJECTED, "reserved_field"),
        (State.REJECTED, "reserved_field"),
        (State.SETTLED, None),
    ]


async def test_poison_ends_in_rows(site: Site) -> None:
    """The two poison functions give their messages a final row and never fail, whatever the body."""
    await site.run("record_poison_manual", json.dumps(URL_REQUEST))
    await site.run("record_poison_manual", '{"expirationTime":"never"}')
    await site.run("intake_manual", json.dumps(URL_REQUEST | {"requestId": "case-2", "url": "https://b.example/"}))
    await site.run("record_poison_submission", site.taken("submissions")[0])
    await site.run("record_poison_submission", '{"id":7}')
    found = sorted((one.state, one.state_reason) for one in site.outcomes())
    assert found == [
        (State.FAILED, "poison_message"),
        (State.FAILED, "poison_message"),
        (State.REJECTED, "reserved_field"),
    ]
    assert site.graph.control.list_submissions() == ()


async def test_a_message_that_is_none_of_ours_fails(site: Site) -> None:
    """A stranger's message on `submissions` fails its invocation, so that the host moves it to poison; others run."""
    bad, good = await site.worker.invoke(invocation("submit", "hello"), invocation("dispatch"))
    assert not bad["succeeded"]
    assert bad["error"].startswith("RunFailed: UnreadableMessage at shared/codecs/submission_message.py:")
    assert good["succeeded"]


async def test_no_generated_model_is_imported(site: Site) -> None:
    """After a submission the worker holds the SDK's transport, but none of its generated code."""
    await site.run("intake_manual", json.dumps(URL_REQUEST))
    await site.run("submit", site.taken("submissions")[0])
    await site.run("settle_outcomes")
    modules = await site.worker.modules()
    assert "msgraph_core" in modules
    assert {name for name in modules if name.startswith(("msgraph.generated", "msgraph_beta"))} == set()


async def test_wrong_settings_stop_the_worker(deployed: Path) -> None:
    """With settings missing the app does not start: the worker reports one error that names all of them."""
    settings = read_prediction("production").app_settings()
    missing = {"TENANT_ID", "COLLECT_SCHEDULE"}
    kept = {name: value for name, value in settings.items() if name not in missing}
    async with worker(deployed, kept) as running:
        assert running.found["error"].startswith("SettingsError: 2 wrong or missing app settings")
        assert all(name in running.found["error"] for name in missing)


@pytest.mark.parametrize("release", RELEASES)
async def test_packages_for_another_python_stop_the_worker(deployed: Path, release: str) -> None:
    """They stop the app before its settings are looked at, and one error says what to build or set."""
    compiled = deployed / PACKAGES / "pydantic_core"
    compiled.mkdir(parents=True)
    (compiled / "_pydantic_core.cpython-311-x86_64-linux-gnu.so").touch()
    async with worker(deployed, {}, release=release) as running:
        error = running.found["error"]
    assert error.startswith("BuiltForAnotherPython: the packages beside the app were built for Python 3.11 on x86_64")
    assert "`make package PACKAGE_PYTHON=3.13`" in error


async def test_bound_as_an_object_the_same_message_would_fail(tmp_path: Path) -> None:
    """Why messages are bound as `str`: as `func.QueueMessage` the key fails the invocation before the function."""
    (tmp_path / "function_app.py").write_text(AS_OBJECT)
    async with worker(tmp_path, {}) as running:
        bad, good = await running.invoke(
            invocation("intake_manual", '{"expirationTime":"never"}'), invocation("intake_manual", "{}")
        )
    assert (bad["succeeded"], good["succeeded"]) == (False, True)


def test_every_module_imports_on_python_313() -> None:
    """Python 3.13 has nothing to warn of in our deployed modules, but those that run when imported."""
    python = worker_python()
    if python is None:
        pytest.skip(NO_WORKER)
    ignored = read_funcignore(ROOT)
    files = [path.relative_to(ROOT) for path in (ROOT / "shared").rglob("*.py") if path.name != "__main__.py"]
    names = [".".join(path.with_suffix("").parts) for path in files if not ignored.match_file(path)]
    code = f"import importlib\nfor name in {sorted(names)!r}: importlib.import_module(name.removesuffix('.__init__'))"
    done = subprocess.run(
        [python, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
