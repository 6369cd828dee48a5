"""The simulator as a server: in the caller's event loop, in a thread, or (see `__main__`) in a process of its own.

State lives as long as the object, also across `stop` and `start`. In thread mode drive it through `SimulatorControl`,
since nothing here is locked.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import TracebackType
from typing import Self

from aiohttp import web

from local.graph_simulator.control import LocalControl
from local.graph_simulator.control_server import PREFIX, ControlServer
from local.graph_simulator.exchange import Exchange
from local.graph_simulator.faults import FaultPlan
from local.graph_simulator.instants import Clock, read_system_clock
from local.graph_simulator.mail_delta import MailTraps
from local.graph_simulator.request_log import RequestLog
from local.graph_simulator.simulation import Simulation
from local.graph_simulator.submission_desk import SubmissionTraps
from local.graph_simulator.tenant import SimulatedTenant
from local.graph_simulator.verdicts import VerdictPolicy

_HOST = "127.0.0.1"


class GraphSimulator:
    """A simulated Graph on a loopback port; use as an async context manager.

    `tenant`, `faults`, `log` and `control` may be used at any time; `base_url` only while it serves. Port 0 takes a
    free one.
    """

    def __init__(
        self,
        tenant: SimulatedTenant | None = None,
        *,
        clock: Clock = read_system_clock,
        port: int = 0,
        verdict_policy: VerdictPolicy | None = None,
    ) -> None:
        self.tenant = tenant or SimulatedTenant()
        self.faults = FaultPlan()
        self.log = RequestLog()
        self._clock = clock
        self._port = port
        self._base_url = ""
        self._runner: web.ServerRunner | None = None
        self._simulation = Simulation(self.tenant, lambda: self._base_url, MailTraps(), SubmissionTraps())
        if verdict_policy is not None:
            self._simulation.desk.verdicts.policy = verdict_policy
        self.control = LocalControl(self._simulation, self.faults, self.log, clock)

    @property
    def base_url(self) -> str:
        """The value for GRAPH_BASE_URL, without a slash at the end."""
        assert self._base_url, "the simulator does not serve"
        return self._base_url

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve. Raises OSError if the port is taken."""
        exchange = Exchange(self._simulation, self.faults, self.log, self._clock, lambda: self._base_url)
        control = ControlServer(self.control)

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await (control if request.raw_path.startswith(PREFIX) else exchange).handle(request)

        self._runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port)
        await site.start()
        self._base_url = f"http://{_HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop serving; what is not answered in a fifth of a second is cut."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None
        self._base_url = ""


@contextmanager
def serve_in_thread(simulator: GraphSimulator) -> Iterator[str]:
    """Yield the base url of a simulator that serves in a thread of its own until the block ends."""
    loop = asyncio.new_event_loop()
    serving = Event()

    async def serve() -> None:
        await simulator.start()
        serving.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(simulator.stop())
        loop.close()

    thread = Thread(target=run, name="graph-simulator", daemon=True)
    thread.start()
    serving.wait()
    try:
        yield simulator.base_url
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
