"""Days of the table `statistics`, for whoever asks how it went without reading a row of `outcomes`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from ..codecs.statistics import day_key, month_key, read_statistics
from ..domain.regularity import ReportedDay
from ..usecases.outcomes.backlog import Lane
from .report_counts import column_figures

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable

WAITING_LANES: Final = ("urgent", "normal", "low", "in_flight", "uncertain")
"""Lanes of the backlog whose rows have not reached Microsoft for sure."""


async def read_days(table: AzureTable, first: date, last: date) -> dict[date, dict[str, int]]:
    """The figures of the days on which something was received, in their order; none where the app never kept any."""
    from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - loaded with the table

    query = "PartitionKey ge @first_month and PartitionKey le @last_month and RowKey ge @first and RowKey le @last"
    months = {"first_month": month_key(first), "last_month": month_key(last)}
    values = {**months, "first": day_key(first), "last": day_key(last)}
    try:
        found = [read_statistics(row.entity) async for row in table.search(query, values)]
    except ResourceNotFoundError:  # an app from before the table, or one that never started
        return {}
    return {one.day: column_figures(one) for one in found}


def reported(days: Mapping[date, Mapping[str, int]]) -> list[ReportedDay]:
    """The days as the rule about regularity takes them."""
    return [
        ReportedDay(
            day,
            received=one.get("Received", 0),
            submitted=one.get("Submitted", 0),
            left_out=one.get("Skipped", 0) + one.get("Covered", 0),
            failed=one.get("Failed", 0),
        )
        for day, one in days.items()
        if one.get("Received", 0)
    ]


def waits(lanes: Iterable[Lane]) -> timedelta:
    """How long the oldest row has waited that has not reached Microsoft."""
    return timedelta(seconds=max((lane.oldest_s for lane in lanes if lane.name in WAITING_LANES), default=0))
