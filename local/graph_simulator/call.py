"""One request as the simulated API sees it: path segments, query options, preferences, body.

Names in a path are matched without regard to case and both key forms are accepted (`messages/ID`, `messages('ID')`),
as Graph does; ids keep their case, since two of them may differ in nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from local.graph_simulator.answer import RefusedError, bad_request, method_not_allowed, not_simulated

_KEYED = re.compile(r"(\w+)\('(.*)'\)")
_PAGE_SIZE = re.compile(r"odata\.maxpagesize=(\d+)", re.IGNORECASE)
_IMMUTABLE = re.compile(r'idtype="immutableid"', re.IGNORECASE)
_TEXT_BODIES = re.compile(r'outlook\.body-content-type="?text\b', re.IGNORECASE)
_UNKNOWN_MEMBERS = "include-unknown-enum-members"
_ODATA_OPTIONS = frozenset({"$expand", "$search", "$count", "$format", "$apply", "$skip", "$orderby", "$select"})


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the `Prefer` headers ask for; `page_size` is None unless `odata.maxpagesize` was given."""

    immutable_ids: bool = False
    text_bodies: bool = False
    unknown_enum_members: bool = False
    page_size: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A request's path and query: `names` are the lower-case `segments`, to be matched; ids stand in `segments`."""

    version: str
    segments: tuple[str, ...]
    names: tuple[str, ...]
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GraphCall:
    """One request with everything the simulated API may look at."""

    method: str
    target: Target
    prefer: Preferences
    content_type: str
    body: bytes
    base_url: str
    at: datetime


@lru_cache(maxsize=256)
def read_preferences(header: str) -> Preferences:
    """Return the preferences of the joined `Prefer` headers; unknown ones are ignored, as RFC 7240 demands."""
    size = _PAGE_SIZE.search(header)
    return Preferences(
        immutable_ids=bool(_IMMUTABLE.search(header)),
        text_bodies=bool(_TEXT_BODIES.search(header)),
        unknown_enum_members=_UNKNOWN_MEMBERS in header.lower(),
        page_size=int(size[1]) if size else None,
    )


def read_target(raw_target: str) -> Target:
    """Return the parts of a request target. Raises RefusedError for a query option given twice."""
    path, _, query = raw_target.partition("?")
    parts = [piece for raw in path.split("/") if raw for piece in _split_key(unquote(raw))]
    version, segments = (parts[0].lower() if parts else ""), tuple(parts[1:])
    return Target(version, segments, tuple(map(str.lower, segments)), _read_query(query))


def _split_key(segment: str) -> tuple[str, ...]:
    if not segment.endswith(")"):
        return (segment,)
    if segment.endswith("()"):
        return (segment[:-2],)
    keyed = _KEYED.fullmatch(segment)
    return (keyed[1], keyed[2].replace("''", "'")) if keyed else (segment,)


def _read_query(query: str) -> Mapping[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = {name.lower(): value for name, value in pairs}
    if len(options) != len(pairs):
        raise bad_request("Query option is specified more than once.")
    return options


def require_method(call: GraphCall, method: str) -> None:
    """Refuse every other method (405)."""
    if call.method != method:
        raise method_not_allowed(call.method)


def require_json(call: GraphCall) -> None:
    """Refuse a body that is not declared as JSON (415)."""
    if call.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "UnsupportedMediaType", "The content type of the request is not application/json.")


def require_options(call: GraphCall, allowed: frozenset[str]) -> None:
    """Refuse every query option outside `allowed` (lower case), naming those the simulator merely lacks."""
    for name in call.target.query.keys() - allowed:
        if name in _ODATA_OPTIONS:
            raise not_simulated(f"the query option {name} here")
        raise bad_request(f"The query parameter '{name}' is not supported.")


def read_count_option(query: Mapping[str, str], name: str, most: int) -> int | None:
    """Return a whole number from 1 (`$skip`: 0) to `most`, or None where the option is absent."""
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not (name == "$skip" or 1 <= int(text) <= most):
        raise bad_request(f"Invalid value '{text}' for {name} query option found.")
    return int(text)


def read_truth_option(query: Mapping[str, str], name: str) -> bool:
    """Return whether the option is `true`; an absent one is false."""
    text = query.get(name)
    if text not in {None, "true", "false"}:
        raise bad_request(f"Invalid value '{text}' for {name} query option found.")
    return text == "true"
