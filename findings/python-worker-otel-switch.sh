#!/usr/bin/env bash
# The library of the Azure Functions worker for Python 3.13 under the app setting PYTHON_ENABLE_OPENTELEMETRY=true, which
# Microsoft documents for `"telemetryMode": "OpenTelemetry"`; a trivial, valid app, and nothing of this repo.
#
#   azure-functions-runtime 1.2.1, of July 2026: the app is indexed, then every invocation fails before the function:
#     AttributeError: 'NoneType' object has no attribute 'extract'
#   azure-functions-runtime 1.3.0, of October 2026: repaired; the function runs, whether or not the app brings
#     OpenTelemetry along.
#
# The platform chooses the release, not the app. Azure/azure-functions-python-worker: issue #1881, repair #1910.
#
# Needs a Python 3.13 and PyPI. Exit code 0: it is as told here; 1: something else was seen; 2: it could not be tried.
set -euo pipefail

is_313() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; }
python=""
for candidate in "${PYTHON313:-python3.13}" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python3.13; do
  if is_313 "$candidate"; then python="$candidate" && break; fi
done
if [ -z "$python" ]; then
  echo "Not tried: the library needs Python 3.13, and none was found. Name one: PYTHON313=/path/to/python3.13 $0" >&2
  exit 2
fi
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

cat >"$folder/function_app.py" <<'APP'
import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="jobs", connection="Store")
async def work(message: str) -> None:
    """Succeed."""
APP

cat >"$folder/ask.py" <<'ASK'
"""Plays the process around the library, which is in no registry: loads the app, invokes its function once."""
import asyncio
import sys
from types import SimpleNamespace as Message

import azure_functions_runtime as library


class OneOf(Message):
    def WhichOneof(self, group):
        return next((name for name in vars(self) if name != "name"), None)


class BindingInfo(Message):
    undefined, out, inout = 0, 1, 2


class StatusResult(Message):
    Failure, Success = 0, 1


messages = "FunctionLoadResponse FunctionMetadataResponse InvocationResponse RpcException RpcFunctionMetadata"
messages += " WorkerInitResponse WorkerMetadata"
protos = Message(
    **dict.fromkeys(messages.split(), Message), BindingInfo=BindingInfo, StatusResult=StatusResult, TypedData=OneOf
)


def request(**content):
    return Message(request=Message(**content), properties={"host": "127.0.0.1", "protos": protos})


async def ask():
    start = Message(capabilities={}, function_app_directory=sys.argv[1])
    answer = await library.worker_init_request(request(worker_init_request=start))
    assert answer.result.status == StatusResult.Success, answer.result.exception.message
    listed = (await library.functions_metadata_request(request())).function_metadata_results
    function = listed[0].function_id
    await library.function_load_request(request(function_load_request=Message(function_id=function)))
    invocation = Message(
        invocation_id="1",
        function_id=function,
        input_data=[OneOf(name="message", data=OneOf(string="hello"))],
        trigger_metadata={},
        trace_context=Message(trace_parent="", trace_state="", attributes={}),
        retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
    )
    result = (await library.invocation_request(request(invocation_request=invocation))).result
    return "succeeded" if result.status == StatusResult.Success else result.exception.message


print(asyncio.run(ask()))
ASK

"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  azure-functions==2.3.0 azurefunctions-extensions-base==1.2.0
for release in 1.2.1 1.3.0; do
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --target "$folder/$release" "azure-functions-runtime==$release"
done
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/opentelemetry" opentelemetry-api==1.45.2

failed="AttributeError: 'NoneType' object has no attribute 'extract'"
changed=0
expect() { # RELEASE, SWITCH, more folders to import from, what is expected
  local seen
  seen="$(cd "$folder" && PYTHONPATH="$folder:$folder/$1$3" PYTHON_ENABLE_OPENTELEMETRY="$2" \
    "$folder/venv/bin/python" -W ignore ask.py "$folder" 2>"$folder/log")" || seen="did not run: $(tail -1 "$folder/log")"
  printf '%-8s %-8s %-24s %s\n' "$1" "$2" "${3:+opentelemetry-api}" "$seen"
  if [ "$seen" != "$4" ]; then
    printf '    expected: %s\n' "$4"
    changed=1
  fi
}

printf '%s, azure-functions 2.3.0\n\n' "$("$python" --version)"
printf '%-8s %-8s %-24s %s\n' library switch "in the app's packages" "the invocation"
for packages in "" ":$folder/opentelemetry"; do
  expect 1.2.1 false "$packages" succeeded
  expect 1.2.1 true "$packages" "$failed"
  expect 1.3.0 false "$packages" succeeded
  expect 1.3.0 true "$packages" succeeded
done
exit "$changed"
