"""The columns of the two tables that pipelines read, with their types, in the order in which they are written.

The invariant: both lists are made from the code that writes the rows, so that a new column is exported, and missed on
the page for pipelines by its test, without being named again.
"""

from __future__ import annotations

import types
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, get_args, get_type_hints

from ..codecs.rows import COLUMNS
from ..domain.model import Outcome

_KEY: Final[dict[str, type]] = {"PartitionKey": str, "RowKey": str, "SchemaVersion": int}
_CHANGE: Final[dict[str, type]] = {"Event": str, "PreviousState": str, "OutcomePartition": str, "SubmissionId": str}
TYPE_NAMES: Final[dict[type, str]] = {str: "string", int: "int32", datetime: "datetime"}
"""What the types are called in Table Storage, in lower case and without `Edm.`."""


def _plain(hint: Any) -> type:
    """The type that a field's value has in its row."""
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind: type = next(one for one in kinds if one is not type(None))
    return str if issubclass(kind, StrEnum) else kind


_HINTS = get_type_hints(Outcome)
_FACTS: dict[str, type] = {column: _plain(_HINTS[name]) for name, column in COLUMNS.items()}
OUTCOME_COLUMNS: Final[dict[str, type]] = {**_KEY, "PreviousState": str, **_FACTS}
"""Of the table `outcomes`: name to `str`, `int` or `datetime`."""
FEED_COLUMNS: Final[dict[str, type]] = {**_KEY, **_CHANGE, **_FACTS}
"""Of the table `outcomelog`."""
