"""`python -m local.functions_host`: run the app of a folder against an emulator until Ctrl-C or SIGTERM.

Settings come from the environment and, below it, from `Values` of a `local.settings.json`, as with Core Tools. The
invariant: the process ends by itself on either signal, after the running queue functions have ended.
"""

import argparse
import asyncio
import importlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

import azure.functions as func

from local.functions_host.azure_queue import AzureQueueService
from local.functions_host.config import HostConfigError, load_host_config
from local.functions_host.events import HostEvent
from local.functions_host.host import FunctionsHost
from local.functions_host.index import QueueFunction, index_app, look_up
from local.functions_host.status_store import BlobStatusStore

_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
_logger = logging.getLogger("local.functions_host")


class _SetupError(Exception):
    """The app cannot be run from here; the text says what is missing."""


def main() -> int:
    """Run until a signal; 0 after a clean stop, 1 if the app, a setting or `host.json` does not allow a start."""
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    _logger.setLevel(logging.INFO)  # its own, as the app silences every logger that has none
    try:
        _load_settings(arguments.folder / arguments.settings)
        asyncio.run(_run(_load_app(arguments.folder, arguments.app), arguments.folder / "host.json"))
    except (_SetupError, HostConfigError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.functions_host",
        description="A stand-in for the Azure Functions host, for development; production runs on Azure Functions.",
    )
    parser.add_argument("--folder", type=Path, default=Path(), help="where the app and host.json are (default: here)")
    parser.add_argument("--app", default="function_app", help="module with the FunctionApp `app`")
    parser.add_argument("--settings", type=Path, default=Path("local.settings.json"), help="settings file, if present")
    return parser.parse_args()


def _load_settings(path: Path) -> None:
    """Put the file's values into the environment, where the app looks; what is there already wins."""
    if not path.is_file():
        return
    try:
        values = json.loads(path.read_text(encoding="utf-8")).get("Values", {})
    except ValueError as error:
        raise _SetupError(f"{path.name} is not JSON: {error}") from error
    for name, value in values.items():
        os.environ.setdefault(name, str(value))


def _load_app(folder: Path, module: str) -> func.FunctionApp:
    """Import the app. The real host stays up idle when this fails; here it ends, so that nobody waits in vain."""
    sys.path.insert(0, str(folder.resolve()))
    app = getattr(importlib.import_module(module), "app", None)
    if not isinstance(app, func.FunctionApp):
        raise _SetupError(f"{module} has no FunctionApp named app")
    return app


async def _run(app: func.FunctionApp, host_json: Path) -> None:
    settings = dict(os.environ)
    config = load_host_config(host_json, settings)
    host_id = look_up(settings, "AzureFunctionsWebHost__hostid") or "local"
    stopping = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    async with (
        AzureQueueService(_queue_connection(app, settings)) as queues,
        BlobStatusStore(_connection_string("AzureWebJobsStorage", settings), host_id) as statuses,
    ):
        host = FunctionsHost(app, config, settings, queues, statuses, observer=_log_event)
        names = [function.name for function in host.index.functions if function.name not in host.index.disabled]
        _logger.info("development stand-in for the Functions host, running %s", ", ".join(names) or "nothing")
        await host.run_until(stopping)


def _queue_connection(app: func.FunctionApp, settings: dict[str, str]) -> str:
    names = {
        function.connection for function in index_app(app, settings).functions if isinstance(function, QueueFunction)
    }
    found = {_connection_string(name, settings) for name in names or {"AzureWebJobsStorage"}}
    if len(found) > 1:
        raise _SetupError(f"the queue triggers must share one storage account here, not {sorted(names)}")
    return found.pop()


def _connection_string(name: str, settings: dict[str, str]) -> str:
    value = look_up(settings, name)
    if not value:
        raise _SetupError(f"the setting {name} is missing; locally it is a connection string")
    return _DEVELOPMENT_STORAGE if value.strip(" ;").casefold() == "usedevelopmentstorage=true" else value


def _log_event(event: HostEvent) -> None:
    if event.name.startswith(("function:", "host:", "worker:")):
        _logger.info("%s %s %s", event.name, event.function or "", event.outcome or "")


if __name__ == "__main__":
    sys.exit(main())
