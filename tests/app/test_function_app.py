"""`function_app.py` as a process indexes it: the contract's seven functions, and nothing that it could do without."""

import fnmatch
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
INDEX = """
import inspect, json, sys, typing
import function_app

def shown(function):
    call = function.get_user_function()
    return {
        "bindings": [json.loads(binding) for binding in function.get_raw_bindings()],
        "is_async": inspect.iscoroutinefunction(call),
        "hints": {name: str(hint) for name, hint in typing.get_type_hints(call).items()},
        "says": (call.__doc__ or "").strip(),
    }

functions = {function.get_function_name(): shown(function) for function in function_app.app.get_functions()}
print(json.dumps({"functions": functions, "modules": sorted(sys.modules)}))
"""
QUEUES = {
    "intake_manual": "manual-submissions",
    "submit": "submissions",
    "record_poison_manual": "manual-submissions-poison",
    "record_poison_submission": "submissions-poison",
}
ANSWERS = {"notify": "notifications", "record_poison_notification": "notifications-poison"}
"""There only where reporters are told."""
TIMERS = {
    "collect_reports": "%COLLECT_SCHEDULE%",
    "dispatch": "%DISPATCH_SCHEDULE%",
    "settle_outcomes": "%SETTLE_SCHEDULE%",
}


def run_with(settings: dict[str, str], code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in the app's folder with these app settings and no others; warnings are errors."""
    environment = {"PATH": os.environ["PATH"], **settings}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def indexed() -> dict[str, Any]:
    """Return what a fresh process finds with the example's settings."""
    done = run_with(EXAMPLE, INDEX)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_seven_functions(indexed: dict[str, Any]) -> None:
    """The contract's functions are there, and no other."""
    assert set(indexed["functions"]) == {*QUEUES, *TIMERS}


@pytest.fixture(scope="module")
def answering() -> dict[str, Any]:
    """Return what a fresh process finds where reporters are told."""
    done = run_with({**EXAMPLE, "REPORTER_FEEDBACK": "verdict", "FEEDBACK_MAILBOX": "answers@contoso.example"}, INDEX)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_answers_have_two_more_functions_and_cost_a_cold_start_nothing(
    indexed: dict[str, Any], answering: dict[str, Any]
) -> None:
    """They are there only where reporters are told, and no module is imported for them before the first message."""
    assert set(answering["functions"]) == {*QUEUES, *TIMERS, *ANSWERS}
    assert answering["modules"] == indexed["modules"]


@pytest.mark.parametrize(("name", "queue"), (QUEUES | ANSWERS).items())
def test_a_queue_function(answering: dict[str, Any], name: str, queue: str) -> None:
    """It listens to its queue in the data account, and its message is bound as `str`: no body can fail before it."""
    function = answering["functions"][name]
    assert function["bindings"] == [
        {
            "direction": "IN",
            "type": "queueTrigger",
            "name": "message",
            "queueName": queue,
            "connection": "SubmissionsStorage",
        }
    ]
    assert function["hints"] == {"message": "<class 'str'>", "return": "<class 'NoneType'>"}


@pytest.mark.parametrize(("name", "schedule"), TIMERS.items())
def test_a_timer_function(indexed: dict[str, Any], name: str, schedule: str) -> None:
    """Its schedule is an app setting, it does not run at start-up, and the host remembers missed runs."""
    function = indexed["functions"][name]
    assert function["bindings"] == [
        {
            "direction": "IN",
            "type": "timerTrigger",
            "name": "timer",
            "schedule": schedule,
            "runOnStartup": False,
            "useMonitor": True,
        }
    ]
    assert function["hints"]["return"] == "<class 'NoneType'>"
    assert "TimerRequest" in function["hints"]["timer"]


def test_all_are_async_and_say_what_they_do(indexed: dict[str, Any]) -> None:
    """Every function is `async def`, so that one worker runs many at once, and its docstring tells an admin its job."""
    functions = indexed["functions"].values()
    assert [function["is_async"] for function in functions] == [True] * 7
    assert all(function["says"] for function in functions)


@pytest.mark.parametrize(
    "spared",
    [
        "azure.data",
        "azure.identity",
        "azure.storage",
        "httpx",
        "msgraph",
        "msgraph_core",
        "opentelemetry",
        "pydantic",
    ],
)
def test_a_cold_start_imports_the_triggers_only(indexed: dict[str, Any], spared: str) -> None:
    """Indexing imports no client library: they are imported by the first invocation that needs them."""
    assert [name for name in indexed["modules"] if f"{name}.".startswith(f"{spared}.")] == []


CONNECT = """
import asyncio, json, os, sys
from contextlib import AsyncExitStack
from shared.bootstrap import connect
from shared.settings import Settings

async def main():
    async with AsyncExitStack() as resources:
        ports = await connect(Settings.load(os.environ), resources)
        modules = [name for name in sys.modules if name.startswith("shared.")]
        print(json.dumps({"modules": modules, "queues": [*ports.queues], "containers": [*ports.containers]}))

asyncio.run(main())
"""
DEPLOYED = {
    **{name: value for name, value in EXAMPLE.items() if name != "SubmissionsStorage"},
    **{
        f"SubmissionsStorage__{one}ServiceUri": f"https://a.{one}.core.windows.net"
        for one in ("queue", "table", "blob")
    },
    "SubmissionsStorage__credential": "managedidentity",
    "FEEDBACK_MAILBOX": "answers@contoso.example",
}


@pytest.mark.parametrize("switch", ["off", "verdict"])
def test_answers_cost_nothing_where_they_are_off(switch: str) -> None:
    """The first invocation then imports nothing of them, and reaches for no queue and no container of theirs."""
    done = run_with({**DEPLOYED, "REPORTER_FEEDBACK": switch}, CONNECT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    is_on = switch != "off"
    theirs = [name for name in found["modules"] if re.search(r"\banswer|notif|feedback", name)]
    assert ("shared.adapters.graph.answer_mails" in theirs) == bool(theirs) == is_on
    named = {*found["queues"], *found["containers"]} & {"notifications", "notifications-poison", "feedback-texts"}
    assert len(named) == (3 if is_on else 0)


def test_nothing_else_is_deployed() -> None:
    """`.funcignore` leaves four things of the repo's root to go up."""
    ignored = [
        line.rstrip("/") for line in (ROOT / ".funcignore").read_text().splitlines() if line[:1] not in {"", "#"}
    ]
    names = {path.name for path in ROOT.iterdir()}
    kept = {name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)}
    assert kept == {"function_app.py", "host.json", "requirements.txt", "shared"}


def test_wrong_settings_stop_the_import() -> None:
    """One error names every wrong and every missing setting, and repeats no value."""
    wrong = {name: value for name, value in EXAMPLE.items() if name != "DISPATCH_SCHEDULE"}
    wrong |= {"TENANT_ID": "not-a-guid-4711", "QUOTA_PER_DAY": "many"}
    done = run_with(wrong, "import function_app")
    error = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert error.startswith("shared.settings.SettingsError: 3 wrong or missing app settings")
    assert all(name in error for name in ("DISPATCH_SCHEDULE", "TENANT_ID", "QUOTA_PER_DAY"))
    assert "4711" not in done.stderr
