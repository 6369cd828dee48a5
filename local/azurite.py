"""Azurite, Microsoft's storage emulator, as a value that lives no longer than its `with` block.

Blobs, queues and tables stay in memory and the ports are the kernel's choice, so any number of Azurites run side by
side. Invariant: however the owner ends (normally, by exception, by Ctrl-C, by SIGKILL), neither the process nor a file
of it outlives the owner.
"""

import asyncio
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from local.setup import AZURITE_FOLDER, SetupError, find_node

WELL_KNOWN_ACCOUNT = "devstoreaccount1"
# Published with the emulator, see https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
WELL_KNOWN_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
DEFAULT_PORTS = (10000, 10001, 10002)
FREE_PORTS = (0, 0, 0)

_SERVICES = ("Blob", "Queue", "Table")
_SPARE_ACCOUNTS = tuple(f"account{number:04}" for number in range(2000))
_SPARE_KEY = "bG9jYWw="  # short, as all of them together must fit into one environment variable (128 KiB on Linux)
_POLL_S = 0.02
_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at (https?://\S+)")
# The owner holds the only writing end of Azurite's standard input, and the kernel closes it when the owner dies, even
# by SIGKILL. Unlike Linux's PR_SET_PDEATHSIG this works on macOS too and does not fire when a mere thread ends.
_END_WITH_OWNER = 'data:text/javascript,process.stdin.on("end",()=>process.exit()).resume()'


@dataclass(frozen=True, slots=True)
class EntraAccounts:
    """Accounts that are reached over TLS with a token of Entra ID, beside the shared key.

    `certificate` and `key` are PEM files. A token is taken by its issuer, audience and dates; its signature and the
    caller's roles are not looked at. An account answers at `https://ACCOUNT.blob.core.windows.net` and its siblings
    too, where that name leads here.
    """

    certificate: Path
    key: Path
    names: Sequence[str]

    def options(self) -> Iterator[str]:
        """Yield Azurite's options for them."""
        yield from ("--oauth", "basic", "--cert", str(self.certificate), "--key", str(self.key))


class Azurite:
    """A running Azurite; enter it with `with` or `async with`.

    Entering starts it and returns when all three services listen. It raises SetupError where set-up was not run, and
    RuntimeError with Azurite's own words where Azurite ends or stays silent for `ready_within_s`. With `entra` it
    serves TLS alone.
    """

    def __init__(
        self,
        ports: tuple[int, int, int] = FREE_PORTS,
        *,
        entra: EntraAccounts | None = None,
        ready_within_s: float = 60,
    ) -> None:
        self._ports = ports
        self._entra = entra
        self._ready_within_s = ready_within_s
        self._process: subprocess.Popen[bytes] | None = None
        self._urls: dict[str, str] = {}
        self._spare_accounts = iter(_SPARE_ACCOUNTS)
        self._taking = threading.Lock()

    def __enter__(self) -> Self:
        with self._starting() as listens:
            while not listens():
                time.sleep(_POLL_S)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        with self._starting() as listens:
            while not listens():  # noqa: ASYNC110 - another process cannot set an Event of ours
                await asyncio.sleep(_POLL_S)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill Azurite and whatever it started; a second call does nothing."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # nothing to save: all of it is in memory
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    @property
    def pid(self) -> int:
        """Azurite's process, which leads a process group of its own. Raises RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError("Azurite is not running")
        return self._process.pid

    @property
    def connection_string(self) -> str:
        """For the account every Azure tool knows, `devstoreaccount1`."""
        return self._connection_string(WELL_KNOWN_ACCOUNT, WELL_KNOWN_KEY)

    @property
    def blob_url(self) -> str:
        """Blob endpoint of `devstoreaccount1`, with no slash at the end."""
        return f"{self._urls['Blob']}/{WELL_KNOWN_ACCOUNT}"

    @property
    def queue_url(self) -> str:
        """Queue endpoint of `devstoreaccount1`, with no slash at the end."""
        return f"{self._urls['Queue']}/{WELL_KNOWN_ACCOUNT}"

    @property
    def table_url(self) -> str:
        """Table endpoint of `devstoreaccount1`, with no slash at the end."""
        return f"{self._urls['Table']}/{WELL_KNOWN_ACCOUNT}"

    def new_account(self) -> str:
        """Return the connection string of an empty storage account that this call alone has handed out.

        Costs nothing, so that each test can have its own queues and tables under the product's fixed names. Raises
        RuntimeError after 2,000 accounts: start another Azurite then.
        """
        with self._taking:
            account = next(self._spare_accounts, None)
        if account is None:
            raise RuntimeError(f"all {len(_SPARE_ACCOUNTS)} accounts of this Azurite are taken; start another one")
        return self._connection_string(account, _SPARE_KEY)

    def account(self, name: str) -> str:
        """Return the connection string of one of the accounts that take a token of Entra ID."""
        assert self._entra is not None
        assert name in self._entra.names
        return self._connection_string(name, _SPARE_KEY)

    def port(self, service: str) -> int:
        """Return the port of `blob`, `queue` or `table`."""
        return int(self._urls[service.capitalize()].rpartition(":")[2])

    @contextmanager
    def _starting(self) -> Iterator[Callable[[], bool]]:
        with tempfile.TemporaryFile() as output:  # has no name, so nothing is left behind
            try:
                self._process = _start(self._ports, self._entra, output)
                deadline_s = time.monotonic() + self._ready_within_s
                yield lambda: self._listens(output, deadline_s)
            except BaseException:
                self.stop()
                raise

    def _listens(self, output: IO[bytes], deadline_s: float) -> bool:
        ended = self._process is None or self._process.poll() is not None
        text = os.pread(output.fileno(), 65536, 0).decode(errors="replace")
        self._urls = dict(_LISTENING.findall(text))
        if ended or time.monotonic() > deadline_s:
            raise RuntimeError(f"Azurite did not start to listen; it said:\n{text.strip() or '(nothing)'}")
        return len(self._urls) == len(_SERVICES)

    def _connection_string(self, account: str, key: str) -> str:
        endpoints = (f"{service}Endpoint={self._urls[service]}/{account};" for service in _SERVICES)
        protocol = "https" if self._entra else "http"
        return f"DefaultEndpointsProtocol={protocol};AccountName={account};AccountKey={key};" + "".join(endpoints)


def _start(ports: tuple[int, int, int], entra: EntraAccounts | None, output: IO[bytes]) -> subprocess.Popen[bytes]:
    node = find_node()
    script = AZURITE_FOLDER / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    if node is None or not script.exists():
        raise SetupError("Azurite is not installed: run `make setup` first")
    options = [*_options(ports), *(entra.options() if entra else ())]
    names = entra.names if entra else _SPARE_ACCOUNTS
    command = [str(node), f"--import={_END_WITH_OWNER}", "--max-old-space-size=1024", str(script), *options]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=AZURITE_FOLDER,
        env=os.environ | {"AZURITE_ACCOUNTS": ";".join(_account_keys(names))},
        start_new_session=True,  # Ctrl-C reaches the owner alone, which then ends Azurite in its own order
    )


def _options(ports: tuple[int, int, int]) -> Iterator[str]:
    # The storage SDKs speak newer API versions than Azurite lists; --loose stays off, as it would accept bad requests.
    yield from ("--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck")
    yield from ("--extentMemoryLimit", "1024")
    for service, port in zip(_SERVICES, ports, strict=True):
        name = service.lower()
        yield from (f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port))
        # Node's 5 s would race with the clients' pooled connections and cost a retry now and then.
        yield from (f"--{name}KeepAliveTimeout", "300")


def _account_keys(names: Sequence[str]) -> Iterator[str]:
    yield f"{WELL_KNOWN_ACCOUNT}:{WELL_KNOWN_KEY}"
    yield from (f"{account}:{_SPARE_KEY}" for account in names)
