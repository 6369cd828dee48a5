"""How an outcome looks as a table row, a row of the feed, and the snapshot in the worklist.

One rule for names: a field `graph_submission_id` is the column `GraphSubmissionId`. The only exceptions are the key
and `ReceivedAt`-like times, which are columns like any other. Text is cleaned and cut here, on its way into a row, so
that no other place has to remember it.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from ..domain import keys
from ..domain.model import (
    Agreement,
    Category,
    Direction,
    Kind,
    Outcome,
    OutcomeKey,
    Priority,
    Source,
    State,
    Verdict,
)
from ..domain.text import clean
from ..ports import Entity, Value

SCHEMA_VERSION = 1

_WORDS: dict[str, type[StrEnum]] = {
    "state": State,
    "previous_state": State,
    "source": Source,
    "kind": Kind,
    "category": Category,
    "direction": Direction,
    "priority": Priority,
    "verdict": Verdict,
    "agreement": Agreement,
}
_PRIVATE = {"previous_state": "PreviousState"}
"""A column of `outcomes` for the app itself; in the feed it is one of the event's own."""
_FIELDS = tuple(field.name for field in fields(Outcome) if field.name != "key" and field.name not in _PRIVATE)
COLUMNS = {name: "".join(part[:1].upper() + part[1:] for part in name.split("_")) for name in _FIELDS}
"""Field name to column name, in the contract's order."""
_NAMES = {column: name for name, column in (COLUMNS | _PRIVATE).items()}
_UNKNOWN: dict[str, Any] = {
    field.name: None for field in fields(Outcome) if field.name != "key" and field.default is MISSING
}
"""What every row has: None where a row lacks it all the same."""
_values = attrgetter(*COLUMNS)


def outcome_entity(outcome: Outcome) -> Entity:
    """The row of the table `outcomes`; fields that do not apply are absent."""
    entity = {
        "PartitionKey": outcome.key.partition,
        "RowKey": outcome.key.submission_id,
        "SchemaVersion": SCHEMA_VERSION,
        **_properties(outcome),
    }
    if outcome.previous_state is not None:
        entity["PreviousState"] = outcome.previous_state.value
    return entity


def read_outcome(entity: Entity) -> Outcome:
    """The outcome that a row holds; the inverse of `outcome_entity`."""
    key = OutcomeKey(str(entity["PartitionKey"]), str(entity["RowKey"]))
    known = {_NAMES[column]: value for column, value in entity.items() if column in _NAMES and value is not None}
    return Outcome(key=key, **_UNKNOWN | {name: _field(name, value) for name, value in known.items()})


def log_entity(outcome: Outcome, previous: State | None, at: datetime, sequence: int) -> Entity:
    """The feed's row for a change: a full copy of the outcome's columns at that moment.

    A row's first event has no `PreviousState`.
    """
    entity: Entity = {
        "PartitionKey": keys.day(at),
        "RowKey": keys.log_key(at, outcome.key.submission_id, sequence),
        "SchemaVersion": SCHEMA_VERSION,
        "Event": outcome.state.value,
        "OutcomePartition": outcome.key.partition,
        "SubmissionId": outcome.key.submission_id,
        **_properties(outcome),
    }
    if previous is not None:
        entity["PreviousState"] = previous.value
    return entity


def snapshot(outcome: Outcome) -> str:
    """The outcome as JSON text, for a private row that must know it without reading `outcomes`."""
    return json.dumps(outcome_entity(outcome), default=datetime.isoformat, ensure_ascii=False, separators=(",", ":"))


def read_snapshot(text: str) -> Outcome:
    """The outcome that `snapshot` wrote."""
    return read_outcome(json.loads(text))


def _properties(outcome: Outcome) -> Entity:
    values = zip(COLUMNS.values(), _values(outcome), strict=True)
    known = {column: _value(value) for column, value in values if value is not None}
    if not outcome.revision:
        del known["Revision"]
    return known


def _value(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    return value.value if isinstance(value, StrEnum) else clean(value)


def _field(name: str, value: Any) -> Any:
    if name in _WORDS:
        return _WORDS[name](value)
    return _time(value) if name.endswith("_at") else value


def _time(value: str | datetime) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.astimezone(UTC)
