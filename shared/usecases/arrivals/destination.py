"""Where user reports go: what the setting says, or the tenant's own policy."""

from __future__ import annotations

import asyncio
from typing import Literal

from ...domain.errors import GraphError
from ...ports import ThreatSubmissions
from ...telemetry import Event, emit, raised_at

POLICY_TIME_S = 20.0
"""Longest time for the policy: a mailbox's turn, which may wait for it, is cut off after 75 seconds."""


class ReportDestination:
    """Tells whether user reports reach Microsoft by themselves."""

    def __init__(self, setting: Literal["auto", "mailbox", "microsoft"], submissions: ThreatSubmissions) -> None:
        self._setting = setting
        self._submissions = submissions

    async def reaches_microsoft(self) -> bool:
        """Whether they do; `auto` asks the policy, which may raise any `GraphError`."""
        if self._setting == "auto":
            return await self._submissions.reports_reach_microsoft()
        return self._setting == "microsoft"

    async def surely_reaches_microsoft(self) -> bool:
        """Whether they do; a policy that cannot be read is told, and no reason to leave a report unsubmitted."""
        try:
            async with asyncio.timeout(POLICY_TIME_S):
                return await self.reaches_microsoft()
        except GraphError as error:
            emit(Event.POLICY_UNREADABLE, status=error.status, code=error.code, request_id=error.request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the mailboxes are read
            emit(Event.POLICY_UNREADABLE, error=type(error).__name__, where=raised_at(error))
        return False


class DestinationOfRun:
    """The destination as one run knows it: asked for when the run reads its first report, and once."""

    def __init__(self, destination: ReportDestination) -> None:
        self._destination = destination
        self._asking = asyncio.Lock()
        self._is_microsoft: bool | None = None

    async def surely_reaches_microsoft(self) -> bool:
        """Whether reports reach Microsoft by themselves; see `ReportDestination`."""
        async with self._asking:
            if self._is_microsoft is None:
                self._is_microsoft = await self._destination.surely_reaches_microsoft()
            return self._is_microsoft
