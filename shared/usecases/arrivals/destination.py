"""Where user reports go: what the setting says, or the tenant's own policy."""

from __future__ import annotations

from typing import Literal

from shared.domain.errors import GraphError
from shared.ports import ThreatSubmissions
from shared.telemetry import Event, emit, raised_at


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
            return await self.reaches_microsoft()
        except GraphError as error:
            emit(Event.POLICY_UNREADABLE, status=error.status, code=error.code, request_id=error.request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the mailboxes are read
            emit(Event.POLICY_UNREADABLE, error=type(error).__name__, where=raised_at(error))
        return False
