"""`submissions show`: one row with every column, and what it went through.

A row's partition is the day it was received, which an id does not tell. So the days are asked from the newest back, a
few at a time, each for one key or a narrow range of keys: what else stands there costs nothing. Its history is read
from the feed between the row's first event and its final one, by the service's own filter.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from ..codecs.rows import COLUMNS
from ..domain import keys
from ..domain.lifecycle import TRANSITIONS
from ..domain.model import Agreement, State
from ..domain.text import clean
from ..ports import Entity
from .errors import CommandError, ExitCode, NotFoundError
from .moments import MOMENT
from .output import Column, Output, table, write

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable
    from .__main__ import Session

MOST_DAYS = 40
"""How far back a row is looked for: mail may be 30 days old when it is reported, and a verdict takes days."""
LEAST_CHARACTERS = 4
"""Of the beginning of an id."""
_DAYS_AT_ONCE = 10
_CLOCK_DIFFERENCE = timedelta(minutes=5)
_ID_CHARACTERS = 32
_HISTORY: Final = (
    Column(field="At", heading="TIME (UTC)"),
    Column(field="Event", heading="STATE"),
    Column(field="PreviousState", heading="BEFORE"),
    Column(field="StateReason", heading="REASON", share=1),
    Column(field="Verdict", heading="VERDICT", share=1),
)
_TOLD: Final = ("At", "Event", "PreviousState", "StateReason", "StateDetail", "Verdict", "Agreement")
_LABEL: Final = Column(field="Label", heading="")


@dataclass(frozen=True, slots=True)
class Sought:
    """What a row is known by: the whole id, or its beginning, or a request id; either of the last two."""

    text: str

    def ranges(self) -> list[tuple[str, str]]:
        """The keys that it may have in any partition, as ranges from the first up to but not including the second."""
        text = self.text.lower()
        found = [(key, f"{key}~") for key in self.whole_keys()]
        if re.fullmatch(rf"[0-9a-f]{{{LEAST_CHARACTERS},{_ID_CHARACTERS - 1}}}", text):
            found.append((text, f"{text}~"))
        return found

    @property
    def is_too_short(self) -> bool:
        """Whether it might be the beginning of an id if only it were longer."""
        return len(self.text) < LEAST_CHARACTERS

    def whole_keys(self) -> list[str]:
        """The keys that are meant whatever else begins like them."""
        text = self.text.lower()
        is_id = re.fullmatch(rf"[0-9a-f]{{{_ID_CHARACTERS}}}", text) is not None
        return [keys.request_id(self.text), *([text] if is_id else [])]


@click.command("show")
@click.argument("sought", metavar="ID")
@click.option("--day", type=MOMENT, help=f"The UTC day it was received. Else the last {MOST_DAYS} days are looked at.")
@click.pass_obj
def show_outcome(session: Session, /, sought: str, day: datetime | None) -> None:
    """Show one report or request: every column, and its history.

    ID is a submission id, its beginning as `submissions list` shows it, or the request id that an operator chose.

    \b
    Examples:
      submissions show 1f0c9a52d17b
      submissions show case-4711
      submissions show case-4711 --day 2026-11-23 --output json
    """  # noqa: D301 - \b keeps click from joining the lines
    asyncio.run(_show(session, Sought(sought), day))


async def _show(session: Session, sought: Sought, day: datetime | None) -> None:
    async with session.connect() as connection:
        outcomes = connection.table("outcomes")
        entity = await find_one(outcomes, sought, days_to_search(day))
        history = await read_history(connection.table("outcomelog"), entity, datetime.now(UTC))
        disputes = await find_disputes(outcomes, entity)
    show(session.output, {**in_order(entity), **disputes}, history)


def days_to_search(day: datetime | None) -> list[str]:
    """The partitions in which a row is looked for, the newest first: the one day that was named, else the last ones."""
    now = datetime.now(UTC)
    return [keys.day(day)] if day else [keys.day(now - timedelta(days=age)) for age in range(-1, MOST_DAYS)]


async def find_disputes(outcomes: AzureTable, entity: Entity) -> dict[str, list[str]]:
    """The ids of the rows that dispute this one, as `DisputedBy`; empty where there is none.

    No row names them, so the days since it was settled are searched, and only where its verdict refuted the claim:
    nothing else can be disputed.
    """
    if entity.get("Agreement") != Agreement.REFUTED:
        return {}
    since = keys.day(_moment(entity, "SettledAt") - _CLOCK_DIFFERENCE)
    days = [day for day in days_to_search(None) if day >= since]
    found = [one for day in days async for one in outcomes.scan(day, "", "~", only=("Disputes", str(entity["RowKey"])))]
    return {"DisputedBy": sorted(str(row.entity["RowKey"]) for row in found)} if found else {}


async def find_one(outcomes: AzureTable, sought: Sought, days: Sequence[str]) -> Entity:
    """The one row. Raises `NotFoundError` where there is none, and `CommandError` where the beginning fits several."""
    found: list[Entity] = []
    for start in range(0, len(days), _DAYS_AT_ONCE):
        looks = [_find(outcomes, day, *span) for day in days[start : start + _DAYS_AT_ONCE] for span in sought.ranges()]
        found += [entity for look in await asyncio.gather(*looks) for entity in look]
        meant = [entity for entity in found if entity["RowKey"] in sought.whole_keys()]
        if meant:
            return meant[0]
    if not found:
        where = f"on {days[0]}" if len(days) == 1 else f"in the last {MOST_DAYS} days; --day names another"
        short = f"; the beginning of an id has {LEAST_CHARACTERS} characters or more" if sought.is_too_short else ""
        raise NotFoundError(f"nothing with the id {clean(sought.text, 64)} was received {where}{short}")
    if len(found) > 1:
        ids = ", ".join(sorted({str(one["RowKey"])[:16] for one in found})[:5])
        raise CommandError(f"{sought.text} fits {len(found)} rows or more, give more of it: {ids}", ExitCode.WRONG_USE)
    return found[0]


async def _find(outcomes: AzureTable, day: str, from_row: str, below_row: str) -> list[Entity]:
    return [row.entity async for row in outcomes.scan(day, from_row, below_row, limit=5)]


async def read_history(log: AzureTable, entity: Entity, now: datetime) -> list[Entity]:
    """The row's events, oldest first, each with its time as `At`.

    An end that is never left is its last one; until that came, the feed is read up to the present.
    """
    since = _moment(entity, "CollectedAt") - _CLOCK_DIFFERENCE
    only = ("SubmissionId", str(entity["RowKey"]))
    found: list[Entity] = []
    for age in range((now.date() - since.date()).days + 2):
        day = keys.day(since + timedelta(days=age))
        async for row in log.scan(day, f"{keys.epoch_ms(since):013d}", "~", only=only):
            found.append({"At": time_of(row.entity), **row.entity})
            if not TRANSITIONS[State(str(row.entity["Event"]))]:
                return found
    return found


def _moment(entity: Entity, column: str) -> datetime:
    """The time in a column; in a row that does not have it, when it was received."""
    at = entity.get(column, entity["ReceivedAt"])
    return at if isinstance(at, datetime) else datetime.fromisoformat(str(at))


def time_of(event: Entity) -> datetime:
    """When a row of the feed was written, which its key begins with."""
    return datetime.fromtimestamp(int(str(event["RowKey"])[:13]) / 1000, UTC)


def in_order(entity: Entity) -> dict[str, object]:
    """The row's columns in the contract's order, then whatever a newer app may have added."""
    first = ("PartitionKey", "RowKey", "SchemaVersion", *COLUMNS.values())
    return {name: entity[name] for name in dict.fromkeys([*first, *entity]) if name in entity}


def show(output: Output, record: dict[str, object], history: Sequence[Entity]) -> None:
    """Show the row and its history: two tables, one JSON object with `History`, or TSV with `History` lines."""
    if output.form == "table":
        output.show_record(record)
        write("")
        output.console().print(table(_HISTORY, history))
        return
    if output.form == "json":
        output.show_record({**record, "History": [_told(event) for event in history]})
        return
    output.show_record(record)
    for event in history:
        output.show_line((_LABEL, *_HISTORY), {"Label": "History", **event})


def _told(event: Entity) -> Entity:
    """What of an event is history; the rest of it is a copy of the row."""
    return {name: event[name] for name in _TOLD if name in event}
