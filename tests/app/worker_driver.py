"""The Functions host's half of a conversation with the official worker library; run by Python 3.13, not a test itself.

`python worker_driver.py <app folder> [<folder to import from>...]` loads the app as the platform's worker does and
prints what was indexed. Then each line of standard input is a JSON list of invocations, run side by side, and answered
by one line with a JSON list of results; the line `modules` is answered with the imported modules and where they lie,
`environment` with the process's own. The library gets its message classes injected by the process around it, which is
in no package registry; the stand-ins below keep what they are given.
"""

import asyncio
import importlib
import json
import os
import sys
import uuid
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

Json = dict[str, Any]


class Message(SimpleNamespace):
    """A protocol message: the fields it was made with."""


class OneOf(Message):
    """A protocol message of which one field is set, such as the kind of a value."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's own name
        """Return the name of the field that is set; `name` is a field beside the group."""
        del group
        return next((name for name in vars(self) if name != "name"), None)


class BindingInfo(Message):
    """A binding, with the enumerations' numbers of the protocol."""

    inout = 2
    out = 1
    undefined = 0


class StatusResult(Message):
    """How a request ended, with the enumeration's numbers of the protocol."""

    Failure = 0
    Success = 1


PROTOS = SimpleNamespace(
    **dict.fromkeys(
        (
            "FunctionLoadResponse",
            "FunctionMetadataResponse",
            "InvocationResponse",
            "RpcException",
            "RpcFunctionMetadata",
            "WorkerInitResponse",
            "WorkerMetadata",
        ),
        Message,
    ),
    BindingInfo=BindingInfo,
    StatusResult=StatusResult,
    TypedData=OneOf,
)


class Host:
    """Sends the worker library the host's requests."""

    def __init__(self) -> None:
        self._worker = importlib.import_module("azure_functions_runtime")
        self._ids: dict[str, str] = {}
        self.release: str = importlib.import_module("azure_functions_runtime.version").VERSION

    async def load(self, folder: str) -> Json:
        """Start the worker on an app's folder; return its release, and the error or the functions' bindings."""
        init = Message(capabilities={}, function_app_directory=folder)
        started = await self._worker.worker_init_request(request(worker_init_request=init))
        if started.result.status != StatusResult.Success:
            return {"release": self.release, "error": started.result.exception.message}
        answer = await self._worker.functions_metadata_request(request())
        functions = answer.function_metadata_results
        self._ids = {one.name: one.function_id for one in functions}
        for function_id in self._ids.values():
            load = Message(function_id=function_id)
            loaded = await self._worker.function_load_request(request(function_load_request=load))
            assert loaded.result.status == StatusResult.Success
        bindings = {one.name: [json.loads(binding) for binding in one.raw_bindings] for one in functions}
        return {"release": self.release, "functions": bindings}

    async def invoke(self, asked: Json) -> Json:
        """Run one invocation; return whether it succeeded, its error, and whether it returned anything."""
        invocation = Message(
            invocation_id=str(uuid.uuid4()),
            function_id=self._ids[asked["function"]],
            input_data=[OneOf(name=asked["parameter"], data=OneOf(**asked["data"]))],
            trigger_metadata={name: OneOf(**value) for name, value in asked["metadata"].items()},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await self._worker.invocation_request(request(invocation_request=invocation))
        succeeded = answer.result.status == StatusResult.Success
        return {
            "succeeded": succeeded,
            "error": None if succeeded else answer.result.exception.message,
            "is_void": succeeded and answer.return_value is None and answer.output_data == [],
        }


def request(**content: Message) -> Message:
    """Return a request as the process around the worker library hands it over."""
    properties: Mapping[str, object] = {"host": "127.0.0.1", "protos": PROTOS}
    return Message(request=Message(**content), properties=properties)


async def converse(folder: str) -> None:
    """Load the app, then answer every line until standard input ends."""
    host, loop = Host(), asyncio.get_running_loop()
    tell(await host.load(folder))
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match line.strip():
            case "modules":
                tell({name: place_of(module) for name, module in sorted(sys.modules.items())})
            case "environment":
                tell(dict(os.environ))
            case asked:
                tell(list(await asyncio.gather(*(host.invoke(one) for one in json.loads(asked)))))


def place_of(module: ModuleType) -> str | None:
    """Return a module's file; the folder of a package without one; None for what Python itself holds."""
    return getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)


def tell(answer: object) -> None:
    """Write one line to the test."""
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    asyncio.run(converse(sys.argv[1]))
