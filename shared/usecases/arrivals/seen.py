"""Which reports this process has seen durable of late: the recent list tells them again, and they need no look then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ...ports import ReportHead

MOST_SEEN = 10_000
"""Three megabytes. Microsoft takes 1,800 submissions in the three hours that the recent list looks back."""


class SeenReports:
    """Reports by their ids, with when they were received. One that is not known here is looked for in storage."""

    def __init__(self) -> None:
        self._received: dict[str, datetime] = {}

    def add(self, reports: Iterable[ReportHead], since: datetime) -> None:
        """Remember those that were received since then, and forget every other one."""
        self._received = {own_id: at for own_id, at in self._received.items() if at >= since}
        recent = [one for one in reports if one.received_at >= since]
        for one in recent[: MOST_SEEN - len(self._received)]:
            self._received[one.message_id] = one.received_at

    def without(self, reports: Iterable[ReportHead]) -> list[ReportHead]:
        """Those that were not seen."""
        return [one for one in reports if one.message_id not in self._received]
