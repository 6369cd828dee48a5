"""What the platform reads of what is deployed, value by value, each with the test that runs under it.

A setting may be right by every rule that is written down and still end every invocation in one release of the
platform's worker, as PYTHON_ENABLE_OPENTELEMETRY did. So nothing that the platform reads stands in a template or in
host.json unless it is listed here with a test that runs the app, or the nearest real thing to the platform, under it;
and what was found to do harm is listed with its reason, and refused. Nothing here needs Python 3.13 or a compiler.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGISTER = Path(__file__).relative_to(ROOT).as_posix()


@dataclass(frozen=True, slots=True)
class Read:
    """A value that the platform reads: what for, and the test, as `file::name`, that runs under it."""

    purpose: str
    runs_under: str


_WORKER = "tests/app/test_worker_313.py::test_a_report_reaches_its_verdict"
_HOST_STAND_IN = "tests/local/test_functions_host_json.py"

SETTINGS: Mapping[str, Read] = {
    "AzureWebJobsStorage__blobServiceUri": Read("the host's leases, timer times, keys", _WORKER),
    "AzureWebJobsStorage__queueServiceUri": Read("named with the others, though no trigger of ours uses it", _WORKER),
    "AzureWebJobsStorage__tableServiceUri": Read("the host's diagnostic events", _WORKER),
    "AzureWebJobsStorage__credential": Read("an identity, no key", _WORKER),
    "AzureWebJobsStorage__clientId": Read("which identity", _WORKER),
    "AZURE_CLIENT_ID": Read("which identity, for libraries that look for one by themselves", _WORKER),
    "APPLICATIONINSIGHTS_CONNECTION_STRING": Read("where the host sends telemetry", _WORKER),
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": Read("as which identity it does", _WORKER),
}
"""Of the template's settings those that our parser does not know."""
REFUSED_SETTINGS: Mapping[str, str] = {
    "PYTHON_ENABLE_OPENTELEMETRY": (
        "under azure-functions-runtime 1.2.1 every invocation ends before our code with AttributeError, 'NoneType'"
        " object has no attribute 'extract' (azure-functions-python-worker #1881); 1.3.0 runs, but the platform chooses"
        " the release: tests/app/test_worker_313.py::test_why_the_opentelemetry_switch_is_refused"
    ),
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": (
        "the worker then looks for the package azure-monitor-opentelemetry, which the app does not bring: under 1.2.1"
        " and 1.3.0 an error in the log at every start, and nothing sent; with the package it would send spans of"
        " requests to Graph, whose URLs hold addresses"
    ),
}
"""Settings that no template may have, each with what they did when they were run."""

HOST_JSON: Mapping[str, Read] = {
    "version": Read("the schema of the file", f"{_HOST_STAND_IN}::test_the_host_accepts_the_file"),
    "functionTimeout": Read("when the worker is replaced", f"{_HOST_STAND_IN}::test_the_host_accepts_the_file"),
    "extensions.queues.batchSize": Read(
        "messages a fetch", f"{_HOST_STAND_IN}::test_unreadable_batch_holds_up_two_messages"
    ),
    "extensions.queues.newBatchThreshold": Read("messages at once", f"{_HOST_STAND_IN}::test_at_most_four_run_at_once"),
    "extensions.queues.maxDequeueCount": Read(
        "attempts", f"{_HOST_STAND_IN}::test_five_attempts_spread_over_two_minutes"
    ),
    "extensions.queues.visibilityTimeout": Read(
        "time between attempts", f"{_HOST_STAND_IN}::test_five_attempts_spread_over_two_minutes"
    ),
    "extensions.queues.maxPollingInterval": Read(
        "longest wait of a lone message",
        f"{_HOST_STAND_IN}::test_lone_message_is_picked_up_within_the_polling_interval",
    ),
    "extensions.queues.messageEncoding": Read(
        "nothing is decoded", f"{_HOST_STAND_IN}::test_bodies_reach_our_code_unchanged"
    ),
}
"""The values of host.json by their paths in dots, run by the stand-in that keeps to recordings of the real host."""
SEEN_BY_HAND: Mapping[str, str] = {
    "extensionBundle.*": "host 4.1037 with queue extension 5.3.10 as the bundle; no test has a host that loads one",
    "logging.*": "host 4.1037, sending to a stand-in of Application Insights; no test has a host that sends",
}
"""What in host.json was run with the real host once, and is run by no test; `*` stands for the rest of a path."""
REFUSED_IN_HOST_JSON: Mapping[str, str] = {
    "telemetryMode": (
        "the host then exports each poll of an idle queue at every level, whatever `logging` says, and leaves the log"
        " stream and the list of invocations empty; seen with host 4.1037: 16.4 GB a month from an idle app"
    ),
}
"""What no host.json may have, each with what it did when it was run."""


def problems_of_settings(names: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with each setting that the platform would read: it is refused, or no test runs under it."""
    yield from _problems(names, tuple(SETTINGS), REFUSED_SETTINGS)


def problems_of_host_json(paths: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with each value of a host.json, by its path in dots."""
    yield from _problems(paths, (*HOST_JSON, *SEEN_BY_HAND), REFUSED_IN_HOST_JSON)


def leaves(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value of a JSON tree with its path in dots."""
    if not isinstance(node, dict):
        yield path, node
        return
    for key, value in node.items():
        yield from leaves(value, f"{path}.{key}" if path else key)


def missing_tests() -> Iterator[str]:
    """Yield each test that is named here and does not exist."""
    named = {read.runs_under for read in (*SETTINGS.values(), *HOST_JSON.values())}
    for test in sorted(named):
        file, _, name = test.partition("::")
        if not any(fnmatchcase(found, name) for found in _tests_in(ROOT / file)):
            yield test


def _problems(names: Iterable[str], known: Sequence[str], refused: Mapping[str, str]) -> Iterator[str]:
    for name in names:
        if name in refused:
            yield f"{name} must not be deployed: {refused[name]}"
        elif not any(fnmatchcase(name, pattern) for pattern in known):
            yield (
                f"{name} is read by the platform, and no test runs the app under it: write one, then list both in"
                f" {REGISTER}"
            )


def _tests_in(file: Path) -> Iterator[str]:
    if file.exists():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name
