"""The administrator's side of an examination inside the app: ask by a row, wait, read the answer.

The row is written with the administrator's own sign-in, which needs the right to the table `runstate` and no other.
Whoever stops waiting takes the request back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.data.tables.aio import TableServiceClient

from ..adapters.graph.identity import managed_credential
from ..adapters.proxies import ProxiedTransport
from ..adapters.storage import AzureTable
from ..adapters.system_clock import SystemClock
from ..ports import Clock
from ..settings import StorageAccess
from ..stores.examinations import ExaminationRequest, Examinations, ExaminationState
from .findings import Finding, Mark
from .probes import refusals

WAIT_S = 720.0
"""Two runs of `settle_outcomes` at its usual five minutes, and some."""
POLL_S = 5.0


class NoExaminationError(Exception):
    """The app gave no answer; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The lines of the app's doctor; `error` says why they are not all, None where they are."""

    findings: list[Finding]
    error: str | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for an answer, and how often to look, both in seconds."""

    wait_s: float = WAIT_S
    poll_s: float = POLL_S


async def ask_app(
    examinations: Examinations,
    request: ExaminationRequest,
    tell: Callable[[str], None],
    *,
    clock: Clock,
    patience: Patience = Patience(),
) -> Answer:
    """What the app's doctor found; `tell` hears how far it is.

    Raises `NoExaminationError` where no answer comes in time, and `StorageRefusedError`.
    """
    with refusals():
        await examinations.ask(request)
        tell("asked; the app looks after each run of settle_outcomes, usually within five minutes")
        try:
            return await _answer(examinations, request, tell, clock, patience)
        except (asyncio.CancelledError, NoExaminationError):
            await examinations.withdraw(request)
            raise


async def _answer(
    examinations: Examinations,
    request: ExaminationRequest,
    tell: Callable[[str], None],
    clock: Clock,
    patience: Patience,
) -> Answer:
    state, began = None, False
    for _ in range(round(patience.wait_s / patience.poll_s)):
        state = await examinations.state()
        if state is None or state.request_id != request.request_id:
            raise NoExaminationError("Somebody else has asked meanwhile. Ask again when they are done.")
        if state.answer is not None:
            return read_answer(state.answer)
        if state.is_begun and not began:
            began = True
            tell("begun")
        await clock.sleep(patience.poll_s)
    raise NoExaminationError(_silence(state))


def _silence(state: ExaminationState | None) -> str:
    if state is not None and state.is_begun:
        return "The app began and gave no answer: look for `examined` and for errors of settle_outcomes in its log."
    return (
        "The app did not look, so settle_outcomes does not run. Look at its last `run_finished`, and at the settings."
    )


def read_answer(text: str) -> Answer:
    """The answer in what the app wrote; raises `NoExaminationError` where that is nothing of this version's."""
    try:
        told = json.loads(text)
        return Answer([_finding(one) for one in told["lines"]], told["error"])
    except (ValueError, KeyError, TypeError):
        raise NoExaminationError("The app's answer cannot be read: is the same version deployed as here?") from None


def _finding(told: dict[str, Any]) -> Finding:
    return Finding(told["name"], told["tried"], Mark(told["mark"]), told["found"], told["remedy"])


@asynccontextmanager
async def open_examinations(access: StorageAccess) -> AsyncIterator[Examinations]:
    """The row in the data account, with the administrator's own sign-in or, for local work, a connection string."""
    async with AsyncExitStack() as resources:
        if access.connection_string is not None:
            service = TableServiceClient.from_connection_string(access.connection_string, transport=ProxiedTransport())
        else:
            credential = await resources.enter_async_context(managed_credential(None, None))
            uri = access.table_service_uri or ""
            service = TableServiceClient(uri, credential=credential, transport=ProxiedTransport())
        await resources.enter_async_context(service)
        yield Examinations(AzureTable(service.get_table_client("runstate")), SystemClock())
