"""How long a listener waits before it looks again at a queue that had nothing for it.

After `RandomizedExponentialBackoffStrategy` of the storage extension: 100 ms, then 100 ms plus a doubling increment
with 20 % jitter, up to the maximum, on which it stays exactly. The invariant: no delay is longer than the maximum.
"""

from local.functions_host.clock import Random

MINIMUM_S = 0.1
_JITTER = 0.2


class PollingBackoff:
    """The delays of one listener."""

    def __init__(self, maximum_s: float, random: Random) -> None:
        self._maximum_s = maximum_s
        self._random = random
        self._delay_s = 0.0
        self._doublings = 0

    def reset(self) -> None:
        """Start over: something was found."""
        self._delay_s = 0.0
        self._doublings = 0

    def next_delay_s(self) -> float:
        """Seconds until the next look."""
        if self._delay_s < self._maximum_s:
            self._delay_s = min(MINIMUM_S + self._increment_s(), self._maximum_s)
            self._doublings += 1
        return self._delay_s

    def _increment_s(self) -> float:
        if self._doublings == 0:
            return 0.0
        base_s: float = MINIMUM_S * 2 ** (self._doublings - 1)
        return base_s * self._random.uniform(1 - _JITTER, 1 + _JITTER)
