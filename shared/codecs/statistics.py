"""How a day's figures look as a row of the table `statistics`, both ways (contract, section 11)."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime

from ..domain.statistics import DayStatistics
from ..ports import Entity

SCHEMA_VERSION = 1
COLUMNS = {
    field.name: "".join(part.capitalize() for part in field.name.split("_"))
    for field in fields(DayStatistics)
    if field.name != "day"
}
"""Field name to column name, in the contract's order."""


def month_key(day: date) -> str:
    """The partition of a day's row: `yyyymm`."""
    return f"{day:%Y%m}"


def day_key(day: date) -> str:
    """The row key of a day's row, and the day's partition in `outcomes`: `yyyymmdd`."""
    return f"{day:%Y%m%d}"


def read_day(key: str) -> date:
    """The day that a key names; the inverse of `day_key`."""
    return datetime.strptime(key, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone


def statistics_entity(statistics: DayStatistics) -> Entity:
    """The row of the table; a time that no row of the day has is absent."""
    values = {column: getattr(statistics, name) for name, column in COLUMNS.items()}
    return {
        "PartitionKey": month_key(statistics.day),
        "RowKey": day_key(statistics.day),
        "SchemaVersion": SCHEMA_VERSION,
        **{column: value for column, value in values.items() if value is not None},
    }


def read_statistics(entity: Entity) -> DayStatistics:
    """The figures that a row holds; the inverse of `statistics_entity`."""
    known = {name: entity[column] for name, column in COLUMNS.items() if entity.get(column) is not None}
    return DayStatistics(
        day=read_day(str(entity["RowKey"])), **{name: int(str(value)) for name, value in known.items()}
    )
