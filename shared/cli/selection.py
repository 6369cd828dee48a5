"""Which rows of `outcomes` or of the feed are wanted, as options say it and as the table service is asked.

The invariant: the service does the sorting out, day by day and a page at a time. Days outside the range are never
asked for, so neither time nor memory grows with what stands there. Addresses alone are compared here, as the service
knows no comparison in any case.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..domain import keys
from ..domain.model import Kind, State, Verdict
from ..domain.text import address
from ..ports import Entity, Row

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable

MOST_COMPARISONS = 15
"""Of one filter (Microsoft Learn, "Querying tables and entities": "up to 15 discrete comparisons")."""
_RANGE_COMPARISONS = 3

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Values of which a row must have one in one of the columns."""

    columns: tuple[str, ...]
    values: tuple[str, ...]
    in_any_case: bool = False
    """Compared here, in any case of letters; else by the service, as it stands."""

    @property
    def comparisons(self) -> int:
        """How many the service counts."""
        return 0 if self.in_any_case else len(self.columns) * len(self.values)

    def fits(self, entity: Entity) -> bool:
        """Whether the row has one of the values, as far as that is compared here."""
        if not self.in_any_case:
            return True
        has = {str(entity.get(column, "")).lower() for column in self.columns}
        return any(value.lower() in has for value in self.values)


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows received from `since` up to but not including `until` (aware UTC), in which all of `wanted` holds."""

    since: datetime
    until: datetime
    wanted: Sequence[Wanted] = field(default_factory=tuple)

    def days(self) -> list[str]:
        """The partitions that hold such rows, ascending."""
        if self.since >= self.until:
            return []
        span = (self.until - timedelta(microseconds=1)).date() - self.since.date()
        return [keys.day(self.since + timedelta(days=number)) for number in range(span.days + 1)]

    async def rows(self, table: AzureTable, day: str, columns: Sequence[str] | None = None) -> AsyncIterator[Entity]:
        """The day's rows in the order of their ids, a page in memory at a time; of `columns` alone where given."""
        async for row in self.found(table, day, columns):
            yield row.entity

    async def found(self, table: AzureTable, day: str, columns: Sequence[str] | None = None) -> AsyncIterator[Row]:
        """As `rows`, each with its version."""
        begin = "PartitionKey eq @day and ReceivedAt ge @since and ReceivedAt lt @until"
        query, values = narrowed(begin, {"day": day, "since": self.since, "until": self.until}, self.wanted)
        if columns is not None:
            here = (column for one in self.wanted if one.in_any_case for column in one.columns)
            columns = list(dict.fromkeys([*columns, *here]))
        async for row in table.search(query, values, columns=columns):
            if all(one.fits(row.entity) for one in self.wanted):
                yield row


def received(since: datetime, until: datetime | None, wanted: Sequence[Wanted]) -> Selection:
    """The rows received between two moments, or until now. Raises `click.UsageError` where no row can be."""
    if until is not None and until <= since:
        raise click.UsageError("--since must be before --until: no row is both")
    # A clock ahead of ours must not hide the newest row.
    return Selection(since, until or datetime.now(UTC) + timedelta(minutes=5), wanted)


def narrowed(query: str, values: Mapping[str, Any], wanted: Sequence[Wanted]) -> tuple[str, dict[str, Any]]:
    """The OData filter that also asks for what of `wanted` the service compares, and the values of its names."""
    parts, named = [query], dict(values)
    for number, one in enumerate(each for each in wanted if not each.in_any_case):
        names = {f"wanted{number}_{place}": value for place, value in enumerate(one.values)}
        named |= names
        either = " or ".join(f"{column} eq @{name}" for column in one.columns for name in names)
        parts.append(f"( {either} )")  # the library ends a name at a blank, and at nothing else
    return " and ".join(parts), named


def _words(name: str, words: Iterable[StrEnum]) -> Callable[[Command], Command]:
    """An option that takes any of some words, and may be repeated."""
    values = [word.value for word in words]
    told = f"{', '.join(values)}; may be repeated."
    return click.option(name, multiple=True, type=click.Choice(values), metavar=name.strip("-").upper(), help=told)


_FILTERS: Final[tuple[Callable[[Any], Any], ...]] = (
    _words("--state", State),
    _words("--verdict", Verdict),
    _words("--kind", Kind),
    click.option("--reporter", metavar="ADDRESS", help="Who reported or requested it: the whole address, in any case."),
    click.option("--sender", metavar="ADDRESS", help="Who sent the mail: the whole address."),
    click.option("--campaign", metavar="ID", help="Rows of one campaign."),
)


def with_filters(command: Command) -> Command:
    """Give a command the options that `read_filters` takes."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def read_filters(options: Mapping[str, Any]) -> tuple[Wanted, ...]:
    """What the options of `with_filters` ask for. Raises `click.UsageError` where it is more than the service takes."""
    given = (
        Wanted(("State",), tuple(map(str, options["state"]))),
        Wanted(("Verdict",), tuple(map(str, options["verdict"]))),
        Wanted(("Kind",), tuple(map(str, options["kind"]))),
        Wanted(("Reporter", "RequestedBy"), _address(options["reporter"]), in_any_case=True),
        Wanted(("Sender",), _address(options["sender"]), in_any_case=True),
        Wanted(("CampaignId",), (options["campaign"],) if options["campaign"] else ()),
    )
    wanted = tuple(one for one in given if one.values)
    if sum(one.comparisons for one in wanted) + _RANGE_COMPARISONS > MOST_COMPARISONS:
        raise click.UsageError(f"too many values: a filter of the table service has {MOST_COMPARISONS} comparisons")
    return wanted


def _address(given: str | None) -> tuple[str, ...]:
    """The address that was given, without what stands around it."""
    return (address(given) or given,) if given else ()
