"""The deployed files under the platform's own worker library on Python 3.13: indexed, and each function run.

The platform serves Python 3.13 with `azure-functions-runtime`. Storage is Azurite, Graph the simulator. Only what is
deployed lies in the app's folder; tests/app/test_deployed_package.py does the same with the zip.
"""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.package.rules import read_funcignore
from local.setup import worker_python
from shared.domain.model import State
from tests.support.stage import settings_for
from tests.support.worker_site import (
    NO_WORKER,
    Site,
    assert_all_indexed,
    invocation,
    live_through_a_report,
    run_site,
    worker,
)

ROOT = Path(__file__).resolve().parents[2]
DEPLOYED = ("function_app.py", "host.json", "requirements.txt", "shared")
URL_REQUEST: dict[str, object] = {
    "schemaVersion": 1,
    "kind": "url",
    "category": "phishing",
    "requestedBy": "soc@contoso.example",
    "url": "https://login.contoso-example.test/reset",
}
AS_OBJECT = '''
import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="manual-submissions", connection="Store")
async def intake_manual(message: func.QueueMessage) -> None:
    """Take a message as an object."""
'''


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """Return a folder that holds what is deployed and nothing else."""
    folder = tmp_path / "wwwroot"
    folder.mkdir()
    for name in DEPLOYED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
async def site(deployed: Path, storage_connection: str) -> AsyncIterator[Site]:
    """Return the app in a worker, with an empty storage account and a tenant whose verdicts come at once."""
    async with run_site(deployed, storage_connection) as running:
        yield running


async def test_the_worker_indexes_the_deployed_files(site: Site) -> None:
    """The worker finds the seven functions with their queues and schedules, and says the same as the contract."""
    assert_all_indexed(site)


async def test_a_report_reaches_its_verdict(site: Site) -> None:
    """Collect, dispatch, submit and settle run in the worker, and a report ends settled; a second delivery is quiet."""
    await live_through_a_report(site)


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
    settings = settings_for("http://127.0.0.1:1", None)
    missing = {"TENANT_ID", "COLLECT_SCHEDULE"}
    kept = {name: value for name, value in settings.items() if name not in missing}
    async with worker(deployed, kept) as running:
        assert running.found["error"].startswith("SettingsError: 2 wrong or missing app settings")
        assert all(name in running.found["error"] for name in missing)


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
