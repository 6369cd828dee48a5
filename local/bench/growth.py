"""How a count grows with what it depends on: the exponent of the curve through two sizes. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def exponent(sizes: Sequence[int], counts: Sequence[float]) -> float:
    """The steepest exponent between neighbouring sizes, ascending: 1 where a count doubles with the size.

    A count of nothing counts as one, and what does not grow has the exponent 0.
    """
    points = [(size, max(count, 1.0)) for size, count in zip(sizes, counts, strict=True)]
    slopes = [
        math.log(after / before) / math.log(large / small) for (small, before), (large, after) in pairwise(points)
    ]
    return max([0.0, *slopes])
