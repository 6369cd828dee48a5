"""Microsoft's limits on submissions: rolling windows for the tenant and for each item.

A window of 15 minutes holds the submissions of the last 15 minutes, to the microsecond; nothing is rounded to a grid.
People in the portal and the app draw on the same windows. Published for `/informationProtection` and for the portal;
assumed for threatSubmission.
"""

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

_SHORT = timedelta(minutes=15)
_LONG = timedelta(hours=24)

QuotaRule = Literal["item_15_min", "item_24_h", "tenant_15_min", "tenant_24_h"]


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """How many submissions the service takes in any rolling window, for the tenant and for one item."""

    tenant_per_15_min: int = 150
    tenant_per_24_h: int = 10_000
    item_per_15_min: int = 1
    item_per_24_h: int = 3


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """The rule that refuses a submission and how long it will."""

    rule: QuotaRule
    free_in: timedelta


class Quota:
    """The submissions of the last 24 hours."""

    def __init__(self, limits: QuotaLimits = QuotaLimits()) -> None:
        self.limits = limits
        self._tenant: deque[datetime] = deque()
        self._items: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def find_exhaustion(self, item_key: str, at: datetime) -> Exhaustion | None:
        """Return what forbids a submission of this item now, the longest wait first, or None."""
        limits = self.limits
        item = self._items.get(item_key, deque())
        checks: tuple[tuple[QuotaRule, deque[datetime], timedelta, int], ...] = (
            ("item_24_h", item, _LONG, limits.item_per_24_h),
            ("item_15_min", item, _SHORT, limits.item_per_15_min),
            ("tenant_24_h", self._tenant, _LONG, limits.tenant_per_24_h),
            ("tenant_15_min", self._tenant, _SHORT, limits.tenant_per_15_min),
        )
        found = (_check_window(rule, times, window, limit, at) for rule, times, window, limit in checks)
        return max((hit for hit in found if hit), key=lambda hit: hit.free_in, default=None)

    def use(self, item_key: str, at: datetime) -> None:
        """Count a submission of an item."""
        self._items[item_key].append(at)
        self.use_tenant(at)

    def use_tenant(self, at: datetime) -> None:
        """Count a submission of something nobody else will submit."""
        self._tenant.append(at)
        while self._tenant[0] <= at - _LONG:
            self._tenant.popleft()

    def clear(self) -> None:
        """Forget all submissions."""
        self._tenant.clear()
        self._items.clear()


def _check_window(
    rule: QuotaRule, times: deque[datetime], window: timedelta, limit: int, at: datetime
) -> Exhaustion | None:
    """Look only at the `limit`-th time from the end: the window is full while that one is inside it."""
    if limit <= 0:
        return Exhaustion(rule, window)
    if len(times) < limit or times[-limit] <= at - window:
        return None
    return Exhaustion(rule, times[-limit] + window - at)
