"""What goes wrong in a command, as one line that says what to do, and an exit code that scripts can use.

Every exception that leaves a command ends here: ours carry their code, Azure's are told apart by status and error code.
The invariant: no trace reaches the terminal unless `SUBMISSIONS_DEBUG` is set. Azure's classes are looked at only when
some command has loaded them, so that `--help` stays quick.
"""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from ..domain.text import clean

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError, ServiceRequestError


class ExitCode(enum.IntEnum):
    """What the process ends with."""

    DONE = 0
    PARTLY_DONE = 1
    """Some of it was refused or failed; each is named on standard error."""
    WRONG_USE = 2
    NOT_ALLOWED = 3
    """Not signed in, or a role is missing."""
    NOT_FOUND = 4
    TIMED_OUT = 5
    """Time ran out while waiting."""
    INTERRUPTED = 130


class CommandError(click.ClickException):
    """A command cannot go on. The text is one line that says what to do; `exit_code` is the process's."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.PARTLY_DONE) -> None:
        super().__init__(clean(message))  # it may name a file, or repeat an answer
        setattr(self, "exit_code", exit_code)  # noqa: B010 - click reads the instance's, and types the class's


class NotFoundError(CommandError):
    """What was asked for is not there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.NOT_FOUND)


class TimedOutError(CommandError):
    """What was waited for did not come in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.TIMED_OUT)


ROLES: Final = {
    ("table", "outcomes"): "Storage Table Data Reader",
    ("table", "outcomelog"): "Storage Table Data Reader",
    ("table", "statistics"): "Storage Table Data Reader, and to rebuild it Storage Table Data Contributor",
    ("table", "runstate"): "Storage Table Data Contributor",
    ("table", "worklist"): "Storage Table Data Reader",
    ("queue", "manual-submissions"): "Storage Queue Data Message Sender",
    ("blob", "submission-content"): "Storage Blob Data Contributor",
    ("blob", "rejected-messages"): "Storage Blob Data Reader",
}
"""The role that a person needs for each table, queue and container: the grants of `infra/modules/access.bicep`."""

_PLACES = {"table": "table", "queue": "queue", "blob": "container"}
_SIGN_IN = "not signed in to Azure: run `az login`, or sign in any other way that DefaultAzureCredential knows"
_UNKNOWN_PLACES = {"TableNotFound", "QueueNotFound", "ContainerNotFound"}
_LOOPBACK = ("127.0.0.1", "localhost")


def explained(error: Exception) -> CommandError:
    """What to tell of an exception that no command expected."""
    if isinstance(error, CommandError):
        return error
    if "azure.core.exceptions" in sys.modules and (known := _of_azure(error)) is not None:
        return known
    if isinstance(error, OSError) and error.strerror:
        return CommandError(error.strerror if error.filename is None else f"{error.filename}: {error.strerror}")
    return CommandError(f"{_named(error)}; SUBMISSIONS_DEBUG=1 shows where")


def _of_azure(error: Exception) -> CommandError | None:
    from azure.core.exceptions import (  # noqa: PLC0415 - loaded already, see above
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    if isinstance(error, ClientAuthenticationError) and error.response is None:
        return CommandError(_SIGN_IN, ExitCode.NOT_ALLOWED)
    if isinstance(error, HttpResponseError):
        return _refused(error)
    if isinstance(error, ServiceRequestError):
        return _unreachable(error)
    if isinstance(error, ServiceResponseError):
        return CommandError(f"the storage account did not answer: {_named(error)}; try again")
    return None


def _unreachable(error: ServiceRequestError) -> CommandError:
    """No connection; on this machine that is the local stack, which is not running."""
    host, port = (getattr(error.inner_exception, name, "") for name in ("host", "port"))
    if host in _LOOPBACK:
        return CommandError(f"nothing answers at {host}:{port}: start the local stack, `python -m local up`")
    return CommandError(f"cannot reach the storage account: {_named(error)}; check the name and the network")


def _refused(error: HttpResponseError) -> CommandError:
    """What a service answered instead of doing it."""
    told = getattr(error, "error_code", None) or ""  # the library for tables has an enumeration, whose text is its name
    status, code, url = error.status_code, str(getattr(told, "value", told)), _url(error)
    service, name = place_of(url)
    place = f"{_PLACES.get(service, service)} {name}".strip()
    if code in _UNKNOWN_PLACES:
        hint = "the local app makes it when it starts" if _is_local(url) else "is that the data account?"
        return NotFoundError(f"there is no {place} in the storage account; {hint}")
    if status == 401:
        return CommandError(f"the sign-in does not open the {place}: run `az login` again", ExitCode.NOT_ALLOWED)
    if status == 403:
        return CommandError(_missing_role(service, name, place, code), ExitCode.NOT_ALLOWED)
    if status in {429, 500, 503}:
        return CommandError(f"the storage account is busy ({status}); try again in a minute")
    return CommandError(f"the storage account refused it: {status} {code or _named(error)}")


def _missing_role(service: str, name: str, place: str, code: str) -> str:
    if code == "AuthorizationFailure":  # the firewall; a missing role is AuthorizationPermissionMismatch
        return "the storage account admits no connection from here: use a network that its rules name"
    role = ROLES.get((service, name))
    needed = f"needs the role {role}" if role else "needs a role that your groups do not have"
    return f"not allowed: the {place} {needed} (infra/modules/access.bicep); ask an administrator of the app"


def place_of(url: str) -> tuple[str, str]:
    """The service and the table, queue or container that an address of a storage account names; "" for unknown."""
    parts = urlsplit(url)
    steps = [step for step in parts.path.split("/") if step]
    if _is_local(url):  # the emulator's addresses name the account first, and the service by the port only
        names = {step.partition("(")[0] for step in steps[1:2]}
        known = [place for place in ROLES if place[1] in names]
        return known[0] if known else ("", next(iter(names), ""))
    service = parts.netloc.split(".")[1] if parts.netloc.count(".") else ""
    return service, steps[0].partition("(")[0] if steps else ""


def _url(error: HttpResponseError) -> str:
    request = getattr(error.response, "request", None)
    return str(getattr(request, "url", ""))


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in _LOOPBACK


def _named(error: Exception) -> str:
    """The error's kind and the first line of its text, cleaned: it may repeat what a stranger wrote."""
    lines = str(error).strip().splitlines()
    return clean(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, 200)
