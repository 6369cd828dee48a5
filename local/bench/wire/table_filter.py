"""The filters of Table Storage that the app asks with: comparisons joined by `and`.

Anything else is refused, so that a query never finds more or less here than there.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

_COMPARISON = re.compile(
    r"\s*(?P<name>\w+) (?P<operator>eq|ne|ge|gt|le|lt) "
    r"(?:(?P<kind>datetime)?'(?P<text>(?:[^']|'')*)'|(?P<word>true|false)|(?P<number>-?\d+(?:\.\d+)?)L?)\s*"
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    name: getattr(operator, name) for name in ("eq", "ne", "ge", "gt", "le", "lt")
}


class UnknownFilterError(Exception):
    """The filter holds what the app never asks for: teach this module, or ask otherwise."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A property compared with a value."""

    name: str
    operator: str
    value: Any

    def holds(self, properties: Mapping[str, Any]) -> bool:
        """Whether an entity's properties fulfil it; one that it lacks never does."""
        found = properties.get(self.name)
        if found is None:
            return False
        if isinstance(self.value, datetime):
            found = datetime.fromisoformat(found)
        return type(found) is type(self.value) and _COMPARE[self.operator](found, self.value)


@dataclass(frozen=True, slots=True)
class TableFilter:
    """One partition (or all), the bounds of its row keys, and what else an entity has to fulfil."""

    partition: str | None = None
    from_row: str = ""
    below_row: str | None = None
    others: tuple[Comparison, ...] = ()

    def holds(self, properties: Mapping[str, Any]) -> bool:
        """Whether an entity within the bounds fulfils the rest."""
        return all(one.holds(properties) for one in self.others)


@lru_cache(maxsize=64)
def read_filter(text: str) -> TableFilter:
    """The filter that the text says. Raises UnknownFilterError."""
    partition, from_row, below_row, others = None, "", None, list[Comparison]()
    for one in _comparisons(text):
        match (one.name, one.operator):
            case ("PartitionKey", "eq"):
                partition = one.value
            case ("RowKey", "ge"):
                from_row = one.value
            case ("RowKey", "lt"):
                below_row = one.value
            case _:
                others.append(one)
    return TableFilter(partition, from_row, below_row, tuple(others))


def _comparisons(text: str) -> list[Comparison]:
    if not text.strip():
        return []
    found, place = list[Comparison](), 0
    while (match := _COMPARISON.match(text, place)) is not None:
        found.append(Comparison(match["name"], match["operator"], _value(match)))
        place = match.end()
        if place == len(text):
            return found
        if not text.startswith("and ", place):
            break
        place += len("and ")
    raise UnknownFilterError(text)


def _value(match: re.Match[str]) -> Any:
    if match["word"] is not None:
        return match["word"] == "true"
    if match["number"] is not None:
        return float(match["number"]) if "." in match["number"] else int(match["number"])
    text = match["text"].replace("''", "'")
    return datetime.fromisoformat(text) if match["kind"] else text
