"""`$filter` expressions: text to a tree that tests a row.

The grammar is the part of OData that the documentation of these collections shows: comparisons joined by `and` and
`or`, with parentheses. Each collection says which fields, operators and values it takes; all else is refused.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from local.graph_simulator.answer import RefusedError, bad_request
from local.graph_simulator.instants import parse_instant

FieldValue = str | datetime | bool
ReadField = Callable[[str], FieldValue]

_TOKEN = re.compile(r"\s*(?:(?P<mark>[()])|(?P<text>'(?:[^']|'')*')|(?P<word>[^\s()']+))")
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a filter may ask of one field; `values` limits an enum's text."""

    kind: Literal["text", "instant", "boolean"]
    operators: frozenset[str]
    values: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One `field operator value`."""

    field: str
    operator: str
    value: FieldValue

    def holds(self, read: ReadField) -> bool:
        """Return whether the row behind `read` satisfies the comparison."""
        return _OPERATORS[self.operator](read(self.field), self.value)

    def list_fields(self) -> tuple[str, ...]:
        """Return the fields in the order of the text."""
        return (self.field,)


@dataclass(frozen=True, slots=True)
class Junction:
    """Parts joined by `and` (all must hold) or `or` (one must)."""

    joiner: Literal["and", "or"]
    parts: tuple["Condition", ...]

    def holds(self, read: ReadField) -> bool:
        """Return whether the row behind `read` satisfies the parts."""
        found = (part.holds(read) for part in self.parts)
        return all(found) if self.joiner == "and" else any(found)

    def list_fields(self) -> tuple[str, ...]:
        """Return the fields in the order of the text."""
        return tuple(field for part in self.parts for field in part.list_fields())


Condition = Comparison | Junction


def parse_filter(text: str, fields: Mapping[str, FieldRule], code: str = "BadRequest") -> Condition:
    """Return the condition written in `text`. Raises RefusedError (400, `code`) if it is not allowed."""
    return _Parser(text, fields, code).parse()


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, FieldRule], code: str) -> None:
        self._code = code
        self._fields = fields
        self._tokens = self._split(text)
        self._next = 0

    def parse(self) -> Condition:
        condition = self._parse_junction("or")
        if self._next != len(self._tokens):
            raise self._refuse(f"unexpected '{self._tokens[self._next]}'")
        return condition

    def _split(self, text: str) -> list[str]:
        tokens, place, end = [], 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._refuse(f"syntax error at position {place}")
            tokens.append(match[0].strip())
            place = match.end()
        return tokens

    def _parse_junction(self, joiner: Literal["and", "or"]) -> Condition:
        parts = [self._parse_part(joiner)]
        while self._peek() == joiner:
            self._next += 1
            parts.append(self._parse_part(joiner))
        return parts[0] if len(parts) == 1 else Junction(joiner, tuple(parts))

    def _parse_part(self, joiner: Literal["and", "or"]) -> Condition:
        if joiner == "or":
            return self._parse_junction("and")
        if self._peek() != "(":
            return self._parse_comparison()
        self._next += 1
        condition = self._parse_junction("or")
        if self._take() != ")":
            raise self._refuse("missing ')'")
        return condition

    def _parse_comparison(self) -> Comparison:
        field, name, literal = self._take(), self._take(), self._take()
        rule = self._fields.get(field)
        if rule is None:
            raise self._refuse(f"the property '{field}' cannot be filtered")
        if name not in rule.operators:
            raise self._refuse(f"the operator '{name}' is not supported for '{field}'")
        return Comparison(field, name, self._read_literal(literal, rule))

    def _read_literal(self, literal: str, rule: FieldRule) -> FieldValue:
        if rule.kind == "text":
            return self._read_text(literal, rule.values)
        if rule.kind == "boolean" and literal in {"true", "false"}:
            return literal == "true"
        try:
            return parse_instant(literal)
        except ValueError as error:
            raise self._refuse(f"'{literal}' is not a value of this property") from error

    def _read_text(self, literal: str, values: frozenset[str] | None) -> str:
        if not literal.startswith("'"):
            raise self._refuse(f"'{literal}' is not a string")
        text = literal[1:-1].replace("''", "'")
        if values is not None and text not in values:
            raise self._refuse(f"'{text}' is not a member of the enumeration")
        return text

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            raise self._refuse("expression expected")
        self._next += 1
        return token

    def _refuse(self, why: str) -> RefusedError:
        return bad_request(f"Invalid filter clause: {why}.", self._code)
