"""Cold start: what a new worker process pays before it does anything, and its first invocation.

The baseline is the bare import, in a fresh interpreter too, of the SDK modules that hold the names the app uses: of
`azure.functions` alone for `import function_app`, which needs nothing else yet, and of all of them for everything that
the app ever imports. Interpreters take turns and byte code is on disk. Judged is processor time, because wall time on
a busy machine says more about the machine; wall time is told as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.bench.figures import Figure, Target, paired
from local.bench.stand_ins import ROOT, StandIns, start_stand_ins

FIRST_PARTS = ("azure.functions",)
SDK_PARTS = (
    *FIRST_PARTS,
    "azure.data.tables.aio",
    "azure.storage.queue.aio",
    "azure.storage.blob.aio",
    "httpx",
    "kiota_abstractions.authentication",
    "kiota_abstractions.method",
    "kiota_abstractions.native_response_handler",
    "kiota_abstractions.request_information",
    "kiota_http.middleware.options",
    "msgraph_core.base_graph_request_adapter",
    "msgraph_core.graph_client_factory",
    "msgraph_core.middleware.telemetry",
    "pydantic.config",
    "pydantic.fields",
    "pydantic.functional_validators",
    "pydantic.main",
    "pydantic.type_adapter",
    "pydantic.types",
)
APP = ("function_app",)
WHOLE_APP = (
    *APP,
    "shared.bootstrap",
    "shared.adapters.storage",
    "shared.adapters.graph.identity",
    "shared.adapters.graph.mail",
    "shared.adapters.graph.submissions",
    "shared.adapters.graph.transport",
    "shared.codecs.manual_message",
    "shared.codecs.submission_message",
)
"""The app with everything it imports later, at the first invocation of each function."""
INTERPRETERS = 5
AT_MOST = Target("<=", 1.3)

_PROGRAM = """
import importlib, json, sys, time
split = sys.argv.index("--")
for name in sys.argv[1:split]:
    importlib.import_module(name)
there = len(sys.modules)
wall_s, cpu_s = time.perf_counter(), time.process_time()
for name in sys.argv[split + 1 :]:
    importlib.import_module(name)
told = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
told |= {"modules": len(sys.modules), "there": there}
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True)
class Imports:
    """What one interpreter paid for its imports; how many modules it has then, and how many were there before."""

    wall_s: float
    cpu_s: float
    modules: int
    there: int


async def measure(interpreters: int = INTERPRETERS) -> list[Figure]:
    """Imports by the bare ones, and the first invocation."""
    async with start_stand_ins() as stand_ins:
        await stand_ins.refill(0, 0)
        environment = stand_ins.environment(stand_ins.azurite.new_account())
        figures = await _measure_imports(interpreters, environment)
        return figures + await _measure_first_invocation(interpreters, stand_ins)


async def _measure_imports(interpreters: int, environment: Mapping[str, str]) -> list[Figure]:
    await import_fresh(WHOLE_APP, environment)  # writes what byte code is missing
    rounds = [
        [await import_fresh(names, environment) for names in (APP, FIRST_PARTS, WHOLE_APP, SDK_PARTS)]
        for _ in range(interpreters)
    ]
    app, bare_first, whole, bare = zip(*rounds, strict=True)
    return [
        _import_figure("import function_app", app, bare_first),
        _import_figure("import function_app and all it imports later", whole, bare),
    ]


async def _measure_first_invocation(interpreters: int, stand_ins: StandIns) -> list[Figure]:
    told = [await _invoke_first(stand_ins) for _ in range(interpreters)]
    generated = max(one["generated_modules"] for one in told)
    seconds = statistics.median(one["invocation_s"] for one in told)
    modules = told[0]["modules"]
    return [
        Figure(name="first invocation, collect of an empty mailbox", value=seconds, unit="s", note="not judged"),
        Figure(
            name="generated Graph models imported by then",
            value=generated,
            unit=f"of {modules:,.0f} modules",
            target=Target("<=", 0),
        ),
    ]


async def import_fresh(
    names: tuple[str, ...], environment: Mapping[str, str], *, after: tuple[str, ...] = ()
) -> Imports:
    """What an interpreter that has only imported the modules in `after` pays to import these."""
    return Imports(**await _run(["-c", _PROGRAM, *after, "--", *names], environment))


async def _invoke_first(stand_ins: StandIns) -> dict[str, Any]:
    environment = stand_ins.environment(stand_ins.azurite.new_account())
    return await _run(["-m", "local.bench.app_process", "first"], environment)


async def _run(arguments: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{arguments[:3]} ended with {process.returncode}")
    told: dict[str, Any] = json.loads(output)
    return told


def _import_figure(name: str, measured: tuple[Imports, ...], bare: tuple[Imports, ...]) -> Figure:
    wall_s = statistics.median(one.wall_s for one in measured)
    bare_wall_s = statistics.median(one.wall_s for one in bare)
    note = f"{measured[0].modules:,} modules, bare {bare[0].modules:,}; wall {wall_s:.2f} s, bare {bare_wall_s:.2f} s"
    values = [one.cpu_s for one in measured]
    return paired(name, "s processor time", values, [one.cpu_s for one in bare], AT_MOST, note)
