"""The control commands over HTTP: `POST /_simulator/{command}` with the arguments as a JSON object.

Arguments are checked against the signatures of `LocalControl`; there is no second description of them. Nothing here is
part of Graph, nothing is logged, no fault applies.
"""

from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from local.graph_simulator.answer import RefusedError
from local.graph_simulator.control import COMMANDS, LocalControl

PREFIX = "/_simulator/"


class ControlServer:
    """Answers the paths under `/_simulator/`."""

    def __init__(self, control: LocalControl) -> None:
        self._control = control
        self._adapters: dict[str, TypeAdapter[Any]] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the command's result as JSON; 404 for no such command, 400 with a text for bad arguments."""
        command = request.raw_path.removeprefix(PREFIX)
        if command == "health":
            return web.Response(body=b'{"status":"ok"}', content_type="application/json")
        if command not in COMMANDS or request.method != "POST":
            return web.Response(status=404, text=f"no command {command}")
        body = await request.content.read() if request.body_exists else b"{}"
        try:
            result = self._find_adapter(command).validate_json(body)
        except (LookupError, ValueError, RefusedError) as error:
            return web.Response(status=400, text=_describe(error))
        return web.Response(body=to_json(result, bytes_mode="base64"), content_type="application/json")

    def _find_adapter(self, command: str) -> TypeAdapter[Any]:
        if command not in self._adapters:
            self._adapters[command] = TypeAdapter(getattr(self._control, command))
        return self._adapters[command]


def _describe(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors(include_url=False, include_input=False, include_context=False))
    return f"{type(error).__name__}: {error}"
