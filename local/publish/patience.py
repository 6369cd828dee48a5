"""How long is waited for Azure, and how often it is asked meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

_LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """A limit for one wait, and the pause between two questions, both in seconds."""

    limit_s: float
    pause_s: float

    def rounds(self) -> Iterator[int]:
        """Yield 1, 2, 3 and so on with a pause between them until the limit has passed, which 3 may overrun."""
        end_s = time.monotonic() + self.limit_s
        number = 1
        yield number
        while number < _LEAST_ROUNDS or time.monotonic() + self.pause_s <= end_s:
            time.sleep(self.pause_s)
            number += 1
            yield number
