"""The examination inside the deployed app: only there is the app's identity.

Imported where somebody has asked for it, and only then. It ends within a few minutes, below the function's time limit,
and tells what it found by then; whatever goes wrong is part of the answer.
"""

from __future__ import annotations

import asyncio

from ..domain.text import is_address
from ..settings import Settings
from ..stores.examinations import ExaminationRequest, Examinations
from ..telemetry import Event, emit
from .diagnosis import diagnose
from .findings import FAILING, Finding
from .plan import Options
from .rendering import as_json

MOST_TIME_S = 240.0


async def examine_for(request: ExaminationRequest, settings: Settings, examinations: Examinations) -> None:
    """Run the doctor as the app and write its lines into the request's row."""
    findings: list[Finding] = []
    error = None
    try:
        async with asyncio.timeout(MOST_TIME_S):
            async for finding in diagnose(settings, _options(request)):
                findings.append(finding)  # noqa: PERF401 - what was found stays, whatever comes next
    except Exception as failure:  # noqa: BLE001 - the administrator waits for an answer, and the app for neither
        error = type(failure).__name__
    await examinations.answer(request, as_json(findings, error))
    failing = sum(finding.mark in FAILING for finding in findings)
    emit(Event.EXAMINED, count=len(findings), wrong=failing, error=error)


def _options(request: ExaminationRequest) -> Options:
    """What was asked for; what is no address is nobody's mailbox."""
    box = request.control_mailbox
    return Options(write=request.write, control_mailbox=box if box and is_address(box) else None)
