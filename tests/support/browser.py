"""Chromium without a window, driven over its DevTools protocol: what a page asks for, complains of, and looks like.

The invariant: nothing that the page asks for leaves the machine, and each request of its own is seen, also one that its
policy or the resolver refuses.
"""

import asyncio
import base64
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import aiohttp

CHROMIUM: Final = shutil.which("chromium")
READY_WITHIN_S: Final = 60
_OPTIONS: Final = (
    *("--headless", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--remote-debugging-port=0"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--font-render-hinting=none"),
)
_COMPLAINTS: Final = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


@dataclass(slots=True)
class Tab:
    """A page that is open."""

    socket: aiohttp.ClientWebSocketResponse
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _number: int = 0

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return what it gives; what happens meanwhile is kept."""
        self._number += 1
        await self.socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            told = await self._next()
            if told.get("id") == self._number:
                assert "error" not in told, told
                found: dict[str, Any] = told["result"]
                return found

    async def visit(self, page: Path, *, width: int, is_dark: bool = False) -> None:
        """Open a file on a screen of so many points, and wait until it is loaded."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.ask(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        await self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self._seen.clear()
        await self.ask("Page.navigate", url=page.as_uri())
        while "Page.loadEventFired" not in self._seen:
            await self._next()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression on the page."""
        told = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"]["value"]

    async def picture(self, *, is_whole: bool = True) -> bytes:
        """Return the whole page as PNG, or what the screen shows of it."""
        told = await self.ask("Page.captureScreenshot", captureBeyondViewport=is_whole, optimizeForSpeed=False)
        return base64.b64decode(told["data"])

    async def paper(self) -> bytes:
        """Return it as PDF, as it would be printed."""
        told = await self.ask("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(told["data"])

    async def _next(self) -> dict[str, Any]:
        told: dict[str, Any] = await self.socket.receive_json(timeout=READY_WITHIN_S)
        method = told.get("method", "")
        self._seen.add(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(told["params"]["request"]["url"])
        elif method in _COMPLAINTS:
            self.complaints.append(json.dumps(told["params"]))
        return told


@asynccontextmanager
async def open_tab(folder: Path) -> AsyncIterator[Tab]:
    """Yield an empty tab of a browser that keeps its files in a folder of its own, and end it."""
    assert CHROMIUM is not None
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *_OPTIONS, *as_root, f"--user-data-dir={folder}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = await asyncio.to_thread(_port, folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                address = next(one["webSocketDebuggerUrl"] for one in await answer.json() if one["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()


def _port(file: Path) -> str:
    deadline_s = monotonic() + READY_WITHIN_S
    while monotonic() < deadline_s:
        if file.exists() and (lines := file.read_text().split()):
            return lines[0]
        sleep(0.05)
    raise TimeoutError("chromium did not start")
