"""Rows of the feed for tests, appended as the app's writers append them but many at a time."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from time import sleep
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableClient

from shared.codecs.rows import log_entity
from shared.domain.model import State
from shared.ports import Entity
from tests.support.outcomes import make_outcome


def event(number: int, at: datetime, **facts: Any) -> Entity:
    """Return a report's first event."""
    return log_entity(make_outcome(number, **facts), None, at, 0)


def events(first: datetime, count: int, *, every: timedelta = timedelta(seconds=1)) -> list[Entity]:
    """Return the first events of many reports, one after the other."""
    return [event(number, first + number * every) for number in range(count)]


def history(number: int, first: datetime, *states: State) -> list[Entity]:
    """Return a report's way through states, a second each."""
    before: list[State | None] = [None, *states]
    return [
        log_entity(make_outcome(number, state=state), previous, first + timedelta(seconds=step), 0)
        for step, (state, previous) in enumerate(zip(states, before, strict=False))
    ]


def append(connection: str, entities: Sequence[Entity] = ()) -> list[str]:
    """Append to an account's feed, which is made if it is not there; returns the row keys, ascending."""
    with TableClient.from_connection_string(connection, "outcomelog") as feed:
        with suppress(ResourceExistsError):
            feed.create_table()
        for batch in _transactions(entities):
            feed.submit_transaction([("create", entity) for entity in batch])
    return sorted(str(entity["RowKey"]) for entity in entities)


def let_second_pass() -> None:
    """Wait until the present second is over: the feed is read up to the last whole second of the service's clock."""
    sleep(1.02 - datetime.now(UTC).microsecond / 1e6)


def _transactions(entities: Iterable[Entity]) -> Iterable[Sequence[Entity]]:
    for _, day in groupby(sorted(entities, key=_key), key=lambda entity: entity["PartitionKey"]):
        rows = list(day)
        yield from (rows[start : start + 100] for start in range(0, len(rows), 100))


def _key(entity: Entity) -> tuple[str, str]:
    return str(entity["PartitionKey"]), str(entity["RowKey"])
