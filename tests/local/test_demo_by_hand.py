"""Each part started by hand, as docs/local.md says: `python -m local up`, the example settings, the app beside it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from local.azurite import DEFAULT_PORTS, WELL_KNOWN_ACCOUNT, WELL_KNOWN_KEY
from local.sample_tenant import DOMAINS, REPORTING_MAILBOX, TENANT_ID
from local.setup import ROOT
from local.stack import GRAPH_PORT

EXAMPLE = ROOT / "local.settings.example.json"
CONNECTION = (
    f"DefaultEndpointsProtocol=http;AccountName={WELL_KNOWN_ACCOUNT};AccountKey={WELL_KNOWN_KEY};"
    f"TableEndpoint=http://127.0.0.1:{DEFAULT_PORTS[2]}/{WELL_KNOWN_ACCOUNT};"
)
QUICK = dict.fromkeys(("COLLECT_SCHEDULE", "DISPATCH_SCHEDULE", "SETTLE_SCHEDULE"), "*/2 * * * * *")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on the port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.fixture
def _free_ports() -> None:
    if not all(map(is_free, (*DEFAULT_PORTS, GRAPH_PORT))):
        pytest.skip("somebody uses the default ports")


@contextmanager
def running(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield `python -m ...` with its output in one pipe, in a session of its own; end it by Ctrl-C, which must do."""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), **QUICK},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=100)
            assert process.returncode == 0, output
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    """Read the output up to a line with this text."""
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), f"{text!r} never came"


def wait_for_rows() -> set[Any]:
    """Return the states of the outcomes, as soon as a report has been submitted."""
    deadline_s = time.monotonic() + 60
    with TableServiceClient.from_connection_string(CONNECTION) as tables:
        while time.monotonic() < deadline_s:
            try:
                states = {row["State"] for row in tables.get_table_client("outcomes").list_entities()}
            except ResourceNotFoundError:
                states = set()
            if states & {"submitted", "settled"}:
                return states
            time.sleep(0.2)
    return set()


def test_the_example_settings_fit_the_sample_tenant() -> None:
    """Tenant, mailbox, domains and Graph address are those that `up` starts."""
    values = json.loads(EXAMPLE.read_text(encoding="utf-8"))["Values"]
    assert values["TENANT_ID"] == TENANT_ID
    assert values["REPORTING_MAILBOXES"] == REPORTING_MAILBOX
    assert values["TENANT_DOMAINS"].split(",") == list(DOMAINS)
    assert values["GRAPH_BASE_URL"] == f"http://127.0.0.1:{GRAPH_PORT}"


@pytest.mark.usefixtures("_free_ports")
def test_up_and_the_app_beside_it(tmp_path: Path) -> None:
    """With the example settings copied, a report reaches Microsoft; a second `up` says why it cannot.

    One command starts both.
    """
    settings = tmp_path / "local.settings.json"
    shutil.copy(EXAMPLE, settings)
    files = tmp_path / "tmp"
    files.mkdir()
    with running("local", "up", folder=files) as up:
        wait_for_line(up, "Ctrl-C ends")
        second = subprocess.run([sys.executable, "-m", "local", "up"], cwd=ROOT, capture_output=True, check=False)
        assert (second.returncode, second.stderr[:13]) == (1, b"cannot start:")
        with running("local.functions_host", "--settings", str(settings), folder=files):
            assert wait_for_rows()
    with running("local", "up", "--with-app", folder=files) as whole:
        wait_for_line(whole, "Ctrl-C ends")
        assert wait_for_rows()
    assert all(map(is_free, (*DEFAULT_PORTS, GRAPH_PORT)))
    assert list(files.iterdir()) == []
