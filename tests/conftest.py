"""Fixtures and guards that hold for every test.

Three guards: nothing connects beyond this machine (the mails under test are hostile), nothing logs an error unseen,
and examples that Hypothesis makes are the same on every CI run.
"""

import ipaddress
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from local.azurite import Azurite

ROOT = Path(__file__).resolve().parent.parent

# Hundreds of tests start a Python process that imports the product: without bytecode each would compile it anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

OUR_LOGGERS = ("shared", "defender_submissions")

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50, database=None)
hypothesis.settings.register_profile("dev", deadline=None, max_examples=20)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the unit tests first, then the format readers': a wrong rule then shows in seconds."""
    quick = [ROOT / "tests" / name for name in ("unit", "formats")]
    items.sort(key=lambda item: [not item.path.is_relative_to(folder) for folder in quick])


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Run one Azurite for all tests of this process, started by the first test that asks for it."""
    with Azurite() as running:
        yield running


@pytest.fixture
def storage_connection(azurite: Azurite) -> str:
    """Return the connection string of an empty storage account that no other test uses."""
    return azurite.new_account()


@pytest.fixture(scope="session")
def reported_mail() -> list[Path]:
    """Return real reported mails (.eml) in a fixed order; skip the test where the folder is absent."""
    default = ROOT.parent / "shared" / "data" / "reported-mail"
    mails = sorted(Path(os.environ.get("REPORTED_MAIL_DIR", default)).glob("*.eml"))
    if not mails:
        pytest.skip("no folder of real reported mail; name one in REPORTED_MAIL_DIR")
    return mails


@pytest.fixture(autouse=True)
def _error_logs_are_expected(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that logs an error without the mark `expects_error_log`, or has the mark and logs none."""
    yield
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    errors = [record for record in records if record.levelno >= logging.ERROR and is_ours(record.name)]
    if request.node.get_closest_marker("expects_error_log") is None:
        assert not errors, f"unexpected error log: {errors[0].name}: {errors[0].getMessage()}"
    else:
        assert errors, "the mark expects_error_log wants an error log, none came"


def is_ours(logger_name: str) -> bool:
    """Tell whether this product's code owns the logger."""
    return logger_name.startswith(OUR_LOGGERS)


def refuse_the_outside(event: str, arguments: tuple[object, ...]) -> None:
    """Fail the test that connects to, or looks up, a host other than this machine.

    Raises pytest's own failure, which is no Exception, so that no error handling under test can swallow it.
    """
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket's address is no tuple
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not is_this_machine(host):
        pytest.fail(f"refused to reach beyond this machine: {event} {host!r}")


def is_this_machine(host: object) -> bool:
    """Tell whether a host as the socket module takes it is loopback; none, for listening or a Unix socket, is."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in {None, "", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


sys.addaudithook(refuse_the_outside)  # sees every connection, whichever library makes it; cannot be removed
